package dsl

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

const workflowSource = `workflow: w
version: 2
inputs:
  device: device
  count: { type: integer 1..5, default: 3 }
  ratio: { type: number, default: 0.5 }
  mode: { enum: [soft, hard, 3], default: soft }
  loud: { type: boolean, default: false }
  pause: { type: duration, default: 30s }
  note: { type: string, default: "" }
outputs:
  mode: ${{ inputs.mode }}
  text: "${{ inputs.count }} times"
device: ${{ inputs.device }}
timeout: 2h
steps:
  - id: first
    command: reboot
    with: { mode: "${{ inputs.mode }}", list: [1, "${{ inputs.count }}"], fixed: { z: 1, a: [true] } }
    timeout: ${{ inputs.pause }}
    attempt_timeout: 20s
    retry: { times: 3, delay: 10s..25s, if: error.code == "busy" }
  - set: { low: 1, lower: "${{ vars.low - 1 }}" }
  - if: inputs.loud
    try:
      - wait: ${{ inputs.pause }}
        device: other
      - run: other@latest
        with: { device: "${{ inputs.device }}" }
      - run: other@4
    catch:
      - approve: Go on after ${{ error.message }}?
        by: [role:operator, user:maria]
        show: { error: "${{ error }}" }
        expires: 1d
      - return: ${{ error.code }}
  - action: log
    with: { message: done }
  - if: vars.low > 3
    fail: { code: too_low, message: "is ${{ vars.low }}", retryable: true, data: { low: "${{ vars.low }}" } }
  - return:
`

func mustCompile(t *testing.T, source string) *Program {
	t.Helper()
	p, found := Compile(source)
	require.NoError(t, found.Err())
	require.NotNil(t, p)
	return p
}

func TestProgramStructure(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, workflowSource)
	require.Equal(t, "w", p.Name)
	require.Equal(t, 2, p.Version)
	require.Equal(t, Limits{Timeout: 2 * time.Hour, Steps: 11, Depth: 2}, p.Limits)
	require.False(t, p.Uses.Device)

	var verbs, paths []string
	for _, path := range []string{"steps", "steps[2].try", "steps[2].catch"} {
		block, ok := p.Block(path)
		require.True(t, ok, path)
		for _, s := range block.Steps {
			verbs, paths = append(verbs, s.Verb), append(paths, s.Path)
			byID, ok := p.Step(s.ID)
			require.True(t, ok)
			require.Same(t, s, byID)
		}
	}
	require.Equal(t, []string{"command", "set", "try", "action", "fail", "return", "wait", "run", "run", "approve", "return"}, verbs)
	require.Equal(t, "steps[2].try[1]", paths[7])
	_, ok := p.Block("steps[9]")
	require.False(t, ok)
}

func TestProgramSteps(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, workflowSource)
	env := Env{Inputs: map[string]any{"device": "k1", "count": int64(2), "mode": "hard", "pause": "45s"}, Vars: map[string]any{"low": int64(1)}, Error: &Failure{Code: "busy", Message: "no"}}

	first, _ := p.Step("first")
	require.True(t, first.Named)
	require.Equal(t, 17, first.Line)
	args, err := first.Op.(*Command).Args.Map(env)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"mode": "hard", "list": []any{int64(1), int64(2)}, "fixed": map[string]any{"z": int64(1), "a": []any{true}}}, args)
	timeout, err := first.Timeout.Duration(env)
	require.NoError(t, err)
	require.Equal(t, 45*time.Second, timeout)
	device, err := first.Device.Text(env)
	require.NoError(t, err)
	require.Equal(t, "k1", device)
	ok, err := first.Retry.If.Bool(env)
	require.NoError(t, err)
	require.True(t, ok)

	wait, _ := p.Step("steps.2.try.0")
	require.False(t, wait.Named)
	device, err = wait.Device.Text(env)
	require.NoError(t, err)
	require.Equal(t, "other", device)

	run, _ := p.Step("steps.2.try.1")
	require.Equal(t, "other", run.Op.(*Run).Workflow)
	require.Zero(t, run.Op.(*Run).Version)
	run, _ = p.Step("steps.2.try.2")
	require.Equal(t, 4, run.Op.(*Run).Version)

	approve, _ := p.Step("steps.2.catch.0")
	op := approve.Op.(*Approve)
	title, err := op.Title.Text(env)
	require.NoError(t, err)
	require.Equal(t, "Go on after no?", title)
	require.Equal(t, []string{"role:operator", "user:maria"}, op.By)
	require.Equal(t, 24*time.Hour, op.Expires)
	show, err := op.Show.Eval(env)
	require.NoError(t, err)
	require.Equal(t, "busy", show.(map[string]any)["error"].(map[string]any)["code"])

	fail, _ := p.Step("steps.4")
	v, err := fail.Op.(*Fail).Error.Eval(env)
	require.NoError(t, err)
	require.Equal(t, Failure{Code: "too_low", Message: "is 1", Retryable: true, Data: map[string]any{"low": int64(1)}}, FailureOf(v))

	last, _ := p.Step("steps.5")
	require.Nil(t, last.Op.(*Return).Value)
	outputs, err := p.EvalOutputs(env)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"mode": "hard", "text": "2 times"}, outputs)
}

