package dsl

import (
	"slices"
	"time"

	"github.com/deviceops/deviceops"
)

// one translates the message or, with each, one item of it.
func (r *hearing) one(t *rule) error {
	when, err := r.moment(t.time)
	if err != nil {
		return err
	}
	for _, part := range []func(*rule, map[string]any) error{r.sayHello, r.sayStatus, r.sayReported, r.sayMetrics, r.sayEvents, r.sayHeartbeat} {
		if err := part(t, when); err != nil {
			return err
		}
	}
	return nil
}

func (r *hearing) say(leaf string, body, when map[string]any) {
	for k, v := range when {
		body[k] = v
	}
	r.heard.Said = append(r.heard.Said, deviceops.Said{Leaf: leaf, Body: body})
}

// optional evaluates an expression whose value may be missing; ok is then
// false, and the name is noted. An expression that is nil is not there.
func (r *hearing) optional(name string, e *Expression) (v any, ok bool, err error) {
	if e == nil {
		return nil, false, nil
	}
	v, err = r.eval(e)
	return r.there(name, v, err)
}

// there tells whether an evaluation gave a value. That it is missing is noted.
func (r *hearing) there(name string, v any, err error) (any, bool, error) {
	switch {
	case err != nil && !isMissing(err):
		return nil, false, deviceops.Errorf(deviceops.ErrorCode(err), "%s: %w", name, err)
	case v != nil && err == nil:
		return v, true, nil
	case !slices.Contains(r.heard.Missing, name):
		r.heard.Missing = append(r.heard.Missing, name)
	}
	return nil, false, nil
}

// filled evaluates what may hold templates. Of a map, what is missing is left out.
func (r *hearing) filled(name string, v *Value) (any, bool, error) {
	if v == nil || v.kind == literalValue {
		out, err := v.Eval(Env{})
		return out, err == nil, err
	}
	if v.kind != mapValue {
		out, err := v.Eval(Env{all: r.vars})
		return r.there(name, out, err)
	}
	out := make(map[string]any, len(v.fields))
	for _, f := range v.fields {
		value, ok, err := r.filled(name+"."+f.name, f.value)
		if err != nil {
			return nil, false, err
		}
		if ok {
			out[f.name] = value
		}
	}
	return out, true, nil
}

// text evaluates a template that gives a text; "" where it is missing.
func (r *hearing) text(name string, v *Value) (string, error) {
	out, ok, err := r.filled(name, v)
	if !ok {
		return "", err
	}
	return Format(out), nil
}

// values evaluates named expressions. Those without a value are left out.
func (r *hearing) values(around string, all []named) (map[string]any, error) {
	out := make(map[string]any, len(all))
	for _, n := range all {
		v, ok, err := r.optional(around+n.name, n.expr)
		if err != nil {
			return nil, err
		}
		if ok {
			out[n.name] = v
		}
	}
	return out, nil
}

// texts is values, as texts.
func (r *hearing) texts(around string, all []named) (map[string]any, error) {
	out, err := r.values(around, all)
	for name, v := range out {
		out[name] = Format(v)
	}
	return out, err
}

func (r *hearing) sayHello(t *rule, when map[string]any) error {
	if t.hello == nil {
		return nil
	}
	body, err := r.values("hello.", t.hello)
	if err != nil {
		return err
	}
	for _, name := range []string{"serial", "claim", "boot"} {
		if v, ok := body[name]; ok {
			body[name] = Format(v)
		}
	}
	software, err := r.texts("hello.software.", t.software)
	if len(software) > 0 {
		body["software"] = software
	}
	r.say("hello", body, when)
	return err
}

func (r *hearing) sayStatus(t *rule, when map[string]any) error {
	v, ok, err := r.optional("status", t.status)
	if !ok {
		return err
	}
	body := map[string]any{"status": v}
	if wake, ok, err := r.optional("wake_in", t.wakeIn); err != nil {
		return err
	} else if ok {
		body["wake_in"] = wake
	}
	r.say("status", body, when)
	return nil
}

func (r *hearing) sayHeartbeat(t *rule, when map[string]any) error {
	if !t.heartbeat {
		return nil
	}
	body := map[string]any{}
	v, ok, err := r.optional("heartbeat.uptime_s", t.uptime)
	if ok {
		body["uptime_s"] = v
	}
	r.say("heartbeat", body, when)
	return err
}

