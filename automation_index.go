package deviceops

import (
	"context"
	"sync"
	"time"
)

// automationsFor is how long it may take until a change of automations is seen.
const automationsFor = time.Second

// maxIndexes bounds the accounts whose automations are remembered.
const maxIndexes = 1000

// automationIndex is what the events of one account can start.
type automationIndex struct {
	revision int64
	until    time.Time
	byType   map[string]*Listeners // of automations that are enabled
	byName   map[string]*Automation
	disabled map[AutomationRef]bool
}

// automationIndexes remembers indexes by account.
type automationIndexes struct {
	mu    sync.Mutex
	known map[string]*automationIndex

	// reading is held by who reads automations, so that those who hear events of an
	// account at the same time do not all do the same work.
	reading sync.Mutex
}

func (c *automationIndexes) get(account string) *automationIndex {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[account]
}

func (c *automationIndexes) keep(account string, x *automationIndex) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxIndexes {
		c.known = map[string]*automationIndex{}
	}
	c.known[account] = x
}

// doubt has changes looked for at the next use.
func (c *automationIndexes) doubt(account string) {
	if known := c.get(account); known != nil {
		doubted := *known
		doubted.until = time.Time{}
		c.keep(account, &doubted)
	}
}

// listeners gives the enabled automations that an event may concern.
func (x *automationIndex) listeners(e *Event) []*Automation {
	if e.Call == nil {
		return x.byType[e.Type].For(e)
	}
	var called []*Automation
	for _, name := range e.Call.To {
		if a := x.byName[name]; a != nil && a.Hears(e) && !x.disabled[a.Ref()] {
			called = append(called, a)
		}
	}
	return called
}

// find gives an automation of its very account; nil if there is none.
func (x *automationIndex) find(ref AutomationRef) *Automation {
	if a := x.byName[ref.Name]; a != nil && a.Ref() == ref {
		return a
	}
	return nil
}

// index gives the automations of an account. It looks for changes once a second,
// by a number; what is read is read within tx, so that no second connection is
// needed.
func (a *Automations) index(ctx context.Context, tx Tx, account string, now time.Time) (*automationIndex, error) {
	known := a.indexes.get(account)
	if known != nil && now.Before(known.until) {
		return known, nil
	}
	revision, err := tx.AutomationRevision(ctx, account)
	if err != nil {
		return nil, err
	}
	if known != nil && known.revision == revision {
		renewed := *known
		renewed.until = now.Add(automationsFor)
		a.indexes.keep(account, &renewed)
		return &renewed, nil
	}
	return a.refresh(ctx, tx, account, revision, now)
}

// refresh reads the automations of an account, unless somebody else did meanwhile.
// A transaction that waits for that holds nothing that reading needs.
func (a *Automations) refresh(ctx context.Context, tx Tx, account string, revision int64, now time.Time) (*automationIndex, error) {
	a.indexes.reading.Lock()
	defer a.indexes.reading.Unlock()
	if known := a.indexes.get(account); known != nil && known.revision == revision {
		return known, nil
	}
	fresh, err := a.read(ctx, tx, account)
	if err != nil {
		return nil, err
	}
	fresh.revision, fresh.until = revision, now.Add(automationsFor)
	a.indexes.keep(account, fresh)
	return fresh, nil
}

func (a *Automations) read(ctx context.Context, tx Tx, account string) (*automationIndex, error) {
	all, err := a.Catalog.Automations(ctx, tx, account)
	if err != nil {
		return nil, err
	}
	states, err := tx.ListAutomationStates(ctx, account)
	if err != nil {
		return nil, err
	}
	byType := map[string][]*Automation{}
	x := &automationIndex{byType: map[string]*Listeners{}, byName: map[string]*Automation{}, disabled: map[AutomationRef]bool{}}
	for _, s := range states {
		x.disabled[s.AutomationRef] = s.Disabled
	}
	for _, automation := range all {
		if automation.Fault != "" {
			continue
		}
		x.byName[automation.Name] = automation
		if automation.CalledBy() == nil && !x.disabled[automation.Ref()] {
			byType[automation.Event] = append(byType[automation.Event], automation)
		}
	}
	for kind, automations := range byType {
		x.byType[kind] = NewListeners(automations)
	}
	return x, nil
}
