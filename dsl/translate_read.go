package dsl

import (
	"regexp"

	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

const maxRules = 200

// translate reads the rules of a profile. Commands and metrics were read.
func (c *checker) translate(n *yaml.Node, t *translation, p *deviceops.Profile) {
	items := c.list(n, "translate", "write its rules as - on: acme/{device}/telemetry")
	if len(items) > maxRules {
		c.report(n, "too-large", "split the profile", "there are %d rules; at most %d are allowed", len(items), maxRules)
		return
	}
	for _, item := range items {
		t.rules = append(t.rules, c.rule(item, t, p))
	}
}

func (c *checker) rule(n *yaml.Node, t *translation, p *deviceops.Profile) rule {
	r := rule{}
	o := c.object(n, "a rule", fieldNames(translateKeys)...)
	if o == nil || !c.needs(o, "a rule", "on") {
		return r
	}
	sc := c.origin(o, &r.origin)
	if v := o.get("ignore"); v != nil {
		r.ignore = c.boolean(v, "ignore")
	}
	if v := o.get("dedupe"); v != nil {
		r.dedupe = c.expression(v, "dedupe", sc, wantAny)
	}
	if v := o.get("each"); v != nil {
		r.each = c.expression(v, "each", sc, wantList)
		sc = sc.with("item", types.Any)
	} else {
		sc = sc.with("item", r.decode.shape())
	}
	c.presence(o, &r, sc)
	c.measures(o, &r, sc, p)
	t.usesFacts = t.usesFacts || sc.used.Device
	if !r.ignore && !o.has("hello") && !o.has("status") && !o.has("heartbeat") && !o.has("metrics") && !o.has("event") && !o.has("reported") {
		c.report(o.keys["on"], "empty-rule", "add metrics:, event:, reported:, status:, hello: or heartbeat:, or ignore: true", "this rule says nothing of what the message means")
	}
	return r
}

// origin reads what rules and replies share, and gives what their expressions
// may use.
func (c *checker) origin(o *object, into *origin) *scope {
	into.on = c.topicFilter(o.get("on"), "the topic")
	into.decode = c.decoder(o.get("decode"))
	sc := newScope(types.Map{"payload": into.decode.shape(), "topic": types.Array(types.String), "device": deviceType(nil)})
	sc.notices = true
	if v := o.get("device"); v != nil {
		into.device = c.expression(v, "device", sc.without("device"), wantAny)
	} else if into.on.device < 0 && into.on.levels != nil {
		c.report(o.get("on"), "no-device", "write {device} for the level that is the id, or add device: and an expression", "nothing tells whose topic this is")
	}
	if v := o.get("when"); v != nil {
		into.when = c.expression(v, "when", sc, wantPredicate)
	}
	if v := o.get("retained"); v != nil {
		into.retained = c.boolean(v, "retained")
	}
	return sc
}

func (c *checker) decoder(n *yaml.Node) decoder {
	switch {
	case n == nil:
		return jsonDecoder{}
	case n.Kind == yaml.MappingNode:
		return c.longDecoder(n)
	}
	switch n.Value {
	case "json":
		return jsonDecoder{}
	case "cbor":
		return cborDecoder{}
	case "text":
		return &textDecoder{}
	}
	c.report(n, "bad-decode", "write json, cbor, text, { text: ... } or { bytes: [...] }", "there is no such way to read a payload")
	return jsonDecoder{}
}

func (c *checker) longDecoder(n *yaml.Node) decoder {
	o := c.object(n, "decode", fieldNames(decodeKeys)...)
	if o == nil || o.has("text") == o.has("bytes") {
		c.report(n, "bad-decode", "write { text: { pattern: ... } } or { bytes: [...] }", "decode has text or bytes, one of them")
		return jsonDecoder{}
	}
	if v := o.get("bytes"); v != nil {
		return c.layout(v)
	}
	return c.textParts(o.get("text"))
}

func (c *checker) textParts(n *yaml.Node) decoder {
	d := &textDecoder{}
	o := c.object(n, "text", fieldNames(textKeys)...)
	switch {
	case o == nil:
		return d
	case o.has("pattern") == o.has("split") || o.has("names") != o.has("split"):
		c.report(n, "bad-decode", `write { pattern: '^T=(?P<temp>[\d.]+)' } or { split: ";", names: [temp, battery] }`, "a text has a pattern, or a separator with the names of the parts")
	case o.has("pattern"):
		c.pattern(o.get("pattern"), d)
	default:
		d.split, _ = c.text(o.get("split"), "split")
		if d.split == "" {
			c.report(o.get("split"), "bad-decode", `write split: ";"`, "split is empty")
		}
		for _, name := range c.list(o.get("names"), "names", "write it as [temp, battery]") {
			c.word(name, "the name of a part")
			d.names = append(d.names, name.Value)
		}
	}
	return d
}

func (c *checker) pattern(n *yaml.Node, d *textDecoder) {
	text, ok := c.text(n, "pattern")
	if !ok {
		return
	}
	pattern, err := regexp.Compile(text)
	if err != nil {
		c.report(n, "bad-decode", "", "the pattern cannot be used: %s", firstLine(err.Error()))
		return
	}
	d.pattern, d.names = pattern, pattern.SubexpNames()
	for _, name := range d.names {
		if name != "" {
			return
		}
	}
	c.report(n, "bad-decode", `name the parts, as in ^T=(?P<temp>[\d.]+)`, "the pattern has no named groups")
}

// presence reads what a rule says of the device being there.
func (c *checker) presence(o *object, r *rule, sc *scope) {
	if v := o.get("time"); v != nil {
		r.time = c.stamp(v, sc)
	}
	if v := o.get("hello"); v != nil {
		r.hello, r.software = c.hello(v, sc)
	}
	if v := o.get("status"); v != nil {
		r.status = c.expression(v, "status", sc, wantText)
	}
	if v := o.get("wake_in"); v != nil {
		r.wakeIn = c.expression(v, "wake_in", sc, wantNumber)
		if r.status == nil {
			c.report(o.keys["wake_in"], "missing-key", "add status:", "wake_in belongs to status")
		}
	}
	v := o.get("heartbeat")
	switch {
	case v == nil:
	case v.Kind == yaml.MappingNode:
		r.heartbeat = true
		if h := c.object(v, "heartbeat", fieldNames(heartbeatRuleKeys)...); h != nil && h.has("uptime_s") {
			r.uptime = c.expression(h.get("uptime_s"), "uptime_s", sc, wantNumber)
		}
	default:
		r.heartbeat = c.boolean(v, "heartbeat")
	}
}

func (c *checker) stamp(n *yaml.Node, sc *scope) *stamp {
	if n.Kind != yaml.MappingNode {
		return &stamp{expr: c.expression(n, "time", sc, wantText), unit: stampText}
	}
	o := c.object(n, "time", fieldNames(stampKeys)...)
	if o == nil || len(o.order) != 1 {
		c.report(n, "bad-time", "write time: { unix: payload.ts }, for example", "a time has one unit: %s", joinNames(fieldNames(stampKeys)))
		return nil
	}
	unit := o.order[0]
	return &stamp{expr: c.expression(o.get(unit), unit, sc, wantNumber), unit: unit}
}

func (c *checker) hello(n *yaml.Node, sc *scope) (fields, software []named) {
	o := c.object(n, "hello", fieldNames(helloKeys)...)
	fields = []named{}
	if o == nil {
		return fields, nil
	}
	for _, key := range o.order {
		if key == "software" {
			software = c.named(o.get(key), "software", sc)
			continue
		}
		fields = append(fields, named{key, c.expression(o.get(key), key, sc, wantAny)})
	}
	return fields, software
}

// named reads a map of names and expressions.
func (c *checker) named(n *yaml.Node, what string, sc *scope) []named {
	o := c.names(n, what)
	if o == nil {
		return nil
	}
	var all []named
	for _, name := range o.order {
		if !deviceops.ValidID(name) {
			c.report(o.keys[name], "bad-name", "write a name such as temp_c", "a name in %s may have letters, digits and ._:-", what)
			continue
		}
		all = append(all, named{name, c.expression(o.get(name), what+"."+name, sc, wantAny)})
	}
	return all
}

// measures reads what a rule takes out of a message besides presence.
func (c *checker) measures(o *object, r *rule, sc *scope, p *deviceops.Profile) {
	if v := o.get("metrics"); v != nil {
		r.metrics = c.named(v, "metrics", sc)
		c.knownMetrics(v, p)
	}
	if v := o.get("event"); v != nil && v.Kind == yaml.SequenceNode {
		for _, item := range v.Content {
			r.events = append(r.events, c.eventRule(item, sc))
		}
	} else if v != nil {
		r.events = []eventRule{c.eventRule(v, sc)}
	}
	if v := o.get("reported"); v != nil {
		r.reported = c.reported(v, sc)
	}
}

func (c *checker) knownMetrics(n *yaml.Node, p *deviceops.Profile) {
	if len(p.Metrics) == 0 {
		return
	}
	known := sortedKeys(p.Metrics)
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i]; !contains(known, key.Value) {
			c.report(key, "unknown-metric", orElse(fixWrite("", closest(key.Value, known)), "declare it under metrics:"),
				"the profile has no metric %q%s", key.Value, didYouMean(key.Value, known))
		}
	}
}

