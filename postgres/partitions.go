package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// daysAhead is how many days after today have their partition.
	daysAhead = 7

	// seqsKept is how long duplicates are recognized.
	seqsKept = 7 * 24 * time.Hour

	partitionPrefix = "events_day_"
	partitionLayout = "20060102"
)

// MaintainEvents implements deviceops.Events. Calls take turns.
func (t tx) MaintainEvents(ctx context.Context, now time.Time, keep time.Duration) error {
	steps := []func(t tx) error{
		func(t tx) error { return t.addPartitions(ctx, now) },
		func(t tx) error { return t.dropPartitions(ctx, now.Add(-keep)) },
		func(t tx) error { return t.pruneSeqs(ctx, now.Add(-seqsKept)) },
	}
	for _, step := range steps {
		// Each step is a transaction: locks on the events table are short.
		if err := t.atomically(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// addPartitions makes the partitions of yesterday, today and the days ahead.
func (t tx) addPartitions(ctx context.Context, now time.Time) error {
	present, err := t.partitions(ctx)
	if err != nil {
		return err
	}
	today := dayOf(now)
	for offset := -1; offset <= daysAhead; offset++ {
		day := today.AddDate(0, 0, offset)
		if present[partitionName(day)] {
			continue
		}
		if err := t.addPartition(ctx, day); err != nil {
			return err
		}
	}
	return nil
}

// addPartition makes the table of a day, moves what the default partition has
// of that day into it, and attaches it. Creating it attached would lock the
// whole of events.
func (t tx) addPartition(ctx context.Context, day time.Time) error {
	name := partitionName(day)
	from, to := day.Format(time.RFC3339), day.AddDate(0, 0, 1).Format(time.RFC3339)
	for _, sql := range []string{
		`set local lock_timeout = '5s'`,
		`lock table events_default in access exclusive mode`,
		fmt.Sprintf(`create table %s (like events including defaults)`, name),
		fmt.Sprintf(`with moved as (delete from events_default where received_at >= '%s' and received_at < '%s' returning *)
			insert into %s select * from moved`, from, to, name),
		fmt.Sprintf(`alter table events attach partition %s for values from ('%s') to ('%s')`, name, from, to),
	} {
		if _, err := t.exec(ctx, "add partition "+name, sql); err != nil {
			return err
		}
	}
	return nil
}

// dropPartitions drops the days that ended before limit.
func (t tx) dropPartitions(ctx context.Context, limit time.Time) error {
	present, err := t.partitions(ctx)
	if err != nil {
		return err
	}
	for name := range present {
		day, err := time.Parse(partitionLayout, strings.TrimPrefix(name, partitionPrefix))
		if err != nil || day.AddDate(0, 0, 1).After(limit) {
			continue
		}
		if _, err := t.exec(ctx, "drop partition "+name, `drop table `+name); err != nil {
			return err
		}
	}
	_, err = t.exec(ctx, "prune events", `delete from events_default where received_at < $1`, dayOf(limit))
	return err
}

// partitions gives the names of the partitions that are days. It takes the lock
// under which they change.
func (t tx) partitions(ctx context.Context) (map[string]bool, error) {
	if err := t.lock(ctx, "partitions"); err != nil {
		return nil, err
	}
	names, err := list(ctx, t, "list partitions", pgx.RowTo[string], `
		select relname::text from pg_inherits join pg_class on pg_class.oid = inhrelid
		where inhparent = 'events'::regclass and starts_with(relname, $1)`, partitionPrefix)
	present := make(map[string]bool, len(names))
	for _, name := range names {
		present[name] = true
	}
	return present, err
}

func (t tx) pruneSeqs(ctx context.Context, limit time.Time) error {
	_, err := t.exec(ctx, "prune seqs", `delete from message_seqs where day < $1`, dayOf(limit))
	return err
}

func partitionName(day time.Time) string { return partitionPrefix + day.Format(partitionLayout) }

// dayOf gives the beginning of the day, UTC.
func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
