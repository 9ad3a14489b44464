package activities_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// pumping is a world with a rollout of one ring that runs.
type pumping struct {
	*world
	t       *testing.T
	rollout deviceops.Rollout
}

func newPumping(t *testing.T, spec deviceops.RolloutSpec, configure ...func(*activities.Deps)) *pumping {
	t.Helper()
	w := newWorld(t, configure...)
	spec.Targets.Source = "true"
	spec.AnswerWithin = 10 * time.Minute
	w.catalog.manifest = &spec
	w.catalog.profile.Commands["flash"] = deviceops.CommandSpec{Name: "flash", Exclusive: true}
	limits := spec.Limits
	if limits.InFlight == 0 {
		limits.InFlight = 500
	}
	r := deviceops.Rollout{
		ID: deviceops.RolloutID("acme", "kiosk-2"), Account: "acme", Name: "kiosk-2", Kind: spec.Change.Kind, StatusSince: noon, CreatedAt: noon,
		Limits: limits, Rings: []deviceops.Ring{{Name: "all", Status: deviceops.RingRunning, OpenedAt: noon}},
	}
	p := &pumping{world: w, t: t}
	var err error
	p.rollout, _, err = w.store.CreateRollout(t.Context(), r)
	require.NoError(t, err)
	p.rollout.StartedAt = noon
	p.become(deviceops.RolloutRunning)
	return p
}

func (p *pumping) become(s deviceops.RolloutStatus) {
	p.t.Helper()
	p.rollout.Status = s
	p.rollout.Epoch++
	require.NoError(p.t, p.store.SaveRollout(p.t.Context(), p.rollout))
}

// add gives active devices rows that are due.
func (p *pumping) add(devices ...string) {
	p.t.Helper()
	var rows []deviceops.RolloutDevice
	for _, id := range devices {
		p.device(p.t, id, deviceops.Active)
		rows = append(rows, deviceops.RolloutDevice{Rollout: p.rollout.ID, Device: id, Account: "acme", Status: deviceops.DevicePending, DueAt: noon})
	}
	_, err := p.store.AddRolloutDevices(p.t.Context(), rows)
	require.NoError(p.t, err)
}

// pump runs a pump until every device was sent something, waits or is done.
func (p *pumping) pump() {
	p.t.Helper()
	ended := make(chan struct{})
	ctx, stop := context.WithCancel(p.t.Context())
	defer stop()
	var err error
	go func() {
		defer close(ended)
		_, err = activities.PumpFor(ctx, p.deps, p.rollout.ID)
	}()
	require.Eventually(p.t, func() bool {
		select {
		case <-ended:
			return true
		default:
			return p.settled()
		}
	}, 20*time.Second, 20*time.Millisecond)
	stop()
	<-ended
	if err != nil {
		require.ErrorIs(p.t, err, context.Canceled)
	}
}

// drain runs a pump that ends because nothing is open.
func (p *pumping) drain() {
	p.t.Helper()
	ctx, stop := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer stop()
	out, err := activities.PumpFor(ctx, p.deps, p.rollout.ID)
	require.NoError(p.t, err)
	require.Equal(p.t, activities.PumpDrained, out.Reason)
}

// settled reports whether every row was looked at and nothing is under lease.
func (p *pumping) settled() bool {
	rows, err := p.store.ListRolloutDevices(p.t.Context(), deviceops.RolloutDeviceFilter{Rollout: p.rollout.ID, Limit: 1000})
	require.NoError(p.t, err)
	for _, r := range rows {
		if r.Status == deviceops.DevicePending && r.Wait == nil {
			return false
		}
	}
	return true
}

func (p *pumping) row(device string) deviceops.RolloutDevice {
	p.t.Helper()
	r, err := p.store.FindRolloutDevice(p.t.Context(), p.rollout.ID, device)
	require.NoError(p.t, err)
	return r
}

