package deviceops

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// unreadyText says which of the facts that a condition asks about keep a device
// from being ready: "battery_pct is 18: ready wants device.metrics.battery_pct >
// 30".
func unreadyText(c *Condition, d *Device) string {
	var facts, wants []string
	if c.Filter != nil {
		for _, f := range unmet(*c.Filter, d) {
			wants = append(wants, f.String())
			for _, field := range f.fields() {
				facts = append(facts, factText(field, d))
			}
		}
	}
	if len(facts) == 0 { // only the condition itself can tell
		for _, field := range deviceField.FindAllStringSubmatch(c.Source, -1) {
			facts = append(facts, factText(field[1], d))
		}
		wants = []string{c.Source}
	}
	slices.Sort(facts)
	return strings.TrimPrefix(strings.Join(slices.Compact(facts), ", ")+": ready wants "+strings.Join(wants, " and "), ": ")
}

// deviceField finds the fields of a device that an expression names.
var deviceField = regexp.MustCompile(`\bdevice((?:\??\.[A-Za-z_]\w*)+)`)

// factText says what a field of a device is.
func factText(field string, d *Device) string {
	field = strings.TrimPrefix(strings.ReplaceAll(field, "?", ""), ".")
	name := field[strings.LastIndexByte(field, '.')+1:]
	value, known := fieldOf(d, field)
	if !known {
		return name + " is not known"
	}
	return fmt.Sprintf("%s is %v", name, value)
}

// fieldOf gives the value of a field of a device by its path.
func fieldOf(d *Device, field string) (value any, known bool) {
	group, key, _ := strings.Cut(field, ".")
	switch group {
	case "state":
		return string(d.State), true
	case "profile":
		return d.Profile, true
	case "account":
		return d.Account, true
	case "id":
		return d.ID, true
	case "serial":
		return d.Serial, true
	case "parent":
		return d.Parent, true
	case "zone":
		return d.Zone, true
	case "connectivity":
		return string(d.Session.Connectivity), true
	case "tags":
		return d.Tags, true
	case "labels":
		return lookUp(d.Labels, key)
	case "attributes":
		return lookUp(d.Attributes, key)
	case "metrics":
		return lookUp(d.Metrics, key)
	case "reported":
		return twinField(d.Twin.Reported.Software, d.Twin.Reported.Attributes, "config_version", d.Twin.Reported.ConfigVersion, key)
	case "desired":
		return twinField(d.Twin.Desired.Software, d.Twin.Desired.Configuration, "version", d.Twin.Desired.Version, key)
	default:
		return nil, false
	}
}

func lookUp[V any](m map[string]V, key string) (any, bool) {
	v, ok := m[key]
	return v, ok
}

// twinField gives a field of one side of a twin: a component's version, a
// number, or what is in its other map.
func twinField(software map[string]string, others map[string]any, number string, n int64, field string) (any, bool) {
	group, key, _ := strings.Cut(field, ".")
	switch group {
	case number:
		return n, true
	case "software":
		return lookUp(software, key)
	default:
		return lookUp(others, key)
	}
}

// unmet gives the comparisons of a filter that keep a device from meeting it.
func unmet(f Filter, d *Device) []Filter {
	if f.judge(d) == Yes {
		return nil
	}
	switch f.Op {
	case FilterAnd, FilterOr:
		var all []Filter
		for _, arg := range f.Args {
			all = append(all, unmet(arg, d)...)
		}
		return all
	default:
		return []Filter{f}
	}
}

// fields gives the fields that a filter looks at.
func (f Filter) fields() []string {
	if f.Field != "" {
		return []string{f.Field}
	}
	var fields []string
	for _, arg := range f.Args {
		fields = append(fields, arg.fields()...)
	}
	return fields
}

