package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// Conditions over commands c and o, with the parameters
//
//	$1 now   $2 what was sent before is asked again   $3 Again   $4 Except
//
// A command holds its device when the device may be at it. It is due when it
// may be published: see deviceops.ClaimCommands. The first publication of a
// rollout's command is claimed by ClaimRollout.
const (
	holdsC = `(c.status in ('sent', 'accepted') or coalesce(c.leased_until > $1, false) or c.id = any($4))`

	dueC = `(` + open + `
		and ` + public + `
		and not (c.status in ('pending', 'deferred') and ` + frozen + `)
		and (c.status in ('pending', 'deferred') or $3 or c.status = 'sent' and c.sent_at <= $2)
		and coalesce(c.leased_until <= $1, true)
		and coalesce(c.due_at <= $1, true)
		and coalesce(c.expires_at > $1, true)
		and c.id <> all($4))`
)

// blocked is true of an exclusive command c when another one, o, goes first:
// one that holds the device before one that does not, else the older one. Two
// that hold it, which only a broken device brings about, are asked in order.
// It names the session's device rather than the command's, so that it is judged
// after the join, for devices that are online.
var blocked = `exists (
	select from commands o
	where o.device = s.device and o.exclusive and o.id <> c.id and ` + ofO(open) + ` and (
		` + ofO(holdsC) + ` and not ` + holdsC + `
		or ` + ofO(holdsC) + ` = ` + holdsC + ` and (` + ofO(holdsC) + ` or ` + ofO(dueC) + `)
			and (o.created_at, o.ordinal) < (c.created_at, c.ordinal)))`

// ofO gives a condition over c as one over o.
func ofO(condition string) string { return strings.ReplaceAll(condition, "c.", "o.") }

// kept is true of an exclusive command c that has to wait for a rollout that is at
// its device's gateway, or at a device behind it. One that was sent before goes on.
var kept = `c.status in ('pending', 'deferred') and ` + hasFamilies + ` and ` + kinInRollout("s.device") + ` is not null`

// claimable selects the commands c that may be claimed.
var claimable = ` from commands c join sessions s on s.device = c.device
	where s.connectivity = 'online' and ` + dueC + ` and not (c.exclusive and (` + blocked + ` or ` + kept + `))`

// ClaimCommands implements deviceops.Commands. It looks twice: the first look
// finds candidates and takes, per device of an exclusive one, a lock that only
// claims use (who does not get it leaves the device to its holder); the second
// look, a statement of its own, sees all that earlier holders of the lock have
// committed, and leases.
func (t tx) ClaimCommands(ctx context.Context, q deviceops.ClaimQuery) (claimed []deviceops.Command, err error) {
	err = t.atomically(ctx, func(t tx) error {
		candidates, err := t.claimCandidates(ctx, q)
		if err != nil || len(candidates) == 0 {
			claimed = nil
			return err
		}
		claimed, err = t.lease(ctx, q, candidates)
		return err
	})
	return claimed, err
}

func (t tx) claimCandidates(ctx context.Context, q deviceops.ClaimQuery) ([]string, error) {
	f := claimFilter(q)
	selected := ""
	if len(q.IDs) > 0 {
		selected += " and c.id = any(" + f.arg(q.IDs) + ")"
	}
	if len(q.Devices) > 0 {
		selected += " and c.device = any(" + f.arg(q.Devices) + ")"
	}
	return list(ctx, t, "find due commands", pgx.RowTo[string], `
		with candidate as materialized (
			select c.id, c.device, c.exclusive`+claimable+selected+`
			order by c.created_at, c.ordinal limit `+f.arg(limitOf(q.Limit))+`)
		select id from candidate
		where not exclusive or `+claimLock("device")+` and `+familyLock("device"),
		f.args...)
}

func (t tx) lease(ctx context.Context, q deviceops.ClaimQuery, candidates []string) ([]deviceops.Command, error) {
	f := claimFilter(q)
	ids, until := f.arg(candidates), f.arg(q.Now.Add(deviceops.PublishLease))
	return list(ctx, t, "lease commands", scanClaimed, `
		with picked as materialized (
			select c.id`+claimable+` and c.id = any(`+ids+`)
			for no key update of c skip locked),
		c as (
			update commands set leased_until = `+until+` from picked where commands.id = picked.id
			returning commands.*)
		select `+commandColumns+`, d.parent, s.max_payload, s.boot, d.profile, d.serial
		from c join devices d on d.id = c.device join sessions s on s.device = c.device
		order by c.created_at, c.ordinal`, f.args...)
}

// claimFilter holds the parameters that the conditions share.
func claimFilter(q deviceops.ClaimQuery) *filter {
	except := append([]string{}, q.Except...) // any() of NULL is NULL
	return &filter{args: []any{q.Now, q.Now.Add(-deviceops.Resend), q.Again, except}}
}

type sentRecord struct {
	ID      string `json:"id"`
	Attempt int    `json:"attempt"`
	Boot    string `json:"boot"`
}

// MarkSent implements deviceops.Commands. A command without a lease has been
// answered since it was claimed; what the device said is newer.
func (t tx) MarkSent(ctx context.Context, sent []deviceops.Sent, now time.Time) error {
	records := make([]sentRecord, len(sent))
	for i, s := range sent {
		records[i] = sentRecord(s)
	}
	return bulk(ctx, t, "mark commands sent", records, `
		update commands c set status = 'sent', sent_at = $2, leased_until = null, boot = x.boot
		from json_to_recordset($1::json) as x(id text, attempt bigint, boot text)
		where c.id = x.id and c.attempt = x.attempt and `+open+` and c.leased_until is not null`, now)
}
