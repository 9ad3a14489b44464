package dsl

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

const lakeRoute = `route: telemetry-to-lake
version: 2
from:
  events: [device.telemetry, alarm.*]
  where: event.data.battery_pct < 20 && device.labels.site == "paris"
  start: beginning
shape:
  id: ${{ event.id }}
  site: ${{ device.labels.site }}
  text: "${{ event.device }} has ${{ event.data.battery_pct }} %"
to:
  - name: lake
    http: { url: https://lake.example.com/events, auth: { bearer: secret:lake/token }, batch: 100, per: 5s, headers: { X-Source: fleet } }
    retry: { times: 3, delay: 1s..1m }
    order: none
    parallel: 4
  - name: plant
    mqtt: { topic: "plant/${{ event.device }}/low" }
  - name: disk
    file: { path: lake/low.jsonl, size: 5MB, daily: true, keep: 7 }
`

func routeOf(t *testing.T, source string) *Route {
	t.Helper()
	r, found := CompileRoute(source)
	require.NoError(t, found.Err())
	return r
}

func TestRoute(t *testing.T) {
	t.Parallel()
	r := routeOf(t, lakeRoute)
	require.Equal(t, []string{"device.telemetry", "alarm.*"}, r.Types)
	require.True(t, r.Beginning)
	require.True(t, r.UsesDevice)
	for kind, want := range map[string]bool{"device.telemetry": true, "device.telemetry2": false, "alarm.door": true, "alarm": false} {
		require.Equal(t, want, r.Selects(kind), kind)
	}
	lake, disk := r.Targets[0], r.Targets[2]
	require.Equal(t, &HTTPTarget{
		URL: "https://lake.example.com/events", Method: "POST", Headers: map[string]string{"X-Source": "fleet"},
		Auth: &HTTPAuth{Kind: "bearer", Secret: "secret:lake/token"}, List: true, Batch: 100, Per: 5 * time.Second, Timeout: 20 * time.Second,
	}, lake.HTTP)
	require.Equal(t, RouteRetry{Times: 3, Min: time.Second, Max: time.Minute}, lake.Retry)
	require.False(t, lake.Ordered)
	require.Equal(t, 4, lake.Parallel)
	require.Equal(t, &FileTarget{Path: "lake/low.jsonl", Size: 5_000_000, Daily: true, Keep: 7}, disk.File)
	require.Equal(t, RouteRetry{Times: -1, Min: time.Second, Max: 5 * time.Minute}, disk.Retry, "by default a target is waited for")
	require.True(t, disk.Ordered)
	require.Equal(t, 1, disk.Parallel)
}

func TestRouteForwards(t *testing.T) {
	t.Parallel()
	r := routeOf(t, lakeRoute)
	device := &deviceops.Device{ID: "k1", Labels: map[string]string{"site": "paris"}}
	low := deviceops.Event{ID: 7, Device: "k1", Type: "device.telemetry", Data: map[string]any{"battery_pct": 12}}

	f, err := r.Forward(low, device)
	require.NoError(t, err)
	require.Equal(t, []any{map[string]any{"id": int64(7), "site": "paris", "text": "k1 has 12 %"}}, f.Values)
	topic, err := r.Targets[1].MQTT.Topic(f)
	require.NoError(t, err)
	require.Equal(t, "plant/k1/low", topic)

	for name, passed := range map[string]struct {
		data   map[string]any
		device *deviceops.Device
	}{
		"what is not so":                     {map[string]any{"battery_pct": 80}, device},
		"what is missing":                    {map[string]any{}, device},
		"a device of which nothing is known": {map[string]any{"battery_pct": 12}, nil},
	} {
		low.Data = passed.data
		f, err := r.Forward(low, passed.device)
		require.NoError(t, err, name)
		require.Empty(t, f.Values, name)
	}
	low.Data = map[string]any{"battery_pct": "low"}
	_, err = r.Forward(low, device)
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
	require.ErrorContains(t, err, "where: ")
}

func TestShapesOfSeveralValuesAndOfNone(t *testing.T) {
	t.Parallel()
	const head, tail = "route: r\nfrom: { events: [\"*\"] }\n", "to: [ { name: a, mqtt: { topic: t } } ]\n"
	e := deviceops.Event{ID: 3, Type: "x", Severity: "info", Data: map[string]any{"all": []any{int64(1), int64(2)}}}
	for shape, want := range map[string][]any{
		"shape: ${{ event.data.all }}\n":                       {int64(1), int64(2)},
		`shape: '${{ [{"n": event.id}, event.type] }}'` + "\n": {map[string]any{"n": int64(3)}, "x"},
		"shape: ${{ event.data.none }}\n":                      nil,
		"":                                                     {RouteFacts(e)},
	} {
		f, err := routeOf(t, head+shape+tail).Forward(e, nil)
		require.NoError(t, err, shape)
		require.Equal(t, want, f.Values, shape)
	}
}
