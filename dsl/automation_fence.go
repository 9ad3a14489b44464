package dsl

import (
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// crossing is what an event tells of a device and a fence.
type crossing struct {
	holds  bool // it is where the trigger wants it
	arms   bool // before, it was on the other side
	silent bool // it is too near to the border to tell, and came from there
}

// crossing judges the places of an event. Around the area lies a margin where a
// device is neither in nor out, so that one that stands at the border, or a
// receiver that errs, does not go in and out again and again.
func (t Trigger) crossing(data map[string]any) crossing {
	is, known := placeIn(data)
	if !known {
		return crossing{silent: true}
	}
	in, out := t.sides(is)
	var c crossing
	before, _ := data["from"].(map[string]any)
	if was, known := placeIn(before); known {
		wasIn, wasOut := t.sides(was)
		c.arms = t.Kind == TriggerLeaves && wasIn || t.Kind == TriggerEnters && wasOut
	}
	c.holds = t.Kind == TriggerLeaves && out || t.Kind == TriggerEnters && in
	c.silent = !in && !out && !c.arms
	return c
}

func (t Trigger) sides(p deviceops.Place) (in, out bool) {
	beyond := t.Fence.Beyond(p)
	return beyond == 0, beyond > t.Margin
}

func placeIn(data map[string]any) (p deviceops.Place, ok bool) {
	var also bool
	p.Latitude, ok = toFloat(data["latitude"])
	p.Longitude, also = toFloat(data["longitude"])
	return p, ok && also && p.Valid()
}

func dataOf(event map[string]any) map[string]any {
	data, _ := event["data"].(map[string]any)
	return data
}

// defaultMargin is what receivers err by in a street.
const defaultMargin = 25

var fenceKeys = []fieldSpec{
	{"circle", schema{"type": "array", "minItems": 3, "maxItems": 3, "items": schema{"type": "number"}, "description": "[latitude, longitude, meters]"}},
	{"polygon", schema{"type": "array", "minItems": 3, "maxItems": maxCorners, "items": placeSchema(""), "description": "its corners, [latitude, longitude] each"}},
	{"margin", schema{"type": "number", "minimum": 0, "description": "meters around the area in which a device is neither in nor out; left out: 25"}},
}

func fenceSchema(says string) schema {
	s := objectSchema(says, nil, fenceKeys)
	s["oneOf"] = []any{schema{"required": []string{"circle"}}, schema{"required": []string{"polygon"}}}
	return s
}

func placeSchema(says string) schema {
	s := schema{"type": "array", "minItems": 2, "maxItems": 2, "items": schema{"type": "number"}}
	if says != "" {
		s["description"] = says + ": [latitude, longitude]"
	}
	return s
}

const fixFence = "write { circle: [53.5461, 9.9661, 250] } or { polygon: [[53.53, 9.9], [53.54, 9.98], [53.51, 10.02]] }"

func (c *checker) fence(n *yaml.Node, t *Trigger) {
	o := c.object(n, string(t.Kind), fieldNames(fenceKeys)...)
	if o == nil {
		return
	}
	t.Margin = defaultMargin
	if v := o.get("margin"); v != nil {
		if m := c.numbers(v, "margin", 1, "write meters, such as 25"); m != nil {
			if t.Margin = m[0]; t.Margin < 0 {
				c.report(v, "out-of-range", "write meters, such as 25", "a margin is not less than 0")
			}
		}
	}
	if o.has("circle") == o.has("polygon") {
		c.report(n, "missing-key", fixFence, "an area is a circle or a polygon, one of them")
		return
	}
	if v := o.get("circle"); v != nil {
		c.circle(v, &t.Fence)
		return
	}
	c.polygon(o.get("polygon"), &t.Fence)
}

func (c *checker) circle(n *yaml.Node, f *deviceops.Fence) {
	parts := c.numbers(n, "circle", 3, "write circle: [latitude, longitude, meters]")
	if parts == nil {
		return
	}
	f.Center, f.Radius = deviceops.Place{Latitude: parts[0], Longitude: parts[1]}, parts[2]
	if !f.Center.Valid() || f.Radius <= 0 {
		c.report(n, "out-of-range", "write circle: [latitude, longitude, meters]", "a circle has a latitude from -90 to 90, a longitude from -180 to 180 and a radius above 0")
	}
}

func (c *checker) polygon(n *yaml.Node, f *deviceops.Fence) {
	corners := c.list(n, "polygon", "write polygon: [[53.53, 9.9], [53.54, 9.98], [53.51, 10.02]]")
	if corners == nil {
		return
	}
	if len(corners) < 3 || len(corners) > maxCorners {
		c.report(n, "out-of-range", "write polygon: [[53.53, 9.9], [53.54, 9.98], [53.51, 10.02]]", "a polygon has 3 to %d corners, and this has %d", maxCorners, len(corners))
	}
	for _, corner := range corners {
		if p, ok := c.placeOf(corner); ok {
			f.Polygon = append(f.Polygon, p)
		}
	}
}

// placeOf reads [latitude, longitude].
func (c *checker) placeOf(n *yaml.Node) (p deviceops.Place, ok bool) {
	parts := c.numbers(n, "a place", 2, "write [latitude, longitude]")
	if parts == nil {
		return p, false
	}
	p = deviceops.Place{Latitude: parts[0], Longitude: parts[1]}
	if !p.Valid() {
		c.report(n, "out-of-range", "write [latitude, longitude]", "a place has a latitude from -90 to 90 and a longitude from -180 to 180")
	}
	return p, p.Valid()
}

// numbers reads a list of so many numbers; one may stand by itself. Nil if it is
// none.
func (c *checker) numbers(n *yaml.Node, what string, count int, fix string) []float64 {
	items := []*yaml.Node{n}
	if count > 1 {
		if items = c.list(n, what, fix); items == nil {
			return nil
		}
	}
	var numbers []float64
	for _, item := range items {
		if v, ok := toFloat(Canonical(c.constant(item))); ok {
			numbers = append(numbers, v)
		}
	}
	if len(numbers) != count || len(items) != count {
		c.report(n, "wrong-type", fix, "%s is not written like this", what)
		return nil
	}
	return numbers
}
