package activities

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
)

// ApprovalInput is an approval as it stands now, with what has happened to it
// since it was saved last.
type ApprovalInput struct {
	Approval deviceops.Approval `json:"approval"`
	// Run carries rows of the timeline that are to be saved with it; nil: none.
	Run     *deviceops.Run   `json:"run,omitempty"`
	Changes []ApprovalChange `json:"changes,omitempty"` // in the order in which they came
}

// ApprovalChange is one thing that happened to an approval.
type ApprovalChange struct {
	Kind   string    `json:"kind"`         // ChangeOpened ...
	By     string    `json:"by,omitempty"` // empty: the engine
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
	To     []string  `json:"to,omitempty"`     // who is asked from now on, besides
	Notify string    `json:"notify,omitempty"` // the channel to tell
}

// Kinds of changes. In the audit log they follow "approval.".
const (
	ChangeOpened      = "opened"
	ChangeVoted       = "voted" // approved by one of several people
	ChangeApproved    = "approved"
	ChangeRejected    = "rejected"
	ChangeBrokenGlass = "broken_glass"
	ChangeDelegated   = "delegated"
	ChangeEscalated   = "escalated"
	ChangeExpired     = "expired"
	ChangeCanceled    = "canceled"
)

// told are the changes that are events too, with the type and severity of the
// event: those after which somebody has to be told.
var told = map[string]struct{ event, severity string }{
	ChangeOpened:      {deviceops.EventApprovalOpened, "info"},
	ChangeDelegated:   {deviceops.EventApprovalDelegated, "info"},
	ChangeEscalated:   {deviceops.EventApprovalEscalated, "warning"},
	ChangeBrokenGlass: {deviceops.EventBreakGlass, "critical"},
}

// Approvals keeps the inbox of people in step with the workflows that wait.
type Approvals struct{ deps Deps }

// Save writes an approval that was opened, changed or ended. What the store has
// already, since this is a repetition, changes and tells nothing.
func (a *Approvals) Save(ctx context.Context, in ApprovalInput) error {
	var saved bool
	notices := a.notices(ctx, in)
	err := a.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) (err error) {
		if in.Run != nil {
			if err := tx.SaveRun(ctx, *in.Run); err != nil {
				return err
			}
		}
		if saved, err = tx.SaveApproval(ctx, in.Approval); err != nil || !saved {
			return err
		}
		for _, n := range notices {
			if err := tx.QueueNotice(ctx, n.Notice, n.limit); err != nil {
				return err
			}
		}
		return a.record(ctx, tx, in)
	})
	if err == nil && saved {
		a.announce(ctx, in)
	}
	return Failure(err)
}

// record audits what people and time have done to an approval, and makes events
// of what somebody has to be told. An opening is not audited: nobody decided
// anything.
func (a *Approvals) record(ctx context.Context, tx deviceops.Tx, in ApprovalInput) error {
	var entries []deviceops.AuditEntry
	var events []deviceops.Event
	for _, c := range in.Changes {
		if c.Kind != ChangeOpened {
			entries = append(entries, auditChange(in.Approval, c))
		}
		if c.Kind == ChangeBrokenGlass {
			if _, err := deviceops.OpenTicket(ctx, tx, brokenGlass(in.Approval, c), a.deps.now()); err != nil {
				return err
			}
		}
		if t, ok := told[c.Kind]; ok {
			events = append(events, deviceops.Event{
				Account: in.Approval.Account, Type: t.event, Severity: t.severity, Data: tellChange(in.Approval, c),
				At: c.At, ReceivedAt: a.deps.now(),
			})
		}
	}
	if err := tx.AppendAudit(ctx, entries...); err != nil {
		return err
	}
	return tx.AppendEvents(ctx, events)
}

// limitedNotice is a notification with the limit of its channel.
type limitedNotice struct {
	deviceops.Notice
	limit deviceops.Limit
}

