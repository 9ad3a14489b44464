package activities_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
)

// fleet is a rollout of configuration in a real store, with its devices.
type fleet struct {
	*world
	r deviceops.Rollout
}

const manifest = `rollout: bright
change: { config: { brightness: 50 } }
targets: device.profile == "kiosk" && "new" not in device.tags
rings:
  - { name: canary, take: 3 }
  - name: rest
answer_within: 10m
phases: { install: { timeout: 30m } }
stragglers: { after: 7d, then: excuse }
health: device.metrics.crashes == 0
`

// newFleet makes a rollout of devices k00, k01 ... of which none has a row so far.
func newFleet(t *testing.T, devices int, source string) *fleet {
	t.Helper()
	f := &fleet{}
	f.world = newWorld(t, func(d *activities.Deps) { d.Catalog = &dsl.Catalog{Documents: d.Store} })
	for i := range devices {
		f.device(t, deviceID(i), deviceops.Active)
	}
	f.create(t, source)
	return f
}

func deviceID(i int) string { return "k" + string(rune('0'+i/10)) + string(rune('0'+i%10)) }

// create stores a rollout.
func (f *fleet) create(t *testing.T, source string) deviceops.Rollout {
	t.Helper()
	spec, found := dsl.CompileRollout("test.yaml", source, dsl.Options{})
	require.NoError(t, found.Err())
	created, _, err := f.store.CreateRollout(t.Context(), spec.NewRollout("acme", source, "h-"+spec.Name, "user:carl", "it is dark", f.now))
	require.NoError(t, err)
	f.r = created
	return created
}

// begun makes a rollout that is planned and whose first rings are open.
func begun(t *testing.T, devices, rings int, source string) *fleet {
	t.Helper()
	f := newFleet(t, devices, source)
	_, err := do[activities.PlanRolloutOutput](f.world, activities.NamePlanRollout, activities.PlanRolloutInput{Rollout: f.r.ID})
	require.NoError(t, err)
	f.r = f.stored(t)
	f.r.Status, f.r.StartedAt = deviceops.RolloutRunning, f.now
	for i := range rings {
		f.r.Rings[i].Status, f.r.Rings[i].OpenedAt = deviceops.RingRunning, f.now
	}
	require.NoError(t, f.store.SaveRollout(t.Context(), f.r))
	return f
}

func (f *fleet) stored(t *testing.T) deviceops.Rollout {
	t.Helper()
	r, err := f.store.FindRollout(t.Context(), f.r.ID)
	require.NoError(t, err)
	return r
}

// rows gives the rows of the rollout that have a status, by device.
func (f *fleet) rows(t *testing.T, id string, status deviceops.RolloutDeviceStatus) []deviceops.RolloutDevice {
	t.Helper()
	rows, err := f.store.ListRolloutDevices(t.Context(), deviceops.RolloutDeviceFilter{Rollout: id, Status: status, Limit: 1000})
	require.NoError(t, err)
	return rows
}

// send has the change sent to so many devices of a ring, and gives them.
func (f *fleet) send(t *testing.T, ring, n int) (sent []string) {
	t.Helper()
	rows, err := f.store.ListRolloutDevices(t.Context(), deviceops.RolloutDeviceFilter{Rollout: f.r.ID, Ring: &ring, Status: deviceops.DevicePending, Limit: n})
	require.NoError(t, err)
	var commands []deviceops.Command
	for i := range rows {
		rows[i].Attempt = 1
		rows[i].From = deviceops.Origin{Configuration: map[string]any{"brightness": int64(80)}}
		sent = append(sent, rows[i].Device)
		commands = append(commands, deviceops.Command{
			ID: deviceops.RolloutCommandID(f.r.ID, rows[i].Device), Account: "acme", Device: rows[i].Device, Name: deviceops.CommandConfigure,
			Attempt: 1, Status: deviceops.CommandPending, Exclusive: true, CreatedAt: f.now, DueAt: f.now, Rollout: f.r.ID, Ring: ring,
		})
	}
	refused, err := f.store.LeaseRollout(t.Context(), rows, commands, f.now)
	require.NoError(t, err)
	require.Empty(t, refused)
	var marks []deviceops.Sent
	for _, c := range commands {
		marks = append(marks, deviceops.Sent{ID: c.ID, Attempt: 1})
	}
	require.NoError(t, f.store.MarkSent(t.Context(), marks, f.now))
	f.move(t, deviceops.DeviceSent, sent...)
	return sent
}

