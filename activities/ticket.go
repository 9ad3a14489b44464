package activities

import (
	"cmp"
	"context"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/deviceops/deviceops"
)

// TicketInput names a ticket that another system has too.
type TicketInput struct {
	Ticket string `json:"ticket"`
}

// TicketOutput says whether there is more to do.
type TicketOutput struct {
	Ended bool `json:"ended"` // closed here and there
}

// refusedDelay is how long a system that said no is left alone. What it said may
// be mended by a person: a token, a field that it wants.
const refusedDelay = 5 * time.Minute

// Tickets keeps tickets in step with other systems.
type Tickets struct{ deps Deps }

// Sync tells the other system what it does not know yet, and takes over what it
// says. It is repeated by Temporal for as long as the system is away or refuses.
// What was done is noted after each step, so that a repetition goes on there.
func (a *Tickets) Sync(ctx context.Context, in TicketInput) (TicketOutput, error) {
	t, err := a.deps.Store.FindTicket(ctx, in.Ticket)
	if err != nil || !t.Told() {
		return TicketOutput{Ended: true}, Failure(err)
	}
	s := &ticketSync{deps: a.deps, ticket: t}
	ended, err := s.run(ctx)
	if err != nil {
		return TicketOutput{}, s.refused(ctx, err)
	}
	return TicketOutput{Ended: ended}, nil
}

// ticketSync is one pass over one ticket.
type ticketSync struct {
	deps   Deps
	ticket deviceops.Ticket
	info   deviceops.ChannelInfo
	device deviceops.Device
}

// run makes the pass. People are told first: they do not wait for a system that is
// away. What was over, or part of a storm, before the other system heard of it is
// not opened there.
func (s *ticketSync) run(ctx context.Context) (ended bool, err error) {
	if err := s.announce(ctx); err != nil {
		return false, err
	}
	if s.ticket.Channel != "" {
		if s.info, err = s.deps.channel(ctx, s.ticket.Account, s.ticket.Channel); err != nil {
			return false, err
		}
	}
	if err := s.about(ctx); err != nil {
		return false, err
	}
	alone := s.ticket.Status == deviceops.TicketOpen && s.ticket.Parent == ""
	if s.ticket.Channel != "" && s.ticket.Remote.ID == "" && alone {
		if err := s.open(ctx); err != nil {
			return false, err
		}
	}
	if s.ticket.Remote.ID == "" {
		return true, nil
	}
	refused, err := s.tell(ctx)
	if err != nil || s.ticket.Parent != "" {
		return err == nil, err
	}
	if err := s.ask(ctx); err != nil {
		return false, err
	}
	if s.ticket.Status == deviceops.TicketClosed && refused != nil {
		s.note(ctx, deviceops.ErrorMessage(refused)) // nobody looks for it there any longer
		return true, nil
	}
	return s.ticket.Status == deviceops.TicketClosed, refused
}

// about finds the device. One that is gone leaves its id.
func (s *ticketSync) about(ctx context.Context) error {
	if s.ticket.Device == "" {
		return nil
	}
	device, err := s.deps.Store.FindDevice(ctx, s.ticket.Device)
	if deviceops.ErrorCode(err) == deviceops.ENOTFOUND {
		device, err = deviceops.Device{ID: s.ticket.Device}, nil
	}
	s.device = device
	return err
}

func (s *ticketSync) call(ctx context.Context, operation, effect string, args map[string]any) (deviceops.ChannelAnswer, error) {
	return s.deps.Channels.Call(ctx, deviceops.ChannelCall{
		ID: s.ticket.ID + "/" + effect, Account: s.ticket.Account, Channel: s.ticket.Channel, Operation: operation,
		Ticket: s.ticket, Device: s.device, Run: deviceops.ChannelRun{ID: s.ticket.Run}, Args: args,
	})
}

// open opens the ticket there, unless an answer that was lost did.
func (s *ticketSync) open(ctx context.Context) error {
	var answer deviceops.ChannelAnswer
	var err error
	if s.info.Can(deviceops.ChannelFind) {
		if answer, err = s.call(ctx, deviceops.ChannelFind, "find", nil); err != nil {
			return err
		}
	}
	if answer.Remote.ID == "" {
		if answer, err = s.call(ctx, deviceops.ChannelOpen, "open", nil); err != nil {
			return err
		}
	}
	return s.link(ctx, answer.Remote)
}

func (s *ticketSync) link(ctx context.Context, remote deviceops.RemoteTicket) error {
	s.ticket.Remote = remote
	return s.deps.Store.LinkTicket(ctx, s.ticket.ID, remote)
}

// tell tells of what happened here, in order. What the system refuses, such as a
// comment that is too long, is tried again with the next pass and holds up nothing
// else; only opening and closing have to be taken.
func (s *ticketSync) tell(ctx context.Context) (refused, err error) {
	entries, err := s.deps.Store.UnsentEntries(ctx, s.ticket.ID)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		said := s.said(e)
		switch err := s.tellOne(ctx, e, said); {
		case err == nil:
			if err := s.deps.Store.SentEntry(ctx, e.ID); err != nil {
				return nil, err
			}
		case said.state != "" || transient(deviceops.ErrorCode(err)):
			return nil, err
		case refused == nil:
			refused = err
		}
	}
	return refused, nil
}

