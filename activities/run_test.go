package activities_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

var run = deviceops.Run{ID: "r1", Account: "acme/shops", Workflow: "reboot", Version: 1, Device: "k1", StartedBy: "user:maria"}

// publish stores a workflow in account acme.
func (w *world) publish(t *testing.T, hash string) {
	t.Helper()
	_, _, err := w.store.PublishDocument(t.Context(), deviceops.Document{
		Account: "acme", Kind: deviceops.KindWorkflow, Name: "reboot", Hash: hash, Source: "workflow: reboot", PublishedAt: noon, PublishedBy: "user:maria",
	})
	require.NoError(t, err)
}

func TestPinGivesTheDefinitionAndMakesTheRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t, "h1")
	w.publish(t, "h2")
	pin := func(r deviceops.Run) activities.PinOutput {
		out, err := do[activities.PinOutput](w, activities.NamePinDefinition, activities.PinInput{Run: r})
		require.NoError(t, err)
		return out
	}
	require.Equal(t, activities.PinOutput{Version: 1, Hash: "h1", Source: "workflow: reboot"}, pin(run))
	require.Equal(t, pin(run), pin(run), "repeated, it says the same")
	newest := run
	newest.ID, newest.Version = "r2", 0
	require.Equal(t, 2, pin(newest).Version)

	stored, err := w.store.FindRun(t.Context(), "r2")
	require.NoError(t, err)
	require.Equal(t, deviceops.RunRunning, stored.Status)
	require.Equal(t, 2, stored.Version)
	require.Equal(t, noon, stored.StartedAt.UTC())
}

func TestPinRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := do[activities.PinOutput](w, activities.NamePinDefinition, activities.PinInput{Run: run})
	requireCode(t, deviceops.ENOTFOUND, err)
	stored, err := w.store.FindRun(t.Context(), "r1")
	require.NoError(t, err, "a run that cannot begin has a row that says so")
	require.Equal(t, "reboot", stored.Workflow)

	w.publish(t, "h1")
	changed := run
	changed.Hash = "h0"
	_, err = do[activities.PinOutput](w, activities.NamePinDefinition, activities.PinInput{Run: changed})
	requireCode(t, deviceops.ECONFLICT, err)
}

func TestSaveRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.store.CreateRun(t.Context(), run)
	require.NoError(t, err)
	r := run
	r.Status, r.Error = deviceops.RunFailed, &deviceops.RunError{Code: "busy", Message: "in use", Step: "a"}
	r.Steps = []deviceops.RunStep{{Index: 0, Step: "a", Verb: "command", Status: deviceops.RunFailed, StartedAt: noon}}
	_, err = do[any](w, activities.NameSaveRun, r)
	require.NoError(t, err)
	stored, err := w.store.FindRun(t.Context(), "r1")
	require.NoError(t, err)
	require.Equal(t, deviceops.RunFailed, stored.Status)
	require.Equal(t, "busy", stored.Error.Code)
	require.Len(t, stored.Steps, 1)
}

func TestRowsRideWithACommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Active)
	_, err := w.store.CreateRun(t.Context(), run)
	require.NoError(t, err)
	in := ping("c1", 1)
	in.Run = &deviceops.Run{ID: "r1", Status: deviceops.RunWaiting, Steps: []deviceops.RunStep{{Index: 0, Step: "a", Verb: "command", Status: deviceops.RunWaiting}}}
	_, err = execute(w, in)
	requirePending(t, err)
	stored, err := w.store.FindRun(t.Context(), "r1")
	require.NoError(t, err)
	require.Equal(t, deviceops.RunWaiting, stored.Status)
	require.Len(t, stored.Steps, 1)
}

func TestFactsStayWithinTheAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Active)
	d, err := do[deviceops.Device](w, activities.NameDeviceFacts, activities.FactsInput{Account: "acme", Device: "k1"})
	require.NoError(t, err)
	require.Equal(t, deviceops.Active, d.State)
	_, err = do[deviceops.Device](w, activities.NameDeviceFacts, activities.FactsInput{Account: "acme/shops", Device: "k1"})
	requireCode(t, deviceops.ENOTFOUND, err)
}

func (w *world) act(name string, args map[string]any) (activities.ActionOutput, error) {
	return do[activities.ActionOutput](w, activities.NameAction, activities.ActionInput{
		Action: name, Account: "acme", Device: "k1", Args: args, RunID: "r1", Step: "a", By: "run:r1",
	})
}

func TestActions(t *testing.T) {
	t.Parallel()
	t.Run("device.transition", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.device(t, "k1", deviceops.Active)
		out, err := w.act("device.transition", map[string]any{"to": "maintenance", "reason": "panel"})
		require.NoError(t, err)
		require.Equal(t, map[string]any{"state": "maintenance", "previous": "active"}, out.Output)
		d := w.find(t, "k1")
		require.Equal(t, deviceops.Maintenance, d.State)
		require.Equal(t, "panel", d.StateReason)
		_, err = w.act("device.transition", map[string]any{"to": "escrow"})
		requireCode(t, deviceops.ECONFLICT, err)
	})
	t.Run("device.get", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.device(t, "k1", deviceops.Active)
		out, err := w.act("device.get", nil)
		require.NoError(t, err)
		require.Equal(t, "sn-k1", out.Device.Serial)
	})
	t.Run("device.configure", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.device(t, "k1", deviceops.Active)
		for range 2 { // repeated, it changes nothing more
			out, err := w.act("device.configure", map[string]any{"configuration": map[string]any{"brightness": 10}})
			require.NoError(t, err)
			require.Equal(t, map[string]any{"version": int64(1)}, out.Output)
			require.Equal(t, deviceops.CommandConfigure, out.Command.Name)
			require.Equal(t, map[string]any{"brightness": 10.0}, out.Command.Args["configuration"])
		}
		require.EqualValues(t, 1, w.find(t, "k1").Twin.Desired.Version)
	})
	t.Run("log", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.device(t, "k1", deviceops.Active)
		_, err := w.act("log", map[string]any{"message": "hello", "level": "warning"})
		require.NoError(t, err)
		events := w.events(t, "k1", activities.EventRunLog)
		require.Len(t, events, 1)
		require.Equal(t, "warning", events[0].Severity)
		require.Equal(t, "hello", events[0].Data["text"])
		_, err = w.act("log", map[string]any{"message": "hello", "level": "loud"})
		requireCode(t, deviceops.EINVALID, err)
	})
	t.Run("none of this name", func(t *testing.T) {
		t.Parallel()
		_, err := newWorld(t).act("dance", nil)
		cause := requireCode(t, deviceops.ENOTFOUND, err)
		require.Contains(t, cause.Message, `there is no action "dance"; there are [channel.call device.configure device.find `)
	})
	t.Run("arguments of the wrong type", func(t *testing.T) {
		t.Parallel()
		_, err := newWorld(t).act("log", map[string]any{"message": 7})
		requireCode(t, deviceops.EINVALID, err)
	})
	t.Run("no device", func(t *testing.T) {
		t.Parallel()
		_, err := do[activities.ActionOutput](newWorld(t), activities.NameAction, activities.ActionInput{Action: "device.get", Account: "acme"})
		requireCode(t, deviceops.EINVALID, err)
	})
}

// Four eyes have to know who started the run that another one goes on with.
func TestPinNamesThePeopleBehindARerun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(t, "h1")
	for id, by := range map[string]string{"r0": "user:anna", "r1": "run:r0"} {
		r := run
		r.ID, r.StartedBy, r.Status, r.StartedAt = id, by, deviceops.RunFailed, noon
		_, err := w.store.CreateRun(t.Context(), r)
		require.NoError(t, err)
	}
	again := run
	again.ID, again.StartedBy, again.RerunOf = "r2", "user:peter", &deviceops.RunOrigin{Run: "r1", Step: "b"}
	out, err := do[activities.PinOutput](w, activities.NamePinDefinition, activities.PinInput{Run: again})
	require.NoError(t, err)
	require.Equal(t, []string{"run:r0", "user:anna"}, out.Behind)
}

func TestRecallGivesWhatWasCopied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := run
	r.Status, r.StartedAt = deviceops.RunRunning, noon
	row := deviceops.RunStep{Step: "a", Verb: "set", Status: deviceops.RunSucceeded, Input: "long", Output: "seven", Vars: map[string]any{"x": 1.0}, Copied: true}
	r.Steps = []deviceops.RunStep{row, {Index: 1, Step: "b", Verb: "set", Status: deviceops.RunRunning}}
	_, err := w.store.CreateRun(t.Context(), r)
	require.NoError(t, err)
	out, err := do[activities.RecallOutput](w, activities.NameRecallSteps, activities.RecallInput{Run: r.ID})
	require.NoError(t, err)
	row.Input = nil
	require.Equal(t, []deviceops.RunStep{row}, out.Steps)
	_, err = do[activities.RecallOutput](w, activities.NameRecallSteps, activities.RecallInput{Run: "r9"})
	requireCode(t, deviceops.ENOTFOUND, err)
}

func TestSavePauseAuditsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := run
	r.Status, r.StartedAt = deviceops.RunRunning, noon
	_, err := w.store.CreateRun(t.Context(), r)
	require.NoError(t, err)
	in := activities.PauseInput{
		Kind: activities.ChangePaused, By: "user:maria", Reason: "smoke", At: noon,
		Run: deviceops.Run{ID: r.ID, Account: r.Account, Status: deviceops.RunPaused, Paused: &deviceops.RunPause{Since: noon, By: "user:maria", Reason: "smoke"}},
	}
	for range 2 { // the second is a repetition
		_, err = do[any](w, activities.NameSavePause, in)
		require.NoError(t, err)
	}
	stored, err := w.store.FindRun(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, deviceops.RunPaused, stored.Status)
	audit, err := w.store.ListAudit(t.Context(), deviceops.AuditFilter{Target: "run:r1"})
	require.NoError(t, err)
	require.Len(t, audit, 1)
	require.Equal(t, "run.pause user:maria smoke acme/shops", audit[0].Action+" "+audit[0].Actor+" "+audit[0].Reason+" "+audit[0].Account)
}