// move gives rows a status.
func (f *fleet) move(t *testing.T, to deviceops.RolloutDeviceStatus, devices ...string) {
	t.Helper()
	var moves []deviceops.RolloutMove
	for _, d := range devices {
		moves = append(moves, deviceops.RolloutMove{Rollout: f.r.ID, Device: d, To: to, At: f.now, From: []deviceops.RolloutDeviceStatus{
			deviceops.DevicePending, deviceops.DeviceSent, deviceops.DeviceAccepted, deviceops.DeviceSucceeded,
		}})
	}
	moved, err := f.store.AdvanceRollout(t.Context(), moves)
	require.NoError(t, err)
	require.Len(t, moved, len(devices))
}

func (f *fleet) count(t *testing.T, in activities.CountInput) activities.CountOutput {
	t.Helper()
	in.Rollout = f.r.ID
	out, err := do[activities.CountOutput](f.world, activities.NameCountRollout, in)
	require.NoError(t, err)
	return out
}

// told gives the types of the events of rollouts, in their order.
func (f *fleet) told(t *testing.T) (types []string) {
	t.Helper()
	events, err := f.store.ListEvents(t.Context(), deviceops.EventFilter{Type: deviceops.EventRollout})
	require.NoError(t, err)
	slices.Reverse(events) // the newest come first
	for _, e := range events {
		types = append(types, e.Type)
	}
	return types
}

// audited gives the audit entries about the rollout, oldest first.
func (f *fleet) audited(t *testing.T) []deviceops.AuditEntry {
	t.Helper()
	entries, err := f.store.ListAudit(t.Context(), deviceops.AuditFilter{Target: "rollout:" + f.r.ID})
	require.NoError(t, err)
	slices.SortFunc(entries, func(a, b deviceops.AuditEntry) int { return int(a.ID - b.ID) })
	return entries
}

func TestPinRollout(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, manifest)
	out, err := do[activities.PinRolloutOutput](f.world, activities.NamePinRollout, activities.PinRolloutInput{Rollout: f.r.ID})
	require.NoError(t, err)
	require.Equal(t, manifest, out.Rollout.Source)
	require.Len(t, out.Rollout.Rings, 2)
	require.Empty(t, out.Asked)
	for i, status := range []deviceops.ApprovalStatus{deviceops.ApprovalApproved, deviceops.ApprovalOpen} {
		_, err := f.store.SaveApproval(t.Context(), deviceops.Approval{
			ID: deviceops.RolloutApprovalID(f.r.ID, deviceops.RolloutQuestion{Kind: deviceops.AskRing, Ring: i}, 1), Account: "acme", Workflow: deviceops.RolloutWorkflowID(f.r.ID),
			By: []string{"role:operator"}, Status: status, OpenedAt: f.now.Add(time.Duration(i)), Show: map[string]any{"devices": int64(3)},
		})
		require.NoError(t, err)
	}
	out, err = do[activities.PinRolloutOutput](f.world, activities.NamePinRollout, activities.PinRolloutInput{Rollout: f.r.ID})
	require.NoError(t, err)
	require.Len(t, out.Asked, 2)
	require.Nil(t, out.Asked[0].Show, "it has ended")
	require.NotNil(t, out.Asked[1].Show)
	_, err = do[activities.PinRolloutOutput](f.world, activities.NamePinRollout, activities.PinRolloutInput{Rollout: "ro-none"})
	requireCode(t, deviceops.ENOTFOUND, err)
}

func TestPlanRollout(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 10, manifest)
	f.device(t, "k90", deviceops.Maintenance)
	in := activities.PlanRolloutInput{Rollout: f.r.ID}
	out, err := do[activities.PlanRolloutOutput](f.world, activities.NamePlanRollout, in)
	require.NoError(t, err)
	require.Equal(t, 3, out.Counts[0].Pending)
	require.Equal(t, 7, out.Counts[1].Pending)
	require.Equal(t, 1, out.Counts[1].Excused)
	require.Equal(t, "its state is maintenance", f.rows(t, f.r.ID, deviceops.DeviceExcused)[0].Error.Message[:24])
	require.Empty(t, out.Notes)
	again, err := do[activities.PlanRolloutOutput](f.world, activities.NamePlanRollout, in)
	require.NoError(t, err)
	require.Equal(t, out.Counts, again.Counts, "repeated it changes nothing")
}

