package workflows_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/starter"
	"github.com/deviceops/deviceops/workflows"
)

// noon is when every workflow of these tests begins.
var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// errSilence stands for a device that did not answer until the activity's time
// was over, errPending for one that is still waited for.
var (
	errSilence = temporal.NewTimeoutError(enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, nil)
	errPending = errors.New("pending")
)

// world stands in for all activities and records what workflows ask of them.
// Fields may be replaced before the workflow is executed.
type world struct {
	*testsuite.TestWorkflowEnvironment
	mu sync.Mutex

	begin   func(activities.BeginInput) (activities.BeginOutput, error)
	verify  func(activities.VerifyInput) (activities.VerifyOutput, error)
	command func(activities.CommandInput) (activities.CommandOutput, error)
	end     func(activities.EndInput) (activities.EndOutput, error)
	closing func(activities.CloseInput) (activities.CommandOutput, error)
	action  func(activities.ActionInput) (activities.ActionOutput, error)
	facts   func() deviceops.Device
	keep    func(activities.KeepInput) (activities.ActionOutput, error)
	watch   func(activities.WatchInput) (activities.WatchOutput, error)
	sources map[string]string // by name of workflow
	copied  []deviceops.RunStep

	commands  []activities.CommandInput
	verified  []activities.VerifyInput
	ended     []activities.EndInput
	closed    []activities.CloseInput
	notes     []activities.NoteInput
	approvals []deviceops.Approval
	actions   []activities.ActionInput
	emitted   []activities.EmitInput
	watched   []activities.WatchInput
	saved     []deviceops.Run
	paused    []activities.PauseInput
	kept      []activities.KeepInput
}

func newWorld(t *testing.T, options ...workflows.Option) *world {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(quiet{})
	w := &world{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), sources: map[string]string{}}
	w.SetStartTime(noon)
	w.SetDataConverter(starter.DataConverter())
	w.SetTestTimeout(time.Minute)
	w.defaults()
	workflows.Register(w, options...)
	w.register()
	return w
}

func (w *world) defaults() {
	w.begin = func(activities.BeginInput) (activities.BeginOutput, error) { return plan(), nil }
	w.verify = func(activities.VerifyInput) (activities.VerifyOutput, error) {
		return activities.VerifyOutput{Done: true}, nil
	}
	w.command = func(activities.CommandInput) (activities.CommandOutput, error) {
		return activities.CommandOutput{}, nil
	}
	w.end = func(in activities.EndInput) (activities.EndOutput, error) {
		return activities.EndOutput{State: in.To}, nil
	}
	w.closing = func(in activities.CloseInput) (activities.CommandOutput, error) {
		return activities.CommandResult(deviceops.Command{ID: in.ID, Attempt: 1, Status: in.Status, Error: &deviceops.CommandError{Code: "timeout", Message: in.Reason}})
	}
	w.action = func(activities.ActionInput) (activities.ActionOutput, error) { return activities.ActionOutput{}, nil }
	w.watch = func(activities.WatchInput) (activities.WatchOutput, error) {
		return activities.WatchOutput{}, temporal.NewTimeoutError(enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE, nil)
	}
	w.keep = func(in activities.KeepInput) (activities.ActionOutput, error) {
		slim, _, err := deviceops.SlimOwn(in.Output, deviceops.OutputRef)
		return activities.ActionOutput{Output: slim}, err
	}
	w.facts = func() deviceops.Device { return deviceops.Device{ID: "k1", State: deviceops.Active} }
}

// plan is what has to be done with a device that needs nothing but its
// configuration.
func plan() activities.BeginOutput {
	return activities.BeginOutput{
		Outcome: activities.OutcomeProvision, Account: "acme", Profile: "kiosk", Since: noon, Version: 1,
		Configure: map[string]any{"version": 1}, Timeout: time.Hour, Retries: 2,
	}
}

// note records an input under the lock and gives what the stub answers.
func note[I, O any](w *world, into *[]I, in I, answer func(I) (O, error)) (O, error) {
	w.mu.Lock()
	*into = append(*into, in)
	w.mu.Unlock()
	out, err := answer(in)
	return out, activities.Failure(err)
}

