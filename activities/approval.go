package activities

import (
	"context"

	"github.com/deviceops/deviceops"
)

// ApprovalInput is an approval as it stands now.
type ApprovalInput struct {
	Approval deviceops.Approval `json:"approval"`
	// Run carries rows of the timeline that are to be saved with it; nil: none.
	Run *deviceops.Run `json:"run,omitempty"`
	// By is who changed it; empty: the engine.
	By string `json:"by,omitempty"`
}

// Approvals keeps the inbox of people in step with the workflows that wait.
type Approvals struct{ deps Deps }

// Save writes an approval that was opened, decided, expired or withdrawn. A
// change of an approval is audited, an opening is not: nobody decided anything.
func (a *Approvals) Save(ctx context.Context, in ApprovalInput) error {
	return Failure(a.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		if in.Run != nil {
			if err := tx.SaveRun(ctx, *in.Run); err != nil {
				return err
			}
		}
		return a.save(ctx, tx, in)
	}))
}

func (a *Approvals) save(ctx context.Context, tx deviceops.Tx, in ApprovalInput) error {
	stored, err := tx.FindApproval(ctx, in.Approval.ID)
	if err != nil && deviceops.ErrorCode(err) != deviceops.ENOTFOUND {
		return err
	}
	if err == nil && stored.Status != deviceops.ApprovalOpen {
		return nil // saved before this call was repeated
	}
	if err := tx.SaveApproval(ctx, in.Approval); err != nil || in.Approval.Status == deviceops.ApprovalOpen {
		return err
	}
	return tx.AppendAudit(ctx, deviceops.AuditEntry{
		At: a.deps.now(), Account: in.Approval.Account, Actor: actor(in.By), Action: "approval." + string(in.Approval.Status),
		Target: "approval:" + in.Approval.ID, Reason: in.Approval.Comment,
		Evidence: map[string]any{"question": in.Approval.Question, "device": in.Approval.Device},
	})
}

func actor(by string) string {
	if by == "" {
		return deviceops.Engine.Name
	}
	return by
}
