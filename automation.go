package deviceops

import (
	"fmt"
	"time"
)

// Automation is a published automation, compiled: when a run is started, of what.
// It is shared and must not be changed.
type Automation struct {
	Account string // of the document; events of the accounts below are heard too
	Name    string
	Version int
	Hash    string
	Fault   string // why this version of the engine cannot use it; it then hears nothing

	Event      string   // the type of the events that it hears; "": of any that is meant for it
	UsesDevice bool     // its condition or key reads the device
	Demands    []Demand // without which its condition cannot hold

	// What calls it. One of them, or nothing: it then listens.
	Webhook  *Webhook
	Schedule *Schedule
	Manual   bool

	Window      Window
	Concurrency Concurrency
	Limit       Limit

	Workflow        string
	WorkflowVersion int // 0: the newest when a run starts

	// OpensTicket says that it opens a ticket in place of starting a run, and
	// closes it when the condition no longer holds.
	OpensTicket bool

	Rules AutomationRules
}

// AutomationRules are the expressions of an automation. They are pure and safe for
// concurrent use.
type AutomationRules interface {
	// Denies reports whether the condition cannot hold, whatever is known of the
	// device.
	Denies(o Occasion) bool

	// Judge judges an occasion. EINVALID if the condition fails on it.
	Judge(o Occasion) (Judgement, error)

	// Key gives what windows and concurrency count by. EINVALID.
	Key(o Occasion) (string, error)

	// Occasion gives back the events of the samples that fired.
	Occasion(samples []Sample) (Occasion, error)

	// InputsFor gives the inputs of the run that an occasion starts. EINVALID.
	InputsFor(o Occasion) (map[string]any, error)

	// TicketFor gives what an occasion tells of a problem: the texts, severity,
	// channels and folding of the ticket. EINVALID.
	TicketFor(o Occasion) (TicketOpening, error)
}

// Occasion is what happened, as the expressions of an automation see it. Values
// have to be canonical; Device is nil where nothing is known of the device.
type Occasion struct {
	Event  map[string]any
	Events []any // the samples that were collected, oldest first; Event is the last
	Device map[string]any

	// Screen is what its maker keeps with an occasion, so that many automations
	// can be asked at little cost whether they deny it. One at a time may be asked.
	Screen any
}

// DeviceID gives the device that the occasion is about; "": none.
func (o Occasion) DeviceID() string {
	id, _ := o.Event["device"].(string)
	return id
}

// Judgement is what the condition of an automation says. Unknown lists the parts
// of it that could not be judged, since a value was missing: the occasion then says
// neither yes nor no.
type Judgement struct {
	Arms    bool // what the trigger is about did not hold before: see Window.Once
	Silent  bool // it says neither yes nor no: too near to tell
	Verdict Verdict
	Unknown []string
	Lacking bool   // the event itself lacks one of those values, whatever is known of the device
	Denied  string // the part that says no; "": none, or it is the trigger itself
}

// tellsNothing reports whether the occasion changes nothing: no hold is broken off
// by an event that lacks what the condition is about, and no ticket closed.
func (j Judgement) tellsNothing() bool { return j.Silent || j.Verdict == Unknown }

// AutomationKey is what an automation remembers of one key.
type AutomationKey struct {
	By       Window           `json:"by"` // the window that Window is a state of
	Window   WindowState      `json:"window"`
	Runs     ConcurrencyState `json:"runs"`
	Deadline time.Time        `json:"-"` // when Tick is due; zero: it is not

	// Ticket is the ticket that is open for as long as the condition holds, and
	// HeldAt when it was last known to.
	Ticket string    `json:"ticket,omitempty"`
	HeldAt time.Time `json:"held_at,omitzero"` // zero: there is no ticket
}

