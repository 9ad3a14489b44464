package dsl

import (
	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

var profileKeys = []fieldSpec{
	{"profile", textSchema("the name of the device type")},
	{"description", textSchema("what these devices are")},
	{"attributes", mapOf("what is known of each device: names and types", typeSchema("description"))},
	{"commands", mapOf("what devices can be told to do", commandSchema())},
	{"metrics", mapOf("numbers and flags that devices report", typeSchema("min", "max", "description"))},
	{"heartbeat", objectSchema("how often a device reports", nil, heartbeatKeys)},
	{"wellness", objectSchema("when a device is degraded, and when its connection flaps", nil, wellnessKeys)},
	{"provision", objectSchema("what a new device gets before it becomes active", nil, provisionKeys)},
	{"translate", translateSchema()},
	{"guards", mapOf("conditions for entering a state, by state", expressionSchema(""))},
}

var commandKeys = []fieldSpec{
	{"args", mapOf("arguments: names and types", valueSchema(""))},
	{"result", mapOf("output: names and types", valueSchema(""))},
	{"idempotent", booleanSchema("doing it twice is the same as doing it once")},
	{"exclusive", booleanSchema("never runs together with another exclusive command on one device")},
	{"reboots", booleanSchema("the device restarts while doing it; makes it exclusive")},
	{"timeout", schema{"type": "string", "description": "how long an answer may take"}},
	{"send", objectSchema("how a device that knows only its own topics is told", []string{"topic"}, sendKeys)},
	{"reply", schema{"description": "how such a device answers; several ways as a list", "anyOf": []any{
		objectSchema("an answer", []string{"on"}, replyKeys), schema{"type": "array", "minItems": 1, "items": objectSchema("an answer", []string{"on"}, replyKeys)},
	}}},
	{"description", textSchema("what the command does")},
}

var heartbeatKeys = []fieldSpec{
	{"every", durationSchema("from 1s to 1d")},
	{"offline_after", integerSchema("missed heartbeats after which a device counts as offline", 1)},
}

// commandSchema allows nothing, too: `health:` declares a command without arguments.
func commandSchema() schema {
	return schema{"anyOf": []any{objectSchema("a command", nil, commandKeys), schema{"type": "null"}}}
}

func profileSchema() schema {
	return objectSchema("a device type", []string{"profile"}, profileKeys)
}

func readProfile(c *checker, out *Compiled) {
	o := c.object(c.doc.root, "a profile", fieldNames(profileKeys)...)
	if o == nil {
		return
	}
	p := &deviceops.Profile{
		Hash: out.Hash, Attributes: map[string]string{}, Commands: map[string]deviceops.CommandSpec{},
		Metrics: map[string]deviceops.MetricSpec{}, Heartbeat: deviceops.DefaultHeartbeat, Wellness: deviceops.DefaultWellness,
		Guards: map[deviceops.State]deviceops.DevicePredicate{}, GuardSources: map[deviceops.State]string{},
	}
	p.Name = c.name(o.get("profile"), "the name of a profile")
	out.Name, out.Profile = p.Name, p
	readers := map[string]func(*yaml.Node, *deviceops.Profile){
		"description": func(n *yaml.Node, _ *deviceops.Profile) { c.text(n, "a description") },
		"attributes":  c.attributes, "commands": c.commands, "metrics": c.metrics,
		"heartbeat": c.heartbeat, "provision": c.provision,
	}
	for _, key := range o.order {
		if read := readers[key]; read != nil {
			read(o.get(key), p)
		}
	}
	c.translation(o, p)
	// Last what uses attributes and metrics.
	if n := o.get("wellness"); n != nil {
		c.wellness(n, p)
	}
	if n := o.get("guards"); n != nil {
		c.guards(n, p)
	}
}

func (c *checker) attributes(n *yaml.Node, p *deviceops.Profile) {
	o := c.names(n, "attributes")
	if o == nil {
		return
	}
	for _, name := range o.order {
		c.word(o.keys[name], "the name of an attribute")
		d, ok := c.declaration(o.get(name), "the attribute "+name)
		if !ok {
			continue
		}
		switch d.Kind {
		case TypeString, TypeInteger, TypeNumber, TypeBoolean:
			p.Attributes[name] = string(d.Kind)
		default:
			c.report(o.get(name), "bad-type", "write string, integer, number or boolean", "an attribute is a text, number or boolean")
		}
	}
}

func (c *checker) metrics(n *yaml.Node, p *deviceops.Profile) {
	o := c.names(n, "metrics")
	if o == nil {
		return
	}
	for _, name := range o.order {
		c.word(o.keys[name], "the name of a metric")
		d, ok := c.declaration(o.get(name), "the metric "+name)
		if !ok {
			continue
		}
		switch d.Kind {
		case TypeInteger, TypeNumber, TypeBoolean:
			p.Metrics[name] = deviceops.MetricSpec{Type: string(d.Kind), Min: d.Min, Max: d.Max}
		default:
			c.report(o.get(name), "bad-type", "write number, number 0..100, integer or boolean", "a metric is a number or boolean")
		}
	}
}

func (c *checker) heartbeat(n *yaml.Node, p *deviceops.Profile) {
	o := c.object(n, "heartbeat", fieldNames(heartbeatKeys)...)
	if o == nil {
		return
	}
	if v := o.get("every"); v != nil {
		p.Heartbeat.Every = c.duration(v, "every")
		if every := p.Heartbeat.Every; every != 0 && (every < minHeartbeat || every > maxHeartbeat) {
			c.report(v, "out-of-range", "write 60s, for example", "a heartbeat comes every %s to %s", FormatDuration(minHeartbeat), FormatDuration(maxHeartbeat))
		}
	}
	if v := o.get("offline_after"); v != nil {
		p.Heartbeat.OfflineAfter = c.integer(v, "offline_after", 1, 1000)
	}
}

func (c *checker) commands(n *yaml.Node, p *deviceops.Profile) {
	o := c.names(n, "commands")
	if o == nil {
		return
	}
	for _, name := range o.order {
		if !deviceops.ValidID(name) {
			c.report(o.keys[name], "bad-name", "write a name such as reboot", "the name of a command may have letters, digits and ._:-, at most %d", deviceops.MaxIDLength)
			continue
		}
		if spec, ok := c.command(name, o.get(name)); ok {
			p.Commands[name] = spec
		}
	}
}

func (c *checker) command(name string, n *yaml.Node) (deviceops.CommandSpec, bool) {
	spec := deviceops.CommandSpec{Name: name, Prepare: refuseArguments(name)}
	if reserved, ok := deviceops.ReservedCommand(name); ok {
		spec.Idempotent, spec.Exclusive, spec.Reboots = reserved.Idempotent, reserved.Exclusive, reserved.Reboots
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return spec, true // `health:` alone declares a command without arguments
	}
	o := c.object(n, "the command "+name, fieldNames(commandKeys)...)
	if o == nil {
		return spec, false
	}
	c.commandFlags(o, &spec)
	if v := o.get("args"); v != nil {
		c.commandArgs(v, &spec)
	}
	if v := o.get("result"); v != nil {
		if s, _ := c.fieldsSchema(v, "result", true, false); s != nil {
			spec.Result = mustJSON(s)
		}
	}
	return spec, true
}

func (c *checker) commandFlags(o *object, spec *deviceops.CommandSpec) {
	flags := map[string]*bool{"idempotent": &spec.Idempotent, "exclusive": &spec.Exclusive, "reboots": &spec.Reboots}
	for _, key := range sortedKeys(flags) {
		if n := o.get(key); n != nil {
			*flags[key] = c.boolean(n, key)
		}
	}
	if spec.Reboots && !o.has("exclusive") {
		spec.Exclusive = true
	}
	if n := o.get("timeout"); n != nil {
		spec.Timeout = c.duration(n, "timeout")
	}
	if n := o.get("description"); n != nil {
		c.text(n, "a description")
	}
}

func (c *checker) commandArgs(n *yaml.Node, spec *deviceops.CommandSpec) {
	s, defaults := c.fieldsSchema(n, "args", false, true)
	if s == nil {
		return
	}
	spec.ArgsSchema = mustJSON(s)
	prepare, err := prepareFunc(spec.Name, spec.ArgsSchema, defaults)
	if err != nil {
		c.report(n, "bad-type", "", "these arguments cannot be checked: %s", firstLine(err.Error()))
		return
	}
	spec.Prepare = prepare
}

func (c *checker) guards(n *yaml.Node, p *deviceops.Profile) {
	o := c.entries(n, "guards")
	if o == nil {
		return
	}
	states := stateNames()
	sc := newScope(types.Map{"device": deviceType(p)})
	for _, name := range o.order {
		if !contains(states, name) {
			c.report(o.keys[name], "unknown-state", orElse(fixWrite("", closest(name, states)), "use one of "+joinNames(states)),
				"there is no state %q%s", name, didYouMean(name, states))
			continue
		}
		e := c.expression(o.get(name), "a guard", sc, wantPredicate)
		p.Guards[deviceops.State(name)] = devicePredicate(e)
		p.GuardSources[deviceops.State(name)] = e.Source
	}
}
