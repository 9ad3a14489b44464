package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// screen collects what is shown to a person.
type screen struct {
	strings.Builder
	colors bool
	now    time.Time
	width  int // of a line, which tables keep to; 0: any
}

func (w *screen) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// when shows a time as seen from now: "3m ago", "in 2h"; "-" for none.
func (w *screen) when(t time.Time) string { return relative(t, w.now) }

func relative(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := now.Sub(t)
	switch {
	case d < -time.Second:
		return "in " + span(-d)
	case d < time.Second:
		return "now"
	default:
		return span(d) + " ago"
	}
}

// span shows a duration in its largest unit.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

// took shows how long something took or, if it has not ended, takes.
func (w *screen) took(from, to time.Time) string {
	switch {
	case from.IsZero():
		return "-"
	case to.IsZero():
		to = w.now
	}
	if d := to.Sub(from); d < 10*time.Second {
		return fmt.Sprintf("%.1fs", max(0, d).Seconds())
	}
	return span(to.Sub(from))
}

// dash shows an empty cell.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// compact shows a value as JSON on one line; "" for nothing.
func compact(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case map[string]any:
		if len(v) == 0 {
			return ""
		}
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}

// assignments shows a map as key=value, in order.
func assignments[V any](m map[string]V) string {
	parts := make([]string, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s=%v", key, m[key]))
	}
	return strings.Join(parts, " ")
}

// cut shortens a cell to at most width characters.
func cut(s string, width int) string {
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// indent moves text of several lines to the right.
func indent(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+by)
}
