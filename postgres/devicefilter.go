package postgres

import (
	"math"
	"strings"
	"unicode/utf8"

	"github.com/deviceops/deviceops"
)

// predicate is a condition in SQL: true for Yes, false for No, null for Unknown.
type predicate struct {
	sql     string
	certain bool // it is never null
}

// operandKind is how a field of a device is stored.
type operandKind int

const (
	textOperand operandKind = iota
	integerOperand
	jsonOperand
	timeOperand
)

// operand is a field of a device in SQL; what the device does not have is null.
type operand struct {
	sql     string
	kind    operandKind
	certain bool // it is never null
}

// deviceFields are the fields of a device that are columns of deviceTables.
var deviceFields = map[string]operand{
	"id": {"d.id", textOperand, true}, "serial": {"d.serial", textOperand, true}, "profile": {"d.profile", textOperand, true},
	"account": {"d.account", textOperand, true}, "parent": {"d.parent", textOperand, true}, "zone": {"d.zone", textOperand, true},
	"state": {"d.state", textOperand, true}, "connectivity": {"s.connectivity", textOperand, true}, "wellness": {"s.wellness", textOperand, true},
	"desired.version":         {"t.version", integerOperand, true},
	"reported.config_version": {"t.config_version", integerOperand, true},
	"last_seen":               {"s.last_seen", timeOperand, false},
}

// deviceMaps are the fields that are entries of maps, by what their names begin
// with; the ? stands for the rest of the name. A value that is null in JSON is no
// value.
var deviceMaps = map[string]operand{
	"labels.":                {"(d.labels ->> ?)", textOperand, false},
	"desired.software.":      {"(t.software ->> ?)", textOperand, false},
	"reported.software.":     {"(t.reported_software ->> ?)", textOperand, false},
	"attributes.":            {"nullif(d.attributes -> ?, 'null')", jsonOperand, false},
	"desired.configuration.": {"nullif(t.configuration -> ?, 'null')", jsonOperand, false},
	"reported.attributes.":   {"nullif(t.reported_attributes -> ?, 'null')", jsonOperand, false},
	"metrics.":               {"(select nullif(m.value, 'null') from device_metrics m where m.device = d.id and m.name = ?)", jsonOperand, false},
}

// meets adds the condition that devices meet f. Parts that f joins by "and" come
// one by one, so that indexes can be used: what is not known is not met either.
func (f *filter) meets(tree deviceops.Filter) error {
	if tree.Op == deviceops.FilterAnd {
		for _, part := range tree.Args {
			if err := f.meets(part); err != nil {
				return err
			}
		}
		return nil
	}
	p, err := f.judge(tree)
	if err == nil && tree.Op != deviceops.FilterAll {
		f.conditions = append(f.conditions, p.sql)
	}
	return err
}

// judge says f in SQL. EINVALID if that cannot be done.
func (f *filter) judge(tree deviceops.Filter) (predicate, error) {
	switch tree.Op {
	case deviceops.FilterAll:
		return predicate{"true", true}, nil
	case deviceops.FilterAnd, deviceops.FilterOr:
		return f.junction(tree)
	case deviceops.FilterNot:
		if len(tree.Args) != 1 {
			return predicate{}, deviceops.Errorf(deviceops.EINVALID, "a filter negates %d conditions instead of one", len(tree.Args))
		}
		inner, err := f.judge(tree.Args[0])
		return predicate{"(not " + inner.sql + ")", inner.certain}, err
	}
	x, err := f.operand(tree.Field, tree.Op)
	if err != nil {
		return predicate{}, err
	}
	return f.about(x, tree)
}

