package ingest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

const astray = `automation: astray
trigger: { leaves: { circle: [53.5, 10, 250], margin: 50 } }
run: reboot@1
with: { device: "${{ event.device }}", battery: 1 }
`

// moves says where k1 is, as an attribute or a metric, in degrees north of 53.
func (b *testBundle) moves(leaf string, north float64) {
	b.t.Helper()
	b.clock.advance(time.Minute)
	key := map[string]string{"reported": "attributes", "telemetry": "metrics"}[leaf]
	b.say("k1", leaf, fmt.Sprintf(`{%q:{"latitude":%v,"longitude":10}}`, key, 53+north))
}

func TestDevicesMove(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	b.moves("reported", 0.5)
	b.moves("telemetry", 0.50001) // 1 m
	first := b.find("k1")
	require.Equal(t, &deviceops.Place{Latitude: 53.5, Longitude: 10}, first.Place)
	require.Equal(t, noon.Add(time.Minute), first.PlaceAt)
	b.moves("telemetry", 0.51)
	b.say("k1", "telemetry", `{"metrics":{"latitude":54,"longitude":10},"age_ms":3600000}`, // older
		"telemetry", `{"metrics":{"latitude":54}}`, "reported", `{"attributes":{"latitude":"here","longitude":10}}`,
		"reported", `{"attributes":{"latitude":95,"longitude":10}}`)
	moves := b.events("k1", deviceops.EventPlace)
	require.Len(t, moves, 2)
	require.Equal(t, map[string]any{"latitude": 53.5, "longitude": int64(10)}, canonical(moves[0].Data))
	require.EqualValues(t, 1112, moves[1].Data["moved_m"])
	require.Equal(t, 53.51, b.find("k1").Place.Latitude)
	timeline, err := b.store.DeviceTimeline(t.Context(), "k1", 100)
	require.NoError(t, err)
	for _, e := range timeline {
		require.NotEqual(t, deviceops.EventPlace, e.Subject, "a timeline of moves would hide everything else")
	}
	b.say("k1", "event", `{"type":"device.place_changed"}`)
	require.EqualValues(t, 1, b.rejected()[codeType])
}

// canonical makes whole numbers integers, as they come from the store or not.
func canonical(data map[string]any) map[string]any {
	for k, v := range data {
		if f, ok := v.(float64); ok && f == float64(int64(f)) {
			data[k] = int64(f)
		}
	}
	return data
}

// TestAFenceIsLeftOnce lets a device err at the border, leave, and come back.
func TestAFenceIsLeftOnce(t *testing.T) {
	t.Parallel()
	a := newAutomated(t, astray)
	a.device("k1", deviceops.Active)
	for range 5 { // 220 m and 280 m from the middle
		a.moves("telemetry", 0.50198)
		a.moves("telemetry", 0.50252)
	}
	require.Empty(t, a.runs())
	a.moves("telemetry", 0.51)
	for range 5 {
		a.moves("telemetry", 0.50252)
		a.moves("telemetry", 0.5030) // 334 m
	}
	require.Len(t, a.runs(), 1)
	a.moves("telemetry", 0.5)
	a.moves("telemetry", 0.6)
	require.Equal(t, []string{"started", "skipped"}, a.outcomes(), "it left twice, and the first run goes on")
}

const comesAndGoes = `automation: comes-and-goes
trigger: { event: device.connectivity_changed }
run: reboot@1
concurrency: parallel
with: { device: "${{ event.device }}", battery: 1 }
---
automation: gone
trigger: { offline: 30m }
run: reboot@1
with: { device: "${{ event.device }}", battery: 2 }
---
automation: flaps
trigger: { event: device.flapping }
run: reboot@1
with: { device: "${{ event.device }}", battery: 3 }
`

// TestAutomationsDoNotHearEachFlap counts what a device that flaps for an hour, and
// then stays away, starts.
func TestAutomationsDoNotHearEachFlap(t *testing.T) {
	t.Parallel()
	a := newAutomated(t, comesAndGoes)
	a.publish("profile: kiosk\n")
	a.device("k1", deviceops.Active)
	a.say("k1", "hello", `{"boot":"b1","connection":"c1","profile":"kiosk"}`)
	s := NewSweeper(SweeperConfig{
		Store: a.heard, Gateway: a.gateway, Orchestrator: a.orch, Catalog: a.config.Catalog, Automations: &a.heard, Now: a.clock.Now, Log: quiet,
	})
	tick := func() {
		for _, step := range []func(context.Context, time.Time) (int, error){s.wellness, s.windows} {
			_, err := step(t.Context(), a.clock.Now())
			require.NoError(t, err)
		}
	}
	for range 90 {
		a.flap(1)
		tick()
	}
	started := func() map[float64]int {
		counts := map[float64]int{}
		for _, r := range a.runs() {
			n, _ := number(r.Inputs["battery"])
			counts[n]++
		}
		return counts
	}
	require.Equal(t, map[float64]int{1: 5, 3: 1}, started(), "180 changes, of which the first hello and two losses were heard")
	a.clock.advance(20 * time.Second)
	a.say("k1", "status", `{"status":"offline","connection":"c1"}`)
	for range 32 {
		a.clock.advance(time.Minute)
		tick()
	}
	require.Equal(t, map[float64]int{1: 6, 2: 1, 3: 1}, started(), "it is gone, 30 minutes after it was lost")
}

// TestMovesAreLocked looks that what a numbered message says of a place is stored,
// although other numbered messages lock nothing.
func TestMovesAreLocked(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	b.say("k1", "hello", fullHello)
	for n, north := range []float64{0.5, 0.6, 0.7} {
		b.clock.advance(time.Second)
		b.say("k1", "telemetry", fmt.Sprintf(`{"boot":"b1","seq":%d,"metrics":{"latitude":%v,"longitude":10}}`, n+1, 53+north))
	}
	require.Equal(t, 53.7, b.find("k1").Place.Latitude)
	require.Len(t, b.events("k1", deviceops.EventPlace), 3)
}
