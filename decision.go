package deviceops

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Decision is what a person decided about an approval.
type Decision struct {
	Approval string         `json:"approval"`
	Approve  bool           `json:"approve"`
	By       Principal      `json:"by"`
	Comment  string         `json:"comment,omitempty"`
	Form     map[string]any `json:"form,omitempty"`
	// BreakGlass approves in an emergency, whoever is asked. It takes the role
	// of that name, and Comment has to say why.
	BreakGlass bool `json:"break_glass,omitempty"`
	// Signature is that of the server that knows the person, see SigningKey.
	Signature string `json:"signature,omitempty"`
}

// ID names the decision: the same person deciding the same in the same words
// makes the same decision, however often it is sent.
func (d Decision) ID() string {
	form, _ := json.Marshal(d.Form) // forms are JSON; keys are sorted
	return ShortHash(16, "decision", d.Approval, d.By.Name, d.verdict(), d.Comment, string(form))
}

func (d Decision) verdict() string {
	switch {
	case d.BreakGlass:
		return "break-glass"
	case d.Approve:
		return "approve"
	default:
		return "reject"
	}
}

// Delegation hands an open approval on: whom it names is asked besides.
type Delegation struct {
	Approval  string    `json:"approval"`
	By        Principal `json:"by"`
	To        []string  `json:"to"` // role:<role> or user:<name>
	Reason    string    `json:"reason,omitempty"`
	Signature string    `json:"signature,omitempty"` // as in Decision
}

// ID names the delegation, as Decision.ID does.
func (d Delegation) ID() string {
	return ShortHash(16, "delegation", d.Approval, d.By.Name, strings.Join(d.To, " "), d.Reason)
}

// Took reports whether a decision was taken before, which makes its repeat
// harmless.
func (a *Approval) Took(d Decision) bool {
	id := d.ID()
	return slices.ContainsFunc(a.Votes, func(v Vote) bool { return v.ID == id })
}

// Handed reports whether a delegation was carried out before.
func (a *Approval) Handed(d Delegation) bool {
	id := d.ID()
	return slices.ContainsFunc(a.Handovers, func(h Handover) bool { return h.ID == id })
}

// Check says why a decision cannot be taken, to the person who made it. It is
// the one check of every surface; only the form, which needs its types, is
// checked beside it. ECONFLICT when the approval has ended or the person has
// decided, EFORBIDDEN when others have to, EINVALID when something is missing.
func (a *Approval) Check(d Decision, now time.Time) error {
	if a.Took(d) {
		return nil
	}
	if err := a.checkOpen(d.By, now); err != nil {
		return err
	}
	if d.BreakGlass {
		return checkBreakGlass(d)
	}
	if err := a.checkDecider(d.By); err != nil {
		return err
	}
	if v, voted := a.vote(d.By.Name); voted {
		return Errorf(ECONFLICT, "%s has approved this already, at %s; it needs %d different people", d.By.Name, stamp(v.At), a.Needed())
	}
	if a.CommentRequired && strings.TrimSpace(d.Comment) == "" {
		return Errorf(EINVALID, "%s needs a comment: say why", a.ID)
	}
	return nil
}

// checkOpen is what decisions and delegations have in common.
func (a *Approval) checkOpen(p Principal, now time.Time) error {
	switch {
	case !AccountWithin(a.Account, p.Account):
		return Errorf(EFORBIDDEN, "%s may not act in account %s", p.Name, a.Account)
	case a.Status != ApprovalOpen:
		return Errorf(ECONFLICT, "%s %s already%s", a.ID, describeEnd(a.Status), a.byWhom())
	case !a.ExpiresAt.IsZero() && !now.Before(a.ExpiresAt):
		return Errorf(ECONFLICT, "%s is expired already, since %s", a.ID, stamp(a.ExpiresAt))
	default:
		return nil
	}
}

func (a *Approval) checkDecider(p Principal) error {
	switch {
	case !p.MayDecide(a.By):
		return Errorf(EFORBIDDEN, "%s may not decide this; it asks %v", p.Name, a.By)
	case slices.Contains(a.Barred, p.Name):
		return Errorf(EFORBIDDEN, "%s may not decide this: four eyes have to see it, and %s is behind the run that asks", p.Name, p.Name)
	default:
		return nil
	}
}