// notices gives what channels are to be told. A channel that is missing keeps no
// question from being asked: what it should have told ends as a dead letter.
func (a *Approvals) notices(ctx context.Context, in ApprovalInput) []limitedNotice {
	var all []limitedNotice
	for i, c := range in.Changes {
		t, known := told[c.Kind]
		if !known || c.Notify == "" || c.Notify == deviceops.ChannelLog {
			continue
		}
		limit := deviceops.DefaultNoticeLimit
		if info, err := a.deps.channel(ctx, in.Approval.Account, c.Notify); err == nil {
			limit = info.Limit
		}
		n := askingNotice(in.Approval, c)
		n.ID = fmt.Sprintf("approval/%s/%s/%d/%d", in.Approval.ID, c.Kind, in.Approval.Revision, i)
		n.Severity = t.severity
		all = append(all, limitedNotice{n, limit})
	}
	return all
}

// askingNotice asks people to decide.
func askingNotice(a deviceops.Approval, c ApprovalChange) deviceops.Notice {
	text := a.Question + "\nApprove or reject it: deviceops approvals show " + a.ID
	if len(c.To) > 0 {
		text += "\nAsked now: " + strings.Join(c.To, ", ")
	}
	if !a.ExpiresAt.IsZero() {
		text += "\nUntil " + a.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return deviceops.Notice{
		Account: a.Account, Channel: c.Notify, Key: "approval/" + a.Step, Title: "A decision is needed", Text: text,
		Device: a.Device, Run: deviceops.ChannelRun{ID: a.Workflow, Step: a.Step}, QueuedAt: c.At,
	}
}

func auditChange(a deviceops.Approval, c ApprovalChange) deviceops.AuditEntry {
	evidence := map[string]any{"question": a.Question, "device": a.Device, "asked": a.By, "approvals": a.Approvals(), "needed": a.Needed()}
	for name, value := range map[string]string{"show_sha256": a.ShowHash, "barred": strings.Join(a.Barred, " "), "to": strings.Join(c.To, " ")} {
		if value != "" {
			evidence[name] = value
		}
	}
	if len(a.Form) > 0 {
		evidence["form"] = a.Form
	}
	return deviceops.AuditEntry{
		At: c.At, Account: a.Account, Actor: actor(c.By), Action: "approval." + c.Kind,
		Target: "approval:" + a.ID, Reason: c.Reason, Evidence: evidence,
	}
}

// tellChange is the data of an event. The device is here and not in the event
// itself: its timeline has the approval already.
func tellChange(a deviceops.Approval, c ApprovalChange) map[string]any {
	data := map[string]any{"approval": a.ID, "question": a.Question, "asked": a.By, "step": a.Step, "workflow": a.Workflow}
	for name, value := range map[string]string{"device": a.Device, "by": c.By, "reason": c.Reason, "notify": c.Notify} {
		if value != "" {
			data[name] = value
		}
	}
	if !a.ExpiresAt.IsZero() {
		data["expires_at"] = a.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return data
}

// brokenGlass is the ticket that has somebody look into an emergency afterwards.
func brokenGlass(a deviceops.Approval, c ApprovalChange) deviceops.TicketOpening {
	return deviceops.TicketOpening{
		Ticket: deviceops.Ticket{
			ID: "ticket-" + deviceops.ShortHash(8, "broken-glass", a.ID), Account: a.Account, Device: a.Device, Severity: "critical",
			Title: c.By + " broke the glass: " + a.Question, Body: c.Reason, Fingerprint: "broken-glass|" + a.ID, Run: a.Workflow,
		},
		Entry: deviceops.TicketEntry{ID: "broken-glass/" + a.ID, At: c.At, By: c.By, Text: c.Reason},
	}
}

// announce puts what somebody has to be told into the log too.
func (a *Approvals) announce(ctx context.Context, in ApprovalInput) {
	for _, c := range in.Changes {
		log := a.deps.log().With("approval", in.Approval.ID, "question", in.Approval.Question)
		switch c.Kind {
		case ChangeBrokenGlass:
			log.ErrorContext(ctx, "The glass was broken: an approval was given in an emergency", "by", c.By, "reason", c.Reason)
		case ChangeOpened, ChangeEscalated, ChangeDelegated:
			log.InfoContext(ctx, "People are asked to decide", "because", c.Kind, "asked", in.Approval.By, "channel", c.Notify)
		}
	}
}

func actor(by string) string {
	if by == "" {
		return deviceops.Engine.Name
	}
	return by
}
