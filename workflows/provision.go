package workflows

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// ProvisionResult says how the provisioning of a device ended.
type ProvisionResult struct {
	Outcome string          `json:"outcome"` // active, failed, canceled; or refused, held, ignored before it began
	State   deviceops.State `json:"state,omitempty"`
	Reason  string          `json:"reason,omitempty"`
}

const (
	// approvalPatience is how long a device waits to be let in by a person. It
	// is not part of the profile's timeout, which is about machines.
	approvalPatience = 7 * 24 * time.Hour

	// firstRetry and longestRetry bound the pause before a failed command of
	// the provisioning is tried again; it doubles from one to the other.
	firstRetry   = 5 * time.Second
	longestRetry = 5 * time.Minute
)

// provisioner provisions devices. Its key tells decisions of people from forged
// ones.
type provisioner struct{ key deviceops.SigningKey }

// Provision takes a device from its first hello to active: claim check, approval
// where the profile asks for it, configuration, software, verification by report
// and heartbeat, a workflow of the profile, activation. A device that lied is
// quarantined; one that technically could not goes back to escrow and is tried
// again at its next hello. Either way the reason is on its timeline.
func (r *provisioner) Provision(ctx workflow.Context, in ProvisionInput) (ProvisionResult, error) {
	p := &provision{in: in}
	if err := p.setup(ctx, r.key); err != nil {
		return ProvisionResult{}, err
	}
	return p.run(ctx)
}

// provision is the state of one provisioning.
type provision struct {
	in       ProvisionInput
	plan     activities.BeginOutput
	desk     *desk
	progress ProvisionProgress
	deadline time.Time
}

// setback is why a device can't become active.
type setback struct {
	to     deviceops.State
	reason string
	by     string // the person who decided; "": the engine
}

// technical makes a setback that a new try may overcome.
func technical(format string, args ...any) *setback {
	return &setback{to: deviceops.Escrow, reason: fmt.Sprintf(format, args...)}
}

func (p *provision) setup(ctx workflow.Context, key deviceops.SigningKey) (err error) {
	p.progress = ProvisionProgress{Phase: "claim", WaitsFor: "the claim check"}
	err = workflow.SetQueryHandler(ctx, QueryProvision, func() (ProvisionProgress, error) { return p.progress, nil })
	if err == nil {
		p.desk = &desk{key: key}
		err = p.desk.open(ctx)
	}
	return err
}

func (p *provision) run(ctx workflow.Context) (ProvisionResult, error) {
	in := activities.BeginInput{Device: p.in.Device, AdmittedBy: p.in.AdmittedBy}
	err := local(ctx, activities.NameBeginProvision, in, &p.plan)
	if ctx.Err() != nil { // it may have begun all the same
		return p.compensate(ctx, *technical("its provisioning was canceled"))
	}
	if err != nil {
		return ProvisionResult{}, err
	}
	if p.plan.Outcome != activities.OutcomeProvision {
		p.enter("done", "")
		return ProvisionResult{Outcome: string(p.plan.Outcome), Reason: p.plan.Reason}, nil
	}
	for _, phase := range []func(workflow.Context) *setback{
		p.approve, p.configure, p.install, p.verify, p.ownWorkflow,
	} {
		if s := phase(ctx); s != nil {
			return p.compensate(ctx, *s)
		}
	}
	p.enter("done", "")
	return ProvisionResult{Outcome: "active", State: deviceops.Active}, settle(ctx)
}

// settle lets the answers to people leave before the workflow does.
func settle(ctx workflow.Context) error {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	return workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
}

func (p *provision) enter(phase, waitsFor string) {
	p.progress = ProvisionProgress{Phase: phase, WaitsFor: waitsFor}
}

// left is the time that remains for what machines do.
func (p *provision) left(ctx workflow.Context) time.Duration {
	return p.deadline.Sub(workflow.Now(ctx))
}

// approve waits for a person where the profile wants one, and then starts the
// clock for all that follows.
func (p *provision) approve(ctx workflow.Context) *setback {
	if p.plan.ApproveBy != nil {
		if s := p.askPeople(ctx); s != nil {
			return s
		}
	}
	p.deadline = workflow.Now(ctx).Add(p.plan.Timeout)
	return nil
}

