package deviceops

import (
	"context"
	"time"
)

// Event is something that a device or the engine said. Events are append-only.
type Event struct {
	ID         int64          `json:"id"`
	Account    string         `json:"account"`
	Device     string         `json:"device,omitempty"`
	Type       string         `json:"type"`     // device.battery, device.state_changed ...
	Severity   string         `json:"severity"` // debug, info, warning, error, critical
	Data       map[string]any `json:"data,omitempty"`
	At         time.Time      `json:"at"`                    // when it happened, as believed
	ReceivedAt time.Time      `json:"received_at"`           // when it came in
	ClockFixed bool           `json:"clock_fixed,omitempty"` // the device's clock was not believed
	ClaimedAt  string         `json:"claimed_at,omitempty"`  // the time that was not believed, as sent
	Boot       string         `json:"boot,omitempty"`
	Seq        int64          `json:"seq,omitempty"`
	Call       *Call          `json:"call,omitempty"` // it is meant for certain automations alone
}

// Types of the events that the engine writes.
const (
	EventDeviceState        = "device.state_changed"
	EventDeviceConnectivity = "device.connectivity_changed"
	EventDeviceBooted       = "device.booted"
	EventDeviceReported     = "device.reported"
	EventTelemetry          = "device.telemetry"
	EventProvision          = "device.provisioning" // a step of provisioning was reached
	EventCommand            = "device.command"      // a command changed its status
	EventClock              = "device.clock_wrong"

	EventDegraded           = "device.degraded"            // a condition of its profile has held long enough
	EventRecovered          = "device.recovered"           // it holds no more
	EventFlapping           = "device.flapping"            // its connection is lost and found too often: each time is told no more
	EventStable             = "device.stable"              // it flaps no more
	EventPlace              = "device.place_changed"       // it said that it is somewhere else
	EventConnectivityDamped = "device.connectivity_damped" // a change of connectivity while it flaps

	EventApprovalOpened    = "approval.opened"     // somebody is asked
	EventApprovalEscalated = "approval.escalated"  // time has passed: more are asked
	EventApprovalDelegated = "approval.delegated"  // it was handed on
	EventAutomationStopped = "automation.stopped"  // by its brake: it waits for a person
	EventAutomationFailed  = "automation.failed"   // it fired, and its run could not be made
	EventSchedule          = "automation.schedule" // a time has come
	EventManual            = "automation.manual"   // a person called an automation

	EventBreakGlass = "approval.broken_glass" // critical: approved in an emergency
)

// engineTypes are the types of events that nobody else may say: who could say them
// would speak in the engine's name.
var engineTypes = map[string]bool{
	EventDeviceState: true, EventDeviceConnectivity: true, EventDeviceBooted: true, EventDeviceReported: true, EventTelemetry: true,
	EventProvision: true, EventCommand: true, EventClock: true, EventAutomationStopped: true, EventAutomationFailed: true,
	EventDegraded: true, EventRecovered: true, EventFlapping: true, EventStable: true, EventConnectivityDamped: true, EventPlace: true,
	EventSchedule: true, EventManual: true, EventApprovalOpened: true, EventApprovalEscalated: true, EventApprovalDelegated: true, EventBreakGlass: true,
}

// SaidByEngine reports whether events of this type are written by the engine alone.
func SaidByEngine(eventType string) bool { return engineTypes[eventType] }

// ClockTolerance is how far in the future, and ClockHistory how far in the
// past, a device's time may lie to be believed.
const (
	ClockTolerance = 5 * time.Minute
	ClockHistory   = 30 * 24 * time.Hour
)

// BelieveClock tells when something happened. claimed is the device's own time
// (zero: it gave none), age how long ago it says it was (negative: it said
// nothing), received the engine's time. A claimed time that lies too far off is
// replaced by the time of receipt, and fixed is true.
func BelieveClock(received, claimed time.Time, age time.Duration) (at time.Time, fixed bool) {
	switch {
	case age >= 0 && age <= ClockHistory:
		return received.Add(-age), false
	case age > ClockHistory:
		return received, true
	case claimed.IsZero():
		return received, false
	case claimed.After(received.Add(ClockTolerance)), claimed.Before(received.Add(-ClockHistory)):
		return received, true
	default:
		return claimed, false
	}
}