func TestRetryDelay(t *testing.T) {
	t.Parallel()
	r := Retry{Min: 10 * time.Second, Max: 25 * time.Second}
	for n, want := range map[int]time.Duration{1: 10 * time.Second, 2: 20 * time.Second, 3: 25 * time.Second, 90: 25 * time.Second} {
		require.Equal(t, want, r.Delay(n), n)
	}
}

func TestFailureOf(t *testing.T) {
	t.Parallel()
	require.Equal(t, Failure{Code: "failed", Message: "the disk is full"}, FailureOf("the disk is full"))
	require.Equal(t, Failure{Code: "failed", Message: "the workflow failed"}, FailureOf(nil))
	require.Equal(t, Failure{Code: "busy", Message: "3", Step: "reboot"}, FailureOf(map[string]any{"code": "busy", "message": int64(3), "step": "reboot"}))
}

// Compile runs inside durable workflows: the same source must give the same
// program, and the source of a program must give that program again.
func TestCompileIsStable(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, "\n\r\n"+strings.ReplaceAll(workflowSource, "\n", "\r\n")+"\n\n")
	require.Equal(t, workflowSource, p.Source)
	again := mustCompile(t, p.Source)
	require.Equal(t, p.Hash, again.Hash)
	require.Len(t, p.Hash, 64)
	require.Equal(t, p.Source, again.Source)
}

func TestCompileRefusesOtherDocuments(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"profile: p", "", workflowSource + "---\n" + workflowSource, "- 1", "workflow: w"} {
		p, found := Compile(source)
		require.Nil(t, p)
		require.True(t, found.HasErrors(), source)
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(found.Err()))
	}
}

// A run goes on with its source whatever actions there are by then.
func TestCompileDoesNotAskForActions(t *testing.T) {
	t.Parallel()
	source := "workflow: w\nsteps:\n  - action: gone.away\n    with: { token: secret:a/b, text: \"${{ run.id }}\" }\n"
	p := mustCompile(t, source)
	step, _ := p.Step("steps.0")
	args, err := step.Op.(*Action).Args.Map(Env{Run: RunInfo{ID: "r1"}})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"token": "secret:a/b", "text": "r1"}, args)

	_, found := CheckFile("w.yaml", source, checked)
	require.True(t, found.HasErrors())
	_, found = CheckFile("w.yaml", source, Options{Actions: []deviceops.ActionSpec{{
		Name: "gone.away", Args: []byte(`{"properties": {"token": {"type": "string", "format": "secret"}, "text": {"type": "string"}}}`),
	}}})
	require.NoError(t, found.Err())
}

func TestUsesDevice(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]bool{
		"workflow: w\ndevice: k1\nsteps:\n  - if: device.state == \"active\"\n    wait: 1s\n": true,
		"workflow: w\ndevice: k1\nsteps:\n  - return: \"${{ device }}\"\n":                    true,
		"workflow: w\ndevice: k1\nsteps:\n  - return: \"${{ [1] | map(device.tags) }}\"\n":    true,
		"workflow: w\ninputs: { device: string }\nsteps:\n  - return: ${{ inputs.device }}\n": false,
		"workflow: w\nsteps:\n  - return: device\n":                                           false,
		"workflow: w\nsteps:\n  - return: \"${{ let device = 1; device }}\"\n":                false,
	} {
		p, found := Compile(source)
		if p == nil { // a name of the environment cannot be declared again
			require.Contains(t, found.Err().Error(), "redeclare")
			continue
		}
		require.Equal(t, want, p.Uses.Device, source)
	}
}

func TestCoerceInputs(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, workflowSource)
	got, err := p.CoerceInputs(map[string]any{"device": "k1", "count": 2.0, "ratio": json.Number("2"), "mode": "3", "loud": "true", "pause": "5m"})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"device": "k1", "count": int64(2), "ratio": int64(2), "mode": int64(3), "loud": true, "pause": "5m", "note": ""}, got)

	got, err = p.CoerceInputs(map[string]any{"device": "k1"})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"device": "k1", "count": int64(3), "ratio": 0.5, "mode": "soft", "loud": false, "pause": "30s", "note": ""}, got)
}

func TestCoerceInputsErrors(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, workflowSource)
	for _, test := range []struct {
		given map[string]any
		want  string
	}{
		{nil, `the input "device" is missing: workflow w needs the id of a device`},
		{map[string]any{"device": "a/b"}, `the input "device": the text "a/b" is given where the id of a device is needed`},
		{map[string]any{"device": "k1", "count": 6}, `the input "count": the number 6 is given where an integer 1..5 is needed`},
		{map[string]any{"device": "k1", "count": 1.5}, `the input "count": the number 1.5 is given where an integer 1..5 is needed`},
		{map[string]any{"device": "k1", "count": "many"}, `the input "count": the text "many" is given where an integer 1..5 is needed`},
		{map[string]any{"device": "k1", "mode": "sofd"}, `the input "mode": the text "sofd" is given where one of soft, hard, 3 is needed`},
		{map[string]any{"device": "k1", "loud": 1}, `the input "loud": the number 1 is given where a boolean is needed`},
		{map[string]any{"device": "k1", "pause": "PT5M"}, `the input "pause": the text "PT5M" is given where a duration such as 30s or 10m is needed`},
		{map[string]any{"device": "k1", "note": []any{}}, `the input "note": a list is given where a string is needed`},
		{map[string]any{"device": "k1", "cuont": 1}, `workflow w has no input "cuont"; did you mean count?`},
	} {
		_, err := p.CoerceInputs(test.given)
		require.EqualError(t, err, test.want)
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
	}
}

