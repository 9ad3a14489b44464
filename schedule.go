package deviceops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fire lets an automation hear that a time of its schedule has come: once for each
// time. A time in the blackout of a calendar, or one that comes too late, leaves a
// decision and starts nothing. ENOTFOUND if no such automation has a schedule any
// more, ECONFLICT if it is disabled.
func (s AutomationStore) Fire(ctx context.Context, ref AutomationRef, at time.Time) error {
	now := s.Automations.Now()
	e := scheduled(ref, at, now)
	found, err := s.Called(ctx, ref.Account, *e.Call)
	switch {
	case err != nil:
		return err
	case found[0].Ref() != ref: // it is that of an account above, which has a time of its own
		return Errorf(ENOTFOUND, "account %s has no automation %s of its own", ref.Account, ref.Name)
	}
	why, err := s.passes(ctx, found[0], at, now)
	if err != nil {
		return err
	}
	if why.Outcome != "" {
		return s.pass(ctx, *e.Call, why)
	}
	_, err = s.Call(ctx, []Event{e})
	return err
}

// scheduled is the event that a time of a schedule becomes.
func scheduled(ref AutomationRef, at, now time.Time) Event {
	call := Call{Kind: CallSchedule, Name: ref.Name, To: []string{ref.Name}, ID: at.UTC().Format(time.RFC3339Nano)}
	return Event{Account: ref.Account, Type: EventSchedule, Severity: "info", At: at, ReceivedAt: now, Call: &call}
}

// String gives the schedule as people read it, such as 0 22 * * * Europe/Berlin.
func (s *Schedule) String() string {
	if s.Cron == "" {
		return "every " + s.Every.String()
	}
	return s.Cron + " " + cmp.Or(s.Zone, "UTC")
}

// passes decides whether a time passes without being heard.
func (s AutomationStore) passes(ctx context.Context, a *Automation, at, now time.Time) (AutomationDecision, error) {
	why := AutomationDecision{AutomationRef: a.Ref(), Version: a.Version, At: at, DecidedAt: now}
	if late := now.Sub(at); late > a.Schedule.CatchUp {
		why.Outcome, why.Detail = OutcomeMissed, fmt.Sprintf("it came %s late, and catch_up is %s", late.Round(time.Second), a.Schedule.CatchUp)
		return why, nil
	}
	dark, err := a.Schedule.dark(ctx, s.Automations.Catalog, a.Account, at)
	if dark != "" {
		why.Outcome, why.Detail = OutcomeExcluded, dark
	}
	return why, err
}

// dark says which calendar keeps a moment free; "": none does.
func (s *Schedule) dark(ctx context.Context, c Catalog, account string, at time.Time) (string, error) {
	kept, err := s.kept(ctx, c, account)
	if err != nil {
		return "", err
	}
	return kept.dark(at), nil
}

// keptFree are the times that calendars keep free.
type keptFree []keptBy

type keptBy struct {
	calendar  string
	blackouts []Blackout
}

// kept reads the calendars of the schedule. One that is gone keeps nothing free.
func (s *Schedule) kept(ctx context.Context, c Catalog, account string) (keptFree, error) {
	var all keptFree
	for _, name := range s.Calendars {
		calendar, err := c.Calendar(ctx, account, name)
		switch ErrorCode(err) {
		case "":
			all = append(all, keptBy{name, calendar.Blackouts})
		case ENOTFOUND, EINVALID:
		default:
			return nil, err
		}
	}
	return all, nil
}

func (k keptFree) dark(at time.Time) string {
	for _, by := range k {
		if b, dark := inBlackout(by.blackouts, at); dark {
			return "calendar " + by.calendar + ": " + cmp.Or(b.Reason, "a blackout")
		}
	}
	return ""
}

// pass writes down, once, that a time passed.
func (s AutomationStore) pass(ctx context.Context, call Call, why AutomationDecision) error {
	return s.Store.InTx(ctx, func(ctx context.Context, tx Tx) error {
		_, fresh, err := tx.ClaimCall(ctx, why.Account, call.key(why.Account), why.DecidedAt)
		if err != nil || !fresh {
			return err
		}
		return tx.AppendAutomationDecisions(ctx, []AutomationDecision{why})
	})
}

// Timetable starts a workflow again and again.
type Timetable struct {
	ID     string // deterministic, so that asking twice makes one
	Times  Schedule
	Paused bool
	Start  Start // the time is added to its WorkflowID
}

// timetablePrefix begins the ids of the timetables of automations.
const timetablePrefix = "automation/"

