package protocol

import "github.com/deviceops/deviceops"

// Message is one thing that a device said. It is one of *Hello, *Status,
// *Heartbeat, *Telemetry, *Event, *Result, *Reported and, for an object that
// could not be read, *Invalid.
type Message interface {
	Leaf() Leaf
	Head() Header
	check() error
}

// Header is what every message of a device may carry.
type Header struct {
	// Boot is the id of the boot in which the message was made, drawn anew at
	// each start of the device. Where it is left out, the session's boot counts.
	Boot string `json:"boot,omitempty"`
	// Seq numbers events, telemetry and results from 1 in each boot, without
	// holes. 0 means that the device doesn't number: the message is stored, but
	// can't be de-duplicated.
	Seq int64 `json:"seq,omitempty"`
	// Time is when it happened, by the device's clock.
	Time Timestamp `json:"time,omitzero"`
	// AgeMS is how long ago it happened, in milliseconds, for a device without
	// a clock. It wins over Time.
	AgeMS *int64 `json:"age_ms,omitempty"`
	// Child is the device that the message is about, if not the one in the
	// topic, which is then its gateway. Boot and Seq stay those of the gateway,
	// whose journal holds the message; only in a hello Boot is the child's.
	Child string `json:"child,omitempty"`
}

// Head gives the header.
func (h Header) Head() Header { return h }

// Hello is what a device says first on every connection. The full form
// describes the device. The short form carries Digest in place of Profile,
// Serial, Claim, Software, ConfigVersion and MaxPayload: nothing of them has
// changed since the last full form.
type Hello struct {
	Header
	// Connection is drawn anew for each connection, and repeated by every
	// status, so that the will of an old connection is told from the present.
	Connection string `json:"connection,omitempty"`
	Profile    string `json:"profile,omitempty"`
	Serial     string `json:"serial,omitempty"`
	// Claim proves that this is the device that was registered; sent until the
	// device is active. It is a secret: see Redact.
	Claim string `json:"claim,omitempty"`
	// Software maps each component to its version.
	Software map[string]string `json:"software,omitempty"`
	// ConfigVersion is the version of the configuration in force; 0 for none.
	ConfigVersion int64 `json:"config_version,omitempty"`
	// MaxPayload is the most bytes the device takes in one message; 0 for
	// the protocol's MaxPayload.
	MaxPayload int `json:"max_payload,omitempty"`
	// Running lists the ids of commands that are under way. Every other open
	// command will be sent again.
	Running []string `json:"running,omitempty"`
	// Oldest is the lowest seq of this boot that the device still holds; 0 is
	// read as 1. What is below it will not come any more.
	Oldest int64 `json:"oldest,omitempty"`
	// Digest makes this the short form: DescriptionDigest of the full one.
	Digest string `json:"digest,omitempty"`
}

// Short reports whether this is the short form.
func (h *Hello) Short() bool { return h.Digest != "" }

// Connectivity that a Status tells.
const (
	StatusOnline   = "online"
	StatusOffline  = "offline"
	StatusSleeping = "sleeping"
)

// Status is a change of connectivity. StatusOffline is the last will, left with
// the broker at connect.
type Status struct {
	Header
	Status     string `json:"status"`
	Connection string `json:"connection,omitempty"`
	// WakeIn is after how many seconds a sleeping device will be back.
	WakeIn Seconds `json:"wake_in,omitempty"`
}

// Heartbeat says that the device lives.
type Heartbeat struct {
	Header
	UptimeS int64 `json:"uptime_s,omitempty"`
}

// Telemetry is a sample of metrics.
type Telemetry struct {
	Header
	Metrics Object `json:"metrics"`
}

// Severities of an Event; none means SeverityInfo.
const (
	SeverityInfo     = "info"
	SeverityWarning  = "warning"
	SeverityError    = "error"
	SeverityCritical = "critical"
)

// Event is something that happened on the device.
type Event struct {
	Header
	Type     string `json:"type"`
	Severity string `json:"severity,omitempty"`
	Data     Object `json:"data,omitempty"`
}

