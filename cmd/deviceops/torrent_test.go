//go:build !lean

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/cluster"
	"github.com/deviceops/deviceops/protocol"
)

// torrentDevices names how many devices the crash test of events has, in place of
// as many as suit every run of all tests.
const torrentDevices = "DEVICEOPS_TEST_TORRENT_DEVICES"

const (
	torrentKills = 20  // of the engine and of the broker, by turns
	torrentMatch = 100 // one event of so many starts a run
	torrentCrowd = 25  // devices that share a connection
	torrentHolds = 100 // events that a device may hold without an ack

	speakEvery  = 100 * time.Millisecond
	helloAfter  = 5 * time.Second  // without a welcome; the protocol has 30 s
	repeatAfter = 30 * time.Second // without an ack
)

const torrentYAML = `workflow: hit
version: 1
inputs: { n: integer }
outputs: { n: "${{ inputs.n }}" }
steps: [ { set: { n: "${{ inputs.n }}" } } ]
---
automation: hit
trigger: { event: torrent.tick, where: event.data.n %% %d == 0 }
concurrency: parallel
run: hit@1
with: { n: "${{ event.data.n }}" }
`

// speaker is a device that tells of events, by the rules of the protocol: it keeps
// each until it is acknowledged, and sends what it keeps again after a welcome, and
// when no ack has come for long. Its events follow from their numbers.
type speaker struct {
	number int
	id     string
	boot   string

	mu       sync.Mutex
	last     int64     // event that was said
	acked    int64     // by acks and welcomes
	moved    time.Time // when acked last rose or all was sent again
	greeted  time.Time // when it said hello on the present connection
	welcomed bool
}

// tick gives the number of an event, unique among all devices.
func (s *speaker) tick(seq int64) int64 { return int64(s.number)*1_000_000 + seq }

// confirm notes what is stored and gives what has to be sent again.
func (s *speaker) confirm(seq int64, welcome bool) (from, to int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq > s.acked {
		s.acked, s.moved = seq, time.Now()
	}
	if !welcome {
		return 1, 0
	}
	s.welcomed, s.moved = true, time.Now()
	return s.acked + 1, s.last
}

// due says what the device has to do: hello, or events from..to. A new one is said
// only while the torrent flows.
func (s *speaker) due(now time.Time, flows bool) (hello bool, from, to int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.welcomed:
		if hello = now.Sub(s.greeted) >= helloAfter; hello {
			s.greeted = now
		}
		return hello, 1, 0
	case s.last > s.acked && now.Sub(s.moved) >= repeatAfter:
		s.moved = now
		return false, s.acked + 1, s.last
	case !flows:
		return false, 1, 0
	}
	from = s.last + 1
	s.last = min(from, max(s.last, s.acked+torrentHolds))
	return false, from, s.last
}

// disconnected makes the device say hello at the next connection.
func (s *speaker) disconnected() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.welcomed, s.greeted = false, time.Time{}
}

func (s *speaker) state() (last, acked int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, s.acked
}

// torrent is a stack and the devices that speak to it.
type torrent struct {
	home
	chance   *rand.Rand
	broker   string
	database *pgx.Conn
	speakers []*speaker
	flows    atomic.Bool
	sent     atomic.Int64 // messages, repetitions included
	parts    map[string]*process
}

