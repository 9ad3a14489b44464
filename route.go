package deviceops

import (
	"context"
	"slices"
	"strings"
	"time"
)

// TargetKey names one target of one route.
type TargetKey struct {
	Account string `json:"account"`
	Route   string `json:"route"`
	Target  string `json:"target"`
}

// String gives "route/target", for people.
func (k TargetKey) String() string { return k.Route + "/" + k.Target }

// RouteTarget is how far one target of one route has come.
type RouteTarget struct {
	TargetKey
	Cursor      int64     `json:"cursor"`    // events up to this id are done: delivered, dead letters or passed over
	Delivered   int64     `json:"delivered"` // events that it took, repeats included
	DeliveredAt time.Time `json:"delivered_at,omitzero"`
	DeadLetters int64     `json:"dead_letters"` // those that wait for somebody, or for their replay
	Replaying   int64     `json:"replaying"`    // of them, those whose replay was asked for and is to come

	Paused       bool      `json:"paused,omitempty"`
	PausedBy     string    `json:"paused_by,omitempty"`
	PausedReason string    `json:"paused_reason,omitempty"`
	PausedAt     time.Time `json:"paused_at,omitzero"`

	Failures     int       `json:"failures,omitempty"` // tries that failed since the last that did not
	FailingSince time.Time `json:"failing_since,omitzero"`
	Error        string    `json:"error,omitempty"` // why the last one failed
	NextTry      time.Time `json:"next_try,omitzero"`

	Holder string `json:"holder,omitempty"` // the process that forwards to it

	LagEvents  int     `json:"lag_events"`  // selected by type and not done yet, up to MaxLag
	LagSeconds float64 `json:"lag_seconds"` // since the oldest of them was received

}

// MaxLag is up to how many events a lag is counted.
const MaxLag = 10_000

// Status says in a word how a target does: paused, failing, behind or up to date.
func (t RouteTarget) Status() string {
	switch {
	case t.Paused:
		return "paused"
	case t.Failures > 0:
		return "failing"
	case t.LagEvents > 0:
		return "behind"
	}
	return "up to date"
}

// RouteProgress is what a holder has done for a target.
type RouteProgress struct {
	Cursor    int64
	Delivered int64 // events since the last progress
	At        time.Time

	Failures     int // 0 makes the target well again
	FailingSince time.Time
	Error        string
	NextTry      time.Time
}

// EventSelection selects events for a route, oldest first.
type EventSelection struct {
	Account string   // this account and all below it
	Types   []string // exact ones, prefixes that end in ".*", or "*"
	After   int64    // only higher ids
	UpTo    int64    // only these and lower ids
	Limit   int
}

// Matches reports whether Types has an event type.
func (s EventSelection) Matches(eventType string) bool {
	return slices.ContainsFunc(s.Types, func(pattern string) bool {
		prefix, open := strings.CutSuffix(pattern, "*")
		return pattern == eventType || open && strings.HasPrefix(eventType, prefix)
	})
}

// ValidEventPattern reports whether a text may stand in EventSelection.Types.
func ValidEventPattern(text string) bool {
	prefix, open := strings.CutSuffix(text, ".*")
	return text == "*" || ValidID(prefix) && (!open || prefix != "")
}

// Horizon is up to where the stream of events is whole. Ids of events are given
// out before the commit, so that a lower one may show up after a higher one.
type Horizon struct {
	Safe int64 // no event with this or a lower id will come any more

	// Ids up to Mark may belong to the transactions Writers, which were under way
	// when Mark was read.
	Mark    int64
	Writers []string
}

// Advance gives the horizon after another look: mark is the highest id given out,
// and writers the transactions that were writing events after mark was read. What
// was marked before is safe when none of its writers is left.
func (h Horizon) Advance(mark int64, writers []string) Horizon {
	switch {
	case len(writers) == 0:
		return Horizon{Safe: mark, Mark: mark}
	case slices.ContainsFunc(h.Writers, func(w string) bool { return slices.Contains(writers, w) }):
		return h
	}
	return Horizon{Safe: h.Mark, Mark: mark, Writers: writers}
}

// DeadLetter is an event that a target will not take as it is.
type DeadLetter struct {
	TargetKey
	Event      int64     `json:"event"`
	Device     string    `json:"device,omitempty"`
	Type       string    `json:"type"`
	ReceivedAt time.Time `json:"received_at"` // when the event came in: it is kept for --keep-events from then
	Code       string    `json:"code"`        // shape, refused, gave_up, gone
	Reason     string    `json:"reason"`
	Version    int       `json:"version"` // of the route
	At         time.Time `json:"at"`      // when it was tried last
	Tries      int       `json:"tries"`
	Replaying  bool      `json:"replaying,omitempty"` // its replay was asked for and is to come
}

