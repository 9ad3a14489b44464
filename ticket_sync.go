package deviceops

import "context"

// TicketWorkflow is the type of the workflows that keep tickets in step with other
// systems, and TicketNudge the signal that tells one that its ticket changed.
const (
	TicketWorkflow = "TicketSync"
	TicketNudge    = "nudge"
)

// TicketSyncInput starts the workflow of a ticket.
type TicketSyncInput struct {
	Ticket string `json:"ticket"` // id
	// Looks is the number of looks after which it goes on in a new execution; 0:
	// a default.
	Looks int `json:"looks,omitempty"`
}

// SyncStart asks for the workflow of a ticket. One that runs already is told that
// the ticket changed.
func (t Ticket) SyncStart() Start {
	return Start{WorkflowID: "sync-" + t.ID, Type: TicketWorkflow, Input: TicketSyncInput{Ticket: t.ID}, Device: t.Device}
}

// Apply takes over what another system says of a ticket: a comment, a closing, an
// opening of what was closed there. It gives the ticket as it is then. What was
// said before, and what is only the echo of what we said, changes nothing.
func (n ChannelNews) Apply(ctx context.Context, tx Tx, t Ticket, e TicketEntry) (Ticket, error) {
	e.Ticket, e.By = t.ID, ChannelActor(t.Channel, n.By)
	if n.Comment != "" && !t.echoes(n.Comment) {
		comment := e
		comment.ID, comment.Kind, comment.Text = n.ID+"/comment", EntryCommented, n.Comment
		if _, err := TellTicket(ctx, tx, comment); err != nil {
			return t, err
		}
	}
	if n.Remote.State == "" {
		return t, nil
	}
	before, remote := t.Remote, t.Remote
	remote.Status, remote.State = n.Remote.Status, n.Remote.State
	if err := tx.LinkTicket(ctx, t.ID, remote); err != nil {
		return t, err
	}
	e.ID, e.Text = n.ID+"/"+string(remote.State)+"/"+e.ID, remote.ID+" is "+remote.Status
	switch {
	case remote.State == TicketClosed && t.Status == TicketOpen:
		e.Kind = EntryClosed
	case remote.State == TicketOpen && t.Status == TicketClosed && before.State == TicketClosed:
		e.Kind = EntryReopened
	default:
		return t, nil
	}
	return TellTicket(ctx, tx, e)
}
