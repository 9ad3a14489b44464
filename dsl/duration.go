package dsl

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
)

// MaxDuration is the longest duration that a document may ask for.
const MaxDuration = 10 * 365 * 24 * time.Hour

var (
	durationText = regexp.MustCompile(`^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$`)
	durationPart = regexp.MustCompile(`(\d+(?:\.\d+)?)(ms|s|m|h|d)`)
	isoText      = regexp.MustCompile(`^P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$`)
)

var durationUnits = map[string]time.Duration{
	"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

// ParseDuration reads a duration as documents write it: 500ms, 30s, 10m, 2h, 7d,
// or several together (1h30m). EINVALID says what to write instead.
func ParseDuration(s string) (time.Duration, error) {
	if !durationText.MatchString(s) {
		return 0, deviceops.Errorf(deviceops.EINVALID, "%q is not a duration: %s", s, durationFix(s))
	}
	total := 0.0
	for _, part := range durationPart.FindAllStringSubmatch(s, -1) {
		n, err := strconv.ParseFloat(part[1], 64)
		if err != nil {
			return 0, deviceops.Errorf(deviceops.EINVALID, "%q is not a duration: %s", s, durationFix(s))
		}
		total += n * float64(durationUnits[part[2]])
	}
	if total > float64(MaxDuration) {
		return 0, deviceops.Errorf(deviceops.EINVALID, "%q is longer than the longest duration, %s", s, FormatDuration(MaxDuration))
	}
	return time.Duration(math.Round(total)), nil
}

// durationFix says what somebody who wrote s may have meant.
func durationFix(s string) string {
	if m := isoText.FindStringSubmatch(s); m != nil && len(s) > 1 {
		var b strings.Builder
		if weeks, err := strconv.Atoi(m[1]); err == nil {
			b.WriteString(strconv.Itoa(7*weeks) + "d")
		}
		for i, unit := range []string{"d", "h", "m", "s"} {
			if m[i+2] != "" {
				b.WriteString(m[i+2] + unit)
			}
		}
		if b.Len() > 0 {
			return "write " + b.String()
		}
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return "say the unit, such as " + s + "s or " + s + "m"
	}
	return "write a number and ms, s, m, h or d, such as 30s, 10m, 2h or 7d"
}

// FormatDuration gives d the way documents write it: "1h30m", "7d", "0s".
func FormatDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	var b strings.Builder
	if d < 0 {
		b.WriteByte('-')
		d = -d
	}
	for _, unit := range []string{"d", "h", "m", "s", "ms"} {
		if n := d / durationUnits[unit]; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10) + unit)
			d -= n * durationUnits[unit]
		}
	}
	return b.String()
}
