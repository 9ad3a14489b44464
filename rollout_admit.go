package deviceops

import (
	"fmt"
	"maps"
	"strings"
	"time"
)

// How long devices that wait are left alone before they are looked at again.
// Most of what they wait for wakes them earlier, see WakeRollout.
const (
	lookBudget   = 5 * time.Second
	lookReady    = 30 * time.Second
	lookLock     = time.Minute // and family
	lookConflict = 5 * time.Minute
	lookFreeze   = 5 * time.Minute
	lookWindow   = 24 * time.Hour // of a window in which there is never room
)

// Codes of why a device is excused.
const (
	ExcuseState = "state"        // it is not active
	ExcuseLeft  = "left_targets" // it no longer meets the targets
)

// AdmitFacts is what holds for all devices of a rollout at a moment.
type AdmitFacts struct {
	Blackouts []Blackout // of the calendars that bind it; its own are added
}

// Admitter decides which of the devices that are due may be sent the change. Use
// one for all devices that are claimed together: it knows what it let go, so that
// they do not exceed a budget or meet a relative only because they came at once.
type Admitter struct {
	spec        *RolloutSpec
	facts       AdmitFacts
	now         time.Time
	window      *MaintenanceWindow // as far as it binds; nil: any time
	maintenance bool               // devices in maintenance take part
	admitted    map[string]bool
	behind      map[string]string // gateway → a device behind it that was admitted
	groups      map[string]int    // admitted devices by group of the budget
}

// NewAdmitter makes an Admitter for devices that are claimed at a time.
func NewAdmitter(spec *RolloutSpec, facts AdmitFacts, now time.Time) *Admitter {
	facts.Blackouts = append(append([]Blackout{}, spec.Blackouts...), facts.Blackouts...)
	if spec.repairs() {
		facts.Blackouts = nil
	}
	return &Admitter{
		spec: spec, facts: facts, now: now, window: spec.window(), maintenance: namesMaintenance(spec.Targets),
		admitted: map[string]bool{}, behind: map[string]string{}, groups: map[string]int{},
	}
}

// repairs reports whether the rollout takes back another one and waits neither
// for windows nor for blackouts: what is broken is not left so.
func (s *RolloutSpec) repairs() bool { return s.Change.Revert && s.Rollback.IgnoreWindow }

// window gives the window as far as it binds: that of a rollout that is urgent,
// or repairs, and one that all phases ignore does not.
func (s *RolloutSpec) window() *MaintenanceWindow {
	if s.Urgent != "" || s.repairs() || s.Phases.Install.AnyWindow && (s.Change.Kind != ChangeRelease || s.Phases.Download.AnyWindow) {
		return nil
	}
	return s.Window
}

// Takes is how long a device may be at the change inside the window: as long as
// the phases may take that are bound to it.
func (s *RolloutSpec) Takes() time.Duration {
	var sum time.Duration
	if !s.Phases.Install.AnyWindow {
		sum = s.Phases.Install.Timeout
	}
	if s.Change.Kind == ChangeRelease && !s.Phases.Download.AnyWindow {
		sum += s.Phases.Download.Timeout
	}
	return sum
}

// downloadsAhead reports whether devices may download while the window is closed
// and install once it opens.
func (s *RolloutSpec) downloadsAhead() bool {
	return s.Change.Kind == ChangeRelease && s.Phases.Download.AnyWindow && !s.Phases.Install.AnyWindow && s.window() != nil
}

// Excuse says why a device that is due takes no part any more; nil: it does. Ask
// before Admit.
func (a *Admitter) Excuse(c *Candidate) *CommandError {
	if d := &c.Device; d.State != Active && !(d.State == Maintenance && a.maintenance) {
		return &CommandError{Code: ExcuseState, Message: "its state is " + string(d.State) + because(d.StateReason)}
	}
	if a.spec.Targets.Judge == nil || c.Row.Attempt > 0 {
		return nil // it has been reached: its end is told, whatever it became
	}
	if a.left(c) {
		return &CommandError{Code: ExcuseLeft, Message: "it left the targets before its turn: " + a.spec.Targets.Source}
	}
	return nil
}