// AutomationPlay carries out what an automation decides: in the store, or in a
// rehearsal.
type AutomationPlay interface {
	// Decided tells of a decision and, of one that fired, what becomes of it.
	Decided(d WindowDecision, becomes Admission)

	// Launch starts the run of a firing and gives its id; "": none was started.
	Launch(samples []Sample, at time.Time) (run string, err error)

	// Cancel asks a run to end.
	Cancel(run string) error

	// OpenTicket opens the ticket of a firing. False: it could not be.
	OpenTicket(samples []Sample, d WindowDecision) (bool, error)

	// TicketOver closes it: a sample says that the condition no longer holds.
	TicketOver(s Sample)
}

// Take judges a sample that came in at now.
func (a *Automation) Take(k *AutomationKey, s Sample, now time.Time, p AutomationPlay) error {
	a.adopt(k)
	if err := a.decide(k, a.Window.Take(k.Window, s, now), p); err != nil {
		return err
	}
	switch {
	case k.HeldAt.IsZero():
	case s.Holds: // whatever its window makes of it
		k.HeldAt = later(k.HeldAt, s.At)
	case !s.At.Before(k.HeldAt):
		k.HeldAt = time.Time{}
		p.TicketOver(s)
	}
	return nil
}

// Tick judges that the clock reads now.
func (a *Automation) Tick(k *AutomationKey, now time.Time, p AutomationPlay) error {
	a.adopt(k)
	return a.decide(k, a.Window.Tick(k.Window, now), p)
}

// Ended takes a run out that has ended, and launches the firing that waited.
func (a *Automation) Ended(k *AutomationKey, run string, now time.Time, p AutomationPlay) error {
	runs, next := k.Runs.Ended(run)
	if k.Runs = runs; next == nil {
		return nil
	}
	return a.launch(k, next, now, p)
}

// adopt begins anew where a new version of the automation has another window: a
// hold or burst of the old one means nothing to it. Silence that was promised, and
// what is decided, stay.
func (a *Automation) adopt(k *AutomationKey) {
	if k.By != a.Window {
		k.By, k.Window = a.Window, WindowState{Decided: k.Window.Decided, Silent: k.Window.Silent}
	}
}

func (a *Automation) decide(k *AutomationKey, step WindowStep, p AutomationPlay) error {
	k.Window, k.Deadline = step.State, step.Deadline
	for _, d := range step.Decisions {
		if err := a.become(k, d, p); err != nil {
			return err
		}
	}
	return nil
}

// become does what follows from one decision.
func (a *Automation) become(k *AutomationKey, d WindowDecision, p AutomationPlay) error {
	switch {
	case d.Outcome != WindowFired:
		p.Decided(d, "")
		return nil
	case a.OpensTicket:
		return a.openTicket(k, d, p)
	}
	runs, admission := a.Concurrency.Admit(k.Runs, d.Samples)
	k.Runs = runs
	p.Decided(d, admission)
	switch admission {
	case AdmitStart:
		return a.launch(k, d.Samples, d.At, p)
	case AdmitCancel:
		for _, run := range k.Runs.Running {
			if err := p.Cancel(run); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Automation) openTicket(k *AutomationKey, d WindowDecision, p AutomationPlay) error {
	p.Decided(d, AdmitStart)
	opened, err := p.OpenTicket(d.Samples, d)
	if err == nil && opened {
		k.HeldAt = d.Samples[len(d.Samples)-1].At
	}
	return err
}

func (a *Automation) launch(k *AutomationKey, samples []Sample, at time.Time, p AutomationPlay) error {
	run, err := p.Launch(samples, at)
	if err == nil && run != "" {
		k.Runs = k.Runs.Started(run)
	}
	return err
}

// Wakes reports whether a sample that says no can change anything: it breaks a
// hold off, and closes a ticket.
func (a *Automation) Wakes(holds bool) bool { return holds || a.Window.For > 0 || a.OpensTicket }

// actor names the automation where it does something by itself.
func (a *Automation) actor() string { return fmt.Sprintf("automation:%s@%d", a.Name, a.Version) }
