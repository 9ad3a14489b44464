package ingest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

const reboots = "workflow: reboot\nversion: 1\ninputs: { device: device, battery: number }\nsteps:\n  - wait: 1s\n"

const lowBattery = `automation: low-battery
trigger:
  event: device.battery
  where: event.data.battery_pct < 20 && "critical" in device.tags
  for: 10m
dedupe: 1h
run: reboot@1
with: { device: "${{ event.device }}", battery: "${{ event.data.battery_pct }}" }
`

// canceler notes which runs were canceled.
type canceler struct {
	*fakeOrchestrator
	mu       sync.Mutex
	canceled []string
}

func (c *canceler) Cancel(_ context.Context, run, _ string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.canceled = append(c.canceled, run)
	return nil
}

func (c *canceler) runs() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.canceled)
}

// automated is a bundle in which automations hear.
type automated struct {
	*testBundle
	heard deviceops.AutomationStore
	orch  *canceler
}

func newAutomated(t *testing.T, documents ...string) *automated {
	t.Helper()
	a := &automated{}
	a.testBundle = newBundle(t, func(c *Config) {
		a.orch = &canceler{fakeOrchestrator: c.Orchestrator.(*fakeOrchestrator)}
		c.Orchestrator = a.orch
		launcher := NewLauncher(LauncherConfig{Store: c.Store, Orchestrator: a.orch, Now: c.Now, Log: quiet})
		t.Cleanup(func() { _ = launcher.Close(context.Background()) })
		a.heard = NewAutomations(c.Store, &dsl.Catalog{Documents: c.Store}, launcher)
		c.Store, c.Catalog = a.heard, &dsl.Catalog{Documents: c.Store}
	})
	a.publish(reboots)
	for _, source := range documents {
		a.publish(source)
	}
	return a
}

func (a *automated) publish(source string) {
	a.t.Helper()
	compiled, found := dsl.CheckFile("test.yaml", source, dsl.Options{})
	require.Empty(a.t, found)
	for _, c := range compiled {
		_, _, err := a.store.PublishDocument(context.Background(), deviceops.Document{
			Account: deviceops.RootAccount, Kind: c.Kind, Name: c.Name, Version: c.Version, Hash: c.Hash, Source: c.Source,
		})
		require.NoError(a.t, err)
	}
}

func (a *automated) critical(ids ...string) {
	a.t.Helper()
	for _, id := range ids {
		a.register(deviceops.Registration{ID: id, Tags: []string{"critical"}})
	}
}

func (a *automated) battery(device string, pct int, extra string) {
	a.t.Helper()
	a.say(device, "event", fmt.Sprintf(`{"type":"device.battery","data":{"battery_pct":%d}%s}`, pct, extra))
}

func (a *automated) sweep() {
	a.t.Helper()
	s := NewSweeper(SweeperConfig{
		Store: a.heard, Gateway: a.gateway, Orchestrator: a.orch, Catalog: a.config.Catalog, Automations: &a.heard, Now: a.clock.Now, Log: quiet,
	})
	_, err := s.windows(context.Background(), a.clock.Now())
	require.NoError(a.t, err)
}

func (a *automated) runs() []deviceops.Run {
	a.t.Helper()
	found, err := a.store.ListRuns(context.Background(), deviceops.RunFilter{Limit: 1000})
	require.NoError(a.t, err)
	slices.Reverse(found)
	return found
}

func (a *automated) outcomes() (all []string) {
	a.t.Helper()
	found, err := a.store.ListAutomationDecisions(context.Background(), deviceops.AutomationDecisionFilter{Limit: 1000})
	require.NoError(a.t, err)
	for _, d := range slices.Backward(found) {
		all = append(all, string(d.Outcome))
	}
	return all
}

func TestAnEventThatHoldsStartsARun(t *testing.T) {
	t.Parallel()
	a := newAutomated(t, lowBattery)
	a.critical("k1")
	a.battery("k1", 15, "")
	a.clock.advance(5 * time.Minute)
	a.battery("k1", 14, "")
	require.Empty(t, a.runs(), "it has not held for ten minutes")
	a.clock.advance(5 * time.Minute)
	a.battery("k1", 13, "")
	runs := a.runs()
	require.Len(t, runs, 1)
	require.Equal(t, "reboot", runs[0].Workflow)
	require.Equal(t, 1, runs[0].Version)
	require.NotEmpty(t, runs[0].Hash)
	require.Equal(t, "acme", runs[0].Account, "a run is of the account of the device")
	require.Equal(t, "k1", runs[0].Device)
	require.Equal(t, map[string]any{"device": "k1", "battery": int64(13)}, runs[0].Inputs)
	require.Equal(t, "automation:low-battery@1", runs[0].StartedBy)
	require.Equal(t, []string{"holding", "holding", "started"}, a.outcomes())
	require.Eventually(t, func() bool { return a.orch.started()[runs[0].ID] == 1 }, 5*time.Second, 5*time.Millisecond, "it is started after the commit")
}

