package dsl

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func compileWellness(t *testing.T, wellness string) deviceops.WellnessPolicy {
	t.Helper()
	p, found := CompileProfile("profile: p\nmetrics: { disk_free_pct: number 0..100, crashes: integer }\nwellness:\n" + wellness)
	require.NoError(t, found.Err())
	return p.Wellness
}

func TestWellness(t *testing.T) {
	t.Parallel()
	w := compileWellness(t, `
  degraded:
    disk: device.metrics.disk_free_pct < 10
    app: device.metrics.crashes > 3 || device.reported.software.app == "1.0"
  for: 2m
  flap: { changes: 4, within: 5m, quiet: 1h }
`)
	require.Equal(t, 2*time.Minute, w.For)
	require.Equal(t, deviceops.FlapPolicy{Changes: 4, Within: 5 * time.Minute, Quiet: time.Hour}, w.Flap)

	for name, c := range map[string]struct {
		metrics map[string]any
		app     string
		want    deviceops.Verdict
		because []string
	}{
		"well":             {map[string]any{"disk_free_pct": 50.0, "crashes": int64(0)}, "2.0", deviceops.No, nil},
		"one reason":       {map[string]any{"disk_free_pct": 5.0, "crashes": int64(0)}, "2.0", deviceops.Yes, []string{"disk"}},
		"two reasons":      {map[string]any{"disk_free_pct": 5.0, "crashes": int64(9)}, "2.0", deviceops.Yes, []string{"disk", "app"}},
		"one is not known": {map[string]any{"disk_free_pct": 5.0}, "", deviceops.Yes, []string{"disk"}},
		"it is not known":  {map[string]any{"disk_free_pct": 50.0}, "2.0", deviceops.Unknown, nil},
	} {
		d := deviceops.Device{Metrics: c.metrics}
		d.Twin.Reported.Software = map[string]string{"app": c.app}
		v, because := w.Judge(&d)
		require.Equal(t, c.want, v, name)
		require.Equal(t, c.because, because, name)
	}
}

func TestWellnessWithOneCondition(t *testing.T) {
	t.Parallel()
	w := compileWellness(t, "  degraded: device.metrics.disk_free_pct < 10\n  flap: { changes: 9 }\n")
	require.Equal(t, "device.metrics.disk_free_pct < 10", w.Degraded[0].Name)
	require.Equal(t, 5*time.Minute, w.For)
	require.Equal(t, deviceops.FlapPolicy{Changes: 9, Within: 10 * time.Minute, Quiet: 15 * time.Minute}, w.Flap)
	require.Zero(t, compileWellness(t, "  flap: false\n").Flap)
}

func TestWellnessIsAFact(t *testing.T) {
	t.Parallel()
	require.Equal(t, "well", DeviceFacts(&deviceops.Device{})["wellness"])
	require.Equal(t, "degraded", DeviceFacts(&deviceops.Device{Wellness: deviceops.Wellness{Status: deviceops.Degraded}})["wellness"])
}
