package forward_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/forward"
	"github.com/deviceops/deviceops/outbound"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

// vault gives secrets by reference.
type vault map[string]string

func (v vault) Secret(_ context.Context, account, reference string) (string, error) {
	if value, ok := v[account+" "+reference]; ok {
		return value, nil
	}
	return "", deviceops.Errorf(deviceops.ENOTFOUND, "there is no secret %s", reference)
}

func with(secrets vault) func(*forward.Config) {
	return func(c *forward.Config) { c.Secrets = secrets }
}

func TestRequestsCarryKeysAndCredentials(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	one, list := newDouble(t), newDouble(t)
	r.publish(head + `
  - name: one
    http: { url: "` + one.URL + `/in", method: PUT, headers: { X-Source: fleet }, auth: { basic: { username: me, password: secret:lake/pw } } }
  - name: list
    http: { url: "` + list.URL + `", per: 1s, auth: { header: { name: X-Api-Key, value: secret:lake/key } } }
`)
	r.say(0, 3)
	r.forward(with(vault{"acme secret:lake/pw": "pa:ss", "acme secret:lake/key": "k"}))
	r.eventually(func() bool { return one.count() == 3 && list.count() == 3 }, "both have all")
	require.Equal(t, 3, one.asked)
	require.JSONEq(t, `{"n": 0, "device": "k0"}`, one.bodies[0])
	h := one.heads[0]
	require.Equal(t, []string{"1", "1", "fleet", "application/json"}, []string{
		h.Get("Idempotency-Key"), h.Get(forward.EventIDsHeader), h.Get("X-Source"), h.Get("Content-Type"),
	})
	require.Equal(t, "Basic bWU6cGE6c3M=", h.Get("Authorization"))
	require.Equal(t, 1, list.asked, "a list waited to be full")
	require.Equal(t, "1,2,3", list.heads[0].Get(forward.EventIDsHeader))
	require.Len(t, list.heads[0].Get("Idempotency-Key"), 32)
	require.Equal(t, "k", list.heads[0].Get("X-Api-Key"))
}

// What a status says of the target, and not of the events, is waited out.
func TestTargetsThatAreNotAsTheRouteBelievesAreWaitedFor(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusTooManyRequests, http.StatusFound} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			lake := newDouble(t)
			lake.status = status
			r.publish(head + `  - { name: lake, http: { url: "` + lake.URL + `" }, retry: { delay: 1ms } }` + "\n")
			r.forward()
			r.say(0, 1)
			r.eventually(func() bool { return r.target("lake").Failures > 2 }, "it is tried again")
			require.Empty(t, r.letters(""))
			lake.set(func() { lake.status = 0 })
			r.eventually(func() bool { return lake.count() == 1 }, "it is delivered")
		})
	}
}

func TestPrivateNetworksAreOutOfReach(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	lake := newDouble(t)
	r.publish(head + `
  - { name: lake, http: { url: "` + lake.URL + `" } }
  - { name: table, postgres: { url: "secret:db", table: t, columns: ["n"] } }
  - { name: bus, pubsub: { url: "nats://` + strings.TrimPrefix(lake.URL, "http://") + `/x" } }
`)
	r.forward(with(vault{"acme secret:db": "postgres://me:hush@127.0.0.1:1/x"}), func(c *forward.Config) { c.Guard = outbound.NewGuard(nil) })
	r.say(0, 1)
	for _, name := range []string{"lake", "table", "bus"} {
		r.eventually(func() bool { return r.target(name).Failures > 0 }, name)
		require.Contains(t, r.target(name).Error, "private or reserved network", name)
	}
	require.Zero(t, lake.asked)
	require.NotContains(t, r.target("table").Error, "hush")
}

