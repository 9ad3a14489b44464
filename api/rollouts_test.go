package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/workflows"
)

const rolloutYAML = `rollout: night-mode
change: { config: { brightness: 20 } }
targets: device.profile == "kiosk"
rings:
  - { name: canary, take: 1, gate: { fail: ring.failed >= 1 } }
  - { name: everyone }
rate: { start: 60/m }
`

// rollout creates the rollout of rolloutYAML in acme, over three devices, and
// plans it as its workflow would.
func (r *rig) rollout() deviceops.Rollout {
	r.Helper()
	r.apply(kioskYAML)
	for _, id := range []string{"k1", "k2", "k3"} {
		r.device(id, "acme", deviceops.Active)
	}
	var created deviceops.RolloutCreated
	r.as(olga, http.MethodPost, "/v1/rollouts", deviceops.RolloutRequest{Source: rolloutYAML, Reason: "ticket 4711"}).into(&created)
	require.True(r, created.Created, "%+v", created.Diagnostics)
	rows := []deviceops.RolloutDevice{
		{Rollout: created.Rollout.ID, Device: "k1", Account: "acme", Ring: 0, Status: deviceops.DevicePending, DueAt: now},
		{Rollout: created.Rollout.ID, Device: "k2", Account: "acme", Ring: 1, Status: deviceops.DevicePending, DueAt: now},
		{Rollout: created.Rollout.ID, Device: "k3", Account: "acme", Ring: 1, Status: deviceops.DeviceExcused, EndedAt: now,
			Error: &deviceops.CommandError{Code: "state", Message: "it is in maintenance"}},
	}
	n, err := r.store.AddRolloutDevices(r.Context(), rows)
	require.NoError(r, err)
	require.Equal(r, 3, n)
	return *created.Rollout
}

func TestRolloutsAreCreatedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.rollout()
	require.Equal(t, deviceops.RolloutPlanning, first.Status)
	require.Equal(t, "acme", first.Account)
	require.Len(t, r.orchestrator.starts, 1)
	require.Equal(t, deviceops.RolloutWorkflowID(first.ID), r.orchestrator.starts[0].WorkflowID)
	require.Equal(t, "ticket 4711", r.audited("rollout:night-mode").Reason)

	var again deviceops.RolloutCreated
	r.as(olga, http.MethodPost, "/v1/rollouts", deviceops.RolloutRequest{Source: rolloutYAML}).into(&again)
	require.False(t, again.Created)
	require.Equal(t, first.ID, again.Rollout.ID)
	require.Len(t, r.orchestrator.starts, 1, "it begins once")

	other := deviceops.RolloutRequest{Source: strings.Replace(rolloutYAML, "20", "30", 1)}
	require.Contains(t, r.as(olga, http.MethodPost, "/v1/rollouts", other).refused(409, deviceops.ECONFLICT), "night-mode")
	r.as(victor, http.MethodPost, "/v1/rollouts", other).refused(403, deviceops.EFORBIDDEN)
	elsewhere := deviceops.RolloutRequest{Source: rolloutYAML, Account: "globex"}
	r.as(olga, http.MethodPost, "/v1/rollouts", elsewhere).refused(404, deviceops.ENOTFOUND)
}

func TestManifestsAreRefusedWithCarets(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var refused deviceops.RolloutCreated
	r.as(olga, http.MethodPost, "/v1/rollouts", deviceops.RolloutRequest{File: "r.yaml", Source: `rollout: kiosk-9
change: { release: kiosk-os@9.9.9 }
targets: device.profile == "kiosk"
`}).into(&refused)
	require.True(t, refused.Refused)
	require.Nil(t, refused.Rollout)
	require.Contains(t, refused.Diagnostics[0].Text, "r.yaml:2:")
	require.Contains(t, refused.Diagnostics[0].Text, "kiosk-os@9.9.9")
	require.Empty(t, r.orchestrator.starts)
}

