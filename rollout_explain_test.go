package deviceops_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// halfWay is a rollout at midday whose canary passed and whose second ring runs,
// as a device of that ring sees it.
func halfWay() deviceops.ExplainRolloutFacts {
	spec := installs(time.Hour, time.Hour)
	spec.Targets = deviceops.Condition{Source: `device.profile == "kiosk"`, Judge: func(d *deviceops.Device) (deviceops.Verdict, error) {
		switch d.Profile {
		case "kiosk":
			return deviceops.Yes, nil
		case "":
			return deviceops.Unknown, nil
		default:
			return deviceops.No, nil
		}
	}}
	spec.Rings = []deviceops.RingSpec{{Name: "canary", Take: 2, Soak: 2 * time.Hour}, {Name: "early", Percent: 10}, {Name: "everyone"}}
	spec.AnswerWithin, spec.Deferrals.Max = 10*time.Minute, 5
	ago := func(d time.Duration) time.Time { return midday.Add(-d) }
	return deviceops.ExplainRolloutFacts{
		Spec: &spec,
		Rollout: deviceops.Rollout{
			ID: "ro-1", Name: "r", Account: "acme", Status: deviceops.RolloutRunning, CreatedAt: ago(5 * time.Hour), StartedAt: ago(4 * time.Hour),
			Limits: deviceops.Limits{InFlight: 500},
			Rings: []deviceops.Ring{
				{Name: "canary", Status: deviceops.RingPassed, OpenedAt: ago(4 * time.Hour), Counts: deviceops.Counts{Targeted: 2, Succeeded: 2}},
				{Index: 1, Name: "early", Status: deviceops.RingRunning, OpenedAt: ago(time.Hour), Counts: deviceops.Counts{Targeted: 20, Pending: 10, Sent: 5, Succeeded: 5}},
				{Index: 2, Name: "everyone", Status: deviceops.RingPending, Counts: deviceops.Counts{Targeted: 200, Pending: 200}},
			},
		},
		Device: deviceops.Device{ID: "k1", Profile: "kiosk", State: deviceops.Active, Session: deviceops.Session{Connectivity: deviceops.Online}},
		Row:    &deviceops.RolloutDevice{Rollout: "ro-1", Device: "k1", Ring: 1, Status: deviceops.DevicePending},
	}
}

