package activities

import (
	"cmp"
	"context"

	"github.com/deviceops/deviceops"
)

// announcements say of which entries people are told, and in which words.
var announcements = map[string]string{
	deviceops.EntryOpened: "Opened", deviceops.EntryRelapsed: "Back", deviceops.EntryReopened: "Opened again", deviceops.EntryGrew: "Growing",
	deviceops.EntrySeverity: "Severity changed", deviceops.EntryRecovered: "Recovered", deviceops.EntryClosed: "Closed",
}

// notify tells people of an entry on the ticket's channel for that. They hear of
// members of a storm by its parent alone.
func (s *ticketSync) notify(ctx context.Context, e deviceops.TicketEntry) error {
	word, announced := announcements[e.Kind]
	if !announced || s.ticket.Notify == "" || s.ticket.Parent != "" {
		return nil
	}
	n := deviceops.Notice{
		ID: "notice/" + e.ID, Account: s.ticket.Account, Channel: s.ticket.Notify, Key: s.ticket.ID, Title: word + ": " + s.ticket.Title,
		Text: cmp.Or(e.Text, s.ticket.Body, s.ticket.Title), Severity: s.ticket.Severity, Device: s.ticket.Device,
		Run: deviceops.ChannelRun{ID: s.ticket.Run}, QueuedAt: s.deps.now(),
	}
	if e.Kind == deviceops.EntryRecovered || e.Kind == deviceops.EntryClosed {
		n.Severity = "info"
	}
	if n.Channel == deviceops.ChannelLog {
		return s.log(ctx, n)
	}
	limit := deviceops.DefaultNoticeLimit
	info, err := s.deps.channel(ctx, s.ticket.Account, s.ticket.Notify)
	switch code := deviceops.ErrorCode(err); {
	case err == nil:
		limit = info.Limit
	case code != deviceops.ENOTFOUND && code != deviceops.EINVALID: // what is missing ends as a dead letter
		return err
	}
	return s.deps.Store.QueueNotice(ctx, n, limit)
}

// log tells of a ticket on the channel that every installation has.
func (s *ticketSync) log(ctx context.Context, n deviceops.Notice) error {
	return s.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		return tx.AppendEvents(ctx, []deviceops.Event{{
			Account: n.Account, Device: n.Device, Type: EventNotification, Severity: n.Severity, At: n.QueuedAt, ReceivedAt: n.QueuedAt,
			Data: map[string]any{"channel": n.Channel, "title": n.Title, "text": n.Text, "ticket": s.ticket.ID},
		}})
	})
}