func newTorrent(t *testing.T) *torrent {
	f := &torrent{home: newHome(t), chance: moments(t), parts: map[string]*process{}}
	f.broker = f.home.broker()
	devices := 100
	if text := os.Getenv(torrentDevices); text != "" {
		var err error
		devices, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	for n := range devices {
		f.speakers = append(f.speakers, &speaker{number: n, id: fmt.Sprintf("speaker-%05d", n), boot: fmt.Sprintf("b-%d", n)})
	}
	f.startStack("--parts", "temporal,postgres")
	f.start("broker")
	f.start("engine")
	f.register()
	return f
}

func (f *torrent) start(part string) {
	if part == "broker" {
		f.parts[part] = f.startMosquitto(f.port("broker"))
		return
	}
	f.parts[part] = f.startStack("--broker", f.broker, "--parts", "api,gateway,worker")
}

// register makes the devices active without a provisioning, which is not what is
// tested.
func (f *torrent) register() {
	var rows strings.Builder
	for _, s := range f.speakers {
		fmt.Fprintf(&rows, `{"id":%q,"profile":"kiosk","serial":%q}`+"\n", s.id, "SN-"+s.id)
	}
	file := filepath.Join(f.dir, "speakers.ndjson")
	require.NoError(f.t, os.WriteFile(file, []byte(rows.String()), 0o600))
	f.must("apply", "-f", "../../examples/kiosk.yaml", "--reason", "test")
	f.must("devices", "import", file, "--reason", "test")
	f.apply("hit", fmt.Sprintf(torrentYAML, torrentMatch))
	attached, err := cluster.Attach(f.t.Context(), filepath.Join(f.data, "postgres"))
	require.NoError(f.t, err)
	f.database, err = pgx.Connect(f.t.Context(), attached.URL("deviceops"))
	require.NoError(f.t, err)
	f.t.Cleanup(func() { _ = f.database.Close(context.Background()) })
	_, err = f.database.Exec(f.t.Context(), `update devices set state = 'active'`)
	require.NoError(f.t, err)
}

// flow lets all devices speak until the function that it gives is called.
func (f *torrent) flow() (stop func()) {
	ctx, cancel := context.WithCancel(f.t.Context())
	f.flows.Store(true)
	var crowds sync.WaitGroup
	for first := 0; first < len(f.speakers); first += torrentCrowd {
		c := &crowd{torrent: f, name: fmt.Sprintf("crowd-%d", first), byID: map[string]*speaker{}}
		for _, s := range f.speakers[first:min(first+torrentCrowd, len(f.speakers))] {
			c.byID[s.id] = s
		}
		crowds.Go(func() { c.run(ctx) })
	}
	return func() {
		cancel()
		crowds.Wait()
	}
}

// crowd are devices that share a connection.
type crowd struct {
	*torrent
	name string
	byID map[string]*speaker
}

// run connects, again and again.
func (c *crowd) run(ctx context.Context) {
	for ctx.Err() == nil {
		lost := make(chan struct{})
		options := mqtt.NewClientOptions().AddBroker(c.broker).SetClientID(c.name).SetCleanSession(true).SetAutoReconnect(false).
			SetConnectTimeout(5 * time.Second).SetOrderMatters(false).
			SetConnectionLostHandler(func(mqtt.Client, error) { close(lost) }).SetDefaultPublishHandler(c.hear)
		client := mqtt.NewClient(options)
		if token := client.Connect(); token.Wait() && token.Error() == nil {
			c.speak(ctx, client, lost)
			client.Disconnect(100)
		}
		for _, s := range c.byID {
			s.disconnected()
		}
		select {
		case <-time.After(50*time.Millisecond + rand.N(300*time.Millisecond)): // so that they do not come back all at once
		case <-ctx.Done():
		}
	}
}

func (c *crowd) speak(ctx context.Context, client mqtt.Client, lost <-chan struct{}) {
	filters := map[string]byte{}
	for id := range c.byID {
		filters[protocol.Topics{}.Prefix()+"/"+id+"/down/+"] = 1
	}
	if token := client.SubscribeMultiple(filters, nil); !token.WaitTimeout(5*time.Second) || token.Error() != nil {
		return
	}
	ticker := time.NewTicker(speakEvery)
	defer ticker.Stop()
	for {
		for _, s := range c.byID {
			hello, from, to := s.due(time.Now(), c.flows.Load())
			if hello {
				c.publish(client, s, protocol.LeafHello, map[string]any{
					"boot": s.boot, "connection": c.name, "profile": "kiosk", "serial": "SN-" + s.id, "software": map[string]string{"os": "2.3.0"},
				})
			}
			c.say(client, s, from, to)
		}
		select {
		case <-ticker.C:
		case <-lost:
			return
		case <-ctx.Done():
			return
		}
	}
}

// say tells of events from..to.
func (c *crowd) say(client mqtt.Client, s *speaker, from, to int64) {
	for seq := from; seq <= to && client.IsConnectionOpen(); seq++ {
		c.sent.Add(1)
		c.publish(client, s, protocol.LeafEvent, map[string]any{"type": "torrent.tick", "boot": s.boot, "seq": seq, "data": map[string]any{"n": s.tick(seq)}})
	}
}

// publish does not wait: what gets lost is kept by the speaker.
func (c *crowd) publish(client mqtt.Client, s *speaker, leaf protocol.Leaf, body map[string]any) {
	payload, err := json.Marshal(body)
	if err != nil {
		panic(err) // maps of plain values
	}
	client.Publish(protocol.Topics{}.Up(s.id, leaf), 1, false, payload)
}

// hear takes acks and welcomes.
func (c *crowd) hear(client mqtt.Client, m mqtt.Message) {
	address, err := protocol.Topics{}.Parse(m.Topic())
	s := c.byID[address.Device]
	var told struct {
		Boot string
		Seq  int64
	}
	if err != nil || s == nil || json.Unmarshal(m.Payload(), &told) != nil || told.Boot != s.boot {
		return
	}
	if address.Leaf == protocol.LeafAck || address.Leaf == protocol.LeafWelcome {
		from, to := s.confirm(told.Seq, address.Leaf == protocol.LeafWelcome)
		c.say(client, s, from, to)
	}
}

// requireStored checks that of each device the events 1..upTo are stored, each of
// them once.
func (f *torrent) requireStored(upTo []int64) {
	ids := make([]string, len(f.speakers))
	for i, s := range f.speakers {
		ids[i] = s.id
	}
	rows, err := f.database.Query(f.t.Context(), `
		select x.device || ': ' || e.events || ' events, ' || e.seqs || ' numbers, of ' || x.up_to
		from unnest($1::text[], $2::bigint[]) as x(device, up_to)
		cross join lateral (
			select count(*) as events, count(distinct (boot, seq)) as seqs from events e
			where e.device = x.device and e.type = 'torrent.tick' and e.seq between 1 and x.up_to) e
		where e.events <> x.up_to or e.seqs <> x.up_to`, ids, upTo)
	require.NoError(f.t, err)
	wrong, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(f.t, err)
	require.Empty(f.t, wrong)
}

// stored gives how many events are stored.
func (f *torrent) stored() (n int64) {
	require.NoError(f.t, f.database.QueryRow(f.t.Context(), `select count(*) from events where type = 'torrent.tick'`).Scan(&n))
	return n
}

// awaitMore waits until more than n events are stored: those that come next die in
// the middle of work.
func (f *torrent) awaitMore(n int64) {
	require.Eventually(f.t, func() bool { return f.stored() > n }, time.Minute, 20*time.Millisecond, "events were to be stored again")
}

// said gives the last event of each device, and confirmed the last one that it was
// told is stored.
func (f *torrent) said() (last, confirmed []int64, total int64) {
	for _, s := range f.speakers {
		l, a := s.state()
		last, confirmed, total = append(last, l), append(confirmed, a), total+l
	}
	return last, confirmed, total
}

// matched gives the events that start a run.
func (f *torrent) matched() map[int64]int {
	all := map[int64]int{}
	for _, s := range f.speakers {
		for seq := int64(1); seq <= s.last; seq++ {
			if s.tick(seq)%torrentMatch == 0 {
				all[s.tick(seq)] = 1
			}
		}
	}
	return all
}

// runs gives how many good runs there are for each event, and how many runs in
// all.
func (f *torrent) runs() (good map[int64]int, all int) {
	rows, err := f.database.Query(f.t.Context(), `select (inputs->>'n')::bigint, status = 'succeeded' from runs where workflow = 'hit'`)
	require.NoError(f.t, err)
	good = map[int64]int{}
	var n int64
	var succeeded bool
	_, err = pgx.ForEachRow(rows, []any{&n, &succeeded}, func() error {
		if all++; succeeded {
			good[n]++
		}
		return nil
	})
	require.NoError(f.t, err)
	return good, all
}

// The engine and the broker are killed by turns, at random moments, while devices
// say as many events as they may. Whatever was acknowledged is stored, once, and in
// the end everything that was said is; what matched has run once.
func TestKillTheEngineAndTheBrokerUnderATorrentOfEvents(t *testing.T) {
	t.Parallel()
	f := newTorrent(t)
	stop := f.flow()
	defer stop()
	for kill := range torrentKills {
		part := []string{"engine", "broker"}[kill%2]
		f.awaitMore(f.stored())
		time.Sleep(time.Duration(f.chance.Int64N(int64(time.Second)))) // the moment is what is tested
		_, confirmed, total := f.said()
		f.parts[part].kill()
		t.Logf("kill -9 of the %s, %d of %d, with %d events said and %d stored", part, kill+1, torrentKills, total, f.stored())
		f.start(part)
		f.requireStored(confirmed)
	}
	f.flows.Store(false)
	require.Eventually(t, func() bool {
		last, confirmed, _ := f.said()
		return fmt.Sprint(last) == fmt.Sprint(confirmed)
	}, 5*time.Minute, 100*time.Millisecond, "all events were to be acknowledged")
	stop()
	last, _, total := f.said()
	f.requireStored(last)
	require.Equal(t, total, f.stored())
	want := f.matched()
	require.Eventually(t, func() bool { good, _ := f.runs(); return len(good) >= len(want) }, 3*time.Minute, 200*time.Millisecond, "each event that matches was to run")
	good, all := f.runs()
	require.Equal(t, want, good)
	require.Equal(t, len(want), all)
	t.Logf("%d events in %d messages, %d runs", total, f.sent.Load(), len(want))
}
