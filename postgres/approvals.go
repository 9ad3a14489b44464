package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

const approvalColumns = `
	id, account, workflow, step, device, question, show, deciders, status,
	opened_at, expires_at, decided_at, decided_by, comment, form`

type approvalRecord struct {
	ID        string    `json:"id"`
	Account   string    `json:"account"`
	Workflow  string    `json:"workflow"`
	Step      string    `json:"step"`
	Device    string    `json:"device"`
	Question  string    `json:"question"`
	Show      value     `json:"show,omitzero"`
	Deciders  []string  `json:"deciders"`
	Status    string    `json:"status"`
	OpenedAt  time.Time `json:"opened_at,omitzero"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	DecidedAt time.Time `json:"decided_at,omitzero"`
	DecidedBy string    `json:"decided_by"`
	Comment   string    `json:"comment"`
	Form      object    `json:"form,omitempty"`
}

// SaveApproval implements deviceops.Approvals.
func (t tx) SaveApproval(ctx context.Context, a deviceops.Approval) error {
	return bulk(ctx, t, "save approval", []approvalRecord{recordApproval(a)}, `
		insert into approvals (`+approvalColumns+`)
		select id, account, workflow, step, device, question, show, coalesce(deciders, '{}'), status,
			coalesce(opened_at, now()), expires_at, decided_at, decided_by, comment, form
		from json_to_recordset($1::json) as x(
			id text, account text, workflow text, step text, device text, question text, show jsonb, deciders text[],
			status text, opened_at timestamptz, expires_at timestamptz, decided_at timestamptz, decided_by text,
			comment text, form jsonb)
		on conflict (id) do update set
			account = excluded.account, workflow = excluded.workflow, step = excluded.step, device = excluded.device,
			question = excluded.question, show = excluded.show, deciders = excluded.deciders, status = excluded.status,
			opened_at = excluded.opened_at, expires_at = excluded.expires_at, decided_at = excluded.decided_at,
			decided_by = excluded.decided_by, comment = excluded.comment, form = excluded.form
		where approvals.status = 'open'`)
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

func recordApproval(a deviceops.Approval) approvalRecord {
	return approvalRecord{
		ID: a.ID, Account: a.Account, Workflow: a.Workflow, Step: a.Step, Device: a.Device, Question: a.Question,
		Show: value{a.Show}, Deciders: a.By, Status: string(a.Status), OpenedAt: a.OpenedAt, ExpiresAt: a.ExpiresAt,
		DecidedAt: a.DecidedAt, DecidedBy: a.DecidedBy, Comment: a.Comment, Form: a.Form,
	}
}

func scanApproval(row pgx.CollectableRow) (a deviceops.Approval, err error) {
	err = row.Scan(&a.ID, &a.Account, &a.Workflow, &a.Step, &a.Device, &a.Question, &a.Show, &a.By, &a.Status,
		moment{&a.OpenedAt}, moment{&a.ExpiresAt}, moment{&a.DecidedAt}, &a.DecidedBy, &a.Comment, &a.Form)
	return a, err
}
