package deviceops

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Kinds of calls.
const (
	CallWebhook  = "webhook"  // another system sent a message
	CallSchedule = "schedule" // a time has come
	CallManual   = "manual"   // a person wants it
)

// Call says for which automations an event is meant, and who calls them. Others
// do not hear it.
type Call struct {
	Kind string   `json:"kind"`
	Name string   `json:"name"` // of the webhook, or of the automation
	To   []string `json:"to"`   // automations, as the account of the event sees them; none: all that answer

	// ID and Source name the call: one that comes again is heard once.
	ID     string `json:"id"`
	Source string `json:"source,omitempty"`

	Subject    string         `json:"subject,omitempty"`    // of a CloudEvent
	Attributes map[string]any `json:"attributes,omitempty"` // of a CloudEvent, besides its own
	By         string         `json:"by,omitempty"`         // a person
	Reason     string         `json:"reason,omitempty"`     // that person's
}

// key names the call in an account.
func (c Call) key(account string) string {
	return ShortHash(12, account, c.Kind, c.Name, c.Source, c.ID)
}

// Webhook is how another system calls an automation.
type Webhook struct {
	Name  string // several automations may have one of the same name
	Proof MessageProof
	ID    string // the header that names a message, where it is no CloudEvent
}

// Schedule says at which times an automation is called.
type Schedule struct {
	Cron      string        `json:"cron,omitempty"`  // five fields; "": Every
	Every     time.Duration `json:"every,omitempty"` // counted from 1970-01-01T00:00:00Z
	Zone      string        `json:"zone,omitempty"`  // an IANA zone, of Cron; "": UTC
	Calendars []string      `json:"-"`               // in whose blackouts it is not called
	CatchUp   time.Duration `json:"catch_up"`        // how late a time may still be heard
}

// DefaultCatchUp is how late the time of a schedule may be heard where the schedule
// does not say, and LeastCatchUp the least that it may say.
const (
	DefaultCatchUp = 10 * time.Minute
	LeastCatchUp   = 10 * time.Second
)

// Reach is how far back the orchestrator brings up times that nobody heard: what is
// later than CatchUp is noted as missed. Twenty times or so at most, since those
// that may still be heard wait for them.
func (s Schedule) Reach() time.Duration {
	const times, most = 20, 7 * 24 * time.Hour
	return max(s.CatchUp, min(times*s.often(), most))
}

// often gives a time in which the schedule comes about once, or more rarely.
func (s Schedule) often() time.Duration {
	fixed := func(field string) bool { return strings.Trim(field, "0123456789") == "" }
	fields := strings.Fields(s.Cron)
	switch {
	case len(fields) < 2:
		return s.Every
	case !fixed(fields[0]):
		return time.Minute
	case !fixed(fields[1]):
		return time.Hour
	}
	return 24 * time.Hour
}

// Hears reports whether an event is meant for the automation, or one of those that
// it listens to.
func (a *Automation) Hears(e *Event) bool {
	if e.Call == nil {
		return a.CalledBy() == nil && a.Event == e.Type
	}
	return a.answers(*e.Call) && (len(e.Call.To) == 0 || slices.Contains(e.Call.To, a.Name))
}

// CalledBy gives the kind and name of the calls that the automation hears; nil: it
// listens to whatever is said.
func (a *Automation) CalledBy() *Call {
	switch {
	case a.Webhook != nil:
		return &Call{Kind: CallWebhook, Name: a.Webhook.Name}
	case a.Schedule != nil:
		return &Call{Kind: CallSchedule, Name: a.Name}
	case a.Manual:
		return &Call{Kind: CallManual, Name: a.Name}
	}
	return nil
}

// answers reports whether the automation hears calls of this kind and name.
func (a *Automation) answers(c Call) bool {
	by := a.CalledBy()
	return by != nil && by.Kind == c.Kind && by.Name == c.Name
}

// CallAnswer is what was decided about a call. One that comes again gets the same
// answer.
type CallAnswer struct {
	Event       int64              `json:"event"`
	Automations []AutomationReason `json:"automations"`
}

