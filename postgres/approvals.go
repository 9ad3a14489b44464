package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

const approvalColumns = `
	id, account, workflow, step, device, question, show, show_hash, deciders, barred, quorum, comment_required,
	form_schema, notify, escalations, handovers, votes, revision, status, opened_at, expires_at, decided_at,
	decided_by, comment, form`

type approvalRecord struct {
	ID              string                 `json:"id"`
	Account         string                 `json:"account"`
	Workflow        string                 `json:"workflow"`
	Step            string                 `json:"step"`
	Device          string                 `json:"device"`
	Question        string                 `json:"question"`
	Show            value                  `json:"show,omitzero"`
	ShowHash        string                 `json:"show_hash"`
	Deciders        []string               `json:"deciders"`
	Barred          []string               `json:"barred"`
	Quorum          int                    `json:"quorum"`
	CommentRequired bool                   `json:"comment_required"`
	FormSchema      object                 `json:"form_schema,omitempty"`
	Notify          string                 `json:"notify"`
	Escalations     []deviceops.Escalation `json:"escalations,omitempty"`
	Handovers       []deviceops.Handover   `json:"handovers,omitempty"`
	Votes           []deviceops.Vote       `json:"votes,omitempty"`
	Revision        int                    `json:"revision"`
	Status          string                 `json:"status"`
	OpenedAt        time.Time              `json:"opened_at,omitzero"`
	ExpiresAt       time.Time              `json:"expires_at,omitzero"`
	DecidedAt       time.Time              `json:"decided_at,omitzero"`
	DecidedBy       string                 `json:"decided_by"`
	Comment         string                 `json:"comment"`
	Form            object                 `json:"form,omitempty"`
}

// saveApproval writes an approval unless a decided or newer one is there. Of
// what was there at the opening only those who are asked can change.
const saveApproval = `
	insert into approvals (` + approvalColumns + `)
	select id, account, workflow, step, device, question, show, show_hash, coalesce(deciders, '{}'), coalesce(barred, '{}'),
		quorum, comment_required, form_schema, notify, escalations, handovers, votes, revision, status,
		coalesce(opened_at, now()), expires_at, decided_at, decided_by, comment, form
	from json_to_recordset($1::json) as x(
		id text, account text, workflow text, step text, device text, question text, show jsonb, show_hash text,
		deciders text[], barred text[], quorum bigint, comment_required boolean, form_schema jsonb, notify text,
		escalations jsonb, handovers jsonb, votes jsonb, revision bigint, status text, opened_at timestamptz,
		expires_at timestamptz, decided_at timestamptz, decided_by text, comment text, form jsonb)
	on conflict (id) do update set
		deciders = excluded.deciders, escalations = excluded.escalations, handovers = excluded.handovers,
		votes = excluded.votes, revision = excluded.revision, status = excluded.status, decided_at = excluded.decided_at,
		decided_by = excluded.decided_by, comment = excluded.comment, form = excluded.form
	where approvals.status = 'open' and approvals.revision < excluded.revision
	returning revision`

// SaveApproval implements deviceops.Approvals.
func (t tx) SaveApproval(ctx context.Context, a deviceops.Approval) (bool, error) {
	text, err := rows([]approvalRecord{recordApproval(a)})
	if err != nil {
		return false, err
	}
	_, saved, err := first(ctx, t, "save approval", pgx.RowTo[int64], saveApproval, text)
	return saved, err
}

// FindApproval implements deviceops.Approvals.
func (t tx) FindApproval(ctx context.Context, id string) (deviceops.Approval, error) {
	a, ok, err := first(ctx, t, "find approval", scanApproval, `select `+approvalColumns+` from approvals where id = $1`, id)
	if !ok {
		return a, missing(err, "there is no approval %s", id)
	}
	return a, nil
}

// ListApprovals implements deviceops.Approvals.
func (t tx) ListApprovals(ctx context.Context, account string, status deviceops.ApprovalStatus, device string, limit int) ([]deviceops.Approval, error) {
	var where filter
	where.within("account", account)
	where.equal("status", string(status))
	where.equal("device", device)
	return list(ctx, t, "list approvals", scanApproval, `
		select `+approvalColumns+` from approvals`+where.where()+`
		order by opened_at desc, id desc limit `+where.arg(limitOf(limit)), where.args...)
}

// WorkflowApprovals implements deviceops.Approvals.
func (t tx) WorkflowApprovals(ctx context.Context, workflow string) ([]deviceops.Approval, error) {
	return list(ctx, t, "list approvals of workflow", scanApproval, `
		select `+approvalColumns+` from approvals where workflow = $1 order by opened_at, id`, workflow)
}

func recordApproval(a deviceops.Approval) approvalRecord {
	return approvalRecord{
		ID: a.ID, Account: a.Account, Workflow: a.Workflow, Step: a.Step, Device: a.Device, Question: a.Question,
		Show: value{a.Show}, ShowHash: a.ShowHash, Deciders: a.By, Barred: a.Barred, Quorum: a.Quorum,
		CommentRequired: a.CommentRequired, FormSchema: a.FormSchema, Notify: a.Notify, Escalations: a.Escalations,
		Handovers: a.Handovers, Votes: a.Votes, Revision: a.Revision, Status: string(a.Status),
		OpenedAt: a.OpenedAt, ExpiresAt: a.ExpiresAt, DecidedAt: a.DecidedAt,
		DecidedBy: a.DecidedBy, Comment: a.Comment, Form: a.Form,
	}
}

func scanApproval(row pgx.CollectableRow) (a deviceops.Approval, err error) {
	err = row.Scan(&a.ID, &a.Account, &a.Workflow, &a.Step, &a.Device, &a.Question, &a.Show, &a.ShowHash, &a.By, &a.Barred,
		&a.Quorum, &a.CommentRequired, &a.FormSchema, &a.Notify, &a.Escalations, &a.Handovers, &a.Votes, &a.Revision,
		&a.Status, moment{&a.OpenedAt}, moment{&a.ExpiresAt}, moment{&a.DecidedAt}, &a.DecidedBy, &a.Comment, &a.Form)
	if len(a.Barred) == 0 {
		a.Barred = nil
	}
	return a, err
}
