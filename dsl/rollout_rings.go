package dsl

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

var ringKeys = []fieldSpec{
	{"name", textSchema("the name of the ring")},
	{"take", amountSchema("at most so many devices, or so many percent of all that are targeted at the start; left out: all that are left")},
	{"where", expressionSchema("a condition over device: who may be in the ring")},
	{"tags", schema{"type": "array", "minItems": 1, "items": textSchema(""), "description": "tags that a device of the ring has, all of them; short for where"}},
	{"soak", durationSchema("how long the ring is watched after its last device is through")},
	{"gate", described(gateSchema(), "what decides on this ring, in place of the rollout's gate")},
	{"approve", described(planApprovalSchema(), "who agrees before the ring begins")},
}

func ringsSchema() schema {
	return schema{
		"type": "array", "minItems": 1, "maxItems": MaxRings, "items": objectSchema("a ring", []string{"name"}, ringKeys),
		"description": "one after the other; left out: one ring with all devices",
	}
}

// amountSchema describes a number of devices, or a share of them.
func amountSchema(description string) schema {
	return schema{"description": description, "anyOf": []any{
		schema{"type": "integer", "minimum": 1}, schema{"type": "string", "pattern": `^\d+(\.\d+)?%$`},
	}}
}

const ringFix = "write - { name: canary, take: 10, soak: 30m }"

func (m *manifest) rings(n *yaml.Node) {
	items := m.list(n, "rings", ringFix)
	if n.Kind == yaml.SequenceNode && len(items) == 0 {
		m.report(n, "empty-list", ringFix, "there is no ring")
	}
	if len(items) > MaxRings {
		m.report(items[MaxRings], "too-large", "take larger rings", "there are %d rings; at most %d are allowed", len(items), MaxRings)
		return
	}
	r := ringReader{manifest: m, lines: map[string]int{}}
	for _, item := range items {
		r.ring(item)
	}
	if len(r.read) > 0 {
		m.spec.Rings = r.read
	}
}

// ringReader reads rings one after the other.
type ringReader struct {
	*manifest
	read    []deviceops.RingSpec
	lines   map[string]int // of the names
	percent float64        // taken so far
	rest    string         // the ring that takes all that are left; "": none so far
}

func (r *ringReader) ring(n *yaml.Node) {
	o := r.object(n, "a ring", fieldNames(ringKeys)...)
	if o == nil {
		return
	}
	var ring deviceops.RingSpec
	r.ringName(o, &ring)
	if r.rest != "" {
		r.report(orNode(o.keys["name"], n), "ring-after-rest", "move it above "+r.rest+", or say with take: how many "+r.rest+" takes",
			"no device is left for this ring: %s takes all that are left", r.rest)
	}
	if v := o.get("take"); v != nil {
		r.take(v, &ring)
	}
	r.members(o, &ring)
	if v := o.get("soak"); v != nil {
		ring.Soak = r.duration(v, "soak")
	}
	if v := o.get("gate"); v != nil {
		ring.Gate = r.gate(v, gateOfRing, len(r.read))
	}
	if v := o.get("approve"); v != nil {
		ring.Approve = r.planApproval(v)
	}
	if !o.has("take") && ring.Where == nil && !o.has("where") && !o.has("tags") {
		r.rest = ring.Name
	}
	r.read = append(r.read, ring)
}

func orNode(n, other *yaml.Node) *yaml.Node {
	if n != nil {
		return n
	}
	return other
}

func (r *ringReader) ringName(o *object, ring *deviceops.RingSpec) {
	n := o.get("name")
	if n == nil {
		r.report(o.node, "missing-key", "add name: canary", "a ring needs a name")
		return
	}
	ring.Name = r.name(n, "the name of a ring")
	if line, twice := r.lines[ring.Name]; twice && ring.Name != "" {
		r.report(n, "duplicate-name", "rename one of them", "there are two rings %s; the first is in line %d", ring.Name, line)
		return
	}
	r.lines[ring.Name] = n.Line + r.doc.offset
}

var percentText = regexp.MustCompile(`^(\d+(?:\.\d+)?)\s*%$`)

// take reads 10 or 10%.
func (r *ringReader) take(n *yaml.Node, ring *deviceops.RingSpec) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!int" {
		ring.Take = r.integer(n, "take", 1, maxInFlight)
		return
	}
	percent, ok := r.percentOf(n, "take")
	if !ok {
		return
	}
	ring.Percent = percent
	r.percent += percent
	if r.percent > 100 {
		r.report(n, "rings-over-all", "take less, or leave take: out of the last ring", "the rings up to this one take %s%% of the devices", Format(r.percent))
	}
}

// percentOf reads a share above 0 and up to 100 %.
func (c *checker) percentOf(n *yaml.Node, what string) (float64, bool) {
	match := percentText.FindStringSubmatch(n.Value)
	if !isText(n) || match == nil {
		c.report(n, "wrong-type", "write a number of devices, such as 10, or a share, such as 10%", "%s must be a whole number or a percentage, and this is %s", what, c.shown(n))
		return 0, false
	}
	percent, err := strconv.ParseFloat(match[1], 64)
	if err != nil || percent <= 0 || percent > 100 {
		c.report(n, "out-of-range", "write 10%, for example", "%s must be above 0%% and at most 100%%", what)
		return 0, false
	}
	return percent, true
}

// shown names a node for messages, a text by what it says.
func (c *checker) shown(n *yaml.Node) string {
	if isText(n) {
		return quoteShort(n.Value)
	}
	return kindOf(n)
}

// members reads who may be in the ring: where, or tags, or both.
func (r *ringReader) members(o *object, ring *deviceops.RingSpec) {
	if v := o.get("where"); v != nil {
		ring.Where = r.deviceCondition(v, "where")
	}
	v := o.get("tags")
	if v == nil {
		return
	}
	tags := r.textList(v, "tags", "write tags: [canary]")
	if len(tags) == 0 {
		return
	}
	var parts []string
	for _, tag := range tags {
		parts = append(parts, formatJSON(tag)+" in device.tags")
	}
	if o.has("where") {
		if ring.Where == nil {
			return
		}
		parts = append(parts, "("+ring.Where.Source+")")
	}
	sc := newScope(types.Map{"device": deviceType(r.profile)})
	if e, problems := compileExpression(strings.Join(parts, " && "), sc, wantPredicate); len(problems) == 0 {
		ring.Where = r.conditionOf(e)
	} else {
		r.report(v, problems[0].code, "write fewer", "these tags make a condition that is too long")
	}
}

// textList reads a list of texts, of which there has to be one.
func (c *checker) textList(n *yaml.Node, what, fix string) []string {
	items := c.list(n, what, fix)
	if n.Kind == yaml.SequenceNode && len(items) == 0 {
		c.report(n, "empty-list", fix, "%s holds nothing", what)
	}
	var texts []string
	for _, item := range items {
		if s, ok := c.text(item, what); ok {
			texts = append(texts, s)
		}
	}
	return texts
}
