package postgres_test

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

var pingRef = deviceops.AutomationRef{Account: "acme", Name: "ping"}

func slotOf(key string) deviceops.AutomationSlot {
	return deviceops.AutomationSlot{AutomationRef: pingRef, Key: key}
}

func TestAutomationKeysRemember(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		slots := []deviceops.AutomationSlot{slotOf("k1"), slotOf("k2"), slotOf("k3")}
		keys, err := s.LockAutomationKeys(t.Context(), slots)
		require.NoError(t, err)
		require.Equal(t, &deviceops.AutomationKey{}, keys[slots[1]], "a new key remembers nothing")
		want := &deviceops.AutomationKey{
			By:       deviceops.Window{For: time.Minute, Dedupe: time.Hour},
			Window:   deviceops.WindowState{Since: noon, Samples: []deviceops.Sample{{At: noon, Holds: true, Event: []byte(`{"device": "k1"}`), ID: 7}}},
			Runs:     deviceops.ConcurrencyState{Running: []string{"r1"}},
			Deadline: after(time.Minute),
		}
		require.NoError(t, s.SaveAutomationKeys(t.Context(), map[deviceops.AutomationSlot]*deviceops.AutomationKey{
			slots[0]: want, slots[1]: {Deadline: after(time.Hour)}, slots[2]: {},
		}, noon))
		again, err := s.LockAutomationKeys(t.Context(), slots[:1])
		require.NoError(t, err)
		require.Equal(t, want, again[slots[0]])

		due, err := s.DueAutomationKeys(t.Context(), after(2*time.Minute), 10)
		require.NoError(t, err)
		require.Len(t, due, 1)
		require.Contains(t, due, slots[0])
		found, err := s.FindAutomationKeys(t.Context(), slotOf(""), 2)
		require.NoError(t, err)
		require.Len(t, found, 2)

		require.NoError(t, s.EnterAutomationRuns(t.Context(), map[string]deviceops.AutomationSlot{"r1": slots[2]}))
		require.NoError(t, s.PruneAutomations(t.Context(), noon, after(time.Second)))
		left, err := s.FindAutomationKeys(t.Context(), slotOf(""), 10)
		require.NoError(t, err)
		require.Len(t, left, 3, "a deadline or a run keeps a key")
		_, err = s.EndAutomationRuns(t.Context(), []string{"r1"})
		require.NoError(t, err)
		require.NoError(t, s.PruneAutomations(t.Context(), noon, after(time.Second)))
		left, err = s.FindAutomationKeys(t.Context(), slotOf(""), 10)
		require.NoError(t, err)
		require.NotContains(t, left, slots[2])
	})
}

func TestOpenTicketsOfAnAutomation(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		count := func() int {
			n, err := s.OpenAutomationTickets(t.Context(), pingRef)
			require.NoError(t, err)
			return n
		}
		require.Zero(t, count())
		keys := map[deviceops.AutomationSlot]*deviceops.AutomationKey{}
		for _, key := range []string{"k1", "k2"} {
			ticket, _ := opened(t, s, key, key, noon)
			keys[slotOf(key)] = &deviceops.AutomationKey{Ticket: ticket.ID}
		}
		keys[slotOf("k3")] = &deviceops.AutomationKey{}
		other := deviceops.AutomationSlot{AutomationRef: deviceops.AutomationRef{Account: pingRef.Account, Name: "other"}, Key: "k1"}
		keys[other] = &deviceops.AutomationKey{Ticket: "ticket-k1"}
		_, err := s.LockAutomationKeys(t.Context(), slices.Collect(maps.Keys(keys)))
		require.NoError(t, err)
		require.NoError(t, s.SaveAutomationKeys(t.Context(), keys, noon))
		require.Equal(t, 2, count())
		tell(t, s, deviceops.TicketEntry{ID: "c", Ticket: "ticket-k1", Kind: deviceops.EntryClosed, At: noon, By: "user:maria"})
		require.Equal(t, 1, count(), "a person closed the other")
	})
}

func TestDueKeysThatOthersHoldAreLeftOut(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	slots := []deviceops.AutomationSlot{slotOf("k1"), slotOf("k2")}
	_, err := s.LockAutomationKeys(t.Context(), slots)
	require.NoError(t, err)
	require.NoError(t, s.SaveAutomationKeys(t.Context(), map[deviceops.AutomationSlot]*deviceops.AutomationKey{slots[0]: {Deadline: noon}, slots[1]: {Deadline: noon}}, noon))
	require.NoError(t, s.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
		_, err := tx.LockAutomationKeys(ctx, slots[:1])
		require.NoError(t, err)
		due, err := s.DueAutomationKeys(t.Context(), noon, 10)
		require.NoError(t, err)
		require.Len(t, due, 1)
		require.Contains(t, due, slots[1])
		return nil
	}))
}

