package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	sdkworker "go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/cluster"
	"github.com/deviceops/deviceops/dev"
	"github.com/deviceops/deviceops/postgres/postgrestest"
	"github.com/deviceops/deviceops/starter"
	"github.com/deviceops/deviceops/worker"
	"github.com/deviceops/deviceops/workflows"
)

func TestMain(m *testing.M) { os.Exit(cluster.RunTests(m)) }

// recordVariable names a folder; set, the histories of these tests are written
// there, for the replay tests of package workflows.
const recordVariable = "DEVICEOPS_RECORD_HISTORIES"

// patience is how long anything here may take on a busy machine.
const patience = 90 * time.Second

// stack is a worker over a real Temporal server and a real store, with devices
// that answer at once.
type stack struct {
	client  client.Client
	store   deviceops.Store
	url     string // of the store's database
	starter *starter.Starter
	fleet   *fleet
	deps    activities.Deps
	stop    func(*testing.T) // of the worker
}

// work starts a worker, which stops with stop.
func (s *stack) work() {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	w := worker.New(s.client, s.deps, worker.Options{StopTimeout: 2 * time.Second})
	go func() {
		ended <- w.Run(ctx)
		close(ended) // it may be stopped again
	}()
	s.stop = func(t *testing.T) {
		t.Helper()
		stop()
		require.NoError(t, <-ended)
	}
}

// newStack starts a stack; changes adapt what its activities reach.
func newStack(t *testing.T, changes ...func(*activities.Deps)) *stack {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	server, err := dev.StartTemporal(t.Context(), dev.TemporalConfig{Dir: t.TempDir(), Log: quiet})
	require.NoError(t, err)
	c, err := starter.Dial(t.Context(), starter.Config{Address: server.Address(), Namespace: dev.Namespace, Log: quiet})
	require.NoError(t, err)
	url := postgrestest.URL(t)
	s := &stack{client: c, store: postgrestest.Open(t, url), url: url, starter: starter.New(c, dev.Namespace)}
	s.fleet = &fleet{store: s.store, orchestrator: s.starter, failures: map[string]int{}}

	s.deps = activities.Deps{Store: s.store, Gateway: s.fleet, Catalog: catalog{}, Log: quiet}
	for _, change := range changes {
		change(&s.deps)
	}
	s.work()
	t.Cleanup(func() {
		s.stop(t)
		s.fleet.answers.Wait()
		c.Close()
		closing, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		require.NoError(t, server.Close(closing))
	})
	return s
}

// register stores a device that said hello and is online.
func (s *stack) register(t *testing.T, id string) {
	t.Helper()
	claim := deviceops.HashClaim(id, "open sesame")
	now := time.Now().UTC().Truncate(time.Millisecond)
	_, err := s.store.RegisterDevices(t.Context(), []deviceops.Registration{{
		ID: id, Account: "acme", Serial: id, Profile: "kiosk", ClaimHash: claim,
	}}, now)
	require.NoError(t, err)
	require.NoError(t, s.store.SaveSessions(t.Context(), map[string]deviceops.Session{id: {
		Connectivity: deviceops.Online, Since: now, HelloAt: now, LastSeen: now, ClaimHash: claim,
	}}))
}

// publish stores a workflow of account acme.
func (s *stack) publish(t *testing.T, name, source string) {
	t.Helper()
	_, _, err := s.store.PublishDocument(t.Context(), deviceops.Document{
		Account: "acme", Kind: deviceops.KindWorkflow, Name: name, Hash: name, Source: source, PublishedAt: time.Now(), PublishedBy: "user:maria",
	})
	require.NoError(t, err)
}

// start starts a workflow and reports a failure to do so.
func (s *stack) start(t *testing.T, start deviceops.Start) {
	t.Helper()
	started, err := s.starter.Start(t.Context(), start)
	require.NoError(t, err)
	require.True(t, started)
}

// wait waits for the end of a workflow and decodes its result.
func (s *stack) wait(t *testing.T, id string, result any) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return s.client.GetWorkflow(ctx, id, "").Get(ctx, result)
}

// history gives the events of a workflow that has ended, records them if asked
// and requires that they can be replayed.
func (s *stack) history(t *testing.T, id, name string) []*historypb.HistoryEvent {
	t.Helper()
	var h historypb.History
	events := s.client.GetWorkflowHistory(t.Context(), id, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		e, err := events.Next()
		require.NoError(t, err)
		h.Events = append(h.Events, e)
	}
	if folder := os.Getenv(recordVariable); folder != "" {
		data, err := protojson.MarshalOptions{Indent: " "}.Marshal(&h)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, name+".json"), data, 0o644))
	}
	replayer, err := sdkworker.NewWorkflowReplayerWithOptions(sdkworker.WorkflowReplayerOptions{DataConverter: starter.DataConverter()})
	require.NoError(t, err)
	workflows.Register(replayer)
	require.NoError(t, replayer.ReplayWorkflowHistory(nil, &h))
	return h.Events
}

