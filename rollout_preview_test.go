package deviceops_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// previewed previews a rollout over n kiosks, a tenth of which is offline.
func previewed(t testing.TB, spec *deviceops.RolloutSpec, facts deviceops.PreviewFacts, n int, change func(i int, d *deviceops.Device) (heldBy string)) deviceops.RolloutPreview {
	t.Helper()
	facts.Account, facts.Hash, facts.Now = "acme", "abc", midday
	p := deviceops.NewPreviewer(spec, facts)
	for i, d := range (deviceops.SimFleet{Devices: n, Sites: max(1, n/10), Canaries: 7}).Build() {
		d.Session.Connectivity = deviceops.Online
		heldBy := ""
		if change != nil {
			heldBy = change(i, &d)
		}
		require.NoError(t, p.Add(&d, heldBy))
	}
	return p.Preview()
}

func TestPreview(t *testing.T) {
	t.Parallel()
	spec := threeRings()
	spec.OnFail = ""
	spec.Approve = &deviceops.ApproveSpec{By: []string{"role:approver"}}
	release := &deviceops.Release{Project: "kiosk-os", Version: "2.4.0", Components: []deviceops.Component{{Name: "os", Version: "2.4.0"}},
		Requires: map[string]deviceops.Constraint{"bootloader": ">=2"}}
	got := previewed(t, spec, deviceops.PreviewFacts{Release: release, Freeze: &deviceops.Freeze{Account: "acme", By: "user:maria", Reason: "black friday"}}, 1000,
		func(i int, d *deviceops.Device) string {
			d.Twin.Reported.Software = map[string]string{"os": "2.3.0", "bootloader": "2.1"}
			switch {
			case i >= 990:
				d.State = deviceops.Quarantined
			case i >= 985:
				d.Twin.Reported.Software["bootloader"] = "1.9"
			case i >= 980:
				d.State = deviceops.Maintenance
			case i >= 950:
				d.Twin.Reported.Software["os"] = "2.4.0"
			case i >= 900:
				d.Session.Connectivity = deviceops.Offline
			case i >= 890:
				return "ro-2"
			}
			return ""
		})
	require.Equal(t, "kiosk-2.4.0", got.Name)
	require.Equal(t, deviceops.ChangeRelease, got.Kind)
	require.Equal(t, 1000, got.Targeted)
	require.Equal(t, []deviceops.Excuse{
		{Reason: "its state is quarantined", Devices: 10, Example: "sim-00991"},
		{Reason: "its state is maintenance", Devices: 5, Example: "sim-00981"},
		{Reason: "kiosk-os@2.4.0 requires bootloader >=2; it runs 1.9", Devices: 5, Example: "sim-00986"},
	}, got.Excused)
	require.Equal(t, []string{
		"ring canary takes 7, not 10: no more match",
		"account acme is frozen by user:maria: black friday: nothing leaves before deviceops thaw --account acme",
		"the plan has to be approved first, by role:approver",
		"30 devices run the release already, such as sim-00951, and succeed without a message",
		"10 devices are held by other rollouts, such as sim-00891 by ro-2: they wait until it lets them go",
		"50 devices are not online now: their ring stays open until they come back, for 7d0s at most (stragglers: excuse)",
	}, got.Notes)

	canary, early, everyone := got.Rings[0], got.Rings[1], got.Rings[2]
	require.Equal(t, []int{7, 98, 875}, []int{canary.Devices, early.Devices, everyone.Devices}, "percent is of those that take part")
	require.Equal(t, 7, canary.Online)
	require.Equal(t, 930, canary.Online+early.Online+everyone.Online)
	require.Len(t, canary.Examples, 3)
	require.Equal(t, []string{"role:operator"}, early.Asks)
	require.Equal(t, "pct(ring.healthy, ring.reached) >= 98", everyone.Pass)
	require.Equal(t, "pct(ring.failed + ring.unhealthy, ring.reached) > 2", everyone.Fail)
	require.Equal(t, deviceops.FailPause, everyone.OnFail)

	require.Equal(t, midday, got.Begins)
	require.Equal(t, canary.Ends, early.Begins)
	require.Equal(t, everyone.Ends, got.Ends)
	require.Equal(t, 30*time.Minute, canary.Soak)
	require.InDelta(t, 32*time.Minute, canary.Ends.Sub(midday), float64(30*time.Second), "seven devices, two minutes each, and the soak")
}

