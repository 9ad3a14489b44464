package serverless

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops/dsl"
)

// isoDuration matches durations of ISO 8601 without years and months, whose
// length depends on the calendar.
var isoDuration = regexp.MustCompile(`^P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d{1,3})?)S)?)?$`)

var durationUnits = []string{"w", "d", "h", "m", "s"}

// durationKeys are the keys of a duration that is a map, with their units.
var durationKeys = map[string]string{"days": "d", "hours": "h", "minutes": "m", "seconds": "s", "milliseconds": "ms"}

// duration reads a duration: a map, or a text of ISO 8601. False: it was reported.
func (b *builder) duration(n *yaml.Node, what string) (time.Duration, bool) {
	text, ok := "", false
	switch {
	case n.Kind == yaml.MappingNode:
		text, ok = durationOfMap(n)
	case isText(n) && wholeExpression.MatchString(n.Value):
		b.Report(n, codeUnsupported, "write a duration such as PT30S", "%s that is computed is not translated", what)
		return 0, false
	case isText(n):
		text, ok = durationOfISO(n.Value)
	}
	d, err := dsl.ParseDuration(text)
	if !ok || err != nil {
		b.Report(n, codeWrongType, "write { seconds: 30 } or PT30S; years and months are not translated", "%s must be a duration", what)
		return 0, false
	}
	return d, true
}

func durationOfMap(n *yaml.Node) (string, bool) {
	var text strings.Builder
	for i := 0; i+1 < len(n.Content); i += 2 {
		unit, value := durationKeys[n.Content[i].Value], n.Content[i+1]
		if unit == "" || value.Tag != "!!int" {
			return "", false
		}
		text.WriteString(value.Value + unit)
	}
	return text.String(), text.Len() > 0
}

func durationOfISO(text string) (string, bool) {
	m := isoDuration.FindStringSubmatch(text)
	if m == nil || strings.HasSuffix(text, "T") {
		return "", false
	}
	var out strings.Builder
	for i, unit := range durationUnits {
		if m[i+1] == "" {
			continue
		}
		if unit == "w" { // which the language does not have
			weeks, err := strconv.Atoi(m[i+1])
			if err != nil {
				return "", false
			}
			out.WriteString(strconv.Itoa(7*weeks) + "d")
			continue
		}
		out.WriteString(m[i+1] + unit)
	}
	return out.String(), out.Len() > 0
}

// timeout reads the timeout of a workflow or task; nil if there is none.
func (b *builder) timeout(n *yaml.Node) *yaml.Node {
	if n = b.component(n, "timeouts", "timeout"); n == nil {
		return nil
	}
	after := b.required(b.object(n, "timeout", "after"), "after", "timeout")
	if after == nil {
		return nil
	}
	d, ok := b.duration(after, "a timeout")
	if !ok {
		return nil
	}
	return durationNode(max(d, time.Millisecond)) // no time at all is no timeout
}

func durationNode(d time.Duration) *yaml.Node { return textNodeOf(dsl.FormatDuration(d)) }
