package simulator

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

func TestSaysHelloThenOnlineThenHeartbeat(t *testing.T) {
	t.Parallel()
	for _, connections := range []int{0, 1} {
		e := startEngine(t)
		e.online(func(c *Config) { c.Connections = connections })
		require.Equal(t, []protocol.Leaf{protocol.LeafHello, protocol.LeafStatus, protocol.LeafHeartbeat}, e.leavesOf(first)[:3])
		hello := awaitCount[*protocol.Hello](e, first, 1, nil)[0]
		require.Equal(t, "kiosk", hello.Profile)
		require.Equal(t, "SN-"+first, hello.Serial)
		require.Equal(t, Claim(7, first), hello.Claim)
		require.Equal(t, map[string]string{"os": "2.3.0", "app": "1.0.0"}, hello.Software)
		status := awaitCount[*protocol.Status](e, first, 1, nil)[0]
		require.Equal(t, protocol.StatusOnline, status.Status)
		require.Equal(t, hello.Connection, status.Connection)
	}
}

func TestExecutesAnAttemptOnce(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s := e.online(nil)
	command := &protocol.Command{ID: "c1", Name: "diagnostics", Attempt: 1}
	for n := 1; n <= 3; n++ {
		e.send(first, command)
		r := e.awaitResult(first, "c1", protocol.ResultSucceeded, n)
		require.Equal(t, 1, r.Attempt)
		require.Contains(t, r.Output, "disk_free_pct")
	}
	done := s.Ledger().Effects()
	require.Len(t, done, 1)
	require.WithinDuration(t, time.Now(), done[0].At, time.Minute)
	require.Equal(t, Effect{Device: first, Command: "c1", Attempt: 1, Name: "diagnostics", At: done[0].At, Count: 1}, done[0])
	require.Empty(t, s.Ledger().Repeats())
	require.Equal(t, 2, s.Stats().Repeated)
}

func TestRepeatsTheUnackedAnswerUnderItsNumberAndLaterUnderANewOne(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s := e.online(nil)
	command := &protocol.Command{ID: "c1", Name: "health", Attempt: 1}
	e.send(first, command)
	one := e.awaitResult(first, "c1", protocol.ResultSucceeded, 1)
	require.Equal(t, int64(1), one.Seq)
	e.send(first, command)
	require.Equal(t, one.Seq, e.awaitResult(first, "c1", protocol.ResultSucceeded, 2).Seq)
	require.Equal(t, 1, s.Stats().Unacked)

	e.send(first, &protocol.Ack{Boot: one.Boot, Seq: one.Seq})
	e.send(first, command)
	require.Equal(t, int64(2), e.awaitResult(first, "c1", protocol.ResultSucceeded, 3).Seq)
}

func TestRunsAHigherAttemptOfAFailedCommandAlone(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s := e.online(func(c *Config) { c.Behavior.Faults.Retryable = 1 })
	e.send(first, &protocol.Command{ID: "c1", Name: "health", Attempt: 1})
	require.True(t, e.awaitResult(first, "c1", protocol.ResultFailed, 1).Error.Retryable)
	e.send(first, &protocol.Command{ID: "c1", Name: "health", Attempt: 2})
	require.Equal(t, 2, e.awaitResult(first, "c1", protocol.ResultFailed, 2).Attempt)
	e.send(first, &protocol.Command{ID: "c1", Name: "health", Attempt: 1})
	e.send(first, &protocol.Command{ID: "c2", Name: "health", Attempt: 1})
	e.awaitResult(first, "c2", protocol.ResultFailed, 1)
	require.Equal(t, 1, s.Stats().Stale)
	require.Len(t, s.Ledger().Effects(), 3)
	require.Empty(t, s.Ledger().Repeats())
}

func TestDoesNotRunAHigherAttemptOfWhatSucceeded(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s := e.online(nil)
	e.send(first, &protocol.Command{ID: "c1", Name: "health", Attempt: 1})
	e.awaitResult(first, "c1", protocol.ResultSucceeded, 1)
	e.send(first, &protocol.Command{ID: "c1", Name: "health", Attempt: 2})
	require.Equal(t, 1, e.awaitResult(first, "c1", protocol.ResultSucceeded, 2).Attempt)
	require.Len(t, s.Ledger().Effects(), 1)
}

