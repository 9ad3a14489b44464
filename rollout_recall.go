package deviceops

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// RolloutRecalled is what the approvals of a rollout tell a workflow that takes it
// up again without any memory.
type RolloutRecalled struct {
	Memory RolloutMemory
	Times  map[string]int // how often each question was answered or withdrawn, by RolloutQuestion.Key
	Open   []Approval     // questions that people have yet to answer

	// Deferrals is the last answer about devices that put the change off too often,
	// and DeferralsAt when it was given; "": none was.
	Deferrals   ApprovalStatus
	DeferralsAt time.Time
}

// RolloutApprovalID gives the id under which a question about a rollout is asked for
// the nth time, from 1.
func RolloutApprovalID(rollout string, q RolloutQuestion, n int) string {
	return RolloutWorkflowID(rollout) + "/" + q.Key() + "/" + strconv.Itoa(n)
}

// Recall tells what people have said about the rollout by the approvals that its
// workflow asked for. A yes holds; a no does until the rollout took the status that
// followed from it, after which the question is asked again.
func (r *Rollout) Recall(approvals []Approval) RolloutRecalled {
	out := RolloutRecalled{Times: map[string]int{}}
	view := RolloutView{}
	for _, a := range slices.SortedStableFunc(slices.Values(approvals), byTimesAsked) {
		if a.Status == ApprovalOpen {
			out.Open = append(out.Open, a)
			continue
		}
		out.Times[a.Step]++
		switch {
		case a.Status == ApprovalCanceled:
		case ParseRolloutQuestion(a.Step).Kind == AskDeferrals:
			out.Deferrals, out.DeferralsAt = a.Status, a.DecidedAt
		case a.Status == ApprovalApproved || a.DecidedAt.After(r.StatusSince):
			view.Answer(RolloutAnswer{Question: a.Step, Status: a.Status, By: a.DecidedBy, Comment: a.Comment, Hash: r.Hash})
		default:
			view.forget(func(old RolloutAnswer) bool { return old.Question == a.Step })
		}
	}
	out.Memory = view.Memory
	return out
}

// byTimesAsked sorts approvals by the number that ends their ids.
func byTimesAsked(a, b Approval) int { return cmp.Compare(timesOf(a.ID), timesOf(b.ID)) }

func timesOf(id string) int {
	n, _ := strconv.Atoi(id[strings.LastIndexByte(id, '/')+1:])
	return n
}
