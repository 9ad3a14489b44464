package dsl

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// storedEnv is an env in which a step gave {ok, big, list}, of which the last two
// are stored.
func storedEnv() Env {
	env := testEnv()
	env.Steps["done"] = StepResult{Status: StatusSucceeded, Output: Canonical(map[string]any{
		"ok":   true,
		"big":  deviceops.Stored{Ref: "output/abc", SHA256: "abc", Size: 70_000, Type: "map"}.Map(),
		"list": deviceops.Stored{Ref: "output/abd", SHA256: "abd", Size: 80_000, Type: "list"}.Map(),
		"text": deviceops.Stored{Ref: "output/abe", SHA256: "abe", Size: 90_000, Type: "string"}.Map(),
	})}
	return env
}

func TestStoredPartsArePassedOn(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		"steps.done.output.big", "steps.done.output", "[steps.done.output.big]", "{ 'a': steps.done.output.list }",
		"true ? steps.done.output.big : nil", "steps.done.output.big ?? 1",
	} {
		e, problems := compileExpression(source, testScope(), wantAny)
		require.Empty(t, problems, source)
		v, err := e.Eval(storedEnv())
		require.NoError(t, err, source)
		data, err := json.Marshal(v)
		require.NoError(t, err)
		require.Contains(t, string(data), `{"$stored":{"ref":"output/ab`, source)
		again, err := DecodeJSON(data)
		require.NoError(t, err)
		repeated, err := json.Marshal(again)
		require.NoError(t, err)
		require.JSONEq(t, string(data), string(repeated), "it is carried on")
	}
	for source, want := range map[string]any{"steps.done.output.ok": true, "steps.done.output.big != nil": true} {
		e, _ := compileExpression(source, testScope(), wantAny)
		v, err := e.Eval(storedEnv())
		require.NoError(t, err)
		require.Equal(t, want, v, "what is beside it is read as ever")
	}
}

func TestStoredPartsCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		"steps.done.output.big.n", "steps.done.output.big?.n", "steps.done.output.big['n']", "steps.done.output.list[0]", "len(steps.done.output.list)",
		"steps.done.output.text contains 'x'", "steps.done.output.text + 'x'", "string(steps.done.output.big)", "toJSON(steps.done.output)",
		"filter(steps.done.output.list, true)", "keys(steps.done.output.big)", "steps.done.output.big + 1", "steps.done.output.big == nil || steps.done.output.big.Ref == 1",
		"join([steps.done.output.text])", "lower(steps.done.output.text)", "int(steps.done.output.text)",
	} {
		e, problems := compileExpression(source, testScope(), wantAny)
		require.Empty(t, problems, source)
		_, err := e.Eval(storedEnv())
		require.Equal(t, deviceops.EEXHAUSTED, deviceops.ErrorCode(err), "%s: %v", source, err)
		require.Equal(t, "`"+source+"`: this is part of an output of more than 64 KiB and too large to be read here: "+
			"pass it on whole with a lone ${{ }}, or have the step give less", deviceops.ErrorMessage(err))
	}
}

func TestStoredPartsInFields(t *testing.T) {
	t.Parallel()
	expression := func(source string) *Expression {
		e, problems := compileExpression(source, testScope(), wantAny)
		require.Empty(t, problems)
		return e
	}
	lone := func(source string) *Value { return &Value{kind: exprValue, expr: expression(source)} }
	inText := &Value{kind: templateValue, parts: []part{{text: "it is "}, {expr: expression("steps.done.output.big")}}}
	for name, read := range map[string]func() error{
		"in a text": func() error { _, err := inText.Eval(storedEnv()); return err },
		"as text":   func() error { _, err := lone("steps.done.output.text").Text(storedEnv()); return err },
		"as list":   func() error { _, err := lone("steps.done.output.list").List(storedEnv()); return err },
	} {
		require.Equal(t, deviceops.EEXHAUSTED, deviceops.ErrorCode(read()), name)
	}
	m, err := lone("steps.done.output.big").Map(storedEnv())
	require.NoError(t, err, "arguments may be a stored map")
	_, ok := deviceops.StoredIn(m)
	require.True(t, ok)
	_, err = lone("steps.done.output.list").Map(storedEnv())
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
	require.Contains(t, deviceops.ErrorMessage(err), "gives a list of 80000 bytes that is stored outside the run, where a map is needed")
}

func TestStoredPartsAsInputs(t *testing.T) {
	t.Parallel()
	text := deviceops.Stored{Ref: "output/abe", Size: 90_000, Type: "string"}.Map()
	v, err := Type{Kind: TypeString}.Coerce(text)
	require.NoError(t, err)
	require.IsType(t, stored(nil), v)
	for _, kind := range []TypeKind{TypeNumber, TypeDevice, TypeBoolean} {
		_, err := Type{Kind: kind}.Coerce(text)
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
	}
	_, err = Type{Kind: TypeString}.Coerce(deviceops.Stored{Ref: "output/abe", Size: 90_000, Type: "list"}.Map())
	require.ErrorContains(t, err, "a list of 90000 bytes that is stored outside the run is given where a string is needed")
}