func (p *provision) askPeople(ctx workflow.Context) *setback {
	p.enter("approval", "a decision by "+fmt.Sprint(p.plan.ApproveBy))
	info := workflow.GetInfo(ctx)
	a, err := p.desk.ask(ctx, deviceops.Approval{
		ID:      info.WorkflowExecution.ID + "/admit/" + strconv.FormatInt(info.WorkflowStartTime.UnixMilli(), 10),
		Account: p.plan.Account, Workflow: info.WorkflowExecution.ID, Step: "admit", Device: p.in.Device,
		Question: fmt.Sprintf("Admit device %s (profile %s)?", p.in.Device, p.plan.Profile),
		By:       p.plan.ApproveBy, ExpiresAt: workflow.Now(ctx).Add(approvalPatience),
	}, nil, nil)
	switch {
	case err != nil:
		return p.technical(err, "the approval failed")
	case a.Status == deviceops.ApprovalRejected:
		return &setback{to: deviceops.Quarantined, reason: a.DecidedBy + " did not admit it" + because(a.Comment), by: a.DecidedBy}
	case a.Status == deviceops.ApprovalExpired:
		return technical("nobody decided on its admission within %s", approvalPatience)
	case a.Status != deviceops.ApprovalApproved:
		return technical("its provisioning was canceled")
	}
	p.note(ctx, "info", a.DecidedBy+" admitted it"+because(a.Comment))
	return nil
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// configure pushes what is desired: configuration and heartbeat policy.
func (p *provision) configure(ctx workflow.Context) *setback {
	if p.plan.Configure == nil {
		return nil
	}
	version := strconv.FormatInt(p.plan.Version, 10)
	p.enter("configure", "the device to take configuration version "+version)
	return p.command(ctx, deviceops.CommandConfigure, "v"+version, p.plan.Configure)
}

// install brings the device's software to what the profile wants.
func (p *provision) install(ctx workflow.Context) *setback {
	if len(p.plan.Components) == 0 {
		return nil
	}
	p.enter("install", "the device to install "+describeComponents(p.plan.Components))
	p.note(ctx, "info", "it installs "+describeComponents(p.plan.Components))
	args, err := installArgs(p.plan.Profile, p.plan.Components)
	if err != nil {
		return technical("what it has to install cannot be written: %v", err)
	}
	return p.command(ctx, deviceops.CommandInstall, "baseline", args)
}

func describeComponents(components []deviceops.ComponentChange) string {
	text := ""
	for i, c := range components {
		if i > 0 {
			text += ", "
		}
		text += c.Name + " " + c.To
	}
	return text
}

// installArgs gives the arguments of install as plain JSON values, the form in
// which commands are stored and compared.
func installArgs(profile string, components []deviceops.ComponentChange) (args map[string]any, err error) {
	data, err := json.Marshal(map[string]any{"release": profile + " baseline", "components": components})
	if err == nil {
		err = json.Unmarshal(data, &args)
	}
	return args, err
}

// command has the device carry out a command, with the re-tries that the
// profile allows. what tells apart commands of one name.
func (p *provision) command(ctx workflow.Context, name, what string, args map[string]any) *setback {
	begun := strconv.FormatInt(p.plan.Since.UnixMilli(), 10)
	d := delivery{ID: effectID("provision."+p.in.Device+"."+begun, name+"."+what, 0), Expires: p.deadline}
	in := activities.CommandInput{
		Account: p.plan.Account, Device: p.in.Device, Name: name, Args: args, By: "provision:" + p.in.Device,
		Reason: "provisioning", Prepared: true, Exclusive: true,
	}
	for {
		_, cause := d.deliver(ctx, in, p.left(ctx))
		switch {
		case cause == nil:
			return nil
		case ctx.Err() != nil:
			d.withdraw(ctx, "provisioning was canceled")
			return technical("its provisioning was canceled")
		case d.Silent:
			if _, cause = d.close(ctx, deviceops.CommandExpired, "the device did not answer in time"); cause == nil {
				return nil
			}
			return technical("it did not carry out %s within %s: %s", name, p.plan.Timeout, cause.Message)
		case d.Final || !cause.Retryable || d.Attempt > p.plan.Retries:
			return technical("%s failed with %s after %d attempts: %s", name, cause.Code, d.Attempt, cause.Message)
		}
		if s := p.pause(ctx, name, d.Attempt, cause); s != nil {
			return s
		}
	}
}

// pause waits before the next attempt of a command that failed.
func (p *provision) pause(ctx workflow.Context, name string, attempt int, cause *deviceops.RunError) *setback {
	delay := min(firstRetry<<min(attempt-1, 16), longestRetry)
	if delay >= p.left(ctx) {
		return technical("%s failed with %s and no time is left to try again: %s", name, cause.Code, cause.Message)
	}
	p.note(ctx, "warning", fmt.Sprintf("%s failed with %s (%s); attempt %d follows in %s", name, cause.Code, cause.Message, attempt+1, delay))
	if workflow.Sleep(ctx, delay) != nil {
		return technical("its provisioning was canceled")
	}
	return nil
}

// verify waits until the device shows what was wanted. Most devices do by now;
// the others are looked at again, ever less often.
func (p *provision) verify(ctx workflow.Context) *setback {
	in := activities.VerifyInput{Device: p.in.Device, Since: p.plan.Since, Want: p.plan.Want, Activate: p.plan.Workflow == ""}
	return p.await(ctx, "verify", in)
}

func (p *provision) await(ctx workflow.Context, phase string, in activities.VerifyInput) *setback {
	p.enter(phase, "what the device reports")
	var out activities.VerifyOutput
	if err := local(ctx, activities.NameVerifyProvision, in, &out); err != nil {
		return p.technical(err, "it could not be verified")
	}
	if out.Done {
		return nil
	}
	p.enter(phase, out.WaitsFor)
	in.Insist = true
	if p.left(ctx) <= 0 {
		return technical("within %s it did not show %s", p.plan.Timeout, out.WaitsFor)
	}
	if err := remote(ctx, activities.NameVerifyProvision, p.left(ctx), in, &out); err != nil {
		return p.technical(err, "within "+p.plan.Timeout.String()+" it did not show what was wanted")
	}
	return nil
}

// ownWorkflow runs the profile's workflow, if it names one, and activates the
// device after it.
func (p *provision) ownWorkflow(ctx workflow.Context) *setback {
	if p.plan.Workflow == "" {
		return nil
	}
	p.enter("workflow", "the run of "+p.plan.Workflow)
	name, version, err := parseRef(p.plan.Workflow)
	if err != nil {
		return technical("%s", deviceops.ErrorMessage(err))
	}
	if err := p.child(ctx, name, version); err != nil {
		return p.technical(err, "the workflow "+p.plan.Workflow+" failed")
	}
	in := activities.VerifyInput{Device: p.in.Device, Since: p.plan.Since, Want: p.plan.Want, Activate: true}
	return p.await(ctx, "activate", in)
}

func (p *provision) child(ctx workflow.Context, name string, version int) error {
	started := strconv.FormatInt(workflow.GetInfo(ctx).WorkflowStartTime.UnixMilli(), 10)
	run := deviceops.Run{
		ID: effectID("provision."+p.in.Device, name+"."+started, 0), Account: p.plan.Account, Workflow: name, Version: version,
		Device: p.in.Device, Status: deviceops.RunRunning, StartedBy: "provision:" + p.in.Device,
		Reason: "provisioning", StartedAt: workflow.Now(ctx),
	}
	kind := RunType(run)
	if workflow.GetVersion(ctx, "run-type", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		kind = TypeRun
	}
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            run.ID,
		TypedSearchAttributes: childAttributes(ctx, run),
		ParentClosePolicy:     enums.PARENT_CLOSE_POLICY_REQUEST_CANCEL,
		WaitForCancellation:   true,
	})
	err, timedOut := within(ctx, max(p.left(ctx), time.Second), func(ctx workflow.Context) workflow.Future {
		return workflow.ExecuteChildWorkflow(ctx, kind, RunInput{Run: run})
	}, nil)
	if err != nil && timedOut {
		return deviceops.Errorf(deviceops.ETIMEOUT, "it was canceled after %s", p.plan.Timeout)
	}
	return err
}

