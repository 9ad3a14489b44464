// Package serve assembles the production roles out of the packages that
// implement them. It is what `deviceops serve` and `deviceops dev` run.
package serve

import (
	"cmp"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/gateway"
	"github.com/deviceops/deviceops/vault"
)

// Roles of a process. Each scales out by starting more processes with it.
const (
	RoleAPI     = "api"     // REST
	RoleGateway = "gateway" // MQTT, events in, the sweeper of deadlines
	RoleWorker  = "worker"  // workflows and activities
)

// Roles gives all roles.
func Roles() []string { return []string{RoleAPI, RoleGateway, RoleWorker} }

// Config says what a process does and where its servers are.
type Config struct {
	Roles []string // default: all

	DatabaseURL       string // postgres://...
	TemporalAddress   string // host:port
	TemporalNamespace string // default: default
	MQTT              gateway.Config
	Lanes             int // members of the shared subscription in the whole installation

	// Holder names the process in the leases of lanes and targets. A process that
	// is certain to be the only one may have a fixed name: after a crash it has its
	// leases at once, and not when they have lapsed. Default: a random one.
	Holder string

	// Listener answers HTTP: the API where that role is held, and everywhere
	// /healthz, /readyz and /metrics. It is closed with the server.
	Listener net.Listener

	AdminToken string        // an API token with all rights; default: none is made
	KeepEvents time.Duration // default: DefaultKeepEvents

	// KeepMetrics is how long the history of metrics is kept, the same in every
	// process. Default: deviceops.DefaultMetricRetention.
	KeepMetrics deviceops.MetricRetention

	// Vault gives the secrets if it has an address; else SecretsFile does, for
	// development. Default: no secrets.
	Vault       vault.Config
	SecretsFile string

	// PayloadKeys refers to the keys that encrypt what Temporal keeps, such as
	// DefaultPayloadKeys. Default: nothing is encrypted.
	PayloadKeys string

	// Artifacts is where the content of releases is kept.
	Artifacts Artifacts

	// AllowNetworks are the private networks that http.request and routes may
	// reach, as 10.1.0.0/16. Default: none.
	AllowNetworks []string

	// RouteFolder is where routes write their files. Default: they write none.
	RouteFolder string

	// Actions are more actions than every installation has.
	Actions []activities.Action

	// Patience is how long to wait for the servers at the start. Default: one
	// minute.
	Patience time.Duration

	Version string
	Log     *slog.Logger
}

// DefaultPayloadKeys is where the keys that encrypt payloads usually are.
const DefaultPayloadKeys = "secret:temporal/payload-keys"

// DefaultKeepEvents is how long events are kept.
const DefaultKeepEvents = 90 * 24 * time.Hour

func (c Config) withDefaults() Config {
	if len(c.Roles) == 0 {
		c.Roles = Roles()
	}
	c.TemporalNamespace = cmp.Or(c.TemporalNamespace, "default")
	c.KeepEvents = cmp.Or(c.KeepEvents, DefaultKeepEvents)
	c.KeepMetrics = cmp.Or(c.KeepMetrics, deviceops.DefaultMetricRetention)
	c.Patience = cmp.Or(c.Patience, time.Minute)
	c.Version = cmp.Or(c.Version, "dev")
	c.Log = cmp.Or(c.Log, slog.Default())
	c.MQTT.Log, c.Vault.Log = c.Log, c.Log
	return c
}

func (c Config) networks() ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range c.AllowNetworks {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, deviceops.Errorf(deviceops.EINVALID, "--allow-network %s: write a network such as 10.1.0.0/16", text)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

func (c Config) holds(role string) bool { return slices.Contains(c.Roles, role) }

// check gives EINVALID for what is missing or unknown.
func (c Config) check() error {
	for _, role := range c.Roles {
		if !slices.Contains(Roles(), role) {
			return deviceops.Errorf(deviceops.EINVALID, "there is no role %q; roles are %s", role, strings.Join(Roles(), ", "))
		}
	}
	for flag, value := range map[string]string{"database-url": c.DatabaseURL, "temporal-address": c.TemporalAddress, "mqtt-url": c.MQTT.Broker} {
		if value == "" {
			return deviceops.Errorf(deviceops.EINVALID, "--%s is missing; the roles need PostgreSQL, Temporal and an MQTT broker (deviceops dev brings its own)", flag)
		}
	}
	if _, err := c.networks(); err != nil {
		return err
	}
	if err := c.KeepMetrics.Check(); err != nil {
		return err
	}
	if err := c.checkArtifacts(); err != nil {
		return err
	}
	if c.Listener == nil {
		return deviceops.Errorf(deviceops.EINVALID, "there is no listener for HTTP")
	}
	return c.checkSecrets()
}
