package workflows

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

func TestEffectIDs(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 120)
	for name, c := range map[string]struct {
		owner, place string
		round        int
		want         string
	}{
		"plain":     {"r1", "steps[2].try[0]", 1, "r1.steps.2.try.0.1"},
		"a colon":   {"provision:k1", "configure", 0, "provision:k1.configure.0"},
		"too long":  {long, "steps[0]", 0, long[:95] + "."},
		"bad bytes": {"run/ä 1", "steps[0]", 0, "run---1.steps.0.0."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := effectID(c.owner, c.place, c.round)
			require.True(t, deviceops.ValidID(id), id)
			require.True(t, strings.HasPrefix(id, c.want), id)
			require.Equal(t, id, effectID(c.owner, c.place, c.round))
		})
	}
	require.NotEqual(t, effectID("a b", "s", 0), effectID("a/b", "s", 0), "what is cut away still counts")
}

func TestParseRef(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]struct {
		name    string
		version int
		fails   bool
	}{
		"burn-in": {name: "burn-in"}, "burn-in@3": {name: "burn-in", version: 3}, "burn-in@latest": {name: "burn-in"},
		"burn-in@x": {name: "burn-in", fails: true}, "burn-in@0": {name: "burn-in", fails: true},
	} {
		name, version, err := parseRef(ref)
		require.Equal(t, want.name, name, ref)
		require.Equal(t, want.version, version, ref)
		require.Equal(t, want.fails, err != nil, ref)
	}
}

func TestProgramsAreKeptByUse(t *testing.T) {
	t.Parallel()
	p := newPrograms(2)
	source := func(name string) string { return "workflow: " + name + "\nsteps:\n  - set: { a: 1 }\n" }
	get := func(name string) *dsl.Program {
		program, err := p.get(name, source(name))
		require.NoError(t, err)
		return program
	}
	a, b := get("a"), get("b")
	require.Same(t, a, get("a"))
	get("c") // b was used the longest time ago
	require.Same(t, a, get("a"))
	require.NotSame(t, b, get("b"))
	_, err := p.get("bad", "workflow: [")
	require.Error(t, err)
}

// TestStateIsData holds that a run's state survives being carried over.
func TestStateIsData(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	c := call{Step: "s", Row: 1, Round: 2, Tries: 3, Deadline: at, Delivery: &delivery{ID: "c", Attempt: 2, Tries: 3, Silent: true, Expires: at, Each: time.Minute}}
	before := state{
		Engine: engine, Inputs: dsl.Object{"n": int64(1 << 60)}, Vars: dsl.Object{"f": 1.5},
		Root: branch{
			Results: map[string]dsl.StepResult{"a": {Status: dsl.StatusSucceeded, Output: map[string]any{"n": int64(1 << 60)}, Attempts: 1}},
			Rounds:  map[string]int{"a": 1},
			Frames: []frame{
				{Block: "steps", Next: 1, Deadline: at},
				{Block: "steps[1].catch", Owner: &c, Phase: inCatch, Error: &dsl.Failure{Code: "busy", Message: "busy", Retryable: true}},
				{Owner: &c, Fork: &fork{Items: []datum{{int64(1 << 60)}, {"b"}}, Next: 1, Results: make([]datum, 2), Branches: []*branch{{
					Key: "steps.1.0-0", Label: "[0]", Locals: dsl.Object{"item": int64(1 << 60)}, Results: map[string]dsl.StepResult{}, Rounds: map[string]int{},
					Frames: []frame{{Block: "steps[1].foreach"}}, Parked: &c,
				}}}},
			},
			Settling: &settlement{Call: c, Output: datum{int64(1 << 60)}},
			Undo:     []undoable{{Step: "a", At: 3, Locals: dsl.Object{"index": int64(2)}}},
		},
		Rows:  []deviceops.RunStep{{Index: 7, Step: "a", Verb: "set", Status: deviceops.RunSucceeded, StartedAt: at, FinishedAt: at}},
		Next:  8,
		Dirty: []int{7},
	}
	data, err := json.Marshal(before)
	require.NoError(t, err)
	var after state
	require.NoError(t, json.Unmarshal(data, &after))
	require.Equal(t, before, after)
}

func TestRowsComeBackWhenTheyWereNotSaved(t *testing.T) {
	t.Parallel()
	var s state
	for range 3 {
		s.openRow(&dsl.Step{ID: "a", Verb: "set"}, "", time.Time{})
	}
	_, taken := s.take()
	require.Empty(t, s.Dirty)
	s.touch(1)
	s.untake(taken)
	require.Equal(t, []int{0, 1, 2}, s.Dirty)
}

func TestEveryVerbOfTheLanguageIsExecuted(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"action", "approve", "command", "emit", "fail", "foreach", "parallel", "return", "run", "set", "switch", "try", "wait", "while",
	} {
		require.Contains(t, verbs, name)
	}
}

func TestEarliest(t *testing.T) {
	t.Parallel()
	a := time.Unix(1, 0)
	b := time.Unix(2, 0)
	require.Equal(t, a, earliest(a, b))
	require.Equal(t, a, earliest(b, a))
	require.Equal(t, a, earliest(time.Time{}, a))
	require.Equal(t, a, earliest(a, time.Time{}))
}
