package deviceops

import (
	"time"
)

// RolloutStatus is how far a rollout is.
type RolloutStatus string

// Statuses of a rollout.
const (
	RolloutPlanning  RolloutStatus = "planning"  // devices are being assigned to rings
	RolloutWaiting   RolloutStatus = "waiting"   // for a person or for its start; nothing was sent so far
	RolloutRunning   RolloutStatus = "running"   //
	RolloutPaused    RolloutStatus = "paused"    // nothing new leaves until somebody resumes it
	RolloutReverting RolloutStatus = "reverting" // it was stopped, and its rollback is under way
	RolloutSucceeded RolloutStatus = "succeeded" //
	RolloutFailed    RolloutStatus = "failed"    // stopped by its gate, its deadline or its rollback
	RolloutCanceled  RolloutStatus = "canceled"  //
	RolloutReverted  RolloutStatus = "reverted"  // what it changed was taken back
)

// Ended reports whether nothing more happens.
func (s RolloutStatus) Ended() bool {
	switch s {
	case RolloutSucceeded, RolloutFailed, RolloutCanceled, RolloutReverted:
		return true
	default:
		return false
	}
}

// Rollout is a change that is taken to many devices, ring by ring. Its manifest
// never changes; what people change while it goes on are its Limits.
type Rollout struct {
	ID      string     `json:"id"` // RolloutID of account and name
	Account string     `json:"account"`
	Name    string     `json:"name"`
	Kind    ChangeKind `json:"kind"`
	Source  string     `json:"source,omitempty"` // the manifest, YAML
	Hash    string     `json:"hash"`             // hex SHA-256 of Source: what an approval is bound to

	Status       RolloutStatus `json:"status"`
	StatusReason string        `json:"status_reason,omitempty"`
	StatusBy     string        `json:"status_by,omitempty"` // the person, or engine
	StatusSince  time.Time     `json:"status_since"`

	// Epoch rises with every control. Claims name the epoch that they were
	// decided in, so that none leaves after a pause that they did not see.
	Epoch  int64  `json:"epoch"`
	Limits Limits `json:"limits"`

	RollbackOf string `json:"rollback_of,omitempty"` // the rollout that this one takes back
	Rollback   string `json:"rollback,omitempty"`    // the rollout that takes this one back
	TakeBack   []int  `json:"take_back,omitempty"`   // the rings, by index, that are to be taken back

	// HealthBySuccess makes a device healthy as soon as it has succeeded, since the
	// manifest does not say what healthy is. Otherwise it is judged from then on.
	HealthBySuccess bool `json:"health_by_success,omitempty"`

	Notes []string `json:"notes,omitempty"` // of its planning: what a person should know

	CreatedBy  string    `json:"created_by"`
	Reason     string    `json:"reason,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
	StartedAt  time.Time `json:"started_at,omitzero"`  // the first ring was opened
	FinishedAt time.Time `json:"finished_at,omitzero"` //
	PumpedAt   time.Time `json:"-"`                    // devices were claimed last: see RolloutClaim.Seen

	Rings []Ring `json:"rings,omitempty"` // by index; left out of lists
}

// Superseded reports whether every device was called off before its turn, as other
// rollouts took them over.
func (r *Rollout) Superseded() bool {
	total := r.Total()
	return total.Canceled > 0 && total.Canceled == total.Targeted
}

// PacedSince gives since when the rate grows: the first ring, or the last time that
// the rollout went on after a pause.
func (r *Rollout) PacedSince() time.Time {
	if r.StatusSince.After(r.StartedAt) {
		return r.StatusSince
	}
	return r.StartedAt
}

// Limits bound how fast a rollout goes. They begin as the manifest says.
type Limits struct {
	InFlight int      `json:"in_flight"` // devices that are at it at once
	Rate     RateSpec `json:"rate,omitzero"`
}

// RingStatus is how far a ring is.
type RingStatus string

// Statuses of a ring.
const (
	RingPending RingStatus = "pending" // its turn has not come
	RingAsking  RingStatus = "asking"  // a person decides whether it begins
	RingRunning RingStatus = "running" // devices are reached
	RingSoaking RingStatus = "soaking" // all are done; time shows whether they stay well
	RingPassed  RingStatus = "passed"  //
	RingFailed  RingStatus = "failed"  // its gate said no
	RingSkipped RingStatus = "skipped" // by a person; what had not begun is canceled
)

// Ring is one stage of a rollout.
type Ring struct {
	Index    int        `json:"index"` // from 0
	Name     string     `json:"name"`
	Status   RingStatus `json:"status"`
	Reason   string     `json:"reason,omitempty"` // why it has this status, in words
	OpenedAt time.Time  `json:"opened_at,omitzero"`
	SoakAt   time.Time  `json:"soak_at,omitzero"` // when soaking began
	ClosedAt time.Time  `json:"closed_at,omitzero"`
	Counts   Counts     `json:"counts"`

	// Pardoned is how many devices that did not make it, or are not well, a person
	// let pass by resuming after the gate had failed: it fails again only with more.
	// nil: nobody had to.
	Pardoned *int `json:"pardoned,omitempty"`
}

// RolloutID gives the id of the rollout of this name: deterministic, so that
// creating it twice creates one, and short, because it is part of every command
// id that devices are sent.
func RolloutID(account, name string) string {
	return "ro-" + ShortHash(6, "deviceops-rollout", account, name)
}

// RolloutCommandID gives the id of the command by which a rollout changes a
// device: one per pair, whatever process sends it and however often.
func RolloutCommandID(rollout, device string) string {
	id := rollout + "." + device
	if ValidID(id) {
		return id
	}
	return rollout + "." + ShortHash(16, device)
}

// RolloutWorkflow is the type of the workflow that decides for a rollout.
const RolloutWorkflow = "Rollout"

// RolloutWorkflowID gives the id of the workflow that decides for a rollout.
func RolloutWorkflowID(rollout string) string { return "rollout/" + rollout }
