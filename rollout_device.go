package deviceops

import "time"

// RolloutDeviceStatus is what became of a device in a rollout.
type RolloutDeviceStatus string

// Statuses of a device in a rollout. The first four are on the way, the next
// ones final as far as this rollout goes; reverting and what follows are written
// by its rollback.
const (
	DevicePending   RolloutDeviceStatus = "pending"   // nothing has left for it; see its Wait
	DeviceSent      RolloutDeviceStatus = "sent"      // the broker has the command; the device is silent so far
	DeviceAccepted  RolloutDeviceStatus = "accepted"  // the device works on it
	DeviceDeferred  RolloutDeviceStatus = "deferred"  // the device asked to be asked later
	DeviceSucceeded RolloutDeviceStatus = "succeeded" //
	DeviceFailed    RolloutDeviceStatus = "failed"    // and no re-try is left
	DeviceRejected  RolloutDeviceStatus = "rejected"  // it will never do it
	DeviceTimedOut  RolloutDeviceStatus = "timed_out" // it gave no sign of life, or did not come to an end, in time
	DeviceExcused   RolloutDeviceStatus = "excused"   // it counts no more
	DeviceCanceled  RolloutDeviceStatus = "canceled"  // the rollout, or its ring, was called off before its turn

	DeviceReverting    RolloutDeviceStatus = "reverting"
	DeviceReverted     RolloutDeviceStatus = "reverted"
	DeviceRevertFailed RolloutDeviceStatus = "revert_failed"
)

// Open reports whether something more happens to the device in this rollout.
func (s RolloutDeviceStatus) Open() bool {
	switch s {
	case DevicePending, DeviceSent, DeviceAccepted, DeviceDeferred:
		return true
	default:
		return false
	}
}

// InFlight reports whether the device may be at the change.
func (s RolloutDeviceStatus) InFlight() bool { return s == DeviceSent || s == DeviceAccepted }

// CodeStraggler is the error code of a device that was excused because it took
// too long. It gets the change when it comes back.
const CodeStraggler = "straggler"

// RolloutDevice is the row of one device in one rollout.
type RolloutDevice struct {
	Rollout string              `json:"rollout"`
	Device  string              `json:"device"`
	Account string              `json:"account"`
	Ring    int                 `json:"ring"`
	Status  RolloutDeviceStatus `json:"status"`

	Attempt   int       `json:"attempt,omitempty"` // of the command; 0: none was sent
	Deferrals int       `json:"deferrals,omitempty"`
	DueAt     time.Time `json:"due_at,omitzero"` // not before; zero: when something wakes it (see Wait)

	// Wait is why a device that is pending or deferred was left alone when it
	// was last looked at, since when, and what was found then.
	Wait *RolloutWait `json:"wait,omitempty"`

	From     Origin        `json:"from,omitzero"` // what the device was before, for its way back
	Error    *CommandError `json:"error,omitempty"`
	Phase    string        `json:"phase,omitempty"` // of an install
	Percent  int           `json:"percent,omitempty"`
	Health   Verdict       `json:"health"` // of one that succeeded, when it was last judged
	SentAt   time.Time     `json:"sent_at,omitzero"`
	AnswerAt time.Time     `json:"answer_at,omitzero"` // the first sign of life after SentAt
	EndedAt  time.Time     `json:"ended_at,omitzero"`
	AddedAt  time.Time     `json:"added_at,omitzero"` // when it became part of the rollout: the first DueAt; set by the store
}

// Origin is what a change replaced on a device.
type Origin struct {
	Release       string            `json:"release,omitempty"`       // project@version, where one is known that matches
	Software      map[string]string `json:"software,omitempty"`      // reported, of the components that change
	Configuration map[string]any    `json:"configuration,omitempty"` // desired before
}

// WaitKind is what a device waits for in a rollout.
type WaitKind string

