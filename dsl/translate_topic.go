package dsl

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// devicePlace stands in a topic where the id of the device does.
const devicePlace = "{device}"

// enginePrefix is where the topics of the device protocol begin.
const enginePrefix = "deviceops/"

// topicFilter is a topic of a device's own: levels, + and # as in MQTT, and
// {device}.
type topicFilter struct {
	levels []string
	device int  // the level that is the id; -1: none is
	rest   bool // it ends in #, which is not among levels
}

// mqtt gives the filter to subscribe to.
func (f topicFilter) mqtt() string {
	levels := make([]string, len(f.levels), len(f.levels)+1)
	copy(levels, f.levels)
	if f.device >= 0 {
		levels[f.device] = "+"
	}
	if f.rest {
		levels = append(levels, "#")
	}
	return strings.Join(levels, "/")
}

// matches reports whether the levels of a topic are what f says.
func (f topicFilter) matches(topic []string) bool {
	if len(topic) != len(f.levels) && (!f.rest || len(topic) < len(f.levels)) {
		return false
	}
	for i, level := range f.levels {
		if level != "+" && i != f.device && level != topic[i] {
			return false
		}
	}
	return true
}

// topicFilter reads a topic that devices publish on.
func (c *checker) topicFilter(n *yaml.Node, what string) topicFilter {
	f := topicFilter{device: -1}
	text, ok := c.text(n, what)
	if !ok {
		return f
	}
	levels := strings.Split(text, "/")
	if problem, fix := topicProblem(text, levels); problem != "" {
		c.report(n, "bad-topic", fix, "%s", what+" "+problem)
		return f
	}
	for i, level := range levels {
		switch level {
		case "#":
			f.rest = true
			continue
		case devicePlace:
			f.device = i
		}
		f.levels = append(f.levels, level)
	}
	return f
}

const topicFix = "write it as acme/{device}/telemetry"

func topicProblem(text string, levels []string) (problem, fix string) {
	devices := 0
	for i, level := range levels {
		switch {
		case level == devicePlace:
			devices++
		case strings.ContainsAny(level, "{}"):
			return "has braces in the level " + quote(level), "write {device}, as a whole level"
		case level == "#" && i < len(levels)-1, strings.ContainsAny(level, "+#") && len(level) > 1:
			return "has a wildcard inside the level " + quote(level), "write + for one whole level, and # only at the end"
		}
	}
	switch {
	case text == "" || strings.ContainsRune(text, 0) || len(text) > 1024:
		return "is empty or too long", topicFix
	case strings.HasPrefix(text, "$"):
		return "begins with $, which belongs to the broker", topicFix
	case strings.HasPrefix(text, enginePrefix):
		return "is one of the device protocol, which needs no translation", topicFix
	case levels[0] == "+" || levels[0] == "#" || levels[0] == devicePlace:
		return "begins with a level that matches everything", "begin with a word, as in acme/{device}/telemetry: the engine would hear everybody otherwise"
	case devices > 1:
		return "names the device twice", "write + for one of them"
	}
	return "", ""
}