func TestAutomationRunsEndOnce(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		require.NoError(t, s.EnterAutomationRuns(t.Context(), map[string]deviceops.AutomationSlot{"auto-1": slotOf("k1"), "auto-2": slotOf("k2")}))
		require.NoError(t, s.CancelAutomationRuns(t.Context(), []string{"auto-1"}, noon))
		canceling, err := s.CancelingAutomationRuns(t.Context(), after(-time.Second), noon, 10)
		require.NoError(t, err)
		require.Empty(t, canceling, "it was tried a moment ago")
		canceling, err = s.CancelingAutomationRuns(t.Context(), noon, after(time.Minute), 10)
		require.NoError(t, err)
		require.Equal(t, []string{"auto-1"}, canceling)
		canceling, err = s.CancelingAutomationRuns(t.Context(), noon, after(time.Minute), 10)
		require.NoError(t, err)
		require.Empty(t, canceling, "it is leased")
		ended, err := s.EndAutomationRuns(t.Context(), []string{"auto-1", "other"})
		require.NoError(t, err)
		require.Equal(t, map[string]deviceops.AutomationSlot{"auto-1": slotOf("k1")}, ended)
		ended, err = s.EndAutomationRuns(t.Context(), []string{"auto-1"})
		require.NoError(t, err)
		require.Empty(t, ended)
	})
}

// The revision rises with whatever changes what an account's events can start.
func TestAutomationRevision(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		last, err := s.AutomationRevision(t.Context(), "acme/shops")
		require.NoError(t, err)
		rises := func(why string, rises bool) {
			t.Helper()
			now, err := s.AutomationRevision(t.Context(), "acme/shops")
			require.NoError(t, err)
			require.Equal(t, rises, now > last, why)
			last = now
		}
		publish := func(account, kind string) {
			t.Helper()
			_, _, err := s.PublishDocument(t.Context(), deviceops.Document{Account: account, Kind: kind, Name: "ping", Hash: "h", Source: "s"})
			require.NoError(t, err)
		}
		publish("acme", deviceops.KindWorkflow)
		rises("another kind", false)
		publish("acme", deviceops.KindAutomation)
		rises("published above", true)
		publish("other", deviceops.KindAutomation)
		rises("published elsewhere", false)
		publish("acme", deviceops.KindAutomation)
		rises("published as it is", false)
		require.NoError(t, s.RetireDocument(t.Context(), "acme", deviceops.KindAutomation, "ping"))
		rises("retired", true)
		publish("acme", deviceops.KindAutomation)
		rises("shown again", true)

		states, err := s.LockAutomationStates(t.Context(), []deviceops.AutomationRef{pingRef})
		require.NoError(t, err)
		require.Equal(t, &deviceops.AutomationState{AutomationRef: pingRef}, states[pingRef])
		braked := deviceops.AutomationState{AutomationRef: pingRef, Brake: deviceops.LimitState{Starts: []time.Time{noon}, Refused: 2}}
		require.NoError(t, s.SaveAutomationStates(t.Context(), []deviceops.AutomationState{braked}))
		rises("a start was counted", false)
		braked.Disabled, braked.ChangedAt, braked.ChangedBy, braked.Reason = true, noon, "user:maria", "too many"
		require.NoError(t, s.SaveAutomationStates(t.Context(), []deviceops.AutomationState{braked}))
		rises("disabled", true)
		seen, err := s.ListAutomationStates(t.Context(), "acme/shops")
		require.NoError(t, err)
		require.Equal(t, []deviceops.AutomationState{braked}, seen)
	})
}

func TestAutomationDecisions(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		first := deviceops.AutomationDecision{
			AutomationRef: pingRef, Version: 2, Key: "k1", Event: 41, Device: "k1", At: noon, DecidedAt: after(time.Second), Outcome: deviceops.OutcomeHolding,
			Since: noon, Until: after(time.Minute), Detail: "odd\x00",
		}
		second := deviceops.AutomationDecision{AutomationRef: pingRef, Version: 2, Event: 42, At: noon, DecidedAt: after(time.Hour), Outcome: deviceops.OutcomeStarted, Run: "auto-1"}
		require.NoError(t, s.AppendAutomationDecisions(t.Context(), []deviceops.AutomationDecision{first, second}))
		found, err := s.ListAutomationDecisions(t.Context(), deviceops.AutomationDecisionFilter{AutomationRef: pingRef})
		require.NoError(t, err)
		require.Len(t, found, 2)
		require.Equal(t, "auto-1", found[0].Run, "the newest first")
		first.ID, first.Detail = found[1].ID, "odd\ufffd"
		require.Equal(t, first, found[1])
		found, err = s.ListAutomationDecisions(t.Context(), deviceops.AutomationDecisionFilter{Event: 42})
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.NoError(t, s.PruneAutomations(t.Context(), after(time.Minute), noon))
		found, err = s.ListAutomationDecisions(t.Context(), deviceops.AutomationDecisionFilter{})
		require.NoError(t, err)
		require.Len(t, found, 1)
	})
}

func TestEventsGetTheirIDs(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		events := []deviceops.Event{event("k1", "a", noon), event("k1", "b", noon), event("k1", "c", after(-48*time.Hour))}
		require.NoError(t, s.AppendEvents(t.Context(), events))
		for _, e := range events {
			found, err := s.FindEvent(t.Context(), e.ID)
			require.NoError(t, err)
			require.Equal(t, e.Type, found.Type)
		}
		_, err := s.FindEvent(t.Context(), events[2].ID+1)
		require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))
	})
}
