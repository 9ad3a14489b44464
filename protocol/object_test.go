package protocol

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// decoded reads a value as encoding/json does, with the numbers of an Object.
func decoded(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errNoJSON
	}
	return numbered(v)
}

func numbered(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		n, ok := settleNumber(v)
		if !ok {
			err = errNoJSON
		}
		return n, err
	case map[string]any:
		for name, item := range v {
			if v[name], err = numbered(item); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, item := range v {
			if v[i], err = numbered(item); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// FuzzObject holds objects against what encoding/json reads.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { "a" : 1 , "b":-2.50e-3,"c":[ ],"d":[1,"x",{"e":null}],"f":true,"g":false} `, `{"a":1,"a":{"b":2},"a":{"c":3}}`,
		`{"q\"\\\/\b\u00e9\ud83d\ude00\ud800":"\n"}`, "{\"\xff\":\"a\xc3\"}", "{\"tab\":\"a\tb\"}", `{"big":9223372036854775808,"small":-9223372036854775808,"o":1e999}`,
		`{"minus":-0,"zero":-0.0}`, `null`, `[1]`, `"x"`, `{"a":[1,2,]}`, `{"a":nul}`, `{"a"}`, `{,}`, `{"a":1}}`, `{"a":01}`, `{"a":+1}`, `{"a`, `{"a":`, `{"a":[`, `{"a":"\`, ``, `{"":""}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got Object
		err := json.Unmarshal(data, &got)
		want, failed := decoded(data)
		object, isObject := want.(map[string]any)
		if failed != nil || want != nil && !isObject {
			require.Error(t, err, "%q", data)
			return
		}
		require.NoError(t, err, "%q", data)
		require.Equal(t, Object(object), got, "%q", data)
	})
}

// TestObjectOfNoJSON is read by nobody but who calls the method itself.
func TestObjectOfNoJSON(t *testing.T) {
	t.Parallel()
	for _, data := range []string{``, `{`, `{"a"`, `{"a":`, `{"a":x}`, `{"a" 1}`, `{a:1}`, `{"a":1 "b":2}`, `{"a":[1 2]}`, `{"a":tru}`, `{"a":"`, `{"a":"\`, `{"a":1}}`, `{"a":[,]}`, `nil`} {
		require.Error(t, new(Object).UnmarshalJSON([]byte(data)), data)
	}
}
