package dsl

import (
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

var scheduleKeys = []fieldSpec{
	{"cron", textSchema("minute, hour, day, month, weekday")},
	{"every", durationSchema("at least 1s, counted from 1970-01-01T00:00Z")},
	{"zone", textSchema("the IANA zone of cron, such as Europe/Berlin; left out: UTC")},
	{"calendars", schema{"type": "array", "items": textSchema(""), "description": "names of calendars in whose blackouts nothing is started"}},
	{"catch_up", durationSchema("how late a time may still start something, as after an outage; at least 10s, left out: 10m")},
}

func scheduleSchema() schema {
	return schema{"description": "a time: cron text, or a map", "anyOf": []any{textSchema(""), objectSchema("", nil, scheduleKeys)}}
}

// schedule reads at which times an automation is called.
func (c *checker) schedule(n *yaml.Node) *deviceops.Schedule {
	s := &deviceops.Schedule{CatchUp: deviceops.DefaultCatchUp}
	if n.Kind == yaml.ScalarNode {
		s.Cron = c.cron(n)
		return s
	}
	o := c.object(n, "schedule", fieldNames(scheduleKeys)...)
	if o == nil {
		return s
	}
	if o.has("cron") == o.has("every") {
		c.report(n, "missing-key", `write schedule: { cron: "0 3 * * *", zone: Europe/Berlin } or schedule: { every: 6h }`, "a schedule has cron or every, one of them")
		return s
	}
	if v := o.get("cron"); v != nil {
		s.Cron = c.cron(v)
	}
	if v := o.get("every"); v != nil {
		s.Every = c.atLeast(v, "every", time.Second, "a schedule starts something once a second at most")
	}
	if v := o.get("zone"); v != nil {
		if s.Zone = c.zone(v); s.Every > 0 {
			c.report(o.keys["zone"], "no-meaning", "remove it, or write cron", "zone has no meaning with every, which counts seconds")
		}
	}
	if v := o.get("calendars"); v != nil {
		s.Calendars = c.calendarNames(v)
	}
	if v := o.get("catch_up"); v != nil {
		s.CatchUp = c.atLeast(v, "catch_up", deviceops.LeastCatchUp, "a time may always be heard 10 seconds late")
	}
	return s
}

// atLeast reads a duration that is not below a bound.
func (c *checker) atLeast(n *yaml.Node, what string, least time.Duration, otherwise string) time.Duration {
	d := c.duration(n, what)
	if d < least && isText(n) {
		c.report(n, "out-of-range", "write "+FormatDuration(least)+" or more", "%s", otherwise)
	}
	return d
}
