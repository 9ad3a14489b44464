package dsl

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// cronField is one of the five fields of a cron text.
type cronField struct {
	name      string
	low, high int
	words     []string // names for low, low+1 ...
}

var cronFields = []cronField{
	{"minute", 0, 59, nil}, {"hour", 0, 23, nil}, {"day", 1, 31, nil},
	{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{"weekday", 0, 7, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

// cron reads a cron text of five fields and reports the field that is wrong.
func (c *checker) cron(n *yaml.Node) string {
	s, ok := c.text(n, "a schedule")
	if !ok {
		return ""
	}
	const form = `write minute, hour, day, month and weekday, such as "0 3 * * mon-fri"`
	fields := strings.Fields(s)
	if len(fields) != len(cronFields) {
		c.report(n, "bad-schedule", form, "a cron text has five fields, and this has %d", len(fields))
		return s
	}
	for i, text := range fields {
		if !cronFields[i].allows(text) {
			c.report(n, "bad-schedule", form, "the %s of a schedule cannot be %s", cronFields[i].name, quoteShort(text))
		}
	}
	return s
}

// allows checks a field: a list of *, numbers, names and ranges, with steps.
func (f cronField) allows(text string) bool {
	for _, item := range strings.Split(text, ",") {
		span, step, stepped := strings.Cut(item, "/")
		if n, err := strconv.Atoi(step); stepped && (err != nil || n < 1) {
			return false
		}
		if span == "*" {
			continue
		}
		first, last, isRange := strings.Cut(span, "-")
		low, ok := f.number(first)
		high := low
		if isRange && ok {
			high, ok = f.number(last)
		}
		if !ok || low > high {
			return false
		}
	}
	return true
}

func (f cronField) number(text string) (int, bool) {
	for i, word := range f.words {
		if strings.EqualFold(word, text) {
			return f.low + i, true
		}
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= f.low && n <= f.high
}
