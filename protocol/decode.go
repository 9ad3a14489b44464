package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode"

	"github.com/deviceops/deviceops"
)

// Decode reads what a device published on leaf. Heartbeats, telemetry and
// events may be one object or an array of them (a backlog); each object becomes
// a message, in order. An object that breaks a rule becomes an *Invalid and
// leaves the others be.
//
// Returns EINVALID where nothing can be told of any message: the payload is too
// large, too deep, not JSON or not an object, or the leaf is not one that
// devices publish. What is stored of such a payload must go through Redact.
func Decode(leaf Leaf, payload []byte) ([]Message, error) {
	messages, _, err := decodeUp(leaf, payload, false)
	return messages, err
}

// DecodeEach is Decode, and gives the part of the payload that says each message
// alone. Nil: the payload is the only one.
func DecodeEach(leaf Leaf, payload []byte) ([]Message, []json.RawMessage, error) {
	return decodeUp(leaf, payload, false)
}

func decodeUp(leaf Leaf, payload []byte, strict bool) ([]Message, []json.RawMessage, error) {
	if newMessage(leaf) == nil {
		return nil, nil, invalid("%q is not a message that devices publish", clip(string(leaf)))
	}
	if err := scan(payload, MaxPayload); err != nil {
		return nil, nil, err
	}
	if !strict {
		if m, ok := quickly(leaf, payload); ok {
			return []Message{m}, nil, nil
		}
	}
	objects, err := split(leaf, payload)
	if err != nil {
		return nil, nil, err
	}
	messages := make([]Message, len(objects))
	for i, raw := range objects {
		messages[i] = decodeOne(leaf, raw, strict)
	}
	return messages, objects, nil
}

// split gives the objects of a payload that is known to be valid JSON.
func split(leaf Leaf, payload []byte) ([]json.RawMessage, error) {
	payload = bytes.TrimSpace(payload)
	if len(payload) == 0 {
		return nil, invalid("payload is empty: send a JSON object")
	}
	if payload[0] != '[' {
		return []json.RawMessage{payload}, checkObject(payload)
	}
	if !mayBeArray(leaf) {
		return nil, invalid("payload is an array: %s takes one object", leaf)
	}
	var objects []json.RawMessage
	if err := json.Unmarshal(payload, &objects); err != nil {
		return nil, notJSON(err)
	}
	if len(objects) > MaxElements {
		return nil, invalid("payload has %d elements, %d are allowed: send the backlog in parts", len(objects), MaxElements)
	}
	return objects, nil
}

func checkObject(payload []byte) error {
	if !json.Valid(payload) {
		var v json.RawMessage
		return notJSON(json.Unmarshal(payload, &v)) // it says where
	}
	if payload[0] != '{' {
		return invalid("payload is a JSON %s, not an object", kindOf(payload))
	}
	return nil
}

func mayBeArray(leaf Leaf) bool {
	return leaf == LeafHeartbeat || leaf == LeafTelemetry || leaf == LeafEvent
}

func newMessage(leaf Leaf) Message {
	switch leaf {
	case LeafHello:
		return &Hello{}
	case LeafStatus:
		return &Status{}
	case LeafHeartbeat:
		return &Heartbeat{}
	case LeafTelemetry:
		return &Telemetry{}
	case LeafEvent:
		return &Event{}
	case LeafResult:
		return &Result{}
	case LeafReported:
		return &Reported{}
	}
	return nil
}

func decodeOne(leaf Leaf, raw []byte, strict bool) Message {
	m := newMessage(leaf)
	err := unmarshal(raw, m, strict)
	if err == nil {
		err = m.check()
	}
	if err != nil {
		return &Invalid{Header: salvage(raw), On: leaf, Raw: Redact(raw), Err: err}
	}
	return m
}

// salvage reads as much of a header as is sound.
func salvage(raw []byte) Header {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return Header{}
	}
	var h Header
	if json.Unmarshal(fields["boot"], &h.Boot) != nil || !deviceops.ValidID(h.Boot) {
		h.Boot = ""
	}
	if json.Unmarshal(fields["seq"], &h.Seq) != nil || h.Seq < 0 {
		h.Seq = 0
	}
	if json.Unmarshal(fields["child"], &h.Child) != nil || !deviceops.ValidID(h.Child) {
		h.Child = ""
	}
	return h
}

// unmarshal reads one object, and says of an error which field it is about.
func unmarshal(raw []byte, target any, strict bool) error {
	trimmed := bytes.TrimSpace(raw)
	if len(trimmed) == 0 {
		return invalid("payload is empty: send a JSON object")
	}
	if trimmed[0] != '{' {
		return invalid("payload is a JSON %s, not an object", kindOf(trimmed))
	}
	if !strict {
		err := json.Unmarshal(trimmed, target)
		var syntax *json.SyntaxError
		if !errors.As(err, &syntax) { // most is JSON: this is the fast way
			return fieldError(err)
		}
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(target); err != nil {
		return fieldError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid("payload goes on after its JSON object: send one object")
	}
	return nil
}

func fieldError(err error) error {
	if err == nil {
		return nil
	}
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return notJSON(err)
	}
	field := fieldPath(wrong.Field)
	if field == "" {
		return invalid("payload must be %s, got %s", describe(wrong.Type), wrong.Value)
	}
	return invalid("field %s must be %s, got %s", field, describe(wrong.Type), wrong.Value)
}

// fieldPath drops the names of embedded Go structs, which encoding/json counts
// in: names on the wire are never upper-case.
func fieldPath(path string) string {
	var names []string
	for name := range strings.SplitSeq(path, ".") {
		if name != "" && !unicode.IsUpper(rune(name[0])) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ".")
}

func notJSON(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return deviceops.Errorf(deviceops.EINVALID, "payload is not JSON at byte %d: %w", syntax.Offset, err)
	}
	return deviceops.Errorf(deviceops.EINVALID, "payload is not JSON: %w", err)
}

// describe says in the words of JSON what a Go type is read from.
func describe(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Timestamp]():
		return "an RFC 3339 time or whole milliseconds since 1970"
	case reflect.TypeFor[Object]():
		return "an object"
	case reflect.TypeFor[Seconds]():
		return "a number of seconds"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "an array"
	case reflect.Map, reflect.Struct:
		return "an object"
	}
	return fmt.Sprintf("a %s", t.Kind())
}