func TestPowerLossInterrupts(t *testing.T) {
	t.Parallel()
	for _, connections := range []int{0, 1} {
		e := startEngine(t)
		s := e.online(func(c *Config) {
			c.Connections = connections
			c.Behavior.Faults.PowerLoss = 1
		})
		e.send(first, &protocol.Command{ID: "c1", Name: "diagnostics", Attempt: 1})
		r := e.awaitResult(first, "c1", protocol.ResultFailed, 1)
		require.Equal(t, protocol.ErrorInterrupted, r.Error.Code)
		require.True(t, r.Error.Retryable)
		hellos := awaitCount[*protocol.Hello](e, first, 2, nil)
		require.NotEqual(t, hellos[0].Boot, hellos[1].Boot)
		require.Equal(t, hellos[1].Boot, r.Boot)
		require.Empty(t, hellos[1].Running)
		awaitCount(e, first, 1, func(s *protocol.Status) bool {
			return s.Status == protocol.StatusOffline && s.Connection == hellos[0].Connection
		})
		require.Len(t, s.Ledger().Effects(), 1)
		require.Equal(t, 1, s.Stats().PowerLost)
	}
}

func TestDefersAndThenComplies(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s := e.online(func(c *Config) { c.Behavior.Faults.Deferred = 1 })
	command := &protocol.Command{ID: "c1", Name: "health", Attempt: 1}
	for n := 1; n <= 2; n++ {
		e.send(first, command)
		r := e.awaitResult(first, "c1", protocol.ResultDeferred, n)
		require.Positive(t, r.RetryIn)
		require.NotEmpty(t, r.Reason)
	}
	require.Empty(t, s.Ledger().Effects())
	e.send(first, command)
	e.awaitResult(first, "c1", protocol.ResultSucceeded, 1)
	require.Len(t, s.Ledger().Effects(), 1)
}

func TestSilenceEndsWhenAskedAgain(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s := e.online(func(c *Config) { c.Behavior.Faults.Silent = 1 })
	ids := []string{"c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"}
	for _, id := range ids {
		e.send(first, &protocol.Command{ID: id, Name: "health", Attempt: 1})
	}
	require.Eventually(t, func() bool { return s.Stats().Commands == len(ids) }, time.Minute, 5*time.Millisecond)
	for _, id := range ids {
		require.Eventually(t, func() bool {
			e.send(first, &protocol.Command{ID: id, Name: "health", Attempt: 1})
			e.mu.Lock()
			defer e.mu.Unlock()
			return len(heard(e.said[first], func(r *protocol.Result) bool {
				return r.ID == id && r.Status == protocol.ResultSucceeded
			})) > 0
		}, time.Minute, 20*time.Millisecond, id)
	}
	require.Len(t, s.Ledger().Effects(), len(ids))
	require.Empty(t, s.Ledger().Repeats())
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s := e.online(nil)
	for id, command := range map[string]*protocol.Command{
		protocol.ErrorUnknownCommand: {Name: "dance"},
		protocol.ErrorInvalidArgs:    {Name: "configure", Args: protocol.Object{"version": "two"}},
		"wrong_version": {Name: "install", Args: protocol.Object{"release": "r", "components": []any{
			map[string]any{"name": "os", "from": "1.0.0", "to": "2.4.0"}}}},
	} {
		command.ID, command.Attempt = id, 1
		e.send(first, command)
		require.Equal(t, id, e.awaitResult(first, id, protocol.ResultRejected, 1).Error.Code)
	}
	require.Empty(t, s.Ledger().Effects())
}

