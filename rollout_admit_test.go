package deviceops_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// midday is a Wednesday.
var midday = time.Date(2026, 1, 14, 12, 0, 0, 0, time.UTC)

// willing is a candidate that nothing stands against, changed by what a case is
// about.
func willing(change func(*deviceops.Candidate)) *deviceops.Candidate {
	c := deviceops.Candidate{
		Row: deviceops.RolloutDevice{Device: "k1", Status: deviceops.DevicePending},
		Device: deviceops.Device{
			ID: "k1", State: deviceops.Active, Session: deviceops.Session{Connectivity: deviceops.Online},
			Metrics: map[string]any{"battery_pct": 55.0},
		},
		GroupSize: 1,
	}
	if change != nil {
		change(&c)
	}
	return &c
}

// batteryAbove30 is a condition with its filter, as the manifest compiles one.
func batteryAbove30() *deviceops.Condition {
	return &deviceops.Condition{
		Source: "device.metrics.battery_pct > 30",
		Judge: func(d *deviceops.Device) (deviceops.Verdict, error) {
			switch battery, known := d.Metrics["battery_pct"].(float64); {
			case !known:
				return deviceops.Unknown, nil
			case battery > 30:
				return deviceops.Yes, nil
			default:
				return deviceops.No, nil
			}
		},
		Filter: &deviceops.Filter{Op: deviceops.FilterGt, Field: "metrics.battery_pct", Value: 30.0},
	}
}

// installs is a rollout of a release whose download and installation take so
// long at most.
func installs(download, install time.Duration) deviceops.RolloutSpec {
	return deviceops.RolloutSpec{
		Change: deviceops.Change{Kind: deviceops.ChangeRelease, Release: "kiosk-os@2.4.0"},
		Phases: deviceops.PhaseSpec{Download: deviceops.PhaseLimit{Timeout: download}, Install: deviceops.PhaseLimit{Timeout: install}},
	}
}

