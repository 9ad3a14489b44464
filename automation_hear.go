package deviceops

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Automations lets events start runs: the one place where they are matched. Events
// of devices come here, what the engine says, times, calls of other systems and
// people. Everything that is decided is in the transaction of the event.
type Automations struct {
	Catalog Catalog
	Start   func(Run) Start // asks for the workflow of a run
	Now     func() time.Time

	indexes automationIndexes
}

// AutomationEffects is what is to be done after the commit. Starts that are lost
// are in the outbox, and cancellations in the store, for the sweeper to repeat.
type AutomationEffects struct {
	Starts  []Start
	Cancels []string // runs
}

// Empty reports whether there is nothing to do.
func (e AutomationEffects) Empty() bool { return len(e.Starts)+len(e.Cancels) == 0 }

// hearing is what the events of one transaction lead to.
type hearing struct {
	*Automations
	tx      Tx
	now     time.Time
	heard   []heard
	devices map[string]map[string]any // facts; nil for those that are not known
	beats   map[string]HeartbeatPolicy
	keys    map[AutomationSlot]*AutomationKey
	states  map[AutomationRef]*AutomationState
	changed map[AutomationRef]bool // of states
	plans   map[planKey]RunPlan

	decisions []AutomationDecision
	runs      []Run
	owners    map[string]AutomationSlot // of runs
	events    []Event                   // that automations make
	tickets   []ticketTurn
	said      []Event // that are stored already, and not heard yet
	effects   AutomationEffects
}

// heard is an event as one automation hears it.
type heard struct {
	automation *Automation
	event      *Event
	occasion   Occasion
	slot       AutomationSlot
	sample     Sample
}

func (a *Automations) hearing(tx Tx) *hearing {
	return &hearing{
		Automations: a, tx: tx, now: a.Now(), devices: map[string]map[string]any{}, beats: map[string]HeartbeatPolicy{}, keys: map[AutomationSlot]*AutomationKey{},
		states: map[AutomationRef]*AutomationState{}, changed: map[AutomationRef]bool{}, plans: map[planKey]RunPlan{},
		owners: map[string]AutomationSlot{},
	}
}

// hearRounds bounds how often what automations say is heard in turn.
const hearRounds = 3

// Hear lets automations hear events that were stored in tx. Events that no
// automation cares about cost no statement.
func (a *Automations) Hear(ctx context.Context, tx Tx, events []Event) (AutomationEffects, error) {
	h := a.hearing(tx)
	for range hearRounds {
		if len(events) == 0 {
			break
		}
		if err := h.listen(ctx, events); err != nil {
			return AutomationEffects{}, err
		}
		if err := h.decide(ctx); err != nil {
			return AutomationEffects{}, err
		}
		events = slices.Concat(h.events, h.said)
		h.events, h.said, h.heard = nil, nil, nil
	}
	return h.effects, nil
}

// listen finds who hears the events. What cannot hold is dropped at once, where
// that changes nothing.
func (h *hearing) listen(ctx context.Context, events []Event) error {
	for i := range events {
		e := &events[i]
		index, err := h.index(ctx, h.tx, e.Account, h.now)
		if err != nil {
			return err
		}
		listeners := index.listeners(e)
		if len(listeners) == 0 {
			continue
		}
		occasion := h.Catalog.Occasion(*e, nil)
		for _, a := range listeners {
			if a.Wakes(false) || !a.Rules.Denies(occasion) {
				h.heard = append(h.heard, heard{automation: a, event: e, occasion: occasion})
			}
		}
	}
	return nil
}