func TestRowsOfAnotherDatabase(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url := postgrestest.EmptyURL(t)
	db, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer db.Close(context.WithoutCancel(t.Context()))
	r.publish(head + `  - { name: table, postgres: { url: "secret:db", table: lake.said, columns: ["n", device, more] }, retry: { delay: 1ms } }` + "\n")
	r.forward(with(vault{"acme secret:db": url}))
	r.say(0, 10, func(n int, e *deviceops.Event) {
		if n == 4 {
			e.Data["n"] = "four"
		}
	})
	r.eventually(func() bool { return r.target("table").Failures > 0 }, "there is no such table yet")
	require.Contains(t, r.target("table").Error, "lake")
	_, err = db.Exec(t.Context(), `
		create schema lake; create table lake.said (event_id text unique, n int, device text, more jsonb);
		create function lake.check() returns trigger language plpgsql as $$ begin if new.n = 7 then raise 'no seven'; end if; return new; end $$;
		create trigger checked before insert on lake.said for each row execute function lake.check()`)
	require.NoError(t, err)
	r.eventually(func() bool { return r.target("table").DeadLetters == 2 && r.target("table").Failures == 0 }, "one has no number, and one nobody wants")
	require.Equal(t, []int64{5, 8}, []int64{r.letters("table")[0].Event, r.letters("table")[1].Event})
	require.Contains(t, r.letters("table")[0].Reason, "invalid input syntax")
	require.Equal(t, "no seven", r.letters("table")[1].Reason)
	var rows, sum int
	require.NoError(t, db.QueryRow(t.Context(), `select count(*), sum(n) from lake.said where event_id = (n + 1)::text and device like 'k%' and more is null`).Scan(&rows, &sum))
	require.Equal(t, []int{8, 34}, []int{rows, sum})
}

func TestFilesArePutAsideAndBeginWithWholeLines(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	path := filepath.Join(r.folder, "acme", "lake", "all.jsonl")
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte("{\"n\":1000}\n{\"n\":1001,\"dev"), 0o644))
	r.publish(head + `  - { name: disk, file: { path: lake/all.jsonl, size: 1KB, keep: 2 } }` + "\n")
	r.forward()
	r.say(0, 1)
	r.eventually(func() bool { return lines(t, path)[0] == 1 }, "it goes on behind the last whole line")
	require.Equal(t, map[int]int{1000: 1, 0: 1}, lines(t, path))
	for round := 1; round <= 4; round++ {
		r.say(round*40, 40)
		r.eventually(func() bool { return lines(t, path)[round*40+39] == 1 }, "each page is larger than what fits beside another")
	}
	aside, err := filepath.Glob(filepath.Join(r.folder, "acme", "lake", "all-*.jsonl"))
	require.NoError(t, err)
	require.Len(t, aside, 2, "the oldest are removed")
}

// Several targets may append to one file, and somebody may take it away.
func TestFilesAreSharedAndTakenAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	path := filepath.Join(r.folder, "acme", "all.jsonl")
	r.publish(head + `  - { name: one, file: { path: all.jsonl, size: 4KB } }
  - { name: two, file: { path: all.jsonl, size: 4KB } }
  - { name: three, file: { path: all.jsonl } }
`)
	r.forward()
	r.forward()
	r.eventually(func() bool { // what is under way at a handover may be written twice
		holders := map[string]bool{}
		for _, name := range []string{"one", "two", "three"} {
			holders[r.target(name).Holder] = true
		}
		return len(holders) == 2 && !holders[""]
	}, "the two share the targets")
	count := func() (n int) {
		for _, file := range glob(t, filepath.Join(r.folder, "acme", "*.jsonl")) {
			for _, times := range lines(t, file) {
				n += times
			}
		}
		return n
	}
	delivered := func(all int64) bool {
		return r.target("one").Delivered == all && r.target("two").Delivered == all && r.target("three").Delivered == all
	}
	const rounds = 20
	for round := range rounds {
		r.say(round*10, 10)
		r.eventually(func() bool { return delivered(int64(round+1) * 10) }, "all three have written")
	}
	require.Equal(t, 3*10*rounds, count(), "and nobody over the lines of another")
	require.Greater(t, len(glob(t, filepath.Join(r.folder, "acme", "*.jsonl"))), 2)

	require.NoError(t, os.Rename(path, path+".taken"))
	r.say(400, 1)
	r.eventually(func() bool { return delivered(10*rounds + 1) }, "it is written")
	require.Equal(t, map[int]int{400: 3}, lines(t, path), "to where it is looked for")

	r.publish("route: r\nfrom: { events: [device.telemetry] }\n" + shape + "to: [ { name: one, file: { path: all.jsonl, daily: true } } ]\n")
	yesterday := time.Now().AddDate(0, 0, -1)
	r.eventually(func() bool {
		_ = os.Chtimes(path, yesterday, yesterday)
		r.say(500, 1)
		return lines(t, path)[500] > 0 && lines(t, path)[400] == 0
	}, "the file of yesterday is put aside")
}

func glob(t testing.TB, pattern string) []string {
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	return files
}

// broker is the one of the installation.
type broker struct {
	mu  sync.Mutex
	got map[string]string
}

