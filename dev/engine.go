package dev

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/serve"
)

// EngineParts are the parts that a demo runs in a process of its own, so that it
// can kill them.
func EngineParts() []string { return []string{serve.RoleGateway, serve.RoleWorker} }

// engineReady is how long that process may take to be ready for use.
const engineReady = time.Minute

// engine is that process. It ends with this one: its standard input is a pipe
// that nobody writes to and that ends when we do.
type engine struct {
	command func() *exec.Cmd
	cmd     *exec.Cmd
	alive   io.Closer
}

// begin starts the engine, if it is a process of its own, and says so.
func (e *engine) begin(ctx context.Context, out io.Writer) error {
	if e == nil {
		return nil
	}
	fmt.Fprintf(out, "Starting the engine, %s, in a process of its own ...\n", strings.Join(EngineParts(), " and "))
	return e.start(ctx)
}

// start returns when the engine is ready for use. EUNAVAILABLE.
func (e *engine) start(ctx context.Context) error {
	e.cmd = e.command()
	alive, err := e.cmd.StdinPipe()
	if err != nil {
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "start the engine: %w", err)
	}
	output, err := e.cmd.StdoutPipe()
	if err == nil {
		err = e.cmd.Start()
	}
	if err != nil {
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "start the engine: %w", err)
	}
	e.alive = alive
	ready := make(chan bool, 1)
	go func() { ready <- awaitReady(output) }()
	select {
	case ok := <-ready:
		if ok {
			return nil
		}
		e.kill()
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "the engine's process ended before it was ready")
	case <-time.After(engineReady):
	case <-ctx.Done():
	}
	e.kill()
	return deviceops.Errorf(deviceops.EUNAVAILABLE, "the engine's process did not become ready")
}

// awaitReady reports whether the process said that it is ready, and reads on so
// that it can go on writing.
func awaitReady(output io.Reader) bool {
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), readyLine) {
			go func() { _, _ = io.Copy(io.Discard, output) }()
			return true
		}
	}
	return false
}

// kill ends the process as a power cut would.
func (e *engine) kill() {
	_ = e.cmd.Process.Kill()
	_ = e.cmd.Wait()
	_ = e.alive.Close()
}

// stop lets the process end in its own way.
func (e *engine) stop() {
	if e == nil || e.cmd == nil {
		return
	}
	_ = e.alive.Close()
	_ = e.cmd.Wait()
}