// Called gives the enabled automations, as account sees them, that a call of this
// kind and name is for. ENOTFOUND if there are none; ECONFLICT, beside them, if all
// are disabled.
func (s AutomationStore) Called(ctx context.Context, account string, c Call) ([]*Automation, error) {
	all, disabled, err := s.Automations.called(ctx, s.Store, account, c)
	if err == nil && (len(all) == 0 || disabled) {
		// Whoever has just published or enabled it knows better than what is remembered.
		s.Automations.indexes.doubt(account)
		all, disabled, err = s.Automations.called(ctx, s.Store, account, c)
	}
	switch {
	case err != nil:
		return nil, err
	case len(all) == 0:
		return nil, Errorf(ENOTFOUND, "account %s has no automation with %s %s", account, c.Kind, c.Name)
	case disabled:
		return all, Errorf(ECONFLICT, "the automation %s is disabled: deviceops automations enable %s", all[0].Name, all[0].Name)
	}
	return all, nil
}

// called is Called by what is remembered. Where all are disabled it gives those.
func (a *Automations) called(ctx context.Context, tx Tx, account string, c Call) (all []*Automation, disabled bool, err error) {
	index, err := a.index(ctx, tx, account, a.Now())
	if err != nil {
		return nil, false, err
	}
	var off []*Automation
	for _, one := range index.byName {
		switch {
		case !one.answers(c):
		case index.disabled[one.Ref()]:
			off = append(off, one)
		default:
			all = append(all, one)
		}
	}
	if len(all) == 0 {
		all, disabled = off, len(off) > 0
	}
	slices.SortFunc(all, func(x, y *Automation) int { return strings.Compare(x.Name, y.Name) })
	return all, disabled, nil
}

// Call stores events that are calls, and lets those hear them for whom they are
// meant: each call once, however often it comes, and all of them together or none.
// It gives what was decided, in the order of the events.
func (s AutomationStore) Call(ctx context.Context, events []Event) ([]CallAnswer, error) {
	var ids []int64
	err := s.InTx(ctx, func(ctx context.Context, tx Tx) (err error) {
		ids, err = enterCalls(ctx, tx, events, s.Automations.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	answers := make([]CallAnswer, len(ids))
	for i, id := range ids {
		if answers[i] = (CallAnswer{Automations: []AutomationReason{}}); id == 0 {
			continue
		}
		if answers[i], err = s.answer(ctx, id); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// enterCalls stores the calls that are new, and gives the events that all of them
// became; 0 for one that passed without.
func enterCalls(ctx context.Context, tx Tx, events []Event, now time.Time) ([]int64, error) {
	known := map[string]int64{} // by the key of the call
	var fresh []Event
	for _, e := range events {
		key := e.Call.key(e.Account)
		if _, twice := known[key]; twice {
			continue
		}
		event, isNew, err := tx.ClaimCall(ctx, e.Account, key, now)
		if err != nil {
			return nil, err
		}
		if known[key] = event; isNew {
			fresh = append(fresh, e)
		}
	}
	if err := tx.AppendEvents(ctx, fresh); err != nil {
		return nil, err
	}
	for _, e := range fresh {
		key := e.Call.key(e.Account)
		known[key] = e.ID
		if err := tx.SettleCall(ctx, key, e.ID); err != nil {
			return nil, err
		}
	}
	ids := make([]int64, len(events))
	for i, e := range events {
		ids[i] = known[e.Call.key(e.Account)]
	}
	return ids, nil
}

// answer gives what was decided about a call when it came: the first decision of
// each automation.
func (s AutomationStore) answer(ctx context.Context, event int64) (CallAnswer, error) {
	answer := CallAnswer{Event: event, Automations: []AutomationReason{}}
	e, err := s.FindEvent(ctx, event)
	if err != nil {
		return answer, err
	}
	decisions, err := s.ListAutomationDecisions(ctx, AutomationDecisionFilter{Event: event, Limit: maxAnswered})
	if err != nil {
		return answer, err
	}
	slices.Reverse(decisions) // the oldest first
	for _, name := range e.Call.To {
		i := slices.IndexFunc(decisions, func(d AutomationDecision) bool { return d.Name == name })
		if i < 0 {
			answer.Automations = append(answer.Automations, AutomationReason{
				AutomationRef: AutomationRef{Account: e.Account, Name: name}, Outcome: OutcomeNo, Text: "the condition does not hold",
			})
			continue
		}
		answer.Automations = append(answer.Automations, decisions[i].Reason())
	}
	return answer, nil
}

// maxAnswered bounds the decisions that are looked through for an answer.
const maxAnswered = 1000