func (p *pumping) counts() deviceops.Counts {
	p.t.Helper()
	rings, err := p.store.RolloutCounts(p.t.Context(), p.rollout.ID)
	require.NoError(p.t, err)
	return rings[0].Counts
}

// requireWait requires that a device waits.
func (p *pumping) requireWait(device string, kind deviceops.WaitKind, text string) {
	p.t.Helper()
	row := p.row(device)
	require.Equal(p.t, deviceops.DevicePending, row.Status)
	require.NotNil(p.t, row.Wait)
	require.Equal(p.t, kind, row.Wait.Kind)
	require.Contains(p.t, row.Wait.Text, text)
}

func (p *pumping) end(device string, to deviceops.RolloutDeviceStatus) {
	p.t.Helper()
	_, err := p.store.AdvanceRollout(p.t.Context(), []deviceops.RolloutMove{{
		Rollout: p.rollout.ID, Device: device, From: []deviceops.RolloutDeviceStatus{deviceops.DeviceSent}, To: to, At: noon,
	}})
	require.NoError(p.t, err)
}

func flash() deviceops.RolloutSpec {
	return deviceops.RolloutSpec{Change: deviceops.Change{Kind: deviceops.ChangeCommand, Command: "flash", Args: map[string]any{"depth": int64(2)}}}
}

func TestPumpSendsCommands(t *testing.T) {
	p := newPumping(t, flash())
	p.add("k1", "k2")
	p.pump()
	require.Equal(t, deviceops.Counts{Targeted: 2, Sent: 2}, p.counts())
	require.Len(t, p.broker.published, 2)
	row := p.row("k1")
	require.Equal(t, 1, row.Attempt)
	require.Equal(t, noon, row.SentAt)
	c, err := p.store.FindCommand(t.Context(), deviceops.RolloutCommandID(p.rollout.ID, "k1"))
	require.NoError(t, err)
	require.Equal(t, deviceops.CommandSent, c.Status)
	require.Equal(t, "flash", c.Name)
	require.Equal(t, map[string]any{"depth": int64(2)}, c.Args)
	require.True(t, c.Exclusive)
	require.Equal(t, p.rollout.ID, c.Rollout)
	require.Equal(t, noon.Add(10*time.Minute), c.ExpiresAt)

	p.end("k1", deviceops.DeviceSucceeded)
	p.end("k2", deviceops.DeviceFailed)
	p.drain()
	require.Len(t, p.broker.published, 2)
}

// The activity is what Temporal runs: it ends by itself.
func TestPumpIsAnActivity(t *testing.T) {
	p := newPumping(t, flash())
	out, err := do[activities.PumpOutput](p.world, activities.NamePumpRollout, activities.PumpInput{Rollout: p.rollout.ID})
	require.NoError(t, err)
	require.Equal(t, activities.PumpDrained, out.Reason)
	p.add("k1")
	p.become(deviceops.RolloutPaused)
	out, err = do[activities.PumpOutput](p.world, activities.NamePumpRollout, activities.PumpInput{Rollout: p.rollout.ID})
	require.NoError(t, err)
	require.Equal(t, activities.PumpStopped, out.Reason)
	require.Empty(t, p.broker.published)
	_, err = do[activities.PumpOutput](p.world, activities.NamePumpRollout, activities.PumpInput{Rollout: "ro-none"})
	requireCode(t, deviceops.ENOTFOUND, err)
	var failure *temporal.ApplicationError
	require.ErrorAs(t, err, &failure)
	require.True(t, failure.NonRetryable())
}

func TestPumpKeepsToInFlight(t *testing.T) {
	spec := flash()
	spec.Limits = deviceops.Limits{InFlight: 2}
	p := newPumping(t, spec)
	p.add("k1", "k2", "k3", "k4", "k5")
	pump := func(sent int) {
		p.t.Helper()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); _, _ = activities.PumpFor(ctx, p.deps, p.rollout.ID) }()
		require.Eventually(t, func() bool { return p.counts().Sent == sent }, 10*time.Second, 10*time.Millisecond)
		stop()
		<-ended
		require.LessOrEqual(t, p.counts().InFlight()+p.counts().Leased, 2)
	}
	pump(2)
	require.Len(t, p.broker.published, 2)
	p.end("k1", deviceops.DeviceSucceeded)
	pump(2)
	require.Len(t, p.broker.published, 3)
}

