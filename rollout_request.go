package deviceops

import (
	"strconv"
	"strings"
	"time"
)

// RolloutRequest asks to create a rollout, or to preview one.
type RolloutRequest struct {
	Source  string `json:"source" doc:"The manifest, YAML"`
	File    string `json:"file,omitempty" doc:"Its name, for diagnostics" example:"rollout.yaml"`
	Account string `json:"account,omitempty" doc:"Whose devices. Default: the caller's account"`
	Reason  string `json:"reason,omitempty"`
}

// RolloutCreated says what became of a manifest.
type RolloutCreated struct {
	Refused     bool             `json:"refused"` // see Diagnostics; nothing was stored
	Created     bool             `json:"created"` // false: it was created before, with the same content
	Diagnostics []DiagnosticText `json:"diagnostics,omitempty"`
	Rollout     *Rollout         `json:"rollout,omitempty"`
}

// RolloutPreviewed says what a manifest would do.
type RolloutPreviewed struct {
	Refused     bool             `json:"refused"`
	Diagnostics []DiagnosticText `json:"diagnostics,omitempty"`
	Preview     *RolloutPreview  `json:"preview,omitempty"`
}

// RolloutPreview is what a rollout would do, told before anything begins.
type RolloutPreview struct {
	Name     string        `json:"name"`
	Kind     ChangeKind    `json:"kind"`
	Change   string        `json:"change"` // in words: "release kiosk-os@2.4.0"
	Hash     string        `json:"hash"`
	Targeted int           `json:"targeted"` // devices that meet the targets now, the excused ones included
	Rings    []RingPreview `json:"rings"`
	Excused  []Excuse      `json:"excused,omitempty"`
	Held     *Excuse       `json:"held,omitempty"`  // devices that other rollouts hold, with the rollout of the example as reason
	Notes    []string      `json:"notes,omitempty"` // what a person should know: "ring canary takes 7, not 10: no more match"
	Begins   time.Time     `json:"begins"`
	Ends     time.Time     `json:"ends,omitzero"` // as expected, if all goes well; zero: nobody can tell
}

// RingPreview is what a ring would be.
type RingPreview struct {
	Name     string        `json:"name"`
	Devices  int           `json:"devices"`
	Online   int           `json:"online"` // of them, now
	Examples []string      `json:"examples,omitempty"`
	Begins   time.Time     `json:"begins,omitzero"` // as expected
	Ends     time.Time     `json:"ends,omitzero"`   // as expected, soak included
	Soak     time.Duration `json:"soak,omitempty"`  // nanoseconds
	Asks     []string      `json:"asks,omitempty"`  // who has to approve before it begins
	Pass     string        `json:"pass,omitempty"`  // of its gate
	Fail     string        `json:"fail,omitempty"`
	OnFail   FailAction    `json:"on_fail,omitempty"`
}

// Excuse is why devices that meet the targets get no change.
type Excuse struct {
	Reason  string `json:"reason"`
	Devices int    `json:"devices"`
	Example string `json:"example"`
}

// RolloutControlRequest asks for an action on a rollout.
type RolloutControlRequest struct {
	Action RolloutAction `json:"action" enum:"pause,resume,cancel,skip,retry,set,rollback"`
	Reason string        `json:"reason,omitempty"`
	Limits *Limits       `json:"limits,omitempty" doc:"Of set: fields that are zero stay as they are. Rates are devices per minute"`
	All    bool          `json:"all,omitempty" doc:"Of rollback: every ring that was reached, not the present one alone"`
}

// RolloutReport is what there is to see of a rollout at a moment.
type RolloutReport struct {
	Rollout   Rollout          `json:"rollout"`              // with rings
	Change    string           `json:"change"`               // in words: "release kiosk-os@2.4.0"
	PerMinute float64          `json:"per_minute,omitempty"` // the rate limit at this moment; 0: none
	Gates     []RingGate       `json:"gates,omitempty"`      // of the rings that were opened
	Errors    []ErrorCount     `json:"errors,omitempty"`     // most first
	Waits     map[WaitKind]int `json:"waits,omitempty"`      // how many devices wait for what
	Approvals []Approval       `json:"approvals,omitempty"`  // open ones
	Next      string           `json:"next,omitempty"`       // what happens next, in words
	NextAt    time.Time        `json:"next_at,omitzero"`     // at the latest, where that is known
}

// RingGate is what the gate of a ring makes of it at a moment.
type RingGate struct {
	Ring int `json:"ring"`
	GateVerdict
}

// FreezeRequest asks to freeze an account.
type FreezeRequest struct {
	Account string `json:"account,omitempty" doc:"This account and all below it. Default: the caller's account"`
	Reason  string `json:"reason,omitempty"`
}

// rateUnits are the units of a rate, in minutes.
var rateUnits = map[string]float64{"s": 1.0 / 60, "m": 1, "h": 60}

// ParseRate reads a rate such as 60/m, 10/s or 500/h as devices per minute.
// EINVALID.
func ParseRate(text string) (float64, error) {
	number, unit, _ := strings.Cut(text, "/")
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	minutes, known := rateUnits[strings.TrimSpace(unit)]
	if err != nil || !known || n <= 0 {
		return 0, Errorf(EINVALID, "%q is no rate: write a number per s, m or h, such as 60/m", text)
	}
	return n / minutes, nil
}
