package deviceops_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// pantry keeps outputs and one command.
type pantry struct {
	parts   map[string][]byte
	command deviceops.Command
}

func (s pantry) FindOutput(_ context.Context, account, sha256 string) ([]byte, error) {
	data, ok := s.parts[account+" "+sha256]
	if !ok {
		return nil, deviceops.Errorf(deviceops.ENOTFOUND, "there is no output %s", sha256)
	}
	return data, nil
}

func (s pantry) FindCommand(_ context.Context, id string) (deviceops.Command, error) {
	if id != s.command.ID {
		return deviceops.Command{}, deviceops.Errorf(deviceops.ENOTFOUND, "there is no command %s", id)
	}
	return s.command, nil
}

func text(bytes int) string { return strings.Repeat("x", bytes) }

func size(t *testing.T, v any) int {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return len(data)
}

// slimmed slims an output, keeps its parts and requires that it comes back whole.
func slimmed(t *testing.T, output any) (slim any, kept []deviceops.Output) {
	t.Helper()
	slim, kept, err := deviceops.Slim(output, deviceops.OutputRef)
	require.NoError(t, err)
	require.LessOrEqual(t, size(t, slim), deviceops.MaxInlineOutput)
	s := pantry{parts: map[string][]byte{}}
	for _, part := range kept {
		s.parts["acme "+part.SHA256] = part.Data
	}
	whole, err := deviceops.Whole(t.Context(), s, "acme", slim, deviceops.MaxOutput)
	require.NoError(t, err)
	require.Equal(t, output, whole)
	return slim, kept
}

func TestSlimKeepsSmallFieldsInPlace(t *testing.T) {
	t.Parallel()
	small := map[string]any{"n": int64(1), "text": text(60_000)}
	slim, kept := slimmed(t, small)
	require.Equal(t, small, slim)
	require.Empty(t, kept)

	entries := make([]any, 3000)
	for i := range entries {
		entries[i] = map[string]any{"id": int64(9007199254740993), "f": 0.5, "name": "entry"}
	}
	slim, kept = slimmed(t, map[string]any{
		"status": int64(200), "headers": map[string]any{"etag": "a/b~c"}, "body": text(2000),
		"json": map[string]any{"count": int64(3000), "entries/~": entries, "page": map[string]any{"next": "p2"}},
	})
	require.Len(t, kept, 1)
	m := slim.(map[string]any)
	require.Equal(t, int64(200), m["status"])
	require.Len(t, m["body"], 2000)
	require.Equal(t, int64(3000), m["json"].(map[string]any)["count"], "what is beside the large part is read as before")
	stored, ok := deviceops.StoredIn(m["json"].(map[string]any)["entries/~"])
	require.True(t, ok)
	require.Equal(t, deviceops.Stored{Ref: "output/" + kept[0].SHA256, SHA256: kept[0].SHA256, Size: len(kept[0].Data), Type: "list"}, stored)
}

func TestSlimOfWhatHasNoFields(t *testing.T) {
	t.Parallel()
	wide := map[string]any{}
	for i := range 2000 {
		wide[strings.Repeat("k", 40)+string(rune('a'+i%26))+text(i)[:i%50]+string(rune(0x4e00+i))] = "value"
	}
	for kind, output := range map[string]any{"string": text(70_000), "list": []any{text(70_000)}, "map": wide} {
		slim, kept := slimmed(t, output)
		require.Len(t, kept, 1)
		stored, ok := deviceops.StoredIn(slim)
		require.True(t, ok, kind)
		require.Equal(t, kind, stored.Type)
	}
}

func TestSlimTakesAsFewPartsAsPossible(t *testing.T) {
	t.Parallel()
	slim, kept := slimmed(t, map[string]any{"a": text(30_000), "b": text(31_000), "c": text(32_000), "d": text(100)})
	require.Len(t, kept, 1)
	_, ok := deviceops.StoredIn(slim.(map[string]any)["c"])
	require.True(t, ok)
}

func TestSlimRefuses(t *testing.T) {
	t.Parallel()
	_, _, err := deviceops.Slim(text(deviceops.MaxOutput), deviceops.OutputRef)
	require.Equal(t, deviceops.EEXHAUSTED, deviceops.ErrorCode(err))
	require.Contains(t, deviceops.ErrorMessage(err), "the output has 8388610 bytes; at most 8388608 are kept")
	forged := deviceops.Stored{Ref: "output/abc", Size: 1}.Map()
	_, _, err = deviceops.Slim(map[string]any{"deep": []any{forged}}, deviceops.OutputRef)
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
	_, _, err = deviceops.Slim("$stored", deviceops.OutputRef)
	require.NoError(t, err, "a text may say so")
}

func TestWholeOfACommand(t *testing.T) {
	t.Parallel()
	output := map[string]any{"log/~": text(40_000), "more": map[string]any{"b": text(50_000)}, "n": int64(1)}
	slim, _, err := deviceops.Slim(output, deviceops.CommandRef("r1.ask.0"))
	require.NoError(t, err)
	s := pantry{command: deviceops.Command{ID: "r1.ask.0", Account: "acme/emea", Output: output}}
	whole, err := deviceops.Whole(t.Context(), s, "acme", slim, deviceops.MaxOutput)
	require.NoError(t, err)
	require.Equal(t, output, whole)

	for name, c := range map[string]struct {
		account, ref string
		limit        int
		code         string
	}{
		"another account":  {"globex", "command/r1.ask.0", deviceops.MaxOutput, deviceops.ENOTFOUND},
		"nothing there":    {"acme", "command/r1.ask.0/none", deviceops.MaxOutput, deviceops.ENOTFOUND},
		"no such command":  {"acme", "command/r2", deviceops.MaxOutput, deviceops.ENOTFOUND},
		"no such output":   {"acme", "output/abc", deviceops.MaxOutput, deviceops.ENOTFOUND},
		"no reference":     {"acme", "file/etc", deviceops.MaxOutput, deviceops.EINVALID},
		"too large a part": {"acme", "command/r1.ask.0", 10, deviceops.EEXHAUSTED},
	} {
		_, err := deviceops.Whole(t.Context(), s, c.account, deviceops.Stored{Ref: c.ref, Size: 100}.Map(), c.limit)
		require.Equal(t, c.code, deviceops.ErrorCode(err), name)
	}
	_, err = deviceops.WholeMap(t.Context(), s, "acme", deviceops.Stored{Ref: "command/r1.ask.0/n"}.Map(), 10)
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
}
