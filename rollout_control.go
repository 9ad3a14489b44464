package deviceops

import "strconv"

// RolloutAction is what a person does to a rollout that goes on.
type RolloutAction string

// Actions on a rollout.
const (
	RolloutPause    RolloutAction = "pause"    // nothing new leaves; what has not been published is withdrawn
	RolloutResume   RolloutAction = "resume"   // also past a gate that asks, if Ring says so
	RolloutCancel   RolloutAction = "cancel"   // what has not begun never will; devices that are at it finish
	RolloutSkip     RolloutAction = "skip"     // the ring that is open counts as passed; what has not begun in it is canceled
	RolloutRetry    RolloutAction = "retry"    // devices that failed or timed out get another attempt
	RolloutSet      RolloutAction = "set"      // Limits
	RolloutRollback RolloutAction = "rollback" // stop it and take back what was reached: of the ring, or of all
)

// RolloutControl is an action of a person on a rollout.
type RolloutControl struct {
	Rollout string        `json:"rollout"`
	Action  RolloutAction `json:"action"`
	By      Principal     `json:"by"`
	Reason  string        `json:"reason,omitempty"`
	Limits  *Limits       `json:"limits,omitempty"` // of set; fields that are zero stay as they are
	All     bool          `json:"all,omitempty"`    // of rollback: every ring that was reached, not the present one alone
	Request string        `json:"request"`          // names the request: told twice it happens once
	// Signature is that of the server that knows the person, see SigningKey.
	Signature string `json:"signature,omitempty"`
}

// ID names the control, as Decision.ID does.
func (c RolloutControl) ID() string {
	limits := ""
	if c.Limits != nil {
		limits = strconv.Itoa(c.Limits.InFlight) + " " + strconv.FormatFloat(c.Limits.Rate.Start, 'g', -1, 64)
	}
	return ShortHash(16, "rollout", c.Rollout, string(c.Action), c.By.Name, c.Reason, limits, strconv.FormatBool(c.All), c.Request)
}

// RolloutControlled says what a control did.
type RolloutControlled struct {
	Status     RolloutStatus `json:"status"`
	Epoch      int64         `json:"epoch"`
	Withdrawal *Withdrawal   `json:"withdrawal,omitempty"` // of pause, cancel, skip and rollback
	Devices    int           `json:"devices,omitempty"`    // canceled or asked again
	Rollback   string        `json:"rollback,omitempty"`   // the id of the rollout that takes it back
	Text       string        `json:"text"`                 // one sentence for people
}
