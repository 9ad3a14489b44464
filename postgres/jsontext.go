package postgres

import (
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"
)

// appendPlain appends what json.Marshal makes of exact(v), for what most values
// are: trees of maps, lists, texts and numbers as they come out of JSON. False: v
// holds something else, and the text is of no use.
//
// Copying a tree, finding its types and sorting its keys by reflection costs three
// times as much, and every event has one.
func appendPlain(text []byte, v any) ([]byte, bool) {
	switch v := v.(type) {
	case nil:
		return append(text, "null"...), true
	case bool:
		return strconv.AppendBool(text, v), true
	case int64:
		return strconv.AppendInt(text, v, 10), true
	case int:
		return strconv.AppendInt(text, int64(v), 10), true
	case float64:
		digits, err := number(v).MarshalJSON()
		return append(text, digits...), err == nil
	case string:
		return appendText(text, v)
	case []any:
		return appendList(text, v)
	case map[string]any:
		return appendMap(text, v)
	}
	return text, false
}

func appendList(text []byte, list []any) ([]byte, bool) {
	text = append(text, '[')
	for i, item := range list {
		if i > 0 {
			text = append(text, ',')
		}
		var ok bool
		if text, ok = appendPlain(text, item); !ok {
			return text, false
		}
	}
	return append(text, ']'), true
}

func appendMap(text []byte, m map[string]any) ([]byte, bool) {
	if m == nil {
		return append(text, "null"...), true
	}
	var few [8]string
	names := few[:0]
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	text = append(text, '{')
	for i, name := range names {
		if i > 0 {
			text = append(text, ',')
		}
		var ok bool
		if text, ok = appendText(text, name); !ok {
			return text, false
		}
		if text, ok = appendPlain(append(text, ':'), m[name]); !ok {
			return text, false
		}
	}
	return append(text, '}'), true
}

// appendText leaves texts with anything that is escaped or mended to json.Marshal.
func appendText(text []byte, s string) ([]byte, bool) {
	if !needsEscape(s) {
		return append(append(append(text, '"'), s...), '"'), true
	}
	quoted, err := json.Marshal(s)
	return append(text, quoted...), err == nil
}

func needsEscape(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c == '"', c == '\\', c == '<', c == '>', c == '&', c >= utf8.RuneSelf:
			return true
		}
	}
	return false
}
