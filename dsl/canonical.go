package dsl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/deviceops/deviceops"
)

// maxExact is the largest whole number up to which every whole float64 is exact.
const maxExact = 1 << 53

// Canonical gives v in the one form that evaluation and JSON agree on: nil,
// bool, string, int64, float64, []any and map[string]any. Whole numbers become
// int64, times RFC 3339 text in UTC, durations text such as "90s". It is meant
// for values that are JSON already; whatever else there is becomes what
// encoding/json makes of it, and nil when that fails.
func Canonical(v any) any {
	c, err := canonical(v, newBudget())
	if err == nil {
		return c
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	decoded, _ := DecodeJSON(data)
	return decoded
}

// canonical is Canonical for results of expressions: it refuses what is no data
// and stops at the limits of one evaluation.
func canonical(v any, b *budget) (any, error) {
	if err := b.spend(1); err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case nil, bool, int64:
		return v, nil
	case string:
		return v, b.spend(len(v) / 64)
	case float64:
		return canonicalFloat(v), nil
	case int:
		return int64(v), nil
	case json.Number:
		return canonicalNumber(v), nil
	case time.Duration:
		return FormatDuration(v), nil
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano), nil
	case map[string]any:
		if s, ok := deviceops.StoredIn(v); ok {
			return newStored(s), nil
		}
		return canonicalMap(v, b)
	case []any:
		return canonicalList(v, b)
	case stored:
		return v, nil
	}
	return canonicalReflect(reflect.ValueOf(v), b)
}

func canonicalMap(m map[string]any, b *budget) (any, error) {
	out := make(map[string]any, len(m))
	for _, k := range sortedKeys(m) { // in order, since the first error is what comes out
		c, err := canonical(m[k], b)
		if err != nil {
			return nil, err
		}
		out[k] = c
	}
	return out, nil
}

func canonicalList(list []any, b *budget) (any, error) {
	out := make([]any, len(list))
	for i, v := range list {
		c, err := canonical(v, b)
		if err != nil {
			return nil, err
		}
		out[i] = c
	}
	return out, nil
}

// canonicalReflect handles the types that built-ins give besides JSON's own:
// []string of split, map[any][]any of groupBy, and named or smaller types.
func canonicalReflect(v reflect.Value, b *budget) (any, error) {
	switch v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return canonicalNumber(json.Number(strconv.FormatUint(v.Uint(), 10))), nil
	case reflect.Float32, reflect.Float64:
		return canonicalFloat(v.Float()), nil
	case reflect.String:
		return v.String(), b.spend(v.Len() / 64)
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Slice, reflect.Array:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = v.Index(i).Interface()
		}
		return canonicalList(list, b)
	case reflect.Map:
		return canonicalKeyed(v, b)
	}
	return nil, deviceops.Errorf(deviceops.EINVALID, "a value of type %s is no data: give a text, number, boolean, list or map", v.Type())
}

func canonicalKeyed(v reflect.Value, b *budget) (any, error) {
	m := make(map[string]any, v.Len())
	for _, key := range v.MapKeys() {
		name := Format(key.Interface())
		if _, taken := m[name]; taken {
			return nil, deviceops.Errorf(deviceops.EINVALID, "two keys of a map are both written %q", name)
		}
		m[name] = v.MapIndex(key).Interface()
	}
	return canonicalMap(m, b)
}

func canonicalFloat(f float64) any {
	switch {
	case math.IsNaN(f), math.IsInf(f, 0):
		return nil // JSON has neither
	case f == math.Trunc(f) && math.Abs(f) <= maxExact:
		return int64(f)
	default:
		return f
	}
}

func canonicalNumber(n json.Number) any {
	if i, err := n.Int64(); err == nil {
		return i
	}
	f, err := n.Float64()
	if err != nil {
		return nil // beyond float64
	}
	return canonicalFloat(f)
}

// DecodeJSON decodes one JSON value into its canonical form. EINVALID says
// where it is malformed.
func DecodeJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "malformed JSON: %w", err)
	}
	if d.More() {
		return nil, deviceops.Errorf(deviceops.EINVALID, "malformed JSON: more follows after the value")
	}
	return canonicalTree(v), nil
}

// canonicalTree makes a decoded JSON tree canonical. It has no budget: the tree
// is as large as its text.
func canonicalTree(v any) any {
	switch v := v.(type) {
	case json.Number:
		return canonicalNumber(v)
	case map[string]any:
		if s, ok := deviceops.StoredIn(v); ok {
			return newStored(s)
		}
		for k, item := range v {
			v[k] = canonicalTree(item)
		}
	case []any:
		for i, item := range v {
			v[i] = canonicalTree(item)
		}
	}
	return v
}

// decodeField decodes one field of a JSON object into its canonical form.
func decodeField(data []byte, name string, into *any) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	raw, ok := fields[name]
	if !ok {
		return nil
	}
	v, err := DecodeJSON(raw)
	*into = v
	return err
}

// Format gives v as text, the way templates and string() show it: texts as they
// are, nothing for nil, numbers without needless digits, lists and maps as
// compact JSON with sorted keys.
func Format(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return formatFloat(v)
	case time.Duration:
		return FormatDuration(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case map[string]any, []any:
		return formatJSON(v)
	case stored:
		return v.describe()
	}
	c, err := canonical(v, newBudget())
	if err != nil {
		return fmt.Sprintf("<%T>", v)
	}
	return Format(c)
}

func formatFloat(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) <= maxExact {
		return strconv.FormatInt(int64(f), 10)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

func formatJSON(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "<not JSON>"
	}
	return string(bytes.TrimRight(b.Bytes(), "\n"))
}
