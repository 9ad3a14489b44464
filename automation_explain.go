package deviceops

import (
	"fmt"
	"strings"
	"time"
)

// AutomationView is an automation as people see it.
type AutomationView struct {
	AutomationRef
	Version  int    `json:"version"`
	Hears    string `json:"hears"`    // the type of the events, or what calls it
	Workflow string `json:"workflow"` // that it starts; "": it opens tickets
	Status   string `json:"status"`   // enabled, disabled, stopped (by its brake) or broken

	Since   time.Time `json:"since,omitzero"`    // of disabled or stopped
	By      string    `json:"by,omitempty"`      // who enabled or disabled it last
	Reason  string    `json:"reason,omitempty"`  // why, or what is broken
	Refused int       `json:"refused,omitempty"` // starts that the brake refused

	// OpenTickets is how many tickets are open until the condition of their key no
	// longer holds. Filled in where one automation is asked for, or switched.
	OpenTickets int `json:"open_tickets,omitempty"`

	Next []time.Time `json:"next,omitempty"` // of a schedule: when it is called next
}

// Statuses of an automation.
const (
	AutomationEnabled  = "enabled"
	AutomationDisabled = "disabled"
	AutomationStopped  = "stopped"
	AutomationBroken   = "broken"
)

// View shows an automation with what people and its brake decided.
func (a *Automation) View(s AutomationState) AutomationView {
	v := AutomationView{
		AutomationRef: a.Ref(), Version: a.Version, Hears: a.trigger(), Workflow: a.runs(),
		Status: AutomationEnabled, By: s.ChangedBy, Reason: s.Reason, Refused: s.Brake.Refused,
	}
	switch {
	case a.Fault != "":
		v.Status, v.Reason, v.Workflow = AutomationBroken, a.Fault, ""
	case s.Disabled:
		v.Status, v.Since = AutomationDisabled, s.ChangedAt
	case !s.Brake.Stopped.IsZero():
		v.Status, v.Since = AutomationStopped, s.Brake.Stopped
		v.Reason = a.Limit.exceeded()
	}
	return v
}

// runs names the workflow that the automation starts; "": it opens tickets.
func (a *Automation) runs() string {
	if a.OpensTicket {
		return ""
	}
	return reference(a.Workflow, a.WorkflowVersion)
}

// trigger says in a few words what the automation listens to, or what calls it.
func (a *Automation) trigger() string {
	switch {
	case a.Webhook != nil:
		return "webhook " + a.Webhook.Name
	case a.Schedule != nil:
		return a.Schedule.String()
	case a.Manual:
		return "deviceops automations run"
	}
	return a.Event
}

func reference(workflow string, version int) string {
	if version == 0 {
		return workflow + "@latest"
	}
	return fmt.Sprintf("%s@%d", workflow, version)
}

// AutomationDetail is an automation with what it remembers and decided lately.
type AutomationDetail struct {
	AutomationView
	Keys      []AutomationKeyView  `json:"keys"`
	Decisions []AutomationDecision `json:"decisions"` // the newest first
}

// AutomationKeyView is what an automation remembers of one key.
type AutomationKeyView struct {
	Key     string    `json:"key"`
	Holding time.Time `json:"holding,omitzero"` // since when
	Due     time.Time `json:"due,omitzero"`     // when the clock decides
	Silent  time.Time `json:"silent,omitzero"`  // until when
	Running []string  `json:"running,omitempty"`
	Queued  int       `json:"queued,omitempty"`
	Ticket  string    `json:"ticket,omitempty"` // that is open while the condition holds
}

// View shows what is remembered of a key.
func (k *AutomationKey) View(key string) AutomationKeyView {
	v := AutomationKeyView{Key: key, Silent: k.Window.Silent, Running: k.Runs.Running, Queued: len(k.Runs.Queue), Ticket: k.Ticket}
	if len(k.Window.Samples) > 0 { // else the clock only ends what has fired
		v.Holding, v.Due = k.Window.Samples[0].At, k.Deadline
		if !k.Window.Since.IsZero() {
			v.Holding = k.Window.Since
		}
	}
	return v
}

// EventExplanation says of an event why it did, or did not, start runs.
type EventExplanation struct {
	Event       Event              `json:"event"`
	Summary     string             `json:"summary"`
	Automations []AutomationReason `json:"automations"` // that hear events of its type
}

// AutomationReason is what one automation made of an event.
type AutomationReason struct {
	AutomationRef
	Version int               `json:"version"`
	Outcome AutomationOutcome `json:"outcome"`
	Text    string            `json:"text"`
	Run     string            `json:"run,omitempty"`
	Key     *string           `json:"key,omitempty"`

	// Then is what a hold, a burst or a collection came to of which the event was a
	// part; nil: it goes on.
	Then *AutomationDecision `json:"then,omitempty"`
}

// Reason says in words what an automation decided about an event.
func (d AutomationDecision) Reason() AutomationReason {
	r := AutomationReason{AutomationRef: d.AutomationRef, Version: d.Version, Outcome: d.Outcome, Key: &d.Key, Text: d.text()}
	if d.Outcome == OutcomeStarted {
		r.Run = d.Run
	}
	return r
}

