package dsl

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

var windowKeys = []fieldSpec{
	{"days", schema{"type": "array", "minItems": 1, "items": schema{"type": "string", "pattern": `^(mon|tue|wed|thu|fri|sat|sun)(\.\.(mon|tue|wed|thu|fri|sat|sun))?$`}, "description": "days on which it opens, as in [mon..thu, sat]; left out: every day"}},
	{"from", schema{"type": "string", "pattern": clockPattern, "description": "when it opens, as in \"01:00\""}},
	{"to", schema{"type": "string", "pattern": clockPattern, "description": "when it closes; earlier than from means on the next day"}},
	{"zone", textSchema("an IANA zone such as Europe/Berlin, or device for that of each device; left out: device")},
}

var blackoutKeys = []fieldSpec{
	{"from", timeSchema("when it begins")},
	{"to", timeSchema("when it ends; a day alone is part of it")},
	{"reason", textSchema("why, for people who wonder why nothing happens")},
}

func blackoutSchema() schema {
	return schema{"type": "array", "minItems": 1, "items": objectSchema("a time", []string{"from", "to"}, blackoutKeys), "description": "times in which nothing begins"}
}

func timeSchema(description string) schema {
	return schema{"type": "string", "pattern": `^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?)?$`, "description": description}
}

// readTimes reads when things happen.
func (m *manifest) readTimes(key string, n *yaml.Node) {
	spec := m.spec
	switch key {
	case "window":
		spec.Window = m.window(n)
	case "start":
		spec.Start = m.moment(n, key, time.UTC, false)
	case "deadline":
		spec.Deadline = m.moment(n, key, time.UTC, true)
	case "blackout":
		spec.Blackouts = m.blackouts(n, time.UTC)
	case "calendars":
		m.calendars(n)
	case "urgent":
		m.urgent(n)
	case "reason":
		if reason, ok := m.text(n, key); ok && !m.o.has("urgent") {
			m.report(m.o.keys[key], "no-meaning", "add urgent: true, or write description:", "reason says why a rollout is urgent, and this one is not")
		} else if ok && strings.TrimSpace(reason) == "" {
			m.report(n, "empty", "say why it cannot wait", "the reason is empty")
		}
	case "keep_open":
		spec.KeepOpen = m.positive(n, key)
	}
}

// urgent reads urgent: true, which needs a reason beside it.
func (m *manifest) urgent(n *yaml.Node) {
	if isText(n) {
		m.report(n, "wrong-type", "write urgent: true, and reason: "+n.Value, "urgent must be true")
		return
	}
	if !m.boolean(n, "urgent") {
		return
	}
	reason := m.o.get("reason")
	if reason == nil {
		m.report(m.o.keys["urgent"], "missing-key", "add reason: and why it cannot wait", "an urgent rollout skips soaks and windows, and it is not said why")
		return
	}
	m.spec.Urgent = reason.Value
}

func (m *manifest) window(n *yaml.Node) *deviceops.MaintenanceWindow {
	w := &deviceops.MaintenanceWindow{Zone: deviceops.ZoneDevice}
	o := m.object(n, "window", fieldNames(windowKeys)...)
	if o == nil {
		return w
	}
	for key, to := range map[string]*time.Duration{"from": &w.From, "to": &w.To} {
		if v := o.get(key); v != nil {
			*to = m.clock(v, key)
		} else {
			m.report(n, "missing-key", `write window: { from: "01:00", to: "05:00" }`, "a window needs from and to, and %s is missing", quote(key))
		}
	}
	if v := o.get("days"); v != nil {
		w.Days = m.days(v)
	}
	if v := o.get("zone"); v != nil && !(isText(v) && v.Value == deviceops.ZoneDevice) {
		w.Zone = m.zone(v)
	}
	return w
}

const clockPattern = `^([01]\d|2[0-3]):[0-5]\d$`

var clockText = regexp.MustCompile(clockPattern)

// clock reads a time of day, as the time since midnight.
func (c *checker) clock(n *yaml.Node, what string) time.Duration {
	s, ok := c.text(n, what)
	if !ok {
		return 0
	}
	if !clockText.MatchString(s) {
		fix := `write a time of day from "00:00" to "23:59"`
		if s == "24:00" {
			fix = `write "00:00"`
		}
		c.report(n, "bad-time", fix, "%s is no time of day", quoteShort(s))
		return 0
	}
	hours, minutes, _ := strings.Cut(s, ":")
	h, _ := strconv.Atoi(hours)
	m, _ := strconv.Atoi(minutes)
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
}

