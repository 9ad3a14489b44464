package deviceops

import (
	"fmt"
	"sort"
	"time"
)

// Profile is a device type, compiled from its document.
type Profile struct {
	Account    string
	Name       string
	Version    int
	Hash       string
	Attributes map[string]string // name → type: string, integer, number, boolean
	Commands   map[string]CommandSpec
	Metrics    map[string]MetricSpec
	Heartbeat  HeartbeatPolicy
	Wellness   WellnessPolicy
	Provision  ProvisionSpec

	// Translation understands devices that know only topics of their own; nil:
	// they speak the device protocol.
	Translation Translation

	// Guards are further conditions for entering a state. A transition whose
	// guard is not Yes is refused.
	Guards map[State]DevicePredicate
	// GuardSources are the guards as written, for messages.
	GuardSources map[State]string
}

// CommandSpec describes a command that devices of a profile understand.
type CommandSpec struct {
	Name       string
	Idempotent bool
	Exclusive  bool          // never overlaps with another exclusive command on one device
	Reboots    bool          // the device restarts while executing it
	Timeout    time.Duration // how long an answer may take; 0: the step's or the default
	ArgsSchema []byte        // JSON Schema of the arguments, nil: none are taken
	Result     []byte        // JSON Schema of the output, nil: anything
	// Prepare checks arguments against ArgsSchema and fills in defaults.
	// EINVALID names the argument. Nil accepts anything.
	Prepare func(args map[string]any) (map[string]any, error)
}

// MetricSpec describes a number or flag that devices report.
type MetricSpec struct {
	Type     string // number, integer or boolean
	Min, Max *float64
}

// Bounds gives what a value may be, as a profile writes it: 0..100, 1.. or ..5; ""
// where it may be anything.
func (s MetricSpec) Bounds() string {
	if s.Min == nil && s.Max == nil {
		return ""
	}
	text := ".."
	if s.Min != nil {
		text = fmt.Sprint(*s.Min) + text
	}
	if s.Max != nil {
		text += fmt.Sprint(*s.Max)
	}
	return text
}

// HeartbeatPolicy says how often a device reports and when it counts as
// offline.
type HeartbeatPolicy struct {
	Every        time.Duration `json:"every"`         // nanoseconds in JSON as stored; seconds on the wire
	OfflineAfter int           `json:"offline_after"` // missed heartbeats
}

// DefaultHeartbeat applies where a profile says nothing.
var DefaultHeartbeat = HeartbeatPolicy{Every: time.Minute, OfflineAfter: 3}

// Silence is how long a device may stay silent before it counts as offline.
func (h HeartbeatPolicy) Silence() time.Duration {
	return h.Every * time.Duration(h.OfflineAfter)
}

// ProvisionSpec is a profile's template for provisioning.
type ProvisionSpec struct {
	Configuration map[string]any
	Software      map[string]SoftwareSpec // by component
	Approve       bool                    // a person must admit each device
	ApproveBy     []string                // "role:operator", "user:maria"; empty: role:operator
	Proof         string                  // ProofClaim or ProofTopic; "": ProofClaim
	Workflow      string                  // name@version of a workflow to run before activation
	Timeout       time.Duration           // for the whole; 0: DefaultProvisionTimeout
	Retries       int                     // re-tries of a failed command
}

// DefaultProvisionTimeout bounds provisioning where the profile says nothing.
const DefaultProvisionTimeout = time.Hour

// SoftwareSpec says which versions of a component a new device may run and how
// to get it to one.
type SoftwareSpec struct {
	Want    Constraint
	Install *ComponentChange // nil: a device that differs can't be provisioned
}

// ComponentChange is one component that the reserved command install takes from
// one version to another.
type ComponentChange struct {
	Name      string `json:"name"`
	Kind      string `json:"kind,omitempty"` // of the component of a release
	From      string `json:"from,omitempty"`
	To        string `json:"to"`
	URL       string `json:"url"`
	Size      int64  `json:"size,omitempty"` // bytes
	SHA256    string `json:"sha256,omitempty"`
	Signature string `json:"signature,omitempty"`
	Order     int    `json:"order,omitempty"`
	Group     string `json:"group,omitempty"` // components of a group activate and revert together
}

// Reserved commands, which every device understands.
const (
	CommandInstall   = "install"
	CommandConfigure = "configure"
	CommandReboot    = "reboot"
	CommandCollect   = "collect"
	CommandWipe      = "wipe"
)

// reserved holds what is true of the reserved commands whatever a profile says.
var reserved = map[string]CommandSpec{
	CommandInstall:   {Name: CommandInstall, Idempotent: true, Exclusive: true, Reboots: true},
	CommandConfigure: {Name: CommandConfigure, Idempotent: true, Exclusive: true},
	CommandReboot:    {Name: CommandReboot, Exclusive: true, Reboots: true},
	CommandCollect:   {Name: CommandCollect, Idempotent: true},
	CommandWipe:      {Name: CommandWipe, Exclusive: true},
}

// Command gives the description of a command: the profile's own, else the
// reserved one. A device that knows only its own topics understands no command
// that its profile does not translate. ENOTFOUND lists the commands that there
// are.
func (p *Profile) Command(name string) (CommandSpec, error) {
	if spec, ok := p.Commands[name]; ok {
		return spec, nil
	}
	if spec, ok := reserved[name]; ok && p.Translation == nil {
		return spec, nil
	}
	return CommandSpec{}, Errorf(ENOTFOUND, "profile %s has no command %q; it has %v", p.Name, name, p.CommandNames())
}

// Takes reports whether devices of the profile understand a command.
func (p *Profile) Takes(command string) bool {
	_, err := p.Command(command)
	return err == nil
}

// CommandNames gives the names of all commands, the reserved ones included, in
// order.
func (p *Profile) CommandNames() []string {
	var names []string
	for name := range p.Commands {
		names = append(names, name)
	}
	for name := range reserved {
		if _, own := p.Commands[name]; !own && p.Translation == nil {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// ReservedCommand gives the description of a reserved command.
func ReservedCommand(name string) (CommandSpec, bool) {
	spec, ok := reserved[name]
	return spec, ok
}