// kinds gives a history in short.
func kinds(events []*historypb.HistoryEvent) string {
	names := make([]string, len(events))
	for i, e := range events {
		names[i] = e.GetEventType().String()
	}
	return strings.Join(names, " ")
}

func TestProvisionOnARealServer(t *testing.T) {
	s := newStack(t)
	s.fleet.failures["k2"] = 1
	for _, id := range []string{"k1", "k2"} {
		s.register(t, id)
		s.start(t, workflows.ProvisionStart(workflows.ProvisionInput{Device: id}))
	}
	again, err := s.starter.Start(t.Context(), workflows.ProvisionStart(workflows.ProvisionInput{Device: "k1"}))
	require.NoError(t, err)
	require.False(t, again, "one workflow provisions a device")

	for _, id := range []string{"k1", "k2"} {
		var result workflows.ProvisionResult
		require.NoError(t, s.wait(t, workflows.ProvisionID(id), &result))
		require.Equal(t, workflows.ProvisionResult{Outcome: "active", State: deviceops.Active}, result)
		d, err := s.store.FindDevice(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, deviceops.Active, d.State)
	}
	events := s.history(t, workflows.ProvisionID("k1"), "provision")
	t.Logf("%d events: %s", len(events), kinds(events))
	require.LessOrEqual(t, len(events), 16)
	s.history(t, workflows.ProvisionID("k2"), "provision-retry")
	require.Equal(t, map[string]int{"k1#1": 1, "k2#1": 1, "k2#2": 1}, s.fleet.executed, "no attempt was made twice")

	e, err := s.starter.Describe(t.Context(), workflows.ProvisionID("k1"))
	require.NoError(t, err)
	require.Equal(t, "completed", e.Status)
	require.EqualValues(t, len(events), e.Events)
}

func TestManyDevicesAtOnce(t *testing.T) {
	s := newStack(t)
	const devices = 100
	ids := make([]string, devices)
	for i := range ids {
		ids[i] = fmt.Sprintf("k%03d", i)
		s.register(t, ids[i])
	}
	began := time.Now()
	for _, id := range ids {
		s.start(t, workflows.ProvisionStart(workflows.ProvisionInput{Device: id}))
	}
	most := int64(0)
	for _, id := range ids {
		var result workflows.ProvisionResult
		require.NoError(t, s.wait(t, workflows.ProvisionID(id), &result))
		require.Equal(t, "active", result.Outcome, result.Reason)
		e, err := s.starter.Describe(t.Context(), workflows.ProvisionID(id))
		require.NoError(t, err)
		most = max(most, e.Events)
	}
	t.Logf("%d devices in %s, at most %d events", devices, time.Since(began).Round(time.Millisecond), most)
	require.LessOrEqual(t, most, int64(25))
	require.Len(t, s.fleet.executed, devices)
	for attempt, times := range s.fleet.executed {
		require.Equal(t, 1, times, attempt)
	}
}

const everyVerb = `workflow: all
inputs: { device: device }
device: ${{ inputs.device }}
outputs: { by: "${{ steps.decision.output.by }}", twice: "${{ steps.sub.output.twice }}" }
steps:
  - set: { n: 9007199254740993 }
  - id: diag
    command: diagnostics
    timeout: 2m
    retry: { times: 1, delay: 100ms }
  - action: log
    with: { message: "${{ string(vars.n) }}" }
  - id: decision
    approve: Go on?
    by: [role:operator]
    show: ${{ steps.diag.output }}
    expires: 1h
  - wait: 50ms
  - try:
      - fail: { code: odd, message: strange }
    catch:
      - set: { seen: "${{ error.code }}" }
  - id: sub
    run: double@latest
    with: { n: 21 }
  - if: vars.seen != "odd"
    fail: never
`

