package deviceops

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// RolloutLook is how often the numbers of a rollout that goes on are looked at
// when nothing is heard of them.
const RolloutLook = 30 * time.Second

// HealthPatience is how long after the last device of a ring was done a person is
// asked at the earliest because it is not known whether devices are well.
const HealthPatience = 5 * time.Minute

// RolloutView is what decides how a rollout goes on: NextStep is a function of
// it and of nothing else.
type RolloutView struct {
	Spec    *RolloutSpec
	Rollout Rollout // with its rings and their counts
	Memory  RolloutMemory
	Now     time.Time

	// Deferred is how many devices wait for a person because they used up their
	// deferrals.
	Deferred int
	// Superseded says that nobody is left: see Rollout.Superseded.
	Superseded bool
	// Rollback is the status of the rollout that takes this one back; "": none.
	Rollback RolloutStatus
}

// RolloutMemory is what people have said about a rollout that its row does not
// tell. Their approvals do: see Rollout.Recall.
type RolloutMemory struct {
	Answers []RolloutAnswer `json:"answers,omitempty"`
}

// RolloutDo is what a step of a rollout does.
type RolloutDo string

// What a step does.
const (
	DoAsk    RolloutDo = "ask"    // a person decides: Question. Until then the rollout goes on as it is
	DoWait   RolloutDo = "wait"   // nothing changes before Until, or before something happens
	DoOpen   RolloutDo = "open"   // Ring begins, or goes on
	DoKeep   RolloutDo = "keep"   // devices of Ring are at it, or have yet to be; look again at Until
	DoSoak   RolloutDo = "soak"   // all devices of Ring are done; time shows until Until whether they stay well
	DoPass   RolloutDo = "pass"   // Ring has passed
	DoFail   RolloutDo = "fail"   // Ring's gate has failed: Action
	DoPause  RolloutDo = "pause"  // a person said no, or did not say anything in time
	DoFinish RolloutDo = "finish" // the rollout ends in Status; what has not begun never will
	DoDrain  RolloutDo = "drain"  // it has ended, and devices are still at it
	DoEnd    RolloutDo = "end"    // nothing is left to be done
)

// RolloutStep is what a rollout does next.
type RolloutStep struct {
	Do       RolloutDo        `json:"do"`
	Ring     int              `json:"ring"`               // index; -1: it concerns no single one
	Until    time.Time        `json:"until,omitzero"`     // look again then at the latest; zero: when something happens
	Question *RolloutQuestion `json:"question,omitempty"` // of ask
	Action   FailAction       `json:"action,omitempty"`   // of fail
	Status   RolloutStatus    `json:"status,omitempty"`   // of finish
	Reason   string           `json:"reason,omitempty"`   // in words
}

// QuestionKind is what a person is asked about a rollout.
type QuestionKind string

// Kinds of questions.
const (
	AskPlan      QuestionKind = "plan"      // may it begin at all?
	AskRing      QuestionKind = "ring"      // may the ring begin?
	AskGate      QuestionKind = "gate"      // its gate does not pass: is the ring good enough?
	AskDeferrals QuestionKind = "deferrals" // devices put it off too often: are they to be asked on?
)

// RolloutQuestion is a question to people.
type RolloutQuestion struct {
	Kind QuestionKind `json:"kind"`
	Ring int          `json:"ring"` // index; -1: the whole rollout
	Text string       `json:"text"`
}

// Key names the question within its rollout.
func (q RolloutQuestion) Key() string {
	if q.Ring < 0 {
		return string(q.Kind)
	}
	return string(q.Kind) + "-" + strconv.Itoa(q.Ring)
}

// ParseRolloutQuestion gives the question that a key names, without its text.
func ParseRolloutQuestion(key string) RolloutQuestion {
	kind, ring, of := strings.Cut(key, "-")
	q := RolloutQuestion{Kind: QuestionKind(kind), Ring: -1}
	if i, err := strconv.Atoi(ring); of && err == nil {
		q.Ring = i
	}
	return q
}

// RolloutAnswer is how a question ended.
type RolloutAnswer struct {
	Question string         `json:"question"` // RolloutQuestion.Key
	Status   ApprovalStatus `json:"status"`   // approved, rejected or expired
	By       string         `json:"by,omitempty"`
	Comment  string         `json:"comment,omitempty"`
	Hash     string         `json:"hash"` // of the manifest that it was given for
}

// says describes a no.
func (a RolloutAnswer) says(what string) string {
	if a.Status == ApprovalExpired {
		return "nobody decided in time " + what
	}
	text := a.By + " said no when asked " + what
	if a.Comment != "" {
		text += ": " + a.Comment
	}
	return text
}

// answer gives the answer to a question for this very manifest.
func (v *RolloutView) answer(q RolloutQuestion) (RolloutAnswer, bool) {
	i := slices.IndexFunc(v.Memory.Answers, func(a RolloutAnswer) bool { return a.Question == q.Key() && a.Hash == v.Rollout.Hash })
	if i < 0 {
		return RolloutAnswer{}, false
	}
	return v.Memory.Answers[i], true
}

