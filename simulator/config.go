package simulator

import (
	"crypto/tls"
	"log/slog"
	"maps"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// Config describes a fleet and where it connects. Zero fields take the default
// that their comment names.
type Config struct {
	// Broker is the URL of the MQTT broker: tcp://, ssl://, ws:// or wss://.
	Broker string
	// Username and Password are presented by every connection. The user name
	// may hold %d, which becomes the device's id where each device has a
	// connection of its own.
	Username, Password string
	// TLS is used for ssl:// and wss://. Default: the system's roots.
	TLS *tls.Config
	// Topics must be those of the engine. Default: protocol.DefaultPrefix.
	Topics protocol.Topics

	// Devices is how many devices there are.
	Devices int
	// Prefix begins their ids: <prefix>-00001 and so on. Default: sim.
	Prefix string
	// First is the number of the first device. Default: 1.
	First int
	// Profile is the profile that honest devices name. Default: kiosk.
	Profile string
	// Software is what devices run at first. Default: os 2.3.0, app 1.0.0.
	Software map[string]string
	// Seed is what all chance derives from, and the claims.
	Seed uint64

	// Connections is how many MQTT connections the fleet shares. Default 0:
	// each device has its own, with its own last will. On a shared connection
	// devices publish their status offline themselves.
	Connections int
	// Ramp spreads the first power-on of the devices over a time. Default: all
	// at once.
	Ramp time.Duration
	// StateDir keeps what devices remember over restarts of the process, in
	// one file for each. Default "": it is forgotten.
	StateDir string
	// LedgerFile gets a line for every effect, before the effect. Default "":
	// the ledger is in memory alone.
	LedgerFile string

	// Download says how devices get what they install. Default: they pretend.
	Download Download
	// Behavior is how well the devices behave. Default: flawlessly.
	Behavior Behavior
	// Commands are commands beyond the built-in ones, with the output that
	// they answer.
	Commands map[string]protocol.Object
	// Logger gets what goes wrong with connections. Default: none of it.
	Logger *slog.Logger
}

// Behavior is what devices do besides following the protocol. Shares and
// probabilities are between 0 and 1.
type Behavior struct {
	// Latency is how long a command takes to execute. Default: median 50 ms,
	// 99th percentile 500 ms.
	Latency Latency
	// Boot is the median of how long a restart takes. Default: 2 s.
	Boot time.Duration
	// Reconnect is the longest wait before a lost connection is made again; each
	// wait is drawn between a tenth of it and all. Default: 5 s.
	Reconnect time.Duration
	// Resend is after how long a device repeats what is not acknowledged, and a
	// hello that found no welcome. Default: 30 s.
	Resend time.Duration
	// Heartbeat is the interval until the engine names another. Default: 60 s.
	Heartbeat time.Duration
	// Telemetry is the interval of metrics. Default: 60 s; below 0: never.
	Telemetry time.Duration

	Faults Faults
	// Churn are devices that lose their connection and come back.
	Churn Cycle
	// Sleep are devices that announce a sleep, sleep, and come back.
	Sleep Cycle
	// Duplicated is the probability that a numbered message is sent twice.
	Duplicated float64
	// Reordered is the probability that a numbered message is sent late, after
	// those that follow it.
	Reordered float64
	// WrongClocks is the share of devices whose clock is in 1970 or 2099.
	WrongClocks float64
	// BadClaims is how many devices present a claim that isn't theirs.
	BadClaims int
	// WrongProfiles is how many devices name a profile that isn't theirs.
	WrongProfiles int
	// Degrade is a version that makes devices worse.
	Degrade Degrade
	// Bad are versions that cannot be installed.
	Bad []BadVersion
	// Ail are devices whose disk is full now and then: disk_free_pct tells.
	Ail Cycle
}

// Latency is a log-normal distribution.
type Latency struct {
	Median, P99 time.Duration
}

// Faults are the probabilities of what may become of one attempt of a command
// instead of success. At most one happens; together they must not exceed 1.
type Faults struct {
	Retryable float64 // the effect fails, and a higher attempt may succeed
	Permanent float64 // the effect fails for good
	Rejected  float64 // the device refuses, without effect
	Deferred  float64 // the device puts it off, without effect; twice at most
	Silent    float64 // the command is lost on the way, or its answer is, evenly
	PowerLoss float64 // power goes in the middle of the effect
	// DeferFor is the longest retry_in of a deferral. Default: 2 s.
	DeferFor time.Duration
}

// Cycle is something that a share of the devices does again and again.
type Cycle struct {
	Share float64
	// Every is the mean time between two of them. Default: 5 min.
	Every time.Duration
	// For is how long each lasts. Default: 30 s.
	For time.Duration
}

// Degrade names the version of a component that, once installed, makes the
// crashes of a share of the devices rise with every sample. These measure every 3 s
// where others do so more seldom.
type Degrade struct {
	Component, Version string
	Share              float64 // default, when a version is named: 1
}

// BadVersion is a version whose installation fails.
type BadVersion struct {
	Component string // "": any
	Version   string
	Retryable bool // a higher attempt is worth it, and fails, too
}

// ParseBadVersion reads [COMPONENT@]VERSION=HOW, where HOW is fail or retry.
// EINVALID.
func ParseBadVersion(text string) (BadVersion, error) {
	what, how, ok := strings.Cut(text, "=")
	component, version, named := strings.Cut(what, "@")
	if !named {
		component, version = "", what
	}
	if !ok || version == "" || how != "fail" && how != "retry" {
		return BadVersion{}, deviceops.Errorf(deviceops.EINVALID, "%q is no bad version: write os@2.4.0=fail, 2.4.0=fail or app@1.1.0=retry", text)
	}
	return BadVersion{Component: component, Version: version, Retryable: how == "retry"}, nil
}

func (c Config) withDefaults() Config {
	c.Prefix = or(c.Prefix, "sim")
	c.Profile = or(c.Profile, "kiosk")
	c.First = or(c.First, 1)
	c.Software = maps.Clone(c.Software)
	if c.Software == nil {
		c.Software = map[string]string{"os": "2.3.0", "app": "1.0.0"}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Download.Range = or(c.Download.Range, 4<<20)
	c.Behavior = c.Behavior.withDefaults()
	return c
}

func (b Behavior) withDefaults() Behavior {
	b.Latency.Median = or(b.Latency.Median, 50*time.Millisecond)
	b.Latency.P99 = max(or(b.Latency.P99, 10*b.Latency.Median), b.Latency.Median)
	b.Boot = or(b.Boot, 2*time.Second)
	b.Reconnect = or(b.Reconnect, 5*time.Second)
	b.Resend = or(b.Resend, 30*time.Second)
	b.Heartbeat = or(b.Heartbeat, time.Minute)
	b.Telemetry = or(b.Telemetry, time.Minute)
	b.Faults.DeferFor = or(b.Faults.DeferFor, 2*time.Second)
	b.Churn, b.Sleep, b.Ail = b.Churn.withDefaults(), b.Sleep.withDefaults(), b.Ail.withDefaults()
	if b.Degrade.Version != "" {
		b.Degrade.Share = or(b.Degrade.Share, 1)
	}
	return b
}

func (c Cycle) withDefaults() Cycle {
	c.Every = or(c.Every, 5*time.Minute)
	c.For = or(c.For, 30*time.Second)
	return c
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// check returns EINVALID for a fleet that can't be.
func (c Config) check() error {
	b := c.Behavior
	f := b.Faults
	switch {
	case c.Broker == "":
		return deviceops.Errorf(deviceops.EINVALID, "no broker is named: set its URL, such as tcp://127.0.0.1:1883")
	case c.Devices < 1:
		return deviceops.Errorf(deviceops.EINVALID, "%d devices: at least one is needed", c.Devices)
	case c.Connections < 0:
		return deviceops.Errorf(deviceops.EINVALID, "%d connections: use 0 for one per device", c.Connections)
	case c.Download.Range < 0:
		return deviceops.Errorf(deviceops.EINVALID, "ranges of %d bytes: at least one is needed", c.Download.Range)
	case b.BadClaims < 0 || b.WrongProfiles < 0 || b.BadClaims+b.WrongProfiles > c.Devices:
		return deviceops.Errorf(deviceops.EINVALID, "%d lying devices of %d: lower bad claims or wrong profiles", b.BadClaims+b.WrongProfiles, c.Devices)
	case !shares(f.Retryable, f.Permanent, f.Rejected, f.Deferred, f.Silent, f.PowerLoss):
		return deviceops.Errorf(deviceops.EINVALID, "fault probabilities must be between 0 and 1 and not exceed 1 together")
	case (b.Degrade.Component == "") != (b.Degrade.Version == ""):
		return deviceops.Errorf(deviceops.EINVALID, "degrading needs both a component and its version")
	case !deviceops.ValidID(identify(c, c.First+c.Devices)):
		return deviceops.Errorf(deviceops.EINVALID, "prefix %q makes no valid device id: use A-Z a-z 0-9 . _ : -", c.Prefix)
	}
	for name, p := range map[string]float64{"duplicated": b.Duplicated, "reordered": b.Reordered, "wrong clocks": b.WrongClocks,
		"churn": b.Churn.Share, "sleep": b.Sleep.Share, "ailing": b.Ail.Share, "degrade": b.Degrade.Share} {
		if !shares(p) {
			return deviceops.Errorf(deviceops.EINVALID, "share of %s is %v: use 0 to 1", name, p)
		}
	}
	return nil
}

// shares reports whether all are between 0 and 1, and their sum too.
func shares(all ...float64) bool {
	sum := 0.0
	for _, p := range all {
		if p < 0 {
			return false
		}
		sum += p
	}
	return sum <= 1+1e-9
}