// weekdays are the names of days as documents write them, Monday first.
var weekdays = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// days reads a list of days and ranges of days: [mon..thu, sat]. A range may go
// over the end of the week.
func (c *checker) days(n *yaml.Node) []time.Weekday {
	const fix = "write days: [mon..fri]"
	var on [7]bool
	for _, item := range c.textList(n, "days", fix) {
		first, last, isRange := strings.Cut(item, "..")
		if !isRange {
			last = first
		}
		from, to := weekday(first), weekday(last)
		if from < 0 || to < 0 {
			c.report(c.itemOf(n, item), "bad-day", orElse(fixWrite("", closest(item, weekdays)), "use mon, tue, wed, thu, fri, sat, sun, or a range such as mon..fri"), "%s is no day", quoteShort(item))
			continue
		}
		for day := from; ; day = (day + 1) % 7 {
			on[day] = true
			if day == to {
				break
			}
		}
	}
	var days []time.Weekday
	for i, in := range on {
		if in {
			days = append(days, time.Weekday((i+1)%7))
		}
	}
	return days
}

// itemOf gives the item of a list that holds text.
func (c *checker) itemOf(list *yaml.Node, text string) *yaml.Node {
	for _, item := range list.Content {
		if item.Value == text {
			return item
		}
	}
	return list
}

// weekday gives the place of a day in weekdays, -1 if it is none.
func weekday(name string) int {
	for i, day := range weekdays {
		if name == day {
			return i
		}
	}
	return -1
}

// momentLayouts are how documents write times. Those without an offset are in
// the zone of their document.
var momentLayouts = []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04"}

// moment reads a time. Of a day alone it is the beginning, or the end.
func (c *checker) moment(n *yaml.Node, what string, zone *time.Location, end bool) time.Time {
	s, ok := c.text(n, what)
	if !ok {
		return time.Time{}
	}
	for _, layout := range momentLayouts {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t.UTC()
		}
	}
	t, err := time.ParseInLocation(time.DateOnly, s, zone)
	if err != nil {
		c.report(n, "bad-time", "write 2026-11-27, or 2026-11-27T22:00Z", "%s is no time", quoteShort(s))
		return time.Time{}
	}
	if end {
		t = t.AddDate(0, 0, 1)
	}
	return t.UTC()
}

const blackoutFix = "write - { from: 2026-11-27, to: 2026-11-30, reason: the busiest days of the year }"

// blackouts reads times in which nothing begins.
func (c *checker) blackouts(n *yaml.Node, zone *time.Location) []deviceops.Blackout {
	items := c.list(n, "blackout", blackoutFix)
	if n.Kind == yaml.SequenceNode && len(items) == 0 {
		c.report(n, "empty-list", blackoutFix, "blackout holds no time")
	}
	if len(items) > MaxNames {
		c.report(items[MaxNames], "too-large", "write a calendar for each purpose", "there are %d times; at most %d are allowed", len(items), MaxNames)
		return nil
	}
	var all []deviceops.Blackout
	for _, item := range items {
		all = append(all, c.blackout(item, zone))
	}
	return all
}

func (c *checker) blackout(n *yaml.Node, zone *time.Location) (b deviceops.Blackout) {
	o := c.object(n, "a blackout", fieldNames(blackoutKeys)...)
	if o == nil {
		return b
	}
	for _, key := range []string{"from", "to"} {
		if !o.has(key) {
			c.report(n, "missing-key", blackoutFix, "a blackout needs from and to, and %s is missing", quote(key))
			return b
		}
	}
	b.From, b.To = c.moment(o.get("from"), "from", zone, false), c.moment(o.get("to"), "to", zone, true)
	if !b.From.IsZero() && !b.To.IsZero() && !b.From.Before(b.To) {
		c.report(o.get("to"), "bad-order", "swap them", "it ends before it begins")
	}
	if v := o.get("reason"); v != nil {
		b.Reason, _ = c.text(v, "reason")
	}
	return b
}
