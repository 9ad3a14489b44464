//go:build !lean

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/simulator"
)

// twice asks each of three kiosks two things.
const twice = `workflow: twice
outputs: { succeeded: "${{ steps.each.output.succeeded }}" }
steps:
  - id: each
    foreach:
      items: [sim-00001, sim-00002, sim-00003]
      max_parallel: 3
      steps:
        - { id: first, command: diagnostics, device: "${{ item }}", timeout: 5m }
        - { id: second, command: health, device: "${{ item }}", timeout: 5m }
`

// four asks three devices four things.
const four = `workflow: four
outputs: { uptime: "${{ steps.one.output.uptime_s }}" }
steps:
  - { id: one, command: diagnostics, device: sim-00001, timeout: 1m }
  - { id: two, command: health, device: sim-00002, timeout: 1m }
  - { id: three, command: diagnostics, device: late-00001, timeout: 1m, offline: fail }
  - { id: four, command: health, device: sim-00001, timeout: 1m }
`

// floor is a fleet whose engine runs in two processes, so that the worker can be
// killed by itself.
type floor struct {
	*fleet
	worker *process
}

func openFloor(t *testing.T) *floor {
	h := newHome(t)
	h.startStack("--parts", "postgres,temporal,broker,gateway,api")
	f := &floor{worker: h.startStack("--parts", "worker")}
	f.fleet = h.startFleet(h.broker(), 3, "--latency", "1s", "--latency-p99", "2s")
	f.awaitActive(3)
	f.publish(twice)
	f.publish(four)
	return f
}

func (f *floor) publish(source string) {
	file := filepath.Join(f.dir, "workflow.yaml")
	require.NoError(f.t, os.WriteFile(file, []byte(source), 0o600))
	f.must("apply", "-f", file, "--reason", "test")
}

// begin executes a command line that gives a run.
func (f *floor) begin(args ...string) (run deviceops.Run) {
	require.NoError(f.t, json.Unmarshal([]byte(f.must(append(args, "-o", "json")...)), &run))
	return run
}

func (f *floor) show(id string) (run deviceops.Run) { return f.begin("runs", "show", id) }

// effects gives what devices did for a run: the names of the commands by device.
// Each has happened once.
func (f *floor) effects(run string) map[string][]string {
	did := map[string][]string{}
	for _, file := range []string{f.ledger, f.ledger + ".late"} {
		ledger, err := simulator.ReadLedger(file)
		if os.IsNotExist(err) || deviceops.ErrorCode(err) == deviceops.EUNAVAILABLE {
			continue // no device of it has done anything yet
		}
		require.NoError(f.t, err)
		require.Empty(f.t, ledger.Repeats())
		for _, e := range ledger.Effects() {
			if strings.HasPrefix(e.Command, run+".") {
				did[e.Device] = append(did[e.Device], e.Name)
			}
		}
	}
	return did
}

// A run is paused in the middle of commands, its worker dies, and nothing begins
// before it is resumed.
func TestPauseOutlivesTheWorker(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	run := f.begin("run", "twice", "--reason", "check")
	require.Eventually(t, func() bool { return len(f.effects(run.ID)) == 3 }, time.Minute, 20*time.Millisecond, "the kiosks were to be asked")
	require.Contains(t, f.must("runs", "pause", run.ID, "--reason", "smoke"), run.ID+" is paused")
	f.worker.kill()
	f.worker = f.startStack("--parts", "worker")

	require.Eventually(t, func() bool {
		steps := f.show(run.ID).Steps
		done := 0
		for _, s := range steps {
			if s.StepID() == "first" && s.Status == deviceops.RunSucceeded {
				done++
			}
		}
		return len(steps) == 4 && done == 3
	}, 2*time.Minute, 100*time.Millisecond, "what was under way was to end: %+v", f.show(run.ID))
	require.Never(t, func() bool { return len(f.show(run.ID).Steps) > 4 }, 3*time.Second, 200*time.Millisecond)
	once := map[string][]string{"sim-00001": {"diagnostics"}, "sim-00002": {"diagnostics"}, "sim-00003": {"diagnostics"}}
	require.Equal(t, once, f.effects(run.ID))
	require.Contains(t, f.must("runs", "list", "--status", "paused"), run.ID)
	require.Regexp(t, `paused +since .*: smoke`, f.must("runs", "show", run.ID))
	out, code := f.run("runs", "pause", run.ID)
	require.Equal(t, 1, code)
	require.Contains(t, out, "is paused already, by ")

	f.must("runs", "resume", run.ID, "--reason", "all clear")
	f.must("runs", "watch", run.ID)
	for kiosk := range once {
		once[kiosk] = append(once[kiosk], "health")
	}
	require.Equal(t, once, f.effects(run.ID))
	ended := f.show(run.ID)
	require.Equal(t, deviceops.RunSucceeded, ended.Status)
	require.EqualValues(t, 3, ended.Outputs["succeeded"])
	require.Regexp(t, `(?s)run\.resume.*all clear.*run\.pause.*smoke`, f.must("audit", "list", "--target", "run:"+run.ID))
	out, code = f.run("runs", "resume", run.ID)
	require.Equal(t, 1, code)
	require.Contains(t, out, "has ended already: succeeded")
}

// A run fails at its third step and is run again: the devices of the first two
// are not asked again.
func TestRerunAsksNobodyTwice(t *testing.T) {
	t.Parallel()
	f := openFloor(t)
	rows := filepath.Join(f.dir, "late.ndjson")
	late := []string{"simulate", "--prefix", "late", "--devices", "1"}
	f.must(append(late, "--registrations", rows)...)
	f.must("devices", "import", rows, "--reason", "test")
	run := f.begin("run", "four", "--reason", "check")
	out, code := f.run("runs", "watch", run.ID)
	require.Equal(t, 1, code)
	require.Contains(t, out, "at step three")
	did := map[string][]string{"sim-00001": {"diagnostics"}, "sim-00002": {"health"}}
	require.Equal(t, did, f.effects(run.ID))

	f.start(append(late, "--broker", f.broker(), "--ledger", f.ledger+".late")...)
	f.awaitActive(4)
	again := f.begin("runs", "rerun", run.ID, "--reason", "it is switched on")
	require.Equal(t, &deviceops.RunOrigin{Run: run.ID, Step: "three", Because: "it failed"}, again.RerunOf)
	f.must("runs", "watch", again.ID)
	require.Equal(t, did, f.effects(run.ID))
	require.Equal(t, map[string][]string{"late-00001": {"diagnostics"}, "sim-00001": {"health"}}, f.effects(again.ID))

	first, second := f.show(run.ID), f.show(again.ID)
	require.Equal(t, deviceops.RunSucceeded, second.Status)
	require.Equal(t, first.Steps[0].Output.(map[string]any)["uptime_s"], second.Outputs["uptime"], "what a copied step gave is read by the new run")
	require.Regexp(t, `(?s)one +command +succeeded, copied.*two +command +succeeded, copied.*three +command +succeeded +1`, f.must("runs", "show", again.ID))
	require.Contains(t, f.must("devices", "timeline", "late-00001"), "diagnostics")
	out, code = f.run("runs", "rerun", again.ID)
	require.Equal(t, 1, code)
	require.Contains(t, out, "all steps of run "+again.ID+" succeeded")
}
