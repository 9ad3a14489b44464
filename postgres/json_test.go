package postgres

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestNumbersKeepTheirKind(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		value any
		text  string
		back  any // nil: as it was
	}{
		"integer":             {int64(80), "80", nil},
		"float that is whole": {80.0, "80.0", nil},
		"zero":                {0.0, "0.0", nil},
		"fraction":            {0.1, "0.1", nil},
		"small":               {1e-9, "1e-9", nil},
		"large":               {1e21, "1e+21", nil},
		"largest integer":     {int64(math.MaxInt64), "9223372036854775807", nil},
		"smallest integer":    {int64(math.MinInt64), "-9223372036854775808", nil},
		"beyond integers":     {1e19, "10000000000000000000.0", nil},
		"int":                 {7, "7", int64(7)},
		"text":                {"80", `"80"`, nil},
		"nothing":             {nil, "null", nil},
		"tree":                {map[string]any{"a": []any{1.0, int64(2), map[string]any{"b": 3.0}}}, `{"a":[1.0,2,{"b":3.0}]}`, nil},
	} {
		text, err := encode(c.value)
		require.NoError(t, err, name)
		require.Equal(t, c.text, string(text), name)
		var back any
		require.NoError(t, decode(text, &back), name)
		want := c.value
		if c.back != nil {
			want = c.back
		}
		require.Equal(t, want, back, name)
	}
}

func TestEncodeDoesNotTouchItsArgument(t *testing.T) {
	t.Parallel()
	tree := map[string]any{"a": []any{1.0}}
	_, err := encode([]commandRecord{{Args: tree, Output: tree}})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"a": []any{1.0}}, tree)
}

func TestEncodeRefusesWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	for _, v := range []any{math.NaN(), math.Inf(1), func() {}, map[string]any{"c": make(chan int)}} {
		_, err := encode(v)
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
	}
}

func TestDecodeIntoErrorsOfRuns(t *testing.T) {
	t.Parallel()
	var e deviceops.RunError
	require.NoError(t, decode([]byte(`{"code":"x","data":{"n":1,"f":1.0,"l":[2]}}`), &e))
	require.Equal(t, deviceops.RunError{Code: "x", Data: map[string]any{"n": int64(1), "f": 1.0, "l": []any{int64(2)}}}, e)
	require.Error(t, decode([]byte(`{"code":`), &e))
}

// FuzzEncodeText holds that any text becomes JSON without NUL, and that
// everything else in it stays.
func FuzzEncodeText(f *testing.F) {
	for _, seed := range []string{"", "\x00", `\u0000`, `\\u0000`, "\\\x00", "a\x00\x00b", `\`, "\xff\x00", `"\u0000"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		encoded, err := encode(map[string]any{text: text})
		require.NoError(t, err)
		var back map[string]string
		require.NoError(t, json.Unmarshal(encoded, &back))
		want := strings.ReplaceAll(strings.ToValidUTF8(text, "\x00"), "\x00", "\ufffd")
		for key, item := range back {
			// json.Marshal replaces broken UTF-8 byte by byte, ToValidUTF8 by run.
			require.Equal(t, collapse(want), collapse(key))
			require.Equal(t, collapse(want), collapse(item))
		}
	})
}

func collapse(s string) string {
	for strings.Contains(s, "\ufffd\ufffd") {
		s = strings.ReplaceAll(s, "\ufffd\ufffd", "\ufffd")
	}
	return s
}

// TestPlainTextIsThatOfMarshal compares what is written by hand with what
// encoding/json writes.
func TestPlainTextIsThatOfMarshal(t *testing.T) {
	t.Parallel()
	draw := rand.New(rand.NewPCG(1, 2))
	leaves := []any{
		nil, true, false, 7, int64(-7), int64(math.MaxInt64), 0.0, -0.5, 80.0, 1e21, 1e-9, 1e19, "", "text", `"quoted\"`, "a<b>&c", "é\u2028", "\xff", "a\x00b", "\u007f\t\n",
		map[string]any(nil), []any(nil), map[string]any{}, []any{},
	}
	var tree func(depth int) any
	tree = func(depth int) any {
		switch n := draw.IntN(4); {
		case depth == 0 || n < 2:
			return leaves[draw.IntN(len(leaves))]
		case n == 2:
			list := make([]any, draw.IntN(4))
			for i := range list {
				list[i] = tree(depth - 1)
			}
			return list
		}
		m := map[string]any{}
		for range draw.IntN(12) {
			m[strings.Repeat(string(rune('a'+draw.IntN(26))), draw.IntN(3))] = tree(depth - 1)
		}
		m[[]string{"é", "<", "b\x00", "z\xff"}[draw.IntN(4)]] = 1.0
		return m
	}
	for range 2000 {
		v := tree(4)
		text, plain := appendPlain(nil, v)
		require.True(t, plain)
		want, err := json.Marshal(exact(v))
		require.NoError(t, err)
		require.Equal(t, string(want), string(text))
	}
	for _, v := range []any{deviceops.Device{}, []string{"a"}, []any{uint8(1)}, map[string]any{"a": map[string]string{}}, math.NaN()} {
		_, plain := appendPlain(nil, v)
		require.False(t, plain, "%T", v)
	}
}

func BenchmarkEncode(b *testing.B) {
	data := map[string]any{"battery_pct": 9.5, "code": int64(7), "note": "as ever"}
	b.ReportAllocs()
	for b.Loop() {
		_, err := encode(data)
		require.NoError(b, err)
	}
}
