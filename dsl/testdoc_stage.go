package dsl

import (
	"slices"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

var testDeviceKeys = []fieldSpec{
	{"profile", textSchema("left out: that of the input it is given to")},
	{"account", textSchema("")}, {"serial", textSchema("")}, {"parent", textSchema("")}, {"zone", textSchema("an IANA zone")},
	{"state", schema{"enum": stateNames(), "description": "left out: active"}},
	{"connectivity", textSchema("left out: online")}, {"wellness", textSchema("left out: well")},
	{"tags", schema{"type": "array", "items": textSchema("")}},
	{"place", placeSchema("where it is")},
	{"labels", schema{"type": "object"}}, {"attributes", schema{"type": "object"}}, {"metrics", schema{"type": "object"}},
	{"software", schema{"type": "object", "description": "what the device reported: components and versions"}},
	{"configuration", schema{"type": "object", "description": "what is desired of it"}},
}

func testDeviceSchema() schema {
	return objectSchema("a device as it is at the beginning", nil, testDeviceKeys)
}

func (c *checker) testDevices(n *yaml.Node, one *TestCase) {
	o := c.names(n, "devices")
	if o == nil {
		return
	}
	for _, id := range o.order {
		c.deviceID(o.keys[id])
		if d, ok := c.testDevice(id, o.get(id)); ok {
			d.Place = c.place(o.keys[id])
			one.Devices[id] = d
		}
	}
}

func (c *checker) testDevice(id string, n *yaml.Node) (TestDevice, bool) {
	d := TestDevice{Device: deviceops.Device{ID: id, Serial: id, Account: deviceops.RootAccount, State: deviceops.Active}}
	d.Session.Connectivity = deviceops.Online
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return d, true
	}
	o := c.object(n, "a device", fieldNames(testDeviceKeys)...)
	if o == nil {
		return d, false
	}
	texts := map[string]*string{
		"profile": &d.Profile, "account": &d.Account, "serial": &d.Serial, "parent": &d.Parent, "zone": &d.Zone,
		"connectivity": (*string)(&d.Session.Connectivity), "wellness": (*string)(&d.Wellness.Status),
	}
	for _, key := range o.order {
		if to := texts[key]; to != nil {
			*to, _ = c.text(o.get(key), key)
		}
	}
	if p, known := c.opts.profile(d.Profile); d.Profile != "" && known && p == nil {
		c.report(o.get("profile"), "unknown-name", "publish the profile, or put it into this file", "there is no profile %q", d.Profile)
	}
	c.deviceMaps(o, &d.Device)
	return d, true
}

func (c *checker) deviceMaps(o *object, d *deviceops.Device) {
	if n := o.get("state"); n != nil {
		d.State = c.state(n)
	}
	if n := o.get("place"); n != nil {
		if p, ok := c.placeOf(n); ok {
			d.Place = &p
		}
	}
	if n := o.get("tags"); n != nil {
		for _, item := range c.list(n, "tags", "write it as [critical]") {
			tag, _ := c.text(item, "a tag")
			d.Tags = append(d.Tags, tag)
		}
	}
	maps := map[string]*map[string]any{"attributes": &d.Attributes, "metrics": &d.Metrics, "configuration": &d.Twin.Desired.Configuration}
	texts := map[string]*map[string]string{"labels": &d.Labels, "software": &d.Twin.Reported.Software}
	for _, key := range o.order {
		if to := maps[key]; to != nil {
			*to = c.constantMap(o.get(key), key)
		}
		if to := texts[key]; to != nil {
			*to = c.textMap(o.get(key), key)
		}
	}
}

func (c *checker) textMap(n *yaml.Node, what string) map[string]string {
	o := c.entries(n, what)
	if o == nil {
		return nil
	}
	out := map[string]string{}
	for _, key := range o.order {
		out[key], _ = c.text(o.get(key), what+"."+key)
	}
	return out
}

var mockAnswerKeys = []fieldSpec{
	{"output", valueSchema("what the call gives")},
	{"error", schema{"description": "how the call fails: a text, or code, message, retryable, data"}},
	{"rejected", schema{"description": "how a device refuses the command: a text, or code, message, data"}},
	{"silent", schema{"const": true, "description": "no answer comes"}},
	{"after", durationSchema("how long the answer takes; left out: no time")},
}

