package deviceops

import (
	"context"
	"time"
)

// CommandStatus is how far a command is. Statuses only advance, except that a
// failed command is made pending again by a higher attempt.
type CommandStatus string

// Statuses of a command.
const (
	CommandPending   CommandStatus = "pending"   // to be published when the device is online and it is due
	CommandSent      CommandStatus = "sent"      // the broker acknowledged it; the device is silent so far
	CommandAccepted  CommandStatus = "accepted"  // the device works on it
	CommandDeferred  CommandStatus = "deferred"  // the device asked to be asked again at DueAt
	CommandSucceeded CommandStatus = "succeeded" //
	CommandFailed    CommandStatus = "failed"    //
	CommandRejected  CommandStatus = "rejected"  // the device will never do it
	CommandCanceled  CommandStatus = "canceled"  //
	CommandExpired   CommandStatus = "expired"   // nobody waits for it any more; its effect is unknown
)

// Terminal reports whether a command of this status needs no further message.
func (s CommandStatus) Terminal() bool {
	switch s {
	case CommandSucceeded, CommandFailed, CommandRejected, CommandCanceled, CommandExpired:
		return true
	default:
		return false
	}
}

// InFlight reports whether the device may be executing the command.
func (s CommandStatus) InFlight() bool { return s == CommandSent || s == CommandAccepted }

// Command is one command to one device. Its id comes from what asked for it
// (workflow, step and iteration), so that asking twice is asking once.
type Command struct {
	ID        string         `json:"id"`
	Account   string         `json:"account"`
	Device    string         `json:"device"`
	Name      string         `json:"name"`
	Args      map[string]any `json:"args,omitempty"`
	Attempt   int            `json:"attempt"` // from 1; rises only after the device reported failed
	Exclusive bool           `json:"exclusive,omitempty"`
	Status    CommandStatus  `json:"status"`
	By        string         `json:"by"`               // who or what asked: user:..., run:..., provision:...
	Reason    string         `json:"reason,omitempty"` //

	Waiter *ActivityRef `json:"waiter,omitempty"` // the activity that waits for the answer; nil: nobody does

	CreatedAt   time.Time `json:"created_at"`
	DueAt       time.Time `json:"due_at"`                // not before
	ExpiresAt   time.Time `json:"expires_at,omitzero"`   // the device must not begin after this
	SentAt      time.Time `json:"sent_at,omitzero"`      // of the last publication that the broker acknowledged
	LeasedUntil time.Time `json:"leased_until,omitzero"` // a publication is under way until then
	FinishedAt  time.Time `json:"finished_at,omitzero"`
	CancelAsked bool      `json:"cancel_asked,omitempty"`

	Deferrals int            `json:"deferrals,omitempty"`
	Boot      string         `json:"boot,omitempty"` // the device's boot id when the command was sent
	Phase     string         `json:"phase,omitempty"`
	Percent   int            `json:"percent,omitempty"`
	Output    map[string]any `json:"output,omitempty"`
	Error     *CommandError  `json:"error,omitempty"`

	Rollout string `json:"rollout,omitempty"` // the rollout whose row for the device this command carries out
	Ring    int    `json:"ring,omitempty"`    // of Rollout

	Route Route `json:"-"` // how to reach the device; filled in by ClaimCommands
}

// CommandError is why a device did not do what it was told.
type CommandError struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	Retryable bool   `json:"retryable"`
}

// Arguments of install that say when a device may begin to install what it
// downloaded, as RFC 3339 texts. On the wire they become install_in and
// install_within: seconds from then on, as devices' clocks may be wrong.
const (
	ArgInstallAfter  = "install_after"
	ArgInstallBefore = "install_before"
)

// ActivityRef names an activity that ends when its command does.
type ActivityRef struct {
	Workflow string `json:"workflow"`
	Activity string `json:"activity"`
}

// PhaseConfirming is the phase of an install that the device says is done, until
// its report shows that it is.
const PhaseConfirming = "confirming"

// Resend is how long a published command may stay unanswered before it is
// published again, with the same id and attempt.
const Resend = 30 * time.Second

// PublishLease is how long a publication may take before another process may
// do it instead.
const PublishLease = 10 * time.Second

// Answer is what a device said about a command, as the rules need it.
type Answer struct {
	Attempt int
	Status  string // accepted, progress, succeeded, failed, rejected, deferred, canceled, cancel_refused
	RetryIn time.Duration
	Reason  string
	Phase   string
	Percent int
	Output  map[string]any
	Error   *CommandError
}

// Answer applies a device's answer to the command and reports whether anything
// changed. An answer to another attempt, or to a command that has ended,
// changes nothing: states only advance.
func (c *Command) Answer(a Answer, now time.Time) bool {
	if a.Attempt != c.Attempt || c.Status.Terminal() {
		return false
	}
	switch a.Status {
	case "accepted", "progress":
		c.accept(a)
	case "deferred":
		c.deferred(a, now)
	case "cancel_refused":
		return false
	case "succeeded":
		c.Percent, c.Output = 100, a.Output
		c.finish(CommandSucceeded, now)
	case "failed":
		c.Error = answerError(a, "failed")
		c.finish(CommandFailed, now)
	case "rejected":
		c.Error = answerError(a, "rejected")
		c.Error.Retryable = false
		c.finish(CommandRejected, now)
	case "canceled":
		c.Error = answerError(a, "canceled")
		c.finish(CommandCanceled, now)
	default:
		return false
	}
	return true
}

