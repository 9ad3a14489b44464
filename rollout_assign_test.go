package deviceops_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// tagged is the condition of a ring for devices that have a tag; whether those
// without any have it is not known.
func tagged(tag string) *deviceops.Condition {
	return &deviceops.Condition{Source: `"` + tag + `" in device.tags`, Judge: func(d *deviceops.Device) (deviceops.Verdict, error) {
		switch {
		case d.Tags == nil:
			return deviceops.Unknown, nil
		case slices.Contains(d.Tags, tag):
			return deviceops.Yes, nil
		default:
			return deviceops.No, nil
		}
	}}
}

// assigned gives rings to n devices, the first of which are canaries and the last
// of which have no tags.
func assigned(t testing.TB, rollout string, n, canaries, untagged int, rings ...deviceops.RingSpec) ([]deviceops.AssignDevice, deviceops.Assignment) {
	t.Helper()
	spec := &deviceops.RolloutSpec{Rings: rings}
	devices := make([]deviceops.AssignDevice, n)
	for i := range devices {
		d := deviceops.Device{ID: fmt.Sprintf("k%05d", i), Tags: []string{}}
		switch {
		case i < canaries:
			d.Tags = []string{"canary"}
		case i >= n-untagged:
			d.Tags = nil
		}
		var err error
		devices[i], err = deviceops.NewAssignDevice(rollout, spec, &d)
		require.NoError(t, err)
	}
	return devices, deviceops.AssignRings(spec, devices)
}

func TestRingsAreAssigned(t *testing.T) {
	t.Parallel()
	rest := deviceops.RingSpec{Name: "everyone"}
	canary := deviceops.RingSpec{Name: "canary", Take: 10, Where: tagged("canary")}
	for name, c := range map[string]struct {
		devices, canaries, untagged int
		rings                       []deviceops.RingSpec
		counts                      []int
		notes                       []string
	}{
		"one ring takes all":        {100, 0, 0, []deviceops.RingSpec{rest}, []int{100}, nil},
		"as many as were asked for": {100, 30, 0, []deviceops.RingSpec{canary, rest}, []int{10, 90}, nil},
		"take 10 where 7 match": {100, 7, 0, []deviceops.RingSpec{canary, rest}, []int{7, 93},
			[]string{"ring canary takes 7, not 10: no more match"}},
		"take 10 where none matches": {100, 0, 0, []deviceops.RingSpec{canary, rest}, []int{0, 100}, []string{"ring canary is empty"}},
		"take 10 where perhaps more match": {100, 7, 3, []deviceops.RingSpec{canary, rest}, []int{7, 93},
			[]string{`ring canary takes 7, not 10: no more match; of 3 devices it cannot be told, since a value is missing: "canary" in device.tags`}},
		"enough match for sure":           {100, 30, 3, []deviceops.RingSpec{canary, rest}, []int{10, 90}, nil},
		"percent of all, rounded up":      {95, 0, 0, []deviceops.RingSpec{{Name: "early", Percent: 10}, rest}, []int{10, 85}, nil},
		"percent of all, exactly":         {70, 0, 0, []deviceops.RingSpec{{Name: "early", Percent: 10}, rest}, []int{7, 63}, nil},
		"percent that floats cannot tell": {1000, 0, 0, []deviceops.RingSpec{{Name: "early", Percent: 0.3}, rest}, []int{3, 997}, nil},
		"percent is of all, not of the rest": {100, 0, 0, []deviceops.RingSpec{{Name: "one", Percent: 50}, {Name: "two", Percent: 50}, rest}, []int{50, 50, 0},
			[]string{"ring everyone is empty"}},
		"percent of those that match": {100, 30, 0, []deviceops.RingSpec{{Name: "early", Percent: 50, Where: tagged("canary")}, rest}, []int{30, 70},
			[]string{"ring early takes 30, not 50: no more match"}},
		"all of a kind first":  {100, 30, 0, []deviceops.RingSpec{{Name: "canary", Where: tagged("canary")}, rest}, []int{30, 70}, nil},
		"a full ring hands on": {100, 30, 0, []deviceops.RingSpec{canary, {Name: "more", Take: 15, Where: tagged("canary")}, rest}, []int{10, 15, 75}, nil},
		"nobody takes the rest": {100, 30, 5, []deviceops.RingSpec{canary, {Name: "canaries", Where: tagged("canary")}}, []int{10, 20},
			[]string{`ring canaries takes 20 devices; of 5 devices it cannot be told, since a value is missing: "canary" in device.tags`,
				"no ring takes 70 devices: add one without take and where for the rest"}},
		"nobody is targeted": {0, 0, 0, []deviceops.RingSpec{canary, rest}, []int{0, 0}, []string{"ring canary is empty", "ring everyone is empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			devices, a := assigned(t, "ro-1", c.devices, c.canaries, c.untagged, c.rings...)
			require.Equal(t, c.counts, a.Counts)
			require.Equal(t, c.notes, a.Notes)
			counted := make([]int, len(c.rings))
			for i, ring := range a.Rings {
				if ring == deviceops.NoRing {
					continue
				}
				counted[ring]++
				require.NotZero(t, devices[i].Rings&(1<<ring), "nobody is in a ring whose condition it does not meet")
			}
			require.Equal(t, a.Counts, counted)
		})
	}
}

