package dev

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	temporallog "go.temporal.io/sdk/log"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"

	"github.com/deviceops/deviceops"
)

// Namespace is the Temporal namespace of the stack.
const Namespace = "deviceops"

// TemporalConfig says how to run the embedded Temporal server.
type TemporalConfig struct {
	Dir  string       // keeps temporal.db
	Port int          // of the frontend on 127.0.0.1; 0 takes a free one
	Log  *slog.Logger // nil discards
}

// Temporal is a whole Temporal server in this process: frontend, history,
// matching and system workers over one SQLite file. It speaks to nobody but
// loopback and has no web pages.
type Temporal struct {
	server  temporal.Server
	address string
}

// StartTemporal returns when the server takes requests in Namespace. What was
// committed before a kill is there again. It returns ECONFLICT when the port
// or the file cannot be used.
func StartTemporal(ctx context.Context, cfg TemporalConfig) (*Temporal, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Port != 0 && !isFree(cfg.Port) {
		return nil, deviceops.Errorf(deviceops.ECONFLICT, "port %d for Temporal is taken: end the program that uses it or choose another", cfg.Port)
	}
	conf, err := temporalConfig(cfg)
	if err != nil {
		return nil, err
	}
	if err := prepareTemporal(cfg, conf); err != nil {
		return nil, err
	}
	t := &Temporal{address: conf.PublicClient.HostPort}
	if t.server, err = newTemporalServer(conf, cfg.Log); err != nil {
		return nil, err
	}
	if err := t.server.Start(); err != nil {
		return nil, deviceops.Errorf(deviceops.EINTERNAL, "start Temporal: %w", err)
	}
	if err := t.awaitReady(ctx); err != nil {
		return nil, errors.Join(err, t.Close(ctx))
	}
	return t, nil
}

// prepareTemporal makes the file with its tables and the namespace. The file
// is built beside its place, so that a kill leaves no half of a schema.
func prepareTemporal(cfg TemporalConfig, conf *config.Config) error {
	file := filepath.Join(cfg.Dir, temporalFile)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		draft := file + ".new"
		os.Remove(draft)
		if err := createTemporalSchema(draft); err != nil {
			return deviceops.Errorf(deviceops.ECONFLICT, "make Temporal's database in %s: %w", cfg.Dir, err)
		}
		if err := os.Rename(draft, file); err != nil {
			return deviceops.Errorf(deviceops.ECONFLICT, "make Temporal's database: %w", err)
		}
	}
	namespace, err := sqlite.NewNamespaceConfig(temporalCluster, Namespace, false, nil)
	if err == nil {
		namespace.Detail.Config.CustomSearchAttributeAliases = attributeColumns()
		err = sqlite.CreateNamespaces(conf.Persistence.DataStores[sqlitePlugin].SQL, namespace)
	}
	if err != nil {
		return deviceops.Errorf(deviceops.ECONFLICT, "open Temporal's database %s: %w", file, err)
	}
	return nil
}

func newTemporalServer(conf *config.Config, log *slog.Logger) (server temporal.Server, err error) {
	defer func() {
		// The server ends the process when it cannot listen. See serverLog.
		switch cause := recover().(type) {
		case nil:
		case fatalError:
			err = deviceops.Errorf(deviceops.ECONFLICT, "set up Temporal: %w", cause)
		default:
			panic(cause)
		}
	}()
	server, err = temporal.NewServer(
		temporal.WithConfig(conf),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(staticHosts(conf)), // no gossip between four services of one process
		temporal.WithLogger(serverLog{log: log}),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper {
			return authorization.NewNoopClaimMapper()
		}),
		temporal.WithDynamicConfigClient(temporalLimits()),
	)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINTERNAL, "set up Temporal: %w", err)
	}
	return server, nil
}

func staticHosts(conf *config.Config) map[primitives.ServiceName]static.Hosts {
	hosts := map[primitives.ServiceName]static.Hosts{}
	for name, service := range conf.Services {
		hosts[primitives.ServiceName(name)] = static.SingleLocalHost(loopback(service.RPC.GRPCPort))
	}
	return hosts
}

// Address is host:port of the frontend.
func (t *Temporal) Address() string { return t.address }

// awaitReady returns when the namespace is in the frontend's cache and its
// task queues can be reached.
func (t *Temporal) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	c, err := client.NewLazyClient(client.Options{
		HostPort:  t.address,
		Namespace: Namespace,
		Logger:    temporallog.NewStructuredLogger(slog.New(slog.NewTextHandler(io.Discard, nil))),
	})
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		_, err := c.DescribeTaskQueue(ctx, "ready", enumspb.TASK_QUEUE_TYPE_WORKFLOW)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return deviceops.Errorf(deviceops.ETIMEOUT, "Temporal did not come up: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Close ends the server. What it was doing is taken up at the next start.
func (t *Temporal) Close(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- t.server.Stop() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return deviceops.Errorf(deviceops.ETIMEOUT, "Temporal did not stop: %w", ctx.Err())
	}
}
