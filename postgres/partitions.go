package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// seqsKept is how long duplicates are recognized.
const seqsKept = 7 * 24 * time.Hour

// dailies is a table with a partition for each day and one for all others.
type dailies struct {
	table  string
	column string // by which days are told apart
	ahead  int    // days after today that have their partition
}

var events = dailies{"events", "received_at", 7}

const partitionLayout = "20060102"

// MaintainEvents implements deviceops.Events. Calls take turns.
func (t tx) MaintainEvents(ctx context.Context, now time.Time, keep time.Duration) error {
	return t.inSteps(ctx,
		func(t tx) error { return t.addPartitions(ctx, events, now) },
		func(t tx) error { return t.dropPartitions(ctx, events, now.Add(-keep)) },
		func(t tx) error { return t.pruneSeqs(ctx, now.Add(-seqsKept)) },
		func(t tx) error { return t.pruneRejected(ctx, now.Add(-rejectedKept)) })
}

// inSteps makes each step a transaction: locks on whole tables are short.
func (t tx) inSteps(ctx context.Context, steps ...func(t tx) error) error {
	for _, step := range steps {
		if err := t.atomically(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// addPartitions makes the partitions of yesterday, today and the days ahead.
func (t tx) addPartitions(ctx context.Context, d dailies, now time.Time) error {
	present, err := t.partitions(ctx, d)
	if err != nil {
		return err
	}
	today := dayOf(now)
	for offset := -1; offset <= d.ahead; offset++ {
		day := today.AddDate(0, 0, offset)
		if present[d.partition(day)] {
			continue
		}
		if err := t.addPartition(ctx, d, day); err != nil {
			return err
		}
	}
	return nil
}

// addPartition makes the table of a day, moves what the default partition has
// of that day into it, and attaches it. Creating it attached would lock the
// whole of the table.
func (t tx) addPartition(ctx context.Context, d dailies, day time.Time) error {
	name := d.partition(day)
	from, to := day.Format(time.RFC3339), day.AddDate(0, 0, 1).Format(time.RFC3339)
	for _, sql := range []string{
		`set local lock_timeout = '5s'`,
		fmt.Sprintf(`lock table %s_default in access exclusive mode`, d.table),
		fmt.Sprintf(`create table %s (like %s including defaults)`, name, d.table),
		fmt.Sprintf(`with moved as (delete from %[1]s_default where %[2]s >= '%[3]s' and %[2]s < '%[4]s' returning *)
			insert into %[5]s select * from moved`, d.table, d.column, from, to, name),
		fmt.Sprintf(`alter table %s attach partition %s for values from ('%s') to ('%s')`, d.table, name, from, to),
	} {
		if _, err := t.exec(ctx, "add partition "+name, sql); err != nil {
			return err
		}
	}
	return nil
}

// dropPartitions drops the days that ended before limit.
func (t tx) dropPartitions(ctx context.Context, d dailies, limit time.Time) error {
	present, err := t.partitions(ctx, d)
	if err != nil {
		return err
	}
	for name := range present {
		day, err := time.Parse(partitionLayout, strings.TrimPrefix(name, d.prefix()))
		if err != nil || day.AddDate(0, 0, 1).After(limit) {
			continue
		}
		if _, err := t.exec(ctx, "drop partition "+name, `drop table `+name); err != nil {
			return err
		}
	}
	_, err = t.exec(ctx, "prune "+d.table, fmt.Sprintf(`delete from %s_default where %s < $1`, d.table, d.column), dayOf(limit))
	return err
}

// partitions gives the names of the partitions that are days. It takes the lock
// under which they change.
func (t tx) partitions(ctx context.Context, d dailies) (map[string]bool, error) {
	if err := t.lock(ctx, "partitions"); err != nil {
		return nil, err
	}
	names, err := list(ctx, t, "list partitions", pgx.RowTo[string], `
		select relname::text from pg_inherits join pg_class on pg_class.oid = inhrelid
		where inhparent = $2::text::regclass and starts_with(relname, $1)`, d.prefix(), d.table)
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

func (d dailies) prefix() string { return d.table + "_day_" }

func (d dailies) partition(day time.Time) string { return d.prefix() + day.Format(partitionLayout) }

// dayOf gives the beginning of the day, UTC.
func dayOf(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }
