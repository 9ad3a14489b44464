package api

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/workflows"
)

type controlRolloutInput struct {
	Reasoned
	RolloutPath
	Key  string `header:"Idempotency-Key" maxLength:"128" doc:"The same key acts once"`
	Body deviceops.RolloutControlRequest
}

// control hands an action to the workflow, which checks it once more and writes
// it with its audit entry in one transaction.
func (r rolloutService) control(ctx context.Context, p deviceops.Principal, in *controlRolloutInput) (deviceops.RolloutControlled, error) {
	found, err := r.find(ctx, p, in.Name)
	if err != nil {
		return deviceops.RolloutControlled{}, err
	}
	c := deviceops.RolloutControl{
		Rollout: found.ID, Action: in.Body.Action, By: p, Reason: in.because(in.Body.Reason), Limits: in.Body.Limits, All: in.Body.All, Request: in.Key,
	}
	if c.Request == "" {
		c.Request = hex.EncodeToString(random(12))
	}
	if c.Action == deviceops.RolloutPause {
		return r.pause(ctx, found, r.DecisionKey.SignControl(c))
	}
	if c.Action == deviceops.RolloutResume {
		if done, freed, err := r.unhold(ctx, found, p, c.Reason); freed || err != nil {
			return done, err
		}
	}
	if c.Action == deviceops.RolloutRollback {
		if err := r.returns(ctx, found); err != nil {
			return deviceops.RolloutControlled{}, err
		}
		if found.Status.Ended() {
			return r.takeBack(ctx, found, r.DecisionKey.SignControl(c))
		}
	}
	return r.tell(ctx, found, r.DecisionKey.SignControl(c))
}

// returns gives ECONFLICT for a rollout of which no device can be taken back: it would
// end, and nothing else would come of that.
func (r rolloutService) returns(ctx context.Context, found deviceops.Rollout) error {
	why, err := activities.NoWayBack(ctx, activities.Deps{Store: r.Store, Catalog: r.Catalog, Now: r.Now}, found)
	if err == nil && why != "" {
		err = deviceops.Errorf(deviceops.ECONFLICT, "rollout %s cannot be taken back: %s", found.Name, why)
	}
	return err
}

// takeBack has a rollout taken back that has ended: its workflow is told, if it is
// still there for devices that are at it, or another one begins.
func (r rolloutService) takeBack(ctx context.Context, found deviceops.Rollout, c deviceops.RolloutControl) (done deviceops.RolloutControlled, err error) {
	err = r.Orchestrator.Update(ctx, deviceops.RolloutWorkflowID(found.ID), c.ID(), workflows.UpdateControl, c, &done)
	if deviceops.ErrorCode(err) != deviceops.ENOTFOUND {
		return done, err
	}
	start := workflows.RolloutStart(workflows.RolloutInput{Rollout: found.ID})
	err = r.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		ended, err := tx.LockRollout(ctx, found.ID)
		if err != nil {
			return err
		}
		if done, err = activities.SteerEnded(ctx, activities.Deps{Store: r.Store, Now: r.Now}, tx, ended, c); err != nil {
			return err
		}
		done.Rollback = ended.RollbackID()
		return tx.RequestStarts(ctx, []deviceops.Start{start}, r.Now())
	})
	if err == nil {
		r.startNow(ctx, start)
		// One may have begun for late devices meanwhile, which looks by itself too.
		_ = r.Orchestrator.Signal(ctx, start.WorkflowID, workflows.SignalNudge, nil)
	}
	return done, err
}

// tell hands a control to the workflow. EUNAVAILABLE when Temporal lost that, which
// the sweeper notices.
func (r rolloutService) tell(ctx context.Context, found deviceops.Rollout, c deviceops.RolloutControl) (done deviceops.RolloutControlled, err error) {
	err = r.Orchestrator.Update(ctx, deviceops.RolloutWorkflowID(found.ID), c.ID(), workflows.UpdateControl, c, &done)
	if deviceops.ErrorCode(err) != deviceops.ENOTFOUND {
		return done, err
	}
	if found, err = r.Store.FindRollout(ctx, found.ID); err != nil {
		return done, err
	}
	if found.Status.Ended() {
		return done, deviceops.Errorf(deviceops.ECONFLICT, "rollout %s has ended already: it %s", found.Name, found.Status)
	}
	if err := found.CheckControl(c); err != nil {
		return done, err
	}
	return done, deviceops.Errorf(deviceops.EUNAVAILABLE, "the workflow of rollout %s is not there; the engine starts it again within minutes: try again then", found.Name)
}