func TestConfigureReportsThenBeatsThenAnswers(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	e.online(nil)
	e.send(first, &protocol.Command{ID: "c1", Name: "configure", Attempt: 1, Args: protocol.Object{
		"version": 3, "configuration": map[string]any{"brightness": 80}, "heartbeat": map[string]any{"every": 0.05}}})
	e.awaitResult(first, "c1", protocol.ResultSucceeded, 1)
	leaves := e.leavesOf(first)
	require.Equal(t, []protocol.Leaf{protocol.LeafReported, protocol.LeafHeartbeat, protocol.LeafResult}, leaves[len(leaves)-3:])
	reported := awaitCount[*protocol.Reported](e, first, 1, nil)[0]
	require.Equal(t, int64(3), *reported.ConfigVersion)
	awaitCount[*protocol.Heartbeat](e, first, 4, nil)

	e.send(first, &protocol.Command{ID: "c2", Name: "configure", Attempt: 1, Args: protocol.Object{"version": 2}})
	require.Equal(t, "stale_version", e.awaitResult(first, "c2", protocol.ResultRejected, 1).Error.Code)
}

func TestInstallThatReboots(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s := e.online(nil)
	e.send(first, &protocol.Command{ID: "c1", Name: "install", Attempt: 1, Args: protocol.Object{"release": "kiosk-os@2.4.0", "components": []any{
		map[string]any{"name": "app", "to": "1.1.0", "order": 2}, map[string]any{"name": "os", "from": "2.3.0", "to": "2.4.0", "order": 1}}}})
	r := e.awaitResult(first, "c1", protocol.ResultSucceeded, 1)
	hellos := awaitCount[*protocol.Hello](e, first, 2, nil)
	require.NotEqual(t, hellos[0].Boot, hellos[1].Boot)
	require.Equal(t, map[string]string{"os": "2.4.0", "app": "1.1.0"}, hellos[1].Software)
	require.Equal(t, hellos[1].Boot, r.Boot)
	require.Len(t, s.Ledger().Effects(), 1)

	var phases []string
	for _, p := range awaitCount(e, first, 8, func(r *protocol.Result) bool { return r.Status == protocol.ResultProgress }) {
		if !slices.Contains(phases, p.Component+" "+p.Phase) { // what was not acknowledged comes twice
			phases = append(phases, p.Component+" "+p.Phase)
		}
	}
	require.Equal(t, []string{"os downloading", "os downloaded", "app downloading", "app downloaded",
		"os installing", "app installing", " rebooting", " confirming"}, phases)
}

func TestInstallWithoutReboot(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	e.online(nil)
	args := protocol.Object{"release": "app@1.1.0", "components": []any{map[string]any{"name": "app", "to": "1.1.0"}}}
	e.send(first, &protocol.Command{ID: "c1", Name: "install", Attempt: 1, Args: args})
	e.awaitResult(first, "c1", protocol.ResultSucceeded, 1)
	reported := awaitCount[*protocol.Reported](e, first, 1, nil)[0]
	require.Equal(t, "1.1.0", reported.Software["app"])
	require.Len(t, awaitCount[*protocol.Hello](e, first, 1, nil), 1)

	e.send(first, &protocol.Command{ID: "c2", Name: "install", Attempt: 1, Args: args})
	e.awaitResult(first, "c2", protocol.ResultSucceeded, 1)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	e.online(func(c *Config) { c.Behavior.Latency = Latency{Median: 3 * time.Second, P99: 3 * time.Second} })

	e.send(first, &protocol.Command{ID: "in-time", Name: "health", Attempt: 1})
	e.awaitResult(first, "in-time", protocol.ResultAccepted, 1)
	e.send(first, &protocol.Cancel{ID: "in-time"})
	e.awaitResult(first, "in-time", protocol.ResultCanceled, 1)

	e.send(first, &protocol.Cancel{ID: "early"})
	e.send(first, &protocol.Command{ID: "early", Name: "health", Attempt: 1})
	e.awaitResult(first, "early", protocol.ResultCanceled, 1)

	e.send(first, &protocol.Command{ID: "late", Name: "dance", Attempt: 1})
	e.awaitResult(first, "late", protocol.ResultRejected, 1)
	e.send(first, &protocol.Cancel{ID: "late"})
	e.awaitResult(first, "late", protocol.ResultCancelRefused, 1)
}

func TestSendsAgainWhatIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s := e.online(nil)
	for _, id := range []string{"c1", "c2", "c3"} {
		e.send(first, &protocol.Command{ID: id, Name: "health", Attempt: 1})
		e.awaitResult(first, id, protocol.ResultSucceeded, 1)
	}
	e.answers(func(h protocol.Hello) *protocol.Welcome {
		return &protocol.Welcome{State: "active", Boot: h.Boot, Seq: 1}
	})
	e.cutAll()
	e.awaitResult(first, "c2", protocol.ResultSucceeded, 2)
	e.awaitResult(first, "c3", protocol.ResultSucceeded, 2)
	hellos := awaitCount[*protocol.Hello](e, first, 2, nil)
	require.Equal(t, hellos[0].Boot, hellos[1].Boot)
	require.NotEqual(t, hellos[0].Connection, hellos[1].Connection)
	require.Equal(t, int64(1), hellos[1].Oldest)
	require.Len(t, awaitCount(e, first, 1, func(r *protocol.Result) bool { return r.ID == "c1" }), 1)
	require.Equal(t, 2, s.Stats().Unacked)
	require.Equal(t, 1, s.Stats().LostLinks)
}

func TestInsistsWhileConnected(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	e.answers(func(protocol.Hello) *protocol.Welcome { return nil })
	e.online(func(c *Config) { c.Behavior.Resend = 500 * time.Millisecond })
	hellos := awaitCount[*protocol.Hello](e, first, 2, nil)
	require.Equal(t, hellos[0].Connection, hellos[1].Connection)
	e.send(first, &protocol.Command{ID: "c1", Name: "health", Attempt: 1})
	e.answers(func(protocol.Hello) *protocol.Welcome { return &protocol.Welcome{State: "active"} })
	r := e.awaitResult(first, "c1", protocol.ResultSucceeded, 3)
	require.Equal(t, int64(1), r.Seq)
}

// A connection on which nothing is heard is given up, and one that others hear
// something on is not.
func TestConnectsAnewWhenNothingIsHeard(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		connections int
		deaf        []string // serials
		anew        bool
	}{
		"its own connection":                {deaf: []string{"SN-" + first}, anew: true},
		"a shared one that is deaf":         {connections: 1, deaf: []string{"SN-" + first, "SN-sim-00002"}, anew: true},
		"a shared one on which others hear": {connections: 1, deaf: []string{"SN-" + first}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := startEngine(t)
			e.answers(func(h protocol.Hello) *protocol.Welcome {
				if slices.Contains(c.deaf, h.Serial) {
					return nil
				}
				return &protocol.Welcome{State: "active"}
			})
			s, _ := e.run(e.config(func(cfg *Config) {
				cfg.Devices, cfg.Connections, cfg.Behavior.Resend = 2, c.connections, 200*time.Millisecond
			}))
			hellos := awaitCount[*protocol.Hello](e, first, 4, nil)
			require.Equal(t, hellos[0].Connection, hellos[1].Connection, "it says hello again first")
			require.Equal(t, c.anew, hellos[1].Connection != hellos[2].Connection)
			require.Equal(t, hellos[2].Connection, hellos[3].Connection)
			require.Equal(t, c.anew, s.Stats().LostLinks > 0)
		})
	}
}

func TestShortHelloOnceActive(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	e.online(nil)
	require.Eventually(t, func() bool {
		e.cutAll()
		e.mu.Lock()
		defer e.mu.Unlock()
		return len(heard(e.said[first], (*protocol.Hello).Short)) > 0
	}, time.Minute, 200*time.Millisecond)
	full := awaitCount(e, first, 1, func(h *protocol.Hello) bool { return !h.Short() })
	short := awaitCount(e, first, 1, (*protocol.Hello).Short)
	require.Equal(t, full[0].DescriptionDigest(), short[0].Digest)

	e.answers(func(h protocol.Hello) *protocol.Welcome {
		if h.Short() {
			return &protocol.Welcome{Hello: protocol.HelloFull}
		}
		return &protocol.Welcome{State: "active"}
	})
	e.cutAll()
	awaitCount(e, first, 1, func(h *protocol.Hello) bool { return !h.Short() && h.Claim == "" })
}

