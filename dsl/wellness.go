package dsl

import (
	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

var wellnessKeys = []fieldSpec{
	{"degraded", degradedSchema()},
	{"for", durationSchema("how long that has to hold to count, and then not to hold; left out: 5m")},
	{"flap", flapSchema()},
}

var flapKeys = []fieldSpec{
	{"changes", integerSchema("so many changes to or from offline; left out: 5", 2)},
	{"within", durationSchema("within this time; left out: 10m")},
	{"quiet", durationSchema("without a change for this time it is stable again; left out: 15m")},
}

// maxReasons bounds the conditions of a profile.
const maxReasons = 20

func degradedSchema() schema {
	return schema{"description": "a condition over device, or several by the names of their reasons", "anyOf": []any{
		expressionSchema(""), schema{"type": "object", "minProperties": 1, "maxProperties": maxReasons, "additionalProperties": expressionSchema("")},
	}}
}

func flapSchema() schema {
	return schema{"description": "when a device flaps, and its connectivity is told no more; false: never", "anyOf": []any{
		schema{"const": false}, objectSchema("", nil, flapKeys),
	}}
}

func (c *checker) wellness(n *yaml.Node, p *deviceops.Profile) {
	o := c.object(n, "wellness", fieldNames(wellnessKeys)...)
	if o == nil {
		return
	}
	w := &p.Wellness
	if v := o.get("degraded"); v != nil {
		w.Degraded = c.degraded(v, newScope(types.Map{"device": deviceType(p)}))
	}
	if v := o.get("for"); v != nil {
		w.For = c.duration(v, "for")
		if !o.has("degraded") {
			c.report(o.keys["for"], "no-meaning", "add degraded:, or remove it", "for says how long a condition holds, and there is none")
		}
	}
	if v := o.get("flap"); v != nil {
		w.Flap = c.flap(v, w.Flap)
	}
}

// degraded reads one condition, or several with names.
func (c *checker) degraded(n *yaml.Node, sc *scope) []deviceops.DegradedReason {
	if n.Kind != yaml.MappingNode {
		e := c.expression(n, "degraded", sc, wantPredicate)
		return []deviceops.DegradedReason{{Name: e.Source, Holds: devicePredicate(e)}}
	}
	o := c.entries(n, "degraded")
	if o == nil {
		return nil
	}
	if len(o.order) == 0 || len(o.order) > maxReasons {
		c.report(n, "out-of-range", "write degraded: { disk: device.metrics.disk_free_pct < 10 }", "degraded has 1 to %d conditions, and this has %d", maxReasons, len(o.order))
	}
	var reasons []deviceops.DegradedReason
	for _, name := range o.order {
		c.word(o.keys[name], "the name of a reason")
		e := c.expression(o.get(name), "degraded."+name, sc, wantPredicate)
		reasons = append(reasons, deviceops.DegradedReason{Name: name, Holds: devicePredicate(e)})
	}
	return reasons
}

// flap reads when a device flaps; what is left out is as it is.
func (c *checker) flap(n *yaml.Node, f deviceops.FlapPolicy) deviceops.FlapPolicy {
	if n.Kind == yaml.ScalarNode {
		if c.boolean(n, "flap") {
			c.report(n, "bad-argument", "remove it, or write flap: { changes: 5, within: 10m, quiet: 15m }", "damping is on without being asked for")
		}
		return deviceops.FlapPolicy{}
	}
	o := c.object(n, "flap", fieldNames(flapKeys)...)
	if o == nil {
		return f
	}
	if v := o.get("changes"); v != nil {
		f.Changes = c.integer(v, "changes", 2, deviceops.MaxFlapChanges)
	}
	if v := o.get("within"); v != nil {
		f.Within = c.positive(v, "within")
	}
	if v := o.get("quiet"); v != nil {
		f.Quiet = c.positive(v, "quiet")
	}
	return f
}
