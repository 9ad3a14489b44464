package activities

import (
	"context"
	"time"

	"github.com/deviceops/deviceops"
)

// What may happen to a run on its way. In the audit log they follow "run.".
const (
	ChangePaused  = "pause"
	ChangeResumed = "resume"
)

// PauseInput is a run that was paused or resumed.
type PauseInput struct {
	Run    deviceops.Run `json:"run"`  // id, account, and status and pause as they are now
	Kind   string        `json:"kind"` // ChangePaused or ChangeResumed
	By     string        `json:"by"`
	Reason string        `json:"reason,omitempty"`
	At     time.Time     `json:"at"`
}

// SavePause writes that a run is paused, or no longer, with its audit entry.
// What the store has already, since this is a repetition, changes nothing, and a
// run that has ended meanwhile stays as it is.
func (a *Runs) SavePause(ctx context.Context, in PauseInput) error {
	return Failure(a.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		changed, err := tx.PauseRun(ctx, in.Run)
		if err != nil || !changed {
			return err
		}
		return tx.AppendAudit(ctx, deviceops.AuditEntry{
			At: in.At, Account: in.Run.Account, Actor: in.By, Action: "run." + in.Kind, Target: "run:" + in.Run.ID, Reason: in.Reason,
		})
	}))
}
