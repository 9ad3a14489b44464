package deviceops

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// recoverOnline closes the tickets that were open until their devices are online,
// which events in tx say.
func recoverOnline(ctx context.Context, tx Tx, events []Event, now time.Time) error {
	online := map[string]time.Time{}
	for _, e := range events {
		if e.Type != EventDeviceConnectivity {
			continue
		}
		delete(online, e.Device)
		if e.Data["to"] == string(Online) {
			online[e.Device] = e.At
		}
	}
	if len(online) == 0 {
		return nil
	}
	found, err := tx.RecoveringTickets(ctx, slices.Sorted(maps.Keys(online)))
	if err != nil {
		return err
	}
	var entries []TicketEntry
	for _, id := range slices.Sorted(maps.Keys(found)) {
		entries = append(entries, OnlineAgain(id, online[found[id]]))
	}
	_, err = TellTickets(ctx, tx, entries, now)
	return err
}

// OnlineAgain is the entry that closes a ticket since its device is online.
func OnlineAgain(ticket string, at time.Time) TicketEntry {
	return TicketEntry{
		ID: fmt.Sprintf("%s/online/%d", ticket, at.UnixNano()), Ticket: ticket, Kind: EntryRecovered, At: at, By: engineActor, Text: "the device is online",
	}
}
