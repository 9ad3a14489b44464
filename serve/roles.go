package serve

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/api"
	"github.com/deviceops/deviceops/forward"
	"github.com/deviceops/deviceops/gateway"
	"github.com/deviceops/deviceops/ingest"
	"github.com/deviceops/deviceops/outbound"
	"github.com/deviceops/deviceops/worker"
)

// startRoles starts what the process is for. Every process publishes, so every
// process has a publisher.
func (s *Server) startRoles() error {
	linksContext, unlink := context.WithCancel(context.Background())
	rolesContext, stop := context.WithCancel(context.Background())
	s.unlink, s.stop = unlink, stop
	s.links, linksContext = errgroup.WithContext(linksContext)
	s.roles, rolesContext = errgroup.WithContext(rolesContext)

	s.startAutomations(linksContext)
	for _, keys := range s.keyrings {
		s.links.Go(func() error { return keys.Run(linksContext) })
	}
	if err := s.startPublisher(linksContext); err != nil {
		return err
	}
	if s.config.holds(RoleGateway) {
		if err := s.startGateway(rolesContext); err != nil {
			return err
		}
	}
	s.openChannels()
	if s.config.holds(RoleWorker) {
		s.startWorker(rolesContext)
		s.startCourier(rolesContext)
	}
	s.startHTTP(rolesContext)
	return nil
}

// startAutomations lets automations hear what this process stores: every process
// stores events.
func (s *Server) startAutomations(ctx context.Context) {
	launcher := ingest.NewLauncher(ingest.LauncherConfig{Store: s.Store, Orchestrator: s.Orchestrator, Log: s.config.Log, Registerer: s.registry})
	s.automations = ingest.NewAutomations(s.Store, s.catalog, launcher)
	s.links.Go(func() error {
		<-ctx.Done()
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = launcher.Close(closing) // what it could not do in time is the sweeper's
		return nil
	})
}

func (s *Server) startPublisher(ctx context.Context) error {
	config := s.config.MQTT
	config.Registerer = s.registry
	publisher, err := gateway.NewPublisher(config)
	if err != nil {
		return err
	}
	publisher.Route, publisher.Own = s.route, s.translations
	s.publisher = publisher
	s.gateway = deviceops.ArtifactGateway{Gateway: publisher, Artifacts: s.signer}
	s.checks["broker"] = func(context.Context) error { return publisher.Ready() }
	s.links.Go(func() error { return publisher.Run(ctx) })
	return nil
}

// route tells by which gateway a device is reached.
func (s *Server) route(ctx context.Context, device string) (deviceops.Route, error) {
	d, err := s.Store.FindDevice(ctx, device)
	if err != nil {
		return deviceops.Route{}, err
	}
	return d.Route(), nil
}

func (s *Server) startGateway(ctx context.Context) error {
	inbox, err := ingest.New(ingest.Config{
		Store: s.automations, Gateway: s.gateway, Orchestrator: s.Orchestrator, Catalog: s.catalog, Translations: s.translations,
		Prefix: s.config.MQTT.Prefix, Log: s.config.Log, Registerer: s.registry,
	})
	if err != nil {
		return err
	}
	config := s.config.MQTT
	config.Registerer = s.registry
	lanes, err := gateway.NewLanes(gateway.LanesConfig{Config: config, Lanes: s.config.Lanes, Holder: s.config.Holder, Own: s.translations.Filters}, s.Store, inbox)
	if err != nil {
		return err
	}
	sweeper := ingest.NewSweeper(ingest.SweeperConfig{
		Store: s.automations, Gateway: s.gateway, Orchestrator: s.Orchestrator, Catalog: s.catalog, Automations: &s.automations,
		KeepEvents: s.config.KeepEvents, KeepMetrics: s.config.KeepMetrics, Log: s.config.Log, Registerer: s.registry,
	})
	s.checks["lanes"] = func(context.Context) error { return lanes.Ready() }
	s.roles.Go(func() error { return sweeper.Run(ctx) })
	s.roles.Go(func() error { return inbox.RunReplays(ctx) })
	s.startForwarder(ctx)
	s.roles.Go(func() error {
		err := lanes.Run(ctx)
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = inbox.Close(closing) // what it could not do in time is the sweeper's
		return err
	})
	return nil
}

// startForwarder carries events to where routes say.
func (s *Server) startForwarder(ctx context.Context) {
	networks, _ := s.config.networks() // they were checked
	forwarder := forward.New(forward.Config{
		Store: s.Store, Holder: s.config.Holder, Guard: outbound.NewGuard(networks), Broker: s.publisher, Secrets: s.secrets,
		Folder: s.config.RouteFolder, Log: s.config.Log, Registerer: s.registry,
	})
	s.roles.Go(func() error { return forwarder.Run(ctx) })
}

func (s *Server) startWorker(ctx context.Context) {
	networks, _ := s.config.networks() // they were checked
	w := worker.New(s.Temporal, activities.Deps{
		Store: s.automations, Gateway: s.gateway, Broker: s.publisher, Catalog: s.catalog, Secrets: s.secrets,
		Automations: &s.automations, Networks: networks, Channels: s.channels, Log: s.config.Log,
	}, worker.Options{StopTimeout: closeTimeout / 2, DecisionKey: s.decisionKey, Actions: s.config.Actions})
	s.roles.Go(func() error { return w.Run(ctx) })
}

// startHTTP answers the API where that role is held, and health and metrics
// everywhere.
func (s *Server) startHTTP(ctx context.Context) {
	config := api.Config{
		Store: s.automations, Orchestrator: s.Orchestrator, Gateway: s.gateway, Catalog: s.catalog, DecisionKey: s.decisionKey,
		Automations: &s.automations, Secrets: s.secrets,
		Channels: s.channels, Actions: activities.ActionsWith(s.config.Actions...), Version: s.config.Version, KeepMetrics: s.config.KeepMetrics, Checks: s.checks, Registry: s.registry, Log: s.config.Log,
	}
	if s.artifacts != nil {
		config.Artifacts, config.Downloads = s.artifacts, s.signer
	}
	handler := api.NewHealth(config)
	if s.config.holds(RoleAPI) {
		handler = api.New(config)
	}
	s.roles.Go(func() error { return api.Serve(ctx, s.config.Listener, handler) })
}