func TestPumpKeepsToTheRate(t *testing.T) {
	spec := flash()
	spec.Limits = deviceops.Limits{InFlight: 100, Rate: deviceops.RateSpec{Start: 60}}
	p := newPumping(t, spec)
	p.add("k1", "k2", "k3", "k4", "k5")
	pump := activities.NewPump(p.deps, p.rollout.ID)
	sent := func() int {
		for range 5 {
			_, err := pump.Tick(t.Context())
			require.NoError(t, err)
		}
		require.NoError(t, pump.Finish(t.Context()))
		return len(p.broker.published)
	}
	require.Zero(t, sent(), "the bucket is empty at first")
	p.now = noon.Add(1100 * time.Millisecond)
	require.Equal(t, 1, sent())
	p.now = noon.Add(2200 * time.Millisecond)
	require.Equal(t, 2, sent())
}

func TestPumpHoldsWhatHasToWait(t *testing.T) {
	spec := flash()
	spec.Ready = &deviceops.Condition{Source: "device.metrics.battery_pct > 30", Judge: func(d *deviceops.Device) (deviceops.Verdict, error) {
		if n, ok := d.Metrics["battery_pct"].(int64); ok && n > 30 {
			return deviceops.Yes, nil
		}
		return deviceops.No, nil
	}}
	p := newPumping(t, spec)
	p.add("asleep", "child", "empty", "full", "gateway", "locked", "offline")
	require.NoError(t, p.store.SaveMetrics(t.Context(), []deviceops.MetricValue{
		{Device: "full", Name: "battery_pct", Value: int64(80), At: noon}, {Device: "locked", Name: "battery_pct", Value: int64(80), At: noon},
		{Device: "gateway", Name: "battery_pct", Value: int64(80), At: noon}, {Device: "child", Name: "battery_pct", Value: int64(80), At: noon},
	}))
	p.session(t, "offline", func(s *deviceops.Session) { s.Connectivity = deviceops.Offline })
	p.session(t, "asleep", func(s *deviceops.Session) { s.Connectivity, s.WakeAt = deviceops.Sleeping, noon.Add(time.Hour) })
	child := p.find(t, "child")
	child.Parent = "gateway"
	require.NoError(t, p.store.SaveDevice(t.Context(), &child))
	_, _, err := p.store.CreateCommand(t.Context(), deviceops.Command{ID: "reboot-1", Account: "acme", Device: "locked", Name: "reboot", Exclusive: true, CreatedAt: noon, DueAt: noon})
	require.NoError(t, err)

	p.pump()
	p.requireWait("offline", deviceops.WaitOffline, "offline since")
	p.requireWait("asleep", deviceops.WaitSleep, "sleeps until")
	p.requireWait("empty", deviceops.WaitReady, "battery_pct")
	p.requireWait("locked", deviceops.WaitLock, "reboot-1")
	p.requireWait("gateway", deviceops.WaitFamily, "child")
	require.Equal(t, deviceops.DeviceSent, p.row("full").Status)
	require.Equal(t, deviceops.DeviceSent, p.row("child").Status)
}

func TestPumpExcusesWhatIsNotActive(t *testing.T) {
	p := newPumping(t, flash())
	p.add("k1", "k2")
	d := p.find(t, "k1")
	d.State = deviceops.Quarantined
	require.NoError(t, p.store.SaveDevice(t.Context(), &d))
	p.pump()
	require.Equal(t, deviceops.DeviceExcused, p.row("k1").Status)
	require.Equal(t, "state", p.row("k1").Error.Code)
	require.Equal(t, deviceops.Counts{Targeted: 1, Sent: 1, Excused: 1}, p.counts())
}