// left reports whether a device no longer meets the targets. Where the store has
// said that, nothing is evaluated.
func (a *Admitter) left(c *Candidate) bool {
	if c.Meets != Unknown {
		return c.Meets == No
	}
	verdict, err := a.spec.Targets.Judge(&c.Device)
	return err == nil && verdict == No
}

// Admit decides whether a device that is due may be sent the change now; nil: it
// may, and counts as in flight from then on. Else it gives the first reason out
// of these against it:
//
//  1. freeze: nothing leaves the account
//  2. window: a blackout
//  3. offline, sleep: it cannot be reached
//  4. conflict: another rollout holds it
//  5. lock: an exclusive command is under way
//  6. family: a change is under way at its gateway, or at a device behind it
//  7. window: its maintenance window is closed, or there is no room left in it
//  8. ready: the manifest's condition does not hold
//  9. budget: too many of its group are unavailable
//
// What holds for all comes first, then what only time or somebody else can
// change, then what depends on the device, and last what depends on the others.
func (a *Admitter) Admit(c *Candidate) *RolloutWait {
	for _, reason := range []func(*Candidate) *RolloutWait{
		a.freeze, a.blackout, a.connection, a.conflict, a.lock, a.family, a.closed, a.ready, a.budget,
	} {
		if wait := reason(c); wait != nil {
			wait.Since = a.now
			if was := c.Row.Wait; was != nil && was.Kind == wait.Kind && !was.Since.IsZero() {
				wait.Since = was.Since
			}
			return wait
		}
	}
	a.admitted[c.Row.Device] = true
	if c.Device.Parent != "" {
		a.behind[c.Device.Parent] = c.Row.Device
	}
	a.groups[c.Group]++
	return nil
}

func (a *Admitter) wait(kind WaitKind, look time.Duration, format string, args ...any) *RolloutWait {
	w := &RolloutWait{Kind: kind, Text: fmt.Sprintf(format, args...)}
	if look > 0 {
		w.Until = a.now.Add(look)
	}
	return w
}

func (a *Admitter) freeze(c *Candidate) *RolloutWait {
	f := c.Freeze
	if f == nil {
		return nil
	}
	return a.wait(WaitFreeze, lookFreeze, "account %s is frozen by %s since %s%s", f.Account, f.By, stamp(f.At), because(f.Reason))
}

func (a *Admitter) blackout(*Candidate) *RolloutWait {
	b, dark := inBlackout(a.facts.Blackouts, a.now)
	if !dark {
		return nil
	}
	return a.wait(WaitWindow, b.To.Sub(a.now), "nothing begins before %s%s", stamp(b.To), because(b.Reason))
}

func (a *Admitter) connection(c *Candidate) *RolloutWait {
	s := &c.Device.Session
	switch s.Connectivity {
	case Online:
		return nil
	case Sleeping:
		return a.wait(WaitSleep, 0, "it sleeps until %s", stamp(s.WakeAt))
	case Never:
		return a.wait(WaitOffline, 0, "it has never been seen")
	case Unreachable:
		return a.wait(WaitOffline, 0, "its gateway %s is lost since %s", orUnknown(c.Device.Parent), stamp(s.Since))
	default:
		return a.wait(WaitOffline, 0, "it is offline since %s", stamp(s.Since))
	}
}

func (a *Admitter) conflict(c *Candidate) *RolloutWait {
	if c.ConflictBy == "" {
		return nil
	}
	return a.wait(WaitConflict, lookConflict, "rollout %s holds it", c.ConflictBy)
}

func (a *Admitter) lock(c *Candidate) *RolloutWait {
	if c.LockedBy == "" {
		return nil
	}
	return a.wait(WaitLock, lookLock, "command %s is under way, and the change may not overlap with it", c.LockedBy)
}

func (a *Admitter) family(c *Candidate) *RolloutWait {
	relative := c.FamilyBy
	if relative == "" && a.admitted[c.Device.Parent] {
		relative = c.Device.Parent
	}
	if relative == "" {
		relative = a.behind[c.Row.Device]
	}
	switch relative {
	case "":
		return nil
	case c.Device.Parent:
		return a.wait(WaitFamily, lookLock, "its gateway %s is at a change", relative)
	default:
		return a.wait(WaitFamily, lookLock, "%s behind it is at a change", relative)
	}
}