func (c *checker) eventRule(n *yaml.Node, sc *scope) eventRule {
	e := eventRule{}
	o := c.object(n, "an event", fieldNames(eventRuleKeys)...)
	if o == nil || !c.needs(o, "an event", "type") {
		return e
	}
	if v := o.get("if"); v != nil {
		e.when = c.expression(v, "if", sc, wantPredicate)
	}
	e.kind = c.textValue(o.get("type"), "the type of an event", sc)
	if v := o.get("severity"); v != nil {
		e.severity = c.textValue(v, "severity", sc)
	}
	switch v := o.get("data"); {
	case v == nil:
	case isText(v) && loneTemplate.MatchString(v.Value):
		e.data = c.templateFor(v, sc, wantMap)
	case c.entries(v, "data") != nil:
		e.data = c.value(v, sc)
	}
	return e
}

func (c *checker) reported(n *yaml.Node, sc *scope) *reportedRule {
	r := &reportedRule{}
	o := c.object(n, "reported", fieldNames(reportedKeys)...)
	if o == nil {
		return r
	}
	if v := o.get("config_version"); v != nil {
		r.configVersion = c.expression(v, "config_version", sc, wantNumber)
	}
	if v := o.get("software"); v != nil {
		r.software = c.named(v, "software", sc)
	}
	if v := o.get("attributes"); v != nil {
		r.attributes = c.named(v, "attributes", sc)
	}
	return r
}

