package deviceops

import (
	"context"
	"time"
)

// Device is one thing in the field.
type Device struct {
	ID         string            `json:"id"`      // unique in the installation
	Account    string            `json:"account"` //
	Serial     string            `json:"serial"`  // unique per account and profile
	Profile    string            `json:"profile"`
	Parent     string            `json:"parent,omitempty"` // the gateway it is reached through
	Tags       []string          `json:"tags"`             // a set, sorted
	Labels     map[string]string `json:"labels"`
	Attributes map[string]any    `json:"attributes"`
	Zone       string            `json:"zone,omitempty"` // IANA time zone
	Place      *Place            `json:"place,omitempty"`
	PlaceAt    time.Time         `json:"place_at,omitzero"` // when it was there, as it said itself; zero: it is registered so

	State       State     `json:"state"`
	StateSince  time.Time `json:"state_since"`
	StateReason string    `json:"state_reason,omitempty"`

	ClaimHash string    `json:"-"` // see HashClaim; "" once the device is active or when none was registered
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`

	Twin     Twin           `json:"twin"`
	Session  Session        `json:"session"`
	Wellness Wellness       `json:"wellness"`
	Metrics  map[string]any `json:"metrics,omitempty"` // latest values
}

// Place is where a device stands.
type Place struct {
	Latitude  float64 `json:"latitude"`  // degrees
	Longitude float64 `json:"longitude"` // degrees
}

// Twin is what a device should be and what it said it is.
type Twin struct {
	Desired  Desired  `json:"desired"`
	Reported Reported `json:"reported"`
}

// Desired is what the engine wants a device to be. Version rises with every
// change of the configuration or heartbeat policy.
type Desired struct {
	Version       int64             `json:"version"`
	Configuration map[string]any    `json:"configuration,omitempty"`
	Software      map[string]string `json:"software,omitempty"` // component → version
	Heartbeat     HeartbeatPolicy   `json:"heartbeat"`
}

// Reported is what a device last said about itself.
type Reported struct {
	ConfigVersion int64             `json:"config_version"`
	Software      map[string]string `json:"software,omitempty"`
	Attributes    map[string]any    `json:"attributes,omitempty"`
	At            time.Time         `json:"at,omitzero"`
}

// Connectivity is how a device is reachable.
type Connectivity string

// Connectivities.
const (
	Never       Connectivity = "never"       // it has not been seen yet
	Online      Connectivity = "online"      //
	Offline     Connectivity = "offline"     // its last will came, or its heartbeats stopped
	Sleeping    Connectivity = "sleeping"    // it said when it will be back
	Unreachable Connectivity = "unreachable" // its gateway is lost
)

// Session is a device's presence: its present or last connection. It changes
// often, so it is stored apart from the device.
type Session struct {
	Connectivity  Connectivity `json:"connectivity"`
	Since         time.Time    `json:"since,omitzero"`       // of Connectivity
	Connection    string       `json:"connection,omitempty"` // id of the connection that said hello
	Boot          string       `json:"boot,omitempty"`
	HelloAt       time.Time    `json:"hello_at,omitzero"`
	LastSeen      time.Time    `json:"last_seen,omitzero"`
	LastHeartbeat time.Time    `json:"last_heartbeat,omitzero"`
	UptimeS       int64        `json:"uptime_s,omitempty"`
	WakeAt        time.Time    `json:"wake_at,omitzero"`  // promised end of sleep
	MaxPayload    int          `json:"max_payload"`       // bytes; 0: the default
	ClaimHash     string       `json:"-"`                 // of the claim presented at hello
	Presented     Presented    `json:"presented"`         // identity presented at hello
	Digest        string       `json:"-"`                 // of the last full hello
	Seq           int64        `json:"seq"`               // all of 1..Seq of Boot are committed
	AckedAt       time.Time    `json:"acked_at,omitzero"` // when the last ack was sent
	ClockSkewed   bool         `json:"clock_skewed"`
}

// Presented is the identity that a device gave at its hello.
type Presented struct {
	Profile string `json:"profile,omitempty"`
	Serial  string `json:"serial,omitempty"`
}

// Route is how a device is reached at the moment.
type Route struct {
	Via        string // the gateway on whose topics the device is spoken to; "": its own
	MaxPayload int    // bytes that it takes in one message; 0: the protocol's limit
	Boot       string // its boot id
	Profile    string
	Serial     string
}

// Route gives how d is reached, by its parent and session.
func (d *Device) Route() Route {
	return Route{Via: d.Parent, MaxPayload: d.Session.MaxPayload, Boot: d.Session.Boot, Profile: d.Profile, Serial: d.Serial}
}

// DeviceFilter selects devices. Zero fields select all.
type DeviceFilter struct {
	Account      string // this account and all below it; "" means all
	State        State
	Connectivity Connectivity
	Wellness     WellnessStatus
	Profile      string
	Tag          string
	Labels       map[string]string // all of them
	Parent       string
	Search       string // part of the id or serial
	After        string // id after which to go on
	Limit        int    // 0: 100
}

// Registration is what an operator or an import says of a device.
type Registration struct {
	ID         string            `json:"id"`
	Account    string            `json:"account"`
	Serial     string            `json:"serial"`
	Profile    string            `json:"profile"`
	Parent     string            `json:"parent,omitempty"`
	Tags       []string          `json:"tags,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Attributes map[string]any    `json:"attributes,omitempty"`
	Zone       string            `json:"zone,omitempty"`
	Place      *Place            `json:"place,omitempty"`
	ClaimHash  string            `json:"-"`
}

