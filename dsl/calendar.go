package dsl

import (
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

var calendarKeys = []fieldSpec{
	{"calendar", textSchema("the name of the calendar")},
	{"version", integerSchema("left out, the server numbers", 1)},
	{"description", textSchema("what the calendar is for")},
	{"zone", textSchema("the IANA zone of its times, such as Europe/Berlin; left out: UTC")},
	{"blackout", blackoutSchema()},
}

func calendarSchema() schema {
	return objectSchema("times that bind the rollouts, automations and commands of an account", []string{"calendar", "blackout"}, calendarKeys)
}

func readCalendar(c *checker, out *Compiled) {
	o := c.object(c.doc.root, "a calendar", fieldNames(calendarKeys)...)
	if o == nil {
		return
	}
	calendar := &deviceops.Calendar{Name: c.name(o.get("calendar"), "the name of a calendar")}
	if n := o.get("version"); n != nil {
		calendar.Version = c.version(n)
	}
	if n := o.get("description"); n != nil {
		c.text(n, "a description")
	}
	zone := time.UTC
	if n := o.get("zone"); n != nil {
		zone = c.location(n)
	}
	if n := o.get("blackout"); n != nil {
		calendar.Blackouts = c.blackouts(n, zone)
	} else {
		c.report(o.keys["calendar"], "missing-key", "add blackout:, and below it "+blackoutFix[len("write "):], "a calendar needs times")
	}
	out.Name, out.Version, out.Calendar = calendar.Name, calendar.Version, calendar
	c.opts.calendars[calendar.Name] = true
}

// location reads a zone whose clock is needed.
func (c *checker) location(n *yaml.Node) *time.Location {
	location, err := time.LoadLocation(c.zone(n))
	if err != nil {
		return time.UTC // reported: it is none
	}
	return location
}

// calendars reads the names of calendars.
func (m *manifest) calendars(n *yaml.Node) {
	m.spec.Calendars = append(m.spec.Calendars, m.calendarNames(n)...)
}

// calendarNames reads names of calendars, which have to be there.
func (c *checker) calendarNames(n *yaml.Node) []string {
	names := c.textList(n, "calendars", "write calendars: [retail-peaks]")
	for _, name := range names {
		if c.opts.Calendar != nil && !c.opts.calendars[name] && c.opts.Calendar(name) == nil {
			c.report(c.itemOf(n, name), "unknown-name", "publish the calendar, or put it into this file", "there is no calendar %q", name)
		}
	}
	return names
}

// CompileCalendar compiles the source of one published calendar.
func CompileCalendar(source string) (*deviceops.Calendar, Diagnostics) {
	compiled, found := compileOne(source, deviceops.KindCalendar)
	return compiled.Calendar, found
}
