package bench

import (
	"encoding/json"
	"io"
	"math"
	"slices"
	"time"
)

// Result is what a bench prints: one JSON object.
type Result struct {
	Bench      string             `json:"bench"`
	Params     map[string]any     `json:"params"`
	Figures    map[string]Figure  `json:"figures"`
	Yardsticks map[string]Figure  `json:"yardsticks"`
	Ratios     map[string]float64 `json:"ratios"`
}

// Figure is a number with its unit.
type Figure struct {
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// Print writes the result to w, indented.
func (r Result) Print(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// round keeps three decimals, which is more than a measurement is worth.
func round(x float64) float64 { return math.Round(x*1000) / 1000 }

// perSecond gives n over d as a Figure.
func perSecond(n int, d time.Duration, unit string) Figure {
	return Figure{Value: round(float64(n) / d.Seconds()), Unit: unit + "/s"}
}

// percentile gives the p-th percentile (0..100) of durations by the
// nearest-rank method, 0 for none.
func percentile(durations []time.Duration, p float64) time.Duration {
	if len(durations) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(durations))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}
