package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// SaveArtifact implements deviceops.ArtifactRecords.
func (t tx) SaveArtifact(ctx context.Context, a deviceops.Artifact) error {
	_, err := t.exec(ctx, "save artifact", `
		insert into artifacts (account, sha256, size, created_by, created_at) values ($1, $2, $3, $4, $5)
		on conflict do nothing`, a.Account, a.SHA256, a.Size, a.CreatedBy, a.CreatedAt)
	return err
}

// FindArtifact implements deviceops.ArtifactRecords.
func (t tx) FindArtifact(ctx context.Context, account, sha256 string) (deviceops.Artifact, error) {
	a, ok, err := first(ctx, t, "find artifact", scanArtifact, `
		select account, sha256, size, created_by, created_at from artifacts
		where account = any($1) and sha256 = $2
		order by array_position($1, account) limit 1`, deviceops.AccountLine(account), sha256)
	if !ok {
		return a, missing(err, "account %s has no content of SHA-256 %s in the artifact store; upload it first", account, sha256)
	}
	return a, nil
}

func scanArtifact(row pgx.CollectableRow) (a deviceops.Artifact, err error) {
	err = row.Scan(&a.Account, &a.SHA256, &a.Size, &a.CreatedBy, moment{&a.CreatedAt})
	return a, err
}
