package starter

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/workflows"
)

// callTimeout bounds calls that have no deadline of their own; an update may
// wait for the store, so it gets more.
const (
	callTimeout   = 10 * time.Second
	updateTimeout = 30 * time.Second
)

// Starter implements deviceops.Orchestrator.
type Starter struct {
	client    client.Client
	namespace string
	taskQueue string
	search    bool // workflows are found by attributes
}

var _ deviceops.Orchestrator = (*Starter)(nil)

// New makes a starter for a namespace ("": default) that speaks through c.
func New(c client.Client, namespace string) *Starter {
	if namespace == "" {
		namespace = client.DefaultNamespace
	}
	return &Starter{client: c, namespace: namespace, taskQueue: workflows.TaskQueue}
}

// Searchable has the workflows that s starts found by attributes, which have to
// be registered.
func (s *Starter) Searchable() *Starter {
	s.search = true
	return s
}

// Start implements deviceops.Orchestrator. A run is started once for ever; a
// device can be provisioned again once its last provisioning has ended, and a
// rollout is taken up again for devices that come late.
func (s *Starter) Start(ctx context.Context, start deviceops.Start) (bool, error) {
	ctx, cancel := bounded(ctx, callTimeout)
	defer cancel()
	o := client.StartWorkflowOptions{
		ID: start.WorkflowID, TaskQueue: s.taskQueue,
		WorkflowIDConflictPolicy:                 enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowIDReusePolicy:                    reusePolicy(start.Type),
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		EnableEagerStart:                         true, // where this process has a worker with a free hand, it begins at once
	}
	if s.search {
		o.TypedSearchAttributes = attributes(start)
	}
	err := s.execute(ctx, o, start)
	var unknown *serviceerror.InvalidArgument
	if s.search && errors.As(err, &unknown) { // not every server of Temporal may know them yet
		o.TypedSearchAttributes = temporal.SearchAttributes{}
		err = s.execute(ctx, o, start)
	}
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &started) {
		return false, nil
	}
	return err == nil, domain(err)
}

// execute starts a workflow. One that keeps a ticket in step is told, if it runs
// already, that there is news: in one call, so that it cannot end in between.
func (s *Starter) execute(ctx context.Context, o client.StartWorkflowOptions, start deviceops.Start) (err error) {
	if start.Type == deviceops.TicketWorkflow {
		o.WorkflowIDConflictPolicy = enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
		_, err = s.client.SignalWithStartWorkflow(ctx, o.ID, deviceops.TicketNudge, nil, o, start.Type, start.Input)
		return err
	}
	_, err = s.client.ExecuteWorkflow(ctx, o, start.Type, start.Input)
	return err
}

func reusePolicy(workflowType string) enums.WorkflowIdReusePolicy {
	switch workflowType {
	case workflows.TypeProvision, workflows.TypeRollout, deviceops.TicketWorkflow:
		return enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	}
	return enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
}

// Signal implements deviceops.Orchestrator.
func (s *Starter) Signal(ctx context.Context, workflowID, name string, payload any) error {
	ctx, cancel := bounded(ctx, callTimeout)
	defer cancel()
	return domain(s.client.SignalWorkflow(ctx, workflowID, "", name, payload))
}

// Update implements deviceops.Orchestrator.
func (s *Starter) Update(ctx context.Context, workflowID, updateID, name string, arg, result any) error {
	ctx, cancel := bounded(ctx, updateTimeout)
	defer cancel()
	handle, err := s.client.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: workflowID, UpdateID: updateID, UpdateName: name, Args: []any{arg},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err != nil {
		return domain(err)
	}
	return domain(handle.Get(ctx, result))
}

// Query implements deviceops.Orchestrator.
func (s *Starter) Query(ctx context.Context, workflowID, name string, result any) error {
	ctx, cancel := bounded(ctx, callTimeout)
	defer cancel()
	value, err := s.client.QueryWorkflow(ctx, workflowID, "", name)
	if err != nil {
		return domain(err)
	}
	return domain(value.Get(result))
}

// Cancel implements deviceops.Orchestrator.
func (s *Starter) Cancel(ctx context.Context, workflowID, reason string) error {
	ctx, cancel := bounded(ctx, callTimeout)
	defer cancel()
	_, err := s.client.WorkflowService().RequestCancelWorkflowExecution(ctx, &workflowservice.RequestCancelWorkflowExecutionRequest{
		Namespace: s.namespace, Reason: reason,
		WorkflowExecution: &common.WorkflowExecution{WorkflowId: workflowID},
	})
	return domain(err)
}

// Complete implements deviceops.Orchestrator.
func (s *Starter) Complete(ctx context.Context, ref deviceops.ActivityRef, c deviceops.Command) error {
	ctx, cancel := bounded(ctx, callTimeout)
	defer cancel()
	output, failure := activities.CommandResult(c)
	err := s.client.CompleteActivityByID(ctx, s.namespace, ref.Workflow, "", ref.Activity, output, failure)
	var gone *serviceerror.NotFound
	if errors.As(err, &gone) {
		return nil
	}
	return domain(err)
}

// Describe implements deviceops.Orchestrator.
func (s *Starter) Describe(ctx context.Context, workflowID string) (deviceops.Execution, error) {
	ctx, cancel := bounded(ctx, callTimeout)
	defer cancel()
	described, err := s.client.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return deviceops.Execution{}, domain(err)
	}
	info := described.GetWorkflowExecutionInfo()
	return deviceops.Execution{
		WorkflowID: info.GetExecution().GetWorkflowId(), RunID: info.GetExecution().GetRunId(),
		Type: info.GetType().GetName(), Status: status(info.GetStatus()),
		StartedAt: info.GetStartTime().AsTime(), ClosedAt: closed(info.GetCloseTime().IsValid(), info.GetCloseTime().AsTime()),
		Events: info.GetHistoryLength(),
	}, nil
}

func closed(valid bool, at time.Time) time.Time {
	if !valid {
		return time.Time{}
	}
	return at
}

func status(s enums.WorkflowExecutionStatus) string {
	switch s {
	case enums.WORKFLOW_EXECUTION_STATUS_RUNNING:
		return "running"
	case enums.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return "completed"
	case enums.WORKFLOW_EXECUTION_STATUS_FAILED:
		return "failed"
	case enums.WORKFLOW_EXECUTION_STATUS_CANCELED:
		return "canceled"
	case enums.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		return "terminated"
	case enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		return "timed_out"
	case enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW:
		return "continued_as_new"
	default:
		return "unknown"
	}
}

// bounded gives ctx a deadline if it has none.
func bounded(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, timeout)
}

// domain gives what Temporal says the codes of the domain. An application error
// is the workflow's own answer and keeps its code.
func domain(err error) error {
	var application *temporal.ApplicationError
	var missing *serviceerror.NotFound
	var invalid *serviceerror.InvalidArgument
	var failedQuery *serviceerror.QueryFailed
	switch {
	case err == nil:
		return nil
	case errors.As(err, &application):
		return activities.DomainError(err)
	case errors.As(err, &missing):
		return deviceops.Errorf(deviceops.ENOTFOUND, "no workflow of this id is running: %w", err)
	case errors.As(err, &invalid), errors.As(err, &failedQuery):
		return deviceops.Errorf(deviceops.EINVALID, "Temporal refused the request: %w", err)
	default:
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "Temporal does not answer; try again: %w", err)
	}
}