func TestAdmission(t *testing.T) {
	t.Parallel()
	const hour, min = time.Hour, time.Minute
	frozen := &deviceops.Freeze{Account: "acme", By: "user:maria", Reason: "black friday", At: midday.Add(-hour)}
	dark := deviceops.AdmitFacts{Blackouts: []deviceops.Blackout{{From: midday.Add(-hour), To: midday.Add(hour), Reason: "inventory"}}}
	session := func(s deviceops.Session) func(*deviceops.Candidate) {
		return func(c *deviceops.Candidate) { c.Device.Session = s }
	}
	for name, c := range map[string]struct {
		facts  deviceops.AdmitFacts
		spec   func(*deviceops.RolloutSpec)
		change func(*deviceops.Candidate)
		kind   deviceops.WaitKind // "": it goes
		text   string
		look   time.Duration // 0: when something wakes it
	}{
		"nothing stands against it": {},
		"freeze": {change: func(c *deviceops.Candidate) { c.Freeze = frozen }, kind: deviceops.WaitFreeze, look: 5 * min,
			text: "account acme is frozen by user:maria since 2026-01-14T11:00:00Z: black friday"},
		"a blackout of a calendar": {facts: dark, kind: deviceops.WaitWindow, look: hour, text: "nothing begins before 2026-01-14T13:00:00Z: inventory"},
		"a blackout of its own": {kind: deviceops.WaitWindow, look: hour, text: "nothing begins before 2026-01-14T13:00:00Z",
			spec: func(s *deviceops.RolloutSpec) {
				s.Blackouts = []deviceops.Blackout{{From: midday, To: midday.Add(hour)}}
			}},
		"urgent does not lift a blackout": {facts: dark, kind: deviceops.WaitWindow, look: hour, text: "nothing begins before 2026-01-14T13:00:00Z: inventory",
			spec: func(s *deviceops.RolloutSpec) { s.Urgent = "a hole" }},

		"offline": {change: session(deviceops.Session{Connectivity: deviceops.Offline, Since: midday.Add(-hour)}),
			kind: deviceops.WaitOffline, text: "it is offline since 2026-01-14T11:00:00Z"},
		"never seen": {change: session(deviceops.Session{Connectivity: deviceops.Never}), kind: deviceops.WaitOffline, text: "it has never been seen"},
		"unreachable": {kind: deviceops.WaitOffline, text: "its gateway gw1 is lost since 2026-01-14T11:00:00Z",
			change: func(c *deviceops.Candidate) {
				c.Device.Parent = "gw1"
				c.Device.Session = deviceops.Session{Connectivity: deviceops.Unreachable, Since: midday.Add(-hour)}
			}},
		"asleep": {change: session(deviceops.Session{Connectivity: deviceops.Sleeping, WakeAt: midday.Add(hour)}),
			kind: deviceops.WaitSleep, text: "it sleeps until 2026-01-14T13:00:00Z"},
		"conflict": {change: func(c *deviceops.Candidate) { c.ConflictBy = "ro-2" }, kind: deviceops.WaitConflict, look: 5 * min, text: "rollout ro-2 holds it"},
		"lock": {change: func(c *deviceops.Candidate) { c.LockedBy = "wf-1:reboot:0" }, kind: deviceops.WaitLock, look: min,
			text: "command wf-1:reboot:0 is under way, and the change may not overlap with it"},
		"its gateway is at it": {kind: deviceops.WaitFamily, look: min, text: "its gateway gw1 is at a change",
			change: func(c *deviceops.Candidate) { c.Device.Parent, c.FamilyBy = "gw1", "gw1" }},
		"a device behind it is at it": {kind: deviceops.WaitFamily, look: min, text: "meter-7 behind it is at a change",
			change: func(c *deviceops.Candidate) { c.FamilyBy = "meter-7" }},

		"not ready": {kind: deviceops.WaitReady, look: 30 * time.Second, text: "battery_pct is 18: ready wants device.metrics.battery_pct > 30",
			spec:   func(s *deviceops.RolloutSpec) { s.Ready = batteryAbove30() },
			change: func(c *deviceops.Candidate) { c.Device.Metrics["battery_pct"] = 18.0 }},
		"whether it is ready is not known": {kind: deviceops.WaitReady, look: 30 * time.Second, text: "battery_pct is not known: ready wants device.metrics.battery_pct > 30",
			spec:   func(s *deviceops.RolloutSpec) { s.Ready = batteryAbove30() },
			change: func(c *deviceops.Candidate) { c.Device.Metrics = nil }},
		"ready": {spec: func(s *deviceops.RolloutSpec) { s.Ready = batteryAbove30() }},
		"ready is at fault": {kind: deviceops.WaitReady, look: 30 * time.Second, text: "whether it is ready cannot be judged: internal error",
			spec: func(s *deviceops.RolloutSpec) {
				s.Ready = &deviceops.Condition{Judge: func(*deviceops.Device) (deviceops.Verdict, error) { return deviceops.Yes, errors.New("x") }}
			}},
		"budget of a site": {kind: deviceops.WaitBudget, look: 5 * time.Second, text: "site berlin-3 has 1 of 1 unavailable",
			spec: func(s *deviceops.RolloutSpec) {
				s.Budget = &deviceops.BudgetSpec{Per: "labels.site", MaxUnavailable: 1}
			},
			change: func(c *deviceops.Candidate) { c.Group, c.GroupSize, c.GroupUnavailable = "berlin-3", 4, 1 }},
		"budget in percent, rounded down": {kind: deviceops.WaitBudget, look: 5 * time.Second, text: "site berlin-3 has 2 of 2 unavailable",
			spec:   func(s *deviceops.RolloutSpec) { s.Budget = &deviceops.BudgetSpec{Per: "labels.site", MaxPercent: 10} },
			change: func(c *deviceops.Candidate) { c.Group, c.GroupSize, c.GroupUnavailable = "berlin-3", 29, 2 }},
		"budget in percent, exactly": {
			spec:   func(s *deviceops.RolloutSpec) { s.Budget = &deviceops.BudgetSpec{Per: "labels.site", MaxPercent: 10} },
			change: func(c *deviceops.Candidate) { c.Group, c.GroupSize, c.GroupUnavailable = "berlin-3", 30, 2 }},
		"budget in percent: one may always": {
			spec:   func(s *deviceops.RolloutSpec) { s.Budget = &deviceops.BudgetSpec{Per: "labels.site", MaxPercent: 10} },
			change: func(c *deviceops.Candidate) { c.Group, c.GroupSize = "berlin-3", 2 }},
		"budget of the whole": {kind: deviceops.WaitBudget, look: 5 * time.Second, text: "the rollout has 7 of 5 unavailable",
			spec:   func(s *deviceops.RolloutSpec) { s.Budget = &deviceops.BudgetSpec{MaxUnavailable: 5} },
			change: func(c *deviceops.Candidate) { c.GroupSize, c.GroupUnavailable = 100, 7 }},
		"budget of those without the label": {kind: deviceops.WaitBudget, look: 5 * time.Second, text: "what has no site has 1 of 1 unavailable",
			spec: func(s *deviceops.RolloutSpec) {
				s.Budget = &deviceops.BudgetSpec{Per: "labels.site", MaxUnavailable: 1}
			},
			change: func(c *deviceops.Candidate) { c.GroupUnavailable = 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := installs(hour, 20*min)
			if c.spec != nil {
				c.spec(&spec)
			}
			wait := deviceops.NewAdmitter(&spec, c.facts, midday).Admit(willing(c.change))
			if c.kind == "" {
				require.Nil(t, wait)
				return
			}
			want := &deviceops.RolloutWait{Kind: c.kind, Text: c.text, Since: midday}
			if c.look > 0 {
				want.Until = midday.Add(c.look)
			}
			require.Equal(t, want, wait)
		})
	}
}

