package ingest

import (
	"context"

	"github.com/deviceops/deviceops"
)

// save writes what the ledger changed, one statement per kind.
func (t *transaction) save(ctx context.Context) error {
	return saveLedger(ctx, t.tx, t.config.Catalog, t.ledger)
}

func saveLedger(ctx context.Context, tx deviceops.Tx, catalog deviceops.Catalog, l *ledger) error {
	if err := l.judgeRollouts(ctx, tx, catalog); err != nil {
		return err
	}
	steps := []func(context.Context, deviceops.Tx) error{
		l.saveSessions, l.saveReported, l.saveMetrics, l.savePlaces, l.judgeWellness, l.saveSamples, l.saveEvents, l.saveCommands, l.saveRejected, l.saveRollouts, l.saveStarts,
	}
	for _, step := range steps {
		if err := step(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) saveSessions(ctx context.Context, tx deviceops.Tx) error {
	sessions := make(map[string]deviceops.Session, len(l.sessions)+len(l.glimpsed))
	for id := range l.glimpsed {
		sessions[id] = l.devices[id].Session
	}
	for id := range l.sessions {
		sessions[id] = l.devices[id].Session
	}
	if len(sessions) == 0 {
		return nil
	}
	return tx.SaveSessions(ctx, sessions)
}

func (l *ledger) saveReported(ctx context.Context, tx deviceops.Tx) error {
	reported := make(map[string]deviceops.Reported, len(l.reported))
	for id := range l.reported {
		reported[id] = l.devices[id].Twin.Reported
	}
	if len(reported) == 0 {
		return nil
	}
	return tx.SaveReported(ctx, reported)
}

func (l *ledger) saveMetrics(ctx context.Context, tx deviceops.Tx) error {
	if len(l.metrics) == 0 {
		return nil
	}
	values := make([]deviceops.MetricValue, 0, len(l.metrics))
	for _, v := range l.metrics {
		values = append(values, v)
	}
	return tx.SaveMetrics(ctx, values)
}

func (l *ledger) saveSamples(ctx context.Context, tx deviceops.Tx) error {
	if len(l.samples) == 0 {
		return nil
	}
	return tx.AppendSamples(ctx, l.samples)
}

func (l *ledger) saveEvents(ctx context.Context, tx deviceops.Tx) error {
	if len(l.events) == 0 {
		return nil
	}
	return tx.AppendEvents(ctx, l.events)
}

func (l *ledger) saveCommands(ctx context.Context, tx deviceops.Tx) error {
	if len(l.answered) == 0 {
		return nil
	}
	commands := make([]deviceops.Command, 0, len(l.answered))
	for _, id := range sortedKeys(l.answered) {
		commands = append(commands, *l.commands[id])
	}
	return tx.SaveCommands(ctx, commands)
}

func (l *ledger) saveRejected(ctx context.Context, tx deviceops.Tx) error {
	if len(l.rejected) == 0 {
		return nil
	}
	return tx.AppendRejected(ctx, l.rejected)
}

func (l *ledger) saveStarts(ctx context.Context, tx deviceops.Tx) error {
	if len(l.starts) == 0 {
		return nil
	}
	return tx.RequestStarts(ctx, l.starts, l.now)
}
