package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// EnsureAccount implements deviceops.Accounts.
func (t tx) EnsureAccount(ctx context.Context, a deviceops.Account) error {
	_, err := t.exec(ctx, "ensure account",
		`insert into accounts (path, name, created_at) values ($1, $2, coalesce($3, now())) on conflict do nothing`,
		a.Path, a.Name, orNull(a.CreatedAt))
	return err
}

// ListAccounts implements deviceops.Accounts.
func (t tx) ListAccounts(ctx context.Context, top string) ([]deviceops.Account, error) {
	var f filter
	f.within("path", top)
	return list(ctx, t, "list accounts", scanAccount,
		`select path, name, created_at from accounts`+f.where()+` order by path`, f.args...)
}

func scanAccount(row pgx.CollectableRow) (a deviceops.Account, err error) {
	err = row.Scan(&a.Path, &a.Name, moment{&a.CreatedAt})
	return a, err
}