// TestPreviewTellsTheTime holds the expected times of one ring.
func TestPreviewTellsTheTime(t *testing.T) {
	t.Parallel()
	night := maintenance(t, "01:00", "05:00", "UTC")
	local := maintenance(t, "01:00", "05:00", deviceops.ZoneDevice)
	for name, c := range map[string]struct {
		devices int
		spec    func(*deviceops.RolloutSpec)
		zones   []string
		want    time.Duration // from midday to the end; 0: nobody can tell
	}{
		"all at once":                 {100, func(s *deviceops.RolloutSpec) {}, nil, 2 * time.Minute},
		"nobody":                      {0, func(s *deviceops.RolloutSpec) {}, nil, 0},
		"as many as may be in flight": {1000, func(s *deviceops.RolloutSpec) { s.Limits.InFlight = 1000 }, nil, 2 * time.Minute},
		"one after the other":         {100, func(s *deviceops.RolloutSpec) { s.Limits.InFlight = 1 }, nil, 200 * time.Minute},
		"in four waves":               {1000, func(s *deviceops.RolloutSpec) { s.Limits.InFlight = 250 }, nil, 8 * time.Minute},
		"by the rate":                 {600, func(s *deviceops.RolloutSpec) { s.Limits.Rate.Start = 60 }, nil, 12 * time.Minute},
		"by a rate that grows": {600, func(s *deviceops.RolloutSpec) {
			s.Limits.Rate = deviceops.RateSpec{Start: 60, Factor: 2, Every: 5 * time.Minute}
		}, nil, 9*time.Minute + 30*time.Second},
		"one per site of ten": {1000, func(s *deviceops.RolloutSpec) {
			s.Budget = &deviceops.BudgetSpec{Per: "labels.site", MaxUnavailable: 1}
		}, nil, 20 * time.Minute},
		"its soak":                       {100, func(s *deviceops.RolloutSpec) { s.Rings[0].Soak = time.Hour }, nil, 62 * time.Minute},
		"urgent, without its soak":       {100, func(s *deviceops.RolloutSpec) { s.Rings[0].Soak, s.Urgent, s.Window = time.Hour, "a hole", &night }, nil, 2 * time.Minute},
		"its start":                      {100, func(s *deviceops.RolloutSpec) { s.Start = midday.Add(time.Hour) }, nil, 62 * time.Minute},
		"at night":                       {100, func(s *deviceops.RolloutSpec) { s.Window = &night }, nil, 13*time.Hour + 2*time.Minute},
		"in two nights":                  {1000, func(s *deviceops.RolloutSpec) { s.Window, s.Limits.Rate.Start = &night, 3 }, nil, 39*time.Hour + 5*time.Minute + 20*time.Second},
		"at night, where each device is": {100, func(s *deviceops.RolloutSpec) { s.Window = &local }, []string{berlin, newYork}, 18*time.Hour + 2*time.Minute},
		"after a blackout": {100, func(s *deviceops.RolloutSpec) {
			s.Blackouts = []deviceops.Blackout{{From: midday, To: midday.Add(time.Hour)}}
		}, nil, 62 * time.Minute},
		"its window is never that long": {100, func(s *deviceops.RolloutSpec) { s.Window, s.Phases.Download.Timeout = &night, 12*time.Hour }, nil, 0},
		"in a year":                     {100_000, func(s *deviceops.RolloutSpec) { s.Limits.Rate.Start = 0.1 }, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := installs(20*time.Minute, 10*time.Minute)
			spec.Name, spec.Rings = "r", []deviceops.RingSpec{{Name: "all"}}
			c.spec(&spec)
			got := previewed(t, &spec, deviceops.PreviewFacts{}, c.devices, func(i int, d *deviceops.Device) string {
				if len(c.zones) > 0 {
					d.Zone = c.zones[i%len(c.zones)]
				}
				return ""
			})
			if c.want == 0 && c.devices > 0 {
				require.True(t, got.Ends.IsZero(), got.Ends)
				require.Contains(t, fmt.Sprint(got.Notes), "nobody can tell when it ends")
				return
			}
			require.InDelta(t, c.want, got.Ends.Sub(midday), float64(30*time.Second), got.Ends)
			require.Equal(t, got, previewed(t, &spec, deviceops.PreviewFacts{}, c.devices, func(i int, d *deviceops.Device) string {
				if len(c.zones) > 0 {
					d.Zone = c.zones[i%len(c.zones)]
				}
				return ""
			}), "the same again")
		})
	}
}