func TestPlanRolloutKeepsItsNotes(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, manifest)
	out, err := do[activities.PlanRolloutOutput](f.world, activities.NamePlanRollout, activities.PlanRolloutInput{Rollout: f.r.ID})
	require.NoError(t, err)
	require.NotEmpty(t, out.Notes)
	require.Equal(t, out.Notes, f.stored(t).Notes)
	next := f.stored(t)
	next.Status, next.Notes = deviceops.RolloutRunning, nil
	_, err = do[activities.None](f.world, activities.NameSaveRollout, activities.SaveRolloutInput{Rollout: next})
	require.NoError(t, err)
	require.Equal(t, out.Notes, f.stored(t).Notes, "they are those of the plan")
}

func TestPlanRolloutAgain(t *testing.T) {
	t.Parallel()
	f := begun(t, 5, 1, manifest)
	in := activities.PlanRolloutInput{Rollout: f.r.ID, Again: true}
	out, err := do[activities.PlanRolloutOutput](f.world, activities.NamePlanRollout, in)
	require.NoError(t, err)
	require.False(t, out.Changed)

	reached := f.send(t, 0, 1)[0]
	var waits string
	for _, r := range f.rows(t, f.r.ID, deviceops.DevicePending) {
		waits = r.Device
	}
	for _, id := range []string{reached, waits} {
		d := f.find(t, id)
		d.Tags = []string{"new"}
		require.NoError(t, f.store.SaveDevice(t.Context(), &d))
	}
	f.device(t, "k50", deviceops.Active)
	out, err = do[activities.PlanRolloutOutput](f.world, activities.NamePlanRollout, in)
	require.NoError(t, err)
	require.True(t, out.Changed)
	joined, err := f.store.FindRolloutDevice(t.Context(), f.r.ID, "k50")
	require.NoError(t, err)
	require.Equal(t, 1, joined.Ring, "who joins goes to the last ring")
	left := f.rows(t, f.r.ID, deviceops.DeviceExcused)
	require.Len(t, left, 1, "who was reached stays in")
	require.Equal(t, waits, left[0].Device)
	require.Equal(t, deviceops.ExcuseLeft, left[0].Error.Code)
}

func TestPlanRolloutMeetsAnother(t *testing.T) {
	t.Parallel()
	for conflict, refused := range map[string]bool{"refuse": true, "supersede": false} {
		t.Run(conflict, func(t *testing.T) {
			t.Parallel()
			f := begun(t, 5, 1, manifest)
			other := f.r
			busy := f.send(t, 0, 1)
			f.create(t, "rollout: dim\nconflict: "+conflict+"\n"+manifest[len("rollout: bright\n"):])
			out, err := do[activities.PlanRolloutOutput](f.world, activities.NamePlanRollout, activities.PlanRolloutInput{Rollout: f.r.ID})
			require.NoError(t, err)
			if refused {
				require.Contains(t, out.Refused, "rollout bright holds 5 of its devices")
				require.Empty(t, f.rows(t, f.r.ID, ""))
				return
			}
			require.Empty(t, out.Refused)
			require.Len(t, f.rows(t, f.r.ID, deviceops.DevicePending), 5)
			canceled := f.rows(t, other.ID, deviceops.DeviceCanceled)
			require.Len(t, canceled, 4)
			require.Equal(t, activities.CodeSuperseded, canceled[0].Error.Code)
			require.Equal(t, busy[0], f.rows(t, other.ID, deviceops.DeviceSent)[0].Device, "what is under way ends")
		})
	}
}