func mockSchema() schema {
	answer := objectSchema("an answer", nil, mockAnswerKeys)
	return schema{"anyOf": []any{answer, schema{"type": "array", "minItems": 1, "items": answer}}, "description": "one answer, or one for each call; the last is given from then on"}
}

func (c *checker) mocks(n *yaml.Node, one *TestCase) {
	o := c.names(n, "mocks")
	if o == nil {
		return
	}
	for _, name := range o.order {
		m := Mock{Place: c.place(o.keys[name])}
		items := listOrOne(o.get(name))
		if len(items) == 0 {
			c.report(o.get(name), "missing-key", "write an answer such as { output: {} }", "a list of answers holds at least one")
			continue
		}
		for _, item := range items {
			m.Answers = append(m.Answers, c.mockAnswer(name, item))
		}
		one.Mocks[name] = m
	}
}

func (c *checker) mockAnswer(name string, n *yaml.Node) MockAnswer {
	var a MockAnswer
	o := c.object(n, "an answer of "+name, fieldNames(mockAnswerKeys)...)
	if o == nil {
		return a
	}
	if v := o.get("output"); v != nil {
		a.Output = Canonical(c.constant(v))
		c.mockOutput(name, v, a.Output)
	}
	for _, key := range []string{"error", "rejected"} {
		if v := o.get(key); v != nil {
			a.Error, a.Rejected = c.mockError(v), key == "rejected"
		}
	}
	if v := o.get("silent"); v != nil {
		a.Silent = c.boolean(v, "silent")
	}
	if v := o.get("after"); v != nil {
		a.After = c.duration(v, "after")
	}
	if given := o.amongst("output", "error", "rejected", "silent"); len(given) > 1 {
		c.report(o.keys[given[1]], "two-answers", "write a list of two answers, or keep one of them", "an answer is one thing, and this is %s and %s", given[0], given[1])
	}
	return a
}

// amongst gives the keys of a list that are given, in the order of the list.
func (o *object) amongst(keys ...string) []string {
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !o.has(key) })
}

func (c *checker) mockError(n *yaml.Node) *Failure {
	if n.Kind == yaml.MappingNode {
		c.object(n, "an error", "code", "message", "retryable", "data")
	}
	f := FailureOf(Canonical(c.constant(n)))
	if f.Message == "the workflow failed" {
		f.Message = "the mock says " + f.Code
	}
	return &f
}

// mockOutput compares an output with what a profile of the file declares.
func (c *checker) mockOutput(name string, n *yaml.Node, output any) {
	for _, profile := range sortedKeys(c.opts.local) {
		spec, err := c.opts.local[profile].Command(name)
		if err != nil || len(spec.Result) == 0 {
			continue
		}
		if err := validateJSON(spec.Result, output); err != nil {
			c.report(n, "bad-output", "", "the profile %s declares another result of %s: %s", profile, name, err)
		}
		return
	}
}

var testEventKeys = []fieldSpec{
	{"at", durationSchema("when it comes in")},
	{"age", durationSchema("how long before that it happened")},
	{"every", durationSchema("with times: it comes again and again")},
	{"times", integerSchema("how often it comes", 1)},
	{"event", textSchema("the type of event")},
	{"state", schema{"enum": stateNames(), "description": "the device enters this state"}},
	{"offline", schema{"const": true, "description": "the device goes offline"}},
	{"online", schema{"const": true, "description": "the device comes back"}},
	{"metrics", schema{"type": "object", "description": "the device reports these"}},
	{"place", placeSchema("the device says that it is here")},
	{"schedule", textSchema("the time of this automation has come")},
	{"webhook", textSchema("another system calls by this name")},
	{"manual", textSchema("a person starts this automation")},
	{"type", textSchema("of a webhook: the type of its CloudEvent; left out: the name of the webhook")},
	{"by", textSchema("of manual: who it is")},
	{"device", textSchema("which device says it")},
	{"severity", textSchema("")},
	{"data", schema{"type": "object"}},
}

// happenings are the keys of which an event has one.
var happenings = []string{"event", "state", "offline", "online", "metrics", "place", "schedule", "webhook", "manual"}

func testEventSchema() schema {
	return objectSchema("something that happens", []string{"at"}, testEventKeys)
}

// maxTimes bounds how often one event comes.
const maxTimes = 10_000

