package deviceops

import (
	"slices"
	"strings"
	"time"
)

// TicketStatus is how far a ticket is.
type TicketStatus string

// Statuses of a ticket.
const (
	TicketOpen   TicketStatus = "open"
	TicketClosed TicketStatus = "closed"
)

// Ticket is a problem that somebody has to look into.
type Ticket struct {
	ID       string       `json:"id"`
	Account  string       `json:"account"`
	Device   string       `json:"device,omitempty"`
	Title    string       `json:"title"`
	Body     string       `json:"body,omitempty"`
	Severity string       `json:"severity"` // info, warning, error, critical
	Status   TicketStatus `json:"status"`

	// Fingerprint names the problem: of one account and fingerprint there is at
	// most one open ticket.
	Fingerprint string `json:"fingerprint"`
	Count       int    `json:"count"`              // how often the problem was told, from 1
	Relapses    int    `json:"relapses,omitempty"` // how often it was back after the ticket was closed

	// Cause is what the ticket has in common with others of one storm; "": it is
	// never part of one. Parent is the ticket of the storm that it is part of.
	Cause  string `json:"cause,omitempty"`
	Parent string `json:"parent,omitempty"`
	// Members is how many tickets are part of this one, the parent of a storm.
	Members     int `json:"members,omitempty"`
	OpenMembers int `json:"open_members,omitempty"`
	ToldMembers int `json:"-"` // how many people were told of last

	Recover string `json:"recover,omitempty"` // RecoverOnline, or "": it does not close itself

	Assignee   string    `json:"assignee,omitempty"`
	Run        string    `json:"run,omitempty"` // that opened it
	OpenedBy   string    `json:"opened_by"`
	OpenedAt   time.Time `json:"opened_at"`
	OpenSince  time.Time `json:"open_since"` // OpenedAt, or when it was opened again last
	UpdatedAt  time.Time `json:"updated_at"`
	ClosedBy   string    `json:"closed_by,omitempty"`
	ClosedAt   time.Time `json:"closed_at,omitzero"`
	Resolution string    `json:"resolution,omitempty"`

	// Channel keeps the ticket in step with another system; "": it is ours alone.
	// Notify is the channel on which people are told of it; "": nobody is.
	Channel string       `json:"channel,omitempty"`
	Notify  string       `json:"notify,omitempty"`
	Remote  RemoteTicket `json:"remote,omitzero"`

	Entries []TicketEntry `json:"entries,omitempty"` // oldest first
}

// Kinds of entries of a ticket.
const (
	EntryOpened    = "opened"
	EntryRepeated  = "repeated" // the same problem was told again
	EntryRelapsed  = "relapsed" // the same problem is back: it is open again
	EntryFolded    = "folded"   // it is part of a storm from now on
	EntryGrew      = "grew"     // the storm did
	EntryCommented = "commented"
	EntryAssigned  = "assigned"
	EntrySeverity  = "severity"  // it matters more, or less
	EntryRecovered = "recovered" // what it is about is over: it is closed
	EntryClosed    = "closed"
	EntryReopened  = "reopened"
	EntryRefused   = "refused" // the other system did not take something
)

// RecoverOnline has a ticket close itself when its device is online.
const RecoverOnline = "online"

// ticketSeverities are in order.
var ticketSeverities = []string{"info", "warning", "error", "critical"}

// ValidTicketSeverity reports whether a ticket may have a severity.
func ValidTicketSeverity(s string) bool { return slices.Contains(ticketSeverities, s) }

// severer gives the severity that matters more.
func severer(a, b string) string {
	if slices.Index(ticketSeverities, b) > slices.Index(ticketSeverities, a) {
		return b
	}
	return a
}

// Types of the events that tell of tickets.
const (
	EventTicketClosed   = "ticket.closed"
	EventTicketReopened = "ticket.reopened"
)