func TestSaveRolloutTellsWhatChanged(t *testing.T) {
	t.Parallel()
	f := begun(t, 5, 1, manifest)
	next := f.stored(t)
	next.Rings[0].Status, next.Rings[0].Reason, next.Rings[0].ClosedAt = deviceops.RingPassed, "all is well", f.now
	next.Rings[1].Status, next.Rings[1].OpenedAt = deviceops.RingRunning, f.now
	in := activities.SaveRolloutInput{Rollout: next, Evidence: map[string]any{"gate": "passed"}}
	for range 2 { // repeated it changes nothing
		_, err := do[activities.None](f.world, activities.NameSaveRollout, in)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"rollout.ring_passed", "rollout.ring_running"}, f.told(t))
	entries := f.audited(t)
	require.Len(t, entries, 2)
	require.Equal(t, "rollout.ring_passed", entries[0].Action)
	require.Equal(t, "engine", entries[0].Actor)
	require.Equal(t, "all is well", entries[0].Reason)
	require.Equal(t, "passed", entries[0].Evidence["gate"])
	require.Equal(t, "canary", entries[0].Evidence["ring"])

	in.Rollout.Epoch++
	_, err := do[activities.None](f.world, activities.NameSaveRollout, in)
	requireCode(t, deviceops.ECONFLICT, err)
}

func TestSaveRolloutEndsWhatHasNotBegun(t *testing.T) {
	t.Parallel()
	for status, want := range map[deviceops.RolloutStatus]deviceops.RolloutDeviceStatus{
		deviceops.RolloutFailed: deviceops.DeviceCanceled, deviceops.RolloutReverting: deviceops.DeviceCanceled, deviceops.RolloutSucceeded: deviceops.DeviceExcused,
	} {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			f := begun(t, 5, 1, manifest)
			f.send(t, 0, 2)
			next := f.stored(t)
			next.Status, next.StatusReason = status, "so it is"
			_, err := do[activities.None](f.world, activities.NameSaveRollout, activities.SaveRolloutInput{Rollout: next})
			require.NoError(t, err)
			require.Len(t, f.rows(t, f.r.ID, want), 3)
			require.Len(t, f.rows(t, f.r.ID, deviceops.DeviceSent), 2, "what is under way ends by itself")
		})
	}
}

func TestCountRolloutEndsWhatIsOverdue(t *testing.T) {
	t.Parallel()
	f := begun(t, 10, 2, manifest)
	sent := f.send(t, 1, 4)
	f.move(t, deviceops.DeviceAccepted, sent[1:3]...)
	f.move(t, deviceops.DeviceSucceeded, sent[3])
	f.now = f.now.Add(9 * time.Minute)
	require.Equal(t, 1, f.count(t, activities.CountInput{}).Counts[1].Sent)

	f.now = f.now.Add(time.Minute)
	out := f.count(t, activities.CountInput{})
	require.Equal(t, 1, out.Counts[1].TimedOut)
	require.False(t, out.More)
	row := f.rows(t, f.r.ID, deviceops.DeviceTimedOut)[0]
	require.Equal(t, sent[0], row.Device)
	require.Equal(t, activities.CodeNoAnswer, row.Error.Code)
	command, err := f.store.FindCommand(t.Context(), deviceops.RolloutCommandID(f.r.ID, sent[0]))
	require.NoError(t, err)
	require.Equal(t, deviceops.CommandExpired, command.Status, "it does not happen behind everybody's back")

	f.now = f.now.Add(20 * time.Minute)
	require.Equal(t, 3, f.count(t, activities.CountInput{}).Counts[1].TimedOut)
	require.Equal(t, activities.CodeInstallTimeout, f.rows(t, f.r.ID, deviceops.DeviceTimedOut)[1].Error.Code)

	f.now = noon.Add(7 * 24 * time.Hour)
	out = f.count(t, activities.CountInput{})
	require.Equal(t, 6, out.Counts[0].Excused+out.Counts[1].Excused)
	require.Zero(t, out.Counts[0].Open()+out.Counts[1].Open())
	require.Equal(t, deviceops.CodeStraggler, f.rows(t, f.r.ID, deviceops.DeviceExcused)[0].Error.Code)
}

func TestCountRolloutGivesWhoComesBackItsTime(t *testing.T) {
	t.Parallel()
	f := begun(t, 3, 2, manifest)
	f.now = noon.Add(8 * 24 * time.Hour)
	require.Equal(t, 3, f.count(t, activities.CountInput{}).Counts[0].Excused)
	_, _, err := f.store.RecallRollout(t.Context(), []string{"k00"}, f.now)
	require.NoError(t, err)
	f.now = f.now.Add(time.Hour)
	require.Equal(t, 1, f.count(t, activities.CountInput{}).Counts[1].Pending, "its ring is old, and it has just come")
	f.now = f.now.Add(7 * 24 * time.Hour)
	require.Equal(t, 1, f.count(t, activities.CountInput{}).Counts[1].Excused)
}

