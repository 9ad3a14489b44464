package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/deviceops/deviceops"
)

// pidFile is what a server writes about itself into its data folder.
type pidFile struct {
	pid, port int
	ready     bool
}

// readPIDFile reads postmaster.pid: a line each for pid, data folder, start
// time, port, socket folder, address, shared memory key and status.
func (h home) readPIDFile() (pidFile, error) {
	b, err := os.ReadFile(filepath.Join(h.data(), "postmaster.pid"))
	if err != nil {
		return pidFile{}, err
	}
	lines := strings.Split(string(b), "\n")
	if len(lines) < 4 {
		return pidFile{}, errors.New("postmaster.pid is incomplete")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 1 {
		return pidFile{}, fmt.Errorf("postmaster.pid names process %q", lines[0])
	}
	port, _ := strconv.Atoi(strings.TrimSpace(lines[3]))
	ready := len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready"
	return pidFile{pid: pid, port: port, ready: ready}, nil
}

// alive tells whether a process runs. A process that has ended and that nobody
// has waited for does not.
func alive(pid int) bool {
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true // no /proc here
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

// isPostgres tells whether a process is a PostgreSQL server: pids are reused.
func isPostgres(pid int) bool {
	if !alive(pid) {
		return false
	}
	out, err := exec.Command("ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		out, err = os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	}
	return err == nil && strings.Contains(string(out), "postgres")
}

// process is a server that we started or found.
type process struct {
	pid  int
	done <-chan struct{}
}

// watch follows a process that is not our child.
func watch(pid int) process {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for alive(pid) {
			time.Sleep(50 * time.Millisecond)
		}
	}()
	return process{pid: pid, done: done}
}

// shutdown asks for a fast shutdown and, when that takes longer than patience
// or ctx, quits.
func (p process) shutdown(ctx context.Context, patience time.Duration) error {
	syscall.Kill(p.pid, syscall.SIGINT)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return p.quit()
	}
}

// quit ends the server at once. It recovers from its log at the next start.
func (p process) quit() error {
	for _, signal := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGKILL} {
		syscall.Kill(p.pid, signal)
		select {
		case <-p.done:
			return nil
		case <-time.After(3 * time.Second):
		}
	}
	return deviceops.Errorf(deviceops.EINTERNAL, "PostgreSQL (process %d) does not end", p.pid)
}
