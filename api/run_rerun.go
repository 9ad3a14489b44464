package api

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/workflows"
)

type rerunInput struct {
	Reasoned
	RunPath
	Key  string `header:"Idempotency-Key" maxLength:"128" doc:"The same key starts one run"`
	Body deviceops.RerunRequest
}

func (r runService) rerun(ctx context.Context, p deviceops.Principal, in *rerunInput) (deviceops.Run, error) {
	id := keyedOn(p, "run", in.ID, in.Key)
	if in.Key != "" {
		if known, err := r.find(ctx, p, id); err == nil {
			return known, nil
		}
	}
	run, err := r.planRerun(ctx, p, in.ID, in.Body)
	if err != nil {
		return deviceops.Run{}, err
	}
	run.ID, run.Reason = id, in.because(in.Body.Reason)
	return r.launch(ctx, p, run)
}

// planRerun resolves what is asked for: where to begin, what to copy, and
// whether that would still be the same.
func (r runService) planRerun(ctx context.Context, p deviceops.Principal, id string, q deviceops.RerunRequest) (deviceops.Run, error) {
	origin, err := r.Store.FindRun(ctx, id)
	if err == nil {
		err = visible(p, origin.Account, "run", id)
	}
	if err != nil {
		return deviceops.Run{}, err
	}
	executed, err := r.executed(ctx, origin)
	if err != nil {
		return deviceops.Run{}, err
	}
	resumption, err := workflows.PlanRerun(executed, origin, q.From)
	if err == nil {
		err = fits(resumption.Copied)
	}
	if err != nil {
		return deviceops.Run{}, err
	}
	next := &succession{runService: r, origin: origin, executed: executed, from: resumption}
	return next.plan(ctx, p, q)
}

// executed gives the program of a run. ECONFLICT when it is no longer published.
func (r runService) executed(ctx context.Context, run deviceops.Run) (*dsl.Program, error) {
	document, err := r.Store.FindDocument(ctx, run.Account, deviceops.KindWorkflow, run.Workflow, run.Version)
	if err == nil && document.Hash != run.Hash {
		err = deviceops.Errorf(deviceops.ECONFLICT, "%s@%d is no longer the definition that run %s executed", run.Workflow, run.Version, run.ID)
	}
	if err != nil {
		return nil, err
	}
	program, found := dsl.Compile(document.Source)
	return program, found.Err()
}

// maxCopied is how much a run may copy: bytes of outputs, as JSON. They have to
// fit into one event of its history.
const maxCopied = 1 << 20

func fits(copied []deviceops.RunStep) error {
	size := 0
	for _, row := range copied {
		output, err := json.Marshal([]any{row.Output, row.Error, row.Vars})
		if err != nil {
			return err
		}
		size += len(output)
	}
	if size > maxCopied {
		return deviceops.Errorf(deviceops.EINVALID, "the steps to copy gave %d KiB, and %d can be copied; begin at an earlier step", size>>10, maxCopied>>10)
	}
	return nil
}

// succession is a run that is to go on with another one.
type succession struct {
	runService
	origin   deviceops.Run
	executed *dsl.Program
	from     workflows.Resumption
}

func (s *succession) plan(ctx context.Context, p deviceops.Principal, q deviceops.RerunRequest) (deviceops.Run, error) {
	document, program, err := s.successor(ctx, q.Version)
	if err != nil {
		return deviceops.Run{}, err
	}
	inputs, changed, err := s.inputs(program, q.Inputs)
	if err == nil {
		err = s.holds(program, changed)
	}
	if err == nil {
		err = s.checkDevices(ctx, p, program, inputs)
	}
	if err != nil {
		return deviceops.Run{}, err
	}
	device := s.origin.Device
	if program.Device != nil {
		device = ""
	}
	device, err = s.defaultDevice(ctx, p, program, inputs, device)
	return deviceops.Run{
		Account: s.origin.Account, Workflow: document.Name, Version: document.Version, Hash: document.Hash, Device: device, Inputs: inputs,
		Status: deviceops.RunPending, StartedBy: p.Name, StartedAt: s.Now(), Steps: s.from.Copied,
		RerunOf: &deviceops.RunOrigin{Run: s.origin.ID, Step: program.Root.Steps[s.from.At].ID, Because: s.from.Because},
	}, err
}

