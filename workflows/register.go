package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
)

// Registry takes workflows: a worker, a replayer or a test environment.
type Registry interface {
	RegisterWorkflowWithOptions(w any, options workflow.RegisterOptions)
}

// Option changes how workflows work.
type Option func(*options)

type options struct{ key deviceops.SigningKey }

// Trust has workflows take only those decisions that key signed. Without it, as
// in rehearsals and replays, they believe whoever sends one.
func Trust(key deviceops.SigningKey) Option { return func(o *options) { o.key = key } }

// Register registers all workflows with r.
func Register(r Registry, with ...Option) {
	var o options
	for _, option := range with {
		option(&o)
	}
	runs, provisioning := &runner{programs: newPrograms(programsKept), key: o.key}, &provisioner{key: o.key}
	r.RegisterWorkflowWithOptions(provisioning.Provision, workflow.RegisterOptions{Name: TypeProvision})
	r.RegisterWorkflowWithOptions(runs.Run, workflow.RegisterOptions{Name: TypeRun})
}