func TestRolloutsAreShown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	created := r.rollout()

	var report deviceops.RolloutReport
	for _, name := range []string{"night-mode", created.ID} {
		r.as(victor, http.MethodGet, "/v1/rollouts/"+name, nil).into(&report)
		require.Equal(t, created.ID, report.Rollout.ID)
	}
	require.Equal(t, 1, report.Rollout.Rings[0].Counts.Pending)
	require.Equal(t, 1, report.Rollout.Rings[1].Counts.Excused)
	require.InDelta(t, 60, report.PerMinute, 0.1)
	r.as(stranger, http.MethodGet, "/v1/rollouts/"+created.ID, nil).refused(404, deviceops.ENOTFOUND)
	r.as(root, http.MethodGet, "/v1/rollouts/night-mode", nil).into(&report)
	require.Equal(t, created.ID, report.Rollout.ID, "a name is found below the caller's account")

	var list struct{ Items []deviceops.Rollout }
	r.as(victor, http.MethodGet, "/v1/rollouts?open=true", nil).into(&list)
	require.Len(t, list.Items, 1)
	r.as(stranger, http.MethodGet, "/v1/rollouts", nil).into(&list)
	require.Empty(t, list.Items)

	var rows struct {
		Items []deviceops.RolloutDevice
		Next  string
	}
	r.as(victor, http.MethodGet, "/v1/rollouts/night-mode/devices?ring=everyone&limit=1", nil).into(&rows)
	require.Equal(t, "k2", rows.Items[0].Device)
	r.as(victor, http.MethodGet, "/v1/rollouts/night-mode/devices?ring=1&limit=1&cursor="+rows.Next, nil).into(&rows)
	require.Equal(t, "k3", rows.Items[0].Device)
	r.as(victor, http.MethodGet, "/v1/rollouts/night-mode/devices?ring=nobody", nil).refused(404, deviceops.ENOTFOUND)
}

func TestRolloutsAreExplained(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.rollout()
	var x deviceops.Explanation
	r.as(victor, http.MethodGet, "/v1/rollouts/night-mode/devices/k3/explain", nil).into(&x)
	require.Contains(t, x.Summary, "k3")
	require.Contains(t, x.Summary, "maintenance")
	r.as(victor, http.MethodGet, "/v1/rollouts/night-mode/devices/k2/explain", nil).into(&x)
	require.NotEmpty(t, x.Waits)
	inner := x.Waits[0].Text
	r.as(victor, http.MethodGet, "/v1/devices/k2/explain", nil).into(&x)
	i := slices.IndexFunc(x.Waits, func(w deviceops.Wait) bool { return w.For == "rollout" })
	require.GreaterOrEqual(t, i, 0, "%+v", x.Waits)
	require.Equal(t, "rollout night-mode: "+inner, x.Waits[i].Text)
	require.Equal(t, "deviceops explain rollout night-mode k2", x.Waits[i].Do)
	r.as(victor, http.MethodGet, "/v1/devices/k3/explain", nil).into(&x)
	require.False(t, slices.ContainsFunc(x.Waits, func(w deviceops.Wait) bool { return w.For == "rollout" }), "it is excused")
	r.as(victor, http.MethodGet, "/v1/rollouts/night-mode/devices/k9/explain", nil).refused(404, deviceops.ENOTFOUND)
}

func TestRolloutsAreControlled(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	created := r.rollout()
	r.running(created)
	pause := deviceops.RolloutControlRequest{Action: deviceops.RolloutPause, Reason: "it smells"}
	var done deviceops.RolloutControlled
	for range 2 {
		r.as(olga, http.MethodPost, "/v1/rollouts/night-mode/control", pause, "Idempotency-Key", "k").into(&done)
	}
	require.Equal(t, r.orchestrator.updateID[0], r.orchestrator.updateID[1], "with a key, a repeat is the same")
	control, ok := r.orchestrator.updates[0].(deviceops.RolloutControl)
	require.True(t, ok)
	require.Equal(t, created.ID, control.Rollout)
	require.Equal(t, "user:olga", control.By.Name)
	require.NoError(t, decisionKey.CheckControl(control))
	r.as(victor, http.MethodPost, "/v1/rollouts/night-mode/control", pause).refused(403, deviceops.EFORBIDDEN)

	r.orchestrator.ended = true
	cancel := deviceops.RolloutControlRequest{Action: deviceops.RolloutCancel, Reason: "it smells"}
	require.Contains(t, r.as(olga, http.MethodPost, "/v1/rollouts/night-mode/control", cancel).refused(503, deviceops.EUNAVAILABLE), "starts it again")
	r.as(olga, http.MethodPost, "/v1/rollouts/night-mode/control", pause).into(&done)
	require.Contains(t, done.Text, "nothing more leaves", "its workflow is told when there is one again")
	running, err := r.store.FindRollout(t.Context(), created.ID)
	require.NoError(t, err)
	running.Status = deviceops.RolloutCanceled
	require.NoError(t, r.store.SaveRollout(t.Context(), running))
	r.as(olga, http.MethodPost, "/v1/rollouts/night-mode/control", cancel).refused(409, deviceops.ECONFLICT)
}

func TestARolloutThatHasEndedIsTakenBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	created := r.rollout()
	created.Status, created.StartedAt, created.FinishedAt = deviceops.RolloutSucceeded, now, now
	created.Rings[0].Status, created.Rings[0].OpenedAt = deviceops.RingPassed, now
	require.NoError(t, r.store.SaveRollout(t.Context(), created))
	r.orchestrator.ended = true
	rollback := deviceops.RolloutControlRequest{Action: deviceops.RolloutRollback, Reason: "it is too dark"}
	var done deviceops.RolloutControlled
	r.as(olga, http.MethodPost, "/v1/rollouts/night-mode/control", rollback).into(&done)
	require.Equal(t, []any{deviceops.RolloutReverting, created.RollbackID()}, []any{done.Status, done.Rollback})
	stored, err := r.store.FindRollout(t.Context(), created.ID)
	require.NoError(t, err)
	require.Equal(t, []any{deviceops.RolloutReverting, "user:olga", "it is too dark", int64(1)}, []any{stored.Status, stored.StatusBy, stored.StatusReason, stored.Epoch})
	require.Zero(t, stored.FinishedAt)
	audit, err := r.store.ListAudit(t.Context(), deviceops.AuditFilter{Target: "rollout:" + created.ID})
	require.NoError(t, err)
	require.Equal(t, "rollout.control.rollback", audit[len(audit)-1].Action)
	start := r.orchestrator.starts[len(r.orchestrator.starts)-1]
	require.Equal(t, workflows.RolloutStart(workflows.RolloutInput{Rollout: created.ID}), start)
	require.Equal(t, []int{0}, stored.TakeBack, "whoever is started knows what")
	r.as(olga, http.MethodPost, "/v1/rollouts/night-mode/control", rollback).refused(409, deviceops.ECONFLICT)
}

// Nothing comes of taking back what has no way back, so it is refused, and the rollout
// stays what it is.
func TestARolloutWithoutAWayBackIsNotTakenBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.apply(kioskYAML)
	r.device("k1", "acme", deviceops.Active)
	var created deviceops.RolloutCreated
	source := "rollout: checks\nchange: { command: { name: health } }\ntargets: device.profile == 'kiosk'\n"
	r.as(olga, http.MethodPost, "/v1/rollouts", deviceops.RolloutRequest{Source: source}).into(&created)
	require.True(t, created.Created, "%+v", created.Diagnostics)
	rollback := deviceops.RolloutControlRequest{Action: deviceops.RolloutRollback, Reason: "oops"}
	for _, status := range []deviceops.RolloutStatus{deviceops.RolloutRunning, deviceops.RolloutSucceeded} {
		created.Rollout.Status = status
		require.NoError(t, r.store.SaveRollout(t.Context(), *created.Rollout))
		require.Contains(t, r.as(olga, http.MethodPost, "/v1/rollouts/checks/control", rollback).refused(409, deviceops.ECONFLICT),
			"rollout checks cannot be taken back: what a command did cannot be taken back by itself")
	}
	require.Empty(t, r.orchestrator.updates)
	stored, err := r.store.FindRollout(t.Context(), created.Rollout.ID)
	require.NoError(t, err)
	require.Equal(t, deviceops.RolloutSucceeded, stored.Status)
}

// running sets a rollout going as its workflow would.
func (r *rig) running(created deviceops.Rollout) {
	r.Helper()
	created.Status, created.StartedAt = deviceops.RolloutRunning, now
	require.NoError(r, r.store.SaveRollout(r.Context(), created))
}