func (d AutomationDecision) text() string {
	switch d.Outcome {
	case OutcomeStarted:
		return "it started run " + d.Run
	case OutcomeTicket:
		return "it opened ticket " + d.Detail + ", or told it again"
	case OutcomeRecovered:
		return "the condition no longer holds: it closed ticket " + d.Detail
	case OutcomeQueued:
		return "it waits for the end of run " + d.Run
	case OutcomeSkipped:
		return "it was skipped, since run " + d.Run + " of the same key goes on"
	case OutcomeReplacing:
		return "run " + d.Run + " of the same key is canceled; it starts when that has ended"
	case OutcomeStopped:
		return "the brake has stopped the automation since " + d.Since.UTC().Format(time.RFC3339) + "; resume it by: deviceops automations enable " + d.Name
	case OutcomeDisabled:
		return "the automation was disabled"
	case OutcomeFailed:
		return "it failed: " + d.Detail
	case OutcomeHolding:
		return d.holding()
	case OutcomeExcluded:
		return "it was kept free by " + d.Detail
	case OutcomeMissed:
		return "it came too late: " + d.Detail
	case OutcomeSilenced:
		return "it was silenced by dedupe until " + d.Until.UTC().Format(time.RFC3339)
	case OutcomeStale:
		return "it came too late: something newer was decided already"
	case OutcomeBroken:
		return "the condition no longer holds: it broke off what had held since " + d.Since.UTC().Format(time.RFC3339)
	case OutcomeLapsed:
		return "samples stopped before it had held long enough"
	}
	return string(d.Outcome)
}

func (d AutomationDecision) holding() string {
	if d.Since.IsZero() {
		return "it holds; more of its kind are needed"
	}
	text := "it holds since " + d.Since.UTC().Format(time.RFC3339)
	if !d.Until.IsZero() {
		text += "; the clock decides at " + d.Until.UTC().Format(time.RFC3339) + " at the latest"
	}
	return text
}

// held says what became of a decision that was no more than a beginning.
func (d AutomationDecision) held(then AutomationDecision) string {
	text := "it held, and more of its kind were needed"
	if !d.Since.IsZero() {
		text = "it held since " + d.Since.UTC().Format(time.RFC3339)
	}
	event := "the clock"
	if then.Event > 0 && then.Event != d.Event {
		event = fmt.Sprintf("event %d", then.Event)
	}
	if then.Outcome == OutcomeBroken {
		return text + ", until " + event + " broke it off"
	}
	return text + "; then, by " + event + ", " + then.text()
}

// Rejudge says what an automation thinks of an event of which it left no row, by
// what is known of the device now.
func (a *Automation) Rejudge(o Occasion, s AutomationState) AutomationReason {
	r := AutomationReason{AutomationRef: a.Ref(), Version: a.Version, Outcome: OutcomeNo}
	judged, err := a.Rules.Judge(o)
	switch {
	case err != nil:
		r.Outcome, r.Text = OutcomeFailed, ErrorMessage(err)
	case judged.Verdict == No && judged.Denied == "":
		r.Text = "it is not what the trigger listens to"
	case judged.Verdict == No:
		r.Text = "the condition does not hold: " + judged.Denied
	case judged.Verdict == Unknown:
		r.Text = "the condition cannot be judged, since a value is missing: " + strings.Join(judged.Unknown, "; ")
	case s.Disabled:
		r.Outcome, r.Text = OutcomeDisabled, "the automation is disabled since "+s.ChangedAt.UTC().Format(time.RFC3339)
	case a.Window.Once:
		r.Text = "it goes on from before, and only its beginning counts; or the automation was published or enabled later"
	default:
		r.Text = "it was not heard then: the automation was published or enabled later, the device was another, or it is too long ago"
	}
	return r
}

// ExplainedBy are what an explanation of an event is put together from.
type ExplainedBy struct {
	Automations []*Automation                      // of the event's account
	Decisions   []AutomationDecision               // about the event, oldest first
	Then        map[int64]AutomationDecision       // what those came to that were holding, by id
	Rejudge     func(*Automation) AutomationReason // of one that left no decision
}

// ExplainEvent puts together what automations made of an event: what they decided
// last about it, and of those that left no decision what they think of it now.
func ExplainEvent(e Event, by ExplainedBy) EventExplanation {
	x := EventExplanation{Event: e, Automations: []AutomationReason{}}
	decided := map[AutomationRef]int{}
	for _, d := range by.Decisions {
		r := d.Reason()
		if then, ended := by.Then[d.ID]; ended && d.Outcome == OutcomeHolding {
			r.Then, r.Text = &then, d.held(then)
		}
		if i, before := decided[d.AutomationRef]; before { // it waited, and this is what it waited for
			x.Automations[i] = r
			continue
		}
		decided[d.AutomationRef] = len(x.Automations)
		x.Automations = append(x.Automations, r)
	}
	for _, a := range by.Automations {
		if _, known := decided[a.Ref()]; a.Fault == "" && a.Hears(&e) && !known {
			x.Automations = append(x.Automations, by.Rejudge(a))
		}
	}
	x.Summary = fmt.Sprintf("Event %d (%s) %s", e.ID, e.Type, x.sum())
	return x
}

// sum says in a few words what came of the event.
func (x EventExplanation) sum() string {
	started, tickets := 0, 0
	for _, r := range x.Automations {
		switch r.Outcome {
		case OutcomeStarted:
			started++
		case OutcomeTicket, OutcomeRecovered:
			tickets++
		}
	}
	switch {
	case started == 1:
		return "started a run."
	case started > 1:
		return fmt.Sprintf("started %d runs.", started)
	case tickets > 0:
		return "opened or closed a ticket."
	case len(x.Automations) == 0:
		return "started nothing: no automation listens to it."
	}
	return "started nothing."
}