func checkBreakGlass(d Decision) error {
	switch {
	case !d.By.Has(RoleBreakGlass):
		return Errorf(EFORBIDDEN, "%s may not break the glass: that takes the role %s, which no other role includes", d.By.Name, RoleBreakGlass)
	case !d.Approve:
		return Errorf(EINVALID, "breaking the glass approves; there is nothing to reject by it")
	case strings.TrimSpace(d.Comment) == "":
		return Errorf(EINVALID, "breaking the glass needs a reason")
	default:
		return nil
	}
}

// CheckDelegation says why a delegation cannot be carried out. Its codes are
// those of Check, and EEXHAUSTED after MaxDelegations.
func (a *Approval) CheckDelegation(d Delegation, now time.Time) error {
	if a.Handed(d) {
		return nil
	}
	if err := a.checkOpen(d.By, now); err != nil {
		return err
	}
	if err := a.checkDecider(d.By); err != nil {
		return err
	}
	if len(a.Handovers) >= MaxDelegations {
		return Errorf(EEXHAUSTED, "%s was handed on %d times, which is the most", a.ID, MaxDelegations)
	}
	if len(d.To) == 0 || len(d.To) > MaxDelegations {
		return Errorf(EINVALID, "name 1 to %d to whom it is handed on: role:operator or user:maria", MaxDelegations)
	}
	for _, who := range d.To {
		if err := a.checkDelegate(who); err != nil {
			return err
		}
	}
	return nil
}

func (a *Approval) checkDelegate(who string) error {
	switch {
	case !ValidDecider(who):
		return Errorf(EINVALID, "%q is neither a role nor a user: write role:operator or user:maria", who)
	case slices.Contains(a.By, who):
		return Errorf(ECONFLICT, "%s is asked already", who)
	case slices.Contains(a.Barred, who):
		return Errorf(EFORBIDDEN, "%s may not decide this: four eyes have to see it, and %s is behind the run that asks", who, who)
	default:
		return nil
	}
}

// Take records a decision that Check let pass, with the form as it is then
// filled in. Who rejects, breaks the glass or completes the quorum ends the
// approval.
func (a *Approval) Take(d Decision, form map[string]any, now time.Time) {
	if a.Took(d) {
		return
	}
	a.Votes = append(a.Votes, Vote{
		ID: d.ID(), By: d.By.Name, Approve: d.Approve, At: now, Comment: d.Comment, BreakGlass: d.BreakGlass,
	})
	if d.Approve {
		a.Form = form
	}
	switch {
	case !d.Approve:
		a.end(ApprovalRejected, d, now)
	case d.BreakGlass, a.Approvals() >= a.Needed():
		a.end(ApprovalApproved, d, now)
	}
}

func (a *Approval) end(status ApprovalStatus, d Decision, now time.Time) {
	a.Status, a.DecidedAt, a.DecidedBy, a.Comment = status, now, d.By.Name, d.Comment
}

// Hand records a delegation that CheckDelegation let pass.
func (a *Approval) Hand(d Delegation, now time.Time) {
	a.widen(d.To)
	a.Handovers = append(a.Handovers, Handover{ID: d.ID(), By: d.By.Name, To: d.To, At: now, Reason: d.Reason})
}

// Escalate widens the approval by all escalations that are due and gives them.
func (a *Approval) Escalate(now time.Time) (due []Escalation) {
	for i := range a.Escalations {
		e := &a.Escalations[i]
		if e.Done || now.Before(e.At) {
			continue
		}
		e.Done = true
		a.widen(e.By)
		due = append(due, *e)
	}
	return due
}

// NextChange is when time changes an open approval next: an escalation, or its
// expiry. Zero: never.
func (a *Approval) NextChange() time.Time {
	next := a.ExpiresAt
	for _, e := range a.Escalations {
		if !e.Done && (next.IsZero() || e.At.Before(next)) {
			next = e.At
		}
	}
	return next
}

func (a *Approval) widen(by []string) {
	for _, who := range by {
		if !slices.Contains(a.By, who) {
			a.By = append(slices.Clone(a.By), who)
		}
	}
}

func (a *Approval) vote(name string) (Vote, bool) {
	i := slices.IndexFunc(a.Votes, func(v Vote) bool { return v.By == name })
	if i < 0 {
		return Vote{}, false
	}
	return a.Votes[i], true
}

func describeEnd(s ApprovalStatus) string {
	if s == ApprovalCanceled {
		return "was withdrawn"
	}
	return "is " + string(s)
}

func (a *Approval) byWhom() string {
	if a.DecidedBy == "" {
		return ""
	}
	return ", by " + a.DecidedBy + " at " + stamp(a.DecidedAt)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
