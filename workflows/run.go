package workflows

import (
	"cmp"

	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
)

// maxDepth is how deep runs may start one another.
const maxDepth = 8

// RunResult is what a run that succeeded gives.
type RunResult struct {
	Outputs dsl.Object `json:"outputs,omitempty"`
}

// runner runs workflows; all runs of a worker share their compiled programs.
type runner struct {
	programs *programs
	key      deviceops.SigningKey // tells decisions of people from forged ones
}

// run executes one version of a published workflow. A run that fails fails its
// Temporal workflow too, with the code of the failure as type; a run that is
// canceled withdraws its approvals and calls its commands off before it ends.
func (r *runner) run(ctx workflow.Context, in RunInput, engine int) (RunResult, error) {
	x := &execution{process: &process{run: in.Run, depth: in.Depth, relay: relay{every: in.Every, canceled: func() bool { return ctx.Err() != nil }}}}
	if err := x.setup(ctx, r.key, engine); err != nil {
		return RunResult{}, err
	}
	var err error
	if in.Carried != nil {
		err = x.takeOver(r.programs, in.Carried)
	} else {
		x.prepare(ctx, r.programs)
	}
	if err != nil {
		return RunResult{}, err
	}
	for x.state.End == nil {
		x.execute(ctx)
		if x.at.Exit != nil {
			x.conclude(ctx)
		} else if err := x.handOver(ctx); err != nil {
			return RunResult{}, err
		}
	}
	return x.close(ctx)
}

// setup begins to answer queries and updates.
func (x *execution) setup(ctx workflow.Context, key deviceops.SigningKey, engine int) (err error) {
	if x.run.StartedAt.IsZero() {
		x.run.StartedAt = workflow.Now(ctx)
	}
	x.state = state{Engine: engine, Vars: dsl.Object{}, Root: newBranch()}
	x.at = &x.state.Root
	err = workflow.SetQueryHandler(ctx, QueryRun, func() (deviceops.Run, error) { return x.snapshot(x.state.Rows), nil })
	if err == nil {
		x.desk = &desk{key: key, stops: func() bool { return x.relay.stopping }}
		err = x.desk.open(ctx)
	}
	if err == nil {
		err = x.answerControls(ctx)
	}
	return err
}

// prepare pins the definition and checks the inputs. A run that cannot be
// executed has ended after it.
func (x *execution) prepare(ctx workflow.Context, known *programs) {
	err := x.pin(ctx, known)
	if err == nil {
		err = x.takeInputs(ctx)
	}
	if err == nil && x.run.RerunOf != nil {
		err = x.recall(ctx)
	}
	switch {
	case ctx.Err() != nil:
		x.end(ending{Status: deviceops.RunCanceled, Error: errCanceled()})
	case err != nil:
		x.end(ending{Status: deviceops.RunFailed, Error: failureOf(err)})
	}
}

func (x *execution) end(e ending) { x.state.End = &e }

// conclude turns how the last step was left into the end of the run.
func (x *execution) conclude(ctx workflow.Context) {
	switch e := x.at.Exit; {
	case e.Return != nil:
		x.state.End = e.Return
	case e.Canceled:
		cause := errCanceled()
		x.state.cancelOpen(workflow.Now(ctx), cause)
		x.end(ending{Status: deviceops.RunCanceled, Error: cause})
	case e.Error != nil:
		x.end(ending{Status: deviceops.RunFailed, Error: e.Error})
	default:
		x.end(x.succeeded(ctx))
	}
}

// succeeded evaluates the outputs of a run whose steps are done.
func (x *execution) succeeded(ctx workflow.Context) ending {
	err := x.refresh(ctx)
	var outputs map[string]any
	if err == nil {
		outputs, err = x.program.EvalOutputs(x.env(ctx))
	}
	if err == nil {
		outputs, err = x.keep(ctx, outputs)
	}
	if err != nil {
		return ending{Status: deviceops.RunFailed, Error: failureOf(err)}
	}
	return ending{Status: deviceops.RunSucceeded, Outputs: outputs}
}

