package cluster

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
)

// startTimeout bounds a start, recovery after a power cut included.
const startTimeout = 60 * time.Second

// create makes the cluster unless there is one. It is built beside its place
// and moved there whole, so that a kill in the middle leaves nothing half made.
func (c *Cluster) create(ctx context.Context) error {
	if c.home.version() != "" {
		return nil
	}
	if err := c.home.writePassword(); err != nil {
		return err
	}
	draft := c.home.data() + ".new"
	out, err := c.initdb(ctx, draft, "C.UTF-8")
	if err != nil && strings.Contains(out, "locale") { // macOS has no C.UTF-8
		out, err = c.initdb(ctx, draft, "C")
	}
	if err != nil {
		return deviceops.Errorf(deviceops.EINTERNAL, "initdb failed: %w\n%s", err, strings.TrimSpace(out))
	}
	return os.Rename(draft, c.home.data())
}

func (c *Cluster) initdb(ctx context.Context, dir, locale string) (string, error) {
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	args := []string{
		"--pgdata", dir, "--username", superuser, "--pwfile", c.home.password(),
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", locale, "--no-instructions",
	}
	if c.config.Temporary {
		args = append(args, "--no-sync")
	}
	cmd := c.command(ctx, "initdb", args...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// command prepares one of PostgreSQL's programs. Settings in PG* variables are
// meant for other clusters.
func (c *Cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.programs.dir, name), args...)
	cmd.Dir = c.home.dir
	cmd.SysProcAttr = c.home.account.attributes()
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC"}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PG") && !strings.HasPrefix(v, "LC_") && !strings.HasPrefix(v, "TZ=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	return cmd
}

// adopt takes over a server that survived its parent. One that does not answer
// is ended, and a pid file that names another program's process is removed. A
// pid file of a dead server stays: PostgreSQL itself checks that none of that
// server's sessions still hold the data.
func (c *Cluster) adopt(ctx context.Context) bool {
	pid, err := c.home.readPIDFile()
	switch {
	case err != nil || !alive(pid.pid):
		return false
	case !isPostgres(pid.pid):
		os.Remove(filepath.Join(c.home.data(), "postmaster.pid"))
		return false
	}
	c.process = watch(pid.pid)
	if err := c.connectTo(ctx, pid); err != nil {
		fmt.Fprintf(c.config.Log, "PostgreSQL of an earlier run does not answer, ending it: %v\n", err)
		c.process.shutdown(ctx, 5*time.Second)
		return false
	}
	fmt.Fprintf(c.config.Log, "PostgreSQL of an earlier run is still there (process %d), going on with it\n", pid.pid)
	c.adopted = true
	return true
}

// launch starts the server and waits until it answers. A server whose parent
// process was killed leaves sessions that end within a moment and hold the
// data until then, hence the second and third try.
func (c *Cluster) launch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := c.writeSettings(); err != nil {
		return err
	}
	var err error
	for range 3 {
		if err = c.launchOnce(ctx); err == nil || ctx.Err() != nil {
			return err
		}
		var again bool
		if err, again = c.judge(err); !again {
			return err
		}
		pause(ctx, time.Second)
	}
	return err
}

// judge gives why the server did not start and whether another try may help.
// Between the look at a port and its use somebody else may have taken it.
func (c *Cluster) judge(err error) (cause error, again bool) {
	log := c.home.logTail()
	if strings.Contains(log, "could not create any TCP/IP sockets") {
		return portTaken(c.config.Port), c.config.Port == 0
	}
	return err, strings.Contains(log, "still in use")
}

func (c *Cluster) launchOnce(ctx context.Context) error {
	port, err := freePort(c.config.Port)
	if err != nil {
		return err
	}
	if err := c.setURL(port); err != nil {
		return err
	}
	// The log is a file and not a pipe to us: the server must survive us.
	log, err := os.Create(c.home.log())
	if err != nil {
		return deviceops.Errorf(deviceops.ECONFLICT, "open the server's log: %w", err)
	}
	defer log.Close()
	cmd := c.command(context.Background(), "postgres", "-D", c.home.data(), "-p", strconv.Itoa(port))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return deviceops.Errorf(deviceops.EINTERNAL, "start PostgreSQL: %w", err)
	}
	c.process = child(cmd)
	return c.awaitReady(ctx)
}

// child follows a process that we started.
func child(cmd *exec.Cmd) process {
	done := make(chan struct{})
	go func() {
		defer close(done)
		cmd.Wait()
	}()
	return process{pid: cmd.Process.Pid, done: done}
}

// awaitReady returns when the server reports that it takes connections.
func (c *Cluster) awaitReady(ctx context.Context) error {
	for {
		if pid, err := c.home.readPIDFile(); err == nil && pid.pid == c.process.pid && pid.ready {
			return nil
		}
		select {
		case <-c.process.done:
			return deviceops.Errorf(deviceops.EINTERNAL, "PostgreSQL ended at its start:\n%s", c.home.logTail())
		case <-ctx.Done():
			c.process.quit()
			return deviceops.Errorf(deviceops.ETIMEOUT, "PostgreSQL did not come up: %w\n%s", ctx.Err(), c.home.logTail())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// freePort checks a port of loopback, or finds one.
func freePort(port int) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return 0, portTaken(port)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func portTaken(port int) error {
	return deviceops.Errorf(deviceops.ECONFLICT, "port %d for PostgreSQL is taken: end the program that uses it or choose another", port)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// writeSettings replaces postgresql.conf at every start, so that a cluster of
// an older release gets today's settings.
func (c *Cluster) writeSettings() error {
	var b bytes.Buffer
	b.WriteString("# Written at every start; changes are lost.\n")
	for _, s := range settings(c.config.volatile) {
		fmt.Fprintf(&b, "%s = '%s'\n", s.name, s.value)
	}
	path := filepath.Join(c.home.data(), "postgresql.conf")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		return deviceops.Errorf(deviceops.ECONFLICT, "write the cluster's settings: %w", err)
	}
	return c.home.account.own(path)
}
