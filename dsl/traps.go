package dsl

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// findTraps walks a document and reports what is valid YAML and means something
// else than it looks like, whatever the place. It gives false when the tree is
// not fit for being read.
func (d *document) findTraps() bool {
	return d.trapsIn(d.root, 0, false)
}

func (d *document) trapsIn(n *yaml.Node, depth int, isKey bool) bool {
	if depth > MaxNesting {
		d.src.report(d.at(n), "too-deep", "move the inner part into a workflow of its own", "lists and maps are nested more than %d deep", MaxNesting)
		return false
	}
	d.anchorTrap(n)
	tagged := d.tagTrap(n)
	switch n.Kind {
	case yaml.MappingNode:
		return d.trapsInMap(n, depth)
	case yaml.SequenceNode:
		ok := true
		for _, item := range n.Content {
			ok = d.trapsIn(item, depth+1, false) && ok
		}
		return ok
	case yaml.ScalarNode:
		if !tagged {
			d.scalarTraps(n, isKey)
		}
	}
	return true
}

func (d *document) trapsInMap(n *yaml.Node, depth int) bool {
	seen := map[string]*yaml.Node{}
	ok := true
	var kept []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if !d.keyTraps(n, key, value) {
			continue
		}
		kept = append(kept, key, value)
		if first, twice := seen[key.Value]; twice {
			d.src.report(d.at(key), "duplicate-key", "keep one of them",
				"the key %q is given twice; the first is in line %d", key.Value, first.Line+d.offset)
		}
		seen[key.Value] = key
		ok = d.trapsIn(key, depth+1, true) && ok
		if n != d.root || key.Value != "version" { // which has its own message
			ok = d.trapsIn(value, depth+1, false) && ok
		}
	}
	n.Content = kept
	return ok
}

// keyTraps reports what is wrong with an entry as a whole; false means that it
// is to be left out of all that follows.
func (d *document) keyTraps(parent, key, value *yaml.Node) bool {
	switch {
	case key.Kind == yaml.MappingNode && key.Style&yaml.FlowStyle != 0:
		d.src.report(d.at(parent), "template-dollar", "write ${{ ... }}, in quotes inside { } or [ ]", "{{ }} is not a template")
		return false
	case key.Kind != yaml.ScalarNode:
		d.src.report(d.at(key), "yaml-key", "write a plain name before the colon", "a key must be a name")
		return false
	case key.Tag == "!!merge":
		d.src.report(d.at(key), "yaml-merge", "write the keys out; a workflow that others run is the way to share steps", "merge keys (<<) are not allowed")
		return false
	case parent.Style&yaml.FlowStyle != 0 && isAbsent(value) && !d.colonFollows(key):
		d.commaTrap(parent, key)
		return false
	}
	return true
}

func isAbsent(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null" && n.Value == ""
}

// colonFollows reports whether a key is written with its colon.
func (d *document) colonFollows(key *yaml.Node) bool {
	at := d.at(key)
	line := []rune(d.src.line(at.line))
	return at.end-1 < len(line) && strings.HasPrefix(strings.TrimLeft(string(line[at.end-1:]), " "), ":")
}

// commaTrap finds { k: a, b }: inside braces a comma ends the value.
func (d *document) commaTrap(parent, key *yaml.Node) {
	before := ""
	for i := 2; i+1 < len(parent.Content); i += 2 {
		if parent.Content[i] == key && parent.Content[i-1].Style == 0 {
			before = parent.Content[i-1].Value
		}
	}
	if before == "" {
		d.src.report(d.at(key), "yaml-flow-value", "write a colon, a space and a value after it", "the key %q has no value", key.Value)
		return
	}
	d.src.report(d.at(key), "yaml-flow-comma", "put the value in quotes: "+quote(before+", "+key.Value),
		"inside { } a comma ends the value, so %q became a key of its own", key.Value)
}

func (d *document) anchorTrap(n *yaml.Node) {
	switch {
	case n.Kind == yaml.AliasNode:
		d.src.report(d.widened(n), "yaml-alias", "write the value out; a value with * at its start needs quotes", "aliases (*%s) are not allowed", n.Value)
	case n.Anchor != "":
		d.src.report(d.at(n), "yaml-anchor", "remove &"+n.Anchor+"; a value with & at its start needs quotes", "anchors (&%s) are not allowed", n.Anchor)
	}
}

func (d *document) widened(n *yaml.Node) span {
	at := d.at(n)
	at.end = at.column + runes(n.Value) + 1
	return at
}

// tagTrap finds `where: !x`: YAML takes the word for a tag and the value is
// lost.
func (d *document) tagTrap(n *yaml.Node) bool {
	if n.Style&yaml.TaggedStyle == 0 {
		return false
	}
	at := d.at(n)
	rest := string([]rune(d.src.line(at.line))[min(at.column-1, runes(d.src.line(at.line))):])
	if cut := strings.Index(rest, " #"); cut >= 0 {
		rest = rest[:cut]
	}
	rest = strings.TrimRight(rest, " }],")
	at.end = at.column + runes(rest)
	d.src.report(at, "yaml-tag", "put the value in quotes: "+quote(rest),
		"YAML reads %s as a tag, and the condition or text is lost", strings.Fields(rest + " !")[0])
	d.src.mute(at.line)
	return true
}

