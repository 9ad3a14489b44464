package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/workflows"
)

const stagedYAML = `workflow: staged
version: 1
inputs:
  device: device kiosk
  ring: { type: string, default: early }
  size: { type: integer, default: 1 }
device: ${{ inputs.device }}
steps:
  - id: look
    command: diagnostics
  - id: pick
    set: { ring: "${{ inputs.ring }}" }
  - id: decision
    approve: Go on?
    by: [role:operator]
  - id: act
    command: health
    if: inputs.size > 0 && vars.ring != ""
`

// stagedRun stores a run of staged that failed at its last step.
func (r *rig) stagedRun() deviceops.Run {
	r.Helper()
	r.apply(kioskYAML + "---\n" + stagedYAML)
	r.device("k1", "acme", deviceops.Active)
	r.device("k2", "acme", deviceops.Active)
	document, err := r.store.FindDocument(r.Context(), "acme", deviceops.KindWorkflow, "staged", 1)
	require.NoError(r, err)
	run := deviceops.Run{
		ID: "run-1", Account: "acme", Workflow: "staged", Version: 1, Hash: document.Hash, Status: deviceops.RunFailed, StartedBy: "user:olga", StartedAt: now,
		Device: "k1", Inputs: map[string]any{"device": "k1", "ring": "early", "size": int64(1)},
	}
	for i, id := range []string{"look", "pick", "decision", "act"} {
		verb := map[string]string{"pick": "set", "decision": "approve"}[id]
		row := deviceops.RunStep{Index: i, Step: id, Verb: verb, Status: deviceops.RunSucceeded, StartedAt: now, FinishedAt: now, Output: map[string]any{"n": int64(i)}}
		if id == "pick" {
			row.Vars = map[string]any{"ring": "early"}
		}
		run.Steps = append(run.Steps, row)
	}
	run.Steps[3].Status = deviceops.RunFailed
	_, err = r.store.CreateRun(r.Context(), run)
	require.NoError(r, err)
	return run
}

func TestRerun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	origin := r.stagedRun()
	var run, again deviceops.Run
	r.as(olga, http.MethodPost, "/v1/runs/run-1/rerun", deviceops.RerunRequest{Reason: "power is back"}, "Idempotency-Key", "a").into(&run)
	require.Equal(t, &deviceops.RunOrigin{Run: "run-1", Step: "act", Because: "it failed"}, run.RerunOf)
	require.Equal(t, origin.Hash, run.Hash)
	require.Equal(t, origin.Inputs["ring"], run.Inputs["ring"])
	require.Equal(t, "k1", run.Device)
	require.Equal(t, "user:olga", run.StartedBy)
	stored, err := r.store.FindRun(t.Context(), run.ID)
	require.NoError(t, err)
	require.Len(t, stored.Steps, 3)
	for i, row := range stored.Steps {
		require.True(t, row.Copied)
		require.Equal(t, origin.Steps[i].Output, row.Output)
	}
	require.Equal(t, map[string]any{"ring": "early"}, stored.Steps[1].Vars)
	entry := r.audited("run:" + run.ID)
	require.Equal(t, "run.rerun power is back", entry.Action+" "+entry.Reason)
	require.Equal(t, "run-1", entry.Evidence["rerun_of"])
	require.Equal(t, int64(3), entry.Evidence["copied"])

	input := r.orchestrator.starts[0].Input.(workflows.RunInput)
	require.Equal(t, run.RerunOf, input.Run.RerunOf)
	require.Empty(t, input.Run.Steps, "what is copied is not in the request to start")
	r.as(olga, http.MethodPost, "/v1/runs/run-1/rerun", deviceops.RerunRequest{Reason: "power is back"}, "Idempotency-Key", "a").into(&again)
	require.Equal(t, run.ID, again.ID)
	require.Len(t, r.orchestrator.starts, 1, "the same key starts one run")
	r.as(olga, http.MethodPost, "/v1/runs/run-1/rerun", deviceops.RerunRequest{}).into(&again)
	require.NotEqual(t, run.ID, again.ID)
}