func TestAPauseHoldsWhateverTemporalDoes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	created := r.rollout()
	r.running(created)
	r.orchestrator.down = true
	var done deviceops.RolloutControlled
	r.as(olga, http.MethodPost, "/v1/rollouts/night-mode/control", deviceops.RolloutControlRequest{Action: deviceops.RolloutPause, Reason: "it smells"}).into(&done)
	require.Equal(t, deviceops.RolloutPaused, done.Status)
	require.NotNil(t, done.Withdrawal)
	require.Contains(t, done.Text, "as soon as Temporal answers")
	claim := deviceops.RolloutClaim{Rollout: created.ID, Ring: 0, Epoch: created.Epoch, Now: now.Add(time.Second), Limit: 10}
	claimed, err := r.store.ClaimRollout(t.Context(), claim)
	require.NoError(t, err)
	require.Empty(t, claimed, "nothing leaves")
	held, err := r.store.HeldRollouts(t.Context(), 0)
	require.NoError(t, err)
	require.NoError(t, decisionKey.CheckControl(held[0]), "what is kept for the workflow is what was signed")

	r.as(olga, http.MethodPost, "/v1/rollouts/night-mode/control", deviceops.RolloutControlRequest{Action: deviceops.RolloutResume, Reason: "it was the soup"}).into(&done)
	require.Equal(t, deviceops.RolloutRunning, done.Status)
	require.Equal(t, "it was the soup", r.audited("rollout:"+created.ID).Reason)
	claimed, err = r.store.ClaimRollout(t.Context(), claim)
	require.NoError(t, err)
	require.Len(t, claimed, 1)
}

func TestRolloutsArePreviewed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.apply(kioskYAML)
	for _, id := range []string{"k1", "k2", "k3"} {
		r.device(id, "acme/emea", deviceops.Active)
	}
	r.device("k4", "acme", deviceops.Quarantined)
	r.device("g1", "globex", deviceops.Active)
	var told deviceops.RolloutPreviewed
	r.as(victor, http.MethodPost, "/v1/rollouts:preview", deviceops.RolloutRequest{Source: rolloutYAML}).into(&told)
	require.Equal(t, 4, told.Preview.Targeted, "devices of other accounts are not seen")
	require.Equal(t, 1, told.Preview.Rings[0].Devices)
	require.Equal(t, 2, told.Preview.Rings[1].Devices)
	require.Equal(t, "k4", told.Preview.Excused[0].Example)
	rollouts, err := r.store.ListRollouts(t.Context(), deviceops.RolloutFilter{})
	require.NoError(t, err)
	require.Empty(t, rollouts, "nothing is stored")
}

// A gate that looked fine on paper is worth nothing with the devices that there are.
func TestGatesAreHeldAgainstTheDevicesThatThereAre(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.apply(kioskYAML)
	for _, id := range []string{"k1", "k2", "k3"} {
		r.device(id, "acme", deviceops.Active)
	}
	source := strings.Replace(rolloutYAML, "take: 1, gate: { fail: ring.failed >= 1 }", "take: 10, where: device.id == 'k1', gate: { fail: ring.failed >= 2 }", 1)
	var created deviceops.RolloutCreated
	r.as(olga, http.MethodPost, "/v1/rollouts", deviceops.RolloutRequest{Source: source}).into(&created)
	require.True(t, created.Refused)
	require.Contains(t, created.Diagnostics[0].Text, "this never holds in ring canary, which has 1 device at most, so the gate can never fail")
	require.Contains(t, created.Diagnostics[0].Text, "^^^^^^^^^^^^^^^^")
	require.Empty(t, r.orchestrator.starts)

	r.device("k4", "acme", deviceops.Active)
	source = strings.Replace(source, "'k1'", "'k1' || device.id == 'k4'", 1)
	r.as(olga, http.MethodPost, "/v1/rollouts", deviceops.RolloutRequest{Source: source}).into(&created)
	require.True(t, created.Created, "%+v", created.Diagnostics)
	d, err := r.store.FindDevice(t.Context(), "k4")
	require.NoError(t, err)
	d.State = deviceops.Retired
	require.NoError(t, r.store.SaveDevice(t.Context(), &d))
	var again deviceops.RolloutCreated
	r.as(olga, http.MethodPost, "/v1/rollouts", deviceops.RolloutRequest{Source: source}).into(&again)
	require.Equal(t, created.Rollout.ID, again.Rollout.ID, "what was created is not judged again")

	early := strings.Replace(rolloutYAML, "  - { name: everyone }", "  - { name: everyone, gate: { fail: ring.failed >= 10 } }", 1)
	var warned deviceops.RolloutCreated
	r.as(olga, http.MethodPost, "/v1/rollouts", deviceops.RolloutRequest{Source: strings.Replace(early, "night-mode", "day-mode", 1)}).into(&warned)
	require.True(t, warned.Created, "more devices may join the last ring")
	require.Contains(t, warned.Diagnostics[0].Text, "which has 2 devices at most")
}