// pause holds the claims before it tells the workflow: nothing more leaves from
// here on, also when Temporal does not answer. Then the hold stands until the
// sweeper has told the workflow.
func (r rolloutService) pause(ctx context.Context, found deviceops.Rollout, c deviceops.RolloutControl) (deviceops.RolloutControlled, error) {
	if err := found.CheckControl(c); err != nil {
		return deviceops.RolloutControlled{}, err
	}
	held, err := r.hold(ctx, found, c)
	if err != nil {
		return deviceops.RolloutControlled{}, err
	}
	done, err := r.tell(ctx, found, c)
	if deviceops.ErrorCode(err) == deviceops.EUNAVAILABLE {
		r.Log.WarnContext(ctx, "a rollout is held, and its workflow has yet to be told that it is paused", "rollout", found.ID, "error", err)
		return deviceops.RolloutControlled{
			Status: deviceops.RolloutPaused, Epoch: found.Epoch, Withdrawal: &held,
			Text: fmt.Sprintf("nothing more leaves of rollout %s; its workflow is told as soon as Temporal answers", found.Name),
		}, nil
	}
	if _, freeErr := r.Store.FreeRolloutClaims(ctx, found.ID); err == nil {
		err = freeErr
	}
	if done.Withdrawal != nil {
		done.Withdrawal.Withdrawn += held.Withdrawn
	}
	return done, err
}

func (r rolloutService) hold(ctx context.Context, found deviceops.Rollout, c deviceops.RolloutControl) (held deviceops.Withdrawal, err error) {
	err = r.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		if err := tx.HoldRolloutClaims(ctx, c); err != nil {
			return err
		}
		held, err = tx.WithdrawRollout(ctx, found.ID, r.Now())
		return err
	})
	return held, err
}

// unhold takes a pause back that its workflow was never told of. A pause that it
// was told of is not held any more.
func (r rolloutService) unhold(ctx context.Context, found deviceops.Rollout, p deviceops.Principal, reason string) (done deviceops.RolloutControlled, freed bool, err error) {
	if found.Status == deviceops.RolloutPaused {
		return done, false, nil
	}
	err = r.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		if freed, err = tx.FreeRolloutClaims(ctx, found.ID); err != nil || !freed {
			return err
		}
		return tx.AppendAudit(ctx, r.entry(p, change{account: found.Account, action: "rollout.control.resume", target: "rollout:" + found.ID, reason: reason}))
	})
	return deviceops.RolloutControlled{Status: found.Status, Epoch: found.Epoch, Text: fmt.Sprintf("rollout %s goes on", found.Name)}, freed, err
}

type freezeInput struct {
	Reasoned
	Body deviceops.FreezeRequest
}

func (s *server) freezeRoutes(r rolloutService) {
	handle(s, route{
		id: "freeze", method: "POST", path: "/v1/freezes", role: deviceops.RoleOperator,
		summary: "Let nothing leave for devices until thaw", about: "No command and no rollout begins on a device of the account or those below it. What devices are at goes on.",
	}, r.freeze)
	handle(s, route{
		id: "thaw", method: "POST", path: "/v1/freezes:thaw", role: deviceops.RoleOperator,
		summary: "End a freeze",
	}, r.thaw)
	handle(s, route{
		id: "list-freezes", method: "GET", path: "/v1/freezes", role: deviceops.RoleViewer,
		summary: "List the freezes that bind an account",
	}, r.freezes)
}

func (r rolloutService) freeze(ctx context.Context, p deviceops.Principal, in *freezeInput) (deviceops.Freeze, error) {
	account, err := scope(p, in.Body.Account)
	if err != nil {
		return deviceops.Freeze{}, err
	}
	f := deviceops.Freeze{Account: account, Reason: in.because(in.Body.Reason), By: p.Name, At: r.Now()}
	return f, r.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		if err := tx.FreezeAccount(ctx, f); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, r.entry(p, change{account: account, action: "account.freeze", target: "account:" + account, reason: f.Reason}))
	})
}

func (r rolloutService) thaw(ctx context.Context, p deviceops.Principal, in *freezeInput) (frozen deviceops.Freeze, err error) {
	account, err := scope(p, in.Body.Account)
	if err != nil {
		return deviceops.Freeze{}, err
	}
	err = r.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		if frozen, err = tx.ThawAccount(ctx, account); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, r.entry(p, change{account: account, action: "account.thaw", target: "account:" + account, reason: in.because(in.Body.Reason)}))
	})
	return frozen, err
}

type accountFilter struct {
	Account string `query:"account" doc:"Default: the caller's account"`
}

func (r rolloutService) freezes(ctx context.Context, p deviceops.Principal, in *accountFilter) (page[deviceops.Freeze], error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return page[deviceops.Freeze]{}, err
	}
	rows, err := r.Store.Freezes(ctx, account)
	return page[deviceops.Freeze]{Items: orEmpty(rows)}, err
}