// TestExplainRolloutWaits has a case for every reason why a device waits.
func TestExplainRolloutWaits(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) time.Time { return midday.Add(-d) }
	in := func(d time.Duration) time.Time { return midday.Add(d) }
	found := func(kind deviceops.WaitKind, text string) func(*deviceops.ExplainRolloutFacts) {
		return func(f *deviceops.ExplainRolloutFacts) {
			f.Row.Wait = &deviceops.RolloutWait{Kind: kind, Text: text, Since: ago(time.Hour), Until: in(time.Minute)}
			f.Row.DueAt = in(time.Minute)
		}
	}
	asWas := func(kind deviceops.WaitKind, text, do string) []deviceops.Wait {
		return []deviceops.Wait{{For: string(kind), Text: text, Since: ago(time.Hour), Until: in(time.Minute), Do: do}}
	}
	for name, c := range map[string]struct {
		change func(*deviceops.ExplainRolloutFacts)
		want   []deviceops.Wait
	}{
		"nothing": {func(*deviceops.ExplainRolloutFacts) {}, []deviceops.Wait{{For: "send", Text: "it is about to be sent the change"}}},
		"start: devices are being assigned": {func(f *deviceops.ExplainRolloutFacts) {
			f.Rollout.Status, f.Rollout.StartedAt = deviceops.RolloutPlanning, time.Time{}
		}, []deviceops.Wait{{For: "start", Since: ago(5 * time.Hour), Text: "devices are being assigned to rings", Do: "if this lasts, see that a worker runs (deviceops doctor)"}}},
		"start": {func(f *deviceops.ExplainRolloutFacts) {
			f.Rollout.Status, f.Rollout.StartedAt, f.Spec.Start = deviceops.RolloutWaiting, time.Time{}, in(time.Hour)
			f.Rollout.Rings[0].Status, f.Row.Ring = deviceops.RingPending, 0
		}, []deviceops.Wait{{For: "start", Since: ago(5 * time.Hour), Until: in(time.Hour), Text: "the rollout begins at 2026-01-14T13:00:00Z"}}},
		"approval": {func(f *deviceops.ExplainRolloutFacts) {
			f.Approvals = []deviceops.Approval{{ID: "ro-1/ring-1", Question: "May ring early begin?", By: []string{"role:operator", "user:maria"}, OpenedAt: ago(time.Hour), ExpiresAt: in(time.Hour)}}
		}, []deviceops.Wait{{For: "approval", Since: ago(time.Hour), Until: in(time.Hour), Text: "a person has to decide: May ring early begin? (may decide: role:operator, user:maria)",
			Do: "deviceops approvals approve ro-1/ring-1, or reject"}}},
		"paused": {func(f *deviceops.ExplainRolloutFacts) {
			f.Rollout.Status, f.Rollout.StatusBy, f.Rollout.StatusReason, f.Rollout.StatusSince = deviceops.RolloutPaused, "user:maria", "printers fail", ago(time.Hour)
		}, []deviceops.Wait{{For: "paused", Since: ago(time.Hour), Text: "the rollout was paused by user:maria: printers fail", Do: "deviceops rollout resume r, or cancel, or rollback"}}},
		"paused: it is taken back": {func(f *deviceops.ExplainRolloutFacts) {
			f.Rollout.Status, f.Rollout.StatusReason, f.Rollout.StatusSince, f.Rollout.Rollback = deviceops.RolloutReverting, "ring canary failed", ago(time.Hour), "ro-9"
		}, []deviceops.Wait{{For: "paused", Since: ago(time.Hour), Text: "the rollout is being taken back: ring canary failed", Do: "deviceops rollout watch ro-9"}}},
		"freeze": {func(f *deviceops.ExplainRolloutFacts) {
			f.Freeze = &deviceops.Freeze{Account: "acme", By: "user:maria", Reason: "black friday", At: ago(time.Hour)}
		}, []deviceops.Wait{{For: "freeze", Since: ago(time.Hour), Text: "account acme was frozen by user:maria: black friday", Do: "deviceops thaw --account acme"}}},
		"ring": {func(f *deviceops.ExplainRolloutFacts) { f.Row.Ring = 2 }, []deviceops.Wait{{
			For: "ring", Since: ago(5 * time.Hour), Text: "the turn of its ring has not come: ring early is running, 5 of 20 devices are done", Do: "deviceops rollout show r"}}},
		"ring: the one before soaks": {func(f *deviceops.ExplainRolloutFacts) {
			f.Rollout.Rings[0].Status, f.Rollout.Rings[0].SoakAt, f.Rollout.Rings[0].Reason = deviceops.RingSoaking, ago(time.Hour), "it soaks"
			f.Rollout.Rings[1].Status = deviceops.RingPending
		}, []deviceops.Wait{{For: "ring", Since: ago(5 * time.Hour), Until: in(time.Hour),
			Text: "the turn of its ring has not come: ring canary is soaking, 2 of 2 devices are done: it soaks", Do: "deviceops rollout show r"}}},
		"in_flight": {func(f *deviceops.ExplainRolloutFacts) { f.Rollout.Limits.InFlight = 5 }, []deviceops.Wait{{
			For: "in_flight", Since: ago(time.Hour), Text: "5 devices are at it, and no more than 5 may be", Do: "deviceops rollout set r --in-flight N"}}},
		"rate": {func(f *deviceops.ExplainRolloutFacts) { f.Rollout.Limits.Rate = deviceops.RateSpec{Start: 1.5} }, []deviceops.Wait{{
			For: "rate", Since: ago(time.Hour), Text: "10 devices are pending in its ring, and 1.5 may begin per minute", Do: "deviceops rollout set r --rate N/m"}}},

		"offline": {found(deviceops.WaitOffline, "it is offline since x"), asWas("offline", "it is offline since x",
			"see that it has power and network; it is served as soon as it says hello: deviceops explain device k1")},
		"sleep":    {found(deviceops.WaitSleep, "it sleeps until x"), asWas("sleep", "it sleeps until x", "it is served when it wakes: deviceops explain device k1")},
		"window":   {found(deviceops.WaitWindow, "its window opens at x"), asWas("window", "its window opens at x", "urgent: in a new manifest skips windows")},
		"budget":   {found(deviceops.WaitBudget, "site a has 1 of 1 unavailable"), asWas("budget", "site a has 1 of 1 unavailable", "see which devices are unavailable: deviceops rollout devices r; or wait until they are back")},
		"ready":    {found(deviceops.WaitReady, "battery_pct is 18"), asWas("ready", "battery_pct is 18", "deviceops devices show k1")},
		"lock":     {found(deviceops.WaitLock, "command c is under way"), asWas("lock", "command c is under way", "deviceops explain device k1")},
		"conflict": {found(deviceops.WaitConflict, "rollout q holds it"), asWas("conflict", "rollout q holds it", "it is served when that rollout lets it go, see deviceops rollout list; or cancel that one")},
		"family":   {found(deviceops.WaitFamily, "its gateway gw1 is at a change"), asWas("family", "its gateway gw1 is at a change", "it is served when that is done; deviceops explain device k1")},
		"retry": {func(f *deviceops.ExplainRolloutFacts) {
			f.Row.Attempt, f.Row.DueAt, f.Row.EndedAt, f.Row.Error = 2, in(time.Hour), ago(time.Minute), &deviceops.CommandError{Code: "busy", Message: "in use"}
		}, []deviceops.Wait{{For: "retry", Since: ago(time.Minute), Until: in(time.Hour), Text: "attempt 2 failed: busy, in use; it is tried again at 2026-01-14T13:00:00Z"}}},
		"deferred": {func(f *deviceops.ExplainRolloutFacts) {
			f.Row.Status, f.Row.DueAt, f.Row.AnswerAt, f.Row.Deferrals = deviceops.DeviceDeferred, in(time.Hour), ago(time.Minute), 2
		}, []deviceops.Wait{{For: "deferred", Since: ago(time.Minute), Until: in(time.Hour), Text: "it asked to be asked again at 2026-01-14T13:00:00Z (2 of 5 times)",
			Do: "it says why on its timeline: deviceops devices timeline k1"}}},
		"deferred, with its reason": {func(f *deviceops.ExplainRolloutFacts) {
			f.Row.Status, f.Row.DueAt, f.Row.Deferrals = deviceops.DeviceDeferred, in(time.Hour), 1
			f.Row.Wait = &deviceops.RolloutWait{Kind: deviceops.WaitDeferred, Text: "it is in use", Since: ago(time.Minute), Until: in(time.Hour)}
		}, []deviceops.Wait{{For: "deferred", Since: ago(time.Minute), Until: in(time.Hour), Text: "it is in use (1 of 5 times)", Do: "it says why on its timeline: deviceops devices timeline k1"}}},

		"answer: silent": {func(f *deviceops.ExplainRolloutFacts) {
			f.Row.Status, f.Row.SentAt = deviceops.DeviceSent, ago(2*time.Minute)
		}, []deviceops.Wait{{For: "answer", Since: ago(2 * time.Minute), Until: in(8 * time.Minute), Text: "it was sent the change 2 min ago and is silent since",
			Do: "it is asked again, for the same attempt; deviceops explain device k1"}}},
		"answer: at it": {func(f *deviceops.ExplainRolloutFacts) {
			f.Row.Status, f.Row.SentAt, f.Row.Phase, f.Row.Percent = deviceops.DeviceAccepted, ago(2*time.Minute), "downloading", 40
		}, []deviceops.Wait{{For: "answer", Since: ago(2 * time.Minute), Text: "it is at it: downloading, 40 %", Do: "deviceops devices timeline k1"}}},

		"several: what holds for all comes first": {func(f *deviceops.ExplainRolloutFacts) {
			found(deviceops.WaitOffline, "it is offline")(f)
			f.Row.Ring = 2
			f.Freeze = &deviceops.Freeze{Account: "acme", By: "user:maria", At: ago(time.Hour)}
			f.Rollout.Status = deviceops.RolloutPaused
		}, []deviceops.Wait{
			{For: "paused", Text: "the rollout was paused by engine", Do: "deviceops rollout resume r, or cancel, or rollback"},
			{For: "freeze", Since: ago(time.Hour), Text: "account acme was frozen by user:maria", Do: "deviceops thaw --account acme"},
			{For: "ring", Since: ago(5 * time.Hour), Text: "the turn of its ring has not come: ring early is running, 5 of 20 devices are done", Do: "deviceops rollout show r"},
			{For: "offline", Since: ago(time.Hour), Until: in(time.Minute), Text: "it is offline", Do: "see that it has power and network; it is served as soon as it says hello: deviceops explain device k1"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := halfWay()
			c.change(&f)
			x := deviceops.ExplainRollout(f, midday)
			require.Equal(t, c.want, x.Waits)
			require.True(t, strings.HasPrefix(x.Summary, "k1 is "+string(f.Row.Status)+" in ring "+f.Rollout.Rings[f.Row.Ring].Name+" of rollout r: "), x.Summary)
			require.Contains(t, x.Summary, c.want[0].Text)
		})
	}
}