func TestARestartKeepsAHold(t *testing.T) {
	t.Parallel()
	a := newAutomated(t, lowBattery)
	a.critical("k1")
	a.battery("k1", 15, "")
	a.clock.advance(9 * time.Minute)
	a.battery("k1", 14, "")
	a.heard.Automations = &deviceops.Automations{Catalog: a.config.Catalog, Start: a.heard.Automations.Start, Now: a.clock.Now} // nothing is remembered but in the store
	a.clock.advance(70 * time.Second)
	a.sweep()
	require.Empty(t, a.runs(), "a sample may be on its way")
	a.clock.advance(20 * time.Second)
	a.sweep()
	a.sweep()
	require.Len(t, a.runs(), 1, "the clock decides, once")
	require.Equal(t, noon.Add(10*time.Minute), a.lastDecision().At)
}

// A device that reports every half hour, as its profile says, is not taken for
// silent between two reports.
func TestAHoldOfADeviceThatReportsRarely(t *testing.T) {
	t.Parallel()
	a := newAutomated(t, strings.Replace(lowBattery, "for: 10m", "for: 100m", 1))
	a.critical("k1")
	a.heard30m("k1")
	for n := range 4 { // after 0, 30, 60 and 90 minutes
		a.battery("k1", 15-n, "")
		a.clock.advance(30 * time.Minute)
		a.sweep()
	}
	require.Len(t, a.runs(), 1)
	require.Equal(t, noon.Add(100*time.Minute), a.lastDecision().At, "the clock decides in between")
}

// An event that lacks what the condition is about neither goes on with a hold nor
// breaks it off.
func TestAHoldIsNotBrokenOffByWhatSaysNothing(t *testing.T) {
	t.Parallel()
	a := newAutomated(t, lowBattery)
	a.critical("k1")
	a.battery("k1", 15, "")
	a.clock.advance(5 * time.Minute)
	a.say("k1", "event", `{"type":"device.battery","data":{"voltage":3.1}}`)
	a.clock.advance(5 * time.Minute)
	a.battery("k1", 13, "")
	require.Equal(t, []string{"holding", "started"}, a.outcomes())
	require.Len(t, a.runs(), 1)
}

// heard30m gives a device the policy to be heard of every half hour.
func (a *automated) heard30m(id string) {
	a.t.Helper()
	policy := deviceops.HeartbeatPolicy{Every: 30 * time.Minute, OfflineAfter: 3}
	require.NoError(a.t, a.store.SaveDesired(a.t.Context(), map[string]deviceops.Desired{id: {Heartbeat: policy}}))
}

func (a *automated) lastDecision() deviceops.AutomationDecision {
	found, err := a.store.ListAutomationDecisions(context.Background(), deviceops.AutomationDecisionFilter{Limit: 1})
	require.NoError(a.t, err)
	require.NotEmpty(a.t, found)
	return found[0]
}

// What is said twice, or late, makes no difference to what is decided.
func TestDuplicatesAndDisorderChangeNothing(t *testing.T) {
	t.Parallel()
	tell := func(a *automated, order []int, twice bool) {
		a.critical("k1")
		newest := 0
		for _, minute := range order {
			a.clock.advance(time.Duration(max(0, minute-newest)) * time.Minute)
			newest = max(newest, minute)
			extra := fmt.Sprintf(`,"seq":%d,"boot":"b1","age_ms":%d`, minute+1, (newest-minute)*60_000)
			a.battery("k1", 15, extra)
			if twice {
				a.battery("k1", 15, extra)
			}
		}
	}
	for name, c := range map[string]struct {
		order []int
		twice bool
	}{"in order": {[]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, false}, "doubled": {[]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, true}, "late": {[]int{1, 0, 3, 2, 4, 5, 8, 7, 6, 10, 9, 12, 11}, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAutomated(t, lowBattery)
			tell(a, c.order, c.twice)
			runs := a.runs()
			require.Len(t, runs, 1)
			found, err := a.store.ListAutomationDecisions(t.Context(), deviceops.AutomationDecisionFilter{})
			require.NoError(t, err)
			at := slices.IndexFunc(found, func(d deviceops.AutomationDecision) bool { return d.Outcome == deviceops.OutcomeStarted })
			require.Equal(t, noon.Add(10*time.Minute), found[at].At, "the first sample at or after the end of the hold")
		})
	}
}