// NextStep tells how a rollout goes on.
func NextStep(v RolloutView) RolloutStep {
	if v.Rollout.Status.Ended() {
		return v.drain()
	}
	if d := v.Spec.Deadline; !d.IsZero() && !v.Now.Before(d) && v.Rollout.Status != RolloutReverting {
		return finish(RolloutFailed, "its deadline passed: "+stamp(d))
	}
	switch v.Rollout.Status {
	case RolloutPlanning, RolloutWaiting:
		return v.begin()
	case RolloutPaused:
		return v.wait("it is paused")
	case RolloutReverting:
		return v.revert()
	default:
		return v.goOn()
	}
}

// drain waits for devices that were at it when the rollout ended.
func (v *RolloutView) drain() RolloutStep {
	total := v.Rollout.Total()
	open := total.InFlight() + total.Leased
	if v.Rollout.Status == RolloutSucceeded {
		open = total.Open() // those that came late get the change too
	}
	if open == 0 {
		return RolloutStep{Do: DoEnd, Ring: -1}
	}
	return RolloutStep{Do: DoDrain, Ring: -1, Until: v.Now.Add(RolloutLook), Reason: devices(open) + " are still at it"}
}

// begin has people agree to the plan and waits for the start. Nothing was sent
// so far.
func (v *RolloutView) begin() RolloutStep {
	if v.Spec.Approve != nil || v.Spec.Urgent != "" {
		q := RolloutQuestion{Kind: AskPlan, Ring: -1, Text: v.askPlan()}
		switch a, answered := v.answer(q); {
		case !answered:
			return v.ask(q)
		case a.Status != ApprovalApproved:
			return finish(RolloutCanceled, a.says("whether it may begin"))
		}
	}
	if v.Spec.Start.After(v.Now) {
		return v.waitUntil(v.Spec.Start, "it begins at "+stamp(v.Spec.Start))
	}
	return v.goOn()
}

func (v *RolloutView) askPlan() string {
	text := fmt.Sprintf("May rollout %s begin? It reaches %s in %s", v.Rollout.Name, devices(v.Rollout.Total().Targeted), count(len(v.Rollout.Rings), "ring"))
	if v.Spec.Urgent != "" {
		text += ", and skips soaks and windows since it is urgent: " + v.Spec.Urgent
	}
	return text
}

// goOn deals with the first ring that has not passed, unless the gate of one has
// failed that goes on beside it, since devices are asked again.
func (v *RolloutView) goOn() RolloutStep {
	for i, ring := range v.Rollout.Rings {
		if ring.Status != RingRunning && ring.Status != RingSoaking {
			continue
		}
		if failing := v.failing(i, false); failing != nil {
			return *failing
		}
	}
	i := v.Rollout.Present()
	if i < 0 {
		return v.last()
	}
	switch v.Rollout.Rings[i].Status {
	case RingPending, RingAsking:
		return v.turn(i)
	default:
		return v.present(i)
	}
}

// turn begins a ring, once people agree to it where the manifest asks them.
func (v *RolloutView) turn(i int) RolloutStep {
	open := RolloutStep{Do: DoOpen, Ring: i, Reason: "its turn has come"}
	if v.ringSpec(i).Approve == nil {
		return open
	}
	q := RolloutQuestion{Kind: AskRing, Ring: i, Text: v.askRing(i)}
	switch a, answered := v.answer(q); {
	case !answered:
		return v.ask(q)
	case a.Status != ApprovalApproved:
		return RolloutStep{Do: DoPause, Ring: i, Reason: a.says("whether ring " + v.Rollout.Rings[i].Name + " may begin")}
	default:
		open.Reason = a.By + " let it begin"
		return open
	}
}

func (v *RolloutView) askRing(i int) string {
	text := fmt.Sprintf("May ring %s of rollout %s begin with %s?", v.Rollout.Rings[i].Name, v.Rollout.Name, devices(v.Rollout.Rings[i].Counts.Targeted))
	if i > 0 {
		before := v.Rollout.Rings[i-1]
		text += fmt.Sprintf(" Ring %s %s: %s", before.Name, before.Status, summary(before.Counts))
	}
	return text
}

// present deals with a ring that is open: its gate may pass once its devices are
// done and have soaked.
func (v *RolloutView) present(i int) RolloutStep {
	ring := v.Rollout.Rings[i]
	if v.Deferred > 0 {
		q := RolloutQuestion{Kind: AskDeferrals, Ring: i, Text: v.askDeferrals(i)}
		if _, answered := v.answer(q); !answered {
			return v.ask(q)
		}
	}
	soak := v.soak(i)
	switch {
	case ring.Counts.Open() > 0:
		return v.keep(i, fmt.Sprintf("%d of %d devices are done", ring.Counts.Finished(), ring.Counts.Targeted))
	case soak > 0 && ring.SoakAt.IsZero():
		return RolloutStep{Do: DoSoak, Ring: i, Until: v.soon(v.Now.Add(soak)), Reason: "it soaks for " + soak.String()}
	case soak > 0 && v.Now.Before(ring.SoakAt.Add(soak)):
		return RolloutStep{Do: DoSoak, Ring: i, Until: v.soon(ring.SoakAt.Add(soak)), Reason: "it soaks until " + stamp(ring.SoakAt.Add(soak))}
	default:
		return v.judge(i)
	}
}

