//go:build !lean

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/cli"
	"github.com/deviceops/deviceops/client"
	"github.com/deviceops/deviceops/cluster/porttest"
)

// actAsProgram makes the test binary act as deviceops: tests start it as
// processes that they can kill.
const actAsProgram = "DEVICEOPS_TEST_ACT_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(actAsProgram) != "" {
		os.Exit(run(context.Background(), cli.Config{Version: "test"}, os.Args[1:]))
	}
	os.Exit(m.Run())
}

// home is a folder for one test: the data of its stack and its CLI context.
type home struct {
	t    *testing.T
	dir  string
	data string
}

func newHome(t *testing.T) home {
	dir, err := os.MkdirTemp("", "deviceops-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711)) // PostgreSQL's user passes through
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	h := home{t: t, dir: dir, data: filepath.Join(dir, "data")}
	h.ownPorts()
	return h
}

// ownPorts gives the stack of this home ports that no other test will ask for,
// so that a restart finds them free.
func (h home) ownPorts() {
	ports := map[string]int{}
	for _, part := range []string{"postgres", "temporal", "broker", "api"} {
		ports[part] = porttest.Free(h.t)
	}
	memory, err := json.Marshal(map[string]any{"ports": ports})
	require.NoError(h.t, err)
	require.NoError(h.t, os.Mkdir(h.data, 0o711))
	require.NoError(h.t, os.WriteFile(filepath.Join(h.data, "dev.json"), memory, 0o600))
}

// process is a running deviceops, or another program.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{}

	mu    sync.Mutex
	lines []string
	news  *sync.Cond
}

// start runs deviceops with args. What is left of it at the end is killed.
func (h home) start(args ...string) *process {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), actAsProgram+"=1", "XDG_CONFIG_HOME="+h.dir)
	return startProcess(h.t, cmd)
}

func startProcess(t *testing.T, cmd *exec.Cmd) *process {
	p := &process{t: t, cmd: cmd, ended: make(chan struct{})}
	p.news = sync.NewCond(&p.mu)
	output, input := io.Pipe()
	cmd.Stdout, cmd.Stderr = input, input
	require.NoError(t, cmd.Start())
	go p.read(output)
	go func() {
		_ = cmd.Wait()
		_ = input.Close()
		close(p.ended)
		p.news.Broadcast()
	}()
	t.Cleanup(func() { p.kill() })
	return p
}

func (p *process) read(r io.Reader) {
	for scanner := bufio.NewScanner(r); scanner.Scan(); {
		p.mu.Lock()
		p.lines = append(p.lines, scanner.Text())
		p.mu.Unlock()
		p.news.Broadcast()
	}
}

// output gives what the process has written.
func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// await waits for a line with the text and gives it.
func (p *process) await(text string, patience time.Duration) string {
	timer := time.AfterFunc(patience, p.news.Broadcast)
	defer timer.Stop()
	deadline := time.Now().Add(patience)
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for _, line := range p.lines {
			if strings.Contains(line, text) {
				return line
			}
		}
		if p.over() || time.Now().After(deadline) {
			require.FailNow(p.t, "the process never said "+strconv.Quote(text), "it said:\n%s", strings.Join(p.lines, "\n"))
		}
		p.news.Wait()
	}
}

func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// kill ends the process as a power cut would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// interrupt asks the process to end and gives its exit code.
func (p *process) interrupt(patience time.Duration) int {
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGINT))
	return p.exit(patience)
}

// exit waits for the end and gives the exit code.
func (p *process) exit(patience time.Duration) int {
	select {
	case <-p.ended:
	case <-time.After(patience):
		require.FailNow(p.t, "the process did not end within "+patience.String(), "it said:\n%s", p.output())
	}
	return p.cmd.ProcessState.ExitCode()
}

// run executes a command line against the stack of this home and gives its
// output and exit code.
func (h home) run(args ...string) (string, int) {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), actAsProgram+"=1", "XDG_CONFIG_HOME="+h.dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if _, isExit := err.(*exec.ExitError); err != nil && !isExit {
		require.NoError(h.t, err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// must executes a command line that has to succeed.
func (h home) must(args ...string) string {
	out, code := h.run(args...)
	require.Zero(h.t, code, "deviceops %s:\n%s", strings.Join(args, " "), out)
	return out
}

// client gives a client of the API of the stack of this home.
func (h home) client() *client.Client {
	token, err := os.ReadFile(filepath.Join(h.data, "admin-token"))
	require.NoError(h.t, err)
	return client.New("http://127.0.0.1:"+strconv.Itoa(h.port("api")), strings.TrimSpace(string(token)))
}

// port gives the port that the stack of this home has noted for a part.
func (h home) port(part string) int {
	text, err := os.ReadFile(filepath.Join(h.data, "dev.json"))
	require.NoError(h.t, err)
	var memory struct{ Ports map[string]int }
	require.NoError(h.t, json.Unmarshal(text, &memory))
	require.NotZero(h.t, memory.Ports[part], "no port of %s in %s", part, text)
	return memory.Ports[part]
}

func (h home) broker() string { return fmt.Sprintf("tcp://127.0.0.1:%d", h.port("broker")) }

// startStack starts a stack, or parts of it, with this home's data.
func (h home) startStack(args ...string) *process {
	p := h.start(append([]string{"dev", "--data", h.data}, args...)...)
	p.await("Ready after", time.Minute)
	return p
}

// startMosquitto runs Debian's broker, with persistence in the home, and waits
// until it answers.
func (h home) startMosquitto(port int) *process {
	config := filepath.Join(h.dir, "mosquitto.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\nautosave_interval 1\nuser root\n"+
		"max_queued_messages 0\nmax_inflight_messages 1000\n", port, h.dir)
	require.NoError(h.t, os.WriteFile(config, []byte(text), 0o600))
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		program = "/usr/sbin/mosquitto"
	}
	p := startProcess(h.t, exec.Command(program, "-c", config))
	require.Eventually(h.t, func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 10*time.Second, 20*time.Millisecond, "mosquitto (Debian's package mosquitto) must start")
	return p
}
