package activities

import (
	"context"
	"time"

	"github.com/deviceops/deviceops"
)

// Provision brings devices into the fleet and back out.
type Provision struct{ deps Deps }

// BeginInput asks for the admission of a device.
type BeginInput struct {
	Device     string `json:"device"`
	AdmittedBy string `json:"admitted_by,omitempty"` // the person who let it in; "": it came by itself
}

// BeginOutput says what is to be done with a device. Everything but Outcome and
// Reason is set only for OutcomeProvision.
type BeginOutput struct {
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason,omitempty"` // why not
	Account string  `json:"account,omitempty"`
	Profile string  `json:"profile,omitempty"`

	Since      time.Time                       `json:"since"`                // when it entered provisioning
	Version    int64                           `json:"version"`              // of what is desired
	Configure  map[string]any                  `json:"configure,omitempty"`  // arguments of configure; nil: it is configured
	Components []deviceops.ComponentChange     `json:"components,omitempty"` // what to install
	Want       map[string]deviceops.Constraint `json:"want,omitempty"`       // what the software has to be at the end

	ApproveBy []string      `json:"approve_by,omitempty"` // who has to approve first; nil: nobody
	Workflow  string        `json:"workflow,omitempty"`   // name or name@version of a workflow to run before activation
	Timeout   time.Duration `json:"timeout,omitempty"`
	Retries   int           `json:"retries,omitempty"`
}

// Begin admits a device and says what is to be done with it, or refuses it and
// puts it where it belongs. Repeated, it finds the device as it left it and
// gives the same answer. ENOTFOUND.
func (a *Provision) Begin(ctx context.Context, in BeginInput) (BeginOutput, error) {
	out, err := a.begin(ctx, in)
	return out, Failure(err)
}

func (a *Provision) begin(ctx context.Context, in BeginInput) (BeginOutput, error) {
	d, err := a.deps.Store.FindDevice(ctx, in.Device)
	if err != nil {
		return BeginOutput{}, err
	}
	profile, err := a.deps.Catalog.Profile(ctx, d.Account, d.Profile)
	if err != nil && transient(deviceops.ErrorCode(err)) {
		return BeginOutput{}, err
	}
	byProfile := ""
	if profile != nil {
		byProfile = profile.Provision.Proof
	}
	outcome, reason := admit(d, in.AdmittedBy, byProfile)
	switch outcome {
	case OutcomeIgnored:
		return BeginOutput{Outcome: outcome, Reason: reason}, nil
	case OutcomeRefused:
		return a.turnAway(ctx, d, outcome, deviceops.Quarantined, reason)
	case OutcomeHeld:
		return a.turnAway(ctx, d, outcome, deviceops.Escrow, reason)
	}
	if err == nil {
		return a.enter(ctx, in, d, profile)
	}
	return a.turnAway(ctx, d, OutcomeHeld, deviceops.Escrow, "its profile cannot be used: "+deviceops.ErrorMessage(err))
}

// turnAway ends the provisioning of a device before it began.
func (a *Provision) turnAway(ctx context.Context, d deviceops.Device, o Outcome, to deviceops.State, reason string) (BeginOutput, error) {
	_, err := a.end(ctx, EndInput{Device: d.ID, To: to, Phase: "claim", Reason: reason})
	return BeginOutput{Outcome: o, Reason: reason, Account: d.Account}, err
}

// enter moves a device into provisioning and sets what it should be.
func (a *Provision) enter(ctx context.Context, in BeginInput, d deviceops.Device, p *deviceops.Profile) (BeginOutput, error) {
	plan, err := planBaseline(d, p)
	if err != nil {
		return a.turnAway(ctx, d, OutcomeHeld, deviceops.Escrow, deviceops.ErrorMessage(err))
	}
	var since time.Time
	err = a.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		entered, err := a.transition(ctx, tx, in, d, p)
		if err != nil {
			return err
		}
		since = entered.StateSince
		if !plan.changed {
			return nil
		}
		entered.Twin.Desired = plan.desired
		return tx.SaveDevice(ctx, &entered)
	})
	if err != nil {
		return BeginOutput{}, err
	}
	return beginOutput(in, d, p, plan, since), nil
}

