package starter_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/starter"
	"github.com/deviceops/deviceops/workflows"
)

// roundTrip sends a value through the converter.
func roundTrip[T any](t *testing.T, in T) (out T) {
	t.Helper()
	c := starter.DataConverter()
	payload, err := c.ToPayload(in)
	require.NoError(t, err)
	require.NoError(t, c.FromPayload(payload, &out))
	return out
}

func TestNumbersComeBackAsTheyWent(t *testing.T) {
	t.Parallel()
	const large = int64(9007199254740993) // 2^53 + 1: no float64
	tree := map[string]any{
		"large": large, "half": 0.5, "text": "1", "none": nil, "flag": true,
		"list": []any{large, map[string]any{"deep": large}},
	}
	require.Equal(t, tree, roundTrip(t, tree))
	require.Equal(t, any(large), roundTrip[any](t, large))
	require.Equal(t, []any{large}, roundTrip(t, []any{large}))
	require.Equal(t, map[string][]any{"a": {large, 1.5}}, roundTrip(t, map[string][]any{"a": {large, 1.5}}))
	require.Equal(t, dsl.Object{"n": large}, roundTrip(t, dsl.Object{"n": large}))

	run := deviceops.Run{
		ID: "r1", Inputs: map[string]any{"n": large}, StartedAt: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC),
		Steps: []deviceops.RunStep{{Output: map[string]any{"n": large}, Error: &deviceops.RunError{Data: map[string]any{"n": large}}}},
	}
	require.Equal(t, workflows.RunInput{Run: run}, roundTrip(t, workflows.RunInput{Run: run}))
}

func TestTypesThatAreSaidStay(t *testing.T) {
	t.Parallel()
	type typed struct {
		N     int
		F     float64
		Named map[string]int
		Any   any
	}
	require.Equal(t, typed{N: 7, F: 7, Named: map[string]int{"a": 1}, Any: int64(7)}, roundTrip(t, typed{N: 7, F: 7, Named: map[string]int{"a": 1}, Any: 7}))
	require.Equal(t, []byte{1, 2}, roundTrip(t, []byte{1, 2}))
}

func TestInputsFromTheStoreAreSentAsTheyAre(t *testing.T) {
	t.Parallel()
	c := starter.DataConverter()
	payload, err := c.ToPayload(json.RawMessage(`{"device": "k1", "admitted_by": "user:maria"}`))
	require.NoError(t, err)
	var in workflows.ProvisionInput
	require.NoError(t, c.FromPayload(payload, &in))
	require.Equal(t, workflows.ProvisionInput{Device: "k1", AdmittedBy: "user:maria"}, in)
}

func TestNumbersBeyondCounting(t *testing.T) {
	t.Parallel()
	c := starter.DataConverter()
	payload, err := c.ToPayload(1)
	require.NoError(t, err)
	for text, want := range map[string]any{"18446744073709551615": 1.8446744073709552e19, "1e999": "1e999", "1.0": 1.0} {
		var out any
		require.NoError(t, c.FromPayload(&commonpb.Payload{Metadata: payload.Metadata, Data: []byte(text)}, &out))
		require.Equal(t, want, out, text)
	}
	var out any
	require.Error(t, c.FromPayload(&commonpb.Payload{Metadata: payload.Metadata, Data: []byte("{")}, &out))
}