// TestPreviewAgreesWithTheSimulation compares the expected end with that of the
// simulation.
func TestPreviewAgreesWithTheSimulation(t *testing.T) {
	t.Parallel()
	spec := threeRings()
	report := simulated(t, spec, deviceops.SimOptions{Seed: 1, AnswerMedian: 2 * time.Minute, AnswerP99: 3 * time.Minute})
	p := deviceops.NewPreviewer(spec, deviceops.PreviewFacts{Account: "acme", Now: midday})
	for _, d := range (deviceops.SimFleet{Devices: 10_000, Sites: 1000, Canaries: 40}).Build() {
		require.NoError(t, p.Add(&d, ""))
	}
	require.InEpsilon(t, report.Took.Minutes(), p.Preview().Ends.Sub(midday).Minutes(), 0.1)
}

func TestPreviewWarns(t *testing.T) {
	t.Parallel()
	held := func(int, *deviceops.Device) string { return "ro-2" }
	for name, c := range map[string]struct {
		spec   func(*deviceops.RolloutSpec)
		change func(int, *deviceops.Device) string
		want   string
	}{
		"conflict: refuse":    {func(s *deviceops.RolloutSpec) { s.Conflict = deviceops.ConflictRefuse }, held, "10 devices are held by other rollouts, such as sim-00001 by ro-2: it would be refused"},
		"conflict: supersede": {func(s *deviceops.RolloutSpec) { s.Conflict = deviceops.ConflictSupersede }, held, "10 devices are held by other rollouts, such as sim-00001 by ro-2, which gives them up where it has not begun"},
		"deadline":            {func(s *deviceops.RolloutSpec) { s.Deadline = midday.Add(time.Minute) }, nil, "it is expected to end after its deadline, 2026-01-14T12:01:00Z: it would fail"},
		"offline, for ever": {func(*deviceops.RolloutSpec) {}, func(_ int, d *deviceops.Device) string {
			d.Session.Connectivity = deviceops.Offline
			return ""
		}, "10 devices are not online now: their ring stays open until they come back"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := installs(20*time.Minute, 10*time.Minute)
			spec.Name, spec.Rings = "r", []deviceops.RingSpec{{Name: "all"}}
			c.spec(&spec)
			require.Equal(t, []string{c.want}, previewed(t, &spec, deviceops.PreviewFacts{}, 10, c.change).Notes)
		})
	}

	spec := installs(time.Hour, time.Hour)
	spec.Rings = []deviceops.RingSpec{{Name: "all"}}
	quarantined := func(_ int, d *deviceops.Device) string {
		d.State = deviceops.Quarantined
		return ""
	}
	require.Contains(t, previewed(t, &spec, deviceops.PreviewFacts{}, 10, quarantined).Notes, "no device gets the change: all that meet the targets are left out")
	require.NotContains(t, strings.Join(previewed(t, &spec, deviceops.PreviewFacts{}, 0, nil).Notes, "\n"), "left out", "there is nobody to leave out")

	spec.Rings = []deviceops.RingSpec{{Name: "all", Where: &deviceops.Condition{Source: "device.x", Judge: func(*deviceops.Device) (deviceops.Verdict, error) {
		return deviceops.Unknown, deviceops.Errorf(deviceops.EINVALID, "no x")
	}}}}
	err := deviceops.NewPreviewer(&spec, deviceops.PreviewFacts{}).Add(&deviceops.Device{State: deviceops.Active}, "")
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
}
