package workflows

import "go.temporal.io/sdk/workflow"

// Registry takes workflows: a worker, a replayer or a test environment.
type Registry interface {
	RegisterWorkflowWithOptions(w any, options workflow.RegisterOptions)
}

// Register registers all workflows with r.
func Register(r Registry) {
	runs := &runner{programs: newPrograms(programsKept)}
	r.RegisterWorkflowWithOptions(Provision, workflow.RegisterOptions{Name: TypeProvision})
	r.RegisterWorkflowWithOptions(runs.Run, workflow.RegisterOptions{Name: TypeRun})
}
