//go:build !lean

package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// stormDevices names the number of devices of the storm, such as 10000.
const stormDevices = "DEVICEOPS_TEST_STORM_DEVICES"

// The storm is the low battery of DESIGN on a shorter clock: a sample of every
// device each step, low for heldSteps before it counts, then silence for an hour
// of four minutes: clocks that are five minutes ahead are believed.
const (
	heldSteps = 5
	lowSteps  = 10
	lowEvery  = 20 // one device of so many is low
	stormHour = 4 * time.Minute
)

const stormYAML = `workflow: storm
version: 1
inputs: { device: device, battery: number }
outputs: { battery: "${{ inputs.battery }}" }
steps: [ { set: { seen: "${{ inputs.battery }}" } } ]
---
automation: storm
trigger:
  event: device.battery
  where: event.data.battery_pct < 20 && "critical" in device.tags
  for: %s
key: event.device
dedupe: %s
concurrency: parallel
run: storm@1
with: { device: "${{ event.device }}", battery: "${{ event.data.battery_pct }}" }
`

// storm is a fleet that says how its batteries are.
type storm struct {
	home
	devices int
	step    time.Duration
	begin   time.Time
	chance  *rand.Rand
	mqtt    mqtt.Client
}

func newStorm(t *testing.T) *storm {
	s := &storm{home: newHome(t), devices: 100, step: 2 * time.Second, chance: moments(t)}
	if text := os.Getenv(stormDevices); text != "" {
		var err error
		s.devices, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	s.step = max(s.step, time.Duration(s.devices)*time.Millisecond) // 1,000 samples a second at most
	return s
}

func (s *storm) id(n int) string { return fmt.Sprintf("storm-%05d", n) }

func (s *storm) isLow(n int) bool { return n%lowEvery == 0 }

// register registers the devices, all critical.
func (s *storm) register() {
	var rows strings.Builder
	for n := range s.devices {
		fmt.Fprintf(&rows, `{"id":%q,"profile":"kiosk","tags":["critical"]}`+"\n", s.id(n))
	}
	file := filepath.Join(s.dir, "fleet.ndjson")
	require.NoError(s.t, os.WriteFile(file, []byte(rows.String()), 0o600))
	s.must("apply", "-f", "../../examples/kiosk.yaml", "--reason", "test")
	s.must("devices", "import", file, "--reason", "test")
}

func (s *storm) connect() {
	options := mqtt.NewClientOptions().AddBroker(s.broker()).SetClientID("storm").SetOrderMatters(false)
	s.mqtt = mqtt.NewClient(options)
	token := s.mqtt.Connect()
	token.Wait()
	require.NoError(s.t, token.Error())
	s.t.Cleanup(func() { s.mqtt.Disconnect(100) })
}

// at gives the time of a step.
func (s *storm) at(step int) time.Time { return s.begin.Add(time.Duration(step) * s.step) }

// say publishes the sample of a step of a device, a third of the time twice.
func (s *storm) say(n, step int, at time.Time, pct int) {
	payload, err := json.Marshal(map[string]any{
		"type": "device.battery", "data": map[string]any{"battery_pct": pct}, "boot": "b1", "seq": step + 1,
		"time": at.Format(time.RFC3339Nano),
	})
	require.NoError(s.t, err)
	for range 1 + s.chance.IntN(3)/2 {
		s.mqtt.Publish("deviceops/v1/"+s.id(n)+"/up/event", 1, false, payload)
	}
}

// pct gives how full the battery of a device is.
func (s *storm) pct(n int) int {
	if s.isLow(n) {
		return 15
	}
	return 80
}

// rage lets all devices speak for all steps. A fourth of the samples come late,
// after those of the next step. What is done between two steps takes its time:
// the next ones are later by as much.
func (s *storm) rage(between func(step int)) {
	s.begin = time.Now().UTC().Truncate(time.Millisecond)
	late := map[int]time.Time{} // samples that are held back, by device
	for step := range lowSteps {
		time.Sleep(time.Until(s.at(step)))
		for n := range s.devices {
			before, held := late[n]
			if !held && step < lowSteps-1 && s.chance.IntN(4) == 0 {
				late[n] = s.at(step)
				continue
			}
			s.say(n, step, s.at(step), s.pct(n))
			if held {
				s.say(n, step-1, before, s.pct(n))
				delete(late, n)
			}
		}
		began := time.Now()
		between(step)
		s.begin = s.begin.Add(time.Since(began))
	}
}

// awaitRuns waits until every low device has so many good runs.
func (s *storm) awaitRuns(each int) {
	want := each * len(s.want(each))
	require.Eventually(s.t, func() bool { _, succeeded := s.runs(); return succeeded >= want }, 3*time.Minute, 200*time.Millisecond, "%d runs were to succeed", want)
}

// want gives how many runs each device is to have had.
func (s *storm) want(each int) map[string]int {
	want := map[string]int{}
	for n := range s.devices {
		if s.isLow(n) {
			want[s.id(n)] = each
		}
	}
	return want
}

// runs gives how often a run was started for each device, and how many have
// succeeded.
func (s *storm) runs() (started map[string]int, succeeded int) {
	started = map[string]int{}
	for cursor := ""; ; {
		page, err := s.client().ListRuns(s.t.Context(), deviceops.RunFilter{Workflow: "storm", Limit: 1000}, cursor)
		if err != nil {
			return nil, 0
		}
		for _, r := range page.Items {
			started[r.Device]++
			if r.Status == deviceops.RunSucceeded {
				succeeded++
			}
		}
		if cursor = page.Next; cursor == "" {
			return started, succeeded
		}
	}
}

// stored gives how many samples of a device are stored.
func (s *storm) stored(device string) int {
	page, err := s.client().ListEvents(s.t.Context(), deviceops.EventFilter{Device: device, Type: "device.battery", Limit: 1000}, "")
	require.NoError(s.t, err)
	return len(page.Items)
}

// A fleet says how its batteries are, some of it twice and late; one device of
// twenty is low. The gateway is killed in the middle of the hold. Every low device
// has one run an hour, and no other has any.
func TestAStormOfLowBatteries(t *testing.T) {
	t.Parallel()
	s := newStorm(t)
	s.startStack("--parts", "temporal,broker,postgres,api,worker")
	gateway := s.startStack("--parts", "gateway")
	s.register()
	s.apply("storm", fmt.Sprintf(stormYAML, heldSteps*s.step, stormHour))
	s.connect()
	s.rage(func(step int) {
		if step == heldSteps/2 {
			gateway.kill()
			gateway = s.startStack("--parts", "gateway")
		}
	})
	s.awaitRuns(1)
	started, _ := s.runs()
	require.Equal(t, s.want(1), started, "the hour is not over")
	later := time.Now().UTC().Add(stormHour)
	for n := range s.devices {
		s.say(n, lowSteps, later, s.pct(n))
	}
	s.awaitRuns(2)
	for n := range s.devices {
		s.say(n, lowSteps+1, later.Add(time.Second), 90)
	}
	for device := range s.want(2) {
		require.Eventually(t, func() bool { return s.stored(device) == lowSteps+2 }, time.Minute, 100*time.Millisecond,
			"each sample of %s is stored, once: %d are", device, s.stored(device))
	}
	started, succeeded := s.runs()
	require.Equal(t, s.want(2), started)
	require.Equal(t, 2*len(started), succeeded)
}
