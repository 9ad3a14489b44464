package deviceops

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// ChannelLog is the channel that every installation has, without a document: what
// is told there is an event.
const ChannelLog = "log"

// Operations that a channel may have, beside its actions.
const (
	ChannelFind    = "ticket.find" // looks for the ticket of ours that is there already
	ChannelOpen    = "ticket.open"
	ChannelComment = "ticket.comment" // args: text, by
	ChannelClose   = "ticket.close"   // args: resolution, by
	ChannelReopen  = "ticket.reopen"  // args: text, by
	ChannelGet     = "ticket.get"
	ChannelNotify  = "notify" // args: title, text, severity, key, more

	ChannelSeverity = "ticket.severity" // args: severity, by
)

// channelActions begin the operations that are actions of a channel's own.
const channelActions = "actions."

// ChannelAction gives the operation that performs an action of a channel.
func ChannelAction(name string) string { return channelActions + name }

// ChannelCall asks for one operation of a channel. What it holds is what the
// expressions of the channel see.
type ChannelCall struct {
	// ID names the effect: the same however often it is asked for. Systems that
	// know Idempotency-Key get it there.
	ID        string
	Account   string // from which the channel is looked up
	Channel   string // its name
	Operation string // ChannelOpen ...

	Ticket Ticket // of the operations on tickets
	Device Device // that it is about; zero: none
	Run    ChannelRun
	Args   map[string]any
}

// ChannelRun is the run that asks, as channels see it. Zero: no run does.
type ChannelRun struct {
	ID       string
	Workflow string
	Step     string
}

// RemoteTicket is a ticket in another system.
type RemoteTicket struct {
	ID     string       `json:"id"`
	URL    string       `json:"url,omitempty"`    // where people see it
	Status string       `json:"status,omitempty"` // in the words of that system
	State  TicketStatus `json:"state,omitempty"`  // what that means here; "": it was not said
}

// ChannelAnswer is what an operation gave.
type ChannelAnswer struct {
	Remote RemoteTicket   // of find (no ID: there is none), open and get
	Output map[string]any // of an action
}

// ChannelHook is a message that another system sent to a channel.
type ChannelHook struct {
	Account string
	Channel string
	Header  http.Header
	Body    []byte
	At      time.Time // when it came
}

// ChannelNews is what such a message says of a ticket.
type ChannelNews struct {
	ID      string       // of this news, the same when it is sent again
	Remote  RemoteTicket // no ID: the message is about nothing that matters here
	Comment string       // "": none
	By      string       // who did it there; "": it was not said
}

// ChannelInfo is what a channel can do and how much is sent through it.
type ChannelInfo struct {
	Name        string   `json:"name"`
	Account     string   `json:"account"` // where it is published
	Version     int      `json:"version"`
	Description string   `json:"description,omitempty"`
	Transport   string   `json:"transport"`  // http or mail
	Operations  []string `json:"operations"` // in order
	Webhook     bool     `json:"webhook"`    // it listens to what comes back
	Limit       Limit    `json:"limit"`      // of notifications with one key
}

// Can reports whether the channel has an operation.
func (i ChannelInfo) Can(operation string) bool {
	for _, has := range i.Operations {
		if has == operation {
			return true
		}
	}
	return false
}

// Channels reaches other systems by the channels that accounts have published.
type Channels interface {
	// Describe tells what a channel can do. ENOTFOUND if account and those above
	// it have none of this name, EINVALID if it no longer compiles.
	Describe(ctx context.Context, account, name string) (ChannelInfo, error)

	// Call performs one operation, once: trying again is the caller's. Codes
	// beside those of Describe:
	//
	//	EINVALID      the channel lacks the operation, or this cannot be requested
	//	EUNAVAILABLE  the system does not answer, or asks to be left alone for
	//	              the RetryDelay of the error, now or of an earlier call; trying again may help
	//	EFORBIDDEN    the credentials are refused, or the address is
	//	EREJECTED     the system says no
	//	EFAILED       the answer is not what the channel expects
	//
	// and those of Secrets. No error and no answer holds a secret of the channel.
	Call(ctx context.Context, call ChannelCall) (ChannelAnswer, error)

	// Hear reads what another system sent. EUNAUTHENTICATED if its signature is
	// wrong or too old; EINVALID if it cannot be read, or if the channel does
	// not listen.
	Hear(ctx context.Context, hook ChannelHook) (ChannelNews, error)
}

// Later is the cause of the EUNAVAILABLE of a system that says when to come back.
type Later struct {
	After   time.Duration
	Unasked bool // it said so before, and was not asked again
}

// Error implements error.
func (l Later) Error() string { return "it asks to be left alone for " + l.After.String() }

// RetryDelay gives how long whoever caused err wants to be left alone; 0: it was
// not said.
func RetryDelay(err error) time.Duration {
	var later Later
	if errors.As(err, &later) {
		return later.After
	}
	return 0
}

// ChannelReport is what people see of a channel.
type ChannelReport struct {
	ChannelInfo
	Fault string `json:"fault,omitempty"` // why this version of the engine cannot use it
}

// ChannelTest asks to try a channel.
type ChannelTest struct {
	Text string `json:"text" minLength:"1" maxLength:"4000"`
}

// ChannelTestReport tells whether a notification arrived.
type ChannelTestReport struct {
	Delivered bool   `json:"delivered"`
	Code      string `json:"code,omitempty"`  // of the error
	Error     string `json:"error,omitempty"` // what the channel or the other system says
}

// RedriveRequest names notifications to send again.
type RedriveRequest struct {
	IDs []string `json:"ids,omitempty" maxItems:"1000"` // none: all that were given up
}

// RedriveReport tells how many are sent again.
type RedriveReport struct {
	Redriven int `json:"redriven"`
}