func TestPumpHoldsFrozenAccounts(t *testing.T) {
	p := newPumping(t, flash())
	p.add("k1", "k2")
	below := p.find(t, "k1")
	below.Account = "acme/emea"
	require.NoError(t, p.store.SaveDevice(t.Context(), &below))
	_, err := p.store.AddRolloutDevices(t.Context(), []deviceops.RolloutDevice{})
	require.NoError(t, err)
	require.NoError(t, p.store.FreezeAccount(t.Context(), deviceops.Freeze{Account: "acme", By: "maria", At: noon}))
	pump := activities.NewPump(p.deps, p.rollout.ID)
	_, err = pump.Tick(t.Context())
	require.NoError(t, err)
	require.Equal(t, deviceops.Counts{Targeted: 2, Pending: 2}, p.counts())
	_, err = p.store.ThawAccount(t.Context(), "acme")
	require.NoError(t, err)
	p.pump()
	require.Equal(t, deviceops.Counts{Targeted: 2, Sent: 2}, p.counts())
}

func TestPumpHoldsAFrozenAccountBelow(t *testing.T) {
	p := newPumping(t, flash())
	p.device(t, "k1", deviceops.Active)
	_, err := p.store.AddRolloutDevices(t.Context(), []deviceops.RolloutDevice{{
		Rollout: p.rollout.ID, Device: "k1", Account: "acme/emea", Status: deviceops.DevicePending, DueAt: noon,
	}})
	require.NoError(t, err)
	require.NoError(t, p.store.FreezeAccount(t.Context(), deviceops.Freeze{Account: "acme/emea", By: "maria", Reason: "audit", At: noon}))
	p.pump()
	p.requireWait("k1", deviceops.WaitFreeze, "account acme/emea is frozen by maria since 2026-06-01T12:00:00Z: audit")
	_, err = p.store.ThawAccount(t.Context(), "acme/emea")
	require.NoError(t, err)
	p.now = noon.Add(time.Second)
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	go func() { _, _ = activities.PumpFor(ctx, p.deps, p.rollout.ID) }()
	require.Eventually(t, func() bool { return p.row("k1").Status == deviceops.DeviceSent }, 10*time.Second, 10*time.Millisecond)
}

// A pump that died between lease and record leaves rows that the next one asks
// again, under the same id and attempt.
func TestPumpGoesOnWhereAnotherDied(t *testing.T) {
	p := newPumping(t, flash())
	p.add("k1")
	p.broker.fails = true
	pump := activities.NewPump(p.deps, p.rollout.ID)
	for range 3 {
		_, err := pump.Tick(t.Context())
		require.NoError(t, err)
	}
	require.NoError(t, pump.Finish(t.Context()))
	require.Equal(t, deviceops.Counts{Targeted: 1, Pending: 1, Leased: 1}, p.counts())
	p.broker.fails = false
	p.now = noon.Add(deviceops.PublishLease)
	next := activities.NewPump(p.deps, p.rollout.ID)
	for range 3 {
		_, err := next.Tick(t.Context())
		require.NoError(t, err)
	}
	require.NoError(t, next.Finish(t.Context()))
	require.Len(t, p.broker.published, 1)
	require.Equal(t, 1, p.broker.published[0].Attempt)
	require.Equal(t, deviceops.Counts{Targeted: 1, Sent: 1}, p.counts())
}

func TestPumpFailsWhatCannotBeSent(t *testing.T) {
	p := newPumping(t, flash())
	p.add("k1", "k2")
	p.broker.refuses = map[string]error{"k1": deviceops.Errorf(deviceops.EEXHAUSTED, "the command is larger than the device takes")}
	p.pump()
	require.Equal(t, deviceops.Counts{Targeted: 2, Sent: 1, Failed: 1}, p.counts())
	require.Equal(t, deviceops.EEXHAUSTED, p.row("k1").Error.Code)
}