// A hello of the boot before was heard after that of this boot.
func TestSaysHelloAgainWhenAnOldOneWasHeard(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	e.online(nil)
	hellos := awaitCount[*protocol.Hello](e, first, 1, nil)
	e.send(first, &protocol.Welcome{State: "active", Boot: "b-before"})
	awaitCount[*protocol.Hello](e, first, len(hellos)+1, nil)
	e.send(first, &protocol.Welcome{State: "active", Boot: hellos[0].Boot})
	e.send(first, &protocol.Command{ID: "c1", Name: "health", Attempt: 1})
	e.awaitResult(first, "c1", protocol.ResultSucceeded, 1)
	require.Len(t, awaitCount[*protocol.Hello](e, first, len(hellos)+1, nil), len(hellos)+1, "this welcome is the right one")
}

func TestFaultsOfTheNetworkChangeNothing(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s, _ := e.run(e.config(func(c *Config) {
		c.Devices, c.Connections = 20, 2
		c.Behavior.Duplicated, c.Behavior.Reordered = 0.5, 0.5
	}))
	for _, d := range s.Devices() {
		awaitCount[*protocol.Heartbeat](e, d.ID, 1, nil)
		for _, id := range []string{"c1", "c2"} {
			e.send(d.ID, &protocol.Command{ID: id, Name: "health", Attempt: 1})
			e.send(d.ID, &protocol.Command{ID: id, Name: "health", Attempt: 1})
		}
	}
	for _, d := range s.Devices() {
		e.awaitResult(d.ID, "c1", protocol.ResultSucceeded, 1)
		e.awaitResult(d.ID, "c2", protocol.ResultSucceeded, 1)
	}
	require.Len(t, s.Ledger().Effects(), 40)
	require.Empty(t, s.Ledger().Repeats())
}

func TestSleepsAndChurns(t *testing.T) {
	t.Parallel()
	for _, connections := range []int{0, 1} {
		e := startEngine(t)
		e.online(func(c *Config) {
			c.Connections = connections
			c.Behavior.Sleep = Cycle{Share: 1, Every: 30 * time.Millisecond, For: 40 * time.Millisecond}
		})
		sleeping := awaitCount(e, first, 2, func(s *protocol.Status) bool { return s.Status == protocol.StatusSleeping })
		require.Equal(t, protocol.Seconds(0.04), sleeping[0].WakeIn)
		awaitCount[*protocol.Hello](e, first, 3, nil)

		c := startEngine(t)
		c.online(func(cfg *Config) {
			cfg.Connections = connections
			cfg.Behavior.Churn = Cycle{Share: 1, Every: 30 * time.Millisecond, For: 20 * time.Millisecond}
		})
		awaitCount(c, first, 2, func(s *protocol.Status) bool { return s.Status == protocol.StatusOffline })
		awaitCount[*protocol.Hello](c, first, 3, nil)
	}
}

func TestLiars(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	cfg := e.config(func(c *Config) {
		c.Devices, c.Connections = 10, 1
		c.Behavior.BadClaims, c.Behavior.WrongProfiles = 2, 3
	})
	s, _ := e.run(cfg)
	lies := map[string]int{}
	for _, d := range s.Devices() {
		hello := awaitCount[*protocol.Hello](e, d.ID, 1, nil)[0]
		lies[d.Lie]++
		require.Equal(t, d.Lie == BadClaim, hello.Claim != d.Claim)
		require.Equal(t, d.Lie == WrongProfile, hello.Profile != d.Profile)
	}
	require.Equal(t, map[string]int{"": 5, BadClaim: 2, WrongProfile: 3}, lies)
}

func TestDegradesAfterAnUpdate(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	e.online(func(c *Config) {
		c.Behavior.Telemetry = 20 * time.Millisecond
		c.Behavior.Degrade = Degrade{Component: "app", Version: "1.1.0"}
	})
	before := awaitCount[*protocol.Telemetry](e, first, 3, nil)
	require.Equal(t, int64(0), before[2].Metrics["crashes"])
	e.send(first, &protocol.Command{ID: "c1", Name: "install", Attempt: 1, Args: protocol.Object{
		"release": "r", "components": []any{map[string]any{"name": "app", "to": "1.1.0"}}}})
	awaitCount(e, first, 1, func(m *protocol.Telemetry) bool {
		crashes, _ := m.Metrics["crashes"].(int64)
		return crashes > 5
	})
}

