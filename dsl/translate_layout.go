package dsl

import (
	"encoding/binary"
	"math"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// byteKind is a type of a field of bytes. read gives uint64, int64 or float64.
type byteKind struct {
	name  string
	width int // bytes; 0: size says
	read  func(raw []byte) any
}

// byteKinds are the types by name. Those of one byte have no order.
var byteKinds = func() map[string]byteKind {
	kinds := map[string]byteKind{"text": {name: "text"}, "hex": {name: "hex"}}
	for _, width := range []int{1, 2, 3, 4, 8} {
		bits := strconv.Itoa(8 * width)
		for suffix, order := range map[string]func([]byte) uint64{"be": bigEndian, "le": littleEndian} {
			if width == 1 {
				suffix = ""
			}
			shift := 64 - 8*width
			kinds["u"+bits+suffix] = byteKind{"u" + bits + suffix, width, func(raw []byte) any { return order(raw) }}
			kinds["i"+bits+suffix] = byteKind{"i" + bits + suffix, width, func(raw []byte) any { return int64(order(raw)<<shift) >> shift }}
		}
	}
	for suffix, order := range map[string]func([]byte) uint64{"be": bigEndian, "le": littleEndian} {
		kinds["f32"+suffix] = byteKind{"f32" + suffix, 4, func(raw []byte) any { return float64(math.Float32frombits(uint32(order(raw)))) }}
		kinds["f64"+suffix] = byteKind{"f64" + suffix, 8, func(raw []byte) any { return math.Float64frombits(order(raw)) }}
	}
	return kinds
}()

func bigEndian(raw []byte) uint64 {
	var wide [8]byte
	copy(wide[8-len(raw):], raw)
	return binary.BigEndian.Uint64(wide[:])
}

func littleEndian(raw []byte) uint64 {
	var wide [8]byte
	copy(wide[:], raw)
	return binary.LittleEndian.Uint64(wide[:])
}

func byteKindNames() []string {
	names := sortedKeys(byteKinds)
	sort.SliceStable(names, func(i, j int) bool { return byteKinds[names[i]].width < byteKinds[names[j]].width })
	return names
}

var layoutKeys = []fieldSpec{
	{"name", textSchema("what expressions call the field: payload.NAME")},
	{"type", schema{"enum": asAny(byteKindNames()), "description": "u and i are integers without and with a sign, f are floating-point numbers, of so many bits; be and le give the order of bytes"}},
	{"at", integerSchema("the byte at which it begins, from 0", 0)},
	{"size", integerSchema("bytes of a text or hex", 1)},
	{"bits", schema{"type": []any{"string", "integer"}, "description": "only these bits of an unsigned integer, from the lowest, 0: 4, or 4..6"}},
	{"scale", schema{"type": "number", "description": "what the number is multiplied with; 1 when left out"}},
	{"offset", schema{"type": "number", "description": "what is added after that; 0 when left out"}},
	{"optional", booleanSchema("a payload that is too short for it is right")},
}

func asAny(texts []string) []any {
	out := make([]any, len(texts))
	for i, s := range texts {
		out[i] = s
	}
	return out
}

const maxFields = 200

// layout reads the fields of a payload of bytes.
func (c *checker) layout(n *yaml.Node) decoder {
	d := &bytesDecoder{}
	items := c.list(n, "bytes", "write its fields as - { name: temp, type: i16be, at: 0 }")
	if len(items) == 0 || len(items) > maxFields {
		c.report(n, "bad-layout", "write its fields as - { name: temp, type: i16be, at: 0 }", "a layout has 1 to %d fields", maxFields)
		return d
	}
	seen := map[string]bool{}
	for _, item := range items {
		f, ok := c.byteField(item)
		if ok && seen[f.name] {
			c.report(item, "bad-layout", "rename one of them", "there are two fields %q", f.name)
		}
		seen[f.name] = true
		d.fields = append(d.fields, f)
	}
	return d
}

func (c *checker) byteField(n *yaml.Node) (byteField, bool) {
	f := byteField{high: -1, scale: 1, plain: true}
	o := c.object(n, "a field", fieldNames(layoutKeys)...)
	if o == nil || !c.needs(o, "a field", "name", "type", "at") {
		return f, false
	}
	f.name = o.get("name").Value
	ok := c.word(o.get("name"), "the name of a field")
	if !c.byteKind(o, &f) {
		return f, false
	}
	f.at = c.integer(o.get("at"), "at", 0, 128<<10)
	if v := o.get("bits"); v != nil {
		ok = c.bits(v, &f) && ok
	}
	for key, into := range map[string]*float64{"scale": &f.scale, "offset": &f.offset} {
		if v := o.get(key); v != nil {
			*into = c.number(v, key)
			f.plain = false
		}
	}
	f.finest = f.precision()
	if v := o.get("optional"); v != nil {
		f.optional = c.boolean(v, "optional")
	}
	return f, ok
}

// precision gives ten to the number of decimals that an integer can have after
// scale and offset; 0 where that is not known, or more than a float keeps.
func (f byteField) precision() float64 {
	if f.kind.read == nil || f.kind.name[0] == 'f' {
		return 0
	}
	digits := 0
	for _, x := range []float64{f.scale, f.offset} {
		_, fraction, _ := strings.Cut(strconv.FormatFloat(x, 'f', -1, 64), ".")
		digits = max(digits, len(fraction))
	}
	if digits > 15 {
		return 0
	}
	return math.Pow10(digits)
}

func (c *checker) byteKind(o *object, f *byteField) bool {
	n := o.get("type")
	name, ok := c.text(n, "the type of a field")
	kind, known := byteKinds[name]
	switch {
	case !ok:
		return false
	case !known:
		names := byteKindNames()
		c.report(n, "bad-type", orElse(fixWrite("", closest(name, names)), "use one of "+joinNames(names)), "there is no type %q of bytes%s", name, didYouMean(name, names))
		return false
	case kind.width == 0 && !o.has("size"):
		c.report(n, "bad-layout", "add size: and the number of bytes", "it is not said how many bytes the %s has", name)
		return false
	case kind.width > 0 && o.has("size"):
		c.report(o.get("size"), "bad-layout", "remove size:", "the type %s says how many bytes it has", name)
		return false
	}
	f.kind, f.width = kind, kind.width
	if v := o.get("size"); v != nil {
		f.width = c.integer(v, "size", 1, 1024)
	}
	return true
}

var bitRange = regexp.MustCompile(`^(\d{1,2})(?:\.\.(\d{1,2}))?$`)

func (c *checker) bits(n *yaml.Node, f *byteField) bool {
	m := bitRange.FindStringSubmatch(n.Value)
	if m == nil || f.kind.name[0] != 'u' {
		c.report(n, "bad-layout", "write bits: 4, or bits: 4..6, of a type such as u8", "bits are of an unsigned integer, counted from the lowest, 0")
		return false
	}
	f.low, _ = strconv.Atoi(m[1])
	f.high = f.low
	if m[2] != "" {
		f.high, _ = strconv.Atoi(m[2])
	}
	if f.high < f.low || f.high >= 8*f.width {
		c.report(n, "bad-layout", sprintf("write bits from 0 to %d, the lower one first", 8*f.width-1), "the type %s has no bits %s", f.kind.name, n.Value)
		return false
	}
	return true
}

// number reads a number that is known when the document is written.
func (c *checker) number(n *yaml.Node, what string) float64 {
	v, ok := toFloat(scalar(n))
	if n.Kind != yaml.ScalarNode || isText(n) || !ok {
		c.report(n, "wrong-type", "write a number, without quotes", "%s must be a number, and this is %s", what, kindOf(n))
	}
	return v
}

// needs reports keys that are missing.
func (c *checker) needs(o *object, what string, keys ...string) bool {
	for _, key := range keys {
		if !o.has(key) {
			c.report(o.node, "missing-key", "add "+key+":", "%s needs the key %s", what, key)
			return false
		}
	}
	return true
}
