package ingest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/cluster"
	"github.com/deviceops/deviceops/postgres"
	"github.com/deviceops/deviceops/postgres/postgrestest"
	"github.com/deviceops/deviceops/protocol"
)

func TestMain(m *testing.M) { os.Exit(cluster.RunTests(m)) }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// testBundle is an Inbox on a database of its own, among parts that record what
// they are asked for.
type testBundle struct {
	t       testing.TB
	store   *postgres.Store
	config  Config
	inbox   *Inbox
	gateway *fakeGateway
	engine  *fakeOrchestrator
	clock   *fakeClock
}

func newBundle(t testing.TB, change func(c *Config)) *testBundle {
	t.Helper()
	b := &testBundle{t: t, store: postgrestest.New(t), gateway: &fakeGateway{}, engine: &fakeOrchestrator{}, clock: &fakeClock{at: noon}}
	b.config = Config{
		Store: b.store, Gateway: b.gateway, Orchestrator: b.engine, Catalog: fakeCatalog{}, Now: b.clock.Now, Log: quiet,
	}
	if change != nil {
		change(&b.config)
	}
	b.open()
	t.Cleanup(func() { _ = b.inbox.Close(context.Background()) })
	return b
}

func (b *testBundle) open() {
	b.t.Helper()
	inbox, err := New(b.config)
	require.NoError(b.t, err)
	b.inbox = inbox
}

// settle lets all effects end, as a restart of the process would.
func (b *testBundle) settle() {
	b.t.Helper()
	require.NoError(b.t, b.inbox.Close(context.Background()))
	b.open()
}

// idle waits until all publications that were begun have been made. Unlike
// settle it keeps the acks that are owed.
func (b *testBundle) idle() {
	b.t.Helper()
	pool := b.inbox.effects.publish
	var reached, release sync.WaitGroup
	release.Add(1)
	for range publishers { // one job for each worker, which all of them must be free for
		reached.Add(1)
		pool.push(context.Background(), func(context.Context) { reached.Done(); release.Wait() })
	}
	reached.Wait()
	release.Done()
}

func (b *testBundle) sweeper() *Sweeper {
	return NewSweeper(SweeperConfig{Store: b.store, Gateway: b.gateway, Orchestrator: b.engine, Catalog: b.config.Catalog, Now: b.clock.Now, Log: quiet})
}

func message(device string, leaf protocol.Leaf, payload string) deviceops.Message {
	return deviceops.Message{Topic: protocol.Topics{}.Up(device, leaf), Payload: []byte(payload)}
}

// say delivers messages, alternately leaf and payload, as one batch.
func (b *testBundle) say(device string, said ...string) {
	b.t.Helper()
	var batch []deviceops.Message
	for i := 0; i < len(said); i += 2 {
		batch = append(batch, message(device, protocol.Leaf(said[i]), said[i+1]))
	}
	require.NoError(b.t, b.inbox.Deliver(context.Background(), batch))
}

func (b *testBundle) register(rows ...deviceops.Registration) {
	b.t.Helper()
	for i := range rows {
		rows[i].Account, rows[i].Profile = "acme", "kiosk"
		if rows[i].Serial == "" {
			rows[i].Serial = "serial-" + rows[i].ID
		}
	}
	require.NoError(b.t, b.store.EnsureAccount(context.Background(), deviceops.Account{Path: "acme", Name: "Acme", CreatedAt: noon}))
	outcomes, err := b.store.RegisterDevices(context.Background(), rows, noon)
	require.NoError(b.t, err)
	for _, o := range outcomes {
		require.Equal(b.t, deviceops.Registered, o)
	}
}

// device registers a device in the given state.
func (b *testBundle) device(id string, state deviceops.State) {
	b.t.Helper()
	b.register(deviceops.Registration{ID: id})
	d := b.find(id)
	d.State = state
	require.NoError(b.t, b.store.SaveDevice(context.Background(), &d))
}

