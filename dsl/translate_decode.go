package dsl

import (
	"bytes"
	"encoding/hex"
	"math"
	"math/big"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/types"
	"github.com/fxamacker/cbor/v2"
)

// maxDepth bounds how deep the maps and lists of a payload may nest.
const maxDepth = 16

// decoder reads a payload into canonical values.
type decoder interface {
	decode(payload []byte) (any, error)
	// shape is the type that expressions see.
	shape() types.Type
}

type jsonDecoder struct{}

func (jsonDecoder) shape() types.Type { return types.Any }

func (jsonDecoder) decode(payload []byte) (any, error) {
	if !utf8.Valid(payload) {
		return nil, invalid("the payload is not UTF-8 text, and so no JSON")
	}
	v, err := DecodeJSON(payload)
	if err != nil {
		return nil, err
	}
	return v, plainData(v, 0)
}

// plainData refuses what nests too deep, what cannot be stored, and what would
// pass for a reference to the store.
func plainData(v any, depth int) error {
	if depth > maxDepth {
		return invalid("the payload nests deeper than %d levels", maxDepth)
	}
	switch v := v.(type) {
	case string:
		return storableText(v)
	case []any:
		for _, item := range v {
			if err := plainData(item, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		for key, item := range v {
			if err := storableText(key); err != nil {
				return err
			}
			if err := plainData(item, depth+1); err != nil {
				return err
			}
		}
	case stored:
		return invalid("the payload holds a reference to what the engine stores")
	}
	return nil
}

func storableText(s string) error {
	if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
		return invalid("the payload holds a text with a NUL or invalid UTF-8, which cannot be stored")
	}
	return nil
}

// cborMode bounds what a payload of 128 KiB may unfold into.
var cborMode = func() cbor.DecMode {
	mode, err := cbor.DecOptions{
		MaxNestedLevels: maxDepth, MaxArrayElements: 1 << 16, MaxMapPairs: 1 << 16, UTF8: cbor.UTF8RejectInvalid,
		TimeTag: cbor.DecTagOptional, DupMapKey: cbor.DupMapKeyEnforcedAPF,
	}.DecMode()
	if err != nil {
		panic("dsl: the CBOR decoder is set up wrongly: " + err.Error()) // its options are constants
	}
	return mode
}()

type cborDecoder struct{}

func (cborDecoder) shape() types.Type { return types.Any }

func (cborDecoder) decode(payload []byte) (any, error) {
	var v any
	if err := cborMode.Unmarshal(payload, &v); err != nil {
		return nil, invalid("the payload is no CBOR: %s", firstLine(err.Error()))
	}
	plain, err := fromCBOR(v)
	if err != nil {
		return nil, err
	}
	return plain, plainData(plain, 0)
}

// fromCBOR gives a decoded value as JSON has them. Keys that are numbers become
// texts, as SenML has them; bytes become hex; of tags the content stays.
func fromCBOR(v any) (any, error) {
	switch v := v.(type) {
	case []byte:
		return hex.EncodeToString(v), nil
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano), nil
	case big.Int:
		f, _ := new(big.Float).SetInt(&v).Float64()
		return canonicalFloat(f), nil
	case cbor.Tag:
		return fromCBOR(v.Content)
	case cbor.SimpleValue:
		return nil, nil
	case []any:
		for i, item := range v {
			plain, err := fromCBOR(item)
			if err != nil {
				return nil, err
			}
			v[i] = plain
		}
		return v, nil
	case map[any]any:
		return fromCBORMap(v)
	}
	return canonical(v, newBudget())
}

func fromCBORMap(m map[any]any) (any, error) {
	out := make(map[string]any, len(m))
	for key, item := range m {
		switch key.(type) {
		case string, int64, uint64:
		default:
			return nil, invalid("the payload has a map with a key that is neither text nor number")
		}
		name := Format(key)
		if _, twice := out[name]; twice {
			return nil, invalid("the payload has a map with two keys that are written %q", name)
		}
		plain, err := fromCBOR(item)
		if err != nil {
			return nil, err
		}
		out[name] = plain
	}
	return out, nil
}