func TestRunOnARealServer(t *testing.T) {
	s := newStack(t)
	s.register(t, "k1")
	s.fleet.failures["k1"] = 1
	s.publish(t, "all", everyVerb)
	s.publish(t, "double", "workflow: double\ninputs: { n: integer }\noutputs: { twice: \"${{ inputs.n * 2 }}\" }\nsteps:\n  - return:\n")
	run := deviceops.Run{ID: "r1", Account: "acme", Workflow: "all", Version: 1, Device: "k1", Status: deviceops.RunPending, StartedAt: time.Now()}
	_, err := s.store.CreateRun(t.Context(), run)
	require.NoError(t, err)
	s.start(t, workflows.RunStart(run))

	require.Eventually(t, func() bool {
		a, err := s.store.FindApproval(t.Context(), "r1/decision")
		return err == nil && a.Status == deviceops.ApprovalOpen
	}, patience, 20*time.Millisecond)
	var live deviceops.Run
	require.NoError(t, s.starter.Query(t.Context(), "r1", workflows.QueryRun, &live))
	require.Equal(t, deviceops.RunWaiting, live.Status)

	viewer := deviceops.Principal{Name: "user:vic", Account: "acme", Roles: []string{deviceops.RoleViewer}}
	operator := deviceops.Principal{Name: "user:maria", Account: "acme", Roles: []string{deviceops.RoleOperator}}
	decide := func(by deviceops.Principal) (a deviceops.Approval, err error) {
		d := deviceops.Decision{Approval: "r1/decision", Approve: true, By: by}
		err = s.starter.Update(t.Context(), "r1", "by-"+by.Name, workflows.UpdateDecide, d, &a)
		return a, err
	}
	_, err = decide(viewer)
	require.Equal(t, deviceops.EFORBIDDEN, deviceops.ErrorCode(err))
	require.Equal(t, "user:vic may not decide this; it asks [role:operator]", deviceops.ErrorMessage(err))
	approved, err := decide(operator)
	require.NoError(t, err)
	require.Equal(t, deviceops.ApprovalApproved, approved.Status)

	var result workflows.RunResult
	require.NoError(t, s.wait(t, "r1", &result))
	require.EqualValues(t, map[string]any{"by": "user:maria", "twice": int64(42)}, result.Outputs)
	stored, err := s.store.FindRun(t.Context(), "r1")
	require.NoError(t, err)
	require.Equal(t, deviceops.RunSucceeded, stored.Status)
	require.Len(t, stored.Steps, 10)
	require.Equal(t, 2, stored.Steps[1].Attempts)
	events := s.history(t, "r1", "run")
	t.Logf("%d events", len(events))
	require.Equal(t, []string{"all", "double"}, typesIn(events))
	_, err = decide(operator)
	require.NoError(t, err, "the same update again is the same answer")
}

// typesIn gives the types of a run and of those that it started.
func typesIn(events []*historypb.HistoryEvent) (types []string) {
	for _, e := range events {
		if a := e.GetWorkflowExecutionStartedEventAttributes(); a != nil {
			types = append(types, a.GetWorkflowType().GetName())
		}
		if a := e.GetStartChildWorkflowExecutionInitiatedEventAttributes(); a != nil {
			types = append(types, a.GetWorkflowType().GetName())
		}
	}
	return types
}

func TestCancelOnARealServer(t *testing.T) {
	s := newStack(t)
	s.register(t, "k1")
	s.fleet.silent = true
	s.publish(t, "slow", "workflow: slow\nsteps:\n  - command: diagnostics\n    timeout: 1h\n    device: k1\n")
	run := deviceops.Run{ID: "r1", Account: "acme", Workflow: "slow", Version: 1}
	s.start(t, workflows.RunStart(run))
	require.Eventually(t, func() bool {
		c, err := s.store.FindCommand(t.Context(), "r1.steps.0.0")
		return err == nil && c.Status == deviceops.CommandSent
	}, patience, 20*time.Millisecond)
	require.NoError(t, s.starter.Cancel(t.Context(), "r1", "enough"))
	require.Error(t, s.wait(t, "r1", nil))

	stored, err := s.store.FindRun(t.Context(), "r1")
	require.NoError(t, err)
	require.Equal(t, deviceops.RunCanceled, stored.Status)
	require.Equal(t, []string{"r1.steps.0.0"}, s.fleet.canceled)
	e, err := s.starter.Describe(t.Context(), "r1")
	require.NoError(t, err)
	require.Equal(t, "canceled", e.Status)
	s.history(t, "r1", "cancel")
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(s.starter.Cancel(t.Context(), "r9", "never started")))
}

func TestRunEndsWhenTemporalIsNotThere(t *testing.T) {
	t.Parallel()
	c, err := client.NewLazyClient(client.Options{HostPort: "127.0.0.1:1", Logger: discard{}})
	require.NoError(t, err)
	defer c.Close()
	err = worker.New(c, activities.Deps{}, worker.Options{TaskQueue: "nowhere"}).Run(t.Context())
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(err))
}

