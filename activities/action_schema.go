package activities

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
)

// Duration is an argument such as 500ms, 30s, 1h30m or 7d.
type Duration time.Duration

var durationPart = regexp.MustCompile(`^(\d+(?:\.\d+)?)(ms|s|m|h|d)`)

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return deviceops.Errorf(deviceops.EINVALID, "a duration is text such as 30s, and this is %s", data)
	}
	parsed, err := parseDuration(text)
	*d = Duration(parsed)
	return err
}

func parseDuration(text string) (total time.Duration, err error) {
	units := map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	rest := text
	for rest != "" {
		m := durationPart.FindStringSubmatch(rest)
		if m == nil {
			break
		}
		n, _ := strconv.ParseFloat(m[1], 64) // the pattern admits nothing else
		total += time.Duration(n * float64(units[m[2]]))
		rest = rest[len(m[0]):]
	}
	if rest != "" || text == "" || total < 0 {
		return 0, deviceops.Errorf(deviceops.EINVALID, "%q is no duration such as 500ms, 30s, 1h30m or 7d", text)
	}
	return total, nil
}

// Types that are described as a whole.
var (
	durationType = reflect.TypeFor[Duration]()
	rawType      = reflect.TypeFor[json.RawMessage]()
	deviceType   = reflect.TypeFor[deviceops.Device]()
	timeType     = reflect.TypeFor[time.Time]()
)

// typeSchema gives the JSON Schema of a type; tag is that of its field.
func typeSchema(t reflect.Type, tag reflect.StructTag) map[string]any {
	s := plainSchema(t)
	if doc := tag.Get("doc"); doc != "" {
		s["description"] = doc
	}
	if values := tag.Get("enum"); values != "" {
		s["enum"] = strings.Split(values, ",")
	}
	if tag.Get("secret") == "true" {
		s["format"], s["pattern"] = deviceops.FormatSecret, "^"+deviceops.SecretScheme
	}
	if operation, ok := tag.Lookup("channel"); ok {
		s["format"], s["operation"] = deviceops.FormatChannel, operation
	}
	if text, ok := tag.Lookup("default"); ok {
		s["default"] = defaultValue(t, text)
	}
	lowest, highest := boundNames(t)
	for name, text := range map[string]string{lowest: tag.Get("min"), highest: tag.Get("max")} {
		if text != "" {
			s[name] = numberIn(text)
		}
	}
	return s
}

func plainSchema(t reflect.Type) map[string]any {
	switch t {
	case durationType:
		return map[string]any{"type": "string", "format": deviceops.FormatDuration}
	case deviceType:
		return map[string]any{"type": "object", "format": deviceops.FormatDevice}
	case timeType:
		return map[string]any{"type": "string", "format": "date-time"}
	case rawType:
		return map[string]any{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return plainSchema(t.Elem())
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Interface:
		return map[string]any{}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": plainSchema(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": plainSchema(t.Elem())}
	case reflect.Struct:
		return structSchema(t)
	}
	panic(fmt.Sprintf("activities: an argument or output of an action cannot be a %s", t))
}

func structSchema(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name := fieldName(f)
		if name == "" {
			continue
		}
		properties[name] = typeSchema(f.Type, f.Tag)
		if f.Tag.Get("required") == "true" {
			required = append(required, name)
		}
	}
	s := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// fieldName gives the name of a field in JSON; "" for one that has none.
func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if !f.IsExported() || name == "-" {
		return ""
	}
	return name
}

func defaultValue(t reflect.Type, text string) any {
	switch t.Kind() {
	case reflect.Int, reflect.Float64:
		return numberIn(text)
	case reflect.Int64:
		if t == durationType {
			return text
		}
		return numberIn(text)
	case reflect.Bool:
		return text == "true"
	default:
		return text
	}
}

func numberIn(text string) any {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(fmt.Sprintf("activities: %q in the tag of an argument is no number", text))
	}
	return n
}

// boundNames gives the keywords of JSON Schema that min and max stand for.
func boundNames(t reflect.Type) (lowest, highest string) {
	switch t.Kind() {
	case reflect.String:
		return "minLength", "maxLength"
	case reflect.Slice:
		return "minItems", "maxItems"
	default:
		return "minimum", "maximum"
	}
}

// secretPaths gives the paths of the fields that take references.
func secretPaths(t reflect.Type, below string) (paths []string) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == deviceType || t == timeType {
		return nil
	}
	for _, f := range reflect.VisibleFields(t) {
		name := fieldName(f)
		switch {
		case name == "":
		case f.Tag.Get("secret") == "true":
			paths = append(paths, below+name)
		default:
			paths = append(paths, secretPaths(f.Type, below+name+".")...)
		}
	}
	return paths
}
