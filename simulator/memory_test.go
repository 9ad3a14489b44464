package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/protocol"
)

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

func TestJournalKeepsTheLast64AndWhatRuns(t *testing.T) {
	t.Parallel()
	var m memory
	running := &entry{ID: "running", Attempt: 1}
	m.note(running)
	m.note(&entry{ID: "canceled-early"})
	for i := range 100 {
		m.note(&entry{ID: fmt.Sprint(i), Attempt: 1, Answer: &protocol.Result{}})
	}
	require.Len(t, m.Journal, journalSize)
	require.Same(t, running, m.find("running"))
	require.Nil(t, m.find("canceled-early"))
	require.Nil(t, m.find("36"))
	require.NotNil(t, m.find("37"))
	require.NotNil(t, m.find("99"))
}

func TestOutboxTrimsByBoot(t *testing.T) {
	t.Parallel()
	m := memory{Outbox: []*kept{{Boot: "a", Seq: 8}, {Boot: "a", Seq: 9}, {Boot: "b", Seq: 1}, {Boot: "b", Seq: 2}}}
	require.Equal(t, int64(1), m.oldest("b", 3))
	require.True(t, m.trim("b", 1))
	require.False(t, m.trim("c", 9))
	require.Equal(t, int64(2), m.oldest("b", 3))
	require.True(t, m.trim("b", 7))
	require.Equal(t, int64(3), m.oldest("b", 3))
	require.Len(t, m.Outbox, 2)
}

func TestMemoryIsKeptInAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fresh, err := loadMemory(dir, "d", map[string]string{"os": "1"})
	require.NoError(t, err)
	fresh.Software["os"] = "2"
	fresh.Configuration = protocol.Object{"big": int64(9007199254740993)}
	fresh.Outbox = []*kept{{Leaf: protocol.LeafEvent, Boot: "b", Seq: 1, Payload: json.RawMessage(`{"type":"x"}`)}}
	fresh.Journal = []*entry{{ID: "c", Attempt: 2, Answer: &protocol.Result{Status: protocol.ResultSucceeded}}}
	require.NoError(t, fresh.save(dir, "d"))
	again, err := loadMemory(dir, "d", map[string]string{"os": "1"})
	require.NoError(t, err)
	require.Equal(t, fresh, again)
	require.NoError(t, fresh.save("", "d"), "without a folder nothing is kept")
}

func TestSchedulerFiresInOrder(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	s := &Simulator{timers: newScheduler(), ready: make(chan *device, 1)}
	d := &device{fleet: s}
	fired := make(chan int, 4)
	for _, n := range []int{3, 1, 2} {
		s.timers.after(time.Duration(n)*20*time.Millisecond, d, func() { fired <- n })
	}
	s.spawn(func() { s.timers.run(ctx) })
	s.spawn(func() { s.work(ctx) })
	s.timers.after(0, d, func() { fired <- 0 })
	for want := range 4 {
		require.Equal(t, want, <-fired)
	}
	cancel()
	s.running.Wait()
}

func TestMailboxHasOneWorkerAtATime(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	s := &Simulator{ready: make(chan *device, 1)}
	d := &device{fleet: s}
	for range 8 {
		s.spawn(func() { s.work(ctx) })
	}
	const posts = 2000
	order := make([]int, 0, posts) // no lock: the race detector proves the point
	done := make(chan struct{})
	for i := range posts {
		d.post(func() {
			order = append(order, i)
			if len(order) == posts {
				close(done)
			}
		})
	}
	<-done
	for i, n := range order {
		require.Equal(t, i, n)
	}
	cancel()
	s.running.Wait()
}
