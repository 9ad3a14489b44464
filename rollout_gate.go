package deviceops

import (
	"fmt"
	"strings"
)

// GateOutcome is what a gate makes of a ring.
type GateOutcome string

// Outcomes of a gate.
const (
	GateOpen GateOutcome = "open" // nothing is decided before the ring has soaked
	GatePass GateOutcome = "pass"
	GateFail GateOutcome = "fail"
	GateAsk  GateOutcome = "ask"  // neither: a person decides
	GateWait GateOutcome = "wait" // neither: it is judged again when the counts change
)

// GateVerdict is what a gate makes of a ring, and why.
type GateVerdict struct {
	Outcome GateOutcome `json:"outcome"`
	Reason  string      `json:"reason"` // a clause for people
	Pass    GateReading `json:"pass"`
	Fail    GateReading `json:"fail"`
}

// GateReading is one condition of a gate with its values.
type GateReading struct {
	Source  string     `json:"source"` // as written; in words where the manifest has none
	Verdict Verdict    `json:"verdict"`
	Error   string     `json:"error,omitempty"` // why it could not be evaluated
	Terms   []GateTerm `json:"terms,omitempty"`
}

// Judge decides on a ring. soaked says that nothing is open in the ring and that
// its soak is over; before, a gate can only fail. A ring that is through with all
// its devices and does not pass stays where it is: Otherwise says whether a
// person is asked or time is given. What cannot be judged neither passes nor
// fails.
//
// An empty ring is no evidence, so it is asked about unless nothing waits behind
// it.
func (g Gate) Judge(f GateFacts, soaked bool) GateVerdict {
	v := GateVerdict{Pass: g.readPass(f), Fail: g.Fail.read(f, "never", No)}
	switch {
	case v.Fail.Verdict == Yes:
		return v.is(GateFail, "the gate failed: %s%s", v.Fail.Source, v.Fail.values())
	case !soaked:
		return v.is(GateOpen, "the ring is not through yet")
	case f.Ring.Targeted == 0 && f.Rollout.Open() == 0:
		return v.is(GatePass, "no device is in the ring, and none waits behind it")
	case v.Fail.Verdict == No && v.Pass.Verdict == Yes:
		return v.is(GatePass, "the gate passed: %s%s", v.Pass.Source, v.Pass.values())
	}
	if g.Otherwise == OtherwiseWait {
		return v.is(GateWait, "%s", v.doubt(f))
	}
	return v.is(GateAsk, "%s", v.doubt(f))
}

// is gives the verdict with its outcome and the reason for it.
func (v GateVerdict) is(outcome GateOutcome, format string, args ...any) GateVerdict {
	v.Outcome, v.Reason = outcome, fmt.Sprintf(format, args...)
	return v
}

// doubt says why a gate neither passes nor fails.
func (v GateVerdict) doubt(f GateFacts) string {
	switch {
	case f.Ring.Reached() == 0:
		return "no device of the ring was reached, so nothing is known"
	case v.Fail.Verdict == Unknown:
		return "whether the gate fails is not known: " + v.Fail.Source + v.Fail.values()
	case v.Pass.Verdict == Unknown:
		return "whether the gate passes is not known: " + v.Pass.Source + v.Pass.values()
	default:
		return "the ring is through and its gate does not pass: " + v.Pass.Source + v.Pass.values()
	}
}

// values tells what the terms of a condition came to: " (pct(ring.healthy,
// ring.reached) is 97.1, not >= 98)".
func (r GateReading) values() string {
	if r.Error != "" {
		return " (" + r.Error + ")"
	}
	texts := make([]string, len(r.Terms))
	for i, t := range r.Terms {
		texts[i] = t.String()
	}
	if len(texts) == 0 {
		return ""
	}
	return " (" + strings.Join(texts, ", ") + ")"
}

// String gives the term with its value: "ring.failed is 3, not < 2".
func (t GateTerm) String() string {
	relation := "not " + t.Op
	switch t.Verdict {
	case Yes:
		relation = t.Op
	case Unknown:
		relation = "which cannot be compared: " + t.Op
	}
	return fmt.Sprintf("%s is %s, %s %s", t.Text, number(t.Value), relation, number(t.Threshold))
}

// number writes a number with two decimals at most.
func number(n *float64) string {
	if n == nil {
		return "unknown"
	}
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", *n), "0"), ".")
}

// read evaluates a condition; one that the manifest does not have reads as in
// its place.
func (c *GateCondition) read(f GateFacts, source string, verdict Verdict) GateReading {
	if c == nil {
		return GateReading{Source: source, Verdict: verdict}
	}
	r := GateReading{Source: c.Source}
	if c.Terms != nil {
		r.Terms = c.Terms(f)
	}
	verdict, err := c.Judge(f)
	if err != nil {
		r.Error = ErrorMessage(err)
		return r
	}
	r.Verdict = verdict
	return r
}

func (g Gate) readPass(f GateFacts) GateReading {
	return g.Pass.read(f, "no device failed or is unhealthy", judgeFlawless(f.Ring))
}

// judgeFlawless is the pass condition of a gate that has none.
func judgeFlawless(ring Counts) Verdict {
	switch {
	case ring.Unsuccessful()+ring.Unhealthy > 0:
		return No
	case ring.Reached() == 0 || ring.Healthy < ring.Succeeded:
		return Unknown
	default:
		return Yes
	}
}

// Unsuccessful is how many devices came to an end and did not make it: what
// gates call failed.
func (c Counts) Unsuccessful() int { return c.Failed + c.Rejected + c.TimedOut }