// technical makes a setback out of what an activity or child run says.
func (p *provision) technical(err error, what string) *setback {
	cause := activities.Cause(err)
	return technical("%s: %s", what, cause.Message)
}

// note puts a line on the device's timeline. Provisioning goes on without it.
func (p *provision) note(ctx workflow.Context, severity, text string) {
	in := activities.NoteInput{Device: p.in.Device, Account: p.plan.Account, Phase: p.progress.Phase, Severity: severity, Text: text}
	if err := local(ctx, activities.NameNoteProvision, in, nil); err != nil {
		workflow.GetLogger(ctx).Warn("A line of a device's timeline was lost", "device", p.in.Device, "err", err)
	}
}

// compensate takes the device out of provisioning, also when the workflow was
// canceled, and leaves the reason on its timeline.
func (p *provision) compensate(ctx workflow.Context, s setback) (ProvisionResult, error) {
	detached, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	var end activities.EndOutput
	err := local(detached, activities.NameEndProvision, activities.EndInput{
		Device: p.in.Device, To: s.to, Phase: p.progress.Phase, Reason: s.reason, By: s.by,
	}, &end)
	p.enter("done", "")
	if err == nil {
		err = settle(ctx)
	}
	outcome := "failed"
	if ctx.Err() != nil {
		outcome = "canceled"
	}
	return ProvisionResult{Outcome: outcome, State: end.State, Reason: s.reason}, err
}