// TestTreesAreInputs takes maps and lists, and their text as a command line gives
// it.
func TestTreesAreInputs(t *testing.T) {
	t.Parallel()
	const source = "workflow: w\ninputs: { limits: map, sites: { type: list, default: [a] } }\n" +
		"outputs: { max: \"${{ inputs.limits.max }}\", first: \"${{ inputs.sites[0] }}\" }\nsteps:\n  - wait: 1s\n"
	require.Empty(t, schemaErrors(t, compiledSchema(t), source))
	p := mustCompile(t, source)
	want := map[string]any{"limits": map[string]any{"max": int64(3)}, "sites": []any{"a"}}
	for _, limits := range []any{map[string]any{"max": 3.0}, `{"max": 3}`} {
		got, err := p.CoerceInputs(map[string]any{"limits": limits})
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, test := range []struct {
		given map[string]any
		want  string
	}{
		{map[string]any{"limits": "max: 3"}, `the input "limits": the text "max: 3" is given where a map is needed`},
		{map[string]any{"limits": "[1]"}, `the input "limits": the text "[1]" is given where a map is needed`},
		{map[string]any{"limits": map[string]any{}, "sites": map[string]any{}}, `the input "sites": a map is given where a list is needed`},
	} {
		_, err := p.CoerceInputs(test.given)
		require.EqualError(t, err, test.want)
	}
	_, found := Compile("workflow: w\nsteps:\n  - approve: Go?\n    by: [user:a]\n    form: { limits: map }\n")
	require.ErrorContains(t, found.Err(), "a person cannot fill in a map")
}

func TestStepResultSurvivesJSON(t *testing.T) {
	t.Parallel()
	want := StepResult{Status: StatusSucceeded, Output: map[string]any{"n": int64(1 << 60), "x": 1.5}, Attempts: 2, Error: &Failure{Code: "c"}}
	data, err := json.Marshal(want)
	require.NoError(t, err)
	var got StepResult
	require.NoError(t, json.Unmarshal(data, &got))
	require.Equal(t, want, got)

	var object Object
	require.NoError(t, json.Unmarshal([]byte(`{"a": 1, "b": [2.0, 2.5]}`), &object))
	require.Equal(t, Object{"a": int64(1), "b": []any{int64(2), 2.5}}, object)
}

// documents is a store of documents in memory that counts lookups.
type documents struct {
	deviceops.Documents
	found map[string]deviceops.Document
}

func (d documents) FindDocument(_ context.Context, _, kind, name string, version int) (deviceops.Document, error) {
	doc, ok := d.found[kind+" "+name]
	if !ok || version != 0 && version != doc.Version {
		return deviceops.Document{}, deviceops.Errorf(deviceops.ENOTFOUND, "there is no %s %s", kind, name)
	}
	return doc, nil
}

func TestCatalog(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../examples/kiosk.yaml")
	require.NoError(t, err)
	store := documents{found: map[string]deviceops.Document{}}
	docs, found := CheckFile("kiosk.yaml", string(source), checked)
	require.Empty(t, found)
	for _, d := range docs {
		store.found[d.Kind+" "+d.Name] = deviceops.Document{Account: "acme", Kind: d.Kind, Name: d.Name, Version: 7, Hash: d.Hash, Source: d.Source}
	}
	store.found["workflow broken"] = deviceops.Document{Kind: "workflow", Name: "broken", Version: 1, Hash: "x", Source: "workflow: broken"}
	catalog := &Catalog{Documents: store}
	ctx := context.Background()

	profile, err := catalog.Profile(ctx, "acme/emea", "kiosk")
	require.NoError(t, err)
	require.Equal(t, "acme", profile.Account)
	require.Equal(t, 7, profile.Version)
	again, err := catalog.Profile(ctx, "acme/emea", "kiosk")
	require.NoError(t, err)
	require.Equal(t, profile.Hash, again.Hash)

	program, err := catalog.Program(ctx, "acme", "reboot-with-approval", 7)
	require.NoError(t, err)
	require.Equal(t, 7, program.Version)
	second, err := catalog.Program(ctx, "acme", "reboot-with-approval", 0)
	require.NoError(t, err)
	require.Same(t, program.Root, second.Root, "compiled once")

	_, err = catalog.Program(ctx, "acme", "reboot-with-approval", 8)
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))
	_, err = catalog.Program(ctx, "acme", "broken", 0)
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
	require.Contains(t, err.Error(), "a workflow needs steps")
}