// textDecoder gives the text itself or, with a pattern or a separator, a map of
// its parts.
type textDecoder struct {
	pattern *regexp.Regexp // with named groups
	split   string
	names   []string // of what split gives, or of the groups of pattern
}

func (d *textDecoder) shape() types.Type {
	if d.pattern == nil && d.split == "" {
		return types.String
	}
	parts := types.Map{}
	for _, name := range d.names {
		if name != "" {
			parts[name] = types.Any // a group may take no part in a match
		}
	}
	return parts
}

func (d *textDecoder) decode(payload []byte) (any, error) {
	text := string(payload)
	if err := storableText(text); err != nil {
		return nil, err
	}
	switch {
	case d.pattern != nil:
		return d.match(text)
	case d.split != "":
		return d.cut(text)
	}
	return text, nil
}

func (d *textDecoder) match(text string) (any, error) {
	found := d.pattern.FindStringSubmatchIndex(text)
	if found == nil {
		return nil, invalid("the payload %s does not match the pattern %s", quoteShort(text), d.pattern)
	}
	parts := map[string]any{}
	for i, name := range d.names {
		if name != "" && found[2*i] >= 0 {
			parts[name] = text[found[2*i]:found[2*i+1]]
		}
	}
	return parts, nil
}

func (d *textDecoder) cut(text string) (any, error) {
	pieces := strings.Split(strings.TrimRight(text, "\r\n"), d.split)
	if len(pieces) != len(d.names) {
		return nil, invalid("the payload %s has %d parts, where %d are expected", quoteShort(text), len(pieces), len(d.names))
	}
	parts := make(map[string]any, len(pieces))
	for i, piece := range pieces {
		parts[d.names[i]] = strings.TrimSpace(piece)
	}
	return parts, nil
}

// bytesDecoder reads fields at fixed places.
type bytesDecoder struct{ fields []byteField }

func (d *bytesDecoder) shape() types.Type {
	fields := types.Map{}
	for _, f := range d.fields {
		fields[f.name] = f.shape()
	}
	return fields
}

func (d *bytesDecoder) decode(payload []byte) (any, error) {
	out := make(map[string]any, len(d.fields))
	for _, f := range d.fields {
		if f.at+f.width > len(payload) {
			if f.optional {
				continue
			}
			return nil, invalid("the payload has %d bytes, and its field %s ends at byte %d", len(payload), f.name, f.at+f.width)
		}
		v, err := f.read(payload[f.at : f.at+f.width])
		if err != nil {
			return nil, err
		}
		out[f.name] = v
	}
	return out, nil
}

// byteField is a field of a layout.
type byteField struct {
	name          string
	kind          byteKind
	at, width     int // bytes
	low, high     int // bits that count, from the lowest; high -1: all
	scale, offset float64
	plain         bool    // neither scale nor offset is given: whole numbers stay exact
	finest        float64 // see precision
	optional      bool
}

func (f byteField) shape() types.Type {
	if f.kind.read == nil && !f.optional {
		return types.String
	}
	return types.Any
}

func (f byteField) read(raw []byte) (any, error) {
	switch f.kind.name {
	case "hex":
		return hex.EncodeToString(raw), nil
	case "text":
		text := string(bytes.TrimRight(raw, "\x00 "))
		return text, storableText(text)
	}
	v := f.kind.read(raw)
	if f.high >= 0 {
		bits, _ := v.(uint64)
		v = bits >> f.low & (1<<(f.high-f.low+1) - 1)
	}
	if f.plain {
		return canonical(v, newBudget())
	}
	n, _ := toNumber(v)
	return canonicalFloat(f.rounded(n*f.scale + f.offset)), nil
}

// rounded takes away what multiplying in binary adds: 0.1 times 1234 is 123.4.
func (f byteField) rounded(x float64) float64 {
	const exact = 1 << 53
	if n := math.Round(x * f.finest); f.finest > 0 && math.Abs(n) < exact {
		return n / f.finest
	}
	return x
}

func toNumber(v any) (float64, bool) {
	switch n := v.(type) {
	case uint64:
		return float64(n), true
	case int64:
		return float64(n), true
	case float64:
		return n, true
	}
	return math.NaN(), false
}