// successor gives the definition to execute, which up to the first step has to
// be that of the origin. EINVALID shows the difference.
func (s *succession) successor(ctx context.Context, version string) (deviceops.Document, *dsl.Program, error) {
	if version == "" {
		return deviceops.Document{Name: s.origin.Workflow, Version: s.origin.Version, Hash: s.origin.Hash}, s.executed, nil
	}
	document, program, err := s.program(ctx, s.origin.Account, s.origin.Workflow+"@"+version)
	if err != nil || document.Hash == s.origin.Hash {
		return document, s.executed, err
	}
	if n := len(program.Root.Steps); s.from.At >= n {
		return document, nil, deviceops.Errorf(deviceops.EINVALID, "version %d has %d steps, and the run is to begin at step %d", document.Version, n, s.from.At+1)
	}
	if s.from.At > 0 {
		if diff := diffLines(s.executed.Prefix(s.from.At), program.Prefix(s.from.At)); diff != "" {
			return document, nil, deviceops.Errorf(deviceops.EINVALID,
				"version %d differs from version %d in steps that would be copied; begin at the first of them:\n%s", document.Version, s.origin.Version, diff)
		}
	}
	return document, program, nil
}

// inputs gives the inputs of the origin with those that are given anew, and the
// names of those that differ.
func (s *succession) inputs(program *dsl.Program, given map[string]any) (inputs map[string]any, changed []string, err error) {
	merged := map[string]any{}
	for _, in := range program.Inputs {
		if v, ok := s.origin.Inputs[in.Name]; ok {
			merged[in.Name] = v
		}
	}
	maps.Copy(merged, given)
	before, _ := s.executed.CoerceInputs(s.origin.Inputs) // inputs that are wrong have executed no step
	inputs, err = program.CoerceInputs(merged)
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		if !reflect.DeepEqual(before[name], inputs[name]) {
			changed = append(changed, name)
		}
	}
	return inputs, changed, err
}

// holds reports why what is copied would be another thing under the changed
// inputs, or under another definition. EINVALID.
func (s *succession) holds(program *dsl.Program, changed []string) error {
	reads := func(names []string) string {
		i := slices.IndexFunc(changed, func(name string) bool { return slices.Contains(names, name) })
		if i < 0 {
			return ""
		}
		return changed[i]
	}
	steps := program.Root.Steps[:s.from.At]
	if name := reads(program.DeviceReads); name != "" && len(steps) > 0 {
		return deviceops.Errorf(deviceops.EINVALID, "the input %s names the device, and steps would be copied that ran on another one; begin at %s", name, steps[0].ID)
	}
	for _, step := range steps {
		if name := reads(step.Reads); name != "" {
			return deviceops.Errorf(deviceops.EINVALID, "the step %s was executed with another value of the input %s, so it cannot be copied; begin at %s or before", step.ID, name, step.ID)
		}
	}
	if len(changed) > 0 || program != s.executed {
		return s.undecided(program, changed)
	}
	return nil
}

// undecided refuses to copy what people approved: they approved it for the run
// as it was.
func (s *succession) undecided(program *dsl.Program, changed []string) error {
	what := "another version"
	if len(changed) > 0 {
		what = "other inputs (" + strings.Join(changed, ", ") + ")"
	}
	for _, row := range s.from.Copied {
		if row.Verb == "approve" && row.Status == deviceops.RunSucceeded {
			return deviceops.Errorf(deviceops.EINVALID, "%s was approved for run %s as it was, and this is %s; begin at %s or before, so that it is asked again",
				row.Step, s.origin.ID, what, workflows.OuterStep(program, row))
		}
	}
	return nil
}
