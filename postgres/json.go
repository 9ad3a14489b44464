package postgres

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"

	"github.com/deviceops/deviceops"
)

// encode gives v as JSON that PostgreSQL can store. Devices may say anything:
// json.Marshal mends broken UTF-8, and NUL, which neither text nor jsonb can
// hold, becomes U+FFFD; one odd message must not keep a batch from being
// stored.
func encode(v any) ([]byte, error) {
	if text, ok := appendPlain(make([]byte, 0, 64), v); ok {
		return replaceNUL(text), nil
	}
	text, err := json.Marshal(exact(v))
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "a value cannot be stored as JSON: %w", err)
	}
	return replaceNUL(text), nil
}

// rows gives records as the parameter of a json_to_recordset.
func rows[T any](records []T) (string, error) {
	if len(records) == 0 {
		return "[]", nil
	}
	text, err := encode(records)
	return string(text), err
}

// object and value are JSON inside a record.
type (
	object map[string]any
	value  struct{ any }
)

// MarshalJSON keeps the kind of numbers.
func (o object) MarshalJSON() ([]byte, error) { return json.Marshal(exact(map[string]any(o))) }

// MarshalJSON keeps the kind of numbers.
func (v value) MarshalJSON() ([]byte, error) { return json.Marshal(exact(v.any)) }

// IsZero makes omitzero leave out what is nil.
func (v value) IsZero() bool { return v.any == nil }

// number is a float64 whose JSON shows that it is one.
type number float64

// MarshalJSON writes 80 as 80.0; jsonb keeps the zero.
func (n number) MarshalJSON() ([]byte, error) {
	f := float64(n)
	text, err := json.Marshal(f)
	if err == nil && f == math.Trunc(f) && !bytes.ContainsAny(text, ".e") {
		text = append(text, ".0"...)
	}
	return text, err
}

// exact replaces every float64 in a tree of JSON values by a number.
func exact(v any) any {
	switch v := v.(type) {
	case float64:
		return number(v)
	case map[string]any:
		if v == nil {
			return nil
		}
		copied := make(map[string]any, len(v))
		for key, item := range v {
			copied[key] = exact(item)
		}
		return copied
	case []any:
		copied := make([]any, len(v))
		for i, item := range v {
			copied[i] = exact(item)
		}
		return copied
	default:
		return v
	}
}

var escapedNUL = []byte(`\u0000`)

// replaceNUL replaces the escape of NUL, and not the text of one (\\u0000).
func replaceNUL(text []byte) []byte {
	if !bytes.Contains(text, escapedNUL) {
		return text
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if bytes.HasPrefix(text[i:], escapedNUL) {
			copy(text[i:], `\ufffd`)
		}
		i++ // the escaped character is none itself
	}
	return text
}

// decode reads JSON into v: integers that fit become int64, all other numbers
// float64.
func decode(data []byte, v any) error {
	switch v := v.(type) {
	case *map[string]string:
		return json.Unmarshal(data, v)
	case *map[string]any:
		if string(data) == "{}" { // of most devices
			*v = map[string]any{}
			return nil
		}
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch v := v.(type) {
	case *any:
		*v = plain(*v)
	case *map[string]any:
		plain(*v)
	case *deviceops.RunError:
		plain(v.Data)
	case *deviceops.Origin:
		plain(v.Configuration)
	}
	return nil
}

// plain replaces every json.Number in a tree, in place where it can.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		return plainNumber(v)
	case map[string]any:
		for key, item := range v {
			v[key] = plain(item)
		}
	case []any:
		for i, item := range v {
			v[i] = plain(item)
		}
	}
	return v
}

func plainNumber(n json.Number) any {
	if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return i
	}
	f, _ := n.Float64()
	return f
}
