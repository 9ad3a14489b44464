package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

type auditRecord struct {
	At       time.Time `json:"at,omitzero"`
	Account  string    `json:"account"`
	Actor    string    `json:"actor"`
	Action   string    `json:"action"`
	Target   string    `json:"target"`
	Reason   string    `json:"reason"`
	Evidence object    `json:"evidence,omitempty"`
}

// AppendAudit implements deviceops.Audit.
func (t tx) AppendAudit(ctx context.Context, entries ...deviceops.AuditEntry) error {
	records := make([]auditRecord, len(entries))
	for i, e := range entries {
		records[i] = auditRecord{e.At, e.Account, e.Actor, e.Action, e.Target, e.Reason, e.Evidence}
	}
	return bulk(ctx, t, "append audit", records, `
		insert into audit (at, account, actor, action, target, reason, evidence)
		select coalesce(at, now()), account, actor, action, target, reason, evidence
		from json_to_recordset($1::json) as x(
			at timestamptz, account text, actor text, action text, target text, reason text, evidence jsonb)`)
}

// ListAudit implements deviceops.Audit.
func (t tx) ListAudit(ctx context.Context, f deviceops.AuditFilter) ([]deviceops.AuditEntry, error) {
	var where filter
	where.within("account", f.Account)
	where.equal("target", f.Target)
	where.equal("actor", f.Actor)
	if f.Before > 0 {
		where.add("id < ?", f.Before)
	}
	return list(ctx, t, "list audit", scanAudit, `
		select id, at, account, actor, action, target, reason, evidence from audit`+where.where()+`
		order by id desc limit `+where.arg(limitOf(f.Limit)), where.args...)
}

func scanAudit(row pgx.CollectableRow) (e deviceops.AuditEntry, err error) {
	err = row.Scan(&e.ID, moment{&e.At}, &e.Account, &e.Actor, &e.Action, &e.Target, &e.Reason, &e.Evidence)
	return e, err
}