// pin puts the definition into the history and compiles it.
func (x *execution) pin(ctx workflow.Context, known *programs) error {
	var pinned activities.PinOutput
	if err := local(ctx, activities.NamePinDefinition, activities.PinInput{Run: x.run, Engine: x.state.Engine}, &pinned); err != nil {
		return err
	}
	x.state.Engine = cmp.Or(pinned.Engine, min(x.state.Engine, lastUntold))
	x.run.Version, x.run.Hash, x.desk.Behind = pinned.Version, pinned.Hash, pinned.Behind
	program, err := known.get(pinned.Hash, pinned.Source)
	if err != nil {
		return deviceops.Errorf(deviceops.ErrorCode(err), "%s@%d cannot be executed: %w", x.run.Workflow, x.run.Version, err)
	}
	x.program, x.source = program, pinned.Source
	root := frame{Block: program.Root.Path}
	if program.Limits.Timeout > 0 {
		root.Deadline = workflow.Now(ctx).Add(program.Limits.Timeout)
	}
	x.at.push(root)
	return nil
}

// takeInputs checks the inputs and finds the run's device. An input called
// device that was not given is the device that the run was started for.
func (x *execution) takeInputs(ctx workflow.Context) error {
	given := x.run.Inputs
	if _, ok := given["device"]; !ok && x.run.Device != "" && declaresDevice(x.program) {
		given = with(given, "device", x.run.Device)
	}
	inputs, err := x.program.CoerceInputs(given)
	if err != nil {
		return err
	}
	x.state.Inputs = inputs
	if x.program.Device == nil {
		return nil
	}
	x.facts = map[string]any{} // the device cannot be named by its own facts
	x.run.Device, err = x.program.Device.Text(x.env(ctx))
	x.facts = nil
	return err
}

func declaresDevice(p *dsl.Program) bool {
	for _, in := range p.Inputs {
		if in.Name == "device" {
			return true
		}
	}
	return false
}

// with gives a copy of m in which name has the value.
//
//workflowcheck:ignore the order in which a map is copied does not matter
func with(m map[string]any, name string, value any) map[string]any {
	out := make(map[string]any, len(m)+1)
	for k, v := range m {
		out[k] = v
	}
	out[name] = value
	return out
}

// close saves how the run ended, also when it was canceled, and ends the
// workflow accordingly.
func (x *execution) close(ctx workflow.Context) (RunResult, error) {
	detached, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	x.run.FinishedAt = workflow.Now(ctx)
	err := x.flush(detached)
	if err == nil {
		err = settle(ctx)
	}
	switch end := x.state.End; {
	case err != nil:
		return RunResult{}, err
	case end.Status == deviceops.RunCanceled:
		return RunResult{}, ctx.Err()
	case end.Status == deviceops.RunFailed:
		return RunResult{}, activities.RunFailure(end.Error)
	default:
		return RunResult{Outputs: end.Outputs}, nil
	}
}

// snapshot gives the run as it stands, with the given rows.
func (x *execution) snapshot(rows []deviceops.RunStep) deviceops.Run {
	r := x.run
	r.Status, r.Steps = x.state.status(), rows
	if end := x.state.End; end != nil {
		r.Outputs, r.Error = end.Outputs, end.Error
	} else {
		r.Paused = x.state.Hold.Paused
	}
	return r
}

// ride gives what the next activity saves on its way; nil when there is nothing.
// landed has to be told whether it did.
func (x *execution) ride(ctx workflow.Context) (run *deviceops.Run, landed func(bool)) {
	rows, taken := x.state.take()
	if len(rows) == 0 {
		return nil, func(bool) {}
	}
	if x.state.Engine > 1 && heavy(rows) {
		x.state.untake(taken)
		if err := x.flush(ctx); err != nil {
			workflow.GetLogger(ctx).Warn("the timeline of a run could not be saved yet", "err", err)
		}
		return nil, func(bool) {}
	}
	r := x.snapshot(rows)
	return &r, func(ok bool) {
		if !ok {
			x.state.untake(taken)
		}
	}
}

// flush saves the run and its rows at once.
func (x *execution) flush(ctx workflow.Context) error {
	rows, taken := x.state.take()
	err := local(ctx, activities.NameSaveRun, x.snapshot(rows), nil)
	if err != nil {
		x.state.untake(taken)
	}
	return err
}