// closed judges the maintenance window. Where devices download ahead, they begin
// so early that they can install before the download is overdue.
func (a *Admitter) closed(c *Candidate) *RolloutWait {
	if a.window == nil {
		return nil
	}
	need := a.spec.Takes()
	opens := NextStart(a.window, a.facts.Blackouts, a.now, need, c.Device.Zone)
	if opens.IsZero() {
		return a.wait(WaitWindow, lookWindow, "its window %s is never open for the %s that the change may take", a.window, need)
	}
	begins := opens
	if a.spec.downloadsAhead() {
		begins = opens.Add(-max(0, a.spec.Phases.Download.Timeout-a.spec.Phases.Install.Timeout))
	}
	switch {
	case !begins.After(a.now):
		return nil
	case begins.Before(opens):
		return a.wait(WaitWindow, begins.Sub(a.now), "its window %s opens at %s; it begins to download at %s", a.window, stamp(opens), stamp(begins))
	case a.window.Open(a.now, 0, c.Device.Zone):
		return a.wait(WaitWindow, begins.Sub(a.now), "its window %s has no room for %s any more; it opens again at %s", a.window, need, stamp(opens))
	default:
		return a.wait(WaitWindow, begins.Sub(a.now), "its window %s opens at %s", a.window, stamp(opens))
	}
}

func (a *Admitter) ready(c *Candidate) *RolloutWait {
	if a.spec.Ready == nil {
		return nil
	}
	verdict, err := a.spec.Ready.Judge(&c.Device)
	switch {
	case err != nil:
		return a.wait(WaitReady, lookReady, "whether it is ready cannot be judged: %s", ErrorMessage(err))
	case verdict == Yes:
		return nil
	default:
		return a.wait(WaitReady, lookReady, "%s", unreadyText(a.spec.Ready, &c.Device))
	}
}

func (a *Admitter) budget(c *Candidate) *RolloutWait {
	if a.spec.Budget == nil {
		return nil
	}
	unavailable, most := c.GroupUnavailable+a.groups[c.Group], a.spec.Budget.most(c.GroupSize)
	if unavailable < most {
		return nil
	}
	return a.wait(WaitBudget, lookBudget, "%s has %d of %d unavailable", a.spec.Budget.group(c.Group), unavailable, most)
}

// most is how many devices of a group may be unavailable at once.
func (b *BudgetSpec) most(size int) int {
	if b.MaxPercent > 0 {
		return max(1, int(b.MaxPercent*float64(size)/100+tokenSlack))
	}
	return b.MaxUnavailable
}

// group names a group for people: "site berlin-3".
func (b *BudgetSpec) group(value string) string {
	name := b.Per[strings.LastIndexByte(b.Per, '.')+1:]
	switch {
	case b.Per == "":
		return "the rollout"
	case value == "":
		return "what has no " + name
	default:
		return name + " " + value
	}
}

// Timed gives the arguments of the command for a device that was admitted: with
// the times of installation where it downloads ahead of its window.
func (a *Admitter) Timed(c *Candidate, args map[string]any) map[string]any {
	after, before := a.InstallTimes(c)
	if after.IsZero() {
		return args
	}
	timed := maps.Clone(args)
	timed[ArgInstallAfter], timed[ArgInstallBefore] = stamp(after), stamp(before)
	return timed
}

// InstallTimes gives between which moments a device that downloads ahead may
// begin to install; zero times for devices that may as soon as they can.
func (a *Admitter) InstallTimes(c *Candidate) (after, before time.Time) {
	if !a.spec.downloadsAhead() {
		return time.Time{}, time.Time{}
	}
	need := a.spec.Takes()
	after = NextStart(a.window, a.facts.Blackouts, a.now, need, c.Device.Zone)
	before = a.window.Closes(after, c.Device.Zone).Add(-need)
	for _, b := range a.facts.Blackouts {
		if b.From.After(after) {
			before = earlier(before, b.From)
		}
	}
	return after, before
}

// namesMaintenance reports whether targets ask for devices in maintenance by
// that word, and not only by asking for all.
func namesMaintenance(targets Condition) bool {
	return strings.Contains(targets.Source, string(Maintenance))
}
