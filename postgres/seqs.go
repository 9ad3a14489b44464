package postgres

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// ClaimSeqs implements deviceops.Events. Keys go in in order, so that two calls
// over the same keys wait for each other and do not deadlock. They are put in order
// here: in the statement, that costs a third of it.
func (t tx) ClaimSeqs(ctx context.Context, keys []deviceops.SeqKey, now time.Time) ([]bool, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	claims, from := ordered(keys)
	type k = deviceops.SeqKey
	known, err := list(ctx, t, "claim seqs", pgx.RowTo[int], `select claim_seqs($1, $2, $3, $4, $5)`,
		column(claims, func(c *k) string { return c.Device }), column(claims, func(c *k) string { return c.Boot }),
		column(claims, func(c *k) int64 { return c.Seq }), column(claims, func(c *k) string { return c.Account }), dayOf(now))
	if err != nil {
		return nil, err
	}
	isNew := make([]bool, len(keys))
	for _, n := range from {
		isNew[n] = true
	}
	for _, n := range known {
		isNew[from[n-1]] = false
	}
	return isNew, nil
}

// ordered gives keys in their order as they are stored, the first of those that are
// equal, and where in keys they come from.
func ordered(keys []deviceops.SeqKey) (claims []deviceops.SeqKey, from []int) {
	stored := make([]deviceops.SeqKey, len(keys))
	from = make([]int, len(keys))
	for n, k := range keys {
		stored[n] = deviceops.SeqKey{Device: cleanText(k.Device), Boot: cleanText(k.Boot), Seq: k.Seq, Account: cmp.Or(k.Account, deviceops.RootAccount)}
		from[n] = n
	}
	compare := func(a, b int) int {
		x, y := &stored[a], &stored[b]
		return cmp.Or(strings.Compare(x.Device, y.Device), strings.Compare(x.Boot, y.Boot), cmp.Compare(x.Seq, y.Seq))
	}
	slices.SortStableFunc(from, compare)
	from = slices.CompactFunc(from, func(a, b int) bool { return compare(a, b) == 0 })
	claims = make([]deviceops.SeqKey, len(from))
	for i, n := range from {
		claims[i] = stored[n]
	}
	return claims, from
}

func scanSeqKey(row pgx.CollectableRow) (k deviceops.SeqKey, err error) {
	err = row.Scan(&k.Device, &k.Boot, &k.Seq)
	return k, err
}

// contiguousRun joins the highest seq, run.seq, up to which all above x.since are
// there of a device and boot x; null: not even the first. In a run without a hole a
// seq is as far above x.since as its rank.
const contiguousRun = `
	cross join lateral (
		select max(seq) as seq from (
			select m.seq, row_number() over (order by m.seq) as rank
			from message_seqs m where m.device = x.device and m.boot = x.boot and m.seq > x.since) ranked
		where seq = x.since + rank) run`

// ContiguousSeqs implements deviceops.Events.
func (t tx) ContiguousSeqs(ctx context.Context, boots map[string]string, from map[string]int64) (map[string]int64, error) {
	if len(boots) == 0 {
		return map[string]int64{}, nil
	}
	starts := make([]deviceops.SeqKey, 0, len(boots))
	highest := make(map[string]int64, len(boots))
	for device, boot := range boots {
		starts = append(starts, deviceops.SeqKey{Device: device, Boot: boot, Seq: from[device]})
		highest[device] = from[device]
	}
	type run struct {
		Device string
		Seq    int64
	}
	runs, err := list(ctx, t, "find contiguous seqs", pgx.RowToStructByPos[run], `
		select x.device, run.seq
		from unnest($1::text[], $2::text[], $3::bigint[]) as x(device, boot, since) `+contiguousRun+`
		where run.seq is not null`,
		texts(starts, func(k *deviceops.SeqKey) string { return k.Device }), texts(starts, func(k *deviceops.SeqKey) string { return k.Boot }),
		column(starts, func(k *deviceops.SeqKey) int64 { return k.Seq }))
	for _, r := range runs {
		highest[r.Device] = r.Seq
	}
	return highest, err
}

// Acknowledge implements deviceops.Events. Most of what devices say is followed by
// nothing but this, so that it is one statement beside the lock and reads and writes
// no more than it has to.
func (t tx) Acknowledge(ctx context.Context, owed []deviceops.OwedAck, now time.Time) (reached []deviceops.SeqKey, err error) {
	type o = deviceops.OwedAck
	devices := texts(owed, func(a *o) string { return a.Device })
	err = t.atomically(ctx, func(t tx) error {
		if err := t.HoldDevices(ctx, devices); err != nil || len(owed) == 0 {
			return err
		}
		reached, err = listOf(ctx, t, len(owed), "acknowledge", scanSeqKey, `
			with x as materialized (
				select s.device, o.boot, o.seen, s.boot = o.boot as present, case when s.boot = o.boot then s.seq else 0 end as since
				from unnest($1::text[], $2::text[], $3::timestamptz[]) as o(device, boot, seen)
				join sessions s on s.device = o.device join devices d on d.id = o.device
				where d.state <> 'retired'),
			counted as materialized (select x.*, coalesce(run.seq, x.since) as reached from x `+contiguousRun+`)
			update sessions s set
				seq = case when c.present then c.reached else s.seq end, acked_at = $4, last_seen = greatest(s.last_seen, c.seen)
			from counted c where s.device = c.device
			returning s.device, c.boot, c.reached`,
			devices, texts(owed, func(a *o) string { return a.Boot }), column(owed, func(a *o) *time.Time { return orNull(a.SeenAt) }), now)
		return err
	})
	return reached, err
}