func TestWrongClocks(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s, _ := e.run(e.config(func(c *Config) {
		c.Devices, c.Connections, c.Behavior.WrongClocks = 8, 1, 1
	}))
	years := map[int]bool{}
	for _, d := range s.Devices() {
		years[awaitCount[*protocol.Hello](e, d.ID, 1, nil)[0].Time.Year()] = true
	}
	require.Equal(t, map[int]bool{1970: true, 2099: true}, years)
}

func TestMemoryOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	dir := t.TempDir()
	cfg := e.config(func(c *Config) {
		c.StateDir = filepath.Join(dir, "state")
		c.LedgerFile = filepath.Join(dir, "ledger")
		c.Behavior.Latency = Latency{Median: 3 * time.Second, P99: 3 * time.Second}
	})
	_, stop := e.run(cfg)
	awaitCount[*protocol.Heartbeat](e, first, 1, nil)
	e.send(first, &protocol.Command{ID: "c1", Name: "health", Attempt: 1})
	accepted := e.awaitResult(first, "c1", protocol.ResultAccepted, 1)
	stop()

	s, _ := e.run(cfg)
	require.Equal(t, 1, s.Stats().Unacked)
	r := e.awaitResult(first, "c1", protocol.ResultFailed, 1)
	require.Equal(t, protocol.ErrorInterrupted, r.Error.Code)
	require.NotEqual(t, accepted.Boot, r.Boot)
	again := e.awaitResult(first, "c1", protocol.ResultAccepted, 2)
	require.Equal(t, accepted.Head().Boot, again.Head().Boot, "an old boot's message keeps its boot and number")

	ledger, err := ReadLedger(cfg.LedgerFile)
	require.NoError(t, err)
	require.Equal(t, s.Ledger().Effects(), ledger.Effects())
	require.Len(t, ledger.Effects(), 1)
}

func TestEndsWithGoodbye(t *testing.T) {
	t.Parallel()
	for _, connections := range []int{0, 1} {
		e := startEngine(t)
		_, stop := e.run(e.config(func(c *Config) { c.Connections = connections }))
		awaitCount[*protocol.Heartbeat](e, first, 1, nil)
		stop()
		awaitCount(e, first, 1, func(s *protocol.Status) bool { return s.Status == protocol.StatusOffline })
	}
}

func TestManyDevicesComeOnlineQuickly(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	const devices = 5000
	began := time.Now()
	s, _ := e.run(e.config(func(c *Config) { c.Devices, c.Connections = devices, 8 }))
	require.Eventually(t, func() bool { return s.Stats().Welcomed == devices }, time.Minute, 10*time.Millisecond, "%+v", &s.stats)
	t.Logf("%d devices online in %v", devices, time.Since(began).Round(time.Millisecond))
	require.Equal(t, devices, s.Stats().States["active"])
}

func TestOwnConnections(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s, _ := e.run(e.config(func(c *Config) { c.Devices = 200 }))
	require.Eventually(t, func() bool { return s.Stats().Welcomed == 200 }, time.Minute, 10*time.Millisecond)
	require.Equal(t, 200, s.Stats().Connected)
}

func TestRunEndsWhenTheLedgerCannotBeWritten(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s, err := New(e.config(func(c *Config) { c.LedgerFile = filepath.Join(t.TempDir(), "ledger") }))
	require.NoError(t, err)
	require.NoError(t, s.ledger.file.Close())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background()) }()
	awaitCount[*protocol.Heartbeat](e, first, 1, nil)
	e.send(first, &protocol.Command{ID: "c1", Name: "health", Attempt: 1})
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(<-ended))
	require.Empty(t, s.Ledger().Effects(), "what could not be recorded did not happen")
}