// judge tells whether a device meets a filter, as far as it can say so: what it
// cannot compare is Unknown.
func (f Filter) judge(d *Device) Verdict {
	switch f.Op {
	case FilterAll:
		return Yes
	case FilterAnd:
		return firstNot(f.Args, d, Yes)
	case FilterOr:
		return firstNot(f.Args, d, No)
	case FilterNot:
		return [...]Verdict{Unknown: Unknown, No: Yes, Yes: No}[f.Args[0].judge(d)]
	}
	value, known := fieldOf(d, f.Field)
	if f.Op == FilterPresent {
		return verdictOf(known)
	}
	if !known {
		return Unknown
	}
	return f.compare(value)
}

// firstNot gives the first verdict of filters that is another than v, else v.
func firstNot(filters []Filter, d *Device, v Verdict) Verdict {
	for _, f := range filters {
		if got := f.judge(d); got != v {
			return got
		}
	}
	return v
}

func verdictOf(b bool) Verdict {
	if b {
		return Yes
	}
	return No
}

func (f Filter) compare(value any) Verdict {
	switch f.Op {
	case FilterIn:
		list, _ := f.Value.([]any)
		return verdictOf(slices.ContainsFunc(list, func(v any) bool { order, ok := compareValues(value, v); return ok && order == 0 }))
	case FilterHas:
		tags, _ := value.([]string)
		text, _ := f.Value.(string)
		return verdictOf(slices.Contains(tags, text))
	case FilterPrefix:
		text, isText := value.(string)
		prefix, _ := f.Value.(string)
		if !isText {
			return Unknown
		}
		return verdictOf(strings.HasPrefix(text, prefix))
	case FilterTrue:
		holds, isBoolean := value.(bool)
		if !isBoolean {
			return Unknown
		}
		return verdictOf(holds)
	}
	order, ok := compareValues(value, f.Value)
	switch {
	case !ok && (f.Op == FilterEq || f.Op == FilterNe):
		return verdictOf(f.Op == FilterNe) // values of two kinds are not equal
	case !ok:
		return Unknown
	}
	return verdictOf(map[FilterOp]bool{
		FilterEq: order == 0, FilterNe: order != 0, FilterLt: order < 0, FilterLe: order <= 0, FilterGt: order > 0, FilterGe: order >= 0,
	}[f.Op])
}

// compareValues orders two values of one kind.
func compareValues(a, b any) (order int, ok bool) {
	an, aIs := numberOf(a)
	bn, bIs := numberOf(b)
	if aIs && bIs {
		return cmp.Compare(an, bn), true
	}
	switch a := a.(type) {
	case string:
		b, same := b.(string)
		return strings.Compare(a, b), same
	case bool:
		b, same := b.(bool)
		return cmp.Compare(verdictOf(a), verdictOf(b)), same
	default:
		return 0, false
	}
}

func numberOf(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case int:
		return float64(v), true
	default:
		return 0, false
	}
}

// String writes a filter as an expression over `device`.
func (f Filter) String() string {
	field := "device." + f.Field
	switch f.Op {
	case FilterAll:
		return "true"
	case FilterAnd, FilterOr:
		joined := map[FilterOp]string{FilterAnd: " && ", FilterOr: " || "}[f.Op]
		texts := make([]string, len(f.Args))
		for i, arg := range f.Args {
			texts[i] = arg.String()
		}
		return "(" + strings.Join(texts, joined) + ")"
	case FilterNot:
		if text := f.Args[0].String(); strings.HasPrefix(text, "(") || !strings.Contains(text, " ") {
			return "!" + text
		}
		return "!(" + f.Args[0].String() + ")"
	case FilterHas:
		return fmt.Sprintf("%s in %s", literal(f.Value), field)
	case FilterPresent:
		return field + " != nil"
	case FilterPrefix:
		return fmt.Sprintf("%s startsWith %s", field, literal(f.Value))
	case FilterTrue:
		return field
	case FilterEq:
		if f.Value == true {
			return field
		}
	}
	return fmt.Sprintf("%s %s %s", field, f.Op, literal(f.Value))
}

// literal writes a value as expressions do.
func literal(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("%q", v)
	case []any:
		texts := make([]string, len(v))
		for i, item := range v {
			texts[i] = literal(item)
		}
		return "[" + strings.Join(texts, ", ") + "]"
	default:
		return fmt.Sprint(v)
	}
}
