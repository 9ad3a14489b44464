package dev

import (
	"context"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/cluster"
)

// Names of the embedded parts, as in --parts.
const (
	PartPostgres = "postgres"
	PartTemporal = "temporal"
	PartBroker   = "broker"
)

// Preferred ports: those of the real services, so that their tools find them.
const (
	postgresPort = 5433 // beside a PostgreSQL of the machine's own
	temporalPort = 7233
	brokerPort   = 1883
)

// database is the one that the product uses in the cluster.
const database = "deviceops"

// Embedded are the parts that stand in for the services which a production
// installation has: PostgreSQL, Temporal and an MQTT broker. Those that this
// process does not run are looked for in the data folder, where another
// process that runs them has noted where they are.
type Embedded struct {
	folder    *Folder
	temporary bool
	out       io.Writer

	cluster  *cluster.Cluster
	temporal *Temporal
	broker   *Broker
}

// NewEmbedded prepares the parts of a data folder. The cluster of a temporary
// one is removed when it stops. Lines for people go to out.
func NewEmbedded(folder *Folder, temporary bool, out io.Writer) *Embedded {
	return &Embedded{folder: folder, temporary: temporary, out: out}
}

// Parts gives those of the three that are named, for StartParts.
func (e *Embedded) Parts(names ...string) []Part {
	all := []Part{
		{Name: PartPostgres, Start: e.startPostgres, Stop: e.stopPostgres, Done: e.postgresDone},
		{Name: PartTemporal, Start: e.startTemporal, Stop: e.stopTemporal},
		{Name: PartBroker, Start: e.startBroker, Stop: e.stopBroker},
	}
	return slices.DeleteFunc(all, func(p Part) bool { return !slices.Contains(names, p.Name) })
}

// onPort starts a part on its port. Between the choice of a port and its use
// another process may take it, if only for the moment in which that process
// looks whether it is free; then the choice is made again.
func (e *Embedded) onPort(part string, preferred int, start func(port int) error) error {
	for tries := 5; ; tries-- {
		port, err := e.folder.Port(part, preferred)
		if err != nil {
			return err
		}
		err = start(port)
		if err == nil || tries == 1 || deviceops.ErrorCode(err) != deviceops.ECONFLICT {
			return err
		}
	}
}

func (e *Embedded) startPostgres(ctx context.Context) error {
	err := e.onPort(PartPostgres, postgresPort, func(port int) (err error) {
		e.cluster, err = cluster.Start(ctx, cluster.Config{
			Dir: e.folder.Path(PartPostgres), Port: port, Temporary: e.temporary, Log: e.out,
		})
		return err
	})
	if err != nil {
		return err
	}
	err = e.cluster.EnsureDatabase(ctx, database)
	if err == nil {
		err = e.folder.RememberPort(PartPostgres, e.cluster.Port()) // an adopted server keeps its own
	}
	if err != nil {
		e.cluster.Stop(context.WithoutCancel(ctx))
	}
	return err
}

func (e *Embedded) stopPostgres(ctx context.Context) error { return e.cluster.Stop(ctx) }

func (e *Embedded) postgresDone() <-chan struct{} { return e.cluster.Done() }

func (e *Embedded) startTemporal(ctx context.Context) error {
	log, err := e.partLog(PartTemporal)
	if err != nil {
		return err
	}
	return e.onPort(PartTemporal, temporalPort, func(port int) (err error) {
		e.temporal, err = StartTemporal(ctx, TemporalConfig{Dir: e.folder.Path(), Port: port, Log: log})
		return err
	})
}

func (e *Embedded) stopTemporal(ctx context.Context) error { return e.temporal.Close(ctx) }

func (e *Embedded) startBroker(ctx context.Context) error {
	log, err := e.partLog(PartBroker)
	if err != nil {
		return err
	}
	return e.onPort(PartBroker, brokerPort, func(port int) (err error) {
		e.broker, err = StartBroker(ctx, BrokerConfig{Port: port, Log: log})
		return err
	})
}

func (e *Embedded) stopBroker(context.Context) error { return e.broker.Close() }

// partLog writes a part's warnings to a file of its own: they are in the words
// of the part and would drown those of the product.
func (e *Embedded) partLog(part string) (*slog.Logger, error) {
	file, err := os.OpenFile(e.folder.Path(part+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.ECONFLICT, "open the log of %s: %w", part, err)
	}
	return slog.New(slog.NewTextHandler(file, &slog.HandlerOptions{Level: slog.LevelWarn})), nil
}

// DatabaseURL is the address of the product's database, password included.
func (e *Embedded) DatabaseURL(ctx context.Context) (string, error) {
	if e.cluster == nil {
		attached, err := cluster.Attach(ctx, e.folder.Path(PartPostgres))
		if err != nil {
			return "", err
		}
		return attached.URL(database), nil
	}
	return e.cluster.URL(database), nil
}

// TemporalAddress is host:port of Temporal's frontend.
func (e *Embedded) TemporalAddress() (string, error) {
	if e.temporal != nil {
		return e.temporal.Address(), nil
	}
	port, err := e.folder.KnownPort(PartTemporal)
	return loopback(port), err
}

// BrokerURL is the address of the broker for MQTT clients.
func (e *Embedded) BrokerURL() (string, error) {
	if e.broker != nil {
		return e.broker.URL(), nil
	}
	port, err := e.folder.KnownPort(PartBroker)
	return "tcp://" + loopback(port), err
}
