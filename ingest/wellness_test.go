package ingest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// wellCatalog knows one profile: a device is degraded while its battery is low for
// two minutes, or its system is old.
type wellCatalog struct{ fakeCatalog }

func (c wellCatalog) Profile(ctx context.Context, account, name string) (*deviceops.Profile, error) {
	p, err := c.fakeCatalog.Profile(ctx, account, name)
	if err != nil {
		return nil, err
	}
	p.Wellness = deviceops.DefaultWellness
	p.Wellness.For = 2 * time.Minute
	p.Wellness.Degraded = []deviceops.DegradedReason{
		{Name: "battery", Holds: func(d *deviceops.Device) (deviceops.Verdict, error) {
			switch level := d.Metrics["battery_pct"].(type) {
			case int64:
				return verdict(level < 20), nil
			default:
				return deviceops.Unknown, nil
			}
		}},
		{Name: "system", Holds: func(d *deviceops.Device) (deviceops.Verdict, error) {
			return verdict(d.Twin.Reported.Software["os"] == "1"), nil
		}},
	}
	return p, nil
}

func verdict(yes bool) deviceops.Verdict {
	if yes {
		return deviceops.Yes
	}
	return deviceops.No
}

func wellBundle(t *testing.T) (*testBundle, *Sweeper) {
	b := newBundle(t, func(c *Config) { c.Catalog = wellCatalog{} })
	b.device("k1", deviceops.Active)
	b.say("k1", "hello", `{"boot":"b1","connection":"c1","profile":"kiosk","software":{"os":"2"}}`)
	return b, b.sweeper()
}

// pass lets minutes go by, in which the device lives and the clock decides.
func (b *testBundle) pass(s *Sweeper, minutes int) {
	b.t.Helper()
	for range minutes {
		b.clock.advance(time.Minute)
		b.say("k1", "heartbeat", `{}`)
		require.NoError(b.t, s.Sweep(b.t.Context()))
	}
}

// said counts events of k1 by their type.
func (b *testBundle) said(kinds ...string) map[string]int {
	b.t.Helper()
	counts := map[string]int{}
	for _, kind := range kinds {
		counts[kind] = len(b.events("k1", kind))
	}
	return counts
}

func TestDevicesAreDegradedAndRecover(t *testing.T) {
	t.Parallel()
	b, s := wellBundle(t)
	b.say("k1", "telemetry", `{"metrics":{"battery_pct":50}}`)
	require.Equal(t, deviceops.Wellness{Status: deviceops.Well}, b.find("k1").Wellness)

	b.say("k1", "telemetry", `{"metrics":{"battery_pct":10}}`)
	w := b.find("k1").Wellness
	require.Equal(t, deviceops.Well, w.Status, "not for long enough")
	require.Equal(t, noon.Add(2*time.Minute), w.DueAt)
	b.settle() // a restart changes nothing
	b.pass(s, 1)
	require.Empty(t, b.events("k1", deviceops.EventDegraded))
	b.pass(s, 1)
	w = b.find("k1").Wellness
	require.Equal(t, deviceops.Wellness{Status: deviceops.Degraded, DegradedSince: noon, Because: []string{"battery"}}, w)
	degraded := b.events("k1", deviceops.EventDegraded)
	require.Len(t, degraded, 1)
	require.Equal(t, "warning", degraded[0].Severity)
	require.Equal(t, map[string]any{"because": []any{"battery"}, "since": "2026-05-01T12:00:00Z"}, degraded[0].Data)
	low, err := b.store.ListDevices(t.Context(), deviceops.DeviceFilter{Wellness: deviceops.Degraded})
	require.NoError(t, err)
	require.Len(t, low, 1)

	b.say("k1", "reported", `{"software":{"os":"1"}}`, "telemetry", `{"metrics":{"battery_pct":90}}`)
	require.Equal(t, []string{"system"}, b.find("k1").Wellness.Because, "another reason holds")
	b.say("k1", "reported", `{"software":{"os":"3"}}`)
	b.pass(s, 3)
	require.Equal(t, deviceops.Wellness{Status: deviceops.Well}, b.find("k1").Wellness)
	require.Equal(t, map[string]int{deviceops.EventDegraded: 1, deviceops.EventRecovered: 1}, b.said(deviceops.EventDegraded, deviceops.EventRecovered))
	require.EqualValues(t, 240, b.events("k1", deviceops.EventRecovered)[0].Data["degraded_s"])
}