// TestAdmissionInWindows is about Wednesday midday and a window at night.
func TestAdmissionInWindows(t *testing.T) {
	t.Parallel()
	night := maintenance(t, "01:00", "05:00", "UTC")
	for name, c := range map[string]struct {
		download, install time.Duration
		change            func(*deviceops.RolloutSpec)
		at                string
		text              string // "": it goes
		until             string
	}{
		"open": {3 * time.Hour, time.Hour, nil, "2026-01-15 01:00", "", ""},
		"closed": {time.Hour, time.Hour, nil, "2026-01-14 12:00",
			"its window 01:00-05:00 UTC opens at 2026-01-15T01:00:00Z", "2026-01-15 01:00"},
		"no room for both phases": {3 * time.Hour, time.Hour, nil, "2026-01-15 01:01",
			"its window 01:00-05:00 UTC has no room for 4h0m0s any more; it opens again at 2026-01-16T01:00:00Z", "2026-01-16 01:00"},
		"never room": {12 * time.Hour, time.Hour, nil, "2026-01-15 01:01",
			"its window 01:00-05:00 UTC is never open for the 13h0m0s that the change may take", "2026-01-16 01:01"},
		"a blackout covers the next night": {time.Hour, time.Hour, func(s *deviceops.RolloutSpec) {
			s.Blackouts = []deviceops.Blackout{{From: midday.Add(time.Hour), To: midday.Add(20 * time.Hour)}}
		}, "2026-01-14 12:00", "its window 01:00-05:00 UTC opens at 2026-01-16T01:00:00Z", "2026-01-16 01:00"},
		"of a command the whole is bounded": {12 * time.Hour, time.Hour, func(s *deviceops.RolloutSpec) { s.Change.Kind = deviceops.ChangeCommand }, "2026-01-15 04:00", "", ""},

		"urgent skips it": {12 * time.Hour, time.Hour, func(s *deviceops.RolloutSpec) { s.Urgent = "a hole" }, "2026-01-14 12:00", "", ""},
		"so does a rollback": {12 * time.Hour, time.Hour, func(s *deviceops.RolloutSpec) {
			s.Change.Revert, s.Rollback.IgnoreWindow = true, true
			s.Blackouts = []deviceops.Blackout{{From: midday.Add(-time.Hour), To: midday.Add(time.Hour)}}
		}, "2026-01-14 12:00", "", ""},
		"unless its manifest says otherwise": {time.Hour, time.Hour, func(s *deviceops.RolloutSpec) { s.Change.Revert = true }, "2026-01-14 12:00",
			"its window 01:00-05:00 UTC opens at 2026-01-15T01:00:00Z", "2026-01-15 01:00"},
		"a rollout does not become one by the words on rollback": {time.Hour, time.Hour, func(s *deviceops.RolloutSpec) { s.Rollback.IgnoreWindow = true }, "2026-01-14 12:00",
			"its window 01:00-05:00 UTC opens at 2026-01-15T01:00:00Z", "2026-01-15 01:00"},
		"all phases go at any time": {time.Hour, time.Hour, func(s *deviceops.RolloutSpec) {
			s.Phases.Download.AnyWindow, s.Phases.Install.AnyWindow = true, true
		}, "2026-01-14 12:00", "", ""},

		"downloads ahead, too early": {12 * time.Hour, 20 * time.Minute, func(s *deviceops.RolloutSpec) { s.Phases.Download.AnyWindow = true }, "2026-01-14 12:00",
			"its window 01:00-05:00 UTC opens at 2026-01-15T01:00:00Z; it begins to download at 2026-01-14T13:20:00Z", "2026-01-14 13:20"},
		"downloads ahead":                      {12 * time.Hour, 20 * time.Minute, func(s *deviceops.RolloutSpec) { s.Phases.Download.AnyWindow = true }, "2026-01-14 13:20", "", ""},
		"downloads while it is open":           {12 * time.Hour, 20 * time.Minute, func(s *deviceops.RolloutSpec) { s.Phases.Download.AnyWindow = true }, "2026-01-15 04:40", "", ""},
		"downloads for the night that follows": {24 * time.Hour, 20 * time.Minute, func(s *deviceops.RolloutSpec) { s.Phases.Download.AnyWindow = true }, "2026-01-15 04:41", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := installs(c.download, c.install)
			spec.Window = &night
			if c.change != nil {
				c.change(&spec)
			}
			wait := deviceops.NewAdmitter(&spec, deviceops.AdmitFacts{}, instant(t, c.at)).Admit(willing(nil))
			if c.text == "" {
				require.Nil(t, wait)
				return
			}
			require.NotNil(t, wait)
			require.Equal(t, deviceops.WaitWindow, wait.Kind)
			require.Equal(t, c.text, wait.Text)
			require.True(t, instant(t, c.until).Equal(wait.Until), wait.Until)
		})
	}
}

