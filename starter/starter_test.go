package starter_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/mocks"
	"go.temporal.io/sdk/temporal"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/starter"
	"github.com/deviceops/deviceops/workflows"
)

func newStarter(t *testing.T) (*starter.Starter, *mocks.Client) {
	t.Helper()
	c := mocks.NewClient(t)
	return starter.New(c, "acme-ns"), c
}

func TestStart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		start   deviceops.Start
		err     error
		reuse   enums.WorkflowIdReusePolicy
		started bool
		code    string
	}{
		"a provisioning may follow another": {
			start: workflows.ProvisionStart(workflows.ProvisionInput{Device: "k1"}),
			reuse: enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, started: true,
		},
		"a run is started once for ever": {
			start: workflows.RunStart(deviceops.Run{ID: "r1"}),
			reuse: enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE, started: true,
		},
		"what runs already is left alone": {
			start: workflows.RunStart(deviceops.Run{ID: "r1"}), err: serviceerror.NewWorkflowExecutionAlreadyStarted("", "", ""),
			reuse: enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		},
		"Temporal is away": {
			start: workflows.RunStart(deviceops.Run{ID: "r1"}), err: serviceerror.NewUnavailable("down"),
			reuse: enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE, code: deviceops.EUNAVAILABLE,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, m := newStarter(t)
			m.On("ExecuteWorkflow", mock.Anything, mock.MatchedBy(func(o client.StartWorkflowOptions) bool {
				return o.ID == c.start.WorkflowID && o.TaskQueue == workflows.TaskQueue && o.WorkflowIDReusePolicy == c.reuse &&
					o.WorkflowIDConflictPolicy == enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL && o.WorkflowExecutionErrorWhenAlreadyStarted
			}), c.start.Type, c.start.Input).Return(nil, c.err)
			started, err := s.Start(t.Context(), c.start)
			require.Equal(t, c.started, started)
			require.Equal(t, c.code, deviceops.ErrorCode(err))
		})
	}
}

// updateHandle gives an update's result.
type updateHandle struct {
	client.WorkflowUpdateHandle
	err error
}

func (h updateHandle) Get(context.Context, any) error { return h.err }

func TestUpdateGivesTheWorkflowsOwnCode(t *testing.T) {
	t.Parallel()
	for code, err := range map[string]error{
		"":                     nil,
		deviceops.EFORBIDDEN:   activities.Failure(deviceops.Errorf(deviceops.EFORBIDDEN, "not you")),
		deviceops.ENOTFOUND:    serviceerror.NewNotFound("workflow execution already completed"),
		deviceops.EUNAVAILABLE: context.DeadlineExceeded,
	} {
		s, m := newStarter(t)
		m.On("UpdateWorkflow", mock.Anything, mock.MatchedBy(func(o client.UpdateWorkflowOptions) bool {
			return o.UpdateID == "u1" && o.WaitForStage == client.WorkflowUpdateStageCompleted
		})).Return(updateHandle{err: err}, nil)
		var a deviceops.Approval
		got := s.Update(t.Context(), "r1", "u1", workflows.UpdateDecide, deviceops.Decision{}, &a)
		require.Equal(t, code, deviceops.ErrorCode(got))
	}
}