func TestNothingIsWrittenForEventsThatNobodyHears(t *testing.T) {
	t.Parallel()
	a := newAutomated(t, "automation: hot\ntrigger: { event: device.hot, where: event.data.c > 80 }\nrun: reboot@1\nwith: { device: \"${{ event.device }}\", battery: 1 }\n")
	a.critical("k1")
	a.battery("k1", 1, "")
	a.say("k1", "event", `{"type":"device.hot","data":{"c":20}}`)
	require.Empty(t, a.outcomes())
	keys, err := a.store.FindAutomationKeys(t.Context(), deviceops.AutomationSlot{}, 10)
	require.NoError(t, err)
	require.Empty(t, keys)
	a.say("k1", "event", `{"type":"device.hot","data":{"c":90}}`)
	require.Len(t, a.runs(), 1)
}

// simple gives an automation that fires at each device.ping.
func simple(more string) string {
	return "automation: ping\ntrigger: { event: device.ping }\n" + more + "run: reboot@1\nwith: { device: \"${{ event.device }}\", battery: 1 }\n"
}

func (a *automated) ping(device string) {
	a.t.Helper()
	a.clock.advance(time.Second)
	a.say(device, "event", `{"type":"device.ping"}`)
}

func (a *automated) end(run string) {
	a.t.Helper()
	r, err := a.store.FindRun(context.Background(), run)
	require.NoError(a.t, err)
	r.Status, r.FinishedAt = deviceops.RunSucceeded, a.clock.Now()
	require.NoError(a.t, a.heard.SaveRun(context.Background(), r))
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	for more, want := range map[string]struct {
		outcomes []string
		after    int // runs when the first one has ended
		canceled int
	}{
		"":                              {[]string{"started", "skipped", "skipped"}, 1, 0},
		"concurrency: queue\n":          {[]string{"started", "queued", "queued"}, 2, 0},
		"concurrency: cancel-running\n": {[]string{"started", "replacing", "replacing"}, 2, 2},
		"concurrency: parallel\n":       {[]string{"started", "started", "started"}, 3, 0},
	} {
		t.Run(more, func(t *testing.T) {
			t.Parallel()
			a := newAutomated(t, simple(more))
			a.critical("k1")
			for range 3 {
				a.ping("k1")
			}
			require.Equal(t, want.outcomes, a.outcomes())
			first := a.runs()[0].ID
			require.Eventually(t, func() bool { return len(a.orch.runs()) == want.canceled }, 5*time.Second, 5*time.Millisecond)
			a.end(first)
			require.Len(t, a.runs(), want.after, "its end starts what waited")
			a.end(first)
			require.Len(t, a.runs(), want.after, "once")
		})
	}
}

func TestABrakeStopsUntilSomebodyLooks(t *testing.T) {
	t.Parallel()
	a := newAutomated(t, simple("limit: 2 per 10m\n"))
	a.critical("k1", "k2", "k3", "k4")
	for _, id := range []string{"k1", "k2", "k3", "k4"} {
		a.ping(id)
	}
	require.Len(t, a.runs(), 2)
	require.Equal(t, []string{"started", "started", "stopped", "stopped"}, a.outcomes())
	told, err := a.store.ListEvents(t.Context(), deviceops.EventFilter{Type: deviceops.EventAutomationStopped})
	require.NoError(t, err)
	require.Len(t, told, 1, "a person is asked once")
	require.Equal(t, "ping", told[0].Data["automation"])
	states, err := a.store.ListAutomationStates(t.Context(), deviceops.RootAccount)
	require.NoError(t, err)
	require.Equal(t, 2, states[0].Brake.Refused)
	a.clock.advance(time.Hour)
	a.ping("k3")
	require.Len(t, a.runs(), 2, "time alone does not resume it")
}