// junction joins conditions, of which the later ones count only where the
// earlier ones leave the outcome open. SQL's own "false and null" is false in
// either order, so a condition that may be null is asked first by a case.
func (f *filter) junction(tree deviceops.Filter) (predicate, error) {
	if len(tree.Args) < 2 {
		return predicate{}, deviceops.Errorf(deviceops.EINVALID, "a filter joins %d conditions by %q", len(tree.Args), tree.Op)
	}
	var joined predicate
	for i := len(tree.Args) - 1; i >= 0; i-- {
		part, err := f.judge(tree.Args[i])
		switch {
		case err != nil:
			return predicate{}, err
		case i == len(tree.Args)-1:
			joined = part
		case part.certain:
			joined.sql = "(" + part.sql + " " + string(tree.Op) + " " + joined.sql + ")"
		case tree.Op == deviceops.FilterAnd:
			joined = predicate{sql: "(case " + part.sql + " when true then " + joined.sql + " when false then false end)"}
		default:
			joined = predicate{sql: "(case " + part.sql + " when true then true when false then " + joined.sql + " end)"}
		}
	}
	return joined, nil
}

// operand finds a field.
func (f *filter) operand(field string, op deviceops.FilterOp) (operand, error) {
	if x, ok := deviceFields[field]; ok && (x.kind != timeOperand || op == deviceops.FilterPresent) {
		return x, nil
	}
	if field == "tags" && op == deviceops.FilterHas {
		return operand{sql: "d.tags", certain: true}, nil
	}
	for prefix, x := range deviceMaps {
		name, ok := strings.CutPrefix(field, prefix)
		if !ok || op == deviceops.FilterHas {
			continue
		}
		if err := storable(name); err != nil {
			return operand{}, err
		}
		x.sql = strings.ReplaceAll(x.sql, "?", f.arg(name)+"::text")
		return x, nil
	}
	return operand{}, deviceops.Errorf(deviceops.EINVALID, "a filter asks %q of the field %q of a device, which cannot be said in a query", op, field)
}

// storable refuses texts that no text of the database can be.
func storable(s string) error {
	if utf8.ValidString(s) && !strings.ContainsRune(s, 0) {
		return nil
	}
	return deviceops.Errorf(deviceops.EINVALID, "a filter holds the text %q, which cannot be stored", s)
}

// about judges one field.
func (f *filter) about(x operand, tree deviceops.Filter) (predicate, error) {
	switch tree.Op {
	case deviceops.FilterPresent:
		if x.certain {
			return predicate{"true", true}, nil
		}
		return predicate{"(" + x.sql + " is not null)", true}, nil
	case deviceops.FilterTrue:
		if x.kind != jsonOperand {
			return x.unknown(), nil
		}
		return x.whereJSON("boolean", "x.v::boolean"), nil
	case deviceops.FilterIn:
		return f.oneOf(x, tree.Value)
	}
	c, err := constantOf(tree.Value)
	if err != nil {
		return predicate{}, err
	}
	switch tree.Op {
	case deviceops.FilterEq:
		return f.equals(x, c), nil
	case deviceops.FilterNe:
		p := f.equals(x, c)
		return predicate{"(not " + p.sql + ")", p.certain}, nil
	case deviceops.FilterHas:
		return f.has(x, c), nil
	case deviceops.FilterPrefix:
		return f.startsWith(x, c), nil
	case deviceops.FilterLt, deviceops.FilterLe, deviceops.FilterGt, deviceops.FilterGe:
		return f.ordered(x, tree.Op, c), nil
	}
	return predicate{}, deviceops.Errorf(deviceops.EINVALID, "there is no filter %q", tree.Op)
}

// constant is a value that fields are compared with.
type constant struct {
	value any    // string, int64, float64 or bool
	json  string // value as JSON
}

func (c constant) isText() bool { _, ok := c.value.(string); return ok }

func (c constant) isNumber() bool {
	switch c.value.(type) {
	case int64, float64:
		return true
	}
	return false
}

func constantOf(v any) (constant, error) {
	switch v := v.(type) {
	case string:
		if err := storable(v); err != nil {
			return constant{}, err
		}
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return constant{}, deviceops.Errorf(deviceops.EINVALID, "a filter compares with %v, which is no number", v)
		}
	case int64, bool:
	default:
		return constant{}, deviceops.Errorf(deviceops.EINVALID, "a filter compares with a value of type %T", v)
	}
	text, err := encode(v)
	return constant{v, string(text)}, err
}

// never is No wherever x has a value.
func (x operand) never() predicate {
	if x.certain {
		return predicate{"false", true}
	}
	return predicate{sql: "(case when " + x.sql + " is not null then false end)"}
}

