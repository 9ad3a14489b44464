package dsl

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// checker reads one document and reports what is wrong with it.
type checker struct {
	doc  *document
	opts *Options
}

func (c *checker) report(n *yaml.Node, code, fix, format string, args ...any) {
	c.doc.src.report(c.doc.at(n), code, fix, format, args...)
}

// warn reports what is not wrong and still not what anybody wants.
func (c *checker) warn(n *yaml.Node, code, fix, format string, args ...any) {
	c.doc.src.add(SeverityWarning, c.doc.at(n), code, fix, format, args...)
}

// object is a map of a document whose keys are known.
type object struct {
	node   *yaml.Node
	keys   map[string]*yaml.Node
	values map[string]*yaml.Node
	order  []string // the known keys that are given, as written
}

// get gives the value of a key, nil if it is not given.
func (o *object) get(key string) *yaml.Node { return o.values[key] }

func (o *object) has(key string) bool { return o.values[key] != nil }

// object reads a map. what names it in messages: "a workflow".
func (c *checker) object(n *yaml.Node, what string, known ...string) *object {
	o := c.entries(n, what)
	if o == nil {
		return nil
	}
	kept := o.order[:0]
	for _, key := range o.order {
		if contains(known, key) {
			kept = append(kept, key)
			continue
		}
		c.unknownKey(o.keys[key], what, known)
		delete(o.values, key)
	}
	o.order = kept
	return o
}

func (c *checker) unknownKey(key *yaml.Node, what string, known []string) {
	if contains(futureModifiers, key.Value) {
		c.report(key, "unsupported-key", "remove it", "%s is not supported by this version yet", key.Value)
		return
	}
	fix := "use " + strings.Join(known, ", ")
	if near := closest(key.Value, known); near != "" {
		fix = "write " + near + ":"
	}
	c.report(key, "unknown-key", fix, "%s has no key %q%s", what, key.Value, didYouMean(key.Value, known))
}

// entries reads a map whose keys are names that the author chooses.
func (c *checker) entries(n *yaml.Node, what string) *object {
	if n.Kind != yaml.MappingNode {
		c.report(n, "wrong-type", "write its keys below it, each as key: value", "%s must be a map, and this is %s", what, kindOf(n))
		return nil
	}
	o := &object{node: n, keys: map[string]*yaml.Node{}, values: map[string]*yaml.Node{}}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || o.values[key.Value] != nil {
			continue // reported as a trap
		}
		o.keys[key.Value], o.values[key.Value] = key, value
		o.order = append(o.order, key.Value)
	}
	return o
}

// names reads a map of names that a document declares.
func (c *checker) names(n *yaml.Node, what string) *object {
	o := c.entries(n, what)
	if o != nil && len(o.order) > MaxNames {
		c.report(o.keys[o.order[MaxNames]], "too-large", "take a map or list for those that belong together", "there are %d %s; at most %d are allowed", len(o.order), what, MaxNames)
		return nil
	}
	return o
}

// list reads a list; a nil result was reported.
func (c *checker) list(n *yaml.Node, what, fix string) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		c.report(n, "wrong-type", fix, "%s must be a list, and this is %s", what, kindOf(n))
		return nil
	}
	return n.Content
}

// kindOf names what a node is, for messages.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.Tag {
	case "!!null":
		return "empty"
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!bool":
		return "the boolean " + n.Value
	}
	return "text"
}

func isText(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && (n.Tag == "!!str" || n.Tag == "!!timestamp")
}

// text reads a text.
func (c *checker) text(n *yaml.Node, what string) (string, bool) {
	if isText(n) {
		return n.Value, true
	}
	switch {
	case c.isColonMap(n):
		c.colonMap(n, what)
	case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
		c.report(n, "wrong-type", "put it in quotes: "+quote(n.Value), "%s must be text, and YAML reads this as %s", what, kindOf(n))
	default:
		c.report(n, "wrong-type", "", "%s must be text, and this is %s", what, kindOf(n))
	}
	return "", false
}

// isColonMap recognizes a text such as `error: disk` that YAML reads as a map.
func (c *checker) isColonMap(n *yaml.Node) bool {
	line := []rune(c.doc.src.line(n.Line + c.doc.offset))
	braces := n.Column <= len(line) && line[n.Column-1] == '{'
	return !braces && n.Kind == yaml.MappingNode && len(n.Content) == 2 &&
		n.Content[0].Kind == yaml.ScalarNode && n.Content[1].Kind == yaml.ScalarNode && n.Content[0].Line == n.Content[1].Line
}

func (c *checker) colonMap(n *yaml.Node, what string) {
	key, value := n.Content[0], n.Content[1]
	at := c.doc.at(key)
	at.end = c.doc.at(value).end
	c.doc.src.report(at, "yaml-colon", "put it in quotes: "+quote(key.Value+": "+value.Value),
		"%s must be text, and the colon with a space makes it a map", what)
}