func TestPreviewsTellOfConflicts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.rollout()
	var told deviceops.RolloutPreviewed
	other := strings.Replace(rolloutYAML, "night-mode", "day-mode", 1)
	r.as(victor, http.MethodPost, "/v1/rollouts:preview", deviceops.RolloutRequest{Source: other + "conflict: refuse\n"}).into(&told)
	require.Contains(t, strings.Join(told.Preview.Notes, "\n"), "2 devices are held by other rollouts, such as k1 by night-mode: it would be refused")
	refused := r.as(olga, http.MethodPost, "/v1/rollouts", deviceops.RolloutRequest{Source: other + "conflict: refuse\n"}).refused(409, deviceops.ECONFLICT)
	require.Contains(t, refused, "rollout day-mode is not created: 2 devices are held by other rollouts, such as k1 by night-mode, and the manifest says conflict: refuse")
	var own deviceops.RolloutPreviewed
	r.as(victor, http.MethodPost, "/v1/rollouts:preview", deviceops.RolloutRequest{Source: rolloutYAML}).into(&own)
	require.NotContains(t, strings.Join(own.Preview.Notes, "\n"), "held", "it does not hold devices against itself")
}

// What a rollout that runs does next is told where it is shown.
func TestRolloutsTellWhatComesNext(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	started := r.rollout()
	started.Status, started.Rings[0].Status, started.Rings[0].OpenedAt = deviceops.RolloutRunning, deviceops.RingRunning, now
	require.NoError(t, r.store.SaveRollout(t.Context(), started))
	next := func() string {
		var report deviceops.RolloutReport
		r.as(victor, http.MethodGet, "/v1/rollouts/night-mode", nil).into(&report)
		require.Equal(t, "config brightness", report.Change)
		return report.Next
	}
	require.Equal(t, "ring canary waits for 1 of its 1 devices", next())
	r.as(olga, http.MethodPost, "/v1/freezes", deviceops.FreezeRequest{Reason: "Black Friday"}).into(&deviceops.Freeze{})
	require.Equal(t, "account acme is frozen by user:olga: Black Friday: nothing leaves before deviceops thaw --account acme", next())
}

func TestAccountsAreFrozen(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var frozen deviceops.Freeze
	r.as(olga, http.MethodPost, "/v1/freezes", deviceops.FreezeRequest{Reason: "Black Friday"}).into(&frozen)
	require.Equal(t, deviceops.Freeze{Account: "acme", Reason: "Black Friday", By: "user:olga", At: now}, frozen)
	require.Equal(t, "account.freeze", r.audited("account:acme").Action)
	r.as(olga, http.MethodPost, "/v1/freezes", deviceops.FreezeRequest{}).refused(409, deviceops.ECONFLICT)

	var list struct{ Items []deviceops.Freeze }
	r.as(victor, http.MethodGet, "/v1/freezes?account=acme/emea", nil).into(&list)
	require.Len(t, list.Items, 1, "a freeze binds the accounts below")
	r.as(olga, http.MethodPost, "/v1/freezes:thaw", deviceops.FreezeRequest{Reason: "over"}).into(&frozen)
	require.WithinDuration(t, now, frozen.At, time.Second)
	r.as(olga, http.MethodPost, "/v1/freezes:thaw", deviceops.FreezeRequest{}).refused(404, deviceops.ENOTFOUND)
}

func TestRolloutStream(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	created := r.rollout()
	found, err := r.store.FindRollout(t.Context(), created.ID)
	require.NoError(t, err)
	found.Status, found.FinishedAt = deviceops.RolloutCanceled, now
	require.NoError(t, r.store.SaveRollout(t.Context(), found))
	told := r.as(victor, http.MethodGet, "/v1/rollouts/night-mode/stream", nil)
	require.Equal(t, 200, told.status)
	require.Contains(t, told.body, "event: rollout\n")
	require.Contains(t, told.body, `"status":"canceled"`)
}