// TestExplainRolloutEnds tells what became of a device that waits for nothing.
func TestExplainRolloutEnds(t *testing.T) {
	t.Parallel()
	ended := midday.Add(-3 * time.Hour)
	row := func(status deviceops.RolloutDeviceStatus, code, message string) func(*deviceops.ExplainRolloutFacts) {
		return func(f *deviceops.ExplainRolloutFacts) {
			f.Row.Status, f.Row.EndedAt, f.Row.Attempt, f.Row.Health = status, ended, 3, deviceops.Yes
			if code != "" {
				f.Row.Error = &deviceops.CommandError{Code: code, Message: message}
			}
		}
	}
	also := func(changes ...func(*deviceops.ExplainRolloutFacts)) func(*deviceops.ExplainRolloutFacts) {
		return func(f *deviceops.ExplainRolloutFacts) {
			for _, change := range changes {
				change(f)
			}
		}
	}
	rollout := func(status deviceops.RolloutStatus) func(*deviceops.ExplainRolloutFacts) {
		return func(f *deviceops.ExplainRolloutFacts) { f.Rollout.Status = status }
	}
	judged := func(v deviceops.Verdict) func(*deviceops.ExplainRolloutFacts) {
		return func(f *deviceops.ExplainRolloutFacts) { f.Row.Health, f.Spec.Health = v, batteryAbove30() }
	}
	for name, c := range map[string]struct {
		change func(*deviceops.ExplainRolloutFacts)
		want   string
	}{
		"succeeded":               {row(deviceops.DeviceSucceeded, "", ""), "k1 succeeded in ring early of rollout r 3 h ago."},
		"succeeded, and well":     {also(row(deviceops.DeviceSucceeded, "", ""), judged(deviceops.Yes)), "k1 succeeded in ring early of rollout r 3 h ago."},
		"succeeded, and not well": {also(row(deviceops.DeviceSucceeded, "", ""), judged(deviceops.No)), "k1 succeeded in ring early of rollout r 3 h ago, and is unhealthy since."},
		"succeeded, not judged":   {also(row(deviceops.DeviceSucceeded, "", ""), judged(deviceops.Unknown)), "k1 succeeded in ring early of rollout r 3 h ago; whether it is well is not known yet."},
		"failed": {row(deviceops.DeviceFailed, "broken", "the disk is full"),
			"k1 failed in ring early of rollout r 3 h ago at attempt 3: broken, the disk is full; no re-try is left; to try it again: deviceops rollout retry r."},
		"failed in one that ended": {also(row(deviceops.DeviceFailed, "broken", ""), rollout(deviceops.RolloutFailed)),
			"k1 failed in ring early of rollout r 3 h ago at attempt 3: broken; no re-try is left."},
		"rejected": {row(deviceops.DeviceRejected, "wrong_version", "os is at 1"),
			"k1 rejected the change in ring early of rollout r 3 h ago: wrong_version, os is at 1; it is not asked again."},
		"timed out": {row(deviceops.DeviceTimedOut, "answer", "it was silent for 10 min"),
			"k1 timed out in ring early of rollout r 3 h ago: answer, it was silent for 10 min; what it did is not known; to try it again: deviceops rollout retry r."},
		"excused": {row(deviceops.DeviceExcused, "state", "its state is retired"), "k1 is excused in ring early of rollout r 3 h ago: state, its state is retired."},
		"excused as a straggler": {row(deviceops.DeviceExcused, "straggler", "7 days"),
			"k1 is excused in ring early of rollout r 3 h ago: straggler, 7 days; it gets the change when it says hello, in the last ring."},
		"excused as a straggler of one that succeeded": {also(row(deviceops.DeviceExcused, "straggler", "7 days"), rollout(deviceops.RolloutSucceeded)),
			"k1 is excused in ring early of rollout r 3 h ago: straggler, 7 days; it gets the change when it says hello, in the last ring."},
		"excused as a straggler of one that was called off": {also(row(deviceops.DeviceExcused, "straggler", "7 days"), rollout(deviceops.RolloutCanceled)),
			"k1 is excused in ring early of rollout r 3 h ago: straggler, 7 days; the rollout is canceled, so that it gets nothing when it comes back."},
		"canceled": {row(deviceops.DeviceCanceled, "canceled", "by user:maria"),
			"k1 got nothing in ring early of rollout r: its turn had not come when that was called off 3 h ago: canceled, by user:maria."},
		"reverting": {also(row(deviceops.DeviceReverting, "", ""), func(f *deviceops.ExplainRolloutFacts) { f.Rollout.Rollback = "ro-9" }),
			"k1 is being taken back in ring early of rollout r; see: deviceops explain rollout ro-9 k1."},
		"reverted": {also(row(deviceops.DeviceReverted, "", ""), func(f *deviceops.ExplainRolloutFacts) { f.Row.From.Release = "kiosk-os@2.3.0" }),
			"k1 was taken back in ring early of rollout r 3 h ago to kiosk-os@2.3.0."},
		"revert failed": {row(deviceops.DeviceRevertFailed, "irreversible", "the release cannot be taken back"),
			"k1 could not be taken back in ring early of rollout r 3 h ago: irreversible, the release cannot be taken back."},

		"not targeted": {func(f *deviceops.ExplainRolloutFacts) { f.Row, f.Device.Profile = nil, "meter" },
			`k1 is not part of rollout r: it does not meet the targets, device.profile == "kiosk".`},
		"not known whether targeted": {func(f *deviceops.ExplainRolloutFacts) { f.Row, f.Device.Profile = nil, "" },
			`k1 is not part of rollout r: whether it meets the targets cannot be told, since a value is missing: device.profile == "kiosk".`},
		"joins late": {func(f *deviceops.ExplainRolloutFacts) { f.Row = nil },
			"k1 is not part of rollout r so far: it meets the targets, and joins the last ring within a minute."},
		"came too late": {also(rollout(deviceops.RolloutSucceeded), func(f *deviceops.ExplainRolloutFacts) { f.Row = nil }),
			"k1 is not part of rollout r: it meets the targets, and came after the rollout had ended."},
		"not assigned yet": {also(rollout(deviceops.RolloutPlanning), func(f *deviceops.ExplainRolloutFacts) { f.Row = nil }),
			"k1 is not part of rollout r so far: its devices are still being assigned to rings."},
		"not part of one that cannot be read": {func(f *deviceops.ExplainRolloutFacts) { f.Row, f.Spec = nil, nil }, "k1 is not part of rollout r."},
		"succeeded in one that cannot be read": {also(row(deviceops.DeviceSucceeded, "", ""), func(f *deviceops.ExplainRolloutFacts) { f.Spec = nil }),
			"k1 succeeded in ring early of rollout r 3 h ago."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := halfWay()
			c.change(&f)
			x := deviceops.ExplainRollout(f, midday)
			require.Equal(t, c.want, x.Summary)
			require.Empty(t, x.Waits)
			require.NotNil(t, x.Waits, "as JSON it is a list")
		})
	}
}
