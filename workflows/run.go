package workflows

import (
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
type runner struct{ programs *programs }

// Run executes one version of a published workflow. A run that fails fails its
// Temporal workflow too, with the code of the failure as type; a run that is
// canceled withdraws its approvals and calls its commands off before it ends.
func (r *runner) Run(ctx workflow.Context, in RunInput) (RunResult, error) {
	x := &execution{run: in.Run, depth: in.Depth}
	if err := x.setup(ctx); err != nil {
		return RunResult{}, err
	}
	if x.prepare(ctx, r.programs) {
		x.execute(ctx)
	}
	return x.close(ctx)
}

// setup begins to answer queries and updates.
func (x *execution) setup(ctx workflow.Context) (err error) {
	if x.run.StartedAt.IsZero() {
		x.run.StartedAt = workflow.Now(ctx)
	}
	x.state = state{Engine: engine, Vars: dsl.Object{}, Results: map[string]dsl.StepResult{}, Rounds: map[string]int{}}
	err = workflow.SetQueryHandler(ctx, QueryRun, func() (deviceops.Run, error) { return x.snapshot(x.state.Rows), nil })
	if err == nil {
		x.desk = &desk{}
		err = x.desk.open(ctx)
	}
	return err
}

// prepare pins the definition and checks the inputs. It reports whether there
// is something to execute; if not, the run has ended.
func (x *execution) prepare(ctx workflow.Context, known *programs) bool {
	err := x.pin(ctx, known)
	if err == nil {
		err = x.takeInputs(ctx)
	}
	switch {
	case ctx.Err() != nil:
		x.cancel(ctx)
	case err != nil:
		x.end(ending{Status: deviceops.RunFailed, Error: failureOf(err)})
	}
	return x.state.End == nil
}

// pin puts the definition into the history and compiles it.
func (x *execution) pin(ctx workflow.Context, known *programs) error {
	var pinned activities.PinOutput
	if err := local(ctx, activities.NamePinDefinition, activities.PinInput{Run: x.run}, &pinned); err != nil {
		return err
	}
	x.run.Version, x.run.Hash, x.desk.Behind = pinned.Version, pinned.Hash, pinned.Behind
	program, err := known.get(pinned.Hash, pinned.Source)
	if err != nil {
		return deviceops.Errorf(deviceops.ErrorCode(err), "%s@%d cannot be executed: %w", x.run.Workflow, x.run.Version, err)
	}
	x.program = program
	root := frame{Block: program.Root.Path}
	if program.Limits.Timeout > 0 {
		root.Deadline = workflow.Now(ctx).Add(program.Limits.Timeout)
	}
	x.state.Frames = []frame{root}
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

// with gives a copy of m with one more entry.
//
//workflowcheck:ignore the order in which a map is copied does not matter
func with(m map[string]any, name string, value any) map[string]any {
	out := map[string]any{name: value}
	for k, v := range m {
		out[k] = v
	}
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
	}
	return r
}

// ride gives what the next activity saves on its way; nil when there is nothing.
// landed has to be told whether it did.
func (x *execution) ride() (run *deviceops.Run, landed func(bool)) {
	rows, taken := x.state.take()
	if len(rows) == 0 {
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