func (v *RolloutView) askDeferrals(i int) string {
	return fmt.Sprintf("%s of ring %s put the change off more than %d times. Ask them again? If not, they count as failed.",
		devices(v.Deferred), v.Rollout.Rings[i].Name, v.Spec.Deferrals.Max)
}

// soak is how long a ring soaks: not at all where nobody was reached. While it is
// not known of devices whether they are well, they get HealthPatience to show it.
func (v *RolloutView) soak(i int) (soak time.Duration) {
	counts := v.Rollout.Rings[i].Counts
	if v.Spec.Urgent == "" && counts.Reached() > 0 {
		soak = v.ringSpec(i).Soak
	}
	if v.Spec.Health != nil && counts.Healthy+counts.Unhealthy < counts.Succeeded {
		soak = max(soak, HealthPatience)
	}
	return soak
}

// failing gives the step of a ring whose gate has failed; nil: it has not, or no
// more than a person let pass.
func (v *RolloutView) failing(i int, soaked bool) *RolloutStep {
	verdict := v.gate(i).Judge(v.facts(i), soaked)
	if verdict.Outcome != GateFail {
		return nil
	}
	if ring := v.Rollout.Rings[i]; ring.Pardoned != nil && ring.bad() <= *ring.Pardoned {
		return nil
	}
	step := v.fail(i, verdict.Reason)
	return &step
}

func (v *RolloutView) fail(i int, reason string) RolloutStep {
	action := v.Spec.OnFail
	if action == "" {
		action = FailPause
	}
	return RolloutStep{Do: DoFail, Ring: i, Action: action, Reason: reason}
}

// judge decides on a ring whose devices are done and have soaked. Where others have
// taken all devices over before anything was sent there is nothing to decide.
func (v *RolloutView) judge(i int) RolloutStep {
	if v.Superseded {
		return finish(RolloutCanceled, "no device is left: other rollouts have taken them over")
	}
	verdict := v.gate(i).Judge(v.facts(i), true)
	switch verdict.Outcome {
	case GatePass:
		return RolloutStep{Do: DoPass, Ring: i, Reason: verdict.Reason}
	case GateWait:
		return v.keep(i, verdict.Reason)
	}
	q := RolloutQuestion{Kind: AskGate, Ring: i, Text: v.askGate(i, verdict)}
	switch a, answered := v.answer(q); {
	case !answered:
		return v.ask(q)
	case a.Status == ApprovalApproved:
		return RolloutStep{Do: DoPass, Ring: i, Reason: a.By + " let it pass: " + verdict.Reason}
	default:
		return v.fail(i, a.says("whether it is good enough"))
	}
}

func (v *RolloutView) askGate(i int, verdict GateVerdict) string {
	ring := v.Rollout.Rings[i]
	return fmt.Sprintf("Is ring %s of rollout %s good enough? %s: %s", ring.Name, v.Rollout.Name, summary(ring.Counts), verdict.Reason)
}

// last ends a rollout whose rings have all passed, once it takes no more late
// joiners.
func (v *RolloutView) last() RolloutStep {
	n := len(v.Rollout.Rings) - 1
	if n < 0 {
		return finish(RolloutSucceeded, "it has no rings")
	}
	if v.Spec.KeepOpen > 0 {
		if failing := v.failing(n, true); failing != nil {
			return *failing
		}
		if until := v.Rollout.Rings[n].ClosedAt.Add(v.Spec.KeepOpen); v.Now.Before(until) {
			return v.waitUntil(v.soon(until), "it takes devices that join until "+stamp(until))
		}
	}
	return finish(RolloutSucceeded, summary(v.Rollout.Total()))
}

// revert waits for the rollback to end.
func (v *RolloutView) revert() RolloutStep {
	counts := v.Rollout.Total()
	switch {
	case !v.Rollback.Ended():
		return RolloutStep{Do: DoWait, Ring: -1, Until: v.Now.Add(RolloutLook), // also beyond the deadline
			Reason: fmt.Sprintf("it is taken back: %d reverted, %d to go", counts.Reverted, counts.Reverting)}
	case v.Rollback == RolloutSucceeded && counts.RevertFailed == 0:
		return finish(RolloutReverted, devices(counts.Reverted)+" were taken back")
	case v.Rollback == RolloutSucceeded:
		return finish(RolloutFailed, fmt.Sprintf("%d devices were taken back, %d could not be", counts.Reverted, counts.RevertFailed))
	default:
		return finish(RolloutFailed, fmt.Sprintf("its rollback %s: %d devices were taken back, %d were not", v.Rollback, counts.Reverted, counts.Reverting+counts.RevertFailed))
	}
}