// TestInstallTimes is what a device is told that downloads ahead.
func TestInstallTimes(t *testing.T) {
	t.Parallel()
	night := maintenance(t, "01:00", "05:00", "UTC")
	ahead := func(s *deviceops.RolloutSpec) { s.Phases.Download.AnyWindow = true }
	for name, c := range map[string]struct {
		change            func(*deviceops.RolloutSpec)
		at, after, before string
	}{
		"bound to the window whole": {func(*deviceops.RolloutSpec) {}, "2026-01-15 02:00", "", ""},
		"before it opens":           {ahead, "2026-01-14 20:00", "2026-01-15 01:00", "2026-01-15 04:40"},
		"while it is open":          {ahead, "2026-01-15 02:00", "2026-01-15 02:00", "2026-01-15 04:40"},
		"when there is no room":     {ahead, "2026-01-15 04:41", "2026-01-16 01:00", "2026-01-16 04:40"},
		"a blackout begins": {func(s *deviceops.RolloutSpec) {
			ahead(s)
			s.Blackouts = []deviceops.Blackout{{From: instant(t, "2026-01-15 03:00"), To: instant(t, "2026-01-15 12:00")}}
		}, "2026-01-14 20:00", "2026-01-15 01:00", "2026-01-15 03:00"},
		"urgent": {func(s *deviceops.RolloutSpec) { ahead(s); s.Urgent = "a hole" }, "2026-01-14 20:00", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := installs(12*time.Hour, 20*time.Minute)
			spec.Window = &night
			c.change(&spec)
			a := deviceops.NewAdmitter(&spec, deviceops.AdmitFacts{}, instant(t, c.at))
			after, before := a.InstallTimes(willing(nil))
			require.True(t, instant(t, c.after).Equal(after), after)
			require.True(t, instant(t, c.before).Equal(before), before)

			args := map[string]any{"release": "r"}
			want := map[string]any{"release": "r"}
			if c.after != "" {
				want["install_after"], want["install_before"] = after.Format(time.RFC3339), before.Format(time.RFC3339)
			}
			require.Equal(t, want, a.Timed(willing(nil), args))
			require.Len(t, args, 1)
		})
	}
}