func (c *checker) testEvents(n *yaml.Node, one *TestCase) {
	for _, item := range c.list(n, "events", "write each event below it as - { at: 0m, event: TYPE, device: k1 }") {
		o := c.object(item, "an event", fieldNames(testEventKeys)...)
		if o == nil {
			continue
		}
		e, ok := c.testEvent(o)
		if !ok {
			continue
		}
		every, times := c.repetition(o)
		for i := range times {
			again := e
			again.At += time.Duration(i) * every
			one.Events = append(one.Events, again)
		}
	}
	slices.SortStableFunc(one.Events, func(a, b TestEvent) int { return int(a.At - b.At) })
}

func (c *checker) repetition(o *object) (every time.Duration, times int) {
	if !o.has("every") && !o.has("times") {
		return 0, 1
	}
	if !o.has("every") || !o.has("times") {
		c.report(o.node, "missing-key", "write every: 1m, times: 10", "every and times go together")
		return 0, 1
	}
	return c.positive(o.get("every"), "every"), c.integer(o.get("times"), "times", 1, maxTimes)
}

func (c *checker) testEvent(o *object) (TestEvent, bool) {
	e := TestEvent{Place: c.place(o.node)}
	if n := o.get("at"); n != nil {
		e.At = c.duration(n, "at")
	} else {
		c.report(o.node, "missing-key", "add at: 0m", "it is not said when the event comes in")
	}
	if n := o.get("age"); n != nil {
		e.Age = c.duration(n, "age")
	}
	e.Event = deviceops.Event{Account: deviceops.RootAccount, Severity: "info"}
	if n := o.get("device"); n != nil {
		e.Event.Device = c.deviceID(n)
	}
	if n := o.get("severity"); n != nil {
		e.Event.Severity, _ = c.text(n, "a severity")
	}
	if n := o.get("data"); n != nil {
		e.Event.Data = c.constantMap(n, "data")
	}
	given := o.amongst(happenings...)
	if len(given) != 1 {
		c.report(o.node, "missing-key", "write one of "+joinNames(happenings), "an event says what happens, one thing")
		return e, false
	}
	c.happening(given[0], o.get(given[0]), &e)
	c.caller(o, &e)
	if e.Event.Device == "" && !contains([]string{"event", "schedule", "webhook", "manual"}, given[0]) {
		c.report(o.node, "missing-key", "add device: k1", "it is not said to which device it happens")
	}
	return e, true
}

// happening turns what happens into the event that says so.
func (c *checker) happening(kind string, n *yaml.Node, e *TestEvent) {
	switch kind {
	case "event":
		e.Event.Type = c.eventType(n)
	case "state":
		e.Event.Type, e.Event.Data = deviceops.EventDeviceState, map[string]any{"to": string(c.state(n))}
	case "offline", "online":
		c.boolean(n, kind)
		e.Event.Type, e.Event.Data = deviceops.EventDeviceConnectivity, map[string]any{"to": kind}
	case "metrics":
		e.Metrics = c.constantMap(n, "metrics")
		e.Event.Type, e.Event.Data = deviceops.EventTelemetry, e.Metrics
	case "place":
		e.Event.Type = deviceops.EventPlace
		if p, ok := c.placeOf(n); ok {
			e.Event.Data = map[string]any{"latitude": p.Latitude, "longitude": p.Longitude}
		}
	case deviceops.CallSchedule, deviceops.CallWebhook, deviceops.CallManual:
		name := c.name(n, "the name of the "+kind)
		e.Event.Type = orElse(Trigger{Kind: TriggerKind(kind)}.EventType(), name)
		e.Event.Call = &deviceops.Call{Kind: kind, Name: name}
	}
}

// caller reads what is said of a call besides: by whom, or of which type.
func (c *checker) caller(o *object, e *TestEvent) {
	call := e.Event.Call
	for key, kind := range map[string]string{"type": deviceops.CallWebhook, "by": deviceops.CallManual} {
		switch n := o.get(key); {
		case n == nil:
		case call == nil || call.Kind != kind:
			c.report(o.keys[key], "no-meaning", "remove it", "%s goes with %s", key, kind)
		case key == "type":
			e.Event.Type = c.eventType(n)
		default:
			call.By, _ = c.text(n, key)
		}
	}
}