// transition moves d into provisioning unless it is there. A device whose state
// is no longer the one that was judged has to be judged again.
func (a *Provision) transition(ctx context.Context, tx deviceops.Tx, in BeginInput, d deviceops.Device, p *deviceops.Profile) (deviceops.Device, error) {
	locked, err := tx.LockDevices(ctx, []string{d.ID})
	if err != nil {
		return d, err
	}
	if current, ok := locked[d.ID]; !ok || current.State != d.State {
		return d, deviceops.Errorf(deviceops.EUNAVAILABLE, "device %s was changed at the same time", d.ID)
	}
	entered, _, err := deviceops.Transition{
		Device: d.ID, To: deviceops.Provisioning, By: actor(in.AdmittedBy), Reason: admissionReason(in, d),
	}.Apply(ctx, tx, p, a.deps.now())
	return entered, err
}

func admissionReason(in BeginInput, d deviceops.Device) string {
	switch {
	case in.AdmittedBy != "":
		return "admitted by " + in.AdmittedBy
	case d.ClaimHash == "":
		return "its topics are its own, and its profile and serial are those that were registered"
	}
	return "its claim, profile and serial are those that were registered"
}

func beginOutput(in BeginInput, d deviceops.Device, p *deviceops.Profile, plan baseline, since time.Time) BeginOutput {
	out := BeginOutput{
		Outcome: OutcomeProvision, Account: d.Account, Profile: p.Name, Since: since, Version: plan.desired.Version, Components: plan.components,
		Want: plan.want, Workflow: p.Provision.Workflow, Timeout: p.Provision.Timeout, Retries: p.Provision.Retries,
	}
	if d.Twin.Reported.ConfigVersion < plan.desired.Version && p.Takes(deviceops.CommandConfigure) {
		out.Configure = configureArgs(plan.desired)
	}
	if p.Provision.Approve && in.AdmittedBy == "" {
		out.ApproveBy = p.Provision.ApproveBy
		if len(out.ApproveBy) == 0 {
			out.ApproveBy = []string{"role:" + deviceops.RoleOperator}
		}
	}
	if out.Timeout <= 0 {
		out.Timeout = deviceops.DefaultProvisionTimeout
	}
	return out
}

// VerifyInput asks whether a device shows what was wanted of it.
type VerifyInput struct {
	Device   string                          `json:"device"`
	Since    time.Time                       `json:"since"` // when its provisioning began
	Want     map[string]deviceops.Constraint `json:"want,omitempty"`
	Activate bool                            `json:"activate,omitempty"` // make it active if it does
	Insist   bool                            `json:"insist,omitempty"`   // what is missing is an error, to be tried again
}

// VerifyOutput says whether it does.
type VerifyOutput struct {
	Done     bool   `json:"done"`
	WaitsFor string `json:"waits_for,omitempty"` // in words
}

// Verify compares what a device reported with what was wanted and, if asked,
// activates it. ECONFLICT when the device is no longer being provisioned;
// EUNAVAILABLE, with Insist, as long as something is missing.
func (a *Provision) Verify(ctx context.Context, in VerifyInput) (VerifyOutput, error) {
	out, err := a.verify(ctx, in)
	if err == nil && !out.Done && in.Insist {
		err = notYet("device %s has yet to show %s", in.Device, out.WaitsFor)
	}
	return out, Failure(err)
}

func (a *Provision) verify(ctx context.Context, in VerifyInput) (VerifyOutput, error) {
	d, err := a.deps.Store.FindDevice(ctx, in.Device)
	switch {
	case err != nil:
		return VerifyOutput{}, err
	case d.State == deviceops.Active && in.Activate:
		return VerifyOutput{Done: true}, nil // this call is repeated
	case d.State != deviceops.Provisioning:
		return VerifyOutput{}, deviceops.Errorf(deviceops.ECONFLICT, "device %s was moved to %s while it was provisioned", d.ID, d.State)
	}
	if missing := unmet(d, in.Want, in.Since); missing != "" {
		return VerifyOutput{WaitsFor: missing}, nil
	}
	if in.Activate {
		return a.activate(ctx, d)
	}
	return VerifyOutput{Done: true}, nil
}