// tellOne tells of one entry. What the system cannot be told, or knows, is left
// out.
func (s *ticketSync) tellOne(ctx context.Context, e deviceops.TicketEntry, said saying) error {
	known := said.state == deviceops.TicketClosed && s.ticket.Remote.State == said.state
	if said.operation == "" || known || !s.info.Can(said.operation) {
		return nil
	}
	if _, err := s.call(ctx, said.operation, e.ID, said.args); err != nil || said.state == "" {
		return err
	}
	remote := s.ticket.Remote
	remote.State = said.state
	return s.link(ctx, remote)
}

// saying is what the other system is told of an entry.
type saying struct {
	operation string // "": nothing
	args      map[string]any
	state     deviceops.TicketStatus // what it makes of the ticket there; "": nothing
}

func (s *ticketSync) said(e deviceops.TicketEntry) saying {
	switch e.Kind {
	case deviceops.EntryClosed, deviceops.EntryRecovered, deviceops.EntryFolded:
		return saying{deviceops.ChannelClose, map[string]any{"resolution": e.Text, "by": e.By}, deviceops.TicketClosed}
	case deviceops.EntryReopened, deviceops.EntryRelapsed:
		return saying{deviceops.ChannelReopen, map[string]any{"text": e.Text, "by": e.By}, deviceops.TicketOpen}
	case deviceops.EntrySeverity:
		if s.info.Can(deviceops.ChannelSeverity) {
			return saying{operation: deviceops.ChannelSeverity, args: map[string]any{"severity": e.Text, "by": e.By}}
		}
		return comment(e, "severity: "+e.Text)
	case deviceops.EntryAssigned:
		return comment(e, "assigned to "+cmp.Or(e.Text, "nobody"))
	case deviceops.EntryCommented, deviceops.EntryGrew:
		return comment(e, e.Text)
	}
	return saying{}
}

func comment(e deviceops.TicketEntry, text string) saying {
	return saying{operation: deviceops.ChannelComment, args: map[string]any{"text": text, "by": e.By}}
}

// ask asks how far it is there, where the channel can, and takes it over.
func (s *ticketSync) ask(ctx context.Context) error {
	if s.ticket.Status == deviceops.TicketClosed || !s.info.Can(deviceops.ChannelGet) {
		return nil
	}
	answer, err := s.call(ctx, deviceops.ChannelGet, "get", nil)
	if err != nil {
		return err
	}
	before := s.ticket.Remote
	remote := before
	remote.Status, remote.State = answer.Remote.Status, answer.Remote.State
	if answer.Remote.URL != "" {
		remote.URL = answer.Remote.URL
	}
	if remote != before {
		if err := s.link(ctx, remote); err != nil {
			return err
		}
	}
	if remote.State != deviceops.TicketClosed {
		return nil
	}
	return s.closed(ctx, remote)
}

// closed closes the ticket here, since it is closed there.
func (s *ticketSync) closed(ctx context.Context, remote deviceops.RemoteTicket) error {
	now := s.deps.now()
	entry := deviceops.TicketEntry{
		ID: s.ticket.ID + "/closed/" + now.Format(time.RFC3339Nano), Ticket: s.ticket.ID, Kind: deviceops.EntryClosed, At: now,
		By: deviceops.ChannelActor(s.ticket.Channel, ""), Text: remote.ID + " is " + remote.Status,
	}
	return s.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) (err error) {
		s.ticket, err = deviceops.TellTicket(ctx, tx, entry)
		if deviceops.ErrorCode(err) == deviceops.ECONFLICT { // somebody closed it meanwhile
			s.ticket, err = tx.FindTicket(ctx, s.ticket.ID)
		}
		return err
	})
}

// refused gives the failure of a pass the form in which Temporal tries it again.
// That a system says no is told on the ticket, once for each thing that it says.
func (s *ticketSync) refused(ctx context.Context, err error) error {
	code := deviceops.ErrorCode(err)
	delay := deviceops.RetryDelay(err)
	if !transient(code) {
		delay = max(delay, refusedDelay)
		s.note(ctx, deviceops.ErrorMessage(err))
	}
	return temporal.NewApplicationErrorWithOptions(deviceops.ErrorMessage(err), code, temporal.ApplicationErrorOptions{
		NextRetryDelay: delay, Category: temporal.ApplicationErrorCategoryBenign, Cause: foreign(err),
		Details: []any{deviceops.RunError{Code: code, Message: deviceops.ErrorMessage(err), Retryable: true}},
	})
}

func (s *ticketSync) note(ctx context.Context, message string) {
	err := s.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		_, err := deviceops.TellTicket(ctx, tx, deviceops.TicketEntry{
			ID: s.ticket.ID + "/refused/" + deviceops.ShortHash(8, message), Ticket: s.ticket.ID, Kind: deviceops.EntryRefused, At: s.deps.now(),
			By: deviceops.ChannelActor(s.ticket.Channel, ""), Text: message,
		})
		return err
	})
	if err != nil {
		s.deps.log().WarnContext(ctx, "it is not noted why a ticket is not kept in step", "ticket", s.ticket.ID, "error", err)
	}
}
