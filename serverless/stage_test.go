package serverless_test

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/serverless"
	"github.com/deviceops/deviceops/starter"
	"github.com/deviceops/deviceops/workflows"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// stage executes translated workflows with the production interpreter, on a
// virtual clock. The action http.request is the production one; it reaches a
// server of the test under the names of any host.
type stage struct {
	*testsuite.TestWorkflowEnvironment
	t       testing.TB
	mu      sync.Mutex
	sources map[string]string // workflows by name
	server  *httptest.Server  // nil: nothing is reached
	events  []deviceops.Event // that a wait hears
	perform func(context.Context, activities.ActionInput) (activities.ActionOutput, error)

	saved   []deviceops.Run
	emitted []activities.EmitInput
}

func newStage(t testing.TB) *stage {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(quiet{})
	s := &stage{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), t: t, sources: map[string]string{}}
	s.SetStartTime(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	s.SetDataConverter(starter.DataConverter())
	s.SetTestTimeout(time.Minute)
	workflows.Register(s)
	activities.Register(production{s}, activities.Deps{Networks: loopback})
	for name, stub := range map[string]any{
		activities.NamePinDefinition: s.pin,
		activities.NameSaveRun:       func(_ context.Context, r deviceops.Run) error { s.save(&r); return nil },
		activities.NameEmitEvent:     s.emit,
		activities.NameWatchEvents:   s.watch,
		activities.NameAction:        s.action,
	} {
		s.RegisterActivityWithOptions(stub, activity.RegisterOptions{Name: name})
	}
	return s
}

// production takes the action of the engine out of all its activities.
type production struct{ *stage }

// RegisterActivityWithOptions implements activities.Registry.
func (p production) RegisterActivityWithOptions(a any, options activity.RegisterOptions) {
	if options.Name == activities.NameAction {
		p.perform = a.(func(context.Context, activities.ActionInput) (activities.ActionOutput, error))
	}
}

func (s *stage) pin(_ context.Context, in activities.PinInput) (activities.PinOutput, error) {
	source, ok := s.sources[in.Run.Workflow]
	if !ok {
		return activities.PinOutput{}, activities.Failure(deviceops.Errorf(deviceops.ENOTFOUND, "there is no workflow %s", in.Run.Workflow))
	}
	return activities.PinOutput{Version: 1, Hash: source, Source: source}, nil
}

func (s *stage) save(r *deviceops.Run) {
	if r == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved = append(s.saved, *r)
}

func (s *stage) emit(_ context.Context, in activities.EmitInput) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.emitted = append(s.emitted, in)
	return nil
}

func (s *stage) watch(_ context.Context, in activities.WatchInput) (activities.WatchOutput, error) {
	var heard []deviceops.Event
	for _, e := range s.events {
		if e.Type == in.Type && e.ID > in.After {
			heard = append(heard, e)
		}
	}
	if len(heard) == 0 {
		return activities.WatchOutput{}, activities.Failure(deviceops.Errorf(deviceops.EUNAVAILABLE, "nothing was heard yet"))
	}
	return activities.WatchOutput{Events: heard, After: heard[len(heard)-1].ID}, nil
}

// action performs an action of the engine, with all hosts at the test's server.
func (s *stage) action(ctx context.Context, in activities.ActionInput) (activities.ActionOutput, error) {
	s.save(in.Run)
	in.Run = nil
	if url, ok := in.Args["url"].(string); ok && s.server != nil {
		_, rest, _ := strings.Cut(strings.TrimPrefix(url, "https://"), "/")
		in.Args["url"] = s.server.URL + "/" + rest
	}
	return s.perform(ctx, in)
}

// translate imports a document, holds that the checker says nothing about the
// translation, not even a warning, and keeps it for being run.
func (s *stage) translate(source string) serverless.Workflow {
	s.t.Helper()
	w, found := serverless.Import("workflow.yaml", source, activities.Actions())
	require.NoError(s.t, found.Err())
	_, said := dsl.CheckFile(w.Name+".yaml", string(w.Source), dsl.Options{Actions: activities.Actions()})
	require.Empty(s.t, said, string(w.Source))
	s.sources[w.Name] = string(w.Source)
	return w
}

// run runs a workflow and gives how it ended.
func (s *stage) run(w serverless.Workflow, input any) deviceops.Run {
	s.t.Helper()
	p, found := dsl.Compile(string(w.Source))
	require.NoError(s.t, found.Err())
	given := map[string]any{}
	if input != nil {
		given["input"] = input
	}
	inputs, err := p.CoerceInputs(given)
	require.NoError(s.t, err)
	s.ExecuteWorkflow(workflows.TypeRun, workflows.RunInput{Run: deviceops.Run{
		ID: "run-1", Account: "acme", Workflow: w.Name, Version: 1, Inputs: inputs, StartedBy: "user:maria",
	}})
	require.True(s.t, s.IsWorkflowCompleted())
	require.NotEmpty(s.t, s.saved, "%v", s.GetWorkflowError())
	run := s.saved[len(s.saved)-1]
	run.Steps = s.rows()
	return run
}

// rows gives the timeline as the store has it: every row as saved last.
func (s *stage) rows() []deviceops.RunStep {
	rows := map[int]deviceops.RunStep{}
	for _, r := range s.saved {
		for _, row := range r.Steps {
			rows[row.Index] = row
		}
	}
	var all []deviceops.RunStep
	for _, row := range rows {
		all = append(all, row)
	}
	slices.SortFunc(all, func(a, b deviceops.RunStep) int { return a.Index - b.Index })
	return all
}

// quiet drops the log of the test environment.
type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}