// TestReasonsHaveAnOrder takes the reasons against a device away one by one.
func TestReasonsHaveAnOrder(t *testing.T) {
	t.Parallel()
	night := maintenance(t, "01:00", "05:00", "UTC")
	spec := installs(time.Hour, time.Hour)
	spec.Ready, spec.Window = batteryAbove30(), &night
	spec.Budget = &deviceops.BudgetSpec{Per: "labels.site", MaxUnavailable: 1}
	facts := deviceops.AdmitFacts{Blackouts: []deviceops.Blackout{{From: midday, To: midday.Add(time.Hour)}}}
	c := willing(func(c *deviceops.Candidate) {
		c.Freeze = &deviceops.Freeze{Account: "acme"}
		c.Device.Session.Connectivity = deviceops.Offline
		c.ConflictBy, c.LockedBy, c.FamilyBy = "ro-2", "c1", "gw1"
		c.Device.Metrics["battery_pct"] = 3.0
		c.GroupUnavailable = 1
	})
	for _, turn := range []struct {
		kind deviceops.WaitKind
		lift func()
	}{
		{deviceops.WaitFreeze, func() { c.Freeze = nil }},
		{deviceops.WaitWindow, func() { facts.Blackouts = nil }},
		{deviceops.WaitOffline, func() { c.Device.Session.Connectivity = deviceops.Online }},
		{deviceops.WaitConflict, func() { c.ConflictBy = "" }},
		{deviceops.WaitLock, func() { c.LockedBy = "" }},
		{deviceops.WaitFamily, func() { c.FamilyBy = "" }},
		{deviceops.WaitWindow, func() { spec.Window = nil }},
		{deviceops.WaitReady, func() { c.Device.Metrics["battery_pct"] = 31.0 }},
		{deviceops.WaitBudget, func() { c.GroupUnavailable = 0 }},
	} {
		wait := deviceops.NewAdmitter(&spec, facts, midday).Admit(c)
		require.NotNil(t, wait, turn.kind)
		require.Equal(t, turn.kind, wait.Kind)
		turn.lift()
	}
	require.Nil(t, deviceops.NewAdmitter(&spec, facts, midday).Admit(c))
}

func TestWaitsRememberSinceWhen(t *testing.T) {
	t.Parallel()
	spec := installs(time.Hour, time.Hour)
	held := func(was *deviceops.RolloutWait) time.Time {
		return deviceops.NewAdmitter(&spec, deviceops.AdmitFacts{}, midday).Admit(willing(func(c *deviceops.Candidate) {
			c.LockedBy, c.Row.Wait = "c2", was
		})).Since
	}
	before := midday.Add(-time.Hour)
	require.Equal(t, midday, held(nil))
	require.Equal(t, before, held(&deviceops.RolloutWait{Kind: deviceops.WaitLock, Text: "by another command", Since: before}), "the same kind goes on")
	require.Equal(t, midday, held(&deviceops.RolloutWait{Kind: deviceops.WaitOffline, Since: before}), "another one begins")
}

// TestBudgetsHoldWithinAChunk lets many of a group come at once.
func TestBudgetsHoldWithinAChunk(t *testing.T) {
	t.Parallel()
	spec := installs(time.Hour, time.Hour)
	spec.Budget = &deviceops.BudgetSpec{Per: "labels.site", MaxUnavailable: 3}
	a := deviceops.NewAdmitter(&spec, deviceops.AdmitFacts{}, midday)
	let := map[string]int{}
	for i := range 1000 {
		c := willing(func(c *deviceops.Candidate) {
			c.Row.Device, c.Group, c.GroupSize = fmt.Sprint("k", i), fmt.Sprint("site-", i%7), 143
			if i%7 == 0 {
				c.GroupUnavailable = 2
			}
			if i%2 == 0 { // those that do not go use nothing up
				c.Device.Session.Connectivity = deviceops.Offline
			}
		})
		if a.Admit(c) == nil {
			let[c.Group]++
		}
	}
	require.Equal(t, map[string]int{"site-0": 1, "site-1": 3, "site-2": 3, "site-3": 3, "site-4": 3, "site-5": 3, "site-6": 3}, let)
}

