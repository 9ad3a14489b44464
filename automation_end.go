package deviceops

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Tick lets up to limit windows decide whose time has come, within tx, and gives
// how many they were.
func (a *Automations) Tick(ctx context.Context, tx Tx, limit int) (n int, effects AutomationEffects, err error) {
	h := a.hearing(tx)
	due, err := tx.DueAutomationKeys(ctx, h.now, limit)
	if err != nil || len(due) == 0 {
		return 0, effects, err
	}
	h.keys = due
	for _, slot := range sortedSlots(due) {
		if err := h.tick(ctx, slot, due[slot]); err != nil {
			return 0, effects, err
		}
	}
	effects, err = h.finish(ctx)
	return len(due), effects, err
}

func (h *hearing) tick(ctx context.Context, slot AutomationSlot, k *AutomationKey) error {
	automation, err := h.find(ctx, slot.AutomationRef)
	if err != nil {
		return err
	}
	if automation == nil { // it was retired: nobody decides any more
		k.Window, k.Deadline = WindowState{}, time.Time{}
		return nil
	}
	return automation.Tick(k, h.now, h.clockPlay(ctx, automation, slot, k))
}

// clockPlay plays for the clock, or the end of a run.
func (h *hearing) clockPlay(ctx context.Context, a *Automation, slot AutomationSlot, k *AutomationKey) *automationPlay {
	return &automationPlay{hearing: h, ctx: ctx, automation: a, slot: slot, key: k}
}

// find gives an automation of its very account; nil if it is no longer published.
func (h *hearing) find(ctx context.Context, ref AutomationRef) (*Automation, error) {
	index, err := h.index(ctx, h.tx, ref.Account, h.now)
	if err != nil {
		return nil, err
	}
	return index.find(ref), nil
}

// finish writes what was decided, and lets what automations said be heard.
func (h *hearing) finish(ctx context.Context) (AutomationEffects, error) {
	said := h.events
	if err := h.save(ctx); err != nil {
		return AutomationEffects{}, err
	}
	more, err := h.Hear(ctx, h.tx, slices.Concat(said, h.said))
	return AutomationEffects{Starts: append(h.effects.Starts, more.Starts...), Cancels: append(h.effects.Cancels, more.Cancels...)}, err
}

// Ended frees the keys of runs that have ended, within the transaction that says
// so, and starts what waited for them.
func (a *Automations) Ended(ctx context.Context, tx Tx, runs []string) (AutomationEffects, error) {
	runs = slices.DeleteFunc(slices.Clone(runs), func(id string) bool { return !strings.HasPrefix(id, automationRunPrefix) })
	if len(runs) == 0 {
		return AutomationEffects{}, nil
	}
	owners, err := tx.EndAutomationRuns(ctx, runs)
	if err != nil || len(owners) == 0 {
		return AutomationEffects{}, err
	}
	h := a.hearing(tx)
	freed := map[AutomationSlot][]string{}
	for run, slot := range owners {
		freed[slot] = append(freed[slot], run)
	}
	slots := sortedSlots(freed)
	if err := h.lockKeys(ctx, slices.Clone(slots)); err != nil {
		return AutomationEffects{}, err
	}
	for _, slot := range slots {
		if err := h.free(ctx, slot, freed[slot]); err != nil {
			return AutomationEffects{}, err
		}
	}
	return h.finish(ctx)
}

func (h *hearing) free(ctx context.Context, slot AutomationSlot, runs []string) error {
	automation, err := h.find(ctx, slot.AutomationRef)
	if err != nil {
		return err
	}
	slices.Sort(runs)
	k := h.keys[slot]
	for _, run := range runs {
		if automation == nil { // it was retired: what waited is not wanted any more
			k.Runs, _ = k.Runs.Ended(run)
			k.Runs.Queue = nil
			continue
		}
		if err := automation.Ended(k, run, h.now, h.clockPlay(ctx, automation, slot, k)); err != nil {
			return err
		}
	}
	return nil
}
