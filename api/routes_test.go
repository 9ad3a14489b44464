package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

const lakeYAML = `route: lake
from: { events: [device.*] }
to: [ { name: a, file: { path: a.jsonl } }, { name: b, mqtt: { topic: b } } ]
`

// A route is published, told with its lag, paused, and its dead letters are tried
// again; a new version goes on from the place of the old one.
func TestRoutes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	require.Less(t, r.as(anna, http.MethodPost, "/v1/documents:apply", lakeYAML).status, 300)
	require.NoError(r, r.store.AppendEvents(r.Context(), []deviceops.Event{
		{Account: "acme", Type: "device.x", Severity: "info", At: now, ReceivedAt: now}, {Account: "acme", Type: "other", Severity: "info", At: now, ReceivedAt: now},
	}))
	var route, resumed deviceops.RouteStatus
	r.as(victor, http.MethodGet, "/v1/routes/lake", nil).into(&route)
	require.Equal(t, []string{"device.*"}, route.Types)
	require.Len(t, route.Targets, 2)
	require.Equal(t, 1, route.Targets[0].LagEvents, "published before the event, and nobody forwards here")

	change := deviceops.RouteRequest{Target: "b", Reason: "the plant is shut"}
	r.as(victor, http.MethodPost, "/v1/routes/lake/pause", change).refused(403, deviceops.EFORBIDDEN)
	r.as(olga, http.MethodPost, "/v1/routes/lake/pause", change).into(&route)
	require.Equal(t, []bool{false, true}, []bool{route.Targets[0].Paused, route.Targets[1].Paused})
	entry := r.audited("route:lake/b")
	require.Equal(t, []string{"route.pause", "the plant is shut"}, []string{entry.Action, entry.Reason})
	r.as(olga, http.MethodPost, "/v1/routes/lake/resume", change).into(&resumed)
	require.False(t, resumed.Targets[1].Paused)
	change.Target = "z"
	require.Contains(t, r.as(olga, http.MethodPost, "/v1/routes/lake/pause", change).refused(404, deviceops.ENOTFOUND), "route lake has no target z; it has a, b")

	letter := deviceops.DeadLetter{
		TargetKey: deviceops.TargetKey{Account: "acme", Route: "lake", Target: "a"}, Event: 1, Type: "device.x", Code: deviceops.DeadRefused, Reason: "no", ReceivedAt: now, At: now,
	}
	require.NoError(r, r.store.SaveDeadLetters(r.Context(), []deviceops.DeadLetter{letter}))
	var page struct{ Items []deviceops.DeadLetter }
	r.as(victor, http.MethodGet, "/v1/routes/lake/dead-letters?target=a", nil).into(&page)
	require.Len(t, page.Items, 1)
	var done deviceops.RouteLetters
	r.as(olga, http.MethodPost, "/v1/routes/lake/replay", deviceops.RouteRequest{Reason: "mended"}).into(&done)
	require.Equal(t, 1, done.DeadLetters)
	problem := r.as(olga, http.MethodPost, "/v1/routes/lake/replay", deviceops.RouteRequest{Target: "z"}).refused(404, deviceops.ENOTFOUND)
	require.Contains(t, problem, "route lake has no target z; it has a, b")
	problem = r.as(olga, http.MethodPost, "/v1/routes/lake/replay", deviceops.RouteRequest{Events: []int64{7}}).refused(404, deviceops.ENOTFOUND)
	require.Contains(t, problem, "route lake has no such dead letter")

	gone := letter
	gone.Target = "gone"
	require.NoError(r, r.store.SaveDeadLetters(r.Context(), []deviceops.DeadLetter{gone}))
	r.as(olga, http.MethodPost, "/v1/routes/lake/replay", deviceops.RouteRequest{}).into(&done)
	require.Equal(t, 1, done.DeadLetters, "nobody would try that of a target that is gone")
	r.as(victor, http.MethodPost, "/v1/routes/lake/discard", deviceops.RouteRequest{}).refused(403, deviceops.EFORBIDDEN)
	r.as(olga, http.MethodPost, "/v1/routes/lake/discard", deviceops.RouteRequest{Target: "gone", Reason: "it is gone"}).into(&done)
	require.Equal(t, 1, done.DeadLetters)
	entry = r.audited("route:lake/gone")
	require.Equal(t, []string{"route.discard", "it is gone"}, []string{entry.Action, entry.Reason})
	r.as(olga, http.MethodPost, "/v1/routes/lake/discard", deviceops.RouteRequest{Events: []int64{1}}).into(&done)
	require.Equal(t, 1, done.DeadLetters)
	r.as(olga, http.MethodPost, "/v1/routes/lake/discard", deviceops.RouteRequest{Events: []int64{1}}).refused(404, deviceops.ENOTFOUND)

	_, err := r.store.HoldTargets(r.Context(), "p", time.Now(), time.Minute)
	require.NoError(r, err)
	require.NoError(r, r.store.AdvanceTarget(r.Context(), "p", letter.TargetKey, deviceops.RouteProgress{Cursor: 1, Delivered: 1, At: now}))
	require.Less(t, r.as(anna, http.MethodPost, "/v1/documents:apply", lakeYAML+"description: the second\n").status, 300)
	var all struct{ Items []deviceops.RouteStatus }
	r.as(victor, http.MethodGet, "/v1/routes", nil).into(&all)
	require.Equal(t, 2, all.Items[0].Version)
	require.Equal(t, []int{0, 1}, []int{all.Items[0].Targets[0].LagEvents, all.Items[0].Targets[1].LagEvents})
}
