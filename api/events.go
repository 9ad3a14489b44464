package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/deviceops/deviceops"
)

type eventService struct{ *core }

func (s *server) eventRoutes(e eventService) {
	handle(s, route{
		id: "list-events", method: http.MethodGet, path: "/v1/events", role: deviceops.RoleViewer,
		summary: "List events",
		about:   "Without a cursor the newest, newest first. The cursor given with them continues with what came after, oldest first: repeat it to follow.",
	}, e.list)
	handle(s, route{
		id: "get-event", method: http.MethodGet, path: "/v1/events/{id}", role: deviceops.RoleViewer,
		summary: "Show an event", about: "Events are kept for a time.",
	}, e.get)
	stream(s, route{
		id: "stream-events", method: http.MethodGet, path: "/v1/events/stream", role: deviceops.RoleViewer,
		summary: "Follow events", about: "An event `event` for each, from now on or after Last-Event-ID.",
	}, e.watch)
	handle(s, route{
		id: "list-rejected", method: http.MethodGet, path: "/v1/events/rejected", role: deviceops.RoleViewer,
		summary: "List messages that were not taken, newest first, and count them by code",
		about:   "They belong to no account, so only principals of the account root see them.",
	}, e.rejected)
	handle(s, route{
		id: "replay-rejected", method: http.MethodPost, path: "/v1/events/rejected:replay", role: deviceops.RoleOperator,
		summary: "Take rejected messages in again",
		about:   "As if they had just come, by the profiles as they are published now, within seconds. What is rejected again is listed anew. Messages that were not kept whole are counted as cut.",
	}, e.replay)
}

// EventQuery is the part of an input that selects events.
type EventQuery struct {
	Account string `query:"account" doc:"This account and all below it"`
	Device  string `query:"device"`
	Type    string `query:"type" doc:"Exact, or a prefix that ends in a dot" example:"device."`
}

type eventList struct {
	EventQuery
	Paged
	Since time.Time `query:"since" doc:"Received at or after this time"`
}

func (e eventService) list(ctx context.Context, p deviceops.Principal, in *eventList) (page[deviceops.Event], error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return page[deviceops.Event]{}, err
	}
	after, err := in.afterNumber()
	if err != nil {
		return page[deviceops.Event]{}, err
	}
	rows, err := e.Store.ListEvents(ctx, deviceops.EventFilter{
		Account: account, Device: in.Device, Type: in.Type, Since: in.Since, After: after, Limit: in.Limit,
	})
	for _, event := range rows {
		after = max(after, event.ID)
	}
	return page[deviceops.Event]{Items: orEmpty(rows), Next: cursor(strconv.FormatInt(after, 10))}, err
}

// EventPath is the part of an input that names an event.
type EventPath struct {
	ID int64 `path:"id" minimum:"1"`
}

func (e eventService) get(ctx context.Context, p deviceops.Principal, in *EventPath) (deviceops.Event, error) {
	return e.findEvent(ctx, p, in.ID)
}

// findEvent gives an event that the principal may see. ENOTFOUND.
func (c *core) findEvent(ctx context.Context, p deviceops.Principal, id int64) (deviceops.Event, error) {
	event, err := c.Store.FindEvent(ctx, id)
	if err == nil && !deviceops.AccountWithin(event.Account, p.Account) {
		err = deviceops.Errorf(deviceops.ENOTFOUND, "there is no event %d: events are kept for a time", id)
	}
	if err != nil {
		return deviceops.Event{}, err
	}
	return event, nil
}

type eventStream struct {
	EventQuery
	LastID string `header:"Last-Event-ID"`
}

func (e eventService) watch(ctx context.Context, p deviceops.Principal, in *eventStream) (source, error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return nil, err
	}
	t := tail{store: e.Store, now: e.Now, filter: deviceops.EventFilter{Account: account, Device: in.Device, Type: in.Type}}
	if in.LastID == "" {
		return t.next, t.begin(ctx)
	}
	if t.from, err = strconv.ParseInt(in.LastID, 10, 64); err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "Last-Event-ID %q is not an id of an event", in.LastID)
	}
	return t.next, nil
}

