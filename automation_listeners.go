package deviceops

import "strings"

// Demand is what an automation asks of an event so that its condition can hold: a
// value. It denies events in which another text, number or boolean stands there;
// where nothing does, or a list or a map, it has to be asked.
type Demand struct {
	Path  []string // in what expressions see as event, such as data, code
	Value any      // a string, a bool, an int64 or a float64
}

// Listeners finds which of many automations an event may concern, without asking
// each of them: those that demand a value of one field are found by it.
type Listeners struct {
	always []*Automation // that have to be asked of every event
	fields []demandedField
}

// demandedField is a field of which automations demand values.
type demandedField struct {
	path    []string
	all     []*Automation
	byValue map[any][]*Automation
}

// NewListeners makes Listeners of automations. Of several demands that one of them
// has, the one that fewest others share finds it.
func NewListeners(automations []*Automation) *Listeners {
	sharing := map[demandKey]int{}
	for _, a := range automations {
		for _, d := range a.Demands {
			sharing[d.key()]++
		}
	}
	l, places := &Listeners{}, map[string]int{}
	for _, a := range automations {
		rarest := -1
		for i, d := range a.Demands {
			if d.findable() && (rarest < 0 || sharing[d.key()] < sharing[a.Demands[rarest].key()]) {
				rarest = i
			}
		}
		if rarest < 0 || a.Wakes(false) { // to these, a no matters as well
			l.always = append(l.always, a)
		} else {
			l.add(a, a.Demands[rarest], places)
		}
	}
	return l
}

// add puts an automation where its demand finds it; places are those of fields.
func (l *Listeners) add(a *Automation, d Demand, places map[string]int) {
	key := d.key()
	place, known := places[key.path]
	if !known {
		place = len(l.fields)
		places[key.path] = place
		l.fields = append(l.fields, demandedField{path: d.Path, byValue: map[any][]*Automation{}})
	}
	f := &l.fields[place]
	f.all = append(f.all, a)
	f.byValue[key.value] = append(f.byValue[key.value], a)
}

// For gives the automations that an event may concern; all others deny it. The
// result must not be changed.
func (l *Listeners) For(e *Event) []*Automation {
	if l == nil {
		return nil
	}
	found := l.always
	for i := range l.fields {
		f := &l.fields[i]
		concerned := f.all
		if v := keyOf(e.fact(f.path)); v != nil {
			concerned = f.byValue[v]
		}
		switch {
		case len(concerned) == 0:
		case len(found) == 0:
			found = concerned
		default:
			found = append(found[:len(found):len(found)], concerned...)
		}
	}
	return found
}

type demandKey struct {
	path  string
	value any
}

func (d Demand) key() demandKey { return demandKey{strings.Join(d.Path, "\x00"), keyOf(d.Value)} }

// fact gives what expressions see of an event at a path; nil where that is not
// known here.
func (e *Event) fact(path []string) any {
	switch path[0] {
	case "data":
		return valueAt(e.Data, path[1:])
	case "device":
		return e.Device
	case "account":
		return e.Account
	case "severity":
		return e.Severity
	}
	return nil
}

// valueAt walks down maps. What is stored elsewhere is not looked into.
func valueAt(v any, path []string) any {
	for _, name := range path {
		m, ok := v.(map[string]any)
		if _, elsewhere := StoredIn(m); !ok || elsewhere {
			return nil
		}
		v = m[name]
	}
	return v
}

// wholeFloats is the number below which no two whole numbers are the same float.
const wholeFloats = 1 << 53

// keyOf gives a value as a key that equals that of a findable demand just
// where expressions take the two for equal; nil for what has none.
func keyOf(v any) any {
	switch v := v.(type) {
	case string, bool, float64:
		return v
	case int64:
		return float64(v)
	}
	return nil
}

// findable reports whether a demand can be met by looking.
func (d Demand) findable() bool {
	v := keyOf(d.Value)
	f, isNumber := v.(float64)
	return v != nil && len(d.Path) > 0 && (!isNumber || f > -wholeFloats && f < wholeFloats)
}
