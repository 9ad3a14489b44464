package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

const noticeColumns = `
	id, account, channel, key, title, text, severity, device, run, workflow, step, status, more, attempts, error, queued_at, due_at, sent_at`

// QueueNotice implements deviceops.Notices. Those of one key take turns.
func (t tx) QueueNotice(ctx context.Context, n deviceops.Notice, limit deviceops.Limit) error {
	n.Key = cleanText(n.Key)
	return t.atomically(ctx, func(t tx) error {
		if err := t.lock(ctx, "notice:"+n.Account+":"+n.Channel+":"+n.Key); err != nil {
			return err
		}
		_, known, err := first(ctx, t, "find notice", pgx.RowTo[string], `select id from notices where id = $1`, n.ID)
		if err != nil || known {
			return err
		}
		return t.queueNotice(ctx, n, limit)
	})
}

func (t tx) queueNotice(ctx context.Context, n deviceops.Notice, limit deviceops.Limit) error {
	held, holds, err := first(ctx, t, "find held notice", pgx.RowTo[string], `
		select id from notices
		where account = $1 and channel = $2 and md5(key) = md5($3) and status = 'pending' and slot > $4 and slot > queued_at`,
		n.Account, n.Channel, n.Key, n.QueuedAt)
	if err != nil {
		return err
	}
	if holds {
		n.Status = deviceops.NoticeFolded
		if err := t.insertNotice(ctx, n, time.Time{}); err != nil {
			return err
		}
		_, err := t.exec(ctx, "fold notice", `update notices set more = more + 1 where id = $1`, held)
		return err
	}
	slots, err := list(ctx, t, "count notices", pgx.RowTo[time.Time], `
		select slot from notices
		where account = $1 and channel = $2 and md5(key) = md5($3) and slot > $4
		order by slot desc limit $5`, n.Account, n.Channel, n.Key, n.QueuedAt.Add(-limit.Per), limit.N)
	if err != nil {
		return err
	}
	n.Status, n.DueAt = deviceops.NoticePending, n.QueuedAt
	if len(slots) == limit.N && limit.N > 0 {
		n.DueAt = slots[len(slots)-1].Add(limit.Per)
	}
	return t.insertNotice(ctx, n, n.DueAt)
}

func (t tx) insertNotice(ctx context.Context, n deviceops.Notice, slot time.Time) error {
	_, err := t.exec(ctx, "queue notice", `
		insert into notices (id, account, channel, key, title, text, severity, device, run, workflow, step, status, queued_at, slot, due_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		n.ID, n.Account, n.Channel, n.Key, cleanText(n.Title), cleanText(n.Text), n.Severity, n.Device, n.Run.ID, n.Run.Workflow, n.Run.Step,
		string(n.Status), n.QueuedAt, orNull(slot), orNull(n.DueAt))
	return err
}

// ClaimNotices implements deviceops.Notices.
func (t tx) ClaimNotices(ctx context.Context, now time.Time, perChannel int, busy []string) ([]deviceops.Notice, error) {
	return list(ctx, t, "claim notices", scanNotice, `
		with ways as materialized (
			select distinct account, channel from notices
			where status = 'pending' and due_at <= $1 and account || '/' || channel <> all($2)),
		picked as materialized (
			select due.id from ways cross join lateral (
				select id from notices n
				where n.account = ways.account and n.channel = ways.channel and n.status = 'pending' and n.due_at <= $1
					and coalesce(n.leased_until <= $1, true)
				order by n.due_at, n.position limit $3
				for update skip locked) due)
		update notices set leased_until = $4 from picked where notices.id = picked.id
		returning notices.id, account, channel, key, title, text, severity, device, run, workflow, step, status, more, attempts, error, queued_at, due_at, sent_at`,
		now, append([]string{}, busy...), perChannel, now.Add(deviceops.NoticeLease))
}

// SaveNotice implements deviceops.Notices.
func (t tx) SaveNotice(ctx context.Context, n deviceops.Notice) error {
	_, err := t.exec(ctx, "save notice", `
		update notices set status = $2, attempts = $3, error = $4, due_at = $5, sent_at = $6, leased_until = null where id = $1`,
		n.ID, string(n.Status), n.Attempts, cleanText(n.Error), orNull(n.DueAt), orNull(n.SentAt))
	return err
}

// ListNotices implements deviceops.Notices.
func (t tx) ListNotices(ctx context.Context, f deviceops.NoticeFilter) ([]deviceops.Notice, error) {
	var where filter
	where.within("account", f.Account)
	where.equal("channel", f.Channel)
	where.equal("status", string(f.Status))
	if f.After != "" {
		where.add("position < (select position from notices where id = ?)", f.After)
	}
	return list(ctx, t, "list notices", scanNotice, `
		select `+noticeColumns+` from notices`+where.where()+`
		order by position desc limit `+where.arg(limitOf(f.Limit)), where.args...)
}

// RedriveNotices implements deviceops.Notices.
func (t tx) RedriveNotices(ctx context.Context, account, channel string, ids []string, now time.Time) (int, error) {
	var where filter
	where.add("status = ?", string(deviceops.NoticeDead))
	where.within("account", account)
	where.equal("channel", channel)
	if len(ids) > 0 {
		where.add("id = any(?)", ids)
	}
	touched, err := t.exec(ctx, "redrive notices", `
		update notices set status = 'pending', attempts = 0, due_at = `+where.arg(now)+`, leased_until = null`+where.where(), where.args...)
	return int(touched), err
}

// PruneNotices implements deviceops.Notices.
func (t tx) PruneNotices(ctx context.Context, before time.Time) error {
	_, err := t.exec(ctx, "prune notices", `delete from notices where status in ('sent', 'folded') and queued_at < $1`, before)
	return err
}

func scanNotice(row pgx.CollectableRow) (n deviceops.Notice, err error) {
	err = row.Scan(&n.ID, &n.Account, &n.Channel, &n.Key, &n.Title, &n.Text, &n.Severity, &n.Device, &n.Run.ID, &n.Run.Workflow, &n.Run.Step,
		&n.Status, &n.More, &n.Attempts, &n.Error, moment{&n.QueuedAt}, moment{&n.DueAt}, moment{&n.SentAt})
	return n, err
}
