package dsl

import (
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// Route is a compiled route: which events are forwarded, in which shape, where
// to. It is immutable and safe for concurrent use.
type Route struct {
	Name    string
	Version int    // as written; 0 when the server numbers
	Hash    string // hex SHA-256 of Source
	Source  string // canonical

	Description string
	Types       []string // types of events as deviceops.EventSelection has them, none twice
	Beginning   bool     // a target that is new begins at the oldest event that is kept, not at its publication
	UsesDevice  bool     // an expression reads facts of the device
	Targets     []RouteTarget

	where []*Expression // all have to hold; none: always
	shape *Value        // nil: the whole event
}

var routeKeys = []fieldSpec{
	{"route", textSchema("the name of the route")},
	{"version", integerSchema("left out, the server numbers", 1)},
	{"description", textSchema("what the route is for")},
	{"from", objectSchema("which events", []string{"events"}, routeFromKeys)},
	{"shape", valueSchema("what is sent of an event: a map with ${{ }} in it; a list sends each of its items, nothing sends none; left out: the whole event")},
	{"to", schema{"type": "array", "minItems": 1, "maxItems": maxRouteTargets, "items": routeTargetSchema(), "description": "where to; each target has a place of its own in the stream, and delays no other"}},
}

var routeFromKeys = []fieldSpec{
	{"events", schema{"type": "array", "minItems": 1, "items": schema{"type": "string", "pattern": `^(\*|[A-Za-z0-9._:-]+|[A-Za-z0-9._:-]+\.\*)$`}, "description": "types of events: device.battery, device.* for all that begin so, * for all"}},
	{"where", expressionSchema("a condition over event and device; what cannot be judged is not forwarded")},
	{"start", schema{"enum": words(routeStarts), "description": "where a target begins that is new: now, or the beginning of what is kept; left out: now"}},
}

var routeStarts = []string{"now", "beginning"}

// maxRouteTargets bounds the targets of a route.
const maxRouteTargets = 20

func routeSchema() schema {
	return objectSchema("which events are forwarded to other systems", []string{"route", "from", "to"}, routeKeys)
}

// routeEventType is what expressions of a route see as event.
var routeEventType = types.Map{
	"id": types.Int64, "type": types.String, "device": types.String, "account": types.String, "severity": types.String,
	"at": types.Any, "received_at": types.Any, "data": openMap,
}

// RouteFacts gives an event as expressions of a route see it, and as it is
// forwarded where nothing shapes it.
func RouteFacts(e deviceops.Event) map[string]any {
	facts := EventFacts(e)
	facts["id"], facts["received_at"] = e.ID, factTime(e.ReceivedAt)
	return facts
}

func readRoute(c *checker, out *Compiled) {
	o := c.object(c.doc.root, "a route", fieldNames(routeKeys)...)
	if o == nil {
		return
	}
	r := &Route{Hash: out.Hash, Source: out.Source}
	r.Name = c.name(o.get("route"), "the name of a route")
	if n := o.get("version"); n != nil {
		r.Version = c.version(n)
	}
	if n := o.get("description"); n != nil {
		r.Description, _ = c.text(n, "a description")
	}
	out.Name, out.Version, out.Route = r.Name, r.Version, r
	sc := newScope(types.Map{"event": routeEventType, "device": deviceType(nil)})
	if n := o.get("from"); n != nil {
		c.routeFrom(n, r, sc)
	} else {
		c.report(o.keys["route"], "missing-key", "add from: { events: [device.telemetry] }", "it is not said which events are forwarded")
	}
	if n := o.get("shape"); n != nil {
		r.shape = c.value(n, sc)
	}
	if n := o.get("to"); n != nil {
		c.routeTargets(n, r, sc)
	} else {
		c.report(o.keys["route"], "missing-key", "add to:, and below it - name: lake and http: { url: https://... }", "it is not said where events are forwarded to")
	}
	r.UsesDevice = sc.used.Device
}

func (c *checker) routeFrom(n *yaml.Node, r *Route, sc *scope) {
	o := c.object(n, "from", fieldNames(routeFromKeys)...)
	if o == nil {
		return
	}
	if v := o.get("events"); v != nil {
		r.Types = c.eventTypes(v)
	} else {
		c.report(n, "missing-key", "write events: [device.telemetry], or events: [\"*\"] for all", "from needs events")
	}
	if v := o.get("where"); v != nil {
		r.where = c.joined(v, "where", sc)
	}
	if v := o.get("start"); v != nil {
		r.Beginning = c.choice(v, "start", routeStarts...) == "beginning"
	}
}

// eventTypes reads types of events and prefixes of them.
func (c *checker) eventTypes(n *yaml.Node) []string {
	var kinds []string
	for _, text := range c.textList(n, "events", "write events: [device.telemetry]") {
		if !deviceops.ValidEventPattern(text) {
			c.report(c.itemOf(n, text), "bad-name", "write a type such as device.battery, device.* for all that begin so, or * for all",
				"the type of an event may have letters, digits and ._:-, and a * only after the last dot")
		}
		if slices.Contains(kinds, text) {
			c.report(c.itemOf(n, text), "repeated", "remove one of them", "%s stands here twice", text)
		}
		kinds = append(kinds, text)
	}
	return kinds
}

// Selects reports whether the route forwards events of a type at all.
func (r *Route) Selects(eventType string) bool {
	return deviceops.EventSelection{Types: r.Types}.Matches(eventType)
}

// Forwarding is what is sent of one event, to all targets alike.
type Forwarding struct {
	Event  deviceops.Event
	Values []any // canonical; none: the event is passed over
	env    Env
}

// Forward judges and shapes an event. device is that of the event, as it is now,
// or nil where none is known. EINVALID or EEXHAUSTED when an expression fails,
// which it will do again; a value that where needs and that is missing is no
// failure: the event is passed over.
func (r *Route) Forward(e deviceops.Event, device *deviceops.Device) (Forwarding, error) {
	f := Forwarding{Event: e, env: Env{Locals: map[string]any{"event": RouteFacts(e)}, Device: map[string]any{"id": e.Device}}}
	if device != nil {
		f.env.Device = DeviceFacts(device)
	}
	for _, part := range r.where {
		v, err := part.verdict(f.env.variables())
		if err != nil {
			return f, deviceops.Errorf(deviceops.ErrorCode(err), "where: %w", err)
		}
		if v != deviceops.Yes {
			return f, nil
		}
	}
	if r.shape == nil {
		f.Values = []any{RouteFacts(e)}
		return f, nil
	}
	shaped, err := r.shape.Eval(f.env)
	switch list, isList := shaped.([]any); {
	case err != nil:
		return f, deviceops.Errorf(deviceops.ErrorCode(err), "shape: %w", err)
	case isList:
		f.Values = list
	case shaped != nil:
		f.Values = []any{shaped}
	}
	return f, nil
}

// CompileRoute compiles the source of one published route.
func CompileRoute(source string) (*Route, Diagnostics) {
	compiled, found := compileOne(source, deviceops.KindRoute)
	return compiled.Route, found
}

// RouteRetry says how often and when a delivery that failed is tried again.
type RouteRetry struct {
	Times int           // then its events become dead letters; -1: never
	Min   time.Duration // pause before the first re-try
	Max   time.Duration // longest pause; the pause doubles from Min up to it
}

// Delay gives the pause before re-try n, from 1.
func (r RouteRetry) Delay(n int) time.Duration {
	return (&Retry{Min: r.Min, Max: r.Max}).Delay(n)
}

// Pause before a re-try where a route says nothing.
const (
	defaultRouteMin = time.Second
	defaultRouteMax = 5 * time.Minute
)

func (c *checker) routeRetry(n *yaml.Node) RouteRetry {
	r := RouteRetry{Times: -1, Min: defaultRouteMin, Max: defaultRouteMax}
	if n == nil {
		return r
	}
	o := c.object(n, "retry", fieldNames(routeRetryKeys)...)
	if o == nil {
		return r
	}
	if v := o.get("times"); v != nil {
		r.Times = c.integer(v, "times", 0, MaxRetries)
	}
	if v := o.get("delay"); v != nil {
		if r.Min, r.Max = c.delay(v); r.Min < time.Millisecond && isText(v) && !strings.Contains(v.Value, "${{") {
			c.report(v, "out-of-range", "write 1s..5m", "a pause is longer than nothing")
		}
	}
	return r
}

var routeRetryKeys = []fieldSpec{
	{"times", schema{"type": "integer", "minimum": 0, "maximum": MaxRetries, "description": "re-tries, after which the events become dead letters; left out: until the target takes them"}},
	{"delay", schema{"type": "string", "description": "pause before a re-try: 10s, or 1s..5m, which doubles from the first to the second; left out: 1s..5m"}},
}
