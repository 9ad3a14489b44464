package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/deviceops/deviceops"
)

// superuser owns everything in the cluster.
const superuser = "postgres"

// Config says where a cluster lives.
type Config struct {
	// Dir keeps the cluster over restarts. It is made when missing. Empty is
	// allowed for a Temporary cluster only, which then makes a folder.
	Dir string

	// Port on 127.0.0.1; 0 takes a free one. An adopted server keeps its own.
	Port int

	// Temporary clusters are removed by Stop.
	Temporary bool

	// Log receives one line for what takes long or may surprise: a download,
	// an adopted server, a folder elsewhere. Nil discards them.
	Log io.Writer

	// volatile gives up durability for speed. Tests only.
	volatile bool
}

// Cluster is a running PostgreSQL server.
type Cluster struct {
	home     home
	programs programs
	url      url.URL
	process  process
	release  func() // gives up the claim on a temporary folder
	adopted  bool
	attached bool
	config   Config
}

// Start brings the cluster in cfg.Dir up and returns when it answers: a server
// that survived its parent is adopted, a missing cluster is created. It returns
// EUNAVAILABLE when there is no PostgreSQL on this machine and none can be
// downloaded, ECONFLICT when the port is taken or the folder belongs to another
// user or to another version, and EINTERNAL with the end of the server's log
// when the server does not come up.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	c := &Cluster{config: cfg, release: func() {}}
	if err := c.start(ctx); err != nil {
		c.discard()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) (err error) {
	if c.home, c.release, err = openHome(c.config); err != nil {
		return err
	}
	if c.programs, err = findPrograms(c.home.version(), c.config.Log); err != nil {
		return err
	}
	if err := c.create(ctx); err != nil {
		return err
	}
	if c.adopt(ctx) {
		return nil
	}
	return c.launch(ctx)
}

// Attach gives the address of a cluster that another process of this machine
// runs in dir. Its Stop does nothing. It returns ENOTFOUND when none runs.
func Attach(ctx context.Context, dir string) (*Cluster, error) {
	h, err := findHome(dir)
	if err != nil && deviceops.ErrorCode(err) != deviceops.ENOTFOUND {
		return nil, err
	}
	c := &Cluster{home: h, attached: true, release: func() {}}
	pid, noServer := h.readPIDFile()
	if err != nil || noServer != nil || !alive(pid.pid) || c.connectTo(ctx, pid) != nil {
		return nil, deviceops.Errorf(deviceops.ENOTFOUND, "no PostgreSQL runs in %s: start the part postgres first", dir)
	}
	c.process = watch(pid.pid)
	return c, nil
}

// URL is the address of one database for pgx, including the password.
func (c *Cluster) URL(database string) string {
	u := c.url
	u.Path = "/" + database
	return u.String()
}

// Port is the one the server listens on.
func (c *Cluster) Port() int {
	port, _ := strconv.Atoi(c.url.Port())
	return port
}

// Adopted tells that the server was already running.
func (c *Cluster) Adopted() bool { return c.adopted }

// Version is the server's, such as "15.14".
func (c *Cluster) Version() string { return c.programs.version }

// Done is closed when the server has ended, whoever ended it.
func (c *Cluster) Done() <-chan struct{} { return c.process.done }

// EnsureDatabase makes a database of this name unless there is one.
func (c *Cluster) EnsureDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, c.URL(superuser))
	if err != nil {
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "connect to PostgreSQL: %w", err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize())
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "42P04" { // duplicate_database
		return nil
	}
	if err != nil {
		return deviceops.Errorf(deviceops.EINTERNAL, "create the database %s: %w", name, err)
	}
	return nil
}

// Stop ends the server and returns when it is gone: sessions are cut off and
// everything committed is on disk. When ctx ends first, or after five seconds,
// the server is told to quit at once, which costs a recovery at the next start
// and nothing else. A Temporary cluster is removed.
func (c *Cluster) Stop(ctx context.Context) error {
	if c.attached {
		return nil
	}
	defer c.discard()
	if c.config.Temporary {
		return c.process.quit()
	}
	return c.process.shutdown(ctx, 5*time.Second)
}

// discard removes what a temporary cluster leaves.
func (c *Cluster) discard() {
	if c.config.Temporary && c.home.dir != "" {
		os.RemoveAll(c.home.dir)
		os.RemoveAll(c.home.wanted)
	}
	c.release()
}

// connectTo sets the URL from a server's pid file and tries it.
func (c *Cluster) connectTo(ctx context.Context, pid pidFile) error {
	if err := c.setURL(pid.port); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.URL(superuser))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var dir string
	if err := conn.QueryRow(ctx, "show data_directory").Scan(&dir); err != nil {
		return err
	}
	if !sameFolder(dir, c.home.data()) {
		return deviceops.Errorf(deviceops.ECONFLICT, "port %d answers for another cluster, %s", pid.port, dir)
	}
	return nil
}

func sameFolder(a, b string) bool {
	first, err1 := os.Stat(a)
	second, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(first, second)
}

func (c *Cluster) setURL(port int) error {
	password, err := os.ReadFile(c.home.password())
	if err != nil {
		return deviceops.Errorf(deviceops.ECONFLICT, "read the cluster's password: %w", err)
	}
	c.url = url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, strings.TrimSpace(string(password))),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		RawQuery: "sslmode=disable",
	}
	return nil
}