// accept and deferred give the lease back: an answer is newer than the record
// of the publication that it answers (see MarkSent).
func (c *Command) accept(a Answer) {
	c.Status, c.LeasedUntil = CommandAccepted, time.Time{}
	if a.Phase != "" && c.Phase != PhaseConfirming { // what comes after that was said before
		c.Phase = a.Phase
	}
	c.Percent = max(c.Percent, a.Percent)
}

func (c *Command) deferred(a Answer, now time.Time) {
	c.Status, c.LeasedUntil = CommandDeferred, time.Time{}
	c.Deferrals++
	c.DueAt = now.Add(a.RetryIn)
	c.Phase = a.Reason
}

func (c *Command) finish(s CommandStatus, now time.Time) {
	c.Status, c.FinishedAt, c.LeasedUntil = s, now, time.Time{}
}

// Finish ends a command from the engine's side: confirmed by what the device
// reported, canceled before it was sent, or expired. It reports whether
// anything changed.
func (c *Command) Finish(s CommandStatus, cause *CommandError, now time.Time) bool {
	if c.Status.Terminal() {
		return false
	}
	c.Error = cause
	c.finish(s, now)
	return true
}

func answerError(a Answer, code string) *CommandError {
	if a.Error != nil {
		e := *a.Error
		if e.Code == "" {
			e.Code = code
		}
		return &e
	}
	return &CommandError{Code: code, Message: "the device gave no reason"}
}

// Retry makes a failed command pending again under the next attempt. It
// changes nothing, and reports false, unless attempt is the next one and the
// device has reported the present one as failed: an attempt that may have had
// its effect is never followed by another.
func (c *Command) Retry(attempt int, now time.Time) bool {
	if attempt != c.Attempt+1 || c.Status != CommandFailed {
		return false
	}
	c.Attempt, c.Status, c.DueAt = attempt, CommandPending, now
	c.SentAt, c.FinishedAt, c.LeasedUntil = time.Time{}, time.Time{}, time.Time{}
	c.Error, c.Output, c.Phase, c.Percent = nil, nil, "", 0
	return true
}

// Due reports whether the command should be published at now, if its device is
// online and no other exclusive command is in flight there. What the device
// must no longer begin is not published.
func (c *Command) Due(now time.Time) bool {
	if c.LeasedUntil.After(now) || c.DueAt.After(now) || c.expired(now) {
		return false
	}
	switch c.Status {
	case CommandPending, CommandDeferred:
		return true
	case CommandSent:
		return !c.SentAt.Add(Resend).After(now)
	default:
		return false
	}
}

func (c *Command) expired(now time.Time) bool {
	return !c.ExpiresAt.IsZero() && !c.ExpiresAt.After(now)
}

// Commands keeps commands.
type Commands interface {
	// CreateCommand stores c in status pending, or gives the stored one if its
	// id exists; created tells which. ECONFLICT if the id belongs to another
	// device or another name.
	CreateCommand(ctx context.Context, c Command) (stored Command, created bool, err error)

	// FindCommand gives a command. ENOTFOUND.
	FindCommand(ctx context.Context, id string) (Command, error)

	// LockCommands gives the commands that exist out of ids and locks them, in
	// id order, until the transaction ends.
	LockCommands(ctx context.Context, ids []string) (map[string]*Command, error)

	// OpenCommands gives the commands of devices that have not ended, by
	// device, oldest first.
	OpenCommands(ctx context.Context, devices []string) (map[string][]Command, error)

	// ListCommands gives a device's commands, newest first, up to limit.
	ListCommands(ctx context.Context, device string, limit int) ([]Command, error)

	// SaveCommands writes in bulk what may change of commands once they are made:
	// all but what they ask, of whom, on whose behalf and why, and the boot to which
	// they were published.
	SaveCommands(ctx context.Context, commands []Command) error

	// ClaimCommands leases up to limit commands that are due at now (see
	// Command.Due) for publication until now plus PublishLease, and commits
	// (within InTx the leases come with its commit). Oldest first, with their
	// routes. Only devices that are online count, and only one exclusive
	// command per device may be leased, sent or accepted at a time: the one
	// that is at it, else the oldest that is due; none begins while a rollout is
	// at the device's gateway or at a device behind it. What others are claiming
	// is skipped. Commands of rollouts are claimed only once they were sent: their
	// first publication, and the next after a deferral, is the rollout's affair.
	// In a frozen account nothing is claimed that is pending or deferred.
	ClaimCommands(ctx context.Context, q ClaimQuery) ([]Command, error)

	// MarkSent records publications that the broker acknowledged: open
	// commands of the given attempt that still have their lease, even a lapsed
	// one, become sent at now and lose it. One without a lease was answered
	// before this call; the answer stays. A command that was accepted, lost by
	// its device and claimed Again is sent until the device answers anew, so
	// that it is asked again if the broker loses it: the one way back.
	MarkSent(ctx context.Context, sent []Sent, now time.Time) error

	// ExpiredCommands gives up to limit ids of open commands that have expired
	// at now and that nobody waits for. Those of rollouts are given once they were
	// sent.
	ExpiredCommands(ctx context.Context, now time.Time, limit int) ([]string, error)
}

// ClaimQuery says which commands to claim.
type ClaimQuery struct {
	Now     time.Time
	IDs     []string // only these commands; empty: any
	Devices []string // only commands of these devices; empty: any
	// Except are ids that a device listed as running at its hello. They are
	// not claimed, and hold their device as if they were in flight.
	Except []string
	// Again claims commands that were sent before the Resend time has passed,
	// and accepted ones: after a hello, what the device does not run it never
	// got or has lost.
	Again bool
	Limit int // 0: 100
}

// Sent names one published attempt of a command.
type Sent struct {
	ID      string
	Attempt int
	Boot    string // the device's boot id at the time
}