// fleet stands in for broker, devices and ingest: what is published is executed
// and answered at once.
type fleet struct {
	deviceops.Gateway
	store        deviceops.Store
	orchestrator deviceops.Orchestrator
	silent       bool // nobody answers
	takes        time.Duration
	fails        func(deviceops.Command) bool // more attempts that fail, for good; nil: none

	mu       sync.Mutex
	answers  sync.WaitGroup
	failures map[string]int // by device: how many attempts fail
	executed map[string]int // by device#attempt
	canceled []string
}

func (f *fleet) PublishCommands(_ context.Context, commands []deviceops.Command, _ time.Time) (sent []deviceops.Sent, err error) {
	for _, c := range commands {
		sent = append(sent, deviceops.Sent{ID: c.ID, Attempt: c.Attempt})
		if f.silent {
			continue
		}
		f.answers.Add(1)
		go func() {
			defer f.answers.Done()
			f.answer(context.Background(), c)
		}()
	}
	return sent, nil
}

func (f *fleet) PublishCancel(_ context.Context, _, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.canceled = append(f.canceled, id)
	return nil
}

// execute is what the device does.
func (f *fleet) execute(c deviceops.Command) deviceops.Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.executed == nil {
		f.executed = map[string]int{}
	}
	f.executed[c.Device+"#"+string(rune('0'+c.Attempt))]++
	if f.fails != nil && f.fails(c) {
		return deviceops.Answer{Attempt: c.Attempt, Status: "failed", Error: &deviceops.CommandError{Code: "broken", Message: "it does not work"}}
	}
	if f.failures[c.Device] >= c.Attempt {
		return deviceops.Answer{Attempt: c.Attempt, Status: "failed", Error: &deviceops.CommandError{Code: "busy", Message: "in use", Retryable: true}}
	}
	return deviceops.Answer{Attempt: c.Attempt, Status: "succeeded", Output: map[string]any{"uptime_s": 7}}
}

// answer is what ingest does with a device's result, its report and heartbeat.
func (f *fleet) answer(ctx context.Context, c deviceops.Command) {
	time.Sleep(f.takes) // what the device does takes its time
	answer, now := f.execute(c), time.Now().UTC()
	var stored deviceops.Command
	var moved []deviceops.RolloutMove
	err := f.store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		devices, err := tx.LockDevices(ctx, []string{c.Device})
		if err != nil {
			return err
		}
		locked, err := tx.LockCommands(ctx, []string{c.ID})
		if err != nil {
			return err
		}
		stored = *locked[c.ID]
		stored.Answer(answer, now)
		d := devices[c.Device]
		d.Session.LastHeartbeat = now
		report := deviceops.Reported{At: now}
		if answer.Status == "succeeded" { // a device that failed has nothing new to report
			report.ConfigVersion = d.Twin.Desired.Version
		}
		if stored.Rollout != "" {
			moved, err = tx.AdvanceRollout(ctx, []deviceops.RolloutMove{deviceops.RolloutOutcome(nil, &stored, false, now)})
		}
		return firstError(err,
			tx.SaveCommands(ctx, []deviceops.Command{stored}),
			tx.SaveSessions(ctx, map[string]deviceops.Session{d.ID: d.Session}),
			tx.SaveReported(ctx, map[string]deviceops.Reported{d.ID: report}),
		)
	})
	for _, m := range moved {
		if m.Urgent() { // or nobody waits for it any more
			_ = f.orchestrator.Signal(ctx, deviceops.RolloutWorkflowID(m.Rollout), workflows.SignalNudge, nil)
		}
	}
	if err == nil && stored.Waiter != nil {
		err = f.orchestrator.Complete(ctx, *stored.Waiter, stored)
	}
	if err != nil {
		panic(err)
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// catalog holds the profile kiosk.
type catalog struct{ deviceops.Catalog }

func (catalog) Profile(context.Context, string, string) (*deviceops.Profile, error) {
	return &deviceops.Profile{
		Name: "kiosk", Commands: map[string]deviceops.CommandSpec{"diagnostics": {Name: "diagnostics"}},
		Heartbeat: deviceops.DefaultHeartbeat,
		Provision: deviceops.ProvisionSpec{Configuration: map[string]any{"brightness": 80}, Retries: 2},
	}, nil
}

// discard drops a client's log.
type discard struct{}

func (discard) Debug(string, ...any) {}
func (discard) Info(string, ...any)  {}
func (discard) Warn(string, ...any)  {}
func (discard) Error(string, ...any) {}
