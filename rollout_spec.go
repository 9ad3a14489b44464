package deviceops

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// ChangeKind is what a rollout changes.
type ChangeKind string

// Kinds of changes.
const (
	ChangeRelease  ChangeKind = "release"  // the reserved command install
	ChangeConfig   ChangeKind = "config"   // the reserved command configure
	ChangeCommand  ChangeKind = "command"  // a command of the profile
	ChangeWorkflow ChangeKind = "workflow" // a run per device
)

// Change is what a rollout does to each device.
type Change struct {
	Kind ChangeKind `json:"kind"`

	Release  string         `json:"release,omitempty"`  // project@version
	Config   map[string]any `json:"config,omitempty"`   // merged into the desired configuration; null removes a key
	Command  string         `json:"command,omitempty"`  // name
	Args     map[string]any `json:"args,omitempty"`     // of the command
	Workflow string         `json:"workflow,omitempty"` // name@version; name alone is resolved when the rollout is created
	Inputs   map[string]any `json:"inputs,omitempty"`   // of the workflow, besides device

	// Revert takes back what another rollout changed: every device gets the
	// Origin that its row there names. Set for rollbacks alone.
	Revert bool `json:"revert,omitempty"`
}

// String says in short what is changed: "release kiosk-os@2.4.0".
func (c Change) String() string {
	what := map[ChangeKind]string{
		ChangeRelease: c.Release, ChangeConfig: strings.Join(slices.Sorted(maps.Keys(c.Config)), ", "), ChangeCommand: c.Command, ChangeWorkflow: c.Workflow,
	}[c.Kind]
	if c.Revert {
		what += ", taken back"
	}
	return string(c.Kind) + " " + what
}

// RolloutSpec is a manifest, compiled. What the manifest leaves out has the
// default that its comment names.
type RolloutSpec struct {
	Name    string
	Change  Change
	Targets Condition
	Rings   []RingSpec // at least one; default: one ring, named all
	Limits  Limits     // default: 500 in flight, no rate

	Budget *BudgetSpec
	Ready  *Condition // nil: always ready
	Window *MaintenanceWindow
	Phases PhaseSpec

	AnswerWithin time.Duration // from sent to the first sign of life; default 10 min
	Retry        RetrySpec
	Deferrals    DeferralSpec
	Stragglers   StragglerSpec
	Health       *Condition // over the device, metrics only since it succeeded; nil: success is health
	Gate         Gate       // of rings that have none of their own
	OnFail       FailAction // default pause
	Rollback     RollbackSpec
	Conflict     ConflictAction // default wait

	Approve   *ApproveSpec  // of the plan, before the first ring
	Start     time.Time     // zero: at once
	Deadline  time.Time     // zero: none; what is open then is canceled and the rollout fails
	Blackouts []Blackout    // besides those of Calendars
	Calendars []string      // names of calendar documents
	Urgent    string        // the reason; not empty: soaks and windows are skipped
	KeepOpen  time.Duration // how long the last ring takes late joiners after it passed
}

// RingSpec is a ring as the manifest describes it. A device belongs to the first
// ring whose Where it meets and that has room; the order within a ring's
// candidates is a stable hash of rollout and device.
type RingSpec struct {
	Name    string
	Take    int        // at most so many; 0 with Percent 0: all that are left
	Percent float64    // or so many of all targeted at the start, 0 < p <= 100, rounded up
	Where   *Condition // nil: any
	Soak    time.Duration
	Gate    *Gate        // nil: the rollout's
	Approve *ApproveSpec // asked before the ring begins
}

// Rest reports whether the ring takes whoever is left, and late joiners.
func (r RingSpec) Rest() bool { return r.Take == 0 && r.Percent == 0 }

// ApproveSpec says who has to agree.
type ApproveSpec struct {
	By       []string // role:<role> or user:<name>
	Quorum   int      // 0 is one
	FourEyes bool     // bars who created the rollout
	Notify   string   // channel
	Expires  time.Duration
	Escalate []EscalateSpec
}

// EscalateSpec widens an approval that is still open after a while.
type EscalateSpec struct {
	After  time.Duration
	By     []string
	Notify string
}

// RateSpec bounds how many devices are sent the change per minute: from Start,
// times Factor after every period of Every without a fail verdict, up to Max.
// Start 0: no limit.
type RateSpec struct {
	Start  float64       `json:"start,omitempty"`  // devices per minute
	Factor float64       `json:"factor,omitempty"` // at least 1; 0 is 1
	Every  time.Duration `json:"every,omitempty"`  // nanoseconds in JSON
	Max    float64       `json:"max,omitempty"`    // devices per minute; 0: no bound
}

// BudgetSpec bounds how many devices of a group may be unavailable at once. A
// device is unavailable while it is in flight, when it failed and when it is
// offline; those that were offline when the rollout began do not count. Exactly
// one of MaxUnavailable and MaxPercent is set.
type BudgetSpec struct {
	Per            string // the field whose value makes a group: labels.site; "": the whole rollout
	MaxUnavailable int
	MaxPercent     float64 // of the group, rounded down, at least 1
}

// MaintenanceWindow says at which times of day, on which days, changes may
// begin. Nothing begins that could not finish inside.
type MaintenanceWindow struct {
	Days []time.Weekday // on which it opens; none: every day
	From time.Duration  // since local midnight, by the clock on the wall
	To   time.Duration  // below From: it ends on the next day; equal: all day
	// Zone is an IANA zone, or "device" for each device's own (UTC where a
	// device has none).
	Zone string
}

