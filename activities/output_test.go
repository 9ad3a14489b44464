package activities_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// run stores the run that actions of these tests belong to.
func (w *world) run(t *testing.T, id string) {
	t.Helper()
	_, err := w.store.CreateRun(t.Context(), deviceops.Run{ID: id, Account: "acme", Workflow: "w", Version: 1, Status: deviceops.RunRunning, StartedAt: noon})
	require.NoError(t, err)
}

// reports answers with a large report and keeps what it is sent.
func reports(t *testing.T) (url string, sent *[]byte) {
	t.Helper()
	sent = new([]byte)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var body json.RawMessage
		if json.NewDecoder(r.Body).Decode(&body) == nil {
			*sent = body
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		size := 100_000
		if r.URL.Path == "/huge" {
			size = 7_999_000
		}
		if r.URL.Path == "/forged" {
			_, _ = rw.Write([]byte(`{"$stored":{"ref":"output/abc","size":1}}`))
			return
		}
		_, _ = rw.Write([]byte(`{"lines":["` + strings.Repeat("x", size) + `"],"count":9007199254740993}`))
	}))
	t.Cleanup(server.Close)
	return server.URL, sent
}

func TestLargeOutputsAreStoredAndPassedOnWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *activities.Deps) { d.Networks = loopback })
	w.device(t, "k1", deviceops.Active)
	w.run(t, "r1")
	url, sent := reports(t)
	out, err := w.perform("http.request", "get", map[string]any{"url": url, "max_response": 8_000_000})
	require.NoError(t, err)
	require.EqualValues(t, 200, out["status"])
	report := out["json"].(map[string]any)
	require.EqualValues(t, 9007199254740993, report["count"], "small fields beside large ones stay")
	stored, ok := deviceops.StoredIn(report["lines"])
	require.True(t, ok)
	require.Equal(t, "list", stored.Type)
	require.Greater(t, stored.Size, 100_000)

	_, err = w.perform("http.request", "post", map[string]any{"url": url, "method": "POST", "json": map[string]any{"report": report}})
	require.NoError(t, err)
	var got struct{ Report map[string]any }
	require.NoError(t, json.Unmarshal(*sent, &got))
	require.Len(t, got.Report["lines"].([]any)[0], 100_000)

	report["lines"] = deviceops.Stored{Ref: "output/none", Size: 10}.Map()
	_, err = w.perform("log", "log", map[string]any{"message": report["lines"]})
	requireCode(t, deviceops.ENOTFOUND, err)
}

func TestTheSizeOfOutputsIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *activities.Deps) { d.Networks = loopback })
	w.device(t, "k1", deviceops.Active)
	w.run(t, "r1")
	url, _ := reports(t)
	_, err := w.perform("http.request", "huge", map[string]any{"url": url + "/huge", "max_response": 8_000_000})
	require.NoError(t, err)
	_, err = w.perform("http.request", "forged", map[string]any{"url": url + "/forged"})
	requireCode(t, deviceops.EINVALID, err)
	require.ErrorContains(t, err, "$stored")
	three := []any{}
	for range 3 {
		three = append(three, deviceops.Stored{Ref: "output/none", Size: deviceops.MaxOutput}.Map())
	}
	_, err = w.perform("http.request", "a", map[string]any{"url": url, "method": "POST", "json": three})
	requireCode(t, deviceops.EEXHAUSTED, err)
}

func TestLargeResultsOfCommandsReferToTheirCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Active)
	c := deviceops.Command{
		ID: "r1.ask.0", Account: "acme", Device: "k1", Name: "ping", Attempt: 1, Status: deviceops.CommandSucceeded, CreatedAt: noon, DueAt: noon,
		Output: map[string]any{"ok": true, "log": strings.Repeat("x", 100_000)},
	}
	_, _, err := w.store.CreateCommand(t.Context(), c)
	require.NoError(t, err)
	out, err := activities.CommandResult(c)
	require.NoError(t, err)
	require.Equal(t, true, out.Output["ok"])
	stored, ok := deviceops.StoredIn(out.Output["log"])
	require.True(t, ok)
	require.Equal(t, "command/r1.ask.0/log", stored.Ref)
	whole, err := deviceops.WholeMap(t.Context(), w.store, "acme", out.Output, deviceops.MaxOutput)
	require.NoError(t, err)
	require.Equal(t, c.Output, whole)

	c.Output = map[string]any{"x": stored.Map()}
	_, err = activities.CommandResult(c)
	requireCode(t, deviceops.EINVALID, err)
}

func TestEventsThatAreLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Active)
	w.run(t, "default-test-workflow-id")
	forged := map[string]any{"x": deviceops.Stored{Ref: "output/abc", Size: 1}.Map()}
	events := []deviceops.Event{{Account: "acme", Device: "k1", Type: "store.opened", At: noon, ReceivedAt: noon}}
	for _, data := range []map[string]any{
		{"n": int64(0), "log": strings.Repeat("x", 100_000)}, forged, {"n": int64(1), "log": strings.Repeat("y", 60_000)}, {"n": int64(2)},
	} {
		events = append(events, deviceops.Event{Account: "acme", Device: "k1", Type: "store.closed", Data: data, At: noon, ReceivedAt: noon})
	}
	require.NoError(t, w.store.AppendEvents(t.Context(), events))
	w.now = noon.Add(time.Minute)
	in := activities.WatchInput{Account: "acme", Device: "k1", Type: "store.closed", Since: noon}
	var seen []any
	for len(seen) < 3 {
		out, err := do[activities.WatchOutput](w, activities.NameWatchEvents, in)
		require.NoError(t, err)
		data, err := json.Marshal(out)
		require.NoError(t, err)
		require.Less(t, len(data), 2*deviceops.MaxInlineOutput)
		for _, e := range out.Events {
			seen = append(seen, e.Data["n"])
		}
		in.After, in.Seen = out.After, out.Seen
	}
	require.Equal(t, []any{0.0, 1.0, 2.0}, seen, "in several looks, and without the forged one")
}

func TestKeepStoresWhatARunPutTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run(t, "r1")
	inner := deviceops.Stored{Ref: "output/none", SHA256: "none", Size: 70_000, Type: "string"}.Map()
	output := map[string]any{"list": []any{strings.Repeat("x", 70_000), inner}, "n": int64(1)}
	out, err := do[activities.ActionOutput](w, activities.NameKeepOutput, activities.KeepInput{Run: "r1", Output: output})
	require.NoError(t, err)
	require.EqualValues(t, 1, out.Output.(map[string]any)["n"])
	stored, ok := deviceops.StoredIn(out.Output.(map[string]any)["list"])
	require.True(t, ok)
	data, err := w.store.FindOutput(t.Context(), "acme", stored.SHA256)
	require.NoError(t, err)
	require.Contains(t, string(data), `"ref":"output/none"`, "what is stored already stays a reference")
}
