package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

type seqRecord struct {
	Device string `json:"device"`
	Boot   string `json:"boot"`
	Seq    int64  `json:"seq"`
}

// ClaimSeqs implements deviceops.Events. Keys go in in order, so that two calls
// over the same keys wait for each other and do not deadlock.
func (t tx) ClaimSeqs(ctx context.Context, keys []deviceops.SeqKey, now time.Time) ([]bool, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	records := make([]seqRecord, len(keys))
	for i, k := range keys {
		records[i] = seqRecord(k)
	}
	text, err := rows(records)
	if err != nil {
		return nil, err
	}
	entered, err := list(ctx, t, "claim seqs", pgx.RowTo[int], `
		with x as materialized (
			select distinct on (device, boot, seq) n, device, boot, seq
			from rows from (json_to_recordset($1::json) as (device text, boot text, seq bigint))
				with ordinality as x(device, boot, seq, n)
			order by device, boot, seq, n),
		entered as (
			insert into message_seqs (device, boot, seq, account, day)
			select x.device, x.boot, x.seq, coalesce(d.account, 'root'), ($2::timestamptz at time zone 'UTC')::date
			from x left join devices d on d.id = x.device
			order by x.device, x.boot, x.seq
			on conflict do nothing
			returning device, boot, seq)
		select n::int from x join entered using (device, boot, seq)`, text, now)
	if err != nil {
		return nil, err
	}
	isNew := make([]bool, len(keys))
	for _, n := range entered {
		isNew[n-1] = true
	}
	return isNew, nil
}

type watermarkRecord struct {
	Device string `json:"device"`
	Boot   string `json:"boot"`
	Since  int64  `json:"since"`
}

// ContiguousSeqs implements deviceops.Events. In a run without a hole a seq is
// as far above from as its rank.
func (t tx) ContiguousSeqs(ctx context.Context, boots map[string]string, from map[string]int64) (map[string]int64, error) {
	records := make([]watermarkRecord, 0, len(boots))
	highest := make(map[string]int64, len(boots))
	for device, boot := range boots {
		records = append(records, watermarkRecord{device, boot, from[device]})
		highest[device] = from[device]
	}
	text, err := rows(records)
	if err != nil || len(boots) == 0 {
		return highest, err
	}
	type run struct {
		Device string
		Seq    int64
	}
	runs, err := list(ctx, t, "find contiguous seqs", pgx.RowToStructByPos[run], `
		select x.device, run.seq
		from json_to_recordset($1::json) as x(device text, boot text, since bigint)
		cross join lateral (
			select max(seq) as seq from (
				select m.seq, row_number() over (order by m.seq) as rank
				from message_seqs m where m.device = x.device and m.boot = x.boot and m.seq > x.since) ranked
			where seq = x.since + rank) run
		where run.seq is not null`, text)
	for _, r := range runs {
		highest[r.Device] = r.Seq
	}
	return highest, err
}