func (w *world) register() {
	for name, stub := range map[string]any{
		activities.NameBeginProvision: func(_ context.Context, in activities.BeginInput) (activities.BeginOutput, error) {
			out, err := w.begin(in)
			return out, activities.Failure(err)
		},
		activities.NameVerifyProvision: func(_ context.Context, in activities.VerifyInput) (activities.VerifyOutput, error) {
			return note(w, &w.verified, in, w.verify)
		},
		activities.NameEndProvision: func(_ context.Context, in activities.EndInput) (activities.EndOutput, error) {
			return note(w, &w.ended, in, w.end)
		},
		activities.NameNoteProvision: func(_ context.Context, in activities.NoteInput) error {
			_, err := note(w, &w.notes, in, func(activities.NoteInput) (bool, error) { return true, nil })
			return err
		},
		activities.NameCloseCommand: func(_ context.Context, in activities.CloseInput) (activities.CommandOutput, error) {
			return note(w, &w.closed, in, w.closing)
		},
		activities.NameCommandTimeout: func(context.Context, activities.CommandTimeoutInput) (time.Duration, error) {
			return 10 * time.Minute, nil
		},
		activities.NameExecuteCommand: w.executeCommand,
		activities.NameSaveApproval: func(_ context.Context, in activities.ApprovalInput) error {
			_, err := note(w, &w.approvals, in.Approval, func(deviceops.Approval) (bool, error) { return true, nil })
			return err
		},
		activities.NamePinDefinition: w.pin,
		activities.NameSaveRun: func(_ context.Context, in deviceops.Run) error {
			_, err := note(w, &w.saved, in, func(deviceops.Run) (bool, error) { return true, nil })
			return err
		},
		activities.NameSavePause: func(_ context.Context, in activities.PauseInput) error {
			_, err := note(w, &w.paused, in, func(activities.PauseInput) (bool, error) { return true, nil })
			return err
		},
		activities.NameKeepOutput: func(_ context.Context, in activities.KeepInput) (activities.ActionOutput, error) {
			return note(w, &w.kept, in, w.keep)
		},
		activities.NameRecallSteps: func(context.Context, activities.RecallInput) (activities.RecallOutput, error) {
			return activities.RecallOutput{Steps: w.copied}, nil
		},
		activities.NameDeviceFacts: func(context.Context, activities.FactsInput) (deviceops.Device, error) { return w.facts(), nil },
		activities.NameEmitEvent: func(_ context.Context, in activities.EmitInput) error {
			_, err := note(w, &w.emitted, in, func(activities.EmitInput) (bool, error) { return true, nil })
			return err
		},
		activities.NameWatchEvents: func(_ context.Context, in activities.WatchInput) (activities.WatchOutput, error) {
			w.mu.Lock()
			w.watched = append(w.watched, in)
			w.mu.Unlock()
			return w.watch(in)
		},
		activities.NameAction: func(_ context.Context, in activities.ActionInput) (activities.ActionOutput, error) {
			return note(w, &w.actions, in, w.action)
		},
	} {
		w.RegisterActivityWithOptions(stub, activity.RegisterOptions{Name: name})
	}
}

// executeCommand answers for the device.
func (w *world) executeCommand(_ context.Context, in activities.CommandInput) (activities.CommandOutput, error) {
	w.mu.Lock()
	w.commands = append(w.commands, in)
	w.mu.Unlock()
	out, err := w.command(in)
	switch {
	case errors.Is(err, errPending):
		return out, activity.ErrResultPending
	case errors.Is(err, errSilence):
		return out, err
	}
	return out, activities.Failure(err)
}

func (w *world) pin(_ context.Context, in activities.PinInput) (activities.PinOutput, error) {
	source, ok := w.sources[in.Run.Workflow]
	if !ok {
		return activities.PinOutput{}, activities.Failure(deviceops.Errorf(deviceops.ENOTFOUND, "there is no workflow %s", in.Run.Workflow))
	}
	return activities.PinOutput{Version: 1, Hash: source, Source: source, Engine: in.Engine}, nil
}

// answered gives what a device's failure looks like to a workflow.
func answered(in activities.CommandInput, status deviceops.CommandStatus, code string, retryable bool) (activities.CommandOutput, error) {
	return activities.CommandResult(deviceops.Command{
		ID: in.ID, Attempt: in.Attempt, Status: status,
		Error: &deviceops.CommandError{Code: code, Message: "the device said " + code, Retryable: retryable},
	})
}

// at does something when the workflow's clock has advanced by d.
func (w *world) at(d time.Duration, do func()) { w.RegisterDelayedCallback(do, d) }

// decide sends a decision and hands its fate to then.
func (w *world) decide(d deviceops.Decision, then func(deviceops.Approval, error)) {
	w.UpdateWorkflow(workflows.UpdateDecide, "", &testsuite.TestUpdateCallback{
		OnAccept: func() {},
		OnReject: func(err error) { then(deviceops.Approval{}, activities.DomainError(err)) },
		OnComplete: func(result any, err error) {
			a, _ := result.(deviceops.Approval)
			then(a, activities.DomainError(err))
		},
	}, d)
}

// mustDecide sends a decision that has to be taken.
func (w *world) mustDecide(t *testing.T, d deviceops.Decision) {
	t.Helper()
	w.decide(d, func(_ deviceops.Approval, err error) { require.NoError(t, err) })
}

var maria = deviceops.Principal{Name: "user:maria", Account: "acme", Roles: []string{deviceops.RoleOperator}}

// quiet drops the log of the test environment.
type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}