func TestPumpExcusesDevicesWithoutTheCommand(t *testing.T) {
	spec := flash()
	spec.Change.Command = "dance"
	p := newPumping(t, spec)
	p.add("k1")
	p.drain()
	require.Equal(t, deviceops.DeviceExcused, p.row("k1").Status)
	require.Contains(t, p.row("k1").Error.Message, "dance")
}

func TestPumpConfigures(t *testing.T) {
	p := newPumping(t, deviceops.RolloutSpec{Change: deviceops.Change{Kind: deviceops.ChangeConfig, Config: map[string]any{"brightness": int64(40), "theme": nil}}})
	p.add("k1", "k2")
	d := p.find(t, "k1")
	d.Twin.Desired = deviceops.Desired{Version: 3, Configuration: map[string]any{"brightness": int64(80), "theme": "dark", "volume": int64(5)}, Heartbeat: deviceops.DefaultHeartbeat}
	require.NoError(t, p.store.SaveDevice(t.Context(), &d))
	same := p.find(t, "k2")
	same.Twin.Desired = deviceops.Desired{Version: 7, Configuration: map[string]any{"brightness": int64(40)}, Heartbeat: deviceops.DefaultHeartbeat}
	require.NoError(t, p.store.SaveDevice(t.Context(), &same))
	require.NoError(t, p.store.SaveReported(t.Context(), map[string]deviceops.Reported{"k2": {ConfigVersion: 7, At: noon}}))
	p.pump()
	require.Equal(t, deviceops.Counts{Targeted: 2, Sent: 1, Succeeded: 1}, p.counts(), "k2 is there already")
	want := map[string]any{"brightness": int64(40), "volume": int64(5)}
	require.Equal(t, want, p.find(t, "k1").Twin.Desired.Configuration)
	require.Equal(t, int64(4), p.find(t, "k1").Twin.Desired.Version)
	c, err := p.store.FindCommand(t.Context(), deviceops.RolloutCommandID(p.rollout.ID, "k1"))
	require.NoError(t, err)
	require.Equal(t, "configure", c.Name)
	require.Equal(t, want, c.Args["configuration"])
	require.Equal(t, d.Twin.Desired.Configuration, p.row("k1").From.Configuration)
}

// release stores a release of one component.
func (p *pumping) release(version string, change func(*deviceops.Release)) {
	p.t.Helper()
	r := deviceops.Release{
		Account: "acme", Project: "os", Version: version, Reversible: true, CreatedAt: noon,
		Components: []deviceops.Component{{Name: "os", Kind: "os", Version: version, URL: "https://files.example/os", SHA256: strings.Repeat("ab", 32), Size: 10}},
	}
	if change != nil {
		change(&r)
	}
	r.Hash = r.ContentHash()
	_, err := p.store.CreateRelease(p.t.Context(), r)
	require.NoError(p.t, err)
}

func (p *pumping) runs(device, version string) {
	p.t.Helper()
	require.NoError(p.t, p.store.SaveReported(p.t.Context(), map[string]deviceops.Reported{device: {Software: map[string]string{"os": version}, At: noon}}))
}

