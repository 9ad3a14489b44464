package deviceops

import (
	"context"
	"time"
)

// Gateway publishes to devices. All methods return when the broker has
// acknowledged, which does not mean that the device has the message.
// EUNAVAILABLE when the broker does not answer in time.
type Gateway interface {
	// PublishCommands sends commands; it gives those that the broker took,
	// and an error if any was not.
	PublishCommands(ctx context.Context, commands []Command, now time.Time) ([]Sent, error)

	// PublishCancel asks a device to give up a command.
	PublishCancel(ctx context.Context, device, commandID string) error

	// PublishWelcomes answers hellos.
	PublishWelcomes(ctx context.Context, welcomes []Welcome, now time.Time) error

	// PublishAcks tells devices what is committed.
	PublishAcks(ctx context.Context, acks []SeqKey) error
}

// Welcome is the engine's answer to a device's hello.
type Welcome struct {
	Device    string
	Route     Route
	State     State
	Desired   Desired
	Pending   int    // commands that wait for the device
	Boot      string // of Seq
	Seq       int64  // highest contiguous seq that is committed
	NeedHello bool   // the digest of a short hello is not known: say the full one
}

// Message is one MQTT message from a device, as it came.
type Message struct {
	Topic      string
	Payload    []byte
	ReceivedAt time.Time
	Retained   bool // the broker had kept it: it is no news
}

// Inbox takes what devices say.
type Inbox interface {
	// Deliver handles a batch and returns after its commit: nil means that
	// every message is stored, or rejected and listed as such, so that all may
	// be acknowledged to the broker. An error means that none is; the caller
	// delivers the batch again. Delivering a message twice is harmless.
	Deliver(ctx context.Context, batch []Message) error
}

// Secrets gives secrets by reference.
type Secrets interface {
	// Secret gives the value behind a reference as ParseSecretRef reads it,
	// for an account: the one whose run asks, or "" for the engine itself.
	// EINVALID for what is no reference, ENOTFOUND, EFORBIDDEN, or EUNAVAILABLE
	// when the provider is sealed, out of reach or has to be logged in to again.
	// No error says the value of a secret.
	Secret(ctx context.Context, account, reference string) (string, error)
}

// Start asks for a workflow. WorkflowID is deterministic, so that asking twice
// starts one.
type Start struct {
	WorkflowID string
	Type       string // a workflow type of package workflows
	Input      any    // JSON-encodable; when it comes from the store: json.RawMessage
	Device     string // for search; may be empty
}

// Execution is the state of a workflow in Temporal.
type Execution struct {
	WorkflowID string
	RunID      string
	Type       string
	Status     string // running, completed, failed, canceled, terminated, timed_out, continued_as_new
	StartedAt  time.Time
	ClosedAt   time.Time
	Events     int64 // length of the history
}

// Orchestrator reaches durable workflows.
type Orchestrator interface {
	// Start starts a workflow. When one of this id is running nothing is
	// started and started is false; one of a ticket is then sent TicketNudge.
	// EUNAVAILABLE.
	Start(ctx context.Context, s Start) (started bool, err error)

	// Signal sends a message to a running workflow. ENOTFOUND if none runs.
	Signal(ctx context.Context, workflowID, name string, payload any) error

	// Update calls an update handler and waits for its result. updateID makes
	// repeats harmless. ENOTFOUND if no workflow runs; the error of the
	// handler's validator comes back with its own code.
	Update(ctx context.Context, workflowID, updateID, name string, arg, result any) error

	// Query asks a workflow, running or closed, for its state.
	Query(ctx context.Context, workflowID, name string, result any) error

	// Cancel asks a workflow to end, running its clean-up. ENOTFOUND.
	Cancel(ctx context.Context, workflowID, reason string) error

	// Complete ends the activity that waits for a command. An activity that
	// is no longer there, or not there at the moment, is no error: its next
	// lease reads the command's row.
	Complete(ctx context.Context, ref ActivityRef, c Command) error

	// Describe gives the state of a workflow. ENOTFOUND.
	Describe(ctx context.Context, workflowID string) (Execution, error)

	// Schedule makes a timetable, or changes the one of its id. Times that come
	// while the workflow of the one before goes on wait, in order. EINVALID,
	// EUNAVAILABLE.
	Schedule(ctx context.Context, t Timetable) error

	// Unschedule removes a timetable; one that is not there is no error.
	Unschedule(ctx context.Context, id string) error

	// Timetables gives the digests of the timetables of automations by id. One
	// that was changed a moment ago may be given as it was before.
	Timetables(ctx context.Context) (map[string]string, error)

	// NextTimes gives the next few times of a timetable; none while it is paused.
	// ENOTFOUND.
	NextTimes(ctx context.Context, id string) ([]time.Time, error)

	// TimesBetween gives the first of the times of a timetable that lie after one
	// moment and not after another, in order; none: there are no more. It does not
	// matter whether it is paused. ENOTFOUND, EUNAVAILABLE.
	TimesBetween(ctx context.Context, id string, after, until time.Time) ([]time.Time, error)
}
