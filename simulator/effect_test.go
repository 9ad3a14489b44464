package simulator

import (
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

func TestCollectUploads(t *testing.T) {
	t.Parallel()
	uploaded := make(chan string, 1)
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPut || r.URL.Query().Get("sig") != "ok" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		uploaded <- string(body)
	}))
	t.Cleanup(store.Close)
	e := startEngine(t)
	s := e.online(nil)

	e.send(first, &protocol.Command{ID: "c1", Name: "collect", Attempt: 1, Args: protocol.Object{"url": store.URL + "/logs?sig=ok"}})
	r := e.awaitResult(first, "c1", protocol.ResultSucceeded, 1)
	body := <-uploaded
	require.Contains(t, body, "device "+first)
	require.Equal(t, int64(len(body)), r.Output["size"])

	e.send(first, &protocol.Command{ID: "c2", Name: "collect", Attempt: 1, Args: protocol.Object{"url": store.URL + "/logs?sig=old"}})
	failed := e.awaitResult(first, "c2", protocol.ResultFailed, 1)
	require.Equal(t, &protocol.DeviceError{Code: "upload_failed", Message: "upload answered 403 Forbidden", Retryable: true}, failed.Error)
	require.Len(t, s.Ledger().Effects(), 2)
}

func TestWipeForgetsTheConfigurationAndKeepsTheJournal(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s := e.online(nil)
	e.send(first, &protocol.Command{ID: "c1", Name: "configure", Attempt: 1, Args: protocol.Object{"version": 5}})
	e.awaitResult(first, "c1", protocol.ResultSucceeded, 1)
	e.send(first, &protocol.Command{ID: "c2", Name: "wipe", Attempt: 1})
	e.awaitResult(first, "c2", protocol.ResultSucceeded, 1)
	reported := awaitCount[*protocol.Reported](e, first, 2, nil)
	require.Equal(t, int64(0), *reported[1].ConfigVersion)
	e.send(first, &protocol.Command{ID: "c1", Name: "configure", Attempt: 1, Args: protocol.Object{"version": 5}})
	e.awaitResult(first, "c1", protocol.ResultSucceeded, 2)
	require.Len(t, s.Ledger().Effects(), 2)
}

func TestRebootAnswersAfterTheBoot(t *testing.T) {
	t.Parallel()
	for _, connections := range []int{0, 1} {
		e := startEngine(t)
		s := e.online(func(c *Config) { c.Connections = connections })
		e.send(first, &protocol.Command{ID: "c1", Name: "reboot", Attempt: 1})
		r := e.awaitResult(first, "c1", protocol.ResultSucceeded, 1)
		hellos := awaitCount[*protocol.Hello](e, first, 2, nil)
		require.NotEqual(t, hellos[0].Boot, hellos[1].Boot)
		require.Equal(t, hellos[1].Boot, r.Boot)
		require.Equal(t, 1, s.Stats().Reboots)
	}
}

func TestOwnCommandsAnswerWhatTheyAreTold(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s := e.online(func(c *Config) { c.Commands = map[string]protocol.Object{"weigh": {"kg": 12.5}} })
	e.send(first, &protocol.Command{ID: "c0", Name: "weigh", Attempt: 1, Child: "scale-1"})
	e.send(first, &protocol.Command{ID: "c1", Name: "weigh", Attempt: 1})
	require.Equal(t, protocol.Object{"kg": 12.5}, e.awaitResult(first, "c1", protocol.ResultSucceeded, 1).Output)
	require.Equal(t, 1, s.Stats().BadInbound, "no device of the fleet has children")
}

func TestInstallStagesHaveAPointOfNoReturn(t *testing.T) {
	t.Parallel()
	p := installStages([][]deviceops.ComponentChange{{{Name: "os"}, {Name: "app"}}}, time.Second, nil)
	require.True(t, p.reboots)
	require.Equal(t, 4, p.point, "everything is downloaded before anything is installed")
	require.Len(t, p.stages, 7)
	require.Equal(t, 3200*time.Millisecond, p.duration())
}

// TestInstallsHoldBetweenTwoTimes is about a plan a minute after its command came.
func TestInstallsHoldBetweenTwoTimes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in, within protocol.Seconds
		stages     int
		wait       time.Duration
		late       bool
	}{
		"at any time":    {0, 0, 3, 0, false},
		"later":          {90, 0, 4, 30 * time.Second, false},
		"it is time":     {30, 90, 4, -30 * time.Second, false},
		"too late":       {30, 59, 4, -30 * time.Second, true},
		"later, in time": {90, 300, 4, 30 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := installStages([][]deviceops.ComponentChange{{{Name: "app", To: "2"}}}, time.Second, nil)
			p.holdUntil(protocol.Install{InstallIn: c.in, InstallWithin: c.within}, time.Now().Add(-time.Minute))
			require.Len(t, p.stages, c.stages)
			require.Equal(t, c.stages-1, p.point, "it may be canceled while it holds")
			if hold := p.stages[p.point-1].hold; hold != nil {
				wait, late := hold()
				require.InDelta(t, c.wait, wait, float64(20*time.Second))
				require.Equal(t, c.late, late)
			}
		})
	}
	p := installStages([][]deviceops.ComponentChange{{{Name: "app", To: "2"}, {Name: "font", To: "3"}}}, time.Second, map[string]bool{"app@2": true})
	require.Equal(t, 2100*time.Millisecond, p.duration(), "what is there is not downloaded once more")
}