func TestPumpInstallsReleases(t *testing.T) {
	p := newPumping(t, deviceops.RolloutSpec{Change: deviceops.Change{Kind: deviceops.ChangeRelease, Release: "os@2.0.0"}})
	p.release("1.0.0", nil)
	p.release("2.0.0", func(r *deviceops.Release) { r.Configuration = map[string]any{"theme": "dark"} })
	p.add("newer", "older", "there")
	p.runs("newer", "3.0.0")
	p.runs("older", "1.0.0")
	p.runs("there", "2.0.0")
	there := p.find(t, "there")
	there.Twin.Desired = deviceops.Desired{Version: 1, Configuration: map[string]any{"theme": "dark"}, Heartbeat: deviceops.DefaultHeartbeat}
	require.NoError(t, p.store.SaveDevice(t.Context(), &there))
	require.NoError(t, p.store.SaveReported(t.Context(), map[string]deviceops.Reported{"there": {Software: map[string]string{"os": "2.0.0"}, ConfigVersion: 1, At: noon}}))
	p.pump()
	require.Equal(t, deviceops.Counts{Targeted: 2, Sent: 1, Succeeded: 1, Excused: 1}, p.counts())
	require.Equal(t, deviceops.FitDowngrade, p.row("newer").Error.Code)
	require.Equal(t, deviceops.Origin{Release: "os@1.0.0", Software: map[string]string{"os": "1.0.0"}, Configuration: map[string]any{}}, p.row("older").From)
	c, err := p.store.FindCommand(t.Context(), deviceops.RolloutCommandID(p.rollout.ID, "older"))
	require.NoError(t, err)
	require.Equal(t, "install", c.Name)
	require.Equal(t, "os@2.0.0", c.Args["release"])
	desired := p.find(t, "older").Twin.Desired
	require.Equal(t, map[string]string{"os": "2.0.0"}, desired.Software)
	require.Equal(t, map[string]any{"theme": "dark"}, desired.Configuration)
	require.Equal(t, map[string]any{
		"version": int64(1), "configuration": map[string]any{"theme": "dark"}, "heartbeat": map[string]any{"every": float64(60), "offline_after": int64(3)},
	}, c.Args["configure"], "what is desired comes with the software")
	require.False(t, c.Confirmed(deviceops.Reported{Software: map[string]string{"os": "2.0.0"}}), "success needs both")
	require.True(t, c.Confirmed(deviceops.Reported{Software: map[string]string{"os": "2.0.0"}, ConfigVersion: 1}))
}

// A device that runs the software gets the configuration of the release alone, and
// so does every device where the release is nothing else; both can be taken back.
func TestPumpConfiguresByReleases(t *testing.T) {
	t.Parallel()
	for release, change := range map[string]func(*deviceops.Release){
		"of software too": func(r *deviceops.Release) { r.Configuration = map[string]any{"theme": "dark"} },
		"of nothing else": func(r *deviceops.Release) {
			r.Configuration, r.Components = map[string]any{"theme": "dark"}, []deviceops.Component{}
		},
	} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			p := newPumping(t, deviceops.RolloutSpec{Change: deviceops.Change{Kind: deviceops.ChangeRelease, Release: "os@2.0.0"}})
			p.release("2.0.0", change)
			p.add("k1")
			p.runs("k1", "2.0.0")
			d := p.find(t, "k1")
			d.Twin.Desired = deviceops.Desired{Version: 4, Configuration: map[string]any{"theme": "light"}, Heartbeat: deviceops.DefaultHeartbeat}
			require.NoError(t, p.store.SaveDevice(t.Context(), &d))
			p.pump()
			c, err := p.store.FindCommand(t.Context(), deviceops.RolloutCommandID(p.rollout.ID, "k1"))
			require.NoError(t, err)
			require.Equal(t, deviceops.CommandConfigure, c.Name)
			require.Equal(t, map[string]any{"theme": "dark"}, c.Args["configuration"])
			from := p.row("k1").From
			require.Equal(t, map[string]any{"theme": "light"}, from.Configuration)
			require.Equal(t, release == "of software too", from.Release == "os@2.0.0", "it ran the release before")
		})
	}
}

