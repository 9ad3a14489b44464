package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

const releaseColumns = `
	account, project, version, hash, notes, components, configuration, requires, comes_from, reversible, downgrade,
	signature, signer, created_by, created_at`

// CreateRelease implements deviceops.Releases. Whoever comes second waits for
// the first, by the primary key, and then finds its release.
func (t tx) CreateRelease(ctx context.Context, r deviceops.Release) (report deviceops.ReleaseReport, err error) {
	err = t.atomically(ctx, func(t tx) error {
		report, err = t.createRelease(ctx, r)
		return err
	})
	return report, err
}

func (t tx) createRelease(ctx context.Context, r deviceops.Release) (deviceops.ReleaseReport, error) {
	stored, created, err := t.insertRelease(ctx, r)
	if err != nil || created {
		return deviceops.ReleaseReport{Outcome: deviceops.ReleaseCreated, Release: stored}, err
	}
	stored, _, err = first(ctx, t, "find release", scanRelease, `
		select `+releaseColumns+` from releases
		where account = $1 and project = $2 and version = $3 for no key update`, r.Account, r.Project, r.Version)
	report := deviceops.ReleaseReport{Outcome: deviceops.ReleaseUnchanged, Release: stored}
	switch {
	case err != nil:
	case stored.Hash != r.Hash:
		err = stored.OtherContent(&r)
	case stored.Signature == "" && r.Signature != "":
		report.Outcome = deviceops.ReleaseSigned
		report.Release, err = t.signRelease(ctx, r)
	}
	return report, err
}

func (t tx) insertRelease(ctx context.Context, r deviceops.Release) (deviceops.Release, bool, error) {
	return first(ctx, t, "create release", scanRelease, `
		insert into releases (`+releaseColumns+`)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		on conflict (account, project, version) do nothing
		returning `+releaseColumns,
		r.Account, r.Project, r.Version, r.Hash, r.Notes, r.Components, r.Configuration, r.Requires, string(r.From), r.Reversible, r.Downgrade,
		r.Signature, r.Signer, r.CreatedBy, r.CreatedAt)
}

// signRelease adds the signatures of r, which has the stored content.
func (t tx) signRelease(ctx context.Context, r deviceops.Release) (deviceops.Release, error) {
	signed, _, err := first(ctx, t, "sign release", scanRelease, `
		update releases set components = $4, signature = $5, signer = $6
		where account = $1 and project = $2 and version = $3
		returning `+releaseColumns, r.Account, r.Project, r.Version, r.Components, r.Signature, r.Signer)
	return signed, err
}

// FindRelease implements deviceops.Releases.
func (t tx) FindRelease(ctx context.Context, account string, ref deviceops.ReleaseRef) (deviceops.Release, error) {
	r, ok, err := first(ctx, t, "find release", scanRelease, `
		select `+releaseColumns+` from releases
		where account = any($1) and project = $2 and version = $3
		order by array_position($1, account) limit 1`,
		deviceops.AccountLine(account), ref.Project, ref.Version)
	if !ok {
		return r, missing(err, "there is no release %s for account %s", ref, account)
	}
	return r, nil
}

// ListReleases implements deviceops.Releases.
func (t tx) ListReleases(ctx context.Context, f deviceops.ReleaseFilter) ([]deviceops.Release, error) {
	var where filter
	where.seenFrom("account", f.Account)
	where.equal("project", f.Project)
	if after := f.After; after.Project != "" {
		where.add("position < (select position from releases where account || ' ' || project || '@' || version = ?)",
			after.Account+" "+after.ReleaseRef.String())
	}
	return list(ctx, t, "list releases", scanRelease, `
		select `+releaseColumns+` from releases`+where.where()+`
		order by position desc limit `+where.arg(limitOf(f.Limit)), where.args...)
}

func scanRelease(row pgx.CollectableRow) (r deviceops.Release, err error) {
	err = row.Scan(&r.Account, &r.Project, &r.Version, &r.Hash, &r.Notes, &r.Components, &r.Configuration, &r.Requires, &r.From, &r.Reversible,
		&r.Downgrade, &r.Signature, &r.Signer, &r.CreatedBy, moment{&r.CreatedAt})
	return r, err
}

const releaseKeyColumns = `account, id, name, algorithm, pem, added_by, added_at`

// AddReleaseKey implements deviceops.Releases.
func (t tx) AddReleaseKey(ctx context.Context, k deviceops.ReleaseKey) (stored deviceops.ReleaseKey, created bool, err error) {
	err = t.atomically(ctx, func(t tx) error {
		stored, created, err = first(ctx, t, "add release key", scanReleaseKey, `
			insert into release_keys (`+releaseKeyColumns+`) values ($1, $2, $3, $4, $5, $6, $7)
			on conflict (account, id) do nothing
			returning `+releaseKeyColumns, k.Account, k.ID, k.Name, k.Algorithm, k.PEM, k.AddedBy, k.AddedAt)
		if err != nil || created {
			return err
		}
		stored, _, err = first(ctx, t, "find release key", scanReleaseKey, `
			select `+releaseKeyColumns+` from release_keys where account = $1 and id = $2`, k.Account, k.ID)
		return err
	})
	return stored, created, err
}

// RemoveReleaseKey implements deviceops.Releases.
func (t tx) RemoveReleaseKey(ctx context.Context, account, id string) error {
	touched, err := t.exec(ctx, "remove release key", `delete from release_keys where account = $1 and id = $2`, account, id)
	if touched == 0 {
		return missing(err, "account %s has no release key %s of its own", account, id)
	}
	return nil
}

// ListReleaseKeys implements deviceops.Releases.
func (t tx) ListReleaseKeys(ctx context.Context, account string) ([]deviceops.ReleaseKey, error) {
	return list(ctx, t, "list release keys", scanReleaseKey, `
		select `+releaseKeyColumns+` from release_keys where account = any($1) order by account, name, id`, deviceops.AccountLine(account))
}

func scanReleaseKey(row pgx.CollectableRow) (k deviceops.ReleaseKey, err error) {
	err = row.Scan(&k.Account, &k.ID, &k.Name, &k.Algorithm, &k.PEM, &k.AddedBy, moment{&k.AddedAt})
	return k, err
}
