package ingest

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/workflows"
)

// rollouts gives the rollouts whose rows follow from the commands of a batch.
type rollouts struct {
	catalog deviceops.Catalog
	known   map[string]rolloutRules
}

// rolloutRules is what the moves of a rollout's rows depend on.
type rolloutRules struct {
	spec *deviceops.RolloutSpec // nil: its manifest can't be read any more
	over bool                   // nothing is tried again
}

// find reads a rollout within the batch's transaction. Only failures and
// deferrals need it.
func (r *rollouts) find(ctx context.Context, tx deviceops.Tx, id string) (rolloutRules, error) {
	if rules, ok := r.known[id]; ok {
		return rules, nil
	}
	found, err := tx.FindRollout(ctx, id)
	switch {
	case deviceops.ErrorCode(err) == deviceops.ENOTFOUND:
		return rolloutRules{over: true}, nil
	case err != nil:
		return rolloutRules{}, err
	}
	rules := rolloutRules{over: found.Status.Ended() && found.Status != deviceops.RolloutSucceeded || found.Status == deviceops.RolloutReverting}
	if spec, err := r.catalog.Rollout(ctx, found); err == nil {
		rules.spec = spec
	}
	r.known[id] = rules
	return rules, nil
}

// saveRollouts wakes rows that waited for their devices, brings back devices that
// had been given up, and moves the rows of rollouts whose commands changed. That
// comes last: counters are what all batches of a rollout share, and they are held
// from then on until the batch is committed.
func (l *ledger) saveRollouts(ctx context.Context, tx deviceops.Tx) (err error) {
	if err = tx.WakeRollout(ctx, l.stirredDevices(), l.now); err != nil {
		return err
	}
	back := slices.Sorted(maps.Keys(l.returned()))
	var ended []string
	if l.recalled, ended, err = tx.RecallRollout(ctx, back, l.now); err != nil {
		return err
	}
	for _, id := range ended {
		l.starts = append(l.starts, workflows.RolloutStart(workflows.RolloutInput{Rollout: id, Late: true}))
	}
	l.moved, err = tx.AdvanceRollout(ctx, l.moves)
	return err
}

// judgeRollouts finds what the commands that changed mean to their rollouts. A
// command that its device put off too often is over.
func (l *ledger) judgeRollouts(ctx context.Context, tx deviceops.Tx, catalog deviceops.Catalog) error {
	known := &rollouts{catalog: catalog, known: map[string]rolloutRules{}}
	for id := range l.answered {
		c := l.commands[id]
		if c.Rollout == "" {
			continue
		}
		var rules rolloutRules
		if c.Status == deviceops.CommandFailed || c.Status == deviceops.CommandDeferred {
			var err error
			if rules, err = known.find(ctx, tx, c.Rollout); err != nil {
				return err
			}
		}
		m := deviceops.RolloutOutcome(rules.spec, c, rules.over, l.now)
		if c.Status == deviceops.CommandDeferred && !m.To.Open() {
			c.Finish(deviceops.CommandCanceled, m.Error, l.now)
		}
		l.moves = append(l.moves, m)
	}
	return nil
}

// returned gives the devices that are back: they said hello, or are online again
// without one.
func (l *ledger) returned() map[string]bool {
	back := map[string]bool{}
	for id := range l.greeted {
		if l.devices[id] != nil {
			back[id] = true
		}
	}
	for id, online := range l.online {
		if online {
			back[id] = true
		}
	}
	return back
}

// readyDevices gives the devices for which a command may be due: they are back, or
// a command of theirs ended that others waited for.
func (l *ledger) readyDevices() []string {
	ready := l.returned()
	for id, unlocked := range l.freed {
		if unlocked {
			ready[id] = true
		}
	}
	return slices.Sorted(maps.Keys(ready))
}

// stirredDevices gives the devices that a row of a rollout may
// wait for: they are back, or a command of theirs ended.
func (l *ledger) stirredDevices() []string {
	stirred := l.returned()
	maps.Copy(stirred, l.freed)
	return slices.Sorted(maps.Keys(stirred))
}

// nudges says by rollout whether its workflow should know at once: it may have had
// nothing to pump when a device came back.
func (l *ledger) nudges() map[string]bool {
	nudges := map[string]bool{}
	for _, rollout := range l.recalled {
		nudges[rollout] = true
	}
	for i := range l.moved {
		m := &l.moved[i]
		nudges[m.Rollout] = nudges[m.Rollout] || m.Urgent()
	}
	return nudges
}

// Pauses between two nudges of a rollout's workflow.
const (
	nudgeEvery = 10 * time.Second // while nothing special happens
	nudgeLeast = time.Second      // whatever happens
	nudgeTick  = 100 * time.Millisecond
)

// nudge tells the workflow of a rollout that there is something to count. It
// carries no data: what counts is in the store.
func nudge(ctx context.Context, o deviceops.Orchestrator, rollout string) error {
	err := o.Signal(ctx, deviceops.RolloutWorkflowID(rollout), workflows.SignalNudge, nil)
	if deviceops.ErrorCode(err) == deviceops.ENOTFOUND {
		return nil // it has ended
	}
	return err
}