func (r *hearing) sayMetrics(t *rule, when map[string]any) error {
	metrics, err := r.values("metrics.", t.metrics)
	if len(metrics) > 0 {
		r.say("telemetry", map[string]any{"metrics": metrics}, when)
	}
	return err
}

func (r *hearing) sayReported(t *rule, when map[string]any) error {
	if t.reported == nil {
		return nil
	}
	body := map[string]any{}
	if v, ok, err := r.optional("reported.config_version", t.reported.configVersion); err != nil {
		return err
	} else if ok {
		body["config_version"] = v
	}
	software, err := r.texts("reported.software.", t.reported.software)
	if err != nil {
		return err
	}
	attributes, err := r.values("reported.attributes.", t.reported.attributes)
	for name, m := range map[string]map[string]any{"software": software, "attributes": attributes} {
		if len(m) > 0 {
			body[name] = m
		}
	}
	if len(body) > 0 {
		r.say("reported", body, when)
	}
	return err
}

func (r *hearing) sayEvents(t *rule, when map[string]any) error {
	for i := range t.events {
		e := &t.events[i]
		if e.when != nil {
			verdict, err := r.verdict(e.when)
			if err != nil {
				return err
			}
			if verdict != deviceops.Yes {
				continue
			}
		}
		body, err := r.event(e)
		if err != nil {
			return err
		}
		if body != nil {
			r.say("event", body, when)
		}
	}
	return nil
}

// event gives the body of an event; nil for one whose type is missing.
func (r *hearing) event(e *eventRule) (map[string]any, error) {
	kind, err := r.text("event.type", e.kind)
	if err != nil || kind == "" {
		return nil, err
	}
	body := map[string]any{"type": kind}
	severity, err := r.text("event.severity", e.severity)
	if err != nil {
		return nil, err
	}
	if severity != "" {
		body["severity"] = severity
	}
	data, ok, err := r.filled("event.data", e.data)
	if err != nil || !ok || data == nil {
		return body, err
	}
	m, isMap := data.(map[string]any)
	if !isMap {
		return nil, invalid("event.data: %s gives %s, where a map is needed", e.data, describe(data))
	}
	if len(m) > 0 {
		body["data"] = m
	}
	return body, nil
}

// moment gives the fields of a message that say when it happened; none where
// the device did not tell.
func (r *hearing) moment(s *stamp) (map[string]any, error) {
	if s == nil {
		return nil, nil
	}
	v, ok, err := r.optional("time", s.expr)
	if !ok {
		return nil, err
	}
	if s.unit == stampText {
		text, ok := v.(string)
		if _, err := time.Parse(time.RFC3339, text); !ok || err != nil {
			return nil, invalid("time: %s is no time as RFC 3339 writes it; for a number write time: { unix: ... } or { unix_ms: ... }", describe(v))
		}
		return map[string]any{"time": text}, nil
	}
	n, ok := toFloat(v)
	if !ok {
		return nil, invalid("time: %s is given, where a number is needed", describe(v))
	}
	return stampUnits[s.unit](n)
}

const stampText = "rfc3339"

// stampUnits make header fields of numbers, by unit.
var stampUnits = map[string]func(n float64) (map[string]any, error){
	"unix":    func(n float64) (map[string]any, error) { return unixTime(1000 * n) },
	"unix_ms": unixTime,
	"age_s":   func(n float64) (map[string]any, error) { return age(1000 * n) },
	"age_ms":  age,
}

// lastUnix is the end of the year 9999, in milliseconds since 1970.
const lastUnix = 253402300799999

func unixTime(ms float64) (map[string]any, error) {
	if ms < 0 || ms > lastUnix {
		return nil, invalid("time: the number is no time between 1970 and 9999: is it another unit?")
	}
	return map[string]any{"time": int64(ms)}, nil
}

func age(ms float64) (map[string]any, error) {
	if ms < 0 || ms > lastUnix {
		return nil, invalid("time: the number is no age: is it another unit?")
	}
	return map[string]any{"age_ms": int64(ms)}, nil
}
