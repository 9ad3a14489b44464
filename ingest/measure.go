package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// maxMetrics is how many latest values are kept of one message whose profile
// names no metrics.
const maxMetrics = 64

// measure checks metrics against a profile, which may be nil. It gives all that
// may be kept in the event, those of them whose latest value is kept, and what
// is wrong with the others. Metrics that the profile doesn't name stay in the
// event alone, unless it names none at all.
func measure(p *deviceops.Profile, metrics protocol.Object) (kept, latest map[string]any, wrong []string) {
	kept, latest = map[string]any{}, map[string]any{}
	declared := p != nil && len(p.Metrics) > 0
	for _, name := range sortedKeys(metrics) {
		value := metrics[name]
		var spec deviceops.MetricSpec
		named := false
		if declared {
			spec, named = p.Metrics[name]
		}
		value, reason := checkMetric(name, value, spec)
		if reason != "" {
			wrong = append(wrong, reason)
			continue
		}
		kept[name] = value
		if named || !declared && len(latest) < maxMetrics {
			latest[name] = value
		}
	}
	return kept, latest, wrong
}

func checkMetric(name string, value any, spec deviceops.MetricSpec) (checked any, wrong string) {
	if !deviceops.ValidID(name) {
		return nil, fmt.Sprintf("metric %q: names use A-Z a-z 0-9 . _ : -", storable(name))
	}
	checked, ok := asMetric(value, spec.Type)
	if !ok {
		return nil, fmt.Sprintf("metric %s is %s: send %s", name, brief(value), wanted(spec.Type))
	}
	if n, isNumber := number(checked); isNumber && !within(n, spec) {
		return nil, fmt.Sprintf("metric %s is %s, outside of %s, which its profile allows", name, brief(value), spec.Bounds())
	}
	return checked, ""
}

// asMetric gives value as the type that a profile names, "" for any.
func asMetric(value any, kind string) (any, bool) {
	switch v := value.(type) {
	case bool:
		return v, kind == "" || kind == "boolean"
	case int64:
		return v, kind != "boolean"
	case float64:
		if kind == "integer" {
			whole := v == math.Trunc(v) && math.Abs(v) < 1<<53
			return int64(v), whole
		}
		return v, kind != "boolean"
	default:
		return nil, false
	}
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	default:
		return 0, false
	}
}

func within(n float64, spec deviceops.MetricSpec) bool {
	return (spec.Min == nil || n >= *spec.Min) && (spec.Max == nil || n <= *spec.Max)
}

func wanted(kind string) string {
	switch kind {
	case "integer":
		return "a whole number"
	case "boolean":
		return "true or false"
	case "number":
		return "a number"
	default:
		return "a number, true or false"
	}
}

// brief quotes a value that a device sent.
func brief(v any) string {
	raw, _ := json.Marshal(v)
	if len(raw) > 64 {
		return string(bytes.ToValidUTF8(raw[:64], nil)) + "…"
	}
	return string(raw)
}

func sameJSON(a, b map[string]any) bool {
	if len(a) != len(b) {
		return false
	}
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

func sortedKeys[V any, M ~map[string]V](m M) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// moment is when something happened.
type moment struct {
	at      time.Time
	fixed   bool   // the device's clock was not believed
	claimed string // what it said, if so
	told    bool   // it gave a time by its clock
}

// momentOf judges the time that a message names.
func momentOf(h protocol.Header, received time.Time) moment {
	age := time.Duration(-1)
	if h.AgeMS != nil {
		age = time.Duration(min(*h.AgeMS, (deviceops.ClockHistory+time.Second).Milliseconds())) * time.Millisecond
	}
	at, fixed := deviceops.BelieveClock(received, h.Time.Time, age)
	m := moment{at: at, fixed: fixed, told: !h.Time.IsZero() && age < 0}
	switch {
	case fixed && h.AgeMS != nil:
		m.claimed = fmt.Sprintf("age_ms=%d", *h.AgeMS)
	case fixed:
		m.claimed = h.Time.UTC().Format(time.RFC3339Nano)
	}
	return m
}