func TestFamiliesDoNotMeetWithinAChunk(t *testing.T) {
	t.Parallel()
	spec := installs(time.Hour, time.Hour)
	device := func(id, parent string) *deviceops.Candidate {
		return willing(func(c *deviceops.Candidate) { c.Row.Device, c.Device.ID, c.Device.Parent = id, id, parent })
	}
	gateway, one, two := device("gw1", ""), device("meter-1", "gw1"), device("meter-2", "gw1")
	other := device("meter-3", "gw2")

	a := deviceops.NewAdmitter(&spec, deviceops.AdmitFacts{}, midday)
	require.Nil(t, a.Admit(gateway))
	require.Equal(t, "its gateway gw1 is at a change", a.Admit(one).Text)
	require.Nil(t, a.Admit(other))

	a = deviceops.NewAdmitter(&spec, deviceops.AdmitFacts{}, midday)
	require.Nil(t, a.Admit(one))
	require.Nil(t, a.Admit(two), "those behind one gateway do not disturb each other")
	require.Equal(t, "meter-2 behind it is at a change", a.Admit(gateway).Text)
}

func TestExcuses(t *testing.T) {
	t.Parallel()
	targets := func(source string, v deviceops.Verdict) deviceops.Condition {
		return deviceops.Condition{Source: source, Judge: func(*deviceops.Device) (deviceops.Verdict, error) { return v, nil }}
	}
	kiosks := targets(`device.profile == "kiosk"`, deviceops.Yes)
	for name, c := range map[string]struct {
		targets deviceops.Condition
		change  func(*deviceops.Candidate)
		code    string
		text    string
	}{
		"active":                       {targets: kiosks},
		"quarantined":                  {kiosks, func(c *deviceops.Candidate) { c.Device.State, c.Device.StateReason = deviceops.Quarantined, "it lied" }, "state", "its state is quarantined: it lied"},
		"retired":                      {kiosks, func(c *deviceops.Candidate) { c.Device.State = deviceops.Retired }, "state", "its state is retired"},
		"in maintenance":               {kiosks, func(c *deviceops.Candidate) { c.Device.State = deviceops.Maintenance }, "state", "its state is maintenance"},
		"in maintenance, by name":      {targets(`device.state in ["active", "maintenance"]`, deviceops.Yes), func(c *deviceops.Candidate) { c.Device.State = deviceops.Maintenance }, "", ""},
		"quarantined, by name":         {targets(`device.state != "maintenance"`, deviceops.Yes), func(c *deviceops.Candidate) { c.Device.State = deviceops.Quarantined }, "state", "its state is quarantined"},
		"it left the targets":          {targets(`"old" in device.tags`, deviceops.No), nil, "left_targets", `it left the targets before its turn: "old" in device.tags`},
		"it left after it was reached": {targets(`"old" in device.tags`, deviceops.No), func(c *deviceops.Candidate) { c.Row.Attempt = 1 }, "", ""},
		"whether it left is unknown":   {targets("device.metrics.x > 1", deviceops.Unknown), nil, "", ""},
		"the store says that it left":  {kiosks, func(c *deviceops.Candidate) { c.Meets = deviceops.No }, "left_targets", "it left the targets"},
		"the store says that it stays": {targets("device.zone == 7", deviceops.No), func(c *deviceops.Candidate) { c.Meets = deviceops.Yes }, "", ""},
		"no targets, as in rollbacks":  {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := installs(time.Hour, time.Hour)
			spec.Targets = c.targets
			excuse := deviceops.NewAdmitter(&spec, deviceops.AdmitFacts{}, midday).Excuse(willing(c.change))
			if c.code == "" {
				require.Nil(t, excuse)
				return
			}
			require.Equal(t, c.code, excuse.Code)
			require.Contains(t, excuse.Message, c.text)
		})
	}
}

func BenchmarkAdmit(b *testing.B) {
	night := maintenance(b, "01:00", "05:00", deviceops.ZoneDevice)
	spec := installs(time.Hour, time.Hour)
	spec.Window, spec.Ready, spec.Budget = &night, batteryAbove30(), &deviceops.BudgetSpec{Per: "labels.site", MaxUnavailable: 1}
	c := willing(func(c *deviceops.Candidate) { c.Device.Zone = berlin })
	a := deviceops.NewAdmitter(&spec, deviceops.AdmitFacts{}, midday)
	for b.Loop() {
		a.Admit(c)
	}
}