// RegisterOutcome says what became of one Registration.
type RegisterOutcome string

// Outcomes of a registration.
const (
	Registered RegisterOutcome = "registered" // it is new, in escrow
	Updated    RegisterOutcome = "updated"    // it was known; tags, labels, attributes, place were changed
	Unchanged  RegisterOutcome = "unchanged"  // it was known, just so
	Adopted    RegisterOutcome = "adopted"    // it was discovered and now has an owner; state escrow
	Conflict   RegisterOutcome = "conflict"   // the id or serial is taken; nothing was changed
)

// Devices keeps devices.
type Devices interface {
	// FindDevice gives a device with twin, session and metrics. ENOTFOUND.
	FindDevice(ctx context.Context, id string) (Device, error)

	// FindDevices gives the devices that exist out of ids, with metrics.
	FindDevices(ctx context.Context, ids []string) (map[string]*Device, error)

	// ListDevices gives devices by id. Metrics are left out.
	ListDevices(ctx context.Context, f DeviceFilter) ([]Device, error)

	// CountDevices gives the number of devices per state.
	CountDevices(ctx context.Context, f DeviceFilter) (map[State]int, error)

	// ReadDevices gives the devices that exist out of ids, as they are at the
	// moment. Metrics are left out.
	ReadDevices(ctx context.Context, ids []string) (map[string]*Device, error)

	// ReadSessions is ReadDevices for those who only want to know how devices are
	// connected: id, account, profile, parent, state, heartbeat policy, the present
	// boot, since when it is connected as it is, when it was last seen and acknowledged,
	// whether its clock is wrong, and since when it is degraded or about to change
	// that. All else is left out, so nothing of them may be saved.
	ReadSessions(ctx context.Context, ids []string) (map[string]*Device, error)

	// LockDevices gives the devices that exist out of ids and locks them, in
	// id order, until the transaction ends. Metrics are left out.
	LockDevices(ctx context.Context, ids []string) (map[string]*Device, error)

	// HoldDevices is LockDevices for those who read what they need of the devices,
	// if anything, by themselves.
	HoldDevices(ctx context.Context, ids []string) error

	// RegisterDevices stores registrations in bulk; outcomes are in the order
	// of rows. A row whose id is held by another account, or whose serial is
	// held by another device of its account and profile, is a Conflict.
	// A device that is past escrow keeps profile, serial and claim; the serial
	// that a discovered device presented keeps nobody out. Everything else is
	// replaced by what the row says, but an empty claim leaves the stored one.
	// Rows of one call see the rows before them. Events and audit entries, of
	// adoptions too, are the caller's.
	RegisterDevices(ctx context.Context, rows []Registration, now time.Time) ([]RegisterOutcome, error)

	// AddDiscovered stores devices in state discovered, with empty sessions, up
	// to max of them in the installation; known ids are left as they are. It
	// gives the ids that were stored.
	AddDiscovered(ctx context.Context, devices []Device, max int) ([]string, error)

	// SaveDevice writes everything of a device but its session, its wellness, its
	// reported twin and its metrics. ENOTFOUND, ECONFLICT if its serial is taken.
	SaveDevice(ctx context.Context, d *Device) error

	// SaveSessions writes sessions by device id, in bulk. Here and below,
	// devices that do not exist are left out.
	SaveSessions(ctx context.Context, sessions map[string]Session) error

	// SaveDesired writes desired twins by device id, in bulk.
	SaveDesired(ctx context.Context, desired map[string]Desired) error

	// SaveReported writes reported twins by device id, in bulk.
	SaveReported(ctx context.Context, reported map[string]Reported) error

	// SaveMetrics merges latest metric values by device id, in bulk. A value
	// measured before the stored one changes nothing.
	SaveMetrics(ctx context.Context, metrics []MetricValue) error

	// LatestMetrics gives the latest values of the metrics of devices.
	LatestMetrics(ctx context.Context, ids []string) (map[string]map[string]any, error)

	// SaveWellness writes how devices do by their id, in bulk.
	SaveWellness(ctx context.Context, wellness map[string]Wellness) error

	// FindFlaps gives what is remembered of the connectivity of devices, of which
	// something is.
	FindFlaps(ctx context.Context, ids []string) (map[string]FlapState, error)

	// SavePlaces writes where devices are that said so, in bulk.
	SavePlaces(ctx context.Context, places []PlaceFix) error

	// SaveFlaps writes what is to be remembered of the connectivity of devices, in
	// bulk.
	SaveFlaps(ctx context.Context, flaps map[string]FlapState) error

	// DueWellness gives up to limit devices of whose wellness the clock decides
	// something at now, the longest due first.
	DueWellness(ctx context.Context, now time.Time, limit int) ([]string, error)

	// QuietDevices gives the devices that are missed before a time unless they are
	// heard of, those first that are missed first: online ones whose last sign of
	// life is then older than their heartbeat policy allows, and sleeping ones
	// whose promised wake is. DefaultHeartbeat applies where the twin has no policy
	// yet.
	QuietDevices(ctx context.Context, q QuietQuery) ([]Quiet, error)

	// LastHeard gives when any device was last heard of before a time; zero: never.
	LastHeard(ctx context.Context, before time.Time) (time.Time, error)

	// ChildrenOf gives the ids of the devices whose parent is one of ids.
	ChildrenOf(ctx context.Context, ids []string) ([]string, error)
}

// PlaceFix is where a device was at a time.
type PlaceFix struct {
	Device string
	Place
	At time.Time
}

// MetricValue is one latest value of one metric of one device.
type MetricValue struct {
	Device string
	Name   string
	Value  any // float64, int64 or bool
	At     time.Time
}

// QuietQuery says which devices to look for.
type QuietQuery struct {
	Before  time.Time
	Devices []string // only these; empty: any
	// Only those whose policy allows a silence of at least AtLeast, and of less than
	// Below; Below 0: of any length.
	AtLeast, Below time.Duration
	Outage         Outage
	Limit          int // 0: 100
}

// Outage is a time in which nobody listened to devices. Silence does not count
// then. The zero value is none.
type Outage struct {
	Until time.Time
	For   time.Duration
}

// Heard gives from when on the silence of a device counts that was heard of at at.
func (o Outage) Heard(at time.Time) time.Time { return later(at, earlier(at.Add(o.For), o.Until)) }

// Quiet is a device and when it is missed if it is not heard of.
type Quiet struct {
	Device   string
	MissedAt time.Time
}