func TestCountRolloutGivesWhoJoinsLaterAsLongAsTheOthers(t *testing.T) {
	t.Parallel()
	f := begun(t, 5, 2, manifest)
	f.now = f.now.Add(6 * 24 * time.Hour)
	f.device(t, "k99", deviceops.Active)
	_, err := do[activities.PlanRolloutOutput](f.world, activities.NamePlanRollout, activities.PlanRolloutInput{Rollout: f.r.ID, Again: true})
	require.NoError(t, err)
	f.now = f.now.Add(2 * 24 * time.Hour)
	_, err = do[activities.CountOutput](f.world, activities.NameCountRollout, activities.CountInput{Rollout: f.r.ID})
	require.NoError(t, err)
	open := f.rows(t, f.r.ID, deviceops.DevicePending)
	require.Len(t, open, 1, "the others had their seven days")
	require.Equal(t, "k99", open[0].Device)
}

func TestCountRolloutJudgesHealthByWhatCameAfter(t *testing.T) {
	t.Parallel()
	f := begun(t, 6, 2, manifest)
	require.NoError(t, f.store.SaveMetrics(t.Context(), []deviceops.MetricValue{{Device: deviceID(0), Name: "crashes", Value: int64(0), At: f.now.Add(-time.Minute)}}))
	devices := append(f.send(t, 0, 3), f.send(t, 1, 3)...)
	f.move(t, deviceops.DeviceSucceeded, devices...)
	out := f.count(t, activities.CountInput{})
	require.Zero(t, out.Counts[0].Healthy+out.Counts[1].Healthy, "what was measured before says nothing")

	crashes := func(device string, n int64, at time.Duration) {
		require.NoError(t, f.store.SaveMetrics(t.Context(), []deviceops.MetricValue{{Device: device, Name: "crashes", Value: n, At: noon.Add(at)}}))
	}
	for i, d := range devices {
		crashes(d, int64(i%3), time.Minute)
	}
	out = f.count(t, activities.CountInput{Thorough: true})
	require.Equal(t, []int{1, 2, 1, 2}, []int{out.Counts[0].Healthy, out.Counts[0].Unhealthy, out.Counts[1].Healthy, out.Counts[1].Unhealthy})
	crashes(devices[0], 4, 2*time.Minute)
	require.Equal(t, 3, f.count(t, activities.CountInput{}).Counts[0].Unhealthy, "a device may become unwell later")
}

func TestCountRolloutWithoutHealthTakesSuccessForIt(t *testing.T) {
	t.Parallel()
	f := begun(t, 3, 1, "rollout: dim\nchange: { config: { brightness: 5 } }\ntargets: device.profile == \"kiosk\"\n")
	f.move(t, deviceops.DeviceSucceeded, f.send(t, 0, 2)...)
	require.Equal(t, 2, f.count(t, activities.CountInput{}).Counts[0].Healthy)
}

func TestCountRolloutAsksAboutDeferrals(t *testing.T) {
	t.Parallel()
	for decision, want := range map[activities.DeferralsDecision]deviceops.RolloutDeviceStatus{
		activities.DeferralsAskAgain: deviceops.DeviceDeferred, activities.DeferralsFail: deviceops.DeviceFailed,
	} {
		t.Run(string(decision), func(t *testing.T) {
			t.Parallel()
			f := begun(t, 3, 1, manifest)
			f.move(t, deviceops.DeviceDeferred, f.send(t, 0, 2)...) // without a time at which they are asked again
			require.Equal(t, 2, f.count(t, activities.CountInput{}).Deferred)
			require.Zero(t, f.count(t, activities.CountInput{Deferrals: decision, DecidedAt: f.now}).Deferred)
			rows := f.rows(t, f.r.ID, want)
			require.Len(t, rows, 2)
			require.Equal(t, want == deviceops.DeviceDeferred, rows[0].DueAt.Equal(f.now))
		})
	}
}

