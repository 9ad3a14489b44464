package activities

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/deviceops/deviceops"
)

// CommandInput asks for one attempt of a command.
type CommandInput struct {
	ID        string         `json:"id"`
	Account   string         `json:"account"` // the device has to be in it or below it
	Device    string         `json:"device"`
	Name      string         `json:"name"`
	Args      map[string]any `json:"args,omitempty"`
	Attempt   int            `json:"attempt"` // from 1
	By        string         `json:"by"`
	Reason    string         `json:"reason,omitempty"`
	ExpiresAt time.Time      `json:"expires_at"` // the device must not begin after this

	// Prepared says that the arguments need no check and Exclusive is set: the
	// workflow built a reserved command for a device that it looked at.
	Prepared  bool `json:"prepared,omitempty"`
	Exclusive bool `json:"exclusive,omitempty"`

	// OnlineOnly says that a device that is not online now does not get the
	// command later: the attempt fails with the code offline.
	OnlineOnly bool `json:"online_only,omitempty"`

	// Run carries rows of the timeline that are to be saved first; nil: none.
	Run *deviceops.Run `json:"run,omitempty"`
}

// CommandOutput is what a command that succeeded gives.
type CommandOutput struct {
	Output map[string]any `json:"output,omitempty"`
}

// Commands sends commands and ends them.
type Commands struct{ deps Deps }

// Execute makes sure that a command is on its way and leaves: the activity is
// ended by whoever stores the device's answer. Each time Temporal runs it again,
// because its lease ran out, it reads the command's row: an answer whose
// notification was lost is found there.
//
// The error of an attempt that failed is the device's own (see CommandResult).
// EINVALID, ENOTFOUND and ECONFLICT when the command cannot be given at all.
func (a *Commands) Execute(ctx context.Context, in CommandInput) (CommandOutput, error) {
	if in.Run != nil {
		if err := a.deps.Store.SaveRun(ctx, *in.Run); err != nil {
			return CommandOutput{}, Failure(err)
		}
	}
	c, err := a.ensure(ctx, in)
	if err == nil && c.Confirmable() && !c.Status.Terminal() {
		c, err = a.confirm(ctx, c)
	}
	if err != nil {
		return CommandOutput{}, Failure(err)
	}
	if c.Status.Terminal() {
		return CommandResult(c)
	}
	a.dispatch(ctx, c)
	return CommandOutput{}, activity.ErrResultPending
}

// ensure gives the command's row with the attempt that is asked for and this
// activity as its waiter.
func (a *Commands) ensure(ctx context.Context, in CommandInput) (deviceops.Command, error) {
	if activity.GetInfo(ctx).Attempt > 1 { // most likely it is there
		stored, err := a.deps.Store.FindCommand(ctx, in.ID)
		if err == nil && stored.Attempt >= in.Attempt || err != nil && deviceops.ErrorCode(err) != deviceops.ENOTFOUND {
			return stored, stale(stored, in, err)
		}
	}
	c, err := a.prepare(ctx, in)
	if err != nil {
		return deviceops.Command{}, err
	}
	stored, created, err := a.deps.Store.CreateCommand(ctx, c)
	if err != nil || created {
		return stored, err
	}
	if stored.Attempt > in.Attempt {
		return stored, stale(stored, in, nil)
	}
	return a.wait(ctx, in, *c.Waiter)
}

// stale refuses to answer for an attempt that a later one has replaced.
func stale(stored deviceops.Command, in CommandInput, err error) error {
	if err == nil && stored.Attempt > in.Attempt {
		return deviceops.Errorf(deviceops.ECONFLICT, "attempt %d of command %s is over: attempt %d was made since", in.Attempt, in.ID, stored.Attempt)
	}
	return err
}

// prepare checks the command against its device and the device's profile.
func (a *Commands) prepare(ctx context.Context, in CommandInput) (deviceops.Command, error) {
	now := a.deps.now()
	info := activity.GetInfo(ctx)
	c := deviceops.Command{
		ID: in.ID, Account: in.Account, Device: in.Device, Name: in.Name, Args: in.Args, Attempt: in.Attempt,
		Exclusive: in.Exclusive, Status: deviceops.CommandPending, By: in.By, Reason: in.Reason,
		Waiter:    &deviceops.ActivityRef{Workflow: info.WorkflowExecution.ID, Activity: info.ActivityID},
		CreatedAt: now, DueAt: now, ExpiresAt: in.ExpiresAt,
	}
	if in.Prepared {
		return c, nil
	}
	device, spec, err := a.spec(ctx, in.Account, in.Device, in.Name)
	if err != nil {
		return c, err
	}
	if device.State == deviceops.Quarantined || device.State == deviceops.Retired {
		return c, deviceops.Errorf(deviceops.ECONFLICT, "device %s is %s and gets no commands", device.ID, device.State)
	}
	if in.OnlineOnly && device.Session.Connectivity != deviceops.Online {
		return c, offline(device)
	}
	c.Account, c.Exclusive = device.Account, spec.Exclusive
	c.Args, err = deviceops.WholeMap(ctx, a.deps.Store, in.Account, in.Args, maxFetched)
	if err == nil && spec.Prepare != nil {
		c.Args, err = spec.Prepare(c.Args)
	}
	return c, err
}

