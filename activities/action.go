package activities

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/deviceops/deviceops"
)

// ActionInput asks for one action of a run.
type ActionInput struct {
	Action  string         `json:"action"`
	Account string         `json:"account"`          // that of the run: the action may reach into it and below
	Device  string         `json:"device,omitempty"` // of the step; "": none
	Args    map[string]any `json:"args,omitempty"`
	RunID   string         `json:"run_id"`
	Step    string         `json:"step"`
	Branch  string         `json:"branch,omitempty"` // tells the branches of a run apart; "": the run itself
	Round   int            `json:"round,omitempty"`  // how often the step was begun before
	By      string         `json:"by"`               // who acts: run:<id>

	// Run carries rows of the timeline that are to be saved first; nil: none.
	Run *deviceops.Run `json:"run,omitempty"`
}

// effect names what the step does: the same however often it is repeated or
// tried again, and another one in the next round of a loop and
// in another branch.
func (in ActionInput) effect() string {
	step := in.Step
	if in.Branch != "" {
		step += "." + in.Branch
	}
	return in.RunID + "." + step + "." + strconv.Itoa(in.Round)
}

// ActionOutput is what an action gives.
type ActionOutput struct {
	Output any `json:"output,omitempty"`
	// Device is the output instead, where it is a device: the workflow shows it
	// as expressions see devices.
	Device *deviceops.Device `json:"device,omitempty"`
	// Command is to be sent to the step's device next; the step ends with it.
	// Nil: the step has ended.
	Command *FollowUp `json:"command,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler: whole numbers of the output stay
// exact, whatever their size.
func (o *ActionOutput) UnmarshalJSON(data []byte) error {
	var wire struct {
		Output  json.RawMessage   `json:"output"`
		Device  *deviceops.Device `json:"device"`
		Command *FollowUp         `json:"command"`
	}
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	*o = ActionOutput{Device: wire.Device, Command: wire.Command}
	if wire.Output == nil {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(wire.Output))
	decoder.UseNumber()
	err := decoder.Decode(&o.Output)
	o.Output = deviceops.ExactNumbers(o.Output)
	return err
}

// FollowUp is a command by which an action reaches the device itself.
type FollowUp struct {
	Name string         `json:"name"`
	Args map[string]any `json:"args,omitempty"`
}

// patientAttempts is how often an action is performed that fails for a reason
// that nobody foresaw. Beyond it the failure is the step's.
const patientAttempts = 5

// Action performs an action by name. ENOTFOUND for a name that is none, EINVALID
// for arguments of the wrong type; else the codes of the action itself. No
// secret that the action was given leaves it: outputs, errors and log lines are
// redacted.
func (a *Runs) Action(ctx context.Context, in ActionInput) (ActionOutput, error) {
	if in.Run != nil {
		if err := a.deps.Store.SaveRun(ctx, *in.Run); err != nil {
			return ActionOutput{}, Failure(err)
		}
	}
	limited, stop := inTime(ctx)
	defer stop()
	limited, still := withPulse(limited, actionPatience)
	defer still()
	call := a.call(in)
	out, err := a.perform(limited, call)
	switch {
	case err == nil:
		return out, nil
	case limited.Err() == context.DeadlineExceeded && failureIn(err) == nil:
		err = Fail(deviceops.RunError{Code: deviceops.ETIMEOUT, Message: "the action took too long; attempt_timeout sets its time", Retryable: true})
	}
	return ActionOutput{}, actionFailure(err, call.redactor, activity.GetInfo(ctx).Attempt)
}

// perform performs an action with its whole arguments. What it gives is slim.
func (a *Runs) perform(ctx context.Context, call *Call) (ActionOutput, error) {
	args, err := deviceops.WholeMap(ctx, call.Store(), call.Account, call.in.Args, maxFetched)
	if err != nil {
		return ActionOutput{}, err
	}
	call.in.Args = args
	given, err := a.actions.perform(ctx, call)
	if err != nil {
		return ActionOutput{}, err
	}
	out := call.output(given)
	if out.Output, err = a.deps.keep(ctx, call.Run, out.Output); err != nil || out.Command == nil {
		return out, err
	}
	command := *out.Command
	slim, err := a.deps.keep(ctx, call.Run, command.Args)
	command.Args, _ = slim.(map[string]any)
	out.Command = &command
	return out, err
}

// inTime gives a context that ends before the activity's time does, so that what
// took too long is an answer, which Temporal does not repeat.
func inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(time.Second, time.Until(deadline)/4)))
}

// actionFailure gives the failure of an action the form in which it crosses
// Temporal, without secrets.
func actionFailure(err error, redactor *deviceops.Redactor, attempt int32) error {
	if failed := failureIn(err); failed != nil {
		clean := *failed
		clean.Message = redactor.Text(clean.Message)
		clean.Data, _ = redactor.Value(clean.Data).(map[string]any)
		return RunFailure(&clean)
	}
	var waiting *temporal.ApplicationError
	if errors.As(err, &waiting) { // see notYet; it tells nothing but how far things are
		return err
	}
	err = redactor.Error(err)
	if deviceops.ErrorCode(err) == deviceops.EINTERNAL && attempt >= patientAttempts {
		return RunFailure(&deviceops.RunError{Code: deviceops.EINTERNAL, Message: deviceops.ErrorMessage(err), Retryable: true})
	}
	return Failure(err)
}
