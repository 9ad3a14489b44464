package dev

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"time"

	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
	sqliteplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"

	"github.com/deviceops/deviceops"
)

const (
	temporalFile    = "temporal.db"
	temporalCluster = "active"
	sqlitePlugin    = sqliteplugin.PluginName

	// historyShards cannot be changed once a file exists. One connection
	// writes the file, so more shards bring more polling and no parallelism.
	historyShards = 1
)

// temporalConfig is the server's static configuration.
func temporalConfig(cfg TemporalConfig) (*config.Config, error) {
	services, err := temporalServices(cfg.Port)
	if err != nil {
		return nil, err
	}
	frontend := loopback(services[string(primitives.FrontendService)].RPC.GRPCPort)
	conf := &config.Config{
		Persistence: config.Persistence{
			DefaultStore:     sqlitePlugin,
			VisibilityStore:  sqlitePlugin,
			NumHistoryShards: historyShards,
			DataStores:       map[string]config.DataStore{sqlitePlugin: {SQL: sqliteConfig(cfg.Dir)}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        temporalCluster,
			CurrentClusterName:       temporalCluster,
			ClusterInformation: map[string]cluster.ClusterInformation{
				temporalCluster: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: frontend},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services:            services,
		PublicClient:        config.PublicClient{HostPort: frontend},
	}
	conf.Global.Membership = config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: "127.0.0.1"}
	conf.Archival.History.State = "disabled"
	conf.Archival.Visibility.State = "disabled"
	conf.NamespaceDefaults.Archival.History.State = "disabled"
	conf.NamespaceDefaults.Archival.Visibility.State = "disabled"
	return conf, nil
}

// sqliteConfig opens the file so that a commit survives the death of the
// process. In WAL mode "normal" leaves out the flush at each commit: a power
// cut may take the last moment, never the file's integrity.
func sqliteConfig(dir string) *config.SQL {
	return &config.SQL{
		PluginName:   sqlitePlugin,
		DatabaseName: filepath.Join(dir, temporalFile),
		ConnectAttributes: map[string]string{
			"mode":               "rwc",
			"busy_timeout":       "10000",
			"journal_mode":       "wal",
			"synchronous":        "normal",
			"cache_size":         "-65536", // 64 MiB
			"temp_store":         "memory",
			"wal_autocheckpoint": "4000",
		},
	}
}

// temporalServices gives each service a port; only the frontend's matters.
func temporalServices(frontendPort int) (map[string]config.Service, error) {
	services := map[string]config.Service{}
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners { // held until all are chosen, so that they differ
			l.Close()
		}
	}()
	for _, name := range []primitives.ServiceName{
		primitives.FrontendService, primitives.HistoryService, primitives.MatchingService, primitives.WorkerService,
	} {
		port := 0
		if name == primitives.FrontendService {
			port = frontendPort
		}
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			return nil, deviceops.Errorf(deviceops.ECONFLICT, "find a port for Temporal's %s: %w", name, err)
		}
		listeners = append(listeners, l)
		services[string(name)] = config.Service{RPC: config.RPC{
			GRPCPort: l.Addr().(*net.TCPAddr).Port,
			BindOnIP: "127.0.0.1",
		}}
	}
	return services, nil
}

// temporalLimits lifts limits that protect a shared cluster from one of its
// tenants: here there is one tenant, and work refused is work repeated.
func temporalLimits() dynamicconfig.StaticClient {
	const plenty = 1_000_000
	return dynamicconfig.StaticClient{
		dynamicconfig.FrontendRPS.Key():                                         plenty,
		dynamicconfig.FrontendMaxNamespaceRPSPerInstance.Key():                  plenty,
		dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance.Key():        1000,
		dynamicconfig.FrontendMaxConcurrentLongRunningRequestsPerInstance.Key(): 20_000,
		dynamicconfig.FrontendPersistenceMaxQPS.Key():                           plenty,
		dynamicconfig.HistoryRPS.Key():                                          plenty,
		dynamicconfig.HistoryPersistenceMaxQPS.Key():                            plenty,
		dynamicconfig.MatchingRPS.Key():                                         plenty,
		dynamicconfig.MatchingPersistenceMaxQPS.Key():                           plenty,
		dynamicconfig.VisibilityPersistenceMaxReadQPS.Key():                     plenty,
		dynamicconfig.VisibilityPersistenceMaxWriteQPS.Key():                    plenty,

		// A queue in four partitions forwards between them; one process needs one.
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,

		// Entries are held until they are pushed out, those of runs that have ended
		// too: enough for as many open runs as a large demo has, and not for the
		// gigabytes that the default allows. More are read again when they go on.
		dynamicconfig.HistoryCacheHostLevelMaxSize.Key(): 2560,

		// The list of workflows is brought up to date twice a second, not at each
		// change: what ends in between is written once, and not at its start too.
		dynamicconfig.VisibilityProcessorMaxPollRPS.Key(): 2,
		dynamicconfig.VisibilityTaskBatchSize.Key():       2000,

		// Each event would be searched for payloads that are kept elsewhere.
		dynamicconfig.ExternalPayloadsEnabled.Key(): false,

		// Nothing to scan for in a file of one process.
		dynamicconfig.TaskQueueScannerEnabled.Key(): false,
		dynamicconfig.HistoryScannerEnabled.Key():   false,
	}
}

// serverLog carries the server's log to slog. Temporal makes loggers with tags of
// their own for single requests, and writes with most of them nothing that anybody
// wants to see: so tags are put into words when there is something to write.
type serverLog struct {
	log  *slog.Logger
	tags []tag.Tag
}

func (l serverLog) write(level slog.Level, msg string, tags []tag.Tag) {
	if ctx := context.Background(); l.log.Enabled(ctx, level) {
		l.log.Log(ctx, level, msg, attributes(slices.Concat(l.tags, tags))...)
	}
}

func (l serverLog) Debug(msg string, tags ...tag.Tag) { l.write(slog.LevelDebug, msg, tags) }
func (l serverLog) Info(msg string, tags ...tag.Tag)  { l.write(slog.LevelInfo, msg, tags) }
func (l serverLog) Warn(msg string, tags ...tag.Tag)  { l.write(slog.LevelWarn, msg, tags) }
func (l serverLog) Error(msg string, tags ...tag.Tag) { l.write(slog.LevelError, msg, tags) }

// DPanic is a panic in the server's own tests only.
func (l serverLog) DPanic(msg string, tags ...tag.Tag) { l.Error(msg, tags...) }

// fatalError is what the server cannot go on after.
type fatalError string

func (e fatalError) Error() string { return string(e) }

// Panic logs, and panics as its name demands.
func (l serverLog) Panic(msg string, tags ...tag.Tag) {
	l.Error(msg, tags...)
	panic(fatalError(fmt.Sprint(msg, " ", attributes(tags))))
}

// Fatal panics too: the caller counts on not getting control back, and the
// process has other parts to end in order.
func (l serverLog) Fatal(msg string, tags ...tag.Tag) { l.Panic(msg, tags...) }

// With implements log.WithLogger.
func (l serverLog) With(tags ...tag.Tag) log.Logger {
	return serverLog{l.log, slices.Concat(l.tags, tags)}
}

func attributes(tags []tag.Tag) []any {
	attrs := make([]any, 0, len(tags))
	for _, t := range tags {
		attrs = append(attrs, slog.String(t.Key(), fmt.Sprint(t.Value())))
	}
	return attrs
}