// StatusOffline is the status, in the data of a failure, of a command that was
// not sent because its device is not online.
const StatusOffline = "offline"

// offline is the failure of a command that does not wait for its device.
func offline(d deviceops.Device) error {
	return RunFailure(&deviceops.RunError{
		Code: StatusOffline, Message: "device " + d.ID + " is not online", Retryable: true,
		Data: map[string]any{"status": StatusOffline},
	})
}

func (a *Commands) spec(ctx context.Context, account, id, name string) (deviceops.Device, deviceops.CommandSpec, error) {
	device, err := a.deps.device(ctx, account, id)
	if err != nil {
		return device, deviceops.CommandSpec{}, err
	}
	profile, err := a.deps.Catalog.Profile(ctx, device.Account, device.Profile)
	if err != nil {
		return device, deviceops.CommandSpec{}, err
	}
	spec, err := profile.Command(name)
	return device, spec, err
}

// wait makes this activity the one that waits for a command that exists and,
// where the device reported the attempt before as failed, begins the next.
func (a *Commands) wait(ctx context.Context, in CommandInput, waiter deviceops.ActivityRef) (c deviceops.Command, err error) {
	err = a.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		locked, err := lockCommand(ctx, tx, in.ID)
		if err != nil {
			return err
		}
		retried := locked.Retry(in.Attempt, a.deps.now())
		if !retried && locked.Status.Terminal() {
			c = *locked
			return nil
		}
		locked.Waiter, locked.ExpiresAt = &waiter, in.ExpiresAt
		c = *locked
		return tx.SaveCommands(ctx, []deviceops.Command{c})
	})
	return c, err
}

// confirm ends a command that its device has fulfilled. What a device reports
// ends commands in flight; this finds the report that came too early for that.
func (a *Commands) confirm(ctx context.Context, c deviceops.Command) (deviceops.Command, error) {
	d, err := a.deps.Store.FindDevice(ctx, c.Device)
	if err != nil || !c.Fulfilled(&d) {
		return c, err
	}
	err = a.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		locked, err := lockCommand(ctx, tx, c.ID)
		if err != nil {
			return err
		}
		if locked.Fulfilled(&d) {
			locked.Percent = 100
			locked.Finish(deviceops.CommandSucceeded, nil, a.deps.now())
		}
		c = *locked
		return tx.SaveCommands(ctx, []deviceops.Command{c})
	})
	return c, err
}

func lockCommand(ctx context.Context, tx deviceops.Tx, id string) (*deviceops.Command, error) {
	locked, err := tx.LockCommands(ctx, []string{id})
	if err != nil {
		return nil, err
	}
	c, ok := locked[id]
	if !ok {
		return nil, deviceops.Errorf(deviceops.ENOTFOUND, "there is no command %s", id)
	}
	return c, nil
}

// dispatch publishes the command if it is due. A failure is only logged: the
// sweeper, the device's next hello and this activity's next lease publish it.
func (a *Commands) dispatch(ctx context.Context, c deviceops.Command) {
	now := a.deps.now()
	if !c.Due(now) {
		return
	}
	_, err := a.deps.dispatcher().Dispatch(ctx, deviceops.ClaimQuery{Now: now, IDs: []string{c.ID}, Limit: 1})
	if err != nil {
		a.deps.log().WarnContext(ctx, "a command could not be published and will be tried again", "command", c.ID, "device", c.Device, "err", err)
	}
}