// TestProfilesWithoutConditionsCostNothing looks that no device is examined whose
// profile has no condition, and that one is as soon as it has to recover.
func TestProfilesWithoutConditionsCostNothing(t *testing.T) {
	t.Parallel()
	plain := &deviceops.Profile{Name: "kiosk", Wellness: deviceops.DefaultWellness}
	l := newLedger(noon, func(*deviceops.Device) *deviceops.Profile { return plain })
	d := &deviceops.Device{ID: "k1"}
	l.devices["k1"] = d
	l.examine(d, plain)
	require.NoError(t, l.judgeWellness(t.Context(), nil), "the store is not asked")
	d.Wellness.DegradedSince = noon
	l.examine(d, plain)
	require.Len(t, l.examined, 1)
}

func (b *testBundle) flap(times int) {
	b.t.Helper()
	for range times {
		b.clock.advance(20 * time.Second)
		b.say("k1", "status", `{"status":"offline","connection":"c1"}`)
		b.clock.advance(20 * time.Second)
		b.say("k1", "status", `{"status":"online","connection":"c1"}`)
	}
}

func TestFlappingIsDamped(t *testing.T) {
	t.Parallel()
	b, s := wellBundle(t)
	b.flap(30)
	require.Equal(t, deviceops.Flapping, b.find("k1").Wellness.Status)
	require.Equal(t, deviceops.Online, b.find("k1").Session.Connectivity, "what is known of it is as ever")
	b.settle()
	b.pass(s, 16)
	b.flap(1)
	require.Equal(t, map[string]int{
		deviceops.EventDeviceConnectivity: 1 + 4 + 2, // the first hello, two losses, and one after it was stable
		deviceops.EventConnectivityDamped: 56, deviceops.EventFlapping: 1, deviceops.EventStable: 1,
	}, b.said(deviceops.EventDeviceConnectivity, deviceops.EventConnectivityDamped, deviceops.EventFlapping, deviceops.EventStable))
	flapping := b.events("k1", deviceops.EventFlapping)[0]
	require.Equal(t, map[string]any{"changes": int64(5), "within_s": int64(600), "connectivity": "offline"}, flapping.Data)
	require.Equal(t, deviceops.Well, b.find("k1").Wellness.Status)
}

// TestFlappingThatEndsOffline is heard as of when the device was lost.
func TestFlappingThatEndsOffline(t *testing.T) {
	t.Parallel()
	b, s := wellBundle(t)
	b.flap(5)
	b.clock.advance(20 * time.Second)
	b.say("k1", "status", `{"status":"offline","connection":"c1"}`)
	lost := b.clock.Now()
	b.clock.advance(15 * time.Minute)
	require.NoError(t, s.Sweep(t.Context()))
	changes := b.events("k1", deviceops.EventDeviceConnectivity)
	last := changes[len(changes)-1]
	require.Equal(t, map[string]any{"from": "online", "to": "offline", "because": "it is stable again"}, last.Data)
	require.Equal(t, lost, last.At)
	require.Equal(t, "warning", last.Severity)
}

// TestALostGatewayThatFlapsStrandsItsChildren counts them on the event that is
// damped.
func TestALostGatewayThatFlapsStrandsItsChildren(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(c *Config) { c.Catalog = wellCatalog{} })
	b.gatewayWithChildren()
	for range 4 {
		b.clock.advance(time.Minute)
		b.say("g1", "status", `{"status":"offline","connection":"gc"}`)
		b.clock.advance(time.Minute)
		b.say("g1", "status", `{"status":"online","connection":"gc"}`, "heartbeat", `{"child":"c1"}`)
	}
	damped := b.events("g1", deviceops.EventConnectivityDamped)
	require.NotEmpty(t, damped)
	require.EqualValues(t, 1, damped[len(damped)-2].Data["children_unreachable"])
	require.Equal(t, deviceops.Flapping, b.find("g1").Wellness.Status)
	require.Equal(t, deviceops.Well, b.find("c1").Wellness.Status, "it is not at fault")
}

// TestOnlyTheEngineSpeaksOfWellness refuses devices that do.
func TestOnlyTheEngineSpeaksOfWellness(t *testing.T) {
	t.Parallel()
	b, _ := wellBundle(t)
	for _, kind := range []string{deviceops.EventDegraded, deviceops.EventRecovered, deviceops.EventFlapping, deviceops.EventStable, deviceops.EventConnectivityDamped} {
		b.say("k1", "event", `{"type":"`+kind+`"}`)
	}
	require.Equal(t, map[string]int64{codeType: 5}, b.rejected())
}
