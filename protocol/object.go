package protocol

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"unicode/utf8"
)

// objectReader reads the values of an Object, and takes nothing for JSON that is not:
// most of what devices say is small objects, on which a decoder spends more than on
// their values. How deep they are has been looked at before.
type objectReader struct {
	data []byte
	at   int
}

var errNoJSON = errors.New("this is not JSON")

func (r *objectReader) value() (any, error) {
	switch c := r.next(); c {
	case '{':
		return r.object()
	case '[':
		return r.list()
	case '"':
		return r.text()
	case 't':
		return true, r.word("true")
	case 'f':
		return false, r.word("false")
	case 'n':
		return nil, r.word("null")
	default:
		return r.number()
	}
}

// next gives the next character that is no white space, and leaves it there; 0 at
// the end.
func (r *objectReader) next() byte {
	for ; r.at < len(r.data); r.at++ {
		switch c := r.data[r.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// more goes on in an object or a list: false at its end.
func (r *objectReader) more(first bool, end byte) (bool, error) {
	switch c := r.next(); {
	case c == end:
		r.at++
		return false, nil
	case first:
		return true, nil
	case c != ',':
		return false, errNoJSON
	}
	r.at++
	return true, nil
}

func (r *objectReader) object() (any, error) {
	r.at++
	m := map[string]any{}
	for first := true; ; first = false {
		more, err := r.more(first, '}')
		if err != nil || !more {
			return m, err
		}
		if r.next() != '"' {
			return nil, errNoJSON
		}
		name, err := r.text()
		if err != nil {
			return nil, err
		}
		if r.next() != ':' {
			return nil, errNoJSON
		}
		r.at++
		if m[name], err = r.value(); err != nil {
			return nil, err
		}
	}
}

func (r *objectReader) list() (any, error) {
	r.at++
	list := []any{}
	for first := true; ; first = false {
		more, err := r.more(first, ']')
		if err != nil || !more {
			return list, err
		}
		v, err := r.value()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
}

// text reads a string. One with escapes, or that is not UTF-8, is left to
// encoding/json.
func (r *objectReader) text() (s string, err error) {
	from, plain := r.at, true
	for r.at++; r.at < len(r.data); r.at++ {
		switch c := r.data[r.at]; c {
		case '\\':
			plain = false
			r.at++
		case '"':
			r.at++
			if inner := r.data[from+1 : r.at-1]; plain && utf8.Valid(inner) {
				return string(inner), nil
			}
			return s, json.Unmarshal(r.data[from:r.at], &s)
		default:
			plain = plain && c >= ' '
		}
	}
	return "", errNoJSON
}

func (r *objectReader) word(w string) error {
	if rest := r.data[r.at:]; len(rest) < len(w) || string(rest[:len(w)]) != w {
		return errNoJSON
	}
	r.at += len(w)
	return nil
}

func (r *objectReader) number() (any, error) {
	from := r.at
	for r.at < len(r.data) && isNumeric(r.data[r.at]) {
		r.at++
	}
	if !isNumber(r.data[from:r.at]) {
		return nil, errNoJSON
	}
	n, ok := settleNumber(json.Number(r.data[from:r.at]))
	if !ok {
		return nil, &json.UnmarshalTypeError{Value: "number out of range", Type: reflect.TypeFor[Object]()}
	}
	return n, nil
}

func isNumeric(c byte) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

// isNumber reports whether a text is a number by the grammar of JSON (RFC 8259,
// section 6).
func isNumber(text []byte) bool {
	i := 0
	digits := func() bool {
		from := i
		for i < len(text) && text[i] >= '0' && text[i] <= '9' {
			i++
		}
		return i > from
	}
	is := func(set string) bool {
		if i < len(text) && strings.IndexByte(set, text[i]) >= 0 {
			i++
			return true
		}
		return false
	}
	is("-")
	if !is("0") && !digits() {
		return false
	}
	if is(".") && !digits() {
		return false
	}
	if is("eE") {
		is("+-")
		if !digits() {
			return false
		}
	}
	return i == len(text)
}
