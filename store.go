package deviceops

import (
	"context"
	"time"
)

// Store remembers the fleet. Every method may be called outside a transaction,
// where it is one of its own, and on the Tx that InTx passes, where all calls
// commit together.
type Store interface {
	Tx

	// InTx runs f in one transaction and commits when it returns nil. The
	// context passed to f must be used for calls on tx. Serialization failures
	// and deadlocks are tried again, so f may run more than once and must have
	// no other effects. Calls of InTx do not nest.
	InTx(ctx context.Context, f func(ctx context.Context, tx Tx) error) error
}

// Tx is what can be done in a transaction, by entity.
type Tx interface {
	Accounts
	Documents
	Devices
	Fleet
	Commands
	Events
	Runs
	Rollouts
	Outputs
	Approvals
	Tickets
	Notices
	Releases
	ArtifactRecords
	Audit
	Tokens
	Starts
	AutomationRecords
	Lanes
	Routes
	Timeline
	MetricHistory
}

// Accounts keeps the tree of tenants.
type Accounts interface {
	// EnsureAccount stores an account if its path is new.
	EnsureAccount(ctx context.Context, a Account) error

	// ListAccounts gives an account and all below it, by path.
	ListAccounts(ctx context.Context, top string) ([]Account, error)
}

// Starts is the outbox of workflows to start: written in the transaction that
// decides, carried out after its commit, and by a sweeper if that was lost.
type Starts interface {
	// RequestStarts stores requests; one whose workflow id waits already is
	// left as it is.
	RequestStarts(ctx context.Context, requests []Start, now time.Time) error

	// PendingStarts leases up to limit requests that were made at before or
	// earlier, oldest first, until now plus PublishLease. Those under lease are
	// left out.
	PendingStarts(ctx context.Context, before, now time.Time, limit int) ([]Start, error)

	// DoneStarts removes requests that were carried out.
	DoneStarts(ctx context.Context, workflowIDs []string) error
}

// Lanes hands the members of the engine's shared subscription out to gateway
// processes, one holder each.
type Lanes interface {
	// HoldLanes renews the leases of holder until now plus ttl and takes free
	// or lapsed lanes, out of 0..total-1, until holder has its fair share of
	// them (total divided by live holders, rounded up); what it holds above
	// that is given up. It gives the lanes now held.
	HoldLanes(ctx context.Context, holder string, total int, now time.Time, ttl time.Duration) ([]int, error)

	// ReleaseLanes gives up all lanes of holder.
	ReleaseLanes(ctx context.Context, holder string) error
}

// TimelineEntry is one line of what happened to a device.
type TimelineEntry struct {
	At      time.Time      `json:"at"`
	Kind    string         `json:"kind"` // event, command, audit, approval, run
	Subject string         `json:"subject"`
	Text    string         `json:"text"`
	Data    map[string]any `json:"data,omitempty"`
}

// Timeline merges what is known about a device.
type Timeline interface {
	// DeviceTimeline gives the newest entries of a device out of its events
	// (telemetry left out), commands, audit entries, approvals and runs, newest
	// first, up to limit.
	DeviceTimeline(ctx context.Context, device string, limit int) ([]TimelineEntry, error)
}