// Codes of dead letters.
const (
	DeadShape   = "shape"   // where or shape failed
	DeadRefused = "refused" // the target says that it will never take it
	DeadGaveUp  = "gave_up" // retry.times is over
	DeadGone    = "gone"    // it was to be replayed and the event is no longer kept
)

// DeadLetterFilter selects dead letters. Zero fields select all.
type DeadLetterFilter struct {
	Account   string // this account and all below it; with Exact, itself alone
	Exact     bool
	Route     string
	Target    string
	Events    []int64
	Replaying bool           // only those whose replay was asked for
	After     DeadLetterMark // only those behind it
	Limit     int            // 0: 100
}

// DeadLetterMark is the place of a dead letter among those of one route.
type DeadLetterMark struct {
	Event  int64
	Target string
}

// RoutePause asks a route, or one target of it, to stop or to go on.
type RoutePause struct {
	Account string
	Route   string
	Target  string // "": all
	Paused  bool
	By      string
	Reason  string
	At      time.Time
}

// RouteRequest is a request to the API that acts on a route.
type RouteRequest struct {
	Target string  `json:"target,omitempty"` // "": all
	Events []int64 `json:"events,omitempty"` // of a replay or discard: these dead letters; none: all
	Reason string  `json:"reason,omitempty"`
}

// RouteLetters tells how many dead letters will be tried again, or were discarded.
type RouteLetters struct {
	DeadLetters int `json:"dead_letters"`
}

// RouteStatus is a route with its targets.
type RouteStatus struct {
	Account string        `json:"account"`
	Name    string        `json:"name"`
	Version int           `json:"version"`
	Types   []string      `json:"events"`
	Error   string        `json:"error,omitempty"` // why this version of the engine cannot use it
	Targets []RouteTarget `json:"targets"`
}

// Routes keeps how far targets have come, and what they would not take.
type Routes interface {
	// OpenRoute makes the targets of a route of an account be these: one that is
	// new begins after the event cursor, -1 means the newest; one that was there
	// keeps its place; one that is no longer named loses it.
	OpenRoute(ctx context.Context, account, route string, targets []string, cursor int64) error

	// HoldTargets renews the leases of holder until now plus ttl and takes free or
	// lapsed targets until holder has its fair share of all (their number divided
	// by live holders, rounded up); what it holds above that is given up. It gives
	// the targets now held, without lag, and of dead letters only those that are
	// to be replayed.
	HoldTargets(ctx context.Context, holder string, now time.Time, ttl time.Duration) ([]RouteTarget, error)

	// ReleaseTargets gives up all targets of holder.
	ReleaseTargets(ctx context.Context, holder string) error

	// AdvanceTarget notes what holder has done. Cursors never go back. ECONFLICT
	// if holder does not hold the target any more: nothing is noted.
	AdvanceTarget(ctx context.Context, holder string, key TargetKey, p RouteProgress) error

	// ListTargets gives targets by account, route and target, without lag. Empty
	// arguments select all; account selects itself and all below it.
	ListTargets(ctx context.Context, account, route string) ([]RouteTarget, error)

	// PauseRoute stops targets or lets them go on and gives how many there are of
	// the name. ENOTFOUND if there are none.
	PauseRoute(ctx context.Context, p RoutePause) (int, error)

	// EventHorizon looks how far the stream of events is whole; before is what it
	// gave last, zero the first time. It is called outside transactions only.
	EventHorizon(ctx context.Context, before Horizon) (Horizon, error)

	// RouteEvents gives selected events, oldest first.
	RouteEvents(ctx context.Context, s EventSelection) ([]Event, error)

	// CountRouteEvents counts up to Limit selected events and gives when the
	// oldest of them was received, zero if there is none.
	CountRouteEvents(ctx context.Context, s EventSelection) (n int, oldest time.Time, err error)

	// FindEvents gives those of some events that are kept, by id.
	FindEvents(ctx context.Context, ids []int64) ([]Event, error)

	// SaveDeadLetters stores dead letters. One that there is already, by target
	// and event, is told anew and tried once more.
	SaveDeadLetters(ctx context.Context, letters []DeadLetter) error

	// ListDeadLetters gives dead letters by event and target.
	ListDeadLetters(ctx context.Context, f DeadLetterFilter) ([]DeadLetter, error)

	// ReplayDeadLetters asks for the replay of all dead letters that f selects
	// (Limit and After are not used) and whose targets are still there, and gives
	// their number.
	ReplayDeadLetters(ctx context.Context, f DeadLetterFilter) (int, error)

	// DiscardDeadLetters removes all dead letters that f selects (Limit and After
	// are not used) and gives their number.
	DiscardDeadLetters(ctx context.Context, f DeadLetterFilter) (int, error)

	// RemoveDeadLetters removes those that were delivered after all.
	RemoveDeadLetters(ctx context.Context, key TargetKey, events []int64) error
}