func (b *broker) PublishMessage(_ context.Context, topic string, payload []byte, retain bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if strings.HasPrefix(topic, "deviceops/") || retain {
		return deviceops.Errorf(deviceops.EFORBIDDEN, "that is for devices")
	}
	b.got[topic] = string(payload)
	return nil
}

func TestMessagesOnTheBroker(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := &broker{got: map[string]string{}}
	r.publish(head + `  - { name: plant, mqtt: { topic: "${{ event.data.n == 2 ? 'deviceops' : 'plant' }}/${{ event.device }}" } }` + "\n")
	r.forward(func(c *forward.Config) { c.Broker = b })
	r.say(1, 2)
	r.eventually(func() bool { return r.target("plant").Delivered == 1 && r.target("plant").DeadLetters == 1 }, "one is out of bounds")
	require.JSONEq(t, `{"n": 1, "device": "k1"}`, b.got["plant/k1"])
	require.Equal(t, "that is for devices", r.letters("plant")[0].Reason)
}

// natsServer speaks as much of NATS as a publisher hears and says.
type natsServer struct {
	net.Listener
	mu      sync.Mutex
	connect string
	heads   []string
	bodies  []string
}

func startNATS(t *testing.T) *natsServer {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &natsServer{Listener: listener}
	t.Cleanup(func() { _ = s.Close() })
	go s.serve()
	return s
}

// count gives how many messages came.
func (s *natsServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.bodies)
}

func (s *natsServer) serve() {
	for {
		c, err := s.Accept()
		if err != nil {
			return
		}
		go s.talk(c)
	}
}

func (s *natsServer) talk(c net.Conn) {
	defer c.Close()
	fmt.Fprintf(c, "INFO {\"server_id\":\"x\",\"version\":\"2.10.0\",\"headers\":true,\"max_payload\":1048576}\r\n")
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		var subject string
		var head, total int
		switch {
		case strings.HasPrefix(line, "CONNECT"):
			s.set(func() { s.connect = line })
		case strings.HasPrefix(line, "PING"):
			fmt.Fprint(c, "PONG\r\n")
		case strings.HasPrefix(line, "HPUB"):
			_, _ = fmt.Sscanf(line, "HPUB %s %d %d", &subject, &head, &total)
			message := make([]byte, total+2)
			if _, err := io.ReadFull(in, message); err != nil {
				return
			}
			s.set(func() {
				s.heads = append(s.heads, subject+" "+string(message[:head]))
				s.bodies = append(s.bodies, string(message[head:total]))
			})
		}
	}
}

func (s *natsServer) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func TestMessagesOverNATS(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	server := startNATS(t)
	r.publish(head + `  - { name: bus, pubsub: { url: "nats://` + server.Addr().String() + `/fleet.said", auth: { bearer: "secret:nats" } } }` + "\n")
	r.forward(with(vault{"acme secret:nats": "token-1"}))
	r.say(0, 3)
	r.eventually(func() bool { return r.target("bus").Delivered == 3 }, "all were taken")
	server.mu.Lock()
	defer server.mu.Unlock()
	require.Contains(t, server.connect, `"auth_token":"token-1"`)
	require.Len(t, server.bodies, 3)
	require.JSONEq(t, `{"n": 2, "device": "k2"}`, server.bodies[2])
	require.True(t, strings.HasPrefix(server.heads[2], "fleet.said "))
	require.Contains(t, server.heads[2], "id: 3\r\n")
}

// BenchmarkForward measures events per second from the store to a target that
// answers at once.
func BenchmarkForward(b *testing.B) {
	const all = 20_000
	for name, target := range map[string]string{
		"list":  "http: { url: URL, batch: 500 }",
		"one":   "http: { url: URL }, parallel: 8",
		"file":  "file: { path: all.jsonl }",
		"lists": "http: { url: URL, batch: 500 }, parallel: 4",
	} {
		b.Run(name, func(b *testing.B) {
			fast := newDouble(b)
			for b.Loop() {
				r := newRig(b)
				r.publish(head + "  - { name: fast, " + strings.ReplaceAll(target, "URL", "'"+fast.URL+"'") + " }\n")
				for n := 0; n < all; n += 1000 {
					r.say(n, 1000)
				}
				begun := time.Now()
				stop := r.forward()
				r.eventually(func() bool { return r.target("fast").Delivered == all }, "all are there")
				b.ReportMetric(all/time.Since(begun).Seconds(), "events/s")
				stop()
			}
		})
	}
}