func TestCountRolloutDecidesAboutNobodyWhoCameLater(t *testing.T) {
	t.Parallel()
	f := begun(t, 3, 1, manifest)
	sent := f.send(t, 0, 2)
	for i, since := range []time.Time{f.now, f.now.Add(time.Hour)} {
		_, err := f.store.AdvanceRollout(t.Context(), []deviceops.RolloutMove{{
			Rollout: f.r.ID, Device: sent[i], From: []deviceops.RolloutDeviceStatus{deviceops.DeviceSent}, To: deviceops.DeviceDeferred, At: since,
			Wait: &deviceops.RolloutWait{Kind: deviceops.WaitDeferred, Since: since},
		}})
		require.NoError(t, err)
	}
	out := f.count(t, activities.CountInput{Deferrals: activities.DeferralsFail, DecidedAt: f.now.Add(time.Minute)})
	require.Equal(t, 1, out.Deferred, "about the other one nobody was asked")
	require.Equal(t, sent[0], f.rows(t, f.r.ID, deviceops.DeviceFailed)[0].Device)
}

func TestCountRolloutTellsItsEpoch(t *testing.T) {
	t.Parallel()
	f := begun(t, 1, 1, manifest)
	f.r.Epoch = 7
	require.NoError(t, f.store.SaveRollout(t.Context(), f.r))
	require.Equal(t, int64(7), f.count(t, activities.CountInput{}).Epoch)
}

// A device that leaves a rollout is free for those that waited for it.
func TestPlanRolloutLetsGoOfWhoLeft(t *testing.T) {
	t.Parallel()
	f := begun(t, 1, 2, manifest)
	first := f.r
	f.create(t, "rollout: dim\n"+manifest[len("rollout: bright\n"):])
	_, err := do[activities.PlanRolloutOutput](f.world, activities.NamePlanRollout, activities.PlanRolloutInput{Rollout: f.r.ID})
	require.NoError(t, err)
	held := f.rows(t, f.r.ID, deviceops.DevicePending)[0]
	held.DueAt, held.Wait = f.now.Add(5*time.Minute), &deviceops.RolloutWait{Kind: deviceops.WaitConflict, Since: f.now}
	require.NoError(t, f.store.HoldRollout(t.Context(), []deviceops.RolloutDevice{held}))
	d := f.find(t, held.Device)
	d.Tags = []string{"new"}
	require.NoError(t, f.store.SaveDevice(t.Context(), &d))
	_, err = do[activities.PlanRolloutOutput](f.world, activities.NamePlanRollout, activities.PlanRolloutInput{Rollout: first.ID, Again: true})
	require.NoError(t, err)
	require.Len(t, f.rows(t, first.ID, deviceops.DeviceExcused), 1)
	require.Equal(t, f.now, f.rows(t, f.r.ID, deviceops.DevicePending)[0].DueAt)
}

func TestPlanRolloutTakesWhoIsBackInService(t *testing.T) {
	t.Parallel()
	for name, targets := range map[string]string{
		"targets that the store can say":    `device.profile == "kiosk" && "new" not in device.tags`,
		"targets that only the program can": `device.profile == "kiosk" && len(device.tags) == 0`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 2, strings.Replace(manifest, `device.profile == "kiosk" && "new" not in device.tags`, targets, 1))
			f.device(t, "k50", deviceops.Maintenance)
			plan := func(again bool) activities.PlanRolloutOutput {
				t.Helper()
				out, err := do[activities.PlanRolloutOutput](f.world, activities.NamePlanRollout, activities.PlanRolloutInput{Rollout: f.r.ID, Again: again})
				require.NoError(t, err)
				return out
			}
			plan(false)
			require.False(t, plan(true).Changed, "it is in maintenance")
			require.Len(t, f.rows(t, f.r.ID, deviceops.DeviceExcused), 1)
			d := f.find(t, "k50")
			d.State = deviceops.Active
			require.NoError(t, f.store.SaveDevice(t.Context(), &d))
			require.True(t, plan(true).Changed)
			require.Empty(t, f.rows(t, f.r.ID, deviceops.DeviceExcused))
			require.False(t, plan(true).Changed)

			d.Tags = []string{"new"}
			require.NoError(t, f.store.SaveDevice(t.Context(), &d))
			require.True(t, plan(true).Changed)
			require.Equal(t, deviceops.ExcuseLeft, f.rows(t, f.r.ID, deviceops.DeviceExcused)[0].Error.Code)
			d.Tags = nil
			require.NoError(t, f.store.SaveDevice(t.Context(), &d))
			require.True(t, plan(true).Changed, "who comes back gets it, too")
			require.Len(t, f.rows(t, f.r.ID, deviceops.DevicePending), 3)
		})
	}
}