// A key that was removed stops a rollout that goes on: what it signed reaches nobody
// else.
func TestPumpSendsNothingThatNobodyVouchesFor(t *testing.T) {
	t.Parallel()
	p := newPumping(t, deviceops.RolloutSpec{Change: deviceops.Change{Kind: deviceops.ChangeRelease, Release: "os@2.0.0"}})
	key := deviceops.ReleaseKey{ID: "0123", Account: "acme", Name: "ci", Algorithm: deviceops.Ed25519, AddedAt: noon}
	_, _, err := p.store.AddReleaseKey(t.Context(), key)
	require.NoError(t, err)
	p.release("2.0.0", func(r *deviceops.Release) { r.Signature, r.Signer = "AA==", key.ID })
	p.add("k1")
	p.runs("k1", "1.0.0")
	p.pump()
	require.Equal(t, deviceops.Counts{Targeted: 1, Sent: 1}, p.counts())
	require.NoError(t, p.store.RemoveReleaseKey(t.Context(), "acme", key.ID))
	p.add("k2")
	p.runs("k2", "1.0.0")
	p.pump()
	require.Equal(t, deviceops.Counts{Targeted: 2, Sent: 1, Failed: 1}, p.counts())
	cause := p.row("k2").Error
	require.Equal(t, deviceops.EFORBIDDEN, cause.Code)
	require.Contains(t, cause.Message, "os@2.0.0 was signed by key 0123, which was removed")
}

func TestPumpExcusesDevicesThatCannotInstall(t *testing.T) {
	t.Parallel()
	p := newPumping(t, deviceops.RolloutSpec{Change: deviceops.Change{Kind: deviceops.ChangeRelease, Release: "os@2.0.0"}})
	p.catalog.profile.Translation = struct{ deviceops.Translation }{}
	p.release("2.0.0", nil)
	p.add("k1")
	p.pump()
	require.Equal(t, deviceops.Counts{Excused: 1}, p.counts())
	require.Contains(t, p.row("k1").Error.Message, "have topics of their own, and it does not say how they are told install")
}

func TestPumpTakesBack(t *testing.T) {
	p := newPumping(t, deviceops.RolloutSpec{Change: deviceops.Change{Kind: deviceops.ChangeRelease, Release: "os@2.0.0", Revert: true}})
	p.release("1.0.0", func(r *deviceops.Release) { r.From = "< 1.0.0" })
	p.release("2.0.0", func(r *deviceops.Release) { r.Configuration = map[string]any{"theme": "dark", "font": "big"} })
	for id, version := range map[string]string{"back": "2.0.0", "stuck": "2.0.0", "newer": "3.0.0", "same": "1.0.0"} {
		p.device(t, id, deviceops.Active)
		p.runs(id, version)
	}
	since := p.find(t, "back")
	since.Twin.Desired.Configuration = map[string]any{"theme": "dark", "font": "huge", "volume": 7} // font and volume were set since
	require.NoError(t, p.store.SaveDevice(t.Context(), &since))
	same := p.find(t, "same") // it failed to install, and has the configuration
	same.Twin.Desired = deviceops.Desired{Version: 2, Configuration: map[string]any{"theme": "dark"}, Heartbeat: deviceops.DefaultHeartbeat}
	require.NoError(t, p.store.SaveDevice(t.Context(), &same))
	_, err := p.store.AddRolloutDevices(t.Context(), []deviceops.RolloutDevice{
		{Rollout: p.rollout.ID, Device: "back", Account: "acme", Status: deviceops.DevicePending, DueAt: noon, From: deviceops.Origin{Release: "os@1.0.0", Configuration: map[string]any{"theme": "light"}}},
		{Rollout: p.rollout.ID, Device: "newer", Account: "acme", Status: deviceops.DevicePending, DueAt: noon, From: deviceops.Origin{Release: "os@1.0.0", Software: map[string]string{"os": "1.0.0"}}},
		{Rollout: p.rollout.ID, Device: "same", Account: "acme", Status: deviceops.DevicePending, DueAt: noon, From: deviceops.Origin{
			Release: "os@1.0.0", Software: map[string]string{"os": "1.0.0"}, Configuration: map[string]any{"theme": "light"},
		}},
		{Rollout: p.rollout.ID, Device: "stuck", Account: "acme", Status: deviceops.DevicePending, DueAt: noon, From: deviceops.Origin{Software: map[string]string{"os": "0.9"}}},
	})
	require.NoError(t, err)
	p.pump()
	require.Equal(t, deviceops.Counts{Targeted: 3, Sent: 2, Failed: 1, Excused: 1}, p.counts())
	alone, err := p.store.FindCommand(t.Context(), deviceops.RolloutCommandID(p.rollout.ID, "same"))
	require.NoError(t, err)
	require.Equal(t, deviceops.CommandConfigure, alone.Name)
	require.Equal(t, map[string]any{"theme": "light"}, alone.Args["configuration"])
	require.Equal(t, "changed_since", p.row("newer").Error.Code)
	require.Equal(t, "it runs os 3.0.0 now, which it got after os@2.0.0: it is left alone", p.row("newer").Error.Message)
	require.Equal(t, "irreversible", p.row("stuck").Error.Code)
	c, err := p.store.FindCommand(t.Context(), deviceops.RolloutCommandID(p.rollout.ID, "back"))
	require.NoError(t, err)
	require.Equal(t, "os@1.0.0", c.Args["release"])
	before := map[string]any{"theme": "light", "font": "huge", "volume": int64(7)}
	require.Equal(t, before, p.find(t, "back").Twin.Desired.Configuration)
	configure, _ := c.Args["configure"].(map[string]any)
	require.Equal(t, before, configure["configuration"], "the configuration goes back with the software")
	require.Equal(t, p.find(t, "back").Twin.Desired.Version, configure["version"])
	require.Equal(t, "os@1.0.0", p.row("back").From.Release)
}