// What the engine says itself is heard, whoever stores it.
func TestTheEngineIsHeard(t *testing.T) {
	t.Parallel()
	a := newAutomated(t,
		"automation: quarantine\ntrigger: { state: quarantined }\nrun: reboot@1\nwith: { device: \"${{ event.device }}\", battery: 1 }\n",
		"automation: gone\ntrigger: { offline: 30m }\nrun: reboot@1\nwith: { device: \"${{ event.device }}\", battery: 2 }\n")
	a.device("k1", deviceops.Active)
	require.NoError(t, a.heard.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
		_, _, err := deviceops.Transition{Device: "k1", To: deviceops.Quarantined, By: "user:maria", Reason: "odd"}.Apply(ctx, tx, nil, a.clock.Now())
		return err
	}))
	require.Len(t, a.runs(), 1)
	a.device("k2", deviceops.Active)
	a.say("k2", "hello", `{"boot":"b1","connection":"c1","profile":"kiosk","serial":"serial-k2"}`)
	a.clock.advance(time.Second)
	a.say("k2", "status", `{"status":"offline","connection":"c1"}`)
	require.Equal(t, deviceops.Offline, a.find("k2").Session.Connectivity)
	a.clock.advance(31 * time.Minute)
	a.sweep()
	require.Len(t, a.runs(), 2)
}

func TestChangesAreSeenWithinASecond(t *testing.T) {
	t.Parallel()
	a := newAutomated(t)
	a.critical("k1")
	a.ping("k1")
	require.Empty(t, a.runs())
	a.publish(simple("concurrency: parallel\n"))
	a.ping("k1")
	require.Len(t, a.runs(), 1)
	require.NoError(t, a.store.RetireDocument(t.Context(), deviceops.RootAccount, deviceops.KindAutomation, "ping"))
	a.ping("k1")
	require.Len(t, a.runs(), 1)
}

// readCatalog counts how often automations are read.
type readCatalog struct {
	deviceops.Catalog
	reads atomic.Int32
}

func (c *readCatalog) Automations(ctx context.Context, docs deviceops.Documents, account string) ([]*deviceops.Automation, error) {
	c.reads.Add(1)
	return c.Catalog.Automations(ctx, docs, account)
}

func TestThoseWhoHearAtTheSameTimeReadAutomationsOnce(t *testing.T) {
	t.Parallel()
	a := newAutomated(t, simple("concurrency: parallel\n"))
	a.critical("k1")
	catalog := &readCatalog{Catalog: a.heard.Automations.Catalog}
	a.heard.Automations.Catalog = catalog
	group, ctx := errgroup.WithContext(t.Context())
	for range 8 {
		group.Go(func() error {
			return a.heard.AppendEvents(ctx, []deviceops.Event{{Account: deviceops.RootAccount, Device: "k1", Type: "device.ping", At: a.clock.Now()}})
		})
	}
	require.NoError(t, group.Wait())
	require.Len(t, a.runs(), 8)
	require.EqualValues(t, 1, catalog.reads.Load())
}

// A run gets the device that its workflow asks for, or none begins.
func TestARunIsOfADeviceThatItsWorkflowIsFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ input, with, failed string }{
		"its profile":     {"device kiosk", "${{ event.device }}", ""},
		"any profile":     {"device", "${{ event.device }}", ""},
		"another profile": {"device meter", "${{ event.device }}", `the input "target": device k1 is of profile kiosk, not meter`},
		"no such device":  {"device", "k9", `the input "target": there is no device k9 in account acme`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAutomated(t, "workflow: aim\nversion: 1\ninputs: { target: "+c.input+" }\nsteps:\n  - wait: 1s\n",
				"automation: ping\ntrigger: { event: device.ping }\nrun: aim@1\nwith: { target: \""+c.with+"\" }\n")
			a.critical("k1")
			a.ping("k1")
			require.Equal(t, c.failed, a.lastDecision().Detail)
			require.Len(t, a.runs(), map[bool]int{true: 1}[c.failed == ""])
		})
	}
}

func TestWhatCannotBeStartedIsSaid(t *testing.T) {
	t.Parallel()
	a := newAutomated(t, "automation: ping\ntrigger: { event: device.ping }\nrun: missing@1\n")
	a.critical("k1")
	a.ping("k1")
	require.Empty(t, a.runs())
	last := a.lastDecision()
	require.Equal(t, deviceops.OutcomeFailed, last.Outcome)
	require.Contains(t, last.Detail, "there is no version 1 of workflow missing")
	told, err := a.store.ListEvents(t.Context(), deviceops.EventFilter{Type: deviceops.EventAutomationFailed})
	require.NoError(t, err)
	require.Len(t, told, 1)
	a.ping("k1")
	require.Equal(t, []string{"failed", "failed"}, a.outcomes(), "the key is free")
}
