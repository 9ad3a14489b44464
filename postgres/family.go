package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// A device and its gateway are never at a change together: while a rollout is at
// one of them, no rollout and no exclusive command begins at the other; and no
// rollout begins while an exclusive command is at the other. Of two that are
// claimed at once one gets the lock of the family, and the other stays due.

// hasFamilies is false where no device has a gateway. It is asked once per
// statement, so that such fleets pay nothing.
const hasFamilies = `(select exists (select from devices where parent <> ''))`

// kinOf gives the gateway of a device and the devices behind it, as id.
func kinOf(device string) string {
	return `(select p.parent as id from devices p where p.id = ` + device + ` and p.parent <> ''
		union all
		select k.id from devices k where k.parent = ` + device + ` and k.parent <> '')`
}

// rolledNow is true of a row r of a rollout that is at its device at $1.
const rolledNow = `(r.status in ('sent', 'accepted') or r.leased_until > $1)`

// kinInRollout gives one of the kin that a rollout is at.
func kinInRollout(device string) string {
	return `(select r.device from ` + kinOf(device) + ` as kin join rollout_devices r on r.device = kin.id
		where ` + rolledNow + ` order by r.device limit 1)`
}

// kinAtCommand gives one of the kin that an exclusive command is at.
func kinAtCommand(device string) string {
	return `(select o.device from ` + kinOf(device) + ` as kin join commands o on o.device = kin.id
		where o.exclusive and ` + ofO(open) + ` and (o.status in ('sent', 'accepted') or o.leased_until > $1)
		order by o.device limit 1)`
}

// familyLock takes, until the transaction ends, what keeps others from claiming
// the gateway of a device, and the devices behind it, at the same time. It does
// not wait. Devices behind one gateway do not keep each other out.
func familyLock(device string) string {
	const key = `hashtextextended('deviceops:family:' || gateway, 0)`
	shared, alone := strings.ReplaceAll(key, "gateway", "p.parent"), strings.ReplaceAll(key, "gateway", device)
	return `case when ` + hasFamilies + ` then
		coalesce((select pg_try_advisory_xact_lock_shared(` + shared + `) from devices p where p.id = ` + device + ` and p.parent <> ''), true)
		and (not exists (select from devices k where k.parent = ` + device + ` and k.parent <> '') or pg_try_advisory_xact_lock(` + alone + `))
	else true end`
}

// FamilyBy implements deviceops.Rollouts.
func (t tx) FamilyBy(ctx context.Context, device string, now time.Time) (string, error) {
	found, _, err := first(ctx, t, "find family at a change", pgx.RowTo[string], `select coalesce(`+kinInRollout("$2::text")+`, '')`, now, device)
	return found, err
}