func TestPumpStartsRuns(t *testing.T) {
	spec := deviceops.RolloutSpec{Change: deviceops.Change{Kind: deviceops.ChangeWorkflow, Workflow: "checkup@1", Inputs: map[string]any{"depth": int64(1)}}}
	spec.Retry = deviceops.RetrySpec{Times: 1}
	p := newPumping(t, spec)
	_, _, err := p.store.PublishDocument(t.Context(), deviceops.Document{Account: "acme", Kind: deviceops.KindWorkflow, Name: "checkup", Version: 1, Hash: "h", Source: "workflow: checkup"})
	require.NoError(t, err)
	p.add("k1")
	p.pump()
	require.Equal(t, deviceops.DeviceSent, p.row("k1").Status)
	id := deviceops.RolloutCommandID(p.rollout.ID, "k1")
	starts, err := p.store.PendingStarts(t.Context(), noon, noon, 10)
	require.NoError(t, err)
	require.Len(t, starts, 1)
	require.Equal(t, id, starts[0].WorkflowID)
	require.Equal(t, "checkup", starts[0].Type)
	run, err := p.store.FindRun(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "k1", run.Device)
	require.Equal(t, map[string]any{"depth": int64(1)}, run.Inputs)

	run.Status, run.Error = deviceops.RunFailed, &deviceops.RunError{Code: "busy", Retryable: true}
	_, err = do[any](p.world, activities.NameSaveRun, run)
	require.NoError(t, err)
	require.Equal(t, deviceops.DevicePending, p.row("k1").Status)
	p.now = noon.Add(time.Minute)
	ctx, stop := context.WithCancel(t.Context())
	go func() { _, _ = activities.PumpFor(ctx, p.deps, p.rollout.ID) }()
	require.Eventually(t, func() bool { return p.row("k1").Status == deviceops.DeviceSent }, 10*time.Second, 10*time.Millisecond)
	stop()
	again, err := p.store.FindRun(t.Context(), id+".2")
	require.NoError(t, err)
	again.Status = deviceops.RunSucceeded
	_, err = do[any](p.world, activities.NameSaveRun, again)
	require.NoError(t, err)
	require.Equal(t, deviceops.DeviceSucceeded, p.row("k1").Status)
	_, err = do[any](p.world, activities.NameSaveRun, run)
	require.NoError(t, err)
	require.Equal(t, deviceops.DeviceSucceeded, p.row("k1").Status, "the run of an attempt before")
}
