package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// frozen is true of a command c that a freeze keeps from leaving. "0" follows
// "/": see filter.within.
const frozen = `exists (
	select from freezes f
	where f.account = c.account or f.account = 'root' or c.account > f.account || '/' and c.account < f.account || '0')`

// FreezeAccount implements deviceops.Rollouts.
func (t tx) FreezeAccount(ctx context.Context, f deviceops.Freeze) error {
	touched, err := t.exec(ctx, "freeze account", `
		insert into freezes (account, reason, by, at) values ($1, $2, $3, $4) on conflict do nothing`, f.Account, f.Reason, f.By, f.At)
	if err == nil && touched == 0 {
		return deviceops.Errorf(deviceops.ECONFLICT, "account %s is frozen already: thaw it first to freeze it for another reason", f.Account)
	}
	return err
}

// ThawAccount implements deviceops.Rollouts.
func (t tx) ThawAccount(ctx context.Context, account string) (deviceops.Freeze, error) {
	f, ok, err := first(ctx, t, "thaw account", scanFreeze, `
		with gone as (delete from freezes where account = $1 returning account, reason, by, at),
		awake as (
			update rollout_devices r set due_at = 'epoch' from gone
			where r.wait_kind = 'freeze'
				and (gone.account in (r.account, 'root') or r.account > gone.account || '/' and r.account < gone.account || '0'))
		select account, reason, by, at from gone`, account)
	if !ok {
		return f, missing(err, "account %s is not frozen itself", account)
	}
	return f, nil
}

// Freezes implements deviceops.Rollouts.
func (t tx) Freezes(ctx context.Context, account string) ([]deviceops.Freeze, error) {
	return list(ctx, t, "find freezes", scanFreeze, `
		select account, reason, by, at from freezes where account = any($1) order by array_position($1, account)`,
		deviceops.AccountLine(account))
}

func scanFreeze(row pgx.CollectableRow) (f deviceops.Freeze, err error) {
	err = row.Scan(&f.Account, &f.Reason, &f.By, moment{&f.At})
	return f, err
}
