package ingest

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/deviceops/deviceops"
)

// silenceClasses are devices by how long they may be silent. Those of a class are
// looked through every fourth of the shortest of these times, and those that would
// be missed until the next look are remembered: whoever is heard of after a look
// cannot be missed before the next one. So a pass reads, of a large fleet, the few
// that have been silent for most of their time.
var silenceClasses = []silenceClass{
	{0, 8 * time.Second}, // at each pass
	{8 * time.Second, 16 * time.Second},
	{16 * time.Second, 32 * time.Second},
	{32 * time.Second, 64 * time.Second},
	{64 * time.Second, 2 * time.Minute},
	{2 * time.Minute, 0},
}

type silenceClass struct{ atLeast, below time.Duration }

// suspectsMost is how many of a class are remembered. If there are more, the next
// look comes when those are through.
const suspectsMost = 4 * sweepLimit

// silenceWatch remembers who will be missed next. It may be lost at any time: the
// first pass of a new one looks at all.
type silenceWatch struct {
	until    []time.Time          // by class: whoever is missed before is among the suspects
	suspects map[string]time.Time // when devices will be missed if they are not heard of
	outage   deviceops.Outage     // before this process
}

func newSilenceWatch() *silenceWatch {
	return &silenceWatch{until: make([]time.Time, len(silenceClasses)), suspects: map[string]time.Time{}}
}

// notice finds out since when nobody had listened when this process began: while
// all were away, as for an upgrade, no device could be heard, and none fell silent.
func (w *silenceWatch) notice(ctx context.Context, store deviceops.Store, began time.Time) error {
	last, err := store.LastHeard(ctx, began)
	if err == nil && !last.IsZero() {
		w.outage = deviceops.Outage{Until: began, For: began.Sub(last)}
	}
	return err
}

// due gives the suspects whose time is over.
func (w *silenceWatch) due(ctx context.Context, store deviceops.Store, now time.Time) ([]string, error) {
	for i := range silenceClasses {
		if w.until[i].After(now) {
			continue
		}
		if err := w.look(ctx, store, i, now); err != nil {
			return nil, err
		}
	}
	var due []string
	for id, missed := range w.suspects {
		if missed.Before(now) {
			due = append(due, id)
		}
	}
	return due, nil
}

func (w *silenceWatch) look(ctx context.Context, store deviceops.Store, class int, now time.Time) error {
	c := silenceClasses[class]
	until := now.Add(c.atLeast / 4)
	found, err := store.QuietDevices(ctx, deviceops.QuietQuery{Before: until, AtLeast: c.atLeast, Below: c.below, Outage: w.outage, Limit: suspectsMost})
	if err != nil {
		return err
	}
	for _, s := range found {
		w.suspects[s.Device] = s.MissedAt
	}
	w.until[class] = until
	if len(found) == suspectsMost {
		w.until[class] = found[len(found)-1].MissedAt
	}
	return nil
}

// settled forgets suspects that were heard of or are lost.
func (w *silenceWatch) settled(ids []string) {
	for _, id := range ids {
		delete(w.suspects, id)
	}
}

// silent marks devices offline whose heartbeats stopped, and their children
// unreachable. A device that spoke, or that another sweeper took, in the
// meantime is left alone.
func (s *Sweeper) silent(ctx context.Context, now time.Time) (int, error) {
	due, err := s.silences.due(ctx, s.config.Store, now)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	missed, err := s.config.Store.QuietDevices(ctx, deviceops.QuietQuery{Before: now, Devices: due, Outage: s.silences.outage, Limit: sweepLimit})
	if err != nil {
		return 0, err
	}
	ids := make([]string, len(missed))
	for i, m := range missed {
		ids[i] = m.Device
	}
	lost, err := s.lose(ctx, ids, now)
	if err != nil {
		return 0, err
	}
	if len(ids) < sweepLimit {
		ids = due // the others were heard of
	}
	s.silences.settled(ids)
	return lost, nil
}

// lose tells how many devices were lost.
func (s *Sweeper) lose(ctx context.Context, ids []string, now time.Time) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	slices.Sort(ids)
	var l *ledger
	err := s.config.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		l = s.ledger(ctx, now)
		locked, err := tx.LockDevices(ctx, ids)
		if err != nil {
			return err
		}
		maps.Copy(l.devices, locked)
		for _, id := range ids {
			if d := l.devices[id]; d != nil {
				l.silenced(d, s.silences.outage)
			}
		}
		if err := strandChildren(ctx, tx, l); err != nil {
			return err
		}
		return saveLedger(ctx, tx, s.config.Catalog, l)
	})
	if err != nil {
		return 0, err
	}
	return len(l.lost), nil
}