// activate makes a device active. A guard of its profile that does not hold yet
// is one more thing to wait for.
func (a *Provision) activate(ctx context.Context, d deviceops.Device) (VerifyOutput, error) {
	profile, err := deviceops.ProfileOf(ctx, a.deps.Catalog, &d)
	if err != nil {
		return VerifyOutput{}, err
	}
	move := deviceops.Transition{
		Device: d.ID, To: deviceops.Active, By: deviceops.Engine.Name, Reason: "it reported what was wanted and sent a heartbeat",
		Evidence: map[string]any{"config_version": d.Twin.Reported.ConfigVersion, "software": d.Twin.Reported.Software},
	}
	err = a.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		_, _, err := move.Apply(ctx, tx, profile, a.deps.now())
		return err
	})
	if deviceops.ErrorCode(err) == deviceops.ECONFLICT {
		return VerifyOutput{WaitsFor: deviceops.ErrorMessage(err)}, nil
	}
	return VerifyOutput{Done: err == nil}, err
}

// EndInput ends the provisioning of a device that did not become active.
type EndInput struct {
	Device string          `json:"device"`
	To     deviceops.State `json:"to"` // escrow after a technical failure, quarantined after a lie or a refusal
	Phase  string          `json:"phase"`
	Reason string          `json:"reason"`
	By     string          `json:"by,omitempty"` // "": the engine
}

// EndOutput says where the device is.
type EndOutput struct {
	State deviceops.State `json:"state"`
}

// End takes a device out of provisioning and puts the reason on its timeline. A
// device that somebody moved elsewhere in the meantime stays there. ENOTFOUND.
func (a *Provision) End(ctx context.Context, in EndInput) (EndOutput, error) {
	state, err := a.end(ctx, in)
	return EndOutput{State: state}, Failure(err)
}

func (a *Provision) end(ctx context.Context, in EndInput) (state deviceops.State, err error) {
	now := a.deps.now()
	profile, err := a.profileOut(ctx, in.Device)
	if err != nil {
		return "", err
	}
	err = a.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		locked, err := tx.LockDevices(ctx, []string{in.Device})
		if err != nil {
			return err
		}
		d, ok := locked[in.Device]
		if !ok {
			return deviceops.Errorf(deviceops.ENOTFOUND, "there is no device %s", in.Device)
		}
		if state, err = leave(ctx, tx, profile, d, in, now); err != nil {
			return err
		}
		return tx.AppendEvents(ctx, []deviceops.Event{note(d.Account, NoteInput{
			Device: in.Device, Phase: in.Phase, Severity: "warning", Text: in.Reason, State: string(state),
		}, now)})
	})
	return state, err
}

// profileOut gives the profile whose guards count on the way out. One that
// can't be used any more keeps no device in.
func (a *Provision) profileOut(ctx context.Context, id string) (*deviceops.Profile, error) {
	d, err := a.deps.Store.FindDevice(ctx, id)
	if err != nil {
		return nil, err
	}
	profile, err := deviceops.ProfileOf(ctx, a.deps.Catalog, &d)
	if err != nil && !transient(deviceops.ErrorCode(err)) {
		return nil, nil
	}
	return profile, err
}

// leave puts d where in says, if it is still in the hands of provisioning.
func leave(ctx context.Context, tx deviceops.Tx, profile *deviceops.Profile, d *deviceops.Device, in EndInput, now time.Time) (deviceops.State, error) {
	switch {
	case d.State == deviceops.Escrow && in.To == deviceops.Escrow:
		d.StateReason, d.UpdatedAt = in.Reason, now
		return d.State, tx.SaveDevice(ctx, d)
	case d.State == deviceops.Provisioning, d.State == deviceops.Escrow:
		left, _, err := deviceops.Transition{
			Device: d.ID, To: in.To, By: actor(in.By), Reason: in.Reason,
		}.Apply(ctx, tx, profile, now)
		return left.State, err
	default:
		return d.State, nil
	}
}

// NoteInput is a line for a device's timeline.
type NoteInput struct {
	Device   string `json:"device"`
	Account  string `json:"account"`
	Phase    string `json:"phase"`
	Severity string `json:"severity"`
	Text     string `json:"text"`
	State    string `json:"state,omitempty"`
}

// Note puts a line on a device's timeline.
func (a *Provision) Note(ctx context.Context, in NoteInput) error {
	return Failure(a.deps.Store.AppendEvents(ctx, []deviceops.Event{note(in.Account, in, a.deps.now())}))
}

func note(account string, in NoteInput, now time.Time) deviceops.Event {
	data := map[string]any{"phase": in.Phase, "text": in.Text}
	if in.State != "" {
		data["state"] = in.State
	}
	return deviceops.Event{
		Account: account, Device: in.Device, Type: deviceops.EventProvision, Severity: in.Severity,
		Data: data, At: now, ReceivedAt: now,
	}
}
