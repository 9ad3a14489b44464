package activities

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/deviceops/deviceops"
)

// decodeArguments reads arguments into the struct that to points to, fills in
// defaults and checks what the tags demand. EINVALID names the argument. The
// checker has said the same of what it could know; expressions and older
// documents may still give anything.
func decodeArguments(given map[string]any, to any) error {
	data, err := json.Marshal(given)
	if err != nil {
		return deviceops.Errorf(deviceops.EINVALID, "they cannot be written as JSON: %w", err)
	}
	if given == nil {
		data = []byte("{}")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(to); err != nil {
		return explainDecoding(err)
	}
	return completeFields(reflect.ValueOf(to).Elem(), "")
}

func explainDecoding(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return deviceops.Errorf(deviceops.EINVALID, "%s cannot be %s", wrong.Field, article(wrong.Value))
	}
	message := strings.Replace(err.Error(), "json: unknown field", "there is no argument", 1)
	return deviceops.Errorf(deviceops.EINVALID, "%s", message)
}

func article(kind string) string {
	if strings.HasPrefix(kind, "array") || strings.HasPrefix(kind, "object") {
		return "an " + kind
	}
	return "a " + kind
}

// completeFields fills in defaults of a struct and checks its fields.
func completeFields(v reflect.Value, below string) error {
	for _, f := range reflect.VisibleFields(v.Type()) {
		name := fieldName(f)
		if name == "" {
			continue
		}
		if err := completeField(v.FieldByIndex(f.Index), f, below+name); err != nil {
			return err
		}
	}
	return nil
}

func completeField(v reflect.Value, f reflect.StructField, name string) error {
	if text, ok := f.Tag.Lookup("default"); ok && v.IsZero() {
		return setDefault(v, text)
	}
	if v.IsZero() {
		if f.Tag.Get("required") == "true" {
			return deviceops.Errorf(deviceops.EINVALID, "%s is missing: %s", name, f.Tag.Get("doc"))
		}
		return nil
	}
	inner := v
	if v.Kind() == reflect.Pointer {
		inner = v.Elem()
	}
	if inner.Kind() == reflect.Struct && inner.Type() != timeType {
		return completeFields(inner, name+".")
	}
	return checkField(v, f.Tag, name)
}

func setDefault(v reflect.Value, text string) error {
	switch {
	case v.Type() == durationType:
		d, err := parseDuration(text)
		v.SetInt(int64(d))
		return err
	case v.Kind() == reflect.String:
		v.SetString(text)
		return nil
	default:
		return json.Unmarshal([]byte(text), v.Addr().Interface())
	}
}

func checkField(v reflect.Value, tag reflect.StructTag, name string) error {
	if values := tag.Get("enum"); values != "" && !slices.Contains(strings.Split(values, ","), v.String()) {
		return deviceops.Errorf(deviceops.EINVALID, "%s must be one of %s, and this is %q", name, strings.ReplaceAll(values, ",", ", "), v.String())
	}
	if tag.Get("secret") == "true" {
		return checkReference(v.String(), name)
	}
	size, unit, bounded := sizeOf(v)
	if !bounded {
		return nil
	}
	if low, err := strconv.ParseFloat(tag.Get("min"), 64); err == nil && size < low {
		return deviceops.Errorf(deviceops.EINVALID, "%s must be at least %s%s", name, tag.Get("min"), unit)
	}
	if high, err := strconv.ParseFloat(tag.Get("max"), 64); err == nil && size > high {
		return deviceops.Errorf(deviceops.EINVALID, "%s must be at most %s%s", name, tag.Get("max"), unit)
	}
	return nil
}

// checkReference never repeats what was given: it may be the secret itself.
func checkReference(text, name string) error {
	if !strings.HasPrefix(text, deviceops.SecretScheme) {
		return deviceops.Errorf(deviceops.EINVALID, "%s takes a reference such as secret:ticketing/api-token, never the secret itself", name)
	}
	return nil
}

func sizeOf(v reflect.Value) (size float64, unit string, bounded bool) {
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		return float64(v.Int()), "", v.Type() != durationType
	case reflect.Float64:
		return v.Float(), "", true
	case reflect.String:
		return float64(utf8.RuneCountInString(v.String())), " characters long", true
	case reflect.Slice:
		return float64(v.Len()), " items long", true
	default:
		return 0, "", false
	}
}
