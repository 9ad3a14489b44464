package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/api"
	"github.com/deviceops/deviceops/cli"
	"github.com/deviceops/deviceops/cluster"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/postgres/postgrestest"
	"github.com/deviceops/deviceops/workflows"
)

func TestMain(m *testing.M) { os.Exit(cluster.RunTests(m)) }

const token = "admin-token"

// terminal runs commands as a person would, against a real API and database.
type terminal struct {
	*testing.T
	store  deviceops.Store
	engine *engine
	env    map[string]string
	dir    string
	server *httptest.Server
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	store := postgrestest.New(t)
	require.NoError(t, store.SaveToken(t.Context(), deviceops.Token{
		Hash: deviceops.HashToken(token), Principal: deviceops.Principal{Name: "user:maria", Account: deviceops.RootAccount, Roles: []string{deviceops.RoleAdmin}},
		CreatedAt: time.Now(),
	}))
	require.NoError(t, store.MaintainEvents(t.Context(), time.Now(), time.Hour))
	e := &engine{store: store}
	catalog := &dsl.Catalog{Documents: store}
	automations := &deviceops.AutomationStore{Store: store, Automations: &deviceops.Automations{Catalog: catalog, Start: workflows.RunStart, Now: time.Now}}
	automations.Do = func(effects deviceops.AutomationEffects) {
		for _, start := range effects.Starts {
			_, _ = e.Start(t.Context(), start)
		}
	}
	server := httptest.NewServer(api.New(api.Config{
		Artifacts: openArtifacts(t, store), Automations: automations,
		Store: store, Orchestrator: e, Gateway: e, Catalog: catalog, Poll: 10 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Checks: map[string]api.Check{"store": func(context.Context) error { return nil }},
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	return &terminal{T: t, store: store, engine: e, dir: dir, server: server, env: map[string]string{
		"XDG_CONFIG_HOME": filepath.Join(dir, "config"), "DEVICEOPS_SERVER": server.URL, "DEVICEOPS_TOKEN": token,
	}}
}

// result is what a command left behind.
type result struct {
	*terminal
	code     int
	out, err string
}

func (m *terminal) run(args ...string) result {
	m.Helper()
	return m.runWith("", args...)
}

func (m *terminal) runWith(input string, args ...string) result {
	m.Helper()
	var out, errOut bytes.Buffer
	root := cli.New(cli.Config{
		Version: "1.2.3", In: strings.NewReader(input), Out: &out, Err: &errOut, Getenv: func(name string) string { return m.env[name] },
	})
	ctx, cancel := context.WithTimeout(m.Context(), time.Minute)
	defer cancel()
	code := cli.Execute(ctx, root, args)
	return result{m, code, out.String(), errOut.String()}
}

// done checks that the command did what it was asked and gives its output.
func (r result) done() string {
	r.Helper()
	require.Equal(r, cli.ExitDone, r.code, "%s%s", r.out, r.err)
	return r.out
}

// failed checks the exit code and gives what was said on standard error.
func (r result) failed(code int) string {
	r.Helper()
	require.Equal(r, code, r.code, "%s%s", r.out, r.err)
	require.True(r, strings.HasPrefix(r.err, "deviceops: ") || strings.Contains(r.err, "\ndeviceops: "), r.err)
	return r.err
}

func (m *terminal) file(name, text string) string {
	m.Helper()
	path := filepath.Join(m.dir, name)
	require.NoError(m, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(m, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// online makes a device active and online, as if it had been provisioned.
func (m *terminal) online(id string) {
	m.Helper()
	d, err := m.store.FindDevice(m.Context(), id)
	require.NoError(m, err)
	d.State = deviceops.Active
	require.NoError(m, m.store.SaveDevice(m.Context(), &d))
	require.NoError(m, m.store.SaveSessions(m.Context(), map[string]deviceops.Session{
		id: {Connectivity: deviceops.Online, HelloAt: time.Now(), LastSeen: time.Now(), Boot: "b1"},
	}))
}

// engine stands in for Temporal and the devices: commands are answered, runs
// succeed and decisions are taken at once.
type engine struct {
	mu     sync.Mutex
	store  deviceops.Store
	fails  bool // devices and runs
	starts []string
}

func (e *engine) Start(ctx context.Context, s deviceops.Start) (bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.starts = append(e.starts, s.WorkflowID)
	run, err := e.store.FindRun(ctx, s.WorkflowID)
	if err != nil {
		return true, nil // a provisioning has no run
	}
	run.Status, run.FinishedAt = deviceops.RunSucceeded, time.Now()
	run.Steps = []deviceops.RunStep{{Step: "diagnostics", Verb: "command", Status: deviceops.RunSucceeded, Attempts: 1}}
	if e.fails {
		run.Status, run.Error = deviceops.RunFailed, &deviceops.RunError{Code: "busy", Message: "in use", Step: "diagnostics"}
	}
	return true, e.store.SaveRun(ctx, run)
}

func (e *engine) Signal(context.Context, string, string, any) error { return nil }

func (e *engine) Update(ctx context.Context, workflow, _, name string, arg, result any) error {
	if c, ok := arg.(deviceops.RunControl); ok {
		return e.control(ctx, workflow, name, c)
	}
	a, err := e.store.FindApproval(ctx, approvalOf(arg))
	if err != nil {
		return err
	}
	switch change := arg.(type) {
	case deviceops.Decision:
		a.Take(change, change.Form, time.Now())
	case deviceops.Delegation:
		a.Hand(change, time.Now())
	}
	a.Revision++
	*result.(*deviceops.Approval) = a
	_, err = e.store.SaveApproval(ctx, a)
	return err
}

func (e *engine) control(ctx context.Context, id, name string, c deviceops.RunControl) error {
	run := deviceops.Run{ID: id, Status: deviceops.RunRunning}
	if name == workflows.UpdatePause {
		run.Status, run.Paused = deviceops.RunPaused, &deviceops.RunPause{Since: time.Now(), By: c.By, Reason: c.Reason}
	}
	_, err := e.store.PauseRun(ctx, run)
	return err
}

func approvalOf(arg any) string {
	if d, ok := arg.(deviceops.Delegation); ok {
		return d.Approval
	}
	return arg.(deviceops.Decision).Approval
}

func (e *engine) Query(context.Context, string, string, any) error {
	return deviceops.Errorf(deviceops.ENOTFOUND, "no workflow answers")
}

func (e *engine) Cancel(context.Context, string, string) error { return nil }

func (e *engine) Complete(context.Context, deviceops.ActivityRef, deviceops.Command) error {
	return nil
}

func (e *engine) Describe(context.Context, string) (deviceops.Execution, error) {
	return deviceops.Execution{}, nil
}

func (e *engine) Schedule(context.Context, deviceops.Timetable) error { return nil }

func (e *engine) Unschedule(context.Context, string) error { return nil }

func (e *engine) Timetables(context.Context) (map[string]string, error) { return nil, nil }

func (e *engine) NextTimes(context.Context, string) ([]time.Time, error) {
	return []time.Time{time.Date(2030, 10, 27, 1, 0, 0, 0, time.UTC), time.Date(2030, 10, 28, 2, 0, 0, 0, time.UTC)}, nil
}

// TimesBetween gives the full hours, a few at a time.
func (e *engine) TimesBetween(_ context.Context, _ string, after, until time.Time) (times []time.Time, err error) {
	for at := after.Truncate(time.Hour).Add(time.Hour); !at.After(until) && len(times) < 5; at = at.Add(time.Hour) {
		times = append(times, at)
	}
	return times, nil
}

func (e *engine) PublishCommands(ctx context.Context, commands []deviceops.Command, now time.Time) ([]deviceops.Sent, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range commands {
		answer := deviceops.Answer{Attempt: 1, Status: "succeeded", Output: map[string]any{"uptime_s": 5}}
		if e.fails {
			answer = deviceops.Answer{Attempt: 1, Status: "failed", Error: &deviceops.CommandError{Code: "busy", Message: "in use"}}
		}
		commands[i].Answer(answer, now)
	}
	return nil, e.store.SaveCommands(ctx, commands)
}

func (e *engine) PublishCancel(context.Context, string, string) error { return nil }

func (e *engine) PublishWelcomes(context.Context, []deviceops.Welcome, time.Time) error { return nil }

func (e *engine) PublishAcks(context.Context, []deviceops.SeqKey) error { return nil }

// decoded reads the JSON output of a command.
func decoded[T any](r result) T {
	r.Helper()
	var v T
	require.NoError(r, json.Unmarshal([]byte(r.out), &v), r.out)
	return v
}