// TicketEntry is one thing that happened to a ticket.
type TicketEntry struct {
	ID     string    `json:"id"` // unique in the installation: what is told twice under one id happens once
	Ticket string    `json:"ticket"`
	Kind   string    `json:"kind"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Text   string    `json:"text,omitempty"`

	Unsent      bool `json:"-"` // the other system has to be told of it
	Unannounced bool `json:"-"` // people have to be told of it
}

// Apply changes the ticket as the entry says. ECONFLICT for one that is closed
// and is to be closed with another resolution, assigned, or valued anew; EINVALID
// for a severity that there is not.
func (t *Ticket) Apply(e TicketEntry) error {
	switch e.Kind {
	case EntryRepeated:
		t.Count++
	case EntryAssigned, EntrySeverity:
		if err := t.change(e); err != nil {
			return err
		}
	case EntryClosed, EntryRecovered:
		if t.Status == TicketClosed {
			return Errorf(ECONFLICT, "ticket %s was closed by %s already", t.ID, t.ClosedBy)
		}
		t.Status, t.ClosedAt, t.ClosedBy, t.Resolution = TicketClosed, e.At, e.By, e.Text
	case EntryReopened, EntryRelapsed:
		if t.Status == TicketOpen {
			return Errorf(ECONFLICT, "ticket %s is open", t.ID)
		}
		t.Status, t.ClosedAt, t.ClosedBy, t.Resolution, t.OpenSince = TicketOpen, time.Time{}, "", "", e.At
		if e.Kind == EntryRelapsed {
			t.Count++
			t.Relapses++
		}
	}
	t.UpdatedAt = e.At
	return nil
}

// change applies what is said only of tickets that are worked on.
func (t *Ticket) change(e TicketEntry) error {
	switch {
	case t.Status == TicketClosed:
		return Errorf(ECONFLICT, "ticket %s is closed", t.ID)
	case e.Kind == EntryAssigned:
		t.Assignee = e.Text
	case !ValidTicketSeverity(e.Text):
		return Errorf(EINVALID, "there is no severity %q; use one of %s", e.Text, strings.Join(ticketSeverities, ", "))
	default:
		t.Severity = e.Text
	}
	return nil
}

// channelActor begins the names of those who act in another system.
const channelActor = "channel:"

// ChannelActor names who acted in another system; by is its word for them, "" if
// it has none.
func ChannelActor(channel, by string) string {
	if by == "" {
		return channelActor + channel
	}
	return channelActor + channel + " (" + by + ")"
}

// Told reports whether anybody outside is told of the ticket.
func (t Ticket) Told() bool { return t.Channel != "" || t.Notify != "" }

// Unsent reports whether the other system has to be told of an entry: not of what
// it said itself, nor of what only we count. Of a member of a storm it hears that
// it is one, and nothing more: the parent speaks for it.
func (t Ticket) Unsent(e TicketEntry) bool {
	switch {
	case t.Channel == "" || strings.HasPrefix(e.By, channelActor):
		return false
	case t.Parent != "":
		return e.Kind == EntryFolded
	}
	return !slices.Contains([]string{EntryOpened, EntryRepeated, EntryFolded, EntryRefused}, e.Kind)
}

// announcements say of which entries people are told, and in which words.
var announcements = map[string]string{
	EntryOpened: "Opened", EntryRelapsed: "Back", EntryReopened: "Opened again", EntryGrew: "Growing",
	EntrySeverity: "Severity changed", EntryRecovered: "Recovered", EntryClosed: "Closed",
}

// Announcement gives the words in which people are told of an entry; "": they are
// not. What another system did they hear, unless it is where they hear of tickets.
// Of members of a storm they hear by its parent alone.
func (t Ticket) Announcement(e TicketEntry) string {
	there := t.Notify == t.Channel && strings.HasPrefix(e.By, channelActor)
	if t.Notify == "" || t.Parent != "" || there {
		return ""
	}
	return announcements[e.Kind]
}

// echoes reports whether a comment is one that the other system has from us: our
// texts come back with a name before them.
func (t Ticket) echoes(comment string) bool {
	for _, e := range t.Entries {
		if e.Text != "" && t.Unsent(e) && strings.HasSuffix(strings.TrimSpace(comment), strings.TrimSpace(e.Text)) {
			return true
		}
	}
	return false
}

// TicketRequest is what a person says of a ticket.
type TicketRequest struct {
	Text string `json:"text" maxLength:"20000"` // the comment, the assignee, the severity, the resolution, or why it is open again
}

// TicketFilter selects tickets. Zero fields select all.
type TicketFilter struct {
	Account     string // this account and all below it
	Device      string
	Status      TicketStatus
	Assignee    string
	Fingerprint string
	Parent      string // the members of this one
	OpenedBy    string // "run:r1", or "automation:hot" for all its versions
	Alone       bool   // no members of others
	After       string // id after which to go on (newest first)
	Limit       int    // 0: 100
}
