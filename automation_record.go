package deviceops

import (
	"context"
	"time"
)

// AutomationRef names an automation: the account of its document, and its name.
type AutomationRef struct {
	Account string `json:"account"`
	Name    string `json:"name"`
}

// Ref gives the name of a.
func (a *Automation) Ref() AutomationRef { return AutomationRef{a.Account, a.Name} }

// AutomationSlot names one key of one automation.
type AutomationSlot struct {
	AutomationRef
	Key string `json:"key"`
}

// AutomationState is what people and the brake have decided about an automation.
// One without a row is enabled.
type AutomationState struct {
	AutomationRef
	Disabled  bool       `json:"disabled,omitempty"`
	Brake     LimitState `json:"brake,omitzero"`
	ChangedAt time.Time  `json:"changed_at,omitzero"`
	ChangedBy string     `json:"changed_by,omitempty"`
	Reason    string     `json:"reason,omitempty"`
}

// AutomationOutcome is what became of an event that an automation heard and that
// passed its condition.
type AutomationOutcome string

// Outcomes.
const (
	OutcomeStarted   AutomationOutcome = "started"
	OutcomeTicket    AutomationOutcome = "ticket"    // Detail is the ticket that was opened, or told again
	OutcomeRecovered AutomationOutcome = "recovered" // the ticket Detail was closed: the condition no longer holds
	OutcomeQueued    AutomationOutcome = "queued"    // behind a run of the same key
	OutcomeSkipped   AutomationOutcome = "skipped"   // a run of the same key goes on
	OutcomeReplacing AutomationOutcome = "replacing" // the run of the same key is canceled first
	OutcomeStopped   AutomationOutcome = "stopped"   // by the brake
	OutcomeDisabled  AutomationOutcome = "disabled"
	OutcomeFailed    AutomationOutcome = "failed" // Detail says why
	OutcomeHolding   AutomationOutcome = "holding"
	OutcomeSilenced  AutomationOutcome = "silenced"
	OutcomeStale     AutomationOutcome = "stale"
	OutcomeBroken    AutomationOutcome = "broken" // what had held since Since no longer does
	OutcomeLapsed    AutomationOutcome = "lapsed"
	OutcomeExcluded  AutomationOutcome = "excluded" // by a calendar: of schedules
	OutcomeMissed    AutomationOutcome = "missed"   // its time was over by more than catch_up: of schedules
	OutcomeNo        AutomationOutcome = "no"       // of explanations: no row is kept of it
)

// AutomationDecision is one line of what an automation decided.
type AutomationDecision struct {
	ID int64 `json:"id"`
	AutomationRef
	Version   int               `json:"version"`
	Key       string            `json:"key"`
	Event     int64             `json:"event,omitempty"` // the deciding one; 0: the clock decided
	Device    string            `json:"device,omitempty"`
	At        time.Time         `json:"at"`         // of the event, or the moment that the clock decided
	DecidedAt time.Time         `json:"decided_at"` //
	Outcome   AutomationOutcome `json:"outcome"`
	Run       string            `json:"run,omitempty"`  // that was started, or that stood in the way
	Since     time.Time         `json:"since,omitzero"` // of a hold or burst
	Until     time.Time         `json:"until,omitzero"` // of silence; when the clock decides a hold or burst
	Detail    string            `json:"detail,omitempty"`
}

// AutomationDecisionFilter selects decisions, newest first. Zero fields select
// all.
type AutomationDecisionFilter struct {
	AutomationRef
	Event int64
	Limit int // 0: 100
}

// AutomationsKept is how long decisions can be explained.
const AutomationsKept = 7 * 24 * time.Hour

// AutomationRecords keeps what automations remember.
type AutomationRecords interface {
	// AutomationRevision gives a number that rises whenever an automation that
	// account can see is published, retired, enabled, disabled or stopped.
	AutomationRevision(ctx context.Context, account string) (int64, error)

	// ListAutomationStates gives the states of the automations that account can
	// see; those that never had one are left out.
	ListAutomationStates(ctx context.Context, account string) ([]AutomationState, error)

	// LockAutomationStates gives the states of automations and locks them, in
	// order, until the transaction ends.
	LockAutomationStates(ctx context.Context, refs []AutomationRef) (map[AutomationRef]*AutomationState, error)

	// SaveAutomationStates writes states that are locked.
	SaveAutomationStates(ctx context.Context, states []AutomationState) error

	// LockAutomationKeys gives keys and locks them, in order, until the
	// transaction ends. Those that are new are made.
	LockAutomationKeys(ctx context.Context, slots []AutomationSlot) (map[AutomationSlot]*AutomationKey, error)

	// SaveAutomationKeys writes keys that are locked.
	SaveAutomationKeys(ctx context.Context, keys map[AutomationSlot]*AutomationKey, now time.Time) error

	// FindAutomationKeys gives keys as they are, without a lock: one, or with an
	// empty Key up to limit of the automation, the last used first.
	FindAutomationKeys(ctx context.Context, slot AutomationSlot, limit int) (map[AutomationSlot]*AutomationKey, error)

	// OpenAutomationTickets counts the tickets that are open until the condition of
	// their key no longer holds.
	OpenAutomationTickets(ctx context.Context, a AutomationRef) (int, error)

	// DueAutomationKeys gives and locks up to limit keys whose deadline has come,
	// those due longest first. Keys that others hold are left out.
	DueAutomationKeys(ctx context.Context, now time.Time, limit int) (map[AutomationSlot]*AutomationKey, error)

	// DisabledAutomations gives the automations of all accounts that are disabled.
	DisabledAutomations(ctx context.Context) ([]AutomationRef, error)

	// ClaimCall enters the key of a call, which is known for AutomationsKept. When
	// it is known already, fresh is false, and event the event that it became; 0:
	// none.
	ClaimCall(ctx context.Context, account, key string, now time.Time) (event int64, fresh bool, err error)

	// SettleCall notes the event that a call became.
	SettleCall(ctx context.Context, key string, event int64) error

	// EnterAutomationRuns notes to which keys runs belong.
	EnterAutomationRuns(ctx context.Context, runs map[string]AutomationSlot) error

	// EndAutomationRuns forgets runs and gives the keys to which they belonged;
	// runs that no automation started are left out.
	EndAutomationRuns(ctx context.Context, runs []string) (map[string]AutomationSlot, error)

	// CancelAutomationRuns marks runs as to be canceled.
	CancelAutomationRuns(ctx context.Context, runs []string, now time.Time) error

	// CancelingAutomationRuns leases up to limit runs that are to be canceled and
	// have not ended since before.
	CancelingAutomationRuns(ctx context.Context, before, now time.Time, limit int) ([]string, error)

	// AppendAutomationDecisions stores decisions in bulk.
	AppendAutomationDecisions(ctx context.Context, decisions []AutomationDecision) error

	// ListAutomationDecisions gives decisions.
	ListAutomationDecisions(ctx context.Context, f AutomationDecisionFilter) ([]AutomationDecision, error)

	// FollowingAutomationDecision gives the first decision after d, of its automation
	// and key, that ends what d tells of: one that is not holding. False: there is
	// none yet.
	FollowingAutomationDecision(ctx context.Context, d AutomationDecision) (AutomationDecision, bool, error)

	// PruneAutomations removes decisions and calls that were made before the limit, and keys
	// that were last used before keysBefore and remember nothing that counts.
	PruneAutomations(ctx context.Context, before, keysBefore time.Time) error
}
