package forward_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/cluster"
	"github.com/deviceops/deviceops/forward"
	"github.com/deviceops/deviceops/postgres"
)

const shape = "shape: { n: '${{ event.data.n }}', device: '${{ event.device }}' }\n"

const head = "route: r\nfrom: { events: [device.telemetry] }\n" + shape + "to:\n"

// One target is down, one is slow; the others get everything meanwhile, and those
// two get it when they can.
func TestSlowAndDeadTargetsDelayNoOther(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	down, slow := newDouble(t), newDouble(t)
	down.status, slow.delay = 503, 100*time.Millisecond
	bus := startNATS(t)
	r.publish(head + `
  - { name: down, http: { url: "` + down.URL + `", batch: 100 }, retry: { delay: 10ms..50ms } }
  - { name: slow, http: { url: "` + slow.URL + `" } }
  - { name: disk, file: { path: all.jsonl } }
  - { name: bus, pubsub: { url: "nats://` + bus.Addr().String() + `/others" } }
`)
	registry := prometheus.NewRegistry()
	r.forward(func(c *forward.Config) { c.Registerer = registry })
	const all = 300
	r.say(0, all)
	r.say(all, 50, func(_ int, e *deviceops.Event) { e.Type = "other" })
	r.say(all, 50, func(_ int, e *deviceops.Event) { e.Account = "other" })

	file := filepath.Join(r.folder, "acme", "all.jsonl")
	r.eventually(func() bool { return len(lines(t, file)) == all }, "the file has all")
	r.eventually(func() bool { return bus.count() == all }, "the bus has all")
	require.Contains(t, bus.heads[0], "type: device.telemetry\r\n")
	require.Less(t, slow.count(), all, "the slow one is not done yet")
	require.Zero(t, down.count())
	r.eventually(func() bool { return r.target("down").Failures > 0 }, "it is told")
	require.Equal(t, "failing", r.target("down").Status())
	require.Equal(t, "503 Service Unavailable: no thanks", r.target("down").Error)

	down.set(func() { down.status = 0 })
	slow.set(func() { slow.delay = 0 })
	r.eventually(func() bool { return down.count() == all && slow.count() == all }, "both have all")
	r.eventually(func() bool { return r.target("down").Failures == 0 && r.target("slow").Delivered == all }, "it is well again")
	for _, d := range []*double{down, slow} {
		for n := range all {
			require.Equal(t, 1, d.seen[n], "nobody died, so nothing is told twice")
		}
	}
	require.Empty(t, r.letters(""))
	require.Subset(t, families(t, registry), []string{"deviceops_routes_delivered_total", "deviceops_routes_failures_total", "deviceops_routes_lag_events", "deviceops_routes_lag_seconds"})
}

func families(t *testing.T, registry *prometheus.Registry) (names []string) {
	found, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range found {
		names = append(names, f.GetName())
	}
	return names
}

// childEnv makes the test program be a process that forwards.
const childEnv = "FORWARD_CHILD"

func TestMain(m *testing.M) {
	if database, folder, ok := strings.Cut(os.Getenv(childEnv), "|"); ok {
		store, err := postgres.Open(context.Background(), postgres.Config{URL: database})
		if err != nil {
			panic(err)
		}
		_ = forward.New(config(store, folder, nil)).Run(context.Background())
		return
	}
	os.Exit(cluster.RunTests(m))
}

func (r *rig) process() *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+r.url+"|"+r.folder)
	cmd.Stderr = os.Stderr
	require.NoError(r, cmd.Start())
	return cmd
}

// The process dies by kill -9 in the middle, several times; another one takes its
// targets over. Every event is at every target, at least once.
func TestNothingIsMissingWhenProcessesAreKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	lake := newDouble(t)
	lake.delay = 2 * time.Millisecond
	r.publish(head + `
  - { name: lake, http: { url: "` + lake.URL + `", batch: 3 } }
  - { name: disk, file: { path: all.jsonl } }
`)
	const all, rounds = 900, 3
	file := filepath.Join(r.folder, "acme", "all.jsonl")
	for round := range rounds {
		p := r.process()
		r.say(round*all/rounds, all/rounds)
		enough := round*all/rounds + 20
		r.eventually(func() bool { return lake.count() >= enough && len(lines(t, file)) >= enough }, "it is at work")
		require.NoError(t, p.Process.Kill())
		_ = p.Wait()
	}
	last := r.process()
	defer func() {
		_ = last.Process.Kill()
		_ = last.Wait()
	}()
	r.eventually(func() bool { return lake.count() == all && len(lines(t, file)) == all }, "everything is everywhere")
	twice := 0
	for n := range all {
		twice += lake.seen[n] - 1
	}
	t.Logf("%d events were told twice to the server by %d kills", twice, rounds)
}

