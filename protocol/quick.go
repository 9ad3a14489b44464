package protocol

import "strconv"

// Nearly all that devices say is a single event, sample of telemetry or result,
// written the plain way. encoding/json goes over such a message three times, and
// finds the place of each value by reflection, which costs several times as much as
// to read it once. So this is tried first. It reads no more than what encoding/json
// reads just so, and leaves all else to it: what is wrong, so that there is one who
// says what; names that it does not know, or knows by other letters; null, and a
// field that comes twice.

// quickly reads a message that is written the plain way; false: somebody else has to.
func quickly(leaf Leaf, payload []byte) (Message, bool) {
	var m quickMessage
	switch leaf {
	case LeafEvent:
		m = &Event{}
	case LeafTelemetry:
		m = &Telemetry{}
	case LeafResult:
		m = &Result{}
	default:
		return nil, false
	}
	r := quickReader{objectReader: objectReader{data: payload}}
	if !r.message(m) || m.check() != nil {
		return nil, false
	}
	return m, true
}

// quickMessage is a message whose fields are found without reflection.
type quickMessage interface {
	Message
	// field gives where a field is read into; nil: it is left to encoding/json.
	field(name []byte) any
}

func (h *Header) field(name []byte) any {
	switch string(name) {
	case "boot":
		return &h.Boot
	case "seq":
		return &h.Seq
	case "time":
		return &h.Time
	case "age_ms":
		return &h.AgeMS
	case "child":
		return &h.Child
	}
	return nil
}

func (e *Event) field(name []byte) any {
	switch string(name) {
	case "type":
		return &e.Type
	case "severity":
		return &e.Severity
	case "data":
		return &e.Data
	}
	return e.Header.field(name)
}

func (t *Telemetry) field(name []byte) any {
	if string(name) == "metrics" {
		return &t.Metrics
	}
	return t.Header.field(name)
}

func (r *Result) field(name []byte) any {
	switch string(name) {
	case "id":
		return &r.ID
	case "attempt":
		return &r.Attempt
	case "status":
		return &r.Status
	case "component":
		return &r.Component
	case "phase":
		return &r.Phase
	case "percent":
		return &r.Percent
	case "output":
		return &r.Output
	case "reason":
		return &r.Reason
	}
	return r.Header.field(name)
}

// quickReader reads one message.
type quickReader struct {
	objectReader
	seen [quickFields]any
	n    int // of fields seen
}

// quickFields is more than any quickMessage has.
const quickFields = 16

func (r *quickReader) message(m quickMessage) bool {
	if r.next() != '{' {
		return false
	}
	r.at++
	for first := true; ; first = false {
		more, err := r.more(first, '}')
		if err != nil {
			return false
		}
		if !more {
			return r.next() == 0 && r.at == len(r.data)
		}
		if !r.member(m) {
			return false
		}
	}
}

// member reads a name and its value.
func (r *quickReader) member(m quickMessage) bool {
	name, ok := r.name()
	if !ok {
		return false
	}
	target := m.field(name)
	if target == nil {
		return false
	}
	for _, known := range r.seen[:r.n] {
		if known == target {
			return false
		}
	}
	r.seen[r.n] = target
	r.n++
	return r.next() == ':' && r.into(target)
}

// name reads a name without escapes.
func (r *quickReader) name() ([]byte, bool) {
	if r.next() != '"' {
		return nil, false
	}
	from := r.at + 1
	for r.at++; r.at < len(r.data); r.at++ {
		switch c := r.data[r.at]; {
		case c == '"':
			r.at++
			return r.data[from : r.at-1], true
		case c < 'a' && c != '_' || c > 'z':
			return nil, false
		}
	}
	return nil, false
}

func (r *quickReader) into(target any) bool {
	r.at++
	c := r.next()
	switch target := target.(type) {
	case *string:
		text, err := r.textAt(c)
		*target = text
		return err == nil
	case *Object:
		if c != '{' {
			return false
		}
		v, err := r.object()
		if err == nil {
			*target = v.(map[string]any)
		}
		return err == nil
	case *Timestamp:
		from := r.at
		v, err := r.value()
		return err == nil && v != nil && target.UnmarshalJSON(r.data[from:r.at]) == nil
	default:
		return r.numberInto(target)
	}
}

func (r *quickReader) textAt(c byte) (string, error) {
	if c != '"' {
		return "", errNoJSON
	}
	return r.text()
}

func (r *quickReader) numberInto(target any) bool {
	from := r.at
	v, err := r.number()
	if err != nil {
		return false
	}
	whole, isWhole := v.(int64)
	switch target := target.(type) {
	case *int64:
		*target = whole
		return isWhole
	case *int:
		*target = int(whole)
		return isWhole && strconv.IntSize == 64
	case **int64:
		*target = &whole
		return isWhole
	case **float64:
		f, err := strconv.ParseFloat(string(r.data[from:r.at]), 64)
		*target = &f
		return err == nil
	default:
		return false
	}
}
