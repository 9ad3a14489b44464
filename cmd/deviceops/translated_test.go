//go:build !lean

package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
	"github.com/deviceops/deviceops/dev"
)

// foreigner is a device that knows its own topics, and nothing of DeviceOps.
type foreigner struct {
	t      *testing.T
	id     string
	client mqtt.Client
	told   chan string // topics and payloads of what it was told
}

func newForeigner(t *testing.T, broker, id string) *foreigner {
	f := &foreigner{t: t, id: id, told: make(chan string, 100)}
	f.client = mqtt.NewClient(mqtt.NewClientOptions().AddBroker(broker).SetClientID(id))
	f.must(f.client.Connect())
	t.Cleanup(func() { f.client.Disconnect(100) })
	f.must(f.client.Subscribe("acme/"+id+"/#", 1, func(_ mqtt.Client, m mqtt.Message) { f.hear(m) }))
	return f
}

func (f *foreigner) must(token mqtt.Token) {
	f.t.Helper()
	require.True(f.t, token.WaitTimeout(10*time.Second))
	require.NoError(f.t, token.Error())
}

func (f *foreigner) say(topic, payload string) {
	f.t.Helper()
	f.must(f.client.Publish("acme/"+f.id+"/"+topic, 1, false, payload))
}

// hear does what it is told, as its firmware has it: in its own words.
func (f *foreigner) hear(m mqtt.Message) {
	switch {
	case strings.HasSuffix(m.Topic(), "/cmd"):
		var c struct{ Op, Ref string }
		_ = json.Unmarshal(m.Payload(), &c)
		f.told <- c.Op
		f.client.Publish("acme/"+f.id+"/ack", 1, false, `{"ref":"`+c.Ref+`","rc":0}`)
	case strings.HasSuffix(m.Topic(), "/set/interval"):
		f.told <- "interval " + string(m.Payload())
		f.client.Publish("acme/"+f.id+"/interval", 1, false, m.Payload())
	}
}

// TestDevicesThatKnowOnlyTheirOwnTopics joins a product that was on the market
// before, with the firmware that it has.
func TestDevicesThatKnowOnlyTheirOwnTopics(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	stack, err := dev.Start(t.Context(), dev.Options{Data: h.data})
	require.NoError(t, err)
	t.Cleanup(func() { _ = stack.Close(context.WithoutCancel(t.Context())) })
	c := stack.Client()
	text, err := os.ReadFile("../../examples/translated-sensor.yaml")
	require.NoError(t, err)
	apply := func(text string) {
		report, err := c.Apply(t.Context(), text, client.ApplyOptions{Reason: "test"})
		require.NoError(t, err)
		require.False(t, report.Refused, "%+v", report)
	}
	apply(string(text))
	_, err = c.RegisterDevice(t.Context(), deviceops.RegisterRequest{ID: "s1", Serial: "4711", Profile: "acme-sensor"})
	require.NoError(t, err)
	device := func() deviceops.Device {
		d, err := c.Device(t.Context(), "s1")
		require.NoError(t, err)
		return d
	}

	s := newForeigner(t, stack.BrokerURL(), "s1")
	require.Eventually(t, func() bool { // the engine listens soon after the profile was published
		s.say("telemetry", `{"n":1,"temp_f":70.7,"bat":0.87}`)
		return device().State == deviceops.Active
	}, 2*time.Minute, time.Second, "it was to become active")
	require.Equal(t, deviceops.Online, device().Session.Connectivity)
	require.EqualValues(t, 21.5, device().Metrics["temp_c"], "in units of the fleet")
	require.EqualValues(t, 87, device().Metrics["battery_pct"])

	s.say("door", `{"open":true}`)
	require.Eventually(t, func() bool {
		page, err := c.ListEvents(t.Context(), deviceops.EventFilter{Device: "s1", Type: "device.door"}, "")
		return err == nil && len(page.Items) == 1 && page.Items[0].Severity == "warning"
	}, 30*time.Second, 50*time.Millisecond, "the event was to be stored")

	run, err := c.StartRun(t.Context(), deviceops.RunRequest{Workflow: "restart-sensor", Device: "s1", Inputs: map[string]any{"device": "s1"}}, "")
	require.NoError(t, err)
	for r, err := range c.FollowRun(t.Context(), run.ID) {
		require.NoError(t, err)
		run = r
	}
	require.Equal(t, deviceops.RunSucceeded, run.Status, "%+v", run.Error)
	require.Equal(t, []string{"interval 60", "reboot"}, []string{<-s.told, <-s.told}, "in its own words, once each")
	require.Empty(t, s.told)

	s.say("telemetry", `{"n":2,"celsius":19.5}`)
	rejected := func() []deviceops.Rejected {
		report, err := c.ListRejected(t.Context(), deviceops.RejectedFilter{}, 10)
		require.NoError(t, err)
		return report.Items
	}
	require.Eventually(t, func() bool { return len(rejected()) == 1 }, 30*time.Second, 50*time.Millisecond)
	require.Equal(t, "untranslated", rejected()[0].Code)
	require.Contains(t, rejected()[0].Reason, "metrics.temp_c")

	apply(strings.Replace(string(text), "(payload.temp_f - 32) / 1.8", "payload.celsius ?? ((payload.temp_f - 32) / 1.8)", 1))
	report, err := c.ReplayRejected(t.Context(), deviceops.RejectedReplay{
		RejectedFilter: deviceops.RejectedFilter{Code: "untranslated", Topic: "acme/+/telemetry"}, Reason: "firmware 1.10 has Celsius",
	})
	require.NoError(t, err)
	require.Equal(t, deviceops.RejectedReplayReport{Requested: 1}, report)
	require.Eventually(t, func() bool {
		t := device().Metrics["temp_c"]
		return t == 19.5
	}, 30*time.Second, 50*time.Millisecond, "it was to be understood after all")
	require.Empty(t, rejected())
}
