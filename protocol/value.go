package protocol

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
)

// Object is free-form JSON: metrics, arguments, outputs, configuration. Whole
// numbers that fit are int64, so that counters and ids above 2^53 keep every
// digit; other numbers are float64.
type Object map[string]any

// UnmarshalJSON implements json.Unmarshaler.
func (o *Object) UnmarshalJSON(data []byte) error {
	r := objectReader{data: data}
	switch r.next() {
	case 0:
		return errNoJSON
	case 'n':
		*o = nil
		return r.word("null")
	case '{':
	default:
		return wrongType(data[r.at:], reflect.TypeFor[Object]())
	}
	v, err := r.value()
	if err == nil && r.next() != 0 {
		err = errNoJSON
	}
	if err != nil {
		return err
	}
	*o = v.(map[string]any)
	return nil
}

// Into reads the object as the type that target points to. Returns EINVALID
// naming the field that has a wrong type.
func (o Object) Into(target any) error {
	raw, err := json.Marshal(o)
	if err != nil {
		return deviceops.Errorf(deviceops.EINVALID, "%w", err)
	}
	return unmarshal(raw, target, false)
}

// ObjectOf gives v, a struct or map, as an Object. Returns EINVALID if v has no
// JSON form or is not an object.
func ObjectOf(v any) (Object, error) {
	raw, err := marshal(v)
	if err != nil {
		return nil, err
	}
	var o Object
	return o, unmarshal(raw, &o, false)
}

// settleNumber gives a number as int64 or float64; false if neither can hold it.
func settleNumber(n json.Number) (any, bool) {
	if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return i, true
	}
	f, err := strconv.ParseFloat(string(n), 64)
	return f, err == nil
}

// Seconds is a duration on the wire.
type Seconds float64

// MaxSeconds is the longest duration that is believed: ten years.
const MaxSeconds Seconds = 10 * 365 * 24 * 3600

// SecondsOf gives d in seconds.
func SecondsOf(d time.Duration) Seconds { return Seconds(d.Seconds()) }

// Duration gives s as a time.Duration, between zero and MaxSeconds.
func (s Seconds) Duration() time.Duration {
	return time.Duration(float64(min(max(s, 0), MaxSeconds)) * float64(time.Second))
}

// Timestamp is a moment as a device's clock tells it: RFC 3339 text or whole
// milliseconds since 1970. How far to believe it is the engine's business, so
// even an absurd one is read: beyond the years 1 to 9999 it becomes the nearest
// of them.
type Timestamp struct{ time.Time }

var (
	firstMoment = time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC) // not the zero time, which means "no time"
	lastMoment  = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
)

// UnmarshalJSON implements json.Unmarshaler.
func (t *Timestamp) UnmarshalJSON(data []byte) error {
	text := string(data)
	if text == "null" {
		return nil
	}
	moment, ok := parseMoment(text)
	if !ok {
		return wrongType(data, reflect.TypeFor[Timestamp]())
	}
	t.Time = clampMoment(moment)
	return nil
}

func parseMoment(text string) (time.Time, bool) {
	if !strings.HasPrefix(text, `"`) {
		ms, err := strconv.ParseInt(text, 10, 64)
		return time.UnixMilli(ms).UTC(), err == nil
	}
	moment, err := time.Parse(time.RFC3339Nano, strings.Trim(text, `"`))
	return moment.UTC(), err == nil
}

func clampMoment(t time.Time) time.Time {
	switch {
	case t.Before(firstMoment):
		return firstMoment
	case t.After(lastMoment):
		return lastMoment
	}
	return t
}

// wrongType reports data where want was needed. encoding/json adds the field's
// name to an error of this type, and only to this type.
func wrongType(data []byte, want reflect.Type) error {
	return &json.UnmarshalTypeError{Value: kindOf(data), Type: want}
}

func kindOf(data []byte) string {
	switch data[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "bool"
	case 'n':
		return "null"
	default:
		return "number"
	}
}

// finite reports whether f can be written as JSON.
func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }
