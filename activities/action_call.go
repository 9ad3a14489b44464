package activities

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/outbound"
)

// Call is what an action knows beside its arguments. What it reaches the world
// through belongs to this one execution.
type Call struct {
	// ID names the effect of the step: the same however often the step is
	// repeated or tried again. Actions make themselves harmless to repeat by it.
	ID      string
	Account string // of the run: the action may reach into it and below
	Run     string // id of the run
	Step    string // id of the step
	By      string // who acts, for the audit log: run:<id>

	in       ActionInput
	deps     Deps
	client   *outbound.Guard
	redactor *deviceops.Redactor
	command  *FollowUp
}

func (a *Runs) call(in ActionInput) *Call {
	deps, redactor := a.deps, &deviceops.Redactor{}
	deps.Log = redactor.Logger(a.deps.log())
	if deps.Secrets != nil {
		deps.Secrets = redactor.Secrets(deps.Secrets)
	}
	return &Call{
		ID: in.effect(), Account: in.Account, Run: in.RunID, Step: in.Step, By: in.By,
		in: in, deps: deps, client: a.client, redactor: redactor,
	}
}

// Now gives the time, to the millisecond.
func (c *Call) Now() time.Time { return c.deps.now() }

// Log gives a logger that writes no secret of this call.
func (c *Call) Log() *slog.Logger { return c.deps.log() }

// Store gives the store. What an action may see of it is for the action to
// check: Account is the bound.
func (c *Call) Store() deviceops.Store { return c.deps.Store }

// Device gives the step's device. EINVALID if the step has none, ENOTFOUND.
func (c *Call) Device(ctx context.Context) (deviceops.Device, error) {
	if c.in.Device == "" {
		return deviceops.Device{}, deviceops.Errorf(deviceops.EINVALID, "%s needs a device: set `device` at the step or for the workflow", c.in.Action)
	}
	return c.deps.device(ctx, c.Account, c.in.Device)
}

// Secret gives the value behind a reference, as an argument with the tag secret
// holds it. From then on the value is taken out of what the action gives, says
// and logs. The codes are those of deviceops.Secrets.
func (c *Call) Secret(ctx context.Context, reference string) (string, error) {
	if c.deps.Secrets == nil {
		return "", deviceops.Errorf(deviceops.EUNAVAILABLE, "this worker has no provider of secrets; name one, such as --secrets-file")
	}
	value, err := c.deps.Secrets.Secret(ctx, c.Account, reference)
	return strings.TrimRight(value, "\r\n"), err
}

// Follow has a command sent to the step's device when the action is done; the
// step ends with it.
func (c *Call) Follow(command FollowUp) { c.command = &command }

// output gives what the action leaves behind, without secrets.
func (c *Call) output(v any) ActionOutput {
	out := ActionOutput{Command: c.command}
	switch v := v.(type) {
	case None:
	case deviceops.Device:
		out.Device = &v
	default:
		out.Output = c.redactor.Value(v)
	}
	return out
}

// audit adds a line about the step's doing to the audit log.
func (c *Call) audit(ctx context.Context, tx deviceops.Tx, account, action, target, reason string, evidence map[string]any) error {
	all := map[string]any{"run": c.Run, "step": c.Step}
	for name, value := range evidence {
		all[name] = value
	}
	return tx.AppendAudit(ctx, deviceops.AuditEntry{
		At: c.Now(), Account: account, Actor: c.By, Action: action, Target: target, Reason: reason, Evidence: all,
	})
}

// failure is an answer that an action got and that the workflow judges.
type failure struct{ deviceops.RunError }

// Error implements error.
func (f *failure) Error() string { return f.Message }

// Fail gives the failure of an action that did reach the world: the engine does
// not repeat it by itself, and the step's retry decides, by e.Retryable where
// it says nothing else. Any other error of an action is repeated if its code is
// EUNAVAILABLE or EINTERNAL.
func Fail(e deviceops.RunError) error { return &failure{e} }

func failureIn(err error) *deviceops.RunError {
	var f *failure
	if errors.As(err, &f) {
		return &f.RunError
	}
	return nil
}

// retryAfterField is where the data of a failure says how many seconds to leave
// the other side alone.
const retryAfterField = "retry_after_s"

// RetryAfter gives how long the other side wants to be left alone before the
// next try; 0: it said nothing.
func RetryAfter(e *deviceops.RunError) time.Duration {
	if e == nil {
		return 0
	}
	switch seconds := e.Data[retryAfterField].(type) {
	case int64:
		return time.Duration(seconds) * time.Second
	case float64:
		return time.Duration(seconds * float64(time.Second))
	default:
		return 0
	}
}