// TestAssignmentDoesNotDependOnTheOrder gives the same devices in another order.
func TestAssignmentDoesNotDependOnTheOrder(t *testing.T) {
	t.Parallel()
	rings := []deviceops.RingSpec{{Name: "one", Take: 5}, {Name: "two", Percent: 30}, {Name: "rest"}}
	devices, a := assigned(t, "ro-1", 200, 0, 0, rings...)
	ring := map[string]int{}
	for i, d := range devices {
		ring[d.ID] = a.Rings[i]
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(devices), func(i, j int) { devices[i], devices[j] = devices[j], devices[i] })
	again := deviceops.AssignRings(&deviceops.RolloutSpec{Rings: rings}, devices)
	for i, d := range devices {
		require.Equal(t, ring[d.ID], again.Rings[i])
	}
}

// TestNotTheSameDevicesGoFirst counts how often each of 100 devices is among the
// first ten of 1,000 rollouts.
func TestNotTheSameDevicesGoFirst(t *testing.T) {
	t.Parallel()
	first := make([]int, 100)
	for r := range 1000 {
		_, a := assigned(t, fmt.Sprint("ro-", r), 100, 0, 0, deviceops.RingSpec{Name: "canary", Take: 10}, deviceops.RingSpec{Name: "rest"})
		for i, ring := range a.Rings {
			if ring == 0 {
				first[i]++
			}
		}
	}
	for i, n := range first {
		require.InDelta(t, 100, n, 45, "device %d", i) // 4.7 standard deviations
	}
}

func TestRingsWhoseConditionIsAtFault(t *testing.T) {
	t.Parallel()
	broken := &deviceops.Condition{Source: "device.x", Judge: func(*deviceops.Device) (deviceops.Verdict, error) {
		return deviceops.Unknown, deviceops.Errorf(deviceops.EINVALID, "no x")
	}}
	_, err := deviceops.NewAssignDevice("ro-1", &deviceops.RolloutSpec{Rings: []deviceops.RingSpec{{Name: "canary", Where: broken}}}, &deviceops.Device{ID: "k1"})
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
	require.EqualError(t, err, "where of ring canary (device.x): no x")
}

func BenchmarkAssign100k(b *testing.B) {
	rings := []deviceops.RingSpec{{Name: "canary", Take: 10}, {Name: "early", Percent: 10}, {Name: "rest"}}
	devices, _ := assigned(b, "ro-1", 100_000, 0, 0, rings...)
	b.ReportAllocs()
	for b.Loop() {
		deviceops.AssignRings(&deviceops.RolloutSpec{Rings: rings}, devices)
	}
}
