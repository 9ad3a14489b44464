package postgres

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// How much is kept of rejected messages of one account and code, so that those of
// one kind do not push out another, and how long. A message of 100 bytes takes
// about 300 of these.
const (
	keptRejected = 256 << 20
	rejectedKept = 7 * 24 * time.Hour
)

type rejectedRecord struct {
	ReceivedAt time.Time `json:"received_at,omitzero"`
	Topic      string    `json:"topic"`
	Device     string    `json:"device"`
	Code       string    `json:"code"`
	Reason     string    `json:"reason"`
	Size       int       `json:"size"`
	Payload    []byte    `json:"payload"` // base64
	Numbered   bool      `json:"numbered"`
}

// AppendRejected implements deviceops.Events.
func (t tx) AppendRejected(ctx context.Context, rejected []deviceops.Rejected) error {
	if len(rejected) == 0 {
		return nil
	}
	records := make([]rejectedRecord, len(rejected))
	for i, r := range rejected {
		records[i] = rejectedRecord{r.ReceivedAt, r.Topic, r.Device, r.Code, r.Reason, r.Size, r.Payload[:min(len(r.Payload), deviceops.RejectedPayload)], r.Numbered}
	}
	text, err := rows(records)
	if err != nil {
		return err
	}
	return t.atomically(ctx, func(t tx) error {
		kinds, err := list(ctx, t, "append rejected", pgx.RowToStructByPos[rejectedKind], insertRejected, text)
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, "prune rejected", `
			delete from rejected where id in (
				select r.id from rejected r, unnest($1::text[], $2::text[], $3::bigint[]) as kind(account, code, place)
				where r.account = kind.account and r.code = kind.code and r.place <= kind.place and r.replay_at is null
				for update of r skip locked)`, // which somebody is asking for at this moment
			column(kinds, func(k *rejectedKind) string { return k.Account }), column(kinds, func(k *rejectedKind) string { return k.Code }),
			column(kinds, func(k *rejectedKind) int64 { return k.Bytes - keptRejected }))
		return err
	})
}

// rejectedKind is what there ever was of one account and code.
type rejectedKind struct {
	Account, Code string
	Bytes         int64
}

// insertRejected counts by kind in order, so that two calls do not deadlock. The
// place of a message is how many bytes there were of its kind, up to its own.
const insertRejected = `
	with x as materialized (
		select coalesce(d.account, 'root') as account, coalesce(r.received_at, now()) as received_at,
			r.topic, r.device, r.code, r.reason, r.size, p.payload, r.numbered,
			octet_length(p.payload) + octet_length(r.topic) + octet_length(r.reason) + 100 as bytes
		from json_to_recordset($1::json) as r(
			received_at timestamptz, topic text, device text, code text, reason text, size bigint, payload text, numbered boolean)
		cross join lateral decode(coalesce(r.payload, ''), 'base64') as p(payload)
		left join devices d on d.id = r.device),
	counted as (
		insert into rejected_counts (account, code, count, bytes)
		select account, code, count(*), sum(bytes) from x group by account, code order by account, code
		on conflict (account, code) do update set count = rejected_counts.count + excluded.count, bytes = rejected_counts.bytes + excluded.bytes
		returning account, code, bytes),
	placed as (
		select x.*, sum(x.bytes) over later - x.bytes as behind
		from x window later as (partition by account, code order by received_at desc rows unbounded preceding)),
	stored as (
		insert into rejected (account, received_at, topic, device, code, reason, size, payload, numbered, place)
		select p.account, received_at, topic, device, p.code, reason, size, payload, numbered, c.bytes - behind
		from placed p join counted c on (c.account, c.code) = (p.account, p.code) order by received_at)
	select account, code, bytes from counted`

// rejectedFilter gives the conditions of a filter.
func rejectedFilter(f deviceops.RejectedFilter) (where filter) {
	where.equal("code", cleanText(f.Code))
	where.equal("device", cleanText(f.Device))
	if f.Topic != "" {
		where.add("topic ~ ?", topicPattern(cleanText(f.Topic)))
	}
	return where
}

// topicPattern gives an MQTT filter, with + and #, as a regular expression of
// PostgreSQL. A wildcard at the beginning does not match topics of the broker itself.
func topicPattern(filter string) string {
	var b strings.Builder
	b.WriteString("^")
	if !strings.HasPrefix(filter, "$") {
		b.WriteString(`(?!\$)`)
	}
	for i, level := range strings.Split(filter, "/") {
		switch {
		case level == "#" && i == 0:
			return b.String()
		case level == "#":
			return b.String() + "(/|$)"
		case i > 0:
			b.WriteString("/")
		}
		if level == "+" {
			b.WriteString("[^/]*")
		} else {
			b.WriteString(regexp.QuoteMeta(level))
		}
	}
	return b.String() + "$"
}

// ListRejected implements deviceops.Events.
func (t tx) ListRejected(ctx context.Context, f deviceops.RejectedFilter, limit int) ([]deviceops.Rejected, map[string]int64, error) {
	where := rejectedFilter(f)
	found, err := list(ctx, t, "list rejected", scanRejected, `
		select `+rejectedColumns+` from rejected`+where.where()+` order by id desc limit `+where.arg(limitOf(limit)), where.args...)
	if err != nil {
		return nil, nil, err
	}
	type count struct {
		Code   string
		Number int64
	}
	counts, err := list(ctx, t, "count rejected", pgx.RowToStructByPos[count],
		`select code, sum(count)::bigint from rejected_counts group by code`)
	byCode := make(map[string]int64, len(counts))
	for _, c := range counts {
		byCode[c.Code] = c.Number
	}
	return found, byCode, err
}

const rejectedColumns = `id, received_at, topic, device, code, reason, size, payload, numbered`

func scanRejected(row pgx.CollectableRow) (r deviceops.Rejected, err error) {
	err = row.Scan(&r.ID, moment{&r.ReceivedAt}, &r.Topic, &r.Device, &r.Code, &r.Reason, &r.Size, &r.Payload, &r.Numbered)
	return r, err
}

// pruneRejected removes what is older than limit.
func (t tx) pruneRejected(ctx context.Context, limit time.Time) error {
	_, err := t.exec(ctx, "prune rejected", `delete from rejected where received_at < $1`, limit)
	return err
}
