package activities

import (
	"context"
	"slices"
	"time"

	"github.com/deviceops/deviceops"
)

// EmitInput is an event that a run makes.
type EmitInput struct {
	ID       string         `json:"id"` // of the effect: an event of the same id is stored once
	Account  string         `json:"account"`
	Device   string         `json:"device,omitempty"`
	Type     string         `json:"type"`
	Severity string         `json:"severity"`
	Data     map[string]any `json:"data,omitempty"`
	At       time.Time      `json:"at"`
}

// Emit stores an event, once for each id.
func (a *Runs) Emit(ctx context.Context, in EmitInput) error {
	now := a.deps.now()
	data, err := deviceops.WholeMap(ctx, a.deps.Store, in.Account, in.Data, maxEmitted)
	if err != nil {
		return Failure(err)
	}
	return Failure(a.deps.appendOnce(ctx, deviceops.SeqKey{Device: seqsOfRuns, Boot: in.ID, Seq: seqEmitted}, deviceops.Event{
		Account: in.Account, Device: in.Device, Type: in.Type, Severity: in.Severity, Data: data, At: in.At, ReceivedAt: now,
	}))
}

// Events of runs are told from those that were stored before as those of devices
// are: by a sequence of their own, whose boot is the id of the step's effect.
const (
	seqsOfRuns = "run"
	seqEmitted = 1 // by emit
	seqTold    = 2 // by an action
)

// appendOnce stores an event unless one of its key is stored.
func (d Deps) appendOnce(ctx context.Context, key deviceops.SeqKey, e deviceops.Event) error {
	return d.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		fresh, err := tx.ClaimSeqs(ctx, []deviceops.SeqKey{key}, e.ReceivedAt)
		if err != nil || !fresh[0] {
			return err
		}
		return tx.AppendEvents(ctx, []deviceops.Event{e})
	})
}

// WatchInput asks for events that came in since a time.
type WatchInput struct {
	Account string    `json:"account"`
	Device  string    `json:"device,omitempty"` // "": any of the account
	Type    string    `json:"type"`
	Since   time.Time `json:"since"`
	After   int64     `json:"after,omitempty"` // all up to this id were looked at
	Seen    []int64   `json:"seen,omitempty"`  // and these above it
}

// WatchOutput holds events in the order of their ids, and what to ask with next.
type WatchOutput struct {
	Events []deviceops.Event `json:"events"`
	After  int64             `json:"after"`
	Seen   []int64           `json:"seen,omitempty"`
}

const (
	// watchBatch is how many events are looked at at once.
	watchBatch = 100
	// lateCommits is how long an event may come in after one with a higher id:
	// ids are given out before the commit.
	lateCommits = 10 * time.Second
)

// Watch gives the events that were not looked at yet. It fails with EUNAVAILABLE
// when there are none, so that Temporal runs it again; nothing is held until
// then.
func (a *Runs) Watch(ctx context.Context, in WatchInput) (WatchOutput, error) {
	after := in.After
	if after == 0 {
		after = -1 // from the first on
	}
	events, err := a.deps.Store.ListEvents(ctx, deviceops.EventFilter{
		Account: in.Account, Device: in.Device, Type: in.Type, Since: in.Since, After: after, Limit: watchBatch + len(in.Seen),
	})
	if err != nil {
		return WatchOutput{}, Failure(err)
	}
	out := sift(in, atOnce(events), a.deps.now())
	if out.Events, err = a.slimEvents(ctx, out.Events); err != nil {
		return WatchOutput{}, Failure(err)
	}
	if len(out.Events) == 0 {
		return out, notYet("no event %s came in yet", in.Type)
	}
	return out, nil
}

// sift drops the events that were looked at. Those that are recent are named
// one by one, since others with lower ids may still come in.
func sift(in WatchInput, events []deviceops.Event, now time.Time) WatchOutput {
	out := WatchOutput{After: in.After}
	for _, e := range events {
		if !slices.Contains(in.Seen, e.ID) {
			out.Events = append(out.Events, e)
		}
		if len(out.Seen) == 0 && now.Sub(e.ReceivedAt) > lateCommits {
			out.After = e.ID
		} else {
			out.Seen = append(out.Seen, e.ID)
		}
	}
	return out
}
