package activities_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/postgres"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// world is the activities over a real store, a broker that records, and a
// catalog of one profile.
type world struct {
	*testsuite.TestActivityEnvironment
	store   deviceops.Store
	broker  *broker
	catalog *catalog
	now     time.Time
	deps    activities.Deps
}

func newWorld(t *testing.T, configure ...func(*activities.Deps)) *world {
	t.Helper()
	return newWorldOn(t, postgrestest.New(t), configure...)
}

// newNarrowWorld is a world whose store has a single connection and whose
// catalog reads that store: whatever waits for a second one waits for ever.
func newNarrowWorld(t *testing.T) *world {
	t.Helper()
	store, err := postgres.Open(t.Context(), postgres.Config{URL: postgrestest.URL(t), MaxConns: 1})
	require.NoError(t, err)
	t.Cleanup(store.Close)
	w := newWorldOn(t, store)
	w.catalog.store = store
	w.SetTestTimeout(20 * time.Second)
	return w
}

func newWorldOn(t *testing.T, store deviceops.Store, configure ...func(*activities.Deps)) *world {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(quiet{})
	w := &world{
		TestActivityEnvironment: suite.NewTestActivityEnvironment(), store: store,
		broker: &broker{}, catalog: &catalog{profile: kiosk()}, now: noon,
	}
	deps := activities.Deps{
		Store: w.store, Gateway: w.broker, Broker: w.broker, Catalog: w.catalog, Now: func() time.Time { return w.now },
		Log: slog.New(slog.DiscardHandler),
	}
	for _, change := range configure {
		change(&deps)
	}
	w.deps = deps
	activities.Register(w, deps)
	return w
}

// kiosk is the profile of the devices of these tests.
func kiosk() *deviceops.Profile {
	return &deviceops.Profile{
		Account: "acme", Name: "kiosk", Version: 1,
		Commands: map[string]deviceops.CommandSpec{
			"ping": {Name: "ping", Timeout: time.Minute, Prepare: func(args map[string]any) (map[string]any, error) {
				if len(args) > 0 {
					return nil, deviceops.Errorf(deviceops.EINVALID, "ping takes no arguments")
				}
				return map[string]any{"depth": 1}, nil
			}},
		},
		Heartbeat: deviceops.HeartbeatPolicy{Every: 30 * time.Second, OfflineAfter: 3},
		Provision: deviceops.ProvisionSpec{Configuration: map[string]any{"brightness": int64(80)}, Retries: 2},
	}
}

// device stores a registered device of account acme that said hello with the
// right claim and is online.
func (w *world) device(t *testing.T, id string, state deviceops.State) deviceops.Device {
	t.Helper()
	ctx := t.Context()
	claim := deviceops.HashClaim(id, "open sesame")
	_, err := w.store.RegisterDevices(ctx, []deviceops.Registration{{
		ID: id, Account: "acme", Serial: "sn-" + id, Profile: "kiosk", ClaimHash: claim,
	}}, noon.Add(-time.Hour))
	require.NoError(t, err)
	require.NoError(t, w.store.SaveSessions(ctx, map[string]deviceops.Session{id: {
		Connectivity: deviceops.Online, Since: noon, HelloAt: noon, LastSeen: noon, ClaimHash: claim,
		Presented: deviceops.Presented{Profile: "kiosk", Serial: "sn-" + id},
	}}))
	d := w.find(t, id)
	if state != deviceops.Escrow {
		d.State, d.StateSince = state, noon
		require.NoError(t, w.store.SaveDevice(ctx, &d))
	}
	return d
}

func (w *world) find(t *testing.T, id string) deviceops.Device {
	t.Helper()
	d, err := w.store.FindDevice(t.Context(), id)
	require.NoError(t, err)
	return d
}

// session changes the session of a device.
func (w *world) session(t *testing.T, id string, change func(*deviceops.Session)) {
	t.Helper()
	s := w.find(t, id).Session
	change(&s)
	require.NoError(t, w.store.SaveSessions(t.Context(), map[string]deviceops.Session{id: s}))
}

// events gives the events of a device of one type, oldest first.
func (w *world) events(t *testing.T, id, eventType string) []deviceops.Event {
	t.Helper()
	events, err := w.store.ListEvents(t.Context(), deviceops.EventFilter{Device: id, Type: eventType, After: -1})
	require.NoError(t, err)
	return events
}

// do executes an activity and decodes what it gives.
func do[O any](w *world, name string, in any) (out O, err error) {
	value, err := w.ExecuteActivity(name, in)
	if err != nil {
		return out, err
	}
	if value.HasValue() {
		err = value.Get(&out)
	}
	return out, err
}

// requireCode requires that an activity failed with a code.
func requireCode(t *testing.T, code string, err error) *deviceops.RunError {
	t.Helper()
	require.Error(t, err)
	cause := activities.Cause(err)
	require.Equal(t, code, cause.Code, "%v", err)
	return cause
}

// requirePending requires that an activity left without an answer.
func requirePending(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, activity.ErrResultPending)
}

// broker records what is published.
type broker struct {
	deviceops.Gateway
	mu        sync.Mutex
	fails     bool
	refuses   map[string]error // by device
	published []deviceops.Command
	canceled  []string
	messages  map[string]string // payload by topic
}

func (b *broker) PublishCommands(_ context.Context, commands []deviceops.Command, _ time.Time) (sent []deviceops.Sent, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails {
		return nil, deviceops.Errorf(deviceops.EUNAVAILABLE, "the broker does not answer")
	}
	for _, c := range commands {
		if refused := b.refuses[c.Device]; refused != nil {
			err = refused
			continue
		}
		b.published = append(b.published, c)
		sent = append(sent, deviceops.Sent{ID: c.ID, Attempt: c.Attempt})
	}
	return sent, err
}

func (b *broker) PublishCancel(_ context.Context, _, id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.canceled = append(b.canceled, id)
	return nil
}

func (b *broker) PublishMessage(_ context.Context, topic string, payload []byte, retain bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails {
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "the broker does not answer")
	}
	if b.messages == nil {
		b.messages = map[string]string{}
	}
	if retain {
		topic += " (retained)"
	}
	b.messages[topic] = string(payload)
	return nil
}

// catalog holds one profile, or an error instead.
type catalog struct {
	deviceops.Catalog                 // what the tests do not ask of it
	store             deviceops.Store // read at each call, as the real one does; nil: not
	profile           *deviceops.Profile
	manifest          *deviceops.RolloutSpec // what every manifest says
	err               error
}

func (c *catalog) Profile(ctx context.Context, _, name string) (*deviceops.Profile, error) {
	if c.store != nil {
		if _, err := c.store.ListDocuments(ctx, "acme", deviceops.KindProfile); err != nil {
			return nil, err
		}
	}
	if c.err != nil {
		return nil, c.err
	}
	if name != c.profile.Name {
		return nil, deviceops.Errorf(deviceops.ENOTFOUND, "there is no profile %s", name)
	}
	return c.profile, nil
}

// quiet drops the log of the test environment.
type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}

func (c *catalog) Rollout(context.Context, deviceops.Rollout) (*deviceops.RolloutSpec, error) {
	return c.manifest, c.err
}

func (c *catalog) Calendar(_ context.Context, account, name string) (*deviceops.Calendar, error) {
	return &deviceops.Calendar{Account: account, Name: name, Blackouts: []deviceops.Blackout{{From: noon, To: noon.Add(time.Hour), Reason: "inventory"}}}, nil
}