// Statuses of a Result.
const (
	ResultAccepted      = "accepted"       // begun, and it will take more than two seconds
	ResultProgress      = "progress"       // under way: phase, percent
	ResultSucceeded     = "succeeded"      // done: output
	ResultFailed        = "failed"         // tried and failed: error
	ResultRejected      = "rejected"       // will never be tried: error; never sent again
	ResultDeferred      = "deferred"       // not now: retry_in, reason; nothing has begun
	ResultCanceled      = "canceled"       // a cancel came in time
	ResultCancelRefused = "cancel_refused" // a cancel came too late and changes nothing
)

// Codes of a DeviceError that the protocol gives a meaning.
const (
	ErrorInterrupted    = "interrupted"     // power was lost in the middle; the effect is unknown
	ErrorExpired        = "expired"         // the command came after its expires_in
	ErrorUnknownCommand = "unknown_command" // the device has no such command
	ErrorInvalidArgs    = "invalid_args"    // the arguments make no sense to the device
)

// Phases of an install, in order.
const (
	PhaseDownloading = "downloading"
	PhaseDownloaded  = "downloaded"
	PhaseInstalling  = "installing"
	PhaseRebooting   = "rebooting"
	PhaseConfirming  = deviceops.PhaseConfirming
)

// Result is what became of a command.
type Result struct {
	Header
	// ID and Attempt are those of the command that this answers.
	ID      string `json:"id"`
	Attempt int    `json:"attempt"`
	Status  string `json:"status"`
	// Component and Phase tell how far an install is.
	Component string `json:"component,omitempty"`
	Phase     string `json:"phase,omitempty"`
	// Percent is between 0 and 100.
	Percent *float64     `json:"percent,omitempty"`
	Output  Object       `json:"output,omitempty"`
	Error   *DeviceError `json:"error,omitempty"`
	// RetryIn is after how many seconds to send a deferred command again.
	RetryIn Seconds `json:"retry_in,omitempty"`
	Reason  string  `json:"reason,omitempty"`
}

// Final reports whether nothing more comes after this result for its attempt.
func (r *Result) Final() bool {
	switch r.Status {
	case ResultSucceeded, ResultFailed, ResultRejected, ResultCanceled:
		return true
	}
	return false
}

// DeviceError is why a command failed or was rejected.
type DeviceError struct {
	Code    string `json:"code"`
	Message string `json:"message,omitempty"`
	// Retryable says that a higher attempt may succeed.
	Retryable bool `json:"retryable,omitempty"`
}

// Reported is what is in force on the device. What is left out has not
// changed.
type Reported struct {
	Header
	ConfigVersion *int64            `json:"config_version,omitempty"`
	Software      map[string]string `json:"software,omitempty"`
	Attributes    Object            `json:"attributes,omitempty"`
}

// Invalid stands for an object that could not be read. Head holds what could be
// told of its header: its seq counts as committed once the rejection is stored,
// or the device would send the same mistake for ever.
type Invalid struct {
	Header
	On  Leaf   // where it came
	Raw []byte // the object as it came, without its claim
	Err error  // what is wrong with it: EINVALID
}

// Leaf implements Message.
func (*Hello) Leaf() Leaf { return LeafHello }

// Leaf implements Message.
func (*Status) Leaf() Leaf { return LeafStatus }

// Leaf implements Message.
func (*Heartbeat) Leaf() Leaf { return LeafHeartbeat }

// Leaf implements Message.
func (*Telemetry) Leaf() Leaf { return LeafTelemetry }

// Leaf implements Message.
func (*Event) Leaf() Leaf { return LeafEvent }

// Leaf implements Message.
func (*Result) Leaf() Leaf { return LeafResult }

// Leaf implements Message.
func (*Reported) Leaf() Leaf { return LeafReported }

// Leaf implements Message: the leaf that the object came on.
func (m *Invalid) Leaf() Leaf { return m.On }