// Kinds of waits. The first ones hold for a whole rollout or ring, the others
// for a device.
const (
	WaitRing     WaitKind = "ring"      // its ring has not begun
	WaitApproval WaitKind = "approval"  // a person has to decide first
	WaitStart    WaitKind = "start"     // the rollout begins later
	WaitPaused   WaitKind = "paused"    //
	WaitFreeze   WaitKind = "freeze"    // nothing leaves the account until thaw
	WaitRate     WaitKind = "rate"      //
	WaitInFlight WaitKind = "in_flight" // as many as may be are at it

	WaitOffline  WaitKind = "offline"  // until its hello
	WaitSleep    WaitKind = "sleep"    // until it wakes
	WaitWindow   WaitKind = "window"   // its maintenance window, or the end of a blackout
	WaitBudget   WaitKind = "budget"   // too many of its group are unavailable
	WaitReady    WaitKind = "ready"    // the manifest's condition does not hold
	WaitLock     WaitKind = "lock"     // an exclusive command holds it
	WaitConflict WaitKind = "conflict" // another rollout holds it
	WaitFamily   WaitKind = "family"   // its gateway, or a device behind it, is in flight
	WaitRetry    WaitKind = "retry"    // it failed and is tried again later
	WaitDeferred WaitKind = "deferred" // it asked to be asked later
)

// RolloutWait is a stored decision to leave a device alone.
type RolloutWait struct {
	Kind  WaitKind  `json:"kind"`
	Text  string    `json:"text"`           // what exactly: "site berlin-3 has 1 of 1 unavailable: k7"
	Since time.Time `json:"since"`          // of this kind
	Until time.Time `json:"until,omitzero"` // when it is looked at next by itself; zero: something has to happen
}

// Counts are the numbers of a ring, or of a rollout.
type Counts struct {
	Targeted int `json:"targeted"` // all but the excused ones

	Pending   int `json:"pending"`
	Leased    int `json:"leased,omitempty"` // of the pending ones: being published at this moment
	Sent      int `json:"sent"`
	Accepted  int `json:"accepted"`
	Deferred  int `json:"deferred"`
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	Rejected  int `json:"rejected"`
	TimedOut  int `json:"timed_out"`
	Excused   int `json:"excused"`
	Canceled  int `json:"canceled"`

	Reverting    int `json:"reverting,omitempty"`
	Reverted     int `json:"reverted,omitempty"`
	RevertFailed int `json:"revert_failed,omitempty"`

	// Of those that succeeded: judged by the manifest's health condition. Where
	// there is none every one of them is healthy. The rest is not known yet.
	Healthy   int `json:"healthy"`
	Unhealthy int `json:"unhealthy"`
}

// InFlight is how many devices may be at the change.
func (c Counts) InFlight() int { return c.Sent + c.Accepted }

// Open is how many devices something more happens to.
func (c Counts) Open() int { return c.Pending + c.Sent + c.Accepted + c.Deferred }

// Finished is how many devices came to an end, well or not. Those that were
// excused or canceled are not among them.
func (c Counts) Finished() int {
	return c.Succeeded + c.Failed + c.Rejected + c.TimedOut + c.Reverting + c.Reverted + c.RevertFailed
}

// Reached is how many devices the change was sent to, or that had it already.
func (c Counts) Reached() int { return c.InFlight() + c.Deferred + c.Finished() }

// Add gives the sum of two counts.
func (c Counts) Add(o Counts) Counts {
	for i, n := range c.fields() {
		*n += *o.fields()[i]
	}
	return c
}

func (c *Counts) fields() []*int {
	return []*int{
		&c.Targeted, &c.Pending, &c.Leased, &c.Sent, &c.Accepted, &c.Deferred, &c.Succeeded, &c.Failed, &c.Rejected, &c.TimedOut, &c.Excused,
		&c.Canceled, &c.Reverting, &c.Reverted, &c.RevertFailed, &c.Healthy, &c.Unhealthy,
	}
}