// TimetableID gives the id of the timetable of an automation.
func TimetableID(ref AutomationRef) string { return timetablePrefix + ref.Account + "/" + ref.Name }

// IsTimetable reports whether an id is that of the timetable of an automation.
func IsTimetable(id string) bool { return strings.HasPrefix(id, timetablePrefix) }

// Scheduler keeps the timetables of the orchestrator as the published automations
// say. What it could not do, it does the next time.
type Scheduler struct {
	Store        Store
	Catalog      Catalog
	Orchestrator Orchestrator
	Start        func(AutomationRef) Start // asks for the workflow that calls Fire
}

// Settle makes or changes the timetable of an automation.
func (s Scheduler) Settle(ctx context.Context, a *Automation, disabled bool) error {
	return s.Orchestrator.Schedule(ctx, s.timetable(a, disabled))
}

func (s Scheduler) timetable(a *Automation, disabled bool) Timetable {
	return Timetable{ID: TimetableID(a.Ref()), Times: *a.Schedule, Paused: disabled, Start: s.Start(a.Ref())}
}

// Reconcile compares all timetables with what is published, and mends what
// differs: also after the orchestrator has lost them. It gives how many it changed.
func (s Scheduler) Reconcile(ctx context.Context) (int, error) {
	// First what is there: what is published in the meantime is then none too many.
	there, err := s.Orchestrator.Timetables(ctx)
	if err != nil {
		return 0, err
	}
	wanted, err := s.wanted(ctx)
	if err != nil {
		return 0, err
	}
	changed := 0
	var errs []error
	note := func(err error) {
		changed++
		errs = append(errs, err)
	}
	for id, t := range wanted {
		if there[id] != t.Digest() {
			note(s.Orchestrator.Schedule(ctx, t))
		}
	}
	for id := range there {
		if _, still := wanted[id]; !still {
			note(s.Orchestrator.Unschedule(ctx, id))
		}
	}
	return changed, errors.Join(errs...)
}

// Next gives when the schedule of an automation comes next, without what calendars
// keep free. ENOTFOUND, EUNAVAILABLE.
func (s Scheduler) Next(ctx context.Context, a *Automation) ([]time.Time, error) {
	times, err := s.Orchestrator.NextTimes(ctx, TimetableID(a.Ref()))
	if err != nil {
		return nil, err
	}
	kept, err := a.Schedule.kept(ctx, s.Catalog, a.Account)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(times, func(at time.Time) bool { return kept.dark(at) != "" }), nil
}

// Replay lets r hear the times that the schedule of an automation says, from a
// moment until another, whether they were heard or not: up to limit, and truncated
// tells that there are more. ENOTFOUND, EUNAVAILABLE.
func (s Scheduler) Replay(ctx context.Context, a *Automation, r *AutomationReplay, from, until time.Time, limit int) (truncated bool, err error) {
	kept, err := a.Schedule.kept(ctx, s.Catalog, a.Account)
	if err != nil {
		return false, err
	}
	after := from.Add(-1) // a time that is from counts
	for n := 0; n < limit; {
		times, err := s.Orchestrator.TimesBetween(ctx, TimetableID(a.Ref()), after, until)
		if err != nil || len(times) == 0 {
			return false, err
		}
		for _, at := range times {
			if kept.dark(at) != "" {
				r.Pass(OutcomeExcluded)
				continue
			}
			r.Take(scheduled(a.Ref(), at, at), nil)
		}
		n, after = n+len(times), times[len(times)-1]
	}
	return true, nil
}

// wanted gives the timetables of all accounts by id.
func (s Scheduler) wanted(ctx context.Context) (map[string]Timetable, error) {
	scheduled, err := s.Catalog.Scheduled(ctx, s.Store)
	if err != nil {
		return nil, err
	}
	disabled, err := s.Store.DisabledAutomations(ctx)
	if err != nil {
		return nil, err
	}
	off := map[AutomationRef]bool{}
	for _, ref := range disabled {
		off[ref] = true
	}
	wanted := make(map[string]Timetable, len(scheduled))
	for _, a := range scheduled {
		wanted[TimetableID(a.Ref())] = s.timetable(a, off[a.Ref()])
	}
	return wanted, nil
}

// Digest tells timetables apart: another one is another timetable.
func (t Timetable) Digest() string {
	return ShortHash(12, fmt.Sprintf("%q %q %s %q %s %t %q", t.ID, t.Times.Cron, t.Times.Every, t.Times.Zone, t.Times.Reach(), t.Paused, t.Start.WorkflowID))
}