// CommandResult gives what a command that has ended means to whoever waits for
// it. Every status but succeeded is a failure with the device's code, else with
// failed, rejected, canceled or timeout; its data names the command, its
// attempt and status. Expired commands had an unknown effect. A large output
// refers to the command's row for its large parts.
func CommandResult(c deviceops.Command) (CommandOutput, error) {
	if c.Status == deviceops.CommandSucceeded {
		return commandOutput(c)
	}
	if !c.Status.Terminal() {
		return CommandOutput{}, Failure(deviceops.Errorf(deviceops.EINTERNAL, "command %s has not ended", c.ID))
	}
	cause := &deviceops.RunError{
		Code: string(c.Status), Message: "the device gave no reason",
		Data: map[string]any{"command": c.ID, "attempt": c.Attempt, "status": string(c.Status)},
	}
	if c.Status == deviceops.CommandExpired {
		cause.Code = deviceops.ETIMEOUT
	}
	if c.Error != nil {
		cause.Code, cause.Message, cause.Retryable = c.Error.Code, c.Error.Message, c.Error.Retryable
	}
	return CommandOutput{}, RunFailure(cause)
}

func commandOutput(c deviceops.Command) (CommandOutput, error) {
	if c.Output == nil {
		return CommandOutput{}, nil
	}
	slim, _, err := deviceops.Slim(c.Output, deviceops.CommandRef(c.ID))
	if err != nil {
		return CommandOutput{}, Failure(err)
	}
	output, _ := slim.(map[string]any)
	return CommandOutput{Output: output}, nil
}

// CloseInput ends a command that its workflow no longer waits for.
type CloseInput struct {
	ID     string                  `json:"id"`
	Status deviceops.CommandStatus `json:"status"` // expired or canceled
	Reason string                  `json:"reason"`
}

// cancelPatience is how long a device has to say what became of a command that
// was called off.
const cancelPatience = 2 * time.Minute

// Close ends a command from the engine's side and gives its result as Execute
// does: an answer that came in the last moment counts. A command that the
// device may be executing is called off there. A canceled one then stays open
// for the device's word; an expired one is ended, since nobody waits for it.
// A command that was never made is canceled already.
func (a *Commands) Close(ctx context.Context, in CloseInput) (CommandOutput, error) {
	var c deviceops.Command
	var callOff bool
	err := a.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		locked, err := lockCommand(ctx, tx, in.ID)
		if err != nil {
			return err
		}
		callOff = closeCommand(locked, in, a.deps.now())
		c = *locked
		return tx.SaveCommands(ctx, []deviceops.Command{c})
	})
	if deviceops.ErrorCode(err) == deviceops.ENOTFOUND {
		return CommandResult(deviceops.Command{ID: in.ID, Status: in.Status, Error: closeError(in)})
	}
	if err != nil {
		return CommandOutput{}, Failure(err)
	}
	if callOff {
		a.callOff(ctx, c)
	}
	if !c.Status.Terminal() {
		c.Status, c.Error = in.Status, closeError(in)
	}
	return CommandResult(c)
}

// closeCommand reports whether the device has to be told.
func closeCommand(c *deviceops.Command, in CloseInput, now time.Time) (callOff bool) {
	if c.Status.Terminal() {
		return false
	}
	callOff = c.Status.InFlight() || c.LeasedUntil.After(now)
	c.Waiter = nil
	if callOff && in.Status == deviceops.CommandCanceled {
		c.CancelAsked = true
		// It is due no more, so that it is not sent again to a device that
		// never got it; the sweeper ends it if the device stays silent.
		c.ExpiresAt = now.Add(cancelPatience)
		c.DueAt = c.ExpiresAt
		return true
	}
	c.Finish(in.Status, closeError(in), now)
	return callOff
}

func closeError(in CloseInput) *deviceops.CommandError {
	code := deviceops.ECANCELED
	if in.Status == deviceops.CommandExpired {
		code = deviceops.ETIMEOUT
	}
	return &deviceops.CommandError{Code: code, Message: in.Reason}
}

// callOff tells the device. It may be too late for that, or the broker out of
// reach; neither changes what the engine knows.
func (a *Commands) callOff(ctx context.Context, c deviceops.Command) {
	if err := a.deps.Gateway.PublishCancel(ctx, c.Device, c.ID); err != nil && !errors.Is(err, context.Canceled) {
		a.deps.log().WarnContext(ctx, "a cancel could not be published", "command", c.ID, "device", c.Device, "err", err)
	}
}

// CommandTimeoutInput names a command of a device.
type CommandTimeoutInput struct {
	Account string `json:"account"`
	Device  string `json:"device"`
	Name    string `json:"name"`
}

// Timeout gives how long a command may take where its step does not say: what
// the device's profile says, else DefaultCommandTimeout. ENOTFOUND.
func (a *Commands) Timeout(ctx context.Context, in CommandTimeoutInput) (time.Duration, error) {
	_, spec, err := a.spec(ctx, in.Account, in.Device, in.Name)
	if err != nil {
		return 0, Failure(err)
	}
	if spec.Timeout > 0 {
		return spec.Timeout, nil
	}
	return deviceops.DefaultCommandTimeout, nil
}