// translation reads all that a profile says of devices that know only their own
// topics: rules, and in its commands send and reply.
func (c *checker) translation(o *object, p *deviceops.Profile) {
	commands := &object{}
	if n := o.get("commands"); n != nil && n.Kind == yaml.MappingNode {
		commands = c.entries(n, "commands")
	}
	rules := o.get("translate")
	if rules == nil {
		c.untranslated(commands)
		return
	}
	t := &translation{sends: map[string]*send{}}
	for _, name := range commands.order {
		if spec, ok := p.Commands[name]; ok {
			c.commandTranslation(name, commands.get(name), t, spec)
		}
	}
	c.translate(rules, t, p)
	p.Translation = t
	c.unreachable(o, p)
}

// untranslated reports commands with send or reply in a profile without rules.
func (c *checker) untranslated(commands *object) {
	for _, name := range commands.order {
		n := commands.get(name)
		for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
			if key := n.Content[i]; key.Value == "send" || key.Value == "reply" {
				c.report(key, "no-translation", "add translate: and what its devices say, or remove "+key.Value+":",
					"devices of this profile speak the device protocol, since it translates nothing")
			}
		}
	}
}

// unreachable reports what the profile wants of devices that they cannot be
// told.
func (c *checker) unreachable(o *object, p *deviceops.Profile) {
	if n := o.get("provision"); n != nil && len(p.Provision.Configuration) > 0 && !p.Takes(deviceops.CommandConfigure) {
		c.report(n, "no-configure", "add the command configure with send: and reply:, or remove configuration:", "the devices cannot be told their configuration")
	}
	for component, s := range p.Provision.Software {
		if s.Install != nil && !p.Takes(deviceops.CommandInstall) {
			c.report(o.get("provision"), "no-install", "add the command install with send: and reply:, or remove install:", "the devices cannot be told to install %s", component)
		}
	}
}

// proof reads how a device proves what it is.
func (c *checker) proof(n *yaml.Node) string {
	text, _ := c.text(n, "proof")
	if text != deviceops.ProofClaim && text != deviceops.ProofTopic {
		c.report(n, "bad-proof", "write claim or topic", "a device proves what it is by its claim or by its topics")
	}
	return text
}
