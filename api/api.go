package api

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// Config is what the API needs. Store, Orchestrator, Gateway and Catalog are
// required.
type Config struct {
	Store        deviceops.Store
	Orchestrator deviceops.Orchestrator
	Gateway      deviceops.Gateway
	Catalog      deviceops.Catalog // compiled profiles

	// Channels reach other systems. Default: none are reached.
	Channels deviceops.Channels

	// Automations hear what other systems, times and people call them for.
	// Default: nobody can call any.
	Automations *deviceops.AutomationStore

	// Secrets are those by which messages of other systems are verified. Default:
	// there are none, and no such message is believed.
	Secrets deviceops.Secrets

	// Actions are those that documents may use. Default: those that every
	// installation has.
	Actions []deviceops.ActionSpec

	// DecisionKey signs what people decide, for the workflows that wait. Workers
	// need the same. Default: nothing is signed.
	DecisionKey deviceops.SigningKey

	// Artifacts keeps what is uploaded for releases, and Downloads checks the
	// URLs by which devices get it. Default: nothing can be uploaded.
	Artifacts ArtifactStore
	Downloads Downloads

	// Version of the product, for /openapi.json. Default "dev".
	Version string

	// KeepMetrics is how long the sweeper keeps the history of metrics. Default
	// deviceops.DefaultMetricRetention.
	KeepMetrics deviceops.MetricRetention

	// Checks decide /readyz, by name: store, orchestrator, gateway. A check
	// that gives an error, or nothing within CheckTimeout, makes it 503.
	Checks map[string]Check

	// Registry is shown at /metrics and takes the API's own metrics. Default:
	// a new one.
	Registry *prometheus.Registry

	// Now is the clock. Default time.Now.
	Now func() time.Time

	// Poll is how often streams look for news. Default one second.
	Poll time.Duration

	// Log takes what no caller is told. Default slog.Default.
	Log *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Actions == nil {
		c.Actions = activities.Actions()
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	if c.KeepMetrics == (deviceops.MetricRetention{}) {
		c.KeepMetrics = deviceops.DefaultMetricRetention
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Poll == 0 {
		c.Poll = time.Second
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// server registers routes.
type server struct {
	*core
	huma huma.API
}

// New gives the API as a handler. It serves /v1/..., /openapi.json, /healthz,
// /readyz and /metrics, and answers everything else with a problem.
func New(c Config) http.Handler {
	c = c.withDefaults()
	mux := http.NewServeMux()
	s := &server{core: &core{c}, huma: humago.New(mux, humaConfig(c.Version))}
	s.huma.UseMiddleware(newRequestMetrics(c.Registry).observe, s.guard)
	s.routes()
	s.artifactRoutes(mux, artifactService{s.core})
	s.hookRoute(mux, channelService{s.core})
	s.webhookRoutes(mux, webhookService{s.core})
	serveHealth(mux, c.Checks, c.Registry)
	mux.HandleFunc("/", noRoute)
	return recoverer{next: mux, log: c.Log}
}

func (s *server) routes() {
	s.documentRoutes(documentService{s.core})
	s.deviceRoutes(deviceService{s.core})
	s.metricRoutes(metricService{s.core})
	s.fleetRoutes(fleetService{s.core})
	s.importRoutes(importService{s.core})
	s.commandRoutes(commandService{s.core})
	s.runRoutes(runService{s.core})
	s.graphRoutes(runService{s.core}, documentService{s.core})
	s.rolloutRoutes(rolloutService{s.core})
	s.freezeRoutes(rolloutService{s.core})
	s.approvalRoutes(approvalService{s.core})
	s.ticketRoutes(ticketService{s.core})
	s.channelRoutes(channelService{s.core})
	s.releaseRoutes(releaseService{s.core})
	s.eventRoutes(eventService{s.core})
	s.automationRoutes(automationService{s.core})
	s.forwardingRoutes(forwardingService{s.core})
	s.accountRoutes(accountService{s.core})
}

// humaConfig leaves out huma's documentation page, which loads scripts from
// elsewhere, and the $schema member that it adds to bodies.
func humaConfig(version string) huma.Config {
	c := huma.DefaultConfig("DeviceOps", version)
	c.Info.Description = "Workflow orchestration for the life of connected devices."
	c.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	c.DocsPath = ""
	c.CreateHooks = nil
	c.Transformers = append(c.Transformers, asProblem)
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "An API token of DeviceOps."},
	}
	c.Security = []map[string][]string{{"token": {}}}
	return c
}
