package deviceops

import "strconv"

// TypedAttributes gives attributes the types that the profile declares: numbers
// and booleans may come as text, since a CSV file or a template has only text.
// EINVALID names the attribute that is not declared or of another type.
func (p *Profile) TypedAttributes(given map[string]any) (map[string]any, error) {
	typed := make(map[string]any, len(given))
	for name, v := range given {
		kind, declared := p.Attributes[name]
		if !declared {
			return nil, Errorf(EINVALID, "profile %s has no attribute %q", p.Name, name)
		}
		value, ok := attributeOf(kind, v)
		if !ok {
			return nil, Errorf(EINVALID, "attribute %s: %v is not of type %s", name, v, kind)
		}
		typed[name] = value
	}
	return typed, nil
}

func attributeOf(kind string, v any) (any, bool) {
	text, isText := v.(string)
	switch kind {
	case "integer":
		return integerAttribute(v)
	case "number":
		if n, isInteger := v.(int64); isInteger {
			return float64(n), true
		}
		if n, isNumber := v.(float64); isNumber {
			return n, true
		}
		n, err := strconv.ParseFloat(text, 64)
		return n, err == nil
	case "boolean":
		if b, isBool := v.(bool); isBool {
			return b, true
		}
		return text == "true", text == "true" || text == "false"
	default:
		return text, isText
	}
}

func integerAttribute(v any) (any, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case float64:
		return int64(v), v == float64(int64(v))
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		return n, err == nil
	default:
		return nil, false
	}
}
