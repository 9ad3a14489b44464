package bench

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPercentileIsNearestRank(t *testing.T) {
	t.Parallel()
	var d []time.Duration
	for i := 100; i >= 1; i-- {
		d = append(d, time.Duration(i)*time.Millisecond)
	}
	require.Equal(t, 50*time.Millisecond, percentile(d, 50))
	require.Equal(t, 99*time.Millisecond, percentile(d, 99))
	require.Equal(t, 100*time.Millisecond, percentile(d, 100))
	require.Equal(t, time.Millisecond, percentile(d, 0))
	require.Zero(t, percentile(nil, 50))
	require.Equal(t, 100*time.Millisecond, d[0], "the measurements stay in their order")
}

func TestPrintIsOneObject(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, Result{
		Bench:      "provision",
		Params:     map[string]any{"devices": 1000},
		Figures:    map[string]Figure{"rate": perSecond(1000, 8*time.Second, "devices")},
		Yardsticks: map[string]Figure{},
		Ratios:     map[string]float64{"a_to_b": round(0.66666)},
	}.Print(&out))
	require.JSONEq(t, `{"bench":"provision","params":{"devices":1000},"figures":{"rate":{"value":125,"unit":"devices/s"}},"yardsticks":{},"ratios":{"a_to_b":0.667}}`, out.String())
}

func TestMedianRatioComparesPairs(t *testing.T) {
	t.Parallel()
	a := []time.Duration{2 * time.Second, 30 * time.Second, 4 * time.Second}
	b := []time.Duration{time.Second, 10 * time.Second, 4 * time.Second}
	require.InDelta(t, 2, medianRatio(a, b), 0)
	require.InDelta(t, 2.5, medianRatio(a[:2], b[:2]), 0)
}