// What is copied has to be what it would be under the inputs and the definition
// of the new run.
func TestRerunsOfSomethingElse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stagedRun()
	version := func(n, old, new string) {
		r.apply(kioskYAML + "---\n" + strings.Replace(strings.Replace(stagedYAML, "version: 1", "version: "+n, 1), old, new, 1))
	}
	version("2", "command: health", "command: diagnostics")
	version("3", "ring: \"${{ inputs.ring }}\"", "ring: late")
	version("4", "  - id: act\n    command: health\n    if: inputs.size > 0 && vars.ring != \"\"\n", "outputs: { ring: \"${{ vars.ring }}\" }\n")
	for name, c := range map[string]struct {
		ask     deviceops.RerunRequest
		refused string // "": it is not
	}{
		"an input that nothing copied has read": {deviceops.RerunRequest{From: "decision", Inputs: map[string]any{"size": "2"}}, ""},
		"but people approved":                   {deviceops.RerunRequest{Inputs: map[string]any{"size": 2}}, "decision was approved for run run-1 as it was, and this is other inputs (size); begin at decision or before, so that it is asked again"},
		"an input with the same value":          {deviceops.RerunRequest{Inputs: map[string]any{"size": "1"}}, ""},
		"an input that a copied step read":      {deviceops.RerunRequest{From: "decision", Inputs: map[string]any{"ring": "late"}}, "the step pick was executed with another value of the input ring, so it cannot be copied; begin at pick or before"},
		"from there":                            {deviceops.RerunRequest{From: "pick", Inputs: map[string]any{"ring": "late"}}, ""},
		"another device":                        {deviceops.RerunRequest{From: "pick", Inputs: map[string]any{"device": "k2"}}, "the input device names the device, and steps would be copied that ran on another one; begin at look"},
		"on another device from the start":      {deviceops.RerunRequest{From: "look", Inputs: map[string]any{"device": "k2"}}, ""},
		"an input that there is not":            {deviceops.RerunRequest{Inputs: map[string]any{"color": "red"}}, `workflow staged has no input "color"`},
		"a version that differs later":          {deviceops.RerunRequest{From: "decision", Version: "2"}, ""},
		"a version, and people approved":        {deviceops.RerunRequest{Version: "2"}, "decision was approved for run run-1 as it was, and this is another version; begin at decision or before, so that it is asked again"},
		"the same version":                      {deviceops.RerunRequest{Version: "1"}, ""},
		"a version that differs before":         {deviceops.RerunRequest{From: "decision", Version: "3"}, "-         ring: ${{ inputs.ring }}\n+         ring: late\n"},
		"from where it differs":                 {deviceops.RerunRequest{From: "pick", Version: "3"}, ""},
		"a version that is shorter":             {deviceops.RerunRequest{Version: "latest"}, "version 4 has 3 steps, and the run is to begin at step 4"},
		"no such version":                       {deviceops.RerunRequest{Version: "9"}, "there is no version 9 of workflow staged"},
		"no such step":                          {deviceops.RerunRequest{From: "x"}, "there is no step x to begin at; the steps of the run are look, pick, decision, act"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := r.as(olga, http.MethodPost, "/v1/runs/run-1/rerun", c.ask)
			if c.refused == "" {
				var run deviceops.Run
				answer.into(&run)
				require.Equal(t, "run-1", run.RerunOf.Run)
				return
			}
			code := map[int]string{404: deviceops.ENOTFOUND, 422: deviceops.EINVALID}[answer.status]
			require.Contains(t, answer.refused(answer.status, code), c.refused)
		})
	}
	r.as(victor, http.MethodPost, "/v1/runs/run-1/rerun", deviceops.RerunRequest{}).refused(403, deviceops.EFORBIDDEN)
	r.as(stranger, http.MethodPost, "/v1/runs/run-1/rerun", deviceops.RerunRequest{}).refused(404, deviceops.ENOTFOUND)
}