// unknown cannot be judged, whatever x is. It names x all the same: every
// parameter has to be used.
func (x operand) unknown() predicate {
	return predicate{sql: "(case when " + x.sql + " is null then null::boolean end)"}
}

// whereJSON judges a JSON value x.v of one type by an expression; values of
// other types cannot be judged.
func (x operand) whereJSON(jsonType, expression string) predicate {
	return predicate{sql: "(select case jsonb_typeof(x.v) when '" + jsonType + "' then " + expression + " end from (select " + x.sql + " as v) x)"}
}

// text and number give a constant as a parameter. Numbers are compared as they
// are written, so that a value which float64 cannot hold is still itself.
func (f *filter) text(c constant) string   { return f.arg(c.value) + "::text" }
func (f *filter) number(c constant) string { return f.arg(c.json) + "::text::numeric" }

func (f *filter) equals(x operand, c constant) predicate {
	switch {
	case x.kind == jsonOperand:
		return predicate{sql: "(" + x.sql + " = " + f.arg(c.json) + "::text::jsonb)"}
	case x.kind == textOperand && c.isText():
		return predicate{"(" + x.sql + " = " + f.text(c) + ")", x.certain}
	case x.kind == integerOperand && c.isNumber():
		return predicate{"(" + x.sql + " = " + f.number(c) + ")", x.certain}
	}
	return x.never()
}

// oneOf judges whether x is one of a list of values. Values of another type than
// x are none of them.
func (f *filter) oneOf(x operand, v any) (predicate, error) {
	list, ok := v.([]any)
	if !ok {
		return predicate{}, deviceops.Errorf(deviceops.EINVALID, "a filter looks a value up in a %T", v)
	}
	texts, numbers, all := []string{}, []string{}, []string{}
	for _, item := range list {
		c, err := constantOf(item)
		if err != nil {
			return predicate{}, err
		}
		all = append(all, c.json)
		if s, ok := item.(string); ok {
			texts = append(texts, s)
		}
		if c.isNumber() {
			numbers = append(numbers, c.json)
		}
	}
	comparable, cast := all, "::text[]::jsonb[]"
	switch x.kind {
	case textOperand:
		comparable, cast = texts, "::text[]"
	case integerOperand:
		comparable, cast = numbers, "::text[]::numeric[]"
	}
	if len(comparable) == 0 { // SQL would say so even of what is missing
		return x.never(), nil
	}
	return predicate{"(" + x.sql + " = any(" + f.arg(comparable) + cast + "))", x.certain}, nil
}

// has judges whether the set x holds a text.
func (f *filter) has(x operand, c constant) predicate {
	if !c.isText() {
		return predicate{"false", true}
	}
	return predicate{"(" + x.sql + " @> array[" + f.text(c) + "])", true}
}

func (f *filter) startsWith(x operand, c constant) predicate {
	switch {
	case x.kind == jsonOperand && c.isText():
		return x.whereJSON("string", "starts_with(x.v #>> '{}', "+f.text(c)+")")
	case x.kind == textOperand && c.isText():
		return predicate{"starts_with(" + x.sql + ", " + f.text(c) + ")", x.certain}
	}
	return x.unknown()
}

// ordered compares texts by byte and numbers by size; nothing else has an order.
func (f *filter) ordered(x operand, op deviceops.FilterOp, c constant) predicate {
	comparison := " " + string(op) + " "
	switch {
	case x.kind == jsonOperand && c.isText():
		return x.whereJSON("string", `(x.v #>> '{}') collate "C"`+comparison+f.text(c))
	case x.kind == jsonOperand && c.isNumber():
		return x.whereJSON("number", "x.v::numeric"+comparison+f.number(c))
	case x.kind == textOperand && c.isText():
		return predicate{"(" + x.sql + ` collate "C"` + comparison + f.text(c) + ")", x.certain}
	case x.kind == integerOperand && c.isNumber():
		return predicate{"(" + x.sql + comparison + f.number(c) + ")", x.certain}
	}
	return x.unknown()
}