// ZoneDevice as the zone of a window means that of each device.
const ZoneDevice = "device"

// PhaseSpec bounds the phases of an install.
type PhaseSpec struct {
	Download PhaseLimit // default 12 h
	Install  PhaseLimit // default 30 min; of other changes it bounds the whole
}

// PhaseLimit bounds one phase.
type PhaseLimit struct {
	Timeout   time.Duration
	AnyWindow bool // it may go on, or begin, outside of the window
}

// RetrySpec says how often, and when, a device that failed is tried again.
type RetrySpec struct {
	Times int           // re-tries
	Min   time.Duration // delay before the first; doubled for each further one
	Max   time.Duration
	// If judges the device's error; nil: as the device says, retryable or not.
	If     func(CommandError) (Verdict, error)
	Source string // of If
}

// DeferralSpec bounds how often a device may put the change off.
type DeferralSpec struct {
	Max  int            // default 5
	Then DeferralAction // default ask
}

// DeferralAction is what happens to a device that puts the change off too often.
type DeferralAction string

// What happens to devices that defer too often.
const (
	DeferralAsk    DeferralAction = "ask" // the rollout pauses with the question
	DeferralFail   DeferralAction = "fail"
	DeferralExcuse DeferralAction = "excuse"
	DeferralWait   DeferralAction = "wait" // for ever
)

// StragglerSpec says what becomes of devices that are still open so long after
// their ring began. Those that sleep count from the wake that they promised.
type StragglerSpec struct {
	After time.Duration // 0: never
	Then  StragglerAction
}

// StragglerAction is what becomes of a straggler.
type StragglerAction string

// What becomes of stragglers.
const (
	StragglerExcuse StragglerAction = "excuse" // it leaves the denominators and gets the change when it comes back
	StragglerFail   StragglerAction = "fail"   // it counts as timed out
	StragglerWait   StragglerAction = "wait"   // the ring stays open
)

// Gated reports whether the manifest says what decides on any of its rings.
func (s *RolloutSpec) Gated() bool {
	says := func(g *Gate) bool { return g != nil && (g.Pass != nil || g.Fail != nil) }
	return says(&s.Gate) || slices.ContainsFunc(s.Rings, func(r RingSpec) bool { return says(r.Gate) })
}

// Gate decides on a ring. Fail is judged on every count, Pass only after the
// soak. A missing value or an empty denominator makes a verdict Unknown.
type Gate struct {
	Pass      *GateCondition // nil: no device failed or is unhealthy
	Fail      *GateCondition // nil: never
	Otherwise Otherwise      // default ask
}

// Otherwise is what happens when a gate neither passes nor fails.
type Otherwise string

// What happens when a gate neither passes nor fails.
const (
	OtherwiseAsk  Otherwise = "ask"
	OtherwiseWait Otherwise = "wait"
)

// GateFacts is what a gate sees.
type GateFacts struct {
	Ring    Counts
	Rollout Counts // of all rings
}

// GateCondition is a condition over counts, compiled.
type GateCondition struct {
	Source string
	Judge  func(GateFacts) (Verdict, error)
	// Terms gives the comparisons that the condition is made of, with their
	// values now, for people who watch.
	Terms func(GateFacts) []GateTerm
}

// GateTerm is one comparison of a gate: "pct(ring.healthy, ring.reached)" is
// 97.1, ">=", 98.
type GateTerm struct {
	Text      string   `json:"text"`            // the left side, as written
	Value     *float64 `json:"value,omitempty"` // nil: unknown
	Op        string   `json:"op"`
	Threshold *float64 `json:"threshold,omitempty"` // nil: unknown
	Verdict   Verdict  `json:"verdict"`
}

// FailAction is what happens when a ring's gate fails.
type FailAction string

// What happens when a gate fails.
const (
	FailPause       FailAction = "pause"
	FailStop        FailAction = "stop"
	FailRollback    FailAction = "rollback"     // the devices of this ring are taken back
	FailRollbackAll FailAction = "rollback-all" // all that were reached are
)

// RollbackSpec says how a rollback goes.
type RollbackSpec struct {
	IgnoreWindow bool  // default true
	MaxRate      bool  // no rate limit; default true
	InFlight     int   // 0: the rollout's
	Gate         *Gate // nil: it never fails and passes when all are done
}

// ConflictAction is what happens when another rollout holds a device.
type ConflictAction string

// What happens when another rollout holds a device.
const (
	ConflictWait      ConflictAction = "wait"
	ConflictRefuse    ConflictAction = "refuse"    // the rollout is not created
	ConflictSupersede ConflictAction = "supersede" // the other one gives up what it has not begun
)

// Blackout is a time in which nothing begins.
type Blackout struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Reason string    `json:"reason,omitempty"`
}

// Calendar is a calendar document, compiled: times that bind the rollouts,
// automations and commands of its account and those below.
type Calendar struct {
	Account   string
	Name      string
	Version   int
	Blackouts []Blackout
}

// Freeze keeps everything from leaving an account and those below it.
type Freeze struct {
	Account string    `json:"account"`
	Reason  string    `json:"reason"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
}

// Text says what a freeze does, and how it ends.
func (f Freeze) Text() string {
	return fmt.Sprintf("account %s is frozen by %s%s: nothing leaves before deviceops thaw --account %s", f.Account, f.By, because(f.Reason), f.Account)
}