// Rejected is a message that was not taken, with the reason.
type Rejected struct {
	ID         int64     `json:"id"`
	ReceivedAt time.Time `json:"received_at"`
	Topic      string    `json:"topic"`
	Device     string    `json:"device,omitempty"`
	Code       string    `json:"code"` // malformed, too_large, unknown_device, unknown_leaf, retired ...
	Reason     string    `json:"reason"`
	Size       int       `json:"size"`    // bytes
	Payload    []byte    `json:"payload"` // the first RejectedPayload bytes
	// Numbered: its number is in the duplicate table though nothing of it is stored.
	// Taken in again, it is no repetition.
	Numbered bool `json:"-"`
}

// RejectedPayload is how many bytes of a rejected payload are kept. What is longer
// cannot be taken in again.
const RejectedPayload = 32 << 10

// EventFilter selects events. Zero fields select all.
type EventFilter struct {
	Account string // this account and all below it
	Device  string
	Type    string // exact, or a prefix ending in "."
	Since   time.Time
	Call    *Call // calls of this kind and name
	// After gives events with a higher id, oldest first; 0 gives the newest
	// Limit, newest first. Ids are given out before the commit: who follows
	// events reads the last moments again, for lower ids that come late. Below
	// 0: from the first on.
	After int64
	Limit int // 0: 100
}

// SeqKey names one sequenced message of a device.
type SeqKey struct {
	Device  string
	Boot    string
	Seq     int64
	Account string // of the device, where the key is claimed; "": root
}

// OwedAck is what is to be told to a device: up to which seq its messages of a boot
// are stored. It was last seen at SeenAt, which may not be stored yet.
type OwedAck struct {
	Device, Boot string
	SeenAt       time.Time
}

// Events keeps events, the duplicate table and rejected messages.
type Events interface {
	// AppendEvents stores events in bulk, in the partition of the day they
	// were received, and gives each of them its ID.
	AppendEvents(ctx context.Context, events []Event) error

	// FindEvent gives an event. ENOTFOUND.
	FindEvent(ctx context.Context, id int64) (Event, error)

	// ListEvents gives events.
	ListEvents(ctx context.Context, f EventFilter) ([]Event, error)

	// ClaimSeqs enters keys into the duplicate table and reports, in the order
	// of keys, which were new. Of equal keys in one call the first is new. Keys are
	// equal whatever their accounts are.
	ClaimSeqs(ctx context.Context, keys []SeqKey, now time.Time) ([]bool, error)

	// ContiguousSeqs gives, per device of boots (device → boot id), the
	// highest n such that all of from+1..n are in the duplicate table, where
	// from is the device's stored watermark given in from.
	ContiguousSeqs(ctx context.Context, boots map[string]string, from map[string]int64) (map[string]int64, error)

	// Acknowledge locks the devices that are owed acks, no more than one each, in
	// order of id, notes in their sessions that they have them at now and when they
	// were last seen, and gives as Seq what ContiguousSeqs does, from the watermark
	// of the session if that is of the same boot. Devices that are retired or not
	// there are left out.
	Acknowledge(ctx context.Context, owed []OwedAck, now time.Time) ([]SeqKey, error)

	// AppendRejected stores rejected messages. Of those of one account and code the
	// newest 256 MiB are kept, and what was asked to be taken in again.
	AppendRejected(ctx context.Context, rejected []Rejected) error

	// ListRejected gives the rejected messages that f selects, newest first, and
	// the number of all that were ever rejected, by code.
	ListRejected(ctx context.Context, f RejectedFilter, limit int) (rows []Rejected, counts map[string]int64, err error)

	// RequestReplays marks the rejected messages that r selects, and that were
	// kept whole, to be taken in again.
	RequestReplays(ctx context.Context, r RejectedReplay, now time.Time) (RejectedReplayReport, error)

	// ClaimReplays leases up to limit rejected messages that were marked, oldest
	// first, until now plus PublishLease.
	ClaimReplays(ctx context.Context, now time.Time, limit int) ([]Rejected, error)

	// DeleteRejected removes rejected messages and gives the ids of those that
	// were there, in no order. Counts stay.
	DeleteRejected(ctx context.Context, ids []int64) ([]int64, error)

	// MaintainEvents makes the partitions of the coming days, drops those
	// older than keep and prunes the duplicate table and rejected messages after 7
	// days.
	MaintainEvents(ctx context.Context, now time.Time, keep time.Duration) error
}