// settle is how long a transaction that took an event's id may take to commit.
const settle = 10 * time.Second

// tailLimit is how many events a tail reads at once.
const tailLimit = 1000

// tail follows events. Their ids are given out before they are committed, so a
// lower id may appear after a higher one: the events of the last moments are
// read again, and those that were sent already are left out.
type tail struct {
	store  deviceops.Events
	now    func() time.Time
	filter deviceops.EventFilter
	from   int64              // all events up to it are sent or older than the tail
	sent   map[int64]struct{} // events above from that were sent
}

// begin passes over what is there already.
func (t *tail) begin(ctx context.Context) error {
	f := t.filter
	f.Limit = 1
	newest, err := t.store.ListEvents(ctx, f)
	if len(newest) > 0 {
		t.from = newest[0].ID
	}
	return err
}

func (t *tail) next(ctx context.Context) ([]message, bool, error) {
	f := t.filter
	f.After, f.Limit = t.from, tailLimit
	rows, err := t.store.ListEvents(ctx, f)
	if err != nil {
		return nil, false, err
	}
	if f.After == 0 { // there was nothing before: such a list has the newest first
		slices.Reverse(rows)
	}
	var news []message
	for _, event := range rows {
		if _, already := t.sent[event.ID]; !already {
			news = append(news, message{id: strconv.FormatInt(event.ID, 10), event: "event", data: event})
		}
	}
	t.advance(rows)
	return news, false, nil
}

// advance moves from over events that have settled, or over all when the page
// is full, and notes the others as sent.
func (t *tail) advance(rows []deviceops.Event) {
	settled := t.now().Add(-settle)
	t.sent = make(map[int64]struct{}, len(rows))
	for i, event := range rows {
		full := len(rows) == tailLimit && i < tailLimit/2
		if len(t.sent) == 0 && (full || event.ReceivedAt.Before(settled)) {
			t.from = event.ID
			continue
		}
		t.sent[event.ID] = struct{}{}
	}
}

type rejectedInput struct {
	deviceops.RejectedFilter
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func (e eventService) rejected(ctx context.Context, p deviceops.Principal, in *rejectedInput) (deviceops.RejectedReport, error) {
	if p.Account != deviceops.RootAccount {
		return deviceops.RejectedReport{}, deviceops.Errorf(deviceops.EFORBIDDEN, "rejected messages belong to no account; they are shown to principals of the account root")
	}
	if err := in.Check(); err != nil {
		return deviceops.RejectedReport{}, err
	}
	rows, counts, err := e.Store.ListRejected(ctx, in.RejectedFilter, in.Limit)
	if counts == nil {
		counts = map[string]int64{}
	}
	return deviceops.RejectedReport{Counts: counts, Items: orEmpty(rows)}, err
}

type rejectedReplayInput struct {
	Reasoned
	Body deviceops.RejectedReplay
}

func (e eventService) replay(ctx context.Context, p deviceops.Principal, in *rejectedReplayInput) (report deviceops.RejectedReplayReport, err error) {
	if p.Account != deviceops.RootAccount {
		return report, deviceops.Errorf(deviceops.EFORBIDDEN, "rejected messages belong to no account; principals of the account root have them taken in again")
	}
	if err := in.Body.Check(); err != nil {
		return report, err
	}
	err = e.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		if report, err = tx.RequestReplays(ctx, in.Body, e.Now()); err != nil || report.Requested == 0 {
			return err
		}
		return tx.AppendAudit(ctx, e.entry(p, change{
			account: deviceops.RootAccount, action: "rejected.replay", target: "rejected", reason: in.because(in.Body.Reason),
			evidence: map[string]any{"code": in.Body.Code, "topic": in.Body.Topic, "device": in.Body.Device, "requested": report.Requested},
		}))
	})
	return report, err
}
