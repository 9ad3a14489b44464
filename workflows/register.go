package workflows

import (
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// Registry takes workflows: a worker, a replayer or a test environment.
type Registry interface {
	RegisterWorkflowWithOptions(w any, options workflow.RegisterOptions)
	RegisterDynamicWorkflow(w any, options workflow.DynamicRegisterOptions)
}

// Option changes how workflows work.
type Option func(*options)

type options struct{ key deviceops.SigningKey }

// Trust has workflows take only those decisions that key signed. Without it, as
// in rehearsals and replays, they believe whoever sends one.
func Trust(key deviceops.SigningKey) Option { return func(o *options) { o.key = key } }

// Register registers all workflows with r. Whatever is no type of the engine is
// the name of a definition, and its run is executed.
func Register(r Registry, with ...Option) {
	var o options
	for _, option := range with {
		option(&o)
	}
	runs, provisioning := &runner{programs: newPrograms(programsKept), key: o.key}, &provisioner{key: o.key}
	rollouts := &roller{manifests: newCompilations(manifestsKept, compileManifest), key: o.key}
	r.RegisterWorkflowWithOptions(rollouts.Rollout, workflow.RegisterOptions{Name: TypeRollout})
	r.RegisterWorkflowWithOptions(provisioning.Provision, workflow.RegisterOptions{Name: TypeProvision})
	r.RegisterWorkflowWithOptions(trigger, workflow.RegisterOptions{Name: TypeTrigger})
	r.RegisterWorkflowWithOptions(ticketSync, workflow.RegisterOptions{Name: deviceops.TicketWorkflow})
	r.RegisterWorkflowWithOptions(runs.first, workflow.RegisterOptions{Name: TypeRun})
	r.RegisterDynamicWorkflow(runs.named, workflow.DynamicRegisterOptions{})
}

// named executes a run whose workflow type is the name of its definition.
func (r *runner) named(ctx workflow.Context, args converter.EncodedValues) (RunResult, error) {
	var in RunInput
	name := workflow.GetInfo(ctx).WorkflowType.Name
	if err := args.Get(&in); err != nil || in.Run.Workflow != name {
		return RunResult{}, activities.Failure(deviceops.Errorf(deviceops.EINVALID, "this engine has no workflow type %s", name))
	}
	return r.run(ctx, in, engine)
}

// first executes a run that began with the first version of the interpreter.
func (r *runner) first(ctx workflow.Context, in RunInput) (RunResult, error) {
	return r.run(ctx, in, 1)
}