var (
	documentName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`)
	identifier   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)
	wordBreaks   = regexp.MustCompile(`[^A-Za-z0-9_]+`)
	nameBreaks   = regexp.MustCompile(`[^a-z0-9._-]+`)
)

// name reads the name of a document.
func (c *checker) name(n *yaml.Node, what string) string {
	s, ok := c.text(n, what)
	if !ok {
		return ""
	}
	if !documentName.MatchString(s) {
		better := strings.Trim(nameBreaks.ReplaceAllString(strings.ToLower(s), "-"), "-._")
		c.report(n, "bad-name", orElse(fixWrite("", better), "write a name such as kiosk or reboot-all"),
			"%s may have small letters, digits, '-', '_' and '.', at most 64 of them", what)
	}
	return s
}

// word checks a name that expressions use after a dot.
func (c *checker) word(n *yaml.Node, what string) bool {
	if identifier.MatchString(n.Value) && !strings.HasPrefix(n.Value, "__") {
		return true
	}
	better := strings.Trim(wordBreaks.ReplaceAllString(n.Value, "_"), "_")
	c.report(n, "bad-name", orElse(fixWrite("", better), "write a name such as reboot"),
		"%s may have letters, digits and '_', at most 64, since expressions use it after a dot", what)
	return false
}

// action reads the name of a command or action, which has to be known when the
// workflow is published.
func (c *checker) action(n *yaml.Node, what string) (string, bool) {
	s, ok := c.text(n, what)
	switch {
	case !ok:
		return "", false
	case strings.Contains(s, "${{"):
		c.report(n, "template-place", "write one step for each, with an if", "%s has to be known when the workflow is published", what)
		return "", false
	case !deviceops.ValidID(s):
		c.report(n, "bad-name", "write a name such as reboot, and its arguments below with:", "%s may have letters, digits and ._:-", what)
		return "", false
	}
	return s, true
}

// boolean reads true or false.
func (c *checker) boolean(n *yaml.Node, what string) bool {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!bool" {
		return n.Value == "true" || n.Value == "True" || n.Value == "TRUE"
	}
	c.report(n, "wrong-type", "write true or false, without quotes", "%s must be true or false, and this is %s", what, kindOf(n))
	return false
}

// integer reads a whole number within bounds.
func (c *checker) integer(n *yaml.Node, what string, low, high int) int {
	v, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil {
		c.report(n, "wrong-type", "write a whole number, without quotes", "%s must be a whole number, and this is %s", what, kindOf(n))
		return low
	}
	if v < low || v > high {
		c.report(n, "out-of-range", sprintf("write a number from %d to %d", low, high), "%s must be from %d to %d", what, low, high)
		return low
	}
	return v
}

// version reads the version of a workflow.
func (c *checker) version(n *yaml.Node) int {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!int" {
		return c.integer(n, "a version", 1, 1<<30)
	}
	fix := "write a whole number, such as version: 3, or leave it out and the server numbers"
	c.report(n, "bad-version", fix, "a version is a whole number: 1, 2, 3, and this is %s", kindOf(n))
	c.doc.src.mute(n.Line + c.doc.offset)
	return 0
}

// duration reads a duration that is known when the document is written.
func (c *checker) duration(n *yaml.Node, what string) time.Duration {
	if !c.isDurationText(n, what) {
		return 0
	}
	d, err := ParseDuration(n.Value)
	if err != nil {
		c.badDuration(n, what)
	}
	return d
}

// positive reads a duration that must not be zero.
func (c *checker) positive(n *yaml.Node, what string) time.Duration {
	d := c.duration(n, what)
	if d == 0 && isText(n) && durationText.MatchString(n.Value) {
		c.report(n, "bad-duration", "write a longer one, or leave it out", "%s must be longer than nothing", what)
	}
	return d
}

func (c *checker) badDuration(n *yaml.Node, what string) {
	if strings.Contains(n.Value, "${{") {
		c.report(n, "template-place", "write the duration itself", "%s has to be known when the workflow is published", what)
		return
	}
	if !durationText.MatchString(n.Value) {
		c.report(n, "bad-duration", durationFix(n.Value), "%s must be a duration, and %s is none", what, quoteShort(n.Value))
		return
	}
	c.report(n, "bad-duration", "write at most "+FormatDuration(MaxDuration), "%s is longer than durations may be", what)
}

// isDurationText reports everything that cannot be the text of a duration.
func (c *checker) isDurationText(n *yaml.Node, what string) bool {
	if isText(n) {
		return true
	}
	fix := "write it as 30s, 10m, 2h or 7d"
	switch {
	case n.Kind == yaml.MappingNode && objectDuration(n) != "":
		fix = "write " + objectDuration(n)
	case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
		fix = durationFix(n.Value)
	}
	c.report(n, "bad-duration", fix, "%s must be a duration such as 30s, and this is %s", what, kindOf(n))
	return false
}

var unitWords = map[string]string{
	"days": "d", "hours": "h", "minutes": "m", "seconds": "s", "milliseconds": "ms",
	"day": "d", "hour": "h", "minute": "m", "second": "s",
}

// objectDuration gives the short form of { minutes: 30 }, or "".
func objectDuration(n *yaml.Node) string {
	var b strings.Builder
	for i := 0; i+1 < len(n.Content); i += 2 {
		unit, known := unitWords[n.Content[i].Value]
		if _, err := strconv.Atoi(n.Content[i+1].Value); !known || err != nil {
			return ""
		}
		b.WriteString(n.Content[i+1].Value + unit)
	}
	return b.String()
}
