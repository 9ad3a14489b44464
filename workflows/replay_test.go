package workflows_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/deviceops/deviceops/starter"
	"github.com/deviceops/deviceops/workflows"
)

// TestRecordedHistories replays histories of a real server, which the tests of
// package worker record when DEVICEOPS_RECORD_HISTORIES names a folder. Replay
// by itself only compares what kinds of commands a workflow gives; here their
// inputs, the lengths of timers and the result are compared as well. A change
// that breaks one of them has to branch on the version of the engine.
func TestRecordedHistories(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/replay/*.json")
	require.NoError(t, err)
	unrecorded := registered{}
	workflows.Register(unrecorded)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var history historypb.History
		require.NoError(t, protojson.Unmarshal(data, &history))
		delete(unrecorded, history.Events[0].GetWorkflowExecutionStartedEventAttributes().GetWorkflowType().GetName())
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			want := recorded(&history)
			require.Equal(t, want, replay(t, &history))
		})
	}
	require.Empty(t, unrecorded, "types of workflows of which no history is recorded")
}

// registered are the types of the workflows that the engine has.
type registered map[string]bool

func (r registered) RegisterWorkflowWithOptions(_ any, o workflow.RegisterOptions) { r[o.Name] = true }

func (r registered) RegisterDynamicWorkflow(any, workflow.DynamicRegisterOptions) {}

// replay executes the workflow of a history again and gives what it asked for.
func replay(t *testing.T, history *historypb.History) []string {
	t.Helper()
	spy := &spy{}
	replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{
		DataConverter: starter.DataConverter(), Interceptors: []interceptor.WorkerInterceptor{spy},
	})
	require.NoError(t, err)
	workflows.Register(replayer)
	require.NoError(t, replayer.ReplayWorkflowHistory(quiet{}, history))
	return spy.asked
}

// recorded gives what a workflow asked for according to its history: activities
// and child workflows with their inputs, timers, and its result.
func recorded(history *historypb.History) (asked []string) {
	for _, e := range history.Events {
		switch {
		case e.GetActivityTaskScheduledEventAttributes() != nil:
			a := e.GetActivityTaskScheduledEventAttributes()
			asked = append(asked, fmt.Sprintf("activity %s %s %s", a.GetActivityType().GetName(), ownID(a.GetActivityId()), text(a.GetInput())))
		case e.GetStartChildWorkflowExecutionInitiatedEventAttributes() != nil:
			c := e.GetStartChildWorkflowExecutionInitiatedEventAttributes()
			asked = append(asked, fmt.Sprintf("child %s %s %s", c.GetWorkflowType().GetName(), c.GetWorkflowId(), text(c.GetInput())))
		case e.GetTimerStartedEventAttributes() != nil:
			asked = append(asked, "timer "+e.GetTimerStartedEventAttributes().GetStartToFireTimeout().AsDuration().String())
		case e.GetWorkflowExecutionCompletedEventAttributes() != nil:
			asked = append(asked, "result "+text(e.GetWorkflowExecutionCompletedEventAttributes().GetResult()))
		}
	}
	return asked
}

// ownID gives the id of an activity if the workflow chose it; else Temporal has
// numbered it.
func ownID(id string) string {
	if _, err := strconv.Atoi(id); err == nil {
		return ""
	}
	return id
}

func text(p *commonpb.Payloads) string {
	var parts []string
	for _, payload := range p.GetPayloads() {
		parts = append(parts, string(payload.GetData()))
	}
	return strings.Join(parts, " ")
}

// spy notes what a workflow asks for.
type spy struct {
	interceptor.WorkerInterceptorBase
	mu    sync.Mutex
	asked []string
}

func (s *spy) note(what string, args ...any) {
	payloads, err := starter.DataConverter().ToPayloads(args...)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, what+text(payloads))
}

func (s *spy) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return &inbound{WorkflowInboundInterceptorBase: interceptor.WorkflowInboundInterceptorBase{Next: next}, spy: s}
}

type inbound struct {
	interceptor.WorkflowInboundInterceptorBase
	spy *spy
}

func (i *inbound) Init(next interceptor.WorkflowOutboundInterceptor) error {
	return i.Next.Init(&outbound{WorkflowOutboundInterceptorBase: interceptor.WorkflowOutboundInterceptorBase{Next: next}, spy: i.spy})
}

func (i *inbound) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	result, err := i.Next.ExecuteWorkflow(ctx, in)
	if err == nil {
		i.spy.note("result ", result)
	}
	return result, err
}

type outbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	spy *spy
}

func (o *outbound) ExecuteActivity(ctx workflow.Context, name string, args ...any) workflow.Future {
	o.spy.note(fmt.Sprintf("activity %s %s ", name, workflow.GetActivityOptions(ctx).ActivityID), args...)
	return o.Next.ExecuteActivity(ctx, name, args...)
}

func (o *outbound) ExecuteChildWorkflow(ctx workflow.Context, name string, args ...any) workflow.ChildWorkflowFuture {
	o.spy.note(fmt.Sprintf("child %s %s ", name, workflow.GetChildWorkflowOptions(ctx).WorkflowID), args...)
	return o.Next.ExecuteChildWorkflow(ctx, name, args...)
}

func (o *outbound) NewTimerWithOptions(ctx workflow.Context, d time.Duration, options workflow.TimerOptions) workflow.Future {
	o.spy.note("timer " + d.String())
	return o.Next.NewTimerWithOptions(ctx, d, options)
}

func (o *outbound) NewTimer(ctx workflow.Context, d time.Duration) workflow.Future {
	o.spy.note("timer " + d.String())
	return o.Next.NewTimer(ctx, d)
}