var (
	plainNumber = regexp.MustCompile(`^[-+]?(\.\d+|\d[\d_]*(\.[\d_]*)?)([eE][-+]?\d+)?$|^[-+]?0[xob][\dA-Fa-f_]+$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$`)
	smallNumber = regexp.MustCompile(`^-?0\.0\d*[1-9]$|^-?[1-9](\.\d*[1-9])?[eE]-\d{1,2}$`) // nobody means a version by it
	leadingZero = regexp.MustCompile(`^[-+]?0[\d_]+$`)
	norway      = regexp.MustCompile(`^(?i:y|n|yes|no|on|off)$`)
	doubleBrace = regexp.MustCompile(`(^|[^$])\{\{.*?\}\}`)
)

// scalarTraps reports numbers and words that YAML readers do not agree on, text
// that a comment cuts, and templates without their dollar.
func (d *document) scalarTraps(n *yaml.Node, isKey bool) {
	if isKey && strings.Contains(n.Value, "${{") {
		d.src.report(d.at(n), "template-place", "write the name itself; build the whole map in an expression if its keys vary", "a key cannot be a template")
		return
	}
	if m := doubleBrace.FindStringIndex(n.Value); m != nil && !isKey {
		d.src.report(d.at(n), "template-dollar", "write ${{ ... }}", "{{ }} is not a template and would stay in the text")
		return
	}
	if n.Style&^yaml.TaggedStyle != 0 || isKey {
		return
	}
	switch {
	case leadingZero.MatchString(n.Value):
		d.src.report(d.at(n), "yaml-leading-zero", "put it in quotes if it is a name or serial number: "+quote(n.Value),
			"%s is a number to YAML, and its leading zeros are lost or make it octal", n.Value)
	case plainNumber.MatchString(n.Value) && !isExactNumber(n.Value):
		d.src.report(d.at(n), "yaml-number", d.numberFix(n.Value), "%s is a number to YAML and would not stay as written", n.Value)
	case norway.MatchString(n.Value):
		d.src.report(d.at(n), "yaml-boolean", "write true or false, or put text in quotes: "+quote(n.Value),
			"%s means a boolean to some readers of YAML and text to others", n.Value)
	}
	d.commentTrap(n)
}

// isExactNumber reports whether the number reads the same when it is written
// again.
func isExactNumber(text string) bool {
	v, err := DecodeJSON([]byte(text))
	return err == nil && (Format(v) == text || smallNumber.MatchString(text))
}

func (d *document) numberFix(text string) string {
	if v, err := DecodeJSON([]byte(strings.TrimPrefix(text, "+"))); err == nil {
		return "write " + Format(v) + " for the number, or " + quote(text) + " for a version or name"
	}
	return "write it as a plain decimal number, or " + quote(text) + " for a version or name"
}

var trailingComment = regexp.MustCompile(`^(\s+)(#.*)$`)

// commentTrap finds `kiosk #12` and `any(tags, # == "x")`: " #" begins a
// comment, and what follows is lost.
func (d *document) commentTrap(n *yaml.Node) {
	places := d.places(n)
	end := places[len(places)-1]
	line := []rune(d.src.line(end.line))
	if n.Value == "" || end.column-1 > len(line) {
		return
	}
	m := trailingComment.FindStringSubmatch(string(line[end.column-1:]))
	if m == nil || !looksCut(n.Value, m[2]) {
		return
	}
	whole := n.Value + m[1] + m[2]
	from := end.column + runes(m[1])
	d.src.report(span{end.line, from, len(line) + 1}, "yaml-comment", "put the value in quotes: "+quote(strings.TrimRight(whole, " ")),
		"YAML drops everything from # on, so the value is only %s", quoteShort(n.Value))
	d.src.mute(end.line)
	d.src.mute(n.Line + d.offset)
}

// looksCut reports whether a comment belongs to the value before it: a bracket
// is open, an operator waits for its right side, or no space follows the #.
func looksCut(value, comment string) bool {
	if len(comment) > 1 && comment[1] != ' ' && comment[1] != '#' {
		return true
	}
	return openBrackets(value) || unfinished.MatchString(value)
}

var unfinished = regexp.MustCompile(`(\|\||&&|==|!=|<=|>=|[<>+*/(\[{]|\b(contains|matches))$`)

// openBrackets reports whether a bracket, template or quote of s is not closed.
func openBrackets(s string) bool {
	depth := 0
	var quoted rune
	for _, r := range s {
		switch {
		case quoted != 0:
			if r == quoted {
				quoted = 0
			}
		case r == '"' || r == '`':
			quoted = r
		case strings.ContainsRune("([{", r):
			depth++
		case strings.ContainsRune(")]}", r):
			depth--
		}
	}
	return depth > 0
}