func (b *testBundle) find(id string) deviceops.Device {
	b.t.Helper()
	d, err := b.store.FindDevice(context.Background(), id)
	require.NoError(b.t, err)
	return d
}

// command stores a command of k1 that an activity waits for.
func (b *testBundle) command(c deviceops.Command) {
	b.t.Helper()
	c.Account, c.Attempt, c.By, c.CreatedAt, c.ExpiresAt = "acme", max(c.Attempt, 1), "run:r1", noon, noon.Add(time.Hour)
	if c.Device == "" {
		c.Device = "k1"
	}
	if c.Name == "" {
		c.Name = "diagnostics"
	}
	c.Waiter = &deviceops.ActivityRef{Workflow: "w", Activity: c.ID}
	_, created, err := b.store.CreateCommand(context.Background(), c)
	require.NoError(b.t, err)
	require.True(b.t, created)
	if c.Status != "" {
		require.NoError(b.t, b.store.SaveCommands(context.Background(), []deviceops.Command{c}))
	}
}

func (b *testBundle) status(id string) deviceops.CommandStatus {
	b.t.Helper()
	c, err := b.store.FindCommand(context.Background(), id)
	require.NoError(b.t, err)
	return c.Status
}

// events gives the events of a device of one type, oldest first.
func (b *testBundle) events(device, kind string) []deviceops.Event {
	b.t.Helper()
	found, err := b.store.ListEvents(context.Background(), deviceops.EventFilter{Device: device, Type: kind, Limit: 1000})
	require.NoError(b.t, err)
	slices.Reverse(found)
	return found
}

func (b *testBundle) rejected() map[string]int64 {
	b.t.Helper()
	_, counts, err := b.store.ListRejected(context.Background(), deviceops.RejectedFilter{}, 100)
	require.NoError(b.t, err)
	return counts
}

type fakeClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// fakeGateway takes everything, unless it is down.
type fakeGateway struct {
	deviceops.Gateway
	mu       sync.Mutex
	down     bool
	commands []deviceops.Command
	welcomes []deviceops.Welcome
	acks     []deviceops.SeqKey
}

var errDown = deviceops.Errorf(deviceops.EUNAVAILABLE, "down")

func (g *fakeGateway) PublishCommands(_ context.Context, commands []deviceops.Command, _ time.Time) ([]deviceops.Sent, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.down {
		return nil, errDown
	}
	var sent []deviceops.Sent
	for _, c := range commands {
		sent = append(sent, deviceops.Sent{ID: c.ID, Attempt: c.Attempt, Boot: c.Route.Boot})
	}
	g.commands = append(g.commands, commands...)
	return sent, nil
}

func (g *fakeGateway) PublishWelcomes(_ context.Context, welcomes []deviceops.Welcome, _ time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.welcomes = append(g.welcomes, welcomes...)
	return nil
}

func (g *fakeGateway) PublishAcks(_ context.Context, acks []deviceops.SeqKey) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.acks = append(g.acks, acks...)
	return nil
}

// published gives the ids of published commands, sorted, and forgets them.
func (g *fakeGateway) published() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	ids := map[string]bool{}
	for _, c := range g.commands {
		ids[c.ID] = true
	}
	g.commands = nil
	return slices.Sorted(maps.Keys(ids))
}

func (g *fakeGateway) welcome(t testing.TB) deviceops.Welcome {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	require.NotEmpty(t, g.welcomes)
	w := g.welcomes[len(g.welcomes)-1]
	g.welcomes = nil
	return w
}

func (g *fakeGateway) acked() []deviceops.SeqKey {
	g.mu.Lock()
	defer g.mu.Unlock()
	acks := g.acks
	g.acks = nil
	return acks
}

// fakeOrchestrator runs workflows for ever, unless it is down.
type fakeOrchestrator struct {
	deviceops.Orchestrator
	mu        sync.Mutex
	down      bool
	running   map[string]int // how often each was started
	completed []string       // activities
	signaled  []string       // workflows
	lost      bool           // no workflow runs but those that were started here
	tables    map[string]deviceops.Timetable
}

