package deviceops

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
)

// ApprovalStatus is how far an approval is.
type ApprovalStatus string

// Statuses of an approval. All but approved fail the step that asked.
const (
	ApprovalOpen     ApprovalStatus = "open"
	ApprovalApproved ApprovalStatus = "approved"
	ApprovalRejected ApprovalStatus = "rejected"
	ApprovalExpired  ApprovalStatus = "expired"
	ApprovalCanceled ApprovalStatus = "canceled"
)

// Bounds of an approval.
const (
	MaxQuorum      = 20 // people who have to approve
	MaxDelegations = 20 // times that it may be handed on
)

// Approval is a paused step that people decide. Time alone never approves it.
type Approval struct {
	ID       string `json:"id"` // run id + "/" + step
	Account  string `json:"account"`
	Workflow string `json:"workflow"` // Temporal workflow id that waits
	Step     string `json:"step"`
	Device   string `json:"device,omitempty"`
	Question string `json:"question"`

	// Show is the evidence, as it was when the approval was opened, and ShowHash
	// its EvidenceHash, which every audit entry about a decision repeats.
	Show     any    `json:"show,omitempty"`
	ShowHash string `json:"show_sha256,omitempty"`

	// By are those who are asked, role:<role> or user:<name>, any of them.
	// Escalations and delegations add to it. Barred are those who may not decide
	// all the same, since four eyes have to see it: they started the run.
	By     []string `json:"by"`
	Barred []string `json:"barred,omitempty"`

	Quorum          int            `json:"quorum,omitempty"` // different people who have to approve; 0 is one
	CommentRequired bool           `json:"comment_required,omitempty"`
	FormSchema      map[string]any `json:"form_schema,omitempty"` // JSON Schema of Form; nil: there is no form
	Notify          string         `json:"notify,omitempty"`      // the channel that was told at the opening

	Escalations []Escalation `json:"escalations,omitempty"`
	Handovers   []Handover   `json:"handovers,omitempty"`
	Votes       []Vote       `json:"votes,omitempty"` // in the order in which they came

	// Revision rises with every change; the store takes no older one.
	Revision  int            `json:"revision,omitempty"`
	Status    ApprovalStatus `json:"status"`
	OpenedAt  time.Time      `json:"opened_at"`
	ExpiresAt time.Time      `json:"expires_at,omitzero"` // zero: never
	DecidedAt time.Time      `json:"decided_at,omitzero"`
	DecidedBy string         `json:"decided_by,omitempty"` // whose decision ended it
	Comment   string         `json:"comment,omitempty"`
	Form      map[string]any `json:"form,omitempty"` // as the first who approved filled it in
}

// Escalation widens an approval that is still open at a time.
type Escalation struct {
	At     time.Time `json:"at"`
	By     []string  `json:"by,omitempty"`     // who is asked from then on, besides
	Notify string    `json:"notify,omitempty"` // the channel that is told
	Done   bool      `json:"done,omitempty"`
}

// Handover is a delegation that was carried out.
type Handover struct {
	ID     string    `json:"id"` // Delegation.ID
	By     string    `json:"by"`
	To     []string  `json:"to"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

// Vote is a decision that was taken.
type Vote struct {
	ID         string    `json:"id"` // Decision.ID
	By         string    `json:"by"`
	Approve    bool      `json:"approve"`
	At         time.Time `json:"at"`
	Comment    string    `json:"comment,omitempty"`
	BreakGlass bool      `json:"break_glass,omitempty"`
}

// Needed is how many different people have to approve.
func (a *Approval) Needed() int { return max(a.Quorum, 1) }

// Approvals counts those who have approved.
func (a *Approval) Approvals() (n int) {
	for _, v := range a.Votes {
		if v.Approve {
			n++
		}
	}
	return n
}

// EvidenceHash gives the hex SHA-256 of evidence as JSON with sorted keys; ""
// for none.
func EvidenceHash(show any) string {
	if show == nil {
		return ""
	}
	data, err := json.Marshal(show)
	if err != nil {
		return "" // evidence comes out of expressions, whose values are JSON
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// ValidDecider reports whether who can be asked: role:<role> or user:<name>.
func ValidDecider(who string) bool {
	kind, name, _ := strings.Cut(who, ":")
	return (kind == "role" || kind == "user") && name != "" && name[0] != ':' && !strings.ContainsAny(name, " \t\r\n,")
}

// Approvals is the inbox of people.
type Approvals interface {
	// SaveApproval stores an approval if its id is new, or if the stored one is
	// open and of a lower revision; saved tells whether it did.
	SaveApproval(ctx context.Context, a Approval) (saved bool, err error)

	// FindApproval gives an approval. ENOTFOUND.
	FindApproval(ctx context.Context, id string) (Approval, error)

	// WorkflowApprovals gives all approvals that a workflow asked for, in the order
	// in which they were opened.
	WorkflowApprovals(ctx context.Context, workflow string) ([]Approval, error)

	// ListApprovals gives approvals, newest first; empty fields select all.
	ListApprovals(ctx context.Context, account string, status ApprovalStatus, device string, limit int) ([]Approval, error)
}
