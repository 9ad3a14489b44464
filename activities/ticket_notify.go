package activities

import (
	"cmp"
	"context"

	"github.com/deviceops/deviceops"
)

// announce tells people what they were not told yet, each thing once.
func (s *ticketSync) announce(ctx context.Context) error {
	entries, err := s.deps.Store.UnannouncedEntries(ctx, s.ticket.ID)
	if err != nil || len(entries) == 0 {
		return err
	}
	limit, err := s.noticeLimit(ctx)
	if err != nil {
		return err
	}
	for _, e := range entries {
		err := s.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
			if err := s.notify(ctx, tx, e, limit); err != nil {
				return err
			}
			return tx.AnnouncedEntry(ctx, e.ID)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// noticeLimit gives how much the channel that people hear of the ticket on may
// tell them.
func (s *ticketSync) noticeLimit(ctx context.Context) (deviceops.Limit, error) {
	if s.ticket.Notify == deviceops.ChannelLog {
		return deviceops.Limit{}, nil
	}
	info, err := s.deps.channel(ctx, s.ticket.Account, s.ticket.Notify)
	switch code := deviceops.ErrorCode(err); {
	case err == nil:
		return info.Limit, nil
	case code != deviceops.ENOTFOUND && code != deviceops.EINVALID: // what is missing ends as a dead letter
		return deviceops.Limit{}, err
	}
	return deviceops.DefaultNoticeLimit, nil
}

// notify tells people of an entry. The ticket may have become a member of a storm
// since, of which they hear by its parent.
func (s *ticketSync) notify(ctx context.Context, tx deviceops.Tx, e deviceops.TicketEntry, limit deviceops.Limit) error {
	word := s.ticket.Announcement(e)
	if word == "" {
		return nil
	}
	n := deviceops.Notice{
		ID: "notice/" + e.ID, Account: s.ticket.Account, Channel: s.ticket.Notify, Key: s.ticket.ID, Title: word + ": " + s.ticket.Title,
		Text: cmp.Or(e.Text, s.ticket.Body, s.ticket.Title), Severity: s.ticket.Severity, Device: s.ticket.Device,
		Run: deviceops.ChannelRun{ID: s.ticket.Run}, QueuedAt: s.deps.now(),
	}
	switch e.Kind {
	case deviceops.EntryRecovered, deviceops.EntryClosed:
		n.Severity = "info"
	case deviceops.EntrySeverity:
		n.Severity = e.Text
	}
	if n.Channel == deviceops.ChannelLog {
		return tx.AppendEvents(ctx, []deviceops.Event{s.logged(n)})
	}
	return tx.QueueNotice(ctx, n, limit)
}

// logged is how the channel that every installation has tells of a ticket.
func (s *ticketSync) logged(n deviceops.Notice) deviceops.Event {
	return deviceops.Event{
		Account: n.Account, Device: n.Device, Type: EventNotification, Severity: n.Severity, At: n.QueuedAt, ReceivedAt: n.QueuedAt,
		Data: map[string]any{"channel": n.Channel, "title": n.Title, "text": n.Text, "ticket": s.ticket.ID},
	}
}
