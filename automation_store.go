package deviceops

import (
	"context"
	"time"
)

// AutomationStore is a Store in which automations hear every event that is stored,
// whoever says it, and every run that ends: what follows is decided at the end of
// the same transaction.
type AutomationStore struct {
	Store
	Automations *Automations

	// Do takes what is to be done after a commit. It must not wait long; what it
	// does not do is the sweeper's.
	Do func(AutomationEffects)
}

// InTx implements Store.
func (s AutomationStore) InTx(ctx context.Context, f func(ctx context.Context, tx Tx) error) error {
	var effects AutomationEffects
	err := s.Store.InTx(ctx, func(ctx context.Context, tx Tx) error {
		l := &listeningTx{Tx: tx}
		if err := f(ctx, l); err != nil {
			return err
		}
		var err error
		effects, err = s.settle(ctx, tx, l)
		effects.Starts = append(effects.Starts, l.starts...)
		return err
	})
	if err == nil && !effects.Empty() && s.Do != nil {
		s.Do(effects)
	}
	return err
}

// settle decides what follows from a transaction. It comes last, so that keys are
// locked after everything else.
func (s AutomationStore) settle(ctx context.Context, tx Tx, l *listeningTx) (AutomationEffects, error) {
	if err := recoverOnline(ctx, l, l.said, s.Automations.Now()); err != nil {
		return AutomationEffects{}, err
	}
	freed, err := s.Automations.Ended(ctx, tx, l.ended)
	if err != nil || len(l.said) == 0 {
		return freed, err
	}
	effects, err := s.Automations.Hear(ctx, tx, l.said)
	effects.Starts = append(freed.Starts, effects.Starts...)
	effects.Cancels = append(freed.Cancels, effects.Cancels...)
	return effects, err
}

// AppendEvents implements Events.
func (s AutomationStore) AppendEvents(ctx context.Context, events []Event) error {
	return s.InTx(ctx, func(ctx context.Context, tx Tx) error { return tx.AppendEvents(ctx, events) })
}

// SaveRun implements Runs.
func (s AutomationStore) SaveRun(ctx context.Context, r Run) error {
	if !r.Status.Ended() {
		return s.Store.SaveRun(ctx, r)
	}
	return s.InTx(ctx, func(ctx context.Context, tx Tx) error { return tx.SaveRun(ctx, r) })
}

// Tick lets windows decide whose time has come, and gives how many they were.
func (s AutomationStore) Tick(ctx context.Context, limit int) (n int, err error) {
	var effects AutomationEffects
	err = s.Store.InTx(ctx, func(ctx context.Context, tx Tx) (err error) {
		n, effects, err = s.Automations.Tick(ctx, tx, limit)
		return err
	})
	if err == nil && !effects.Empty() && s.Do != nil {
		s.Do(effects)
	}
	return n, err
}

// listeningTx notes what happens in a transaction that automations care about.
type listeningTx struct {
	Tx
	said   []Event
	ended  []string // runs
	starts []Start  // of workflows that tell of tickets; others are begun by who asks
}

func (l *listeningTx) RequestStarts(ctx context.Context, requests []Start, now time.Time) error {
	for _, r := range requests {
		if r.Type == TicketWorkflow {
			l.starts = append(l.starts, r)
		}
	}
	return l.Tx.RequestStarts(ctx, requests, now)
}

func (l *listeningTx) AppendEvents(ctx context.Context, events []Event) error {
	err := l.Tx.AppendEvents(ctx, events)
	l.said = append(l.said, events...)
	return err
}

func (l *listeningTx) SaveRun(ctx context.Context, r Run) error {
	if r.Status.Ended() {
		l.ended = append(l.ended, r.ID)
	}
	return l.Tx.SaveRun(ctx, r)
}
