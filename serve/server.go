package serve

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"golang.org/x/sync/errgroup"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/api"
	"github.com/deviceops/deviceops/artifact"
	"github.com/deviceops/deviceops/channel"
	"github.com/deviceops/deviceops/codec"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/gateway"
	"github.com/deviceops/deviceops/postgres"
	"github.com/deviceops/deviceops/starter"
)

// Server is a process of DeviceOps: the roles of its Config.
type Server struct {
	Store        *postgres.Store
	Temporal     client.Client
	Orchestrator *starter.Starter

	config      Config
	registry    *prometheus.Registry
	publisher   *gateway.Publisher
	gateway     deviceops.Gateway // publisher, and URLs for what is installed
	signer      *artifact.Signer
	artifacts   *artifact.Store // nil: none, or not the API
	catalog     *dsl.Catalog
	automations deviceops.AutomationStore // Store, heard by automations
	channels    *channel.Channels
	decisionKey deviceops.SigningKey
	secrets     deviceops.Secrets      // nil: none
	keyrings    []*codec.Keyring       // to be read again from time to time
	codec       converter.PayloadCodec // nil: payloads are not encrypted
	checks      map[string]api.Check

	translations *dsl.Translations

	roles  *errgroup.Group // what serves; ends first
	stop   context.CancelFunc
	links  *errgroup.Group // what the roles need until they have ended
	unlink context.CancelFunc
	ended  chan struct{}
	err    error
}

// closeTimeout bounds the end of a server.
const closeTimeout = 8 * time.Second

// Start migrates the database, connects and starts the roles. It waits up to
// cfg.Patience for PostgreSQL and Temporal; the broker may come later. The
// server runs until Close, or until a role fails. EINVALID for a configuration
// that can't be used, EUNAVAILABLE when a server does not answer.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Server{config: cfg, registry: newRegistry(), checks: map[string]api.Check{}, ended: make(chan struct{})}
	if err := s.connect(ctx); err != nil {
		s.disconnect()
		return nil, err
	}
	if err := s.startRoles(); err != nil {
		s.stop()
		s.wait()
		return nil, err
	}
	go s.wait()
	return s, nil
}

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// connect reaches the servers, in the order in which a mistake is found
// fastest.
func (s *Server) connect(ctx context.Context) error {
	if err := s.patiently(ctx, "the provider of secrets", s.openSecrets); err != nil {
		return err
	}
	if err := s.patiently(ctx, "the provider of secrets", s.openCodec); err != nil {
		return err
	}
	if err := s.patiently(ctx, "PostgreSQL", s.openStore); err != nil {
		return err
	}
	if err := s.prepareStore(ctx); err != nil {
		return err
	}
	if err := s.prepareSigner(ctx); err != nil {
		return err
	}
	if err := s.patiently(ctx, "the artifact store", s.openArtifacts); err != nil {
		return err
	}
	return s.patiently(ctx, "Temporal", s.dialTemporal)
}

func (s *Server) openStore(ctx context.Context) (err error) {
	if err := postgres.Migrate(ctx, s.config.DatabaseURL); err != nil {
		return err
	}
	s.Store, err = postgres.Open(ctx, postgres.Config{URL: s.config.DatabaseURL})
	return err
}

// prepareStore makes what every installation has: the root account and, when
// it was given, the administrator's token.
func (s *Server) prepareStore(ctx context.Context) error {
	now := time.Now()
	s.catalog = &dsl.Catalog{Documents: s.Store}
	s.translations = &dsl.Translations{Documents: s.Store}
	s.checks["store"] = func(ctx context.Context) error { return s.Store.Ping(ctx) }
	if err := s.Store.EnsureAccount(ctx, deviceops.Account{Path: deviceops.RootAccount, Name: "Root", CreatedAt: now}); err != nil {
		return err
	}
	key, err := s.sharedKey(ctx, "decisions")
	if err != nil {
		return err
	}
	s.decisionKey = key
	if s.config.AdminToken == "" {
		return nil
	}
	return s.Store.SaveToken(ctx, deviceops.Token{
		Hash:      deviceops.HashToken(s.config.AdminToken),
		Principal: deviceops.Principal{Name: "user:admin", Account: deviceops.RootAccount, Roles: []string{deviceops.RoleAdmin}},
		CreatedAt: now,
	})
}

// sharedKey makes a key for one purpose, such as signing what people decide, or
// takes the one that another process has made.
func (s *Server) sharedKey(ctx context.Context, name string) ([]byte, error) {
	fresh := make([]byte, deviceops.SigningKeySize)
	_, _ = rand.Read(fresh) // never fails, see crypto/rand
	return s.Store.EnsureKey(ctx, name, fresh)
}

func (s *Server) dialTemporal(ctx context.Context) (err error) {
	s.Temporal, err = starter.Dial(ctx, starter.Config{
		Address: s.config.TemporalAddress, Namespace: s.config.TemporalNamespace, Codec: s.codec, Log: s.config.Log,
	})
	if err != nil {
		return err
	}
	orchestrator := starter.New(s.Temporal, s.config.TemporalNamespace)
	if err := starter.RegisterAttributes(ctx, s.Temporal, s.config.TemporalNamespace); err != nil {
		s.config.Log.Warn("workflows cannot be searched for by account, device and what they wait for", "err", err)
	} else {
		orchestrator = orchestrator.Searchable()
	}
	s.Orchestrator = orchestrator
	s.checks["temporal"] = func(ctx context.Context) error {
		_, err := s.Temporal.CheckHealth(ctx, &client.CheckHealthRequest{})
		return err
	}
	return nil
}

// patiently calls connect until it succeeds, says something that waiting does
// not mend, or Patience is over.
func (s *Server) patiently(ctx context.Context, name string, connect func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.Patience)
	defer cancel()
	for told := false; ; told = true {
		err := connect(ctx)
		if deviceops.ErrorCode(err) != deviceops.EUNAVAILABLE {
			return err
		}
		if !told {
			s.config.Log.Warn("waiting for "+name, "error", err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return deviceops.Errorf(deviceops.EUNAVAILABLE, "%s did not answer within %s: %w", name, s.config.Patience, err)
		}
	}
}

// wait ends the roles, then what they needed, when one fails or Close is
// called.
func (s *Server) wait() {
	defer close(s.ended)
	err := s.roles.Wait()
	s.unlink()
	err = errors.Join(err, s.links.Wait())
	s.disconnect()
	s.err = err
}

func (s *Server) disconnect() {
	if s.Temporal != nil {
		s.Temporal.Close()
	}
	if s.Store != nil {
		s.Store.Close()
	}
	s.closeArtifacts()
	s.closeSecrets()
	_ = s.config.Listener.Close() // the API has closed it already where it served
}

// Addr is where HTTP is answered.
func (s *Server) Addr() string { return s.config.Listener.Addr().String() }

// Done is closed when the server has ended.
func (s *Server) Done() <-chan struct{} { return s.ended }

// Err gives why the server ended by itself, once Done is closed.
func (s *Server) Err() error { return s.err }

// Close ends the roles and disconnects: what is under way ends, leases are
// given up. It returns ETIMEOUT when that takes longer than ctx or eight
// seconds.
func (s *Server) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	s.stop()
	select {
	case <-s.ended:
		return s.err
	case <-ctx.Done():
		return deviceops.Errorf(deviceops.ETIMEOUT, "the roles %v did not end in time", s.config.Roles)
	}
}

// Ready gives nil when every check passes, else the first that does not.
func (s *Server) Ready(ctx context.Context) error {
	for name, check := range s.checks {
		if err := check(ctx); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