func (o *fakeOrchestrator) Schedule(_ context.Context, t deviceops.Timetable) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tables == nil {
		o.tables = map[string]deviceops.Timetable{}
	}
	o.tables[t.ID] = t
	return nil
}

func (o *fakeOrchestrator) Unschedule(_ context.Context, id string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.tables, id)
	return nil
}

func (o *fakeOrchestrator) Timetables(context.Context) (map[string]string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down {
		return nil, errors.New("down")
	}
	digests := map[string]string{}
	for id, t := range o.tables {
		digests[id] = t.Digest()
	}
	return digests, nil
}

func (o *fakeOrchestrator) Start(_ context.Context, s deviceops.Start) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down {
		return false, errors.New("down")
	}
	if o.running == nil {
		o.running = map[string]int{}
	}
	if o.running[s.WorkflowID] > 0 {
		return false, nil
	}
	o.running[s.WorkflowID]++
	return true, nil
}

func (o *fakeOrchestrator) Complete(_ context.Context, ref deviceops.ActivityRef, _ deviceops.Command) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down {
		return errors.New("down")
	}
	o.completed = append(o.completed, ref.Activity)
	return nil
}

func (o *fakeOrchestrator) Signal(_ context.Context, workflowID, name string, _ any) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.down:
		return errors.New("down")
	case o.lost && o.running[workflowID] == 0:
		return deviceops.Errorf(deviceops.ENOTFOUND, "no workflow %s", workflowID)
	}
	o.signaled = append(o.signaled, name+" "+workflowID)
	return nil
}

func (o *fakeOrchestrator) Update(_ context.Context, workflowID, _, name string, _, _ any) error {
	err := o.Signal(context.Background(), workflowID, name, nil)
	if err != nil && deviceops.ErrorCode(err) != deviceops.ENOTFOUND {
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "%w", err)
	}
	return err
}

func (o *fakeOrchestrator) Describe(_ context.Context, workflowID string) (deviceops.Execution, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.down:
		return deviceops.Execution{}, errors.New("down")
	case o.lost && o.running[workflowID] == 0:
		return deviceops.Execution{}, deviceops.Errorf(deviceops.ENOTFOUND, "no workflow %s", workflowID)
	}
	return deviceops.Execution{WorkflowID: workflowID, Status: "running"}, nil
}

// signals gives the signals that were sent, and forgets them.
func (o *fakeOrchestrator) signals() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	signaled := o.signaled
	o.signaled = nil
	return signaled
}

func (o *fakeOrchestrator) setDown(down bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down = down
}

func (o *fakeOrchestrator) started() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.running)
}

func (o *fakeOrchestrator) completions() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(slices.Values(o.completed))
}

// fakeCatalog knows one profile.
type fakeCatalog struct{ deviceops.Catalog }

func (fakeCatalog) Profile(_ context.Context, _, name string) (*deviceops.Profile, error) {
	if name != "kiosk" {
		return nil, deviceops.Errorf(deviceops.ENOTFOUND, "there is no profile %s", name)
	}
	return &deviceops.Profile{Name: name, Metrics: map[string]deviceops.MetricSpec{"battery_pct": {Type: "number"}},
		Commands: map[string]deviceops.CommandSpec{"ping": {Name: "ping", Exclusive: true}}}, nil
}

// Rollout gives every rollout one re-try and one deferral.
func (fakeCatalog) Rollout(context.Context, deviceops.Rollout) (*deviceops.RolloutSpec, error) {
	return &deviceops.RolloutSpec{
		Change:    deviceops.Change{Kind: deviceops.ChangeCommand, Command: "ping"},
		Retry:     deviceops.RetrySpec{Times: 1, Min: time.Minute, Max: time.Minute},
		Deferrals: deviceops.DeferralSpec{Max: 1, Then: deviceops.DeferralFail},
	}, nil
}
