//go:build !lean

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/cluster"
)

const (
	// frozenFor is longer than a lease of a lane: they are given up meanwhile.
	frozenFor = 20 * time.Second
	// frozenGrowth is how much memory the engine and its broker may take besides
	// while they cannot store anything: a few thousand messages, and what leases
	// and retries leave behind until the next collection.
	frozenGrowth = 128 << 20
	// flooders are connections that publish without any bound but the broker's
	// confirmations.
	flooders = 4
)

// flood publishes events of one device as fast as the broker confirms them.
type flood struct {
	said      atomic.Int64
	confirmed atomic.Int64
	stop      atomic.Bool
	done      chan error
}

func startFlood(t *testing.T, broker string) *flood {
	f := &flood{done: make(chan error, flooders)}
	for n := range flooders {
		options := mqtt.NewClientOptions().AddBroker(broker).SetClientID(fmt.Sprintf("flooder-%d", n)).SetAutoReconnect(false)
		client := mqtt.NewClient(options)
		token := client.Connect()
		token.Wait()
		require.NoError(t, token.Error())
		t.Cleanup(func() { client.Disconnect(100) })
		go func() { f.done <- f.publish(client) }()
	}
	return f
}

// publish keeps a hundred messages under way, as a busy gateway would.
func (f *flood) publish(client mqtt.Client) error {
	under := make(chan mqtt.Token, 100)
	settled := make(chan error, 1)
	go func() {
		for token := range under {
			token.Wait()
			if token.Error() != nil {
				settled <- token.Error()
				return
			}
			f.confirmed.Add(1)
		}
		settled <- nil
	}()
	for !f.stop.Load() {
		seq := f.said.Add(1)
		under <- client.Publish("deviceops/v1/k1/up/event", 1, false, fmt.Sprintf(`{"type":"flood.tick","boot":"b1","seq":%d,"data":{"n":%d}}`, seq, seq))
	}
	close(under)
	return <-settled
}

// signalAll sends a signal to processes, some of which may have ended.
func signalAll(pids []int, s syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, s)
	}
}

// resident gives the bytes of memory that a process has.
func resident(t *testing.T, pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	require.NoError(t, err)
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	require.NoError(t, err)
	return pages * int64(os.Getpagesize())
}

// PostgreSQL freezes under load, for longer than leases last. Publishers are held
// back and memory stays; afterwards everything that was confirmed is stored, once.
func TestAFrozenDatabaseHoldsPublishersBack(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.startStack("--parts", "temporal,postgres")
	engine := h.startStack("--parts", "broker,api,gateway,worker")
	rows := filepath.Join(h.dir, "k1.ndjson")
	require.NoError(t, os.WriteFile(rows, []byte(`{"id":"k1","profile":"kiosk","serial":"SN-1"}`+"\n"), 0o600))
	h.must("apply", "-f", "../../examples/kiosk.yaml", "--reason", "test")
	h.must("devices", "import", rows, "--reason", "test")

	f := startFlood(t, h.broker())
	require.Eventually(t, func() bool { return f.confirmed.Load() > 5000 }, time.Minute, 10*time.Millisecond, "events were to be taken")
	before := resident(t, engine.cmd.Process.Pid)
	postmaster := postmasterOf(t, h.data)
	frozen := append([]int{postmaster}, descendants(t, postmaster)...)
	signalAll(frozen, syscall.SIGSTOP)
	defer signalAll(frozen, syscall.SIGCONT)
	thaw := time.Now().Add(frozenFor)
	var last int64
	require.Eventually(t, func() bool {
		now := f.confirmed.Load()
		still := now == last
		last = now
		return still
	}, frozenFor/2, time.Second, "publishers were to be held back")
	var most int64
	for time.Now().Before(thaw) {
		most = max(most, resident(t, engine.cmd.Process.Pid))
		require.Equal(t, last, f.confirmed.Load(), "nothing is confirmed that has no place")
		time.Sleep(200 * time.Millisecond) // what is tested takes its time
	}
	signalAll(frozen, syscall.SIGCONT)
	t.Logf("%d events confirmed before, memory %d MB before, %d MB at most", last, before>>20, most>>20)
	require.Less(t, most-before, int64(frozenGrowth))

	require.Eventually(t, func() bool { return f.confirmed.Load() > last+2000 }, time.Minute, 50*time.Millisecond, "publishers were to go on")
	f.stop.Store(true)
	for range flooders {
		require.NoError(t, <-f.done)
	}
	require.Equal(t, f.said.Load(), f.confirmed.Load())
	requireOnce(t, h, f.said.Load())
}

// requireOnce waits until the events 1..n of the flood are stored, and checks that
// each is once.
func requireOnce(t *testing.T, h home, n int64) {
	attached, err := cluster.Attach(t.Context(), filepath.Join(h.data, "postgres"))
	require.NoError(t, err)
	database, err := pgx.Connect(t.Context(), attached.URL("deviceops"))
	require.NoError(t, err)
	defer database.Close(context.WithoutCancel(t.Context()))
	var events, seqs, highest int64
	require.Eventually(t, func() bool {
		require.NoError(t, database.QueryRow(t.Context(),
			`select count(*), count(distinct seq), coalesce(max(seq), 0) from events where type = 'flood.tick'`).Scan(&events, &seqs, &highest))
		return seqs >= n
	}, time.Minute, 200*time.Millisecond, "everything that was confirmed is stored")
	require.Equal(t, []int64{n, n, n}, []int64{events, seqs, highest})
}
