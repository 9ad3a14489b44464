package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

const documentHead = `account, kind, name, version, hash, published_at, published_by, reason`

// PublishDocument implements deviceops.Documents.
func (t tx) PublishDocument(ctx context.Context, d deviceops.Document) (stored deviceops.Document, created bool, err error) {
	err = t.atomically(ctx, func(t tx) error {
		stored, created, err = t.publish(ctx, d)
		return err
	})
	return stored, created, err
}

// publish numbers a version under a lock, since two publications at the same
// time must not take one number.
func (t tx) publish(ctx context.Context, d deviceops.Document) (deviceops.Document, bool, error) {
	if err := t.lock(ctx, "document:"+d.Account+":"+d.Kind+":"+d.Name); err != nil {
		return d, false, err
	}
	newest, err := t.newestVersion(ctx, d, 0)
	if err != nil {
		return d, false, err
	}
	same, found := newest, newest.Version > 0
	if d.Version > 0 {
		if same, err = t.newestVersion(ctx, d, d.Version); err != nil {
			return d, false, err
		}
		found = same.Version > 0
	}
	switch {
	case found && same.Hash == d.Hash:
		return same, false, t.unretire(ctx, same)
	case found && d.Version > 0:
		return d, false, deviceops.Errorf(deviceops.ECONFLICT, "version %d of %s %s is published with another content: give the change a new version", d.Version, d.Kind, d.Name)
	case d.Version > 0 && d.Version < newest.Version:
		return d, false, deviceops.Errorf(deviceops.ECONFLICT, "version %d of %s %s is not above the newest, %d", d.Version, d.Kind, d.Name, newest.Version)
	case d.Version == 0:
		d.Version = newest.Version + 1
	}
	stored, err := t.insertDocument(ctx, d)
	return stored, true, err
}

// newestVersion gives the newest or, if version is given, one version of the
// document d of its very account, retired or not; Version 0 if there is none.
func (t tx) newestVersion(ctx context.Context, d deviceops.Document, version int) (deviceops.Document, error) {
	found, _, err := first(ctx, t, "find document", scanDocument, `
		select `+documentHead+`, source from documents
		where account = $1 and kind = $2 and name = $3 and ($4 = 0 or version = $4)
		order by version desc limit 1`, d.Account, d.Kind, d.Name, version)
	return found, err
}

// unretire shows a document again whose newest version was published anew.
func (t tx) unretire(ctx context.Context, d deviceops.Document) error {
	shown, err := t.exec(ctx, "publish document",
		`update documents set retired = false where account = $1 and kind = $2 and name = $3 and retired`,
		d.Account, d.Kind, d.Name)
	if err != nil || shown == 0 {
		return err
	}
	return t.revise(ctx, d.Account, d.Kind)
}

func (t tx) insertDocument(ctx context.Context, d deviceops.Document) (deviceops.Document, error) {
	stored, _, err := first(ctx, t, "publish document", scanDocument, `
		insert into documents (account, kind, name, version, hash, source, published_at, published_by, reason)
		values ($1, $2, $3, $4, $5, $6, coalesce($7, now()), $8, $9)
		returning `+documentHead+`, source`,
		d.Account, d.Kind, d.Name, d.Version, d.Hash, d.Source, orNull(d.PublishedAt), d.PublishedBy, d.Reason)
	if err != nil {
		return d, err
	}
	if err := t.revise(ctx, d.Account, d.Kind); err != nil {
		return d, err
	}
	return stored, t.unretire(ctx, d)
}

// FindDocument implements deviceops.Documents.
func (t tx) FindDocument(ctx context.Context, account, kind, name string, version int) (deviceops.Document, error) {
	d, ok, err := first(ctx, t, "find document", scanDocument, `
		select `+documentHead+`, source from documents
		where account = any($1) and kind = $2 and name = $3
			and case when $4 = 0 then not retired else version = $4 end
		order by array_position($1, account), version desc limit 1`,
		deviceops.AccountLine(account), kind, name, version)
	switch {
	case ok:
		return d, nil
	case version > 0:
		return d, missing(err, "there is no version %d of %s %s for account %s", version, kind, name, account)
	default:
		return d, missing(err, "there is no %s %s for account %s", kind, name, account)
	}
}

// ReadDocuments implements deviceops.Documents.
func (t tx) ReadDocuments(ctx context.Context, listed []deviceops.Document) ([]deviceops.Document, error) {
	type d = deviceops.Document
	found, err := listOf(ctx, t, len(listed), "read documents", scanDocument, `
		select `+documentHead+`, source from documents
		join unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) as x(account, kind, name, version) using (account, kind, name, version)`,
		column(listed, func(d *d) string { return d.Account }), column(listed, func(d *d) string { return d.Kind }),
		column(listed, func(d *d) string { return d.Name }), column(listed, func(d *d) int { return d.Version }))
	if err == nil && len(found) < len(listed) {
		return nil, deviceops.Errorf(deviceops.ENOTFOUND, "%d of %d documents are not there any more", len(listed)-len(found), len(listed))
	}
	return found, err
}

// ListDocuments implements deviceops.Documents.
func (t tx) ListDocuments(ctx context.Context, account, kind string) ([]deviceops.Document, error) {
	return list(ctx, t, "list documents", scanDocumentHead, `
		select distinct on (kind, name) `+documentHead+` from documents
		where account = any($1) and ($2 = '' or kind = $2) and not retired
		order by kind, name, array_position($1, account), version desc`,
		deviceops.AccountLine(account), kind)
}

// NewestDocuments implements deviceops.Documents.
func (t tx) NewestDocuments(ctx context.Context, kind string) ([]deviceops.Document, error) {
	return list(ctx, t, "list documents", scanDocumentHead, `
		select distinct on (account, name) `+documentHead+` from documents
		where kind = $1 and not retired
		order by account, name, version desc`, kind)
}

// DocumentVersions implements deviceops.Documents.
func (t tx) DocumentVersions(ctx context.Context, account, kind, name string) ([]deviceops.Document, error) {
	versions, err := list(ctx, t, "list versions", scanDocumentHead, `
		select `+documentHead+` from documents
		where kind = $2 and name = $3 and not retired and account = (
			select account from documents
			where account = any($1) and kind = $2 and name = $3 and not retired
			order by array_position($1, account) limit 1)
		order by version desc`,
		deviceops.AccountLine(account), kind, name)
	if len(versions) == 0 {
		return nil, missing(err, "there is no %s %s for account %s", kind, name, account)
	}
	return versions, err
}

// RetireDocument implements deviceops.Documents.
func (t tx) RetireDocument(ctx context.Context, account, kind, name string) error {
	return t.atomically(ctx, func(t tx) error {
		touched, err := t.exec(ctx, "retire document",
			`update documents set retired = true where account = $1 and kind = $2 and name = $3 and not retired`,
			account, kind, name)
		if touched == 0 {
			return missing(err, "account %s has no %s %s of its own", account, kind, name)
		}
		return t.revise(ctx, account, kind)
	})
}

func scanDocumentHead(row pgx.CollectableRow) (d deviceops.Document, err error) {
	err = row.Scan(&d.Account, &d.Kind, &d.Name, &d.Version, &d.Hash, moment{&d.PublishedAt}, &d.PublishedBy, &d.Reason)
	return d, err
}

func scanDocument(row pgx.CollectableRow) (d deviceops.Document, err error) {
	err = row.Scan(&d.Account, &d.Kind, &d.Name, &d.Version, &d.Hash, moment{&d.PublishedAt}, &d.PublishedBy, &d.Reason, &d.Source)
	return d, err
}
