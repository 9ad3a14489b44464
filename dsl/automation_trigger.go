package dsl

import (
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// TriggerKind is what an automation listens to.
type TriggerKind string

// Kinds of triggers.
const (
	TriggerEvent    TriggerKind = "event"                // something that a device or the engine said
	TriggerState    TriggerKind = "state"                // a device entered a state
	TriggerOffline  TriggerKind = "offline"              // a device was offline for a time
	TriggerEnters   TriggerKind = "enters"               // a device came into an area
	TriggerLeaves   TriggerKind = "leaves"               // a device went out of an area
	TriggerSchedule TriggerKind = deviceops.CallSchedule // a time
	TriggerWebhook  TriggerKind = deviceops.CallWebhook  // another system called
	TriggerManual   TriggerKind = deviceops.CallManual   // a person pressed the button
)

// Trigger is what an automation listens to. Of its fields those of its kind are
// set.
type Trigger struct {
	Kind     TriggerKind
	Event    string              // TriggerEvent: the type of event
	State    deviceops.State     // TriggerState: that a device enters
	Schedule *deviceops.Schedule // TriggerSchedule
	Webhook  *deviceops.Webhook  // TriggerWebhook

	Fence  deviceops.Fence // TriggerEnters, TriggerLeaves: the area
	Margin float64         // around it, in meters, where a device is neither in nor out
}

// EventType gives the type of the events that the trigger listens to; "" where
// the caller chooses it.
func (t Trigger) EventType() string {
	switch t.Kind {
	case TriggerState:
		return deviceops.EventDeviceState
	case TriggerOffline:
		return deviceops.EventDeviceConnectivity
	case TriggerEnters, TriggerLeaves:
		return deviceops.EventPlace
	case TriggerSchedule:
		return deviceops.EventSchedule
	case TriggerManual:
		return deviceops.EventManual
	}
	return t.Event
}

// called reports whether the trigger is a call: nothing that holds, and may end.
func (t Trigger) called() bool {
	return t.Kind == TriggerSchedule || t.Kind == TriggerWebhook || t.Kind == TriggerManual
}

// aboutDevice reports whether what the trigger listens to can be about a device.
func (t Trigger) aboutDevice() bool { return t.Kind != TriggerSchedule && t.Kind != TriggerWebhook }

func (t Trigger) fenced() bool { return t.Kind == TriggerEnters || t.Kind == TriggerLeaves }

// denies reports whether an event says, by the trigger itself, that the
// condition does not hold.
func (t Trigger) denies(event map[string]any) bool {
	data := dataOf(event)
	switch t.Kind {
	case TriggerState:
		return data["to"] != string(t.State)
	case TriggerOffline:
		return data["to"] != string(deviceops.Offline)
	case TriggerEnters, TriggerLeaves:
		return !t.crossing(data).holds
	}
	return false
}

var triggerKeys = []fieldSpec{
	{"event", textSchema("the type of event, such as device.battery")},
	{"state", schema{"enum": stateNames(), "description": "a device enters this state"}},
	{"offline", durationSchema("a device has been offline for this time")},
	{"enters", fenceSchema("a device comes into this area; with for: it stays there as long")},
	{"leaves", fenceSchema("a device goes out of this area; with for: it stays away as long")},
	{"schedule", scheduleSchema()},
	{"webhook", webhookTriggerSchema()},
	{"manual", schema{"const": true, "description": "a person starts it"}},
	{"where", expressionSchema("a condition over event and device")},
	{"for", durationSchema("the condition must hold this long")},
	{"gap", durationSchema("without a sample for this long, nobody knows whether it held; left out: three heartbeats of the device, and at least 3m")},
}

// triggerKinds are the keys of which a trigger has one.
var triggerKinds = []string{"event", "state", "offline", "enters", "leaves", "schedule", "webhook", "manual"}

func triggerSchema() schema {
	s := objectSchema("what the automation listens to", nil, triggerKeys)
	var one []any
	for _, kind := range triggerKinds {
		one = append(one, schema{"required": []string{kind}})
	}
	s["oneOf"] = one
	return s
}

func (c *checker) trigger(n *yaml.Node, a *Automation) {
	o := c.object(n, "a trigger", fieldNames(triggerKeys)...)
	if o == nil {
		return
	}
	var given []string
	for _, kind := range triggerKinds {
		if o.has(kind) {
			given = append(given, kind)
		}
	}
	switch {
	case len(given) == 0:
		c.report(n, "missing-key", "add one of "+joinNames(triggerKinds), "it is not said what the automation listens to")
		return
	case len(given) > 1:
		c.report(o.keys[given[1]], "two-triggers", "write an automation for each", "a trigger listens to one thing, and this names %s", strings.Join(given, " and "))
		return
	}
	a.Trigger.Kind = TriggerKind(given[0])
	c.triggerValue(o.get(given[0]), a)
	c.condition(o, a)
}

// triggerValue reads what stands beside the key that names the kind.
func (c *checker) triggerValue(n *yaml.Node, a *Automation) {
	t := &a.Trigger
	switch t.Kind {
	case TriggerEvent:
		t.Event = c.eventType(n)
	case TriggerState:
		t.State = c.state(n)
	case TriggerOffline:
		a.Window.For, a.Window.Gap = c.positive(n, "offline"), MaxDuration
	case TriggerEnters, TriggerLeaves:
		c.fence(n, t)
		a.Window.Once, a.Window.Gap = true, MaxDuration // a device says nothing while it stands still
	case TriggerSchedule:
		t.Schedule = c.schedule(n)
	case TriggerWebhook:
		t.Webhook = c.webhookTrigger(n, a.Name)
	case TriggerManual:
		if !c.boolean(n, "manual") && n.Tag == "!!bool" {
			c.report(n, "bad-argument", "write manual: true", "a trigger that is not manual listens to something else")
		}
	}
}

func (c *checker) eventType(n *yaml.Node) string {
	s, ok := c.text(n, "the type of an event")
	if ok && !deviceops.ValidID(s) {
		c.report(n, "bad-name", "write a type such as device.battery", "the type of an event may have letters, digits and ._:-")
	}
	return s
}

func (c *checker) state(n *yaml.Node) deviceops.State {
	s, ok := c.text(n, "a state")
	if states := stateNames(); ok && !contains(states, s) {
		c.report(n, "unknown-state", orElse(fixWrite("", closest(s, states)), "use one of "+joinNames(states)), "there is no state %q%s", s, didYouMean(s, states))
	}
	return deviceops.State(s)
}

// condition reads where, for and gap.
func (c *checker) condition(o *object, a *Automation) {
	if n := o.get("where"); n != nil {
		a.where = c.joined(n, "where", occasionScope(a, false))
		a.demands = demandsOf(a.where)
	}
	for _, key := range []string{"for", "gap"} {
		if n := o.get(key); n != nil && !c.mayHold(o.keys[key], key, a) {
			return
		}
	}
	if n := o.get("for"); n != nil {
		a.Window.For = c.positive(n, "for")
		if a.Trigger.Kind == TriggerState { // the device says nothing while it stays in its state
			a.Window.Gap = MaxDuration
		}
	}
	if n := o.get("gap"); n != nil {
		a.Window.Gap = c.positive(n, "gap")
		if !o.has("for") {
			c.report(o.keys["gap"], "no-meaning", "add for:, or remove it", "gap says when a hold is broken off, and there is none")
		}
	}
}

// mayHold reports for and gap at a trigger to which they say nothing.
func (c *checker) mayHold(key *yaml.Node, name string, a *Automation) bool {
	switch {
	case a.Trigger.Kind == TriggerOffline:
		c.report(key, "no-meaning", "write the time beside offline: itself", "%s has no meaning with offline", name)
	case a.Trigger.Kind == TriggerSchedule || a.Trigger.Kind == TriggerManual:
		c.report(key, "no-meaning", "remove it", "%s has no meaning with %s: there is nothing that could hold", name, a.Trigger.Kind)
	case a.Trigger.fenced() && name == "gap":
		c.report(key, "no-meaning", "remove it", "gap has no meaning with %s: a device says nothing while it stands still", a.Trigger.Kind)
	case a.Trigger.Kind == TriggerState && name == "gap":
		c.report(key, "no-meaning", "remove it", "gap has no meaning with state: a device says nothing while it stays in one")
	default:
		return true
	}
	return false
}

// eventFactType is what the expressions of an automation see of an event, by what
// the automation listens to.
func eventFactType(kind TriggerKind) types.Map {
	facts := types.Map{
		"type": types.String, "device": types.String, "account": types.String, "severity": types.String,
		"at": types.Any, "data": openMap,
	}
	switch kind {
	case TriggerWebhook:
		facts["id"], facts["source"], facts["subject"], facts["attributes"] = types.String, types.String, types.String, openMap
	case TriggerManual:
		facts["by"], facts["reason"] = types.String, types.String
	}
	return facts
}

// occasionScope gives what expressions of an automation may use; collected tells
// whether the samples of collect are among it.
func occasionScope(a *Automation, collected bool) *scope {
	event := eventFactType(a.Trigger.Kind)
	env := types.Map{"event": event}
	if a.Trigger.aboutDevice() {
		env["device"] = deviceType(nil)
	}
	if collected && a.Window.Collect.AtLeast > 0 {
		env["events"] = types.Array(event)
	}
	return newScope(env)
}

// conjuncts splits a condition that was compiled before at its outermost &&.
func conjuncts(source string) []string {
	tree, err := parser.ParseWithConfig(source, baseConfig)
	if err != nil {
		return []string{source}
	}
	nodes := conjunctsOf(tree.Node)
	if len(nodes) == 1 {
		return []string{source}
	}
	parts := make([]string, len(nodes))
	for i, n := range nodes {
		parts[i] = n.String()
	}
	return parts
}

// conjunctsOf gives the parts of a condition that its outermost && join.
func conjunctsOf(n ast.Node) []ast.Node {
	if and, ok := n.(*ast.BinaryNode); ok && (and.Operator == "&&" || and.Operator == "and") {
		return append(conjunctsOf(and.Left), conjunctsOf(and.Right)...)
	}
	return []ast.Node{n}
}
