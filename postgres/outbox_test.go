package postgres_test

import (
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

func workflowIDs(starts []deviceops.Start) []string {
	ids := make([]string, len(starts))
	for i, s := range starts {
		ids[i] = s.WorkflowID
	}
	return ids
}

func TestStarts(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		pending := func(before, now time.Time, limit int) []deviceops.Start {
			t.Helper()
			found, err := s.PendingStarts(t.Context(), before, now, limit)
			require.NoError(t, err)
			return found
		}
		input := map[string]any{"device": "k1", "n": int64(7)}
		require.NoError(t, s.RequestStarts(t.Context(), []deviceops.Start{
			{WorkflowID: "w1", Type: "Provision", Input: input, Device: "k1"}, {WorkflowID: "w2", Type: "Provision"},
			{WorkflowID: "w2", Type: "Again"},
		}, noon))
		require.NoError(t, s.RequestStarts(t.Context(), []deviceops.Start{{WorkflowID: "w1", Type: "Other"}, {WorkflowID: "w3"}}, after(time.Second)))
		require.NoError(t, s.RequestStarts(t.Context(), nil, noon))

		require.Empty(t, pending(noon.Add(-1000), after(time.Minute), 10))
		first := pending(noon, after(time.Minute), 1)
		require.Len(t, first, 1)
		require.Equal(t, "Provision", first[0].Type)
		require.Equal(t, "k1", first[0].Device)
		require.JSONEq(t, `{"device":"k1","n":7}`, string(first[0].Input.(json.RawMessage)))

		second := pending(after(time.Second), after(time.Minute), 0)
		require.Equal(t, []string{"w2", "w3"}, workflowIDs(second))
		require.Nil(t, second[0].Input)
		require.Empty(t, pending(after(time.Hour), after(time.Minute+deviceops.PublishLease-time.Second), 10))
		require.NoError(t, s.DoneStarts(t.Context(), []string{"w1", "w2", "unknown"}))
		require.NoError(t, s.DoneStarts(t.Context(), nil))
		require.Equal(t, []string{"w3"}, workflowIDs(pending(after(time.Hour), after(time.Minute+deviceops.PublishLease), 10)))
	})
}

func TestPendingStartsAreLeasedOnce(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	const total = 200
	requests := make([]deviceops.Start, total)
	for i, id := range names("w", total) {
		requests[i].WorkflowID = id
	}
	require.NoError(t, s.RequestStarts(t.Context(), requests, noon))
	var mutex sync.Mutex
	var group sync.WaitGroup
	var leased []string
	for range 4 {
		group.Go(func() {
			for range total / 10 {
				found, err := s.PendingStarts(t.Context(), noon, noon, 10)
				if err != nil {
					t.Error(err)
				}
				mutex.Lock()
				leased = append(leased, workflowIDs(found)...)
				mutex.Unlock()
			}
		})
	}
	group.Wait()
	require.ElementsMatch(t, names("w", total), leased)
}

func TestHoldLanes(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		const ttl = 15 * time.Second
		hold := func(holder string, second int, want ...int) {
			t.Helper()
			held, err := s.HoldLanes(t.Context(), holder, 8, after(time.Duration(second)*time.Second), ttl)
			require.NoError(t, err)
			require.Equal(t, append([]int{}, want...), held, "%s at %d", holder, second)
		}
		hold("a", 0, 0, 1, 2, 3, 4, 5, 6, 7)
		hold("b", 1)                          // all are taken still
		hold("a", 5, 0, 1, 2, 3)              // and now half is given up
		hold("b", 6, 4, 5, 6, 7)              //
		hold("c", 7)                          // a third one comes
		hold("a", 8, 0, 1, 2)                 //
		hold("b", 9, 4, 5, 6)                 //
		hold("c", 10, 3, 7)                   // the fair share is rounded up, so somebody has less
		hold("a", 20, 0, 1, 2)                // b and c are silent from here
		hold("a", 23, 0, 1, 2)                // c lives until 25
		hold("a", 26, 0, 1, 2, 3, 4, 5, 6, 7) // both have lapsed
		hold("b", 27)                         // back again
		hold("a", 28, 0, 1, 2, 3)             //
		require.NoError(t, s.ReleaseLanes(t.Context(), "a"))
		hold("b", 29, 0, 1, 2, 3, 4, 5, 6, 7)
		require.NoError(t, s.ReleaseLanes(t.Context(), "nobody"))
	})
}

func TestHoldLanesKeepsItsOwnLapsedLanes(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	for _, now := range []time.Time{noon, after(time.Hour)} {
		held, err := s.HoldLanes(t.Context(), "a", 3, now, time.Second)
		require.NoError(t, err)
		require.Equal(t, []int{0, 1, 2}, held)
	}
	held, err := s.HoldLanes(t.Context(), "a", 2, after(time.Hour), time.Second) // fewer lanes than before
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, held)
}

// However calls mix, no lane has two holders, and all find theirs.
func TestHoldLanesAtTheSameTime(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	const total = 16
	holders := []string{"a", "b", "c"}
	held := make([][]int, len(holders))
	for range 3 {
		errs := make([]error, len(holders))
		var group sync.WaitGroup
		for i, holder := range holders {
			group.Go(func() { held[i], errs[i] = s.HoldLanes(t.Context(), holder, total, noon, time.Minute) })
		}
		group.Wait()
		require.NoError(t, errors.Join(errs...))
	}
	all := map[int]bool{}
	for i := range held {
		require.LessOrEqual(t, len(held[i]), 6)
		for _, lane := range held[i] {
			require.False(t, all[lane], "lane %d is held twice", lane)
			all[lane] = true
		}
	}
	require.Len(t, all, total)
}
