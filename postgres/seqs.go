package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// ClaimSeqs implements deviceops.Events. Keys go in in order, so that two calls
// over the same keys wait for each other and do not deadlock.
func (t tx) ClaimSeqs(ctx context.Context, keys []deviceops.SeqKey, now time.Time) ([]bool, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	entered, err := list(ctx, t, "claim seqs", pgx.RowTo[int], `
		with x as materialized (
			select distinct on (device, boot, seq) n, device, boot, seq
			from unnest($1::text[], $2::text[], $3::bigint[]) with ordinality as x(device, boot, seq, n)
			order by device, boot, seq, n),
		entered as (
			insert into message_seqs (device, boot, seq, account, day)
			select x.device, x.boot, x.seq, coalesce(d.account, 'root'), ($4::timestamptz at time zone 'UTC')::date
			from x left join devices d on d.id = x.device
			order by x.device, x.boot, x.seq
			on conflict do nothing
			returning device, boot, seq)
		select n::int from x where `+among("(device, boot, seq)", "select device, boot, seq from entered"),
		texts(keys, func(k *deviceops.SeqKey) string { return k.Device }), texts(keys, func(k *deviceops.SeqKey) string { return k.Boot }),
		column(keys, func(k *deviceops.SeqKey) int64 { return k.Seq }), now)
	if err != nil {
		return nil, err
	}
	isNew := make([]bool, len(keys))
	for _, n := range entered {
		isNew[n-1] = true
	}
	return isNew, nil
}

// ContiguousSeqs implements deviceops.Events. In a run without a hole a seq is
// as far above from as its rank.
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
		from unnest($1::text[], $2::text[], $3::bigint[]) as x(device, boot, since)
		cross join lateral (
			select max(seq) as seq from (
				select m.seq, row_number() over (order by m.seq) as rank
				from message_seqs m where m.device = x.device and m.boot = x.boot and m.seq > x.since) ranked
			where seq = x.since + rank) run
		where run.seq is not null`,
		texts(starts, func(k *deviceops.SeqKey) string { return k.Device }), texts(starts, func(k *deviceops.SeqKey) string { return k.Boot }),
		column(starts, func(k *deviceops.SeqKey) int64 { return k.Seq }))
	for _, r := range runs {
		highest[r.Device] = r.Seq
	}
	return highest, err
}
