package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// SaveToken implements deviceops.Tokens.
func (t tx) SaveToken(ctx context.Context, token deviceops.Token) error {
	_, err := t.exec(ctx, "save token", `
		insert into tokens (account, name, roles, hash, expires_at, created_at)
		values ($1, $2, coalesce($3, '{}'::text[]), $4, $5, coalesce($6, now()))
		on conflict (account, name) do update set
			roles = excluded.roles, hash = excluded.hash, expires_at = excluded.expires_at, created_at = excluded.created_at`,
		token.Principal.Account, token.Principal.Name, token.Principal.Roles, token.Hash,
		orNull(token.ExpiresAt), orNull(token.CreatedAt))
	return err
}

// FindToken implements deviceops.Tokens.
func (t tx) FindToken(ctx context.Context, hash string) (deviceops.Token, error) {
	token, ok, err := first(ctx, t, "find token", scanToken,
		`select hash, account, name, roles, expires_at, created_at from tokens where hash = $1`, hash)
	if !ok {
		return token, missing(err, "there is no such token")
	}
	return token, nil
}

func scanToken(row pgx.CollectableRow) (token deviceops.Token, err error) {
	err = row.Scan(&token.Hash, &token.Principal.Account, &token.Principal.Name, &token.Principal.Roles,
		moment{&token.ExpiresAt}, moment{&token.CreatedAt})
	return token, err
}