// decide judges what was heard and writes what follows.
func (h *hearing) decide(ctx context.Context) error {
	steps := []func(context.Context) error{h.meet, h.judge, h.lock, h.play, h.save}
	for _, step := range steps {
		if len(h.heard) == 0 {
			return nil
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// meet reads the devices that conditions and keys ask for.
func (h *hearing) meet(ctx context.Context) error {
	var ids []string
	for _, one := range h.heard {
		if one.automation.UsesDevice {
			ids = append(ids, one.event.Device)
		}
	}
	return h.acquaint(ctx, ids)
}

// acquaint reads the devices that are not known yet.
func (h *hearing) acquaint(ctx context.Context, ids []string) error {
	missing := map[string]bool{}
	for _, id := range ids {
		if _, known := h.devices[id]; !known && id != "" {
			missing[id] = true
		}
	}
	if len(missing) == 0 {
		return nil
	}
	found, err := h.tx.FindDevices(ctx, sortedIDs(missing))
	if err != nil {
		return err
	}
	for id := range missing {
		h.devices[id] = nil
		if d := found[id]; d != nil {
			h.devices[id], h.beats[id] = h.Catalog.Occasion(Event{}, d).Device, d.Twin.Desired.Heartbeat
		}
	}
	return nil
}

// judge makes samples of what was heard, and drops those that change nothing.
func (h *hearing) judge(ctx context.Context) error {
	var kept []heard
	var devices []string
	for _, one := range h.heard {
		one.occasion.Device = h.devices[one.event.Device]
		judged, err := one.automation.Rules.Judge(one.occasion)
		if err == nil {
			one.sample.Holds, one.sample.Arms = judged.Verdict == Yes, judged.Arms
			if judged.tellsNothing() || !one.automation.Wakes(one.sample.Holds || one.sample.Arms) {
				continue
			}
			err = one.fill()
		}
		if err != nil {
			h.refuse(one, err)
			continue
		}
		kept = append(kept, one)
		if one.sample.Holds {
			devices = append(devices, one.event.Device)
		}
	}
	h.heard = kept
	if len(kept) == 0 {
		return h.record(ctx)
	}
	if err := h.acquaint(ctx, devices); err != nil {
		return err
	}
	for i := range kept {
		if one := &kept[i]; one.sample.Holds {
			one.sample.Beat = one.automation.Window.Beat(h.beats[one.event.Device])
		}
	}
	return nil
}

// fill gives the sample its key, time and event.
func (one *heard) fill() error {
	key, err := one.automation.Rules.Key(one.occasion)
	if err != nil {
		return err
	}
	one.slot = AutomationSlot{one.automation.Ref(), storableKey(key)}
	one.sample.At, one.sample.ID = one.event.At, one.event.ID
	if one.sample.Holds { // a no is remembered by its time alone
		one.sample.Event, err = json.Marshal(one.occasion.Event)
	}
	return err
}

// maxKey bounds the key of an automation, in bytes.
const maxKey = 512

// storableKey gives a key as every store can keep it.
func storableKey(key string) string {
	key = strings.ReplaceAll(strings.ToValidUTF8(key, "\uFFFD"), "\x00", "\uFFFD")
	if len(key) > maxKey {
		return key[:64] + "#" + ShortHash(12, key)
	}
	return key
}

// refuse notes an event on which an automation fails. It stops nothing else.
func (h *hearing) refuse(one heard, cause error) {
	h.decisions = append(h.decisions, AutomationDecision{
		AutomationRef: one.automation.Ref(), Version: one.automation.Version, Event: one.event.ID, Device: one.event.Device,
		At: one.event.At, DecidedAt: h.now, Outcome: OutcomeFailed, Detail: ErrorMessage(cause),
	})
}

func (h *hearing) lock(ctx context.Context) error {
	wanted := map[AutomationSlot]bool{}
	for _, one := range h.heard {
		wanted[one.slot] = true
	}
	return h.lockKeys(ctx, sortedSlots(wanted))
}

// play lets the automations decide, one after the other, each in the order of the
// events.
func (h *hearing) play(ctx context.Context) error {
	slices.SortStableFunc(h.heard, func(a, b heard) int {
		return cmp.Or(strings.Compare(a.slot.Account, b.slot.Account), strings.Compare(a.slot.Name, b.slot.Name))
	})
	for _, one := range h.heard {
		k := h.keys[one.slot]
		p := &automationPlay{hearing: h, ctx: ctx, automation: one.automation, slot: one.slot, key: k, sample: &one.sample, device: one.event.Device}
		if err := one.automation.Take(k, one.sample, h.now, p); err != nil {
			return err
		}
	}
	return nil
}