// A poison event neither stops the others nor is lost: it is a dead letter, which
// is delivered when the route is mended and somebody asks for it.
func TestPoisonBecomesADeadLetterAndIsReplayed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	lake := newDouble(t)
	lake.judge = func(n int) int { return map[bool]int{true: 422}[n == 5] }
	route := "route: r\nfrom: { events: [device.telemetry] }\nshape: { n: '${{ %s }}', by: %d }\nto: [ { name: lake, http: { url: '" + lake.URL + "', batch: 50 } } ]\n"
	r.publish(fmt.Sprintf(route, "event.data.n + 0", 1))
	r.forward()
	r.say(0, 20, func(n int, e *deviceops.Event) {
		if n == 7 {
			e.Data["n"] = "seven"
		}
	})
	r.eventually(func() bool { return lake.count() == 18 && r.target("lake").DeadLetters == 2 }, "the others went through")
	letters := r.letters("lake")
	require.Equal(t, []string{deviceops.DeadRefused, deviceops.DeadShape}, []string{letters[0].Code, letters[1].Code})
	require.Equal(t, "422 Unprocessable Entity: no thanks", letters[0].Reason)
	require.Contains(t, letters[1].Reason, "shape: ")
	require.Equal(t, []int{1, 1}, []int{letters[0].Version, letters[1].Version})

	replay := func() {
		n, err := r.store.ReplayDeadLetters(t.Context(), deviceops.DeadLetterFilter{Account: "acme", Exact: true, Route: "r"})
		require.NoError(t, err)
		require.Equal(t, 2, n)
	}
	replay()
	r.eventually(func() bool { return r.letters("lake")[0].Tries == 2 && r.letters("lake")[1].Tries == 2 }, "nothing was mended")

	r.publish(fmt.Sprintf(route, `event.data.n == "seven" ? 7 : event.data.n`, 2))
	lake.set(func() { lake.judge = nil })
	r.eventually(func() bool {
		r.say(100, 1)
		lake.mu.Lock()
		defer lake.mu.Unlock()
		return strings.Contains(lake.bodies[len(lake.bodies)-1], `"by":2`)
	}, "the new version goes on from the place of the old one")
	replay()
	r.eventually(func() bool { return len(r.letters("lake")) == 0 }, "both were delivered")
	require.Equal(t, []int{1, 1, 1}, []int{lake.seen[5], lake.seen[7], lake.seen[6]})
}

func TestRetriesEndInDeadLettersIfTheRouteSaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	lake := newDouble(t)
	lake.status = 500
	r.publish(head + `  - { name: lake, http: { url: "` + lake.URL + `" }, retry: { times: 2, delay: 1ms } }` + "\n")
	r.forward()
	r.say(0, 1)
	r.eventually(func() bool { return r.target("lake").DeadLetters == 1 }, "it gave up")
	require.Equal(t, deviceops.DeadGaveUp, r.letters("lake")[0].Code)
	require.Equal(t, 3, lake.asked)

	// Events that are not kept any more cannot be replayed, and say so.
	require.NoError(t, r.store.MaintainEvents(t.Context(), time.Now().AddDate(0, 0, 3), 0))
	found, err := r.store.FindEvents(t.Context(), []int64{1})
	require.NoError(t, err)
	require.Empty(t, found)
	_, err = r.store.ReplayDeadLetters(t.Context(), deviceops.DeadLetterFilter{})
	require.NoError(t, err)
	r.eventually(func() bool { return r.letters("lake")[0].Code == deviceops.DeadGone }, "it is told")
}

// The events of one device arrive in order, however many deliveries go on.
func TestOrderByDevice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	lake := newDouble(t)
	fails := 0
	lake.judge = func(n int) int {
		if fails++; fails%5 == 0 {
			return 503
		}
		return 0
	}
	r.publish(head + `  - { name: lake, http: { url: "` + lake.URL + `" }, parallel: 8, retry: { delay: 1ms } }` + "\n")
	r.forward()
	r.say(0, 200)
	r.eventually(func() bool { return lake.count() == 200 }, "all are there")
	require.Len(t, lake.order, 7)
	for device, order := range lake.order {
		require.True(t, slices.IsSorted(order), "%s: %v", device, order)
	}
}

func TestPausedTargetsKeepTheirPlace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	lake := newDouble(t)
	r.publish(head + `  - { name: lake, http: { url: "` + lake.URL + `" } }` + "\n")
	pause := func(paused bool) {
		_, err := r.store.PauseRoute(t.Context(), deviceops.RoutePause{Account: "acme", Route: "r", Paused: paused, At: time.Now()})
		require.NoError(t, err)
	}
	pause(true)
	r.forward()
	r.say(0, 5)
	r.eventually(func() bool { return r.target("lake").Holder != "" }, "somebody holds it")
	pause(false)
	r.eventually(func() bool { return lake.count() == 5 }, "it goes on from where it was")
}

// Two processes share the targets; what one gives up, the other goes on with.
func TestTargetsAreShared(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b := newDouble(t), newDouble(t)
	r.publish(head + `  - { name: a, http: { url: "` + a.URL + `" } }` + "\n" + `  - { name: b, http: { url: "` + b.URL + `" } }` + "\n")
	stop := r.forward()
	r.forward()
	r.eventually(func() bool {
		return r.target("a").Holder != "" && r.target("b").Holder != "" && r.target("a").Holder != r.target("b").Holder
	}, "each has one")
	r.say(0, 10)
	r.eventually(func() bool { return a.count() == 10 && b.count() == 10 }, "both have all")
	stop()
	r.eventually(func() bool { return r.target("a").Holder != "" && r.target("a").Holder == r.target("b").Holder }, "one has both")
	r.say(10, 10)
	r.eventually(func() bool { return a.count() == 20 && b.count() == 20 }, "both have all")
	require.Equal(t, 1, a.seen[3])
}
