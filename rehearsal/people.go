package rehearsal

import (
	"fmt"

	"go.temporal.io/sdk/testsuite"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/workflows"
)

// patience is how many turns of the event loop an answer waits for its question:
// both may come at the same moment, and then the question comes first.
const patience = 200

// people answers the questions of the runs of a case.
type people struct {
	*world
	env  *testsuite.TestWorkflowEnvironment
	came map[int]bool // answers whose time came before the case was over
}

// arrange lets every answer come at its time.
func (p *people) arrange() {
	for i, a := range p.story.Answers {
		p.env.RegisterDelayedCallback(func() { p.decide(i, a, patience) }, a.At)
	}
}

// decide sends an answer to the run that asks, by the update that every surface
// uses.
func (p *people) decide(i int, a dsl.TestAnswer, turns int) {
	p.came[i] = true
	approval := p.asked(a)
	if approval == nil && turns > 0 {
		p.env.RegisterDelayedCallback(func() { p.decide(i, a, turns-1) }, 0)
		return
	}
	p.now = p.env.Now()
	if approval == nil {
		p.missing(a)
		return
	}
	decision := a.Decision
	decision.Approval = approval.ID
	err := p.env.UpdateWorkflowByID(approval.Workflow, workflows.UpdateDecide, fmt.Sprintf("answer-%d", i), &testsuite.TestUpdateCallback{
		OnAccept:   func() {},
		OnReject:   func(err error) { p.settled(a, activities.DomainError(err)) },
		OnComplete: func(_ any, err error) { p.settled(a, activities.DomainError(err)) },
	}, decision)
	if err != nil {
		p.settled(a, deviceops.Errorf(deviceops.ECONFLICT, "its run has ended"))
	}
}

// leave reports the answers that came when all runs had ended, unless they are to
// be refused.
func (p *people) leave() {
	for i, a := range p.story.Answers {
		if !p.came[i] && a.Refused == "" {
			p.missing(a)
		}
	}
}

// asked finds the question that an answer is about: an open one, else, for an
// answer that is to be refused, one that has ended.
func (p *people) asked(a dsl.TestAnswer) *deviceops.Approval {
	var ended *deviceops.Approval
	for _, approval := range p.approvals {
		if approval.Step != a.Step || a.Run > 0 && (a.Run > len(p.roots) || approval.Workflow != p.roots[a.Run-1]) {
			continue
		}
		if approval.Status == deviceops.ApprovalOpen {
			return approval
		}
		ended = approval
	}
	if a.Refused != "" {
		return ended
	}
	return nil
}

// missing reports an answer to a question that is not open.
func (p *people) missing(a dsl.TestAnswer) {
	for _, approval := range p.approvals {
		if approval.Step == a.Step {
			p.fault(a.Place, "answer before the question ends", "nobody waits for this answer at %s: the step %s is %s since %s",
				dsl.FormatDuration(a.At), a.Step, approval.Status, dsl.FormatDuration(approval.DecidedAt.Sub(p.start)))
			return
		}
	}
	p.fault(a.Place, "answer later, or see why the step is not reached", "nobody waits for this answer at %s: the step %s has not asked", dsl.FormatDuration(a.At), a.Step)
}

// settled compares the fate of an answer with what the case says.
func (p *people) settled(a dsl.TestAnswer, err error) {
	code := deviceops.ErrorCode(err)
	verdict := "rejects"
	if a.Decision.Approve {
		verdict = "approves"
	}
	p.note("%s %s %s%s", a.Decision.By.Name, verdict, a.Step, refusal(err))
	switch {
	case err != nil && a.Refused == "":
		p.fault(a.Place, "add refused: "+code+" if that is meant", "this answer is refused: %s (%s)", deviceops.ErrorMessage(err), code)
	case err == nil && a.Refused != "":
		p.fault(a.Place, "remove refused:, or see who may decide the step", "this answer is taken, and it is expected to be refused")
	case err != nil && a.Refused != dsl.AnyRefusal && a.Refused != code:
		p.fault(a.Place, "write refused: "+code, "this answer is refused with %s (%s), and %s is expected", code, deviceops.ErrorMessage(err), a.Refused)
	}
}

func refusal(err error) string {
	if err == nil {
		return ""
	}
	return ", which is refused: " + deviceops.ErrorMessage(err)
}
