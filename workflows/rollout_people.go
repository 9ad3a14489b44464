package workflows

import (
	"cmp"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// openQuestion is a question that people have yet to answer.
type openQuestion struct {
	key    string
	cancel workflow.CancelFunc
}

// timesAsked is how often a question was answered before: it is part of the id
// under which it is asked next.
type timesAsked struct {
	Question string `json:"question"`
	Times    int    `json:"times"`
}

// ask puts a question to people, unless they have it already. The rollout goes on
// meanwhile: the answer stirs it.
func (p *rollout) ask(ctx workflow.Context, q deviceops.RolloutQuestion) {
	key := q.Key()
	if slices.ContainsFunc(p.questions, func(o *openQuestion) bool { return o.key == key }) {
		return
	}
	p.await(ctx, q, p.approval(ctx, q))
}

// await waits beside everything else for the end of a question.
func (p *rollout) await(ctx workflow.Context, q deviceops.RolloutQuestion, a deviceops.Approval) {
	ctx, cancel := workflow.WithCancel(ctx)
	open := &openQuestion{key: q.Key(), cancel: cancel}
	p.questions = append(p.questions, open)
	workflow.Go(ctx, func(ctx workflow.Context) {
		ended, err := p.desk.ask(ctx, a, nil, nil)
		p.questions = slices.DeleteFunc(p.questions, func(o *openQuestion) bool { return o == open })
		if err != nil {
			workflow.GetLogger(ctx).Warn("a question about a rollout could not be stored", "question", a.ID, "err", err)
		}
		p.answered(q, ended)
	})
}

// answered takes the end of a question into account.
func (p *rollout) answered(q deviceops.RolloutQuestion, a deviceops.Approval) {
	if a.Status == deviceops.ApprovalOpen { // it is asked on in the next execution
		return
	}
	p.wasAsked(q.Key())
	p.stirred = true
	switch {
	case a.Status == deviceops.ApprovalCanceled:
	case q.Kind == deviceops.AskDeferrals:
		p.state.Deferred = 0
		p.decideDeferrals(a.Status, a.DecidedAt)
	default:
		v := deviceops.RolloutView{Memory: p.state.Memory}
		v.Answer(deviceops.RolloutAnswer{Question: q.Key(), Status: a.Status, By: a.DecidedBy, Comment: a.Comment, Hash: p.state.Rollout.Hash})
		p.state.Memory = v.Memory
	}
}

// decideDeferrals has the next count carry out what was decided at a time about
// devices that put the change off too often.
func (p *rollout) decideDeferrals(answer deviceops.ApprovalStatus, at time.Time) {
	p.state.Deferrals, p.state.DecidedAt = activities.DeferralsFail, at
	if answer == deviceops.ApprovalApproved {
		p.state.Deferrals = activities.DeferralsAskAgain
	}
}

func (p *rollout) times(key string) int {
	for _, t := range p.state.Asked {
		if t.Question == key {
			return t.Times
		}
	}
	return 0
}

func (p *rollout) wasAsked(key string) {
	times := p.times(key) + 1
	rest := slices.DeleteFunc(p.state.Asked, func(t timesAsked) bool { return t.Question == key })
	p.state.Asked = append(rest, timesAsked{Question: key, Times: times})
}

// withdraw takes back the questions that which names.
func (p *rollout) withdraw(which func(*openQuestion) bool) {
	for _, q := range p.questions {
		if which(q) {
			q.cancel()
		}
	}
}

// moot reports whether an open question has no bearing any more. While the
// rollout is paused people may go on to think.
func (p *rollout) moot(q *openQuestion, step deviceops.RolloutStep) bool {
	if step.Do == deviceops.DoAsk {
		return step.Question.Key() != q.key
	}
	return p.state.Rollout.Status != deviceops.RolloutPaused
}

// approval makes the approval of a question: bound to the manifest by what it
// shows, on the evidence that there is now.
func (p *rollout) approval(ctx workflow.Context, q deviceops.RolloutQuestion) deviceops.Approval {
	r, now := &p.state.Rollout, workflow.Now(ctx)
	show := plain(p.show(q))
	a := deviceops.Approval{
		ID:      deviceops.RolloutApprovalID(r.ID, q, p.times(q.Key())+1),
		Account: r.Account, Workflow: deviceops.RolloutWorkflowID(r.ID), Step: q.Key(), Question: q.Text,
		Show: show, ShowHash: deviceops.EvidenceHash(show),
	}
	spec, expires := p.whom(q)
	a.By, a.Notify = spec.By, spec.Notify
	if len(a.By) == 0 {
		a.By = []string{"role:" + deviceops.RoleOperator}
	}
	if spec.Quorum > 1 {
		a.Quorum = spec.Quorum
	}
	if spec.FourEyes {
		a.Barred = []string{r.CreatedBy}
	}
	for _, e := range spec.Escalate {
		a.Escalations = append(a.Escalations, deviceops.Escalation{At: now.Add(e.After), By: e.By, Notify: e.Notify})
	}
	if expires && spec.Expires > 0 {
		a.ExpiresAt = now.Add(spec.Expires)
	}
	return a
}

// whom gives who is asked: those that the ring names, else those that the plan
// does, else operators. What the manifest does not foresee does not expire.
func (p *rollout) whom(q deviceops.RolloutQuestion) (spec deviceops.ApproveSpec, expires bool) {
	own := p.spec.Approve
	if q.Ring >= 0 && p.spec.Rings[q.Ring].Approve != nil {
		own = p.spec.Rings[q.Ring].Approve
	}
	return *cmp.Or(own, &deviceops.ApproveSpec{}), q.Kind == deviceops.AskPlan || q.Kind == deviceops.AskRing
}