func TestCompleteEndsTheActivity(t *testing.T) {
	t.Parallel()
	ref := deviceops.ActivityRef{Workflow: "r1", Activity: "c1#1"}
	t.Run("with the output", func(t *testing.T) {
		t.Parallel()
		s, m := newStarter(t)
		out := activities.CommandOutput{Output: map[string]any{"ok": true}}
		m.On("CompleteActivityByID", mock.Anything, "acme-ns", "r1", "", "c1#1", out, nil).Return(nil)
		require.NoError(t, s.Complete(t.Context(), ref, deviceops.Command{Status: deviceops.CommandSucceeded, Output: out.Output}))
	})
	t.Run("with the failure", func(t *testing.T) {
		t.Parallel()
		s, m := newStarter(t)
		m.On("CompleteActivityByID", mock.Anything, "acme-ns", "r1", "", "c1#1", mock.Anything, mock.MatchedBy(func(err error) bool {
			return activities.Cause(err).Code == "busy"
		})).Return(nil)
		require.NoError(t, s.Complete(t.Context(), ref, deviceops.Command{
			Status: deviceops.CommandFailed, Error: &deviceops.CommandError{Code: "busy", Message: "in use"},
		}))
	})
	for name, c := range map[string]struct {
		err  error
		code string
	}{
		"one that is gone is no error": {serviceerror.NewNotFound("no such activity"), ""},
		"Temporal is away":             {errors.New("refused"), deviceops.EUNAVAILABLE},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, m := newStarter(t)
			m.On("CompleteActivityByID", mock.Anything, mock.Anything, mock.Anything, mock.Anything, mock.Anything, mock.Anything, mock.Anything).Return(c.err)
			err := s.Complete(t.Context(), ref, deviceops.Command{Status: deviceops.CommandSucceeded})
			require.Equal(t, c.code, deviceops.ErrorCode(err))
		})
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	s, m := newStarter(t)
	m.On("DescribeWorkflowExecution", mock.Anything, "r1", "").Return(&workflowservice.DescribeWorkflowExecutionResponse{
		WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
			Execution: &commonpb.WorkflowExecution{WorkflowId: "r1", RunId: "x"}, Type: &commonpb.WorkflowType{Name: "check"},
			Status: enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT, HistoryLength: 14,
		},
	}, nil)
	e, err := s.Describe(t.Context(), "r1")
	require.NoError(t, err)
	require.Equal(t, "timed_out", e.Status)
	require.Equal(t, int64(14), e.Events)
	require.Zero(t, e.ClosedAt)

	m.On("DescribeWorkflowExecution", mock.Anything, "r2", "").Return(nil, serviceerror.NewNotFound("no such workflow"))
	_, err = s.Describe(t.Context(), "r2")
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))
}

func TestQuerySignalCancelOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	s, m := newStarter(t)
	missing := serviceerror.NewNotFound("no such workflow")
	m.On("QueryWorkflow", mock.Anything, "r1", "", workflows.QueryRun).Return(nil, missing)
	m.On("SignalWorkflow", mock.Anything, "r1", "", "nudge", nil).Return(missing)
	var run deviceops.Run
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(s.Query(t.Context(), "r1", workflows.QueryRun, &run)))
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(s.Signal(t.Context(), "r1", "nudge", nil)))
}

func TestDialSaysWhereItTried(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := starter.Dial(ctx, starter.Config{Address: "127.0.0.1:1"})
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(err))
	require.Contains(t, err.Error(), "127.0.0.1:1")
}

func TestStartsAreFoundByAttributes(t *testing.T) {
	t.Parallel()
	run := workflows.RunStart(deviceops.Run{ID: "r1", Account: "acme", Workflow: "w"})
	stored, err := json.Marshal(run.Input)
	require.NoError(t, err)
	fromStore := run
	fromStore.Input = json.RawMessage(stored)
	for name, c := range map[string]struct {
		start deviceops.Start
		want  temporal.SearchAttributes
	}{
		"a run":               {run, workflows.RunAttributes(deviceops.Run{Account: "acme"})},
		"a run of the outbox": {fromStore, workflows.RunAttributes(deviceops.Run{Account: "acme"})},
		"a provisioning":      {workflows.ProvisionStart(workflows.ProvisionInput{Device: "k1"}), temporal.NewSearchAttributes(workflows.AttributeDevice.ValueSet("k1"))},
		"something else":      {deviceops.Start{WorkflowID: "x", Type: "x", Input: "x"}, temporal.SearchAttributes{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, m := newStarter(t)
			var tried []temporal.SearchAttributes
			m.On("ExecuteWorkflow", mock.Anything, mock.MatchedBy(func(o client.StartWorkflowOptions) bool {
				return o.TypedSearchAttributes.Size() > 0
			}), mock.Anything, mock.Anything).Run(func(args mock.Arguments) {
				tried = append(tried, args.Get(1).(client.StartWorkflowOptions).TypedSearchAttributes)
			}).Return(nil, serviceerror.NewInvalidArgument("no such attribute")).Maybe()
			m.On("ExecuteWorkflow", mock.Anything, mock.MatchedBy(func(o client.StartWorkflowOptions) bool {
				return o.TypedSearchAttributes.Size() == 0
			}), mock.Anything, mock.Anything).Return(nil, nil)
			started, err := s.Searchable().Start(t.Context(), c.start)
			require.NoError(t, err, "a server that does not know them starts it all the same")
			require.True(t, started)
			if c.want.Size() > 0 {
				require.Equal(t, []temporal.SearchAttributes{c.want}, tried)
			} else {
				require.Empty(t, tried)
			}
		})
	}
}