// TestTooLateToInstall goes through a window that was missed: the device
// downloads, asks to be asked again, and installs once when it is.
func TestTooLateToInstall(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s := e.online(nil)
	install := func(times protocol.Object) *protocol.Command {
		args := protocol.Object{"release": "r", "components": []any{map[string]any{"name": "font", "to": "2"}}}
		maps.Copy(args, times)
		return &protocol.Command{ID: "c1", Name: "install", Attempt: 1, Args: args}
	}
	e.send(first, install(protocol.Object{"install_within": 0.000_001}))
	r := e.awaitResult(first, "c1", protocol.ResultDeferred, 1)
	require.Equal(t, "downloaded; too late to install", r.Reason)
	require.Zero(t, s.Stats().Effects, "nothing was installed")

	e.send(first, install(protocol.Object{"install_in": 0.01, "install_within": 600}))
	e.awaitResult(first, "c1", protocol.ResultSucceeded, 1)
	require.Equal(t, 1, s.Stats().Effects)
}

func TestAFailedInstallKeepsTheBatchesBefore(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	e.online(func(c *Config) { c.Behavior.Faults.Permanent = 1 })
	e.send(first, &protocol.Command{ID: "c1", Name: "install", Attempt: 1, Args: protocol.Object{"release": "r", "components": []any{
		map[string]any{"name": "font", "to": "2", "order": 1}, map[string]any{"name": "app", "to": "1.1.0", "order": 2}}}})
	e.awaitResult(first, "c1", protocol.ResultFailed, 1)
	reported := awaitCount[*protocol.Reported](e, first, 1, nil)[0]
	require.Equal(t, map[string]string{"os": "2.3.0", "app": "1.0.0", "font": "2"}, reported.Software)
}

func TestWaitsForABrokerThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	for _, connections := range []int{0, 1} {
		e := startEngine(t)
		gate, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		refusals := make(chan struct{}, 100)
		go func() { // at first, whoever connects is turned away; then passed on
			for n := 0; ; n++ {
				c, err := gate.Accept()
				if err != nil {
					return
				}
				if n < 3 {
					_ = c.Close()
					refusals <- struct{}{}
					continue
				}
				go pass(c, e.url[len("tcp://"):])
			}
		}()
		t.Cleanup(func() { _ = gate.Close() })
		e.online(func(c *Config) { c.Broker, c.Connections = "tcp://"+gate.Addr().String(), connections })
		require.Len(t, refusals, 3)
	}
}

// pass joins c with a new connection to address.
func pass(c net.Conn, address string) {
	defer c.Close()
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer to.Close()
	go func() { _, _ = io.Copy(to, c) }()
	_, _ = io.Copy(c, to)
}

func TestBadVersionsCannotBeInstalled(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s := e.online(func(c *Config) {
		c.Behavior.Bad = []BadVersion{{Component: "app", Version: "2"}, {Version: "9", Retryable: true}}
	})
	install := func(id, component, to string, attempt int) *protocol.Command {
		return &protocol.Command{ID: id, Name: "install", Attempt: attempt, Args: protocol.Object{
			"release": "r", "components": []any{map[string]any{"name": component, "to": to}}}}
	}
	e.send(first, install("c1", "app", "2", 1))
	require.Equal(t, &protocol.DeviceError{Code: "install_failed", Message: "app 2 does not start"}, e.awaitResult(first, "c1", protocol.ResultFailed, 1).Error)
	e.send(first, install("c2", "font", "9", 1))
	require.True(t, e.awaitResult(first, "c2", protocol.ResultFailed, 1).Error.Retryable)
	e.send(first, install("c2", "font", "9", 2))
	e.awaitResult(first, "c2", protocol.ResultFailed, 2)
	e.send(first, install("c3", "font", "2", 1))
	e.awaitResult(first, "c3", protocol.ResultSucceeded, 1)
	require.Len(t, s.Ledger().Effects(), 4)
}

func TestParseBadVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]BadVersion{
		"os@2.4.0=fail": {Component: "os", Version: "2.4.0"}, "2.4.0=fail": {Version: "2.4.0"}, "app@1=retry": {Component: "app", Version: "1", Retryable: true},
	} {
		got, err := ParseBadVersion(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "os@2.4.0", "os@=fail", "2=explode", "=fail"} {
		_, err := ParseBadVersion(text)
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err), text)
	}
}

func TestDisksFillUpAndAreCleaned(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	e.online(func(c *Config) {
		c.Behavior.Telemetry = 20 * time.Millisecond
		c.Behavior.Ail = Cycle{Share: 1, Every: 100 * time.Millisecond, For: 100 * time.Millisecond}
	})
	free := func(pct int64) func(*protocol.Telemetry) bool {
		return func(m *protocol.Telemetry) bool { return m.Metrics["disk_free_pct"] == pct }
	}
	awaitCount(e, first, 2, free(60))
	awaitCount(e, first, 2, free(3))
}
