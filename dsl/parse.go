package dsl

import (
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxRepairs is how many syntax errors of one document are reported.
const maxRepairs = 10

// parse reads the text of d into d.root and reports what is wrong with it. A
// line that has one of the well-known mistakes is repaired in memory and the
// text is read again, so that the mistakes after it are found too.
func (d *document) parse() bool {
	if len(d.text) > MaxDocument {
		d.src.report(span{d.offset + 1, 1, 2}, "too-large", "split it, or let it run other workflows",
			"this document has %d bytes; at most %d are allowed", len(d.text), MaxDocument)
		return false
	}
	if !utf8.ValidString(d.text) {
		d.src.report(span{d.offset + 1, 1, 2}, "yaml-encoding", "save the file as UTF-8", "this document is not UTF-8 text")
		return false
	}
	lines := strings.Split(d.text, "\n")
	for range maxRepairs {
		root, err := decode(strings.Join(lines, "\n"))
		if err == nil {
			d.root = root
			return root != nil
		}
		if !d.explain(err, lines) {
			return false
		}
	}
	return false
}

func decode(text string) (*yaml.Node, error) {
	var n yaml.Node
	if err := yaml.Load([]byte(text), &n); err != nil {
		return nil, err
	}
	if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
		return n.Content[0], nil
	}
	return nil, nil
}

// explain reports a syntax error and repairs its line. It gives false when the
// line cannot be repaired.
func (d *document) explain(err error, lines []string) bool {
	number := 1
	var load *yaml.LoadError
	if errors.As(err, &load) {
		number = min(max(load.Mark.Line, 1), len(lines))
	}
	for _, n := range []int{number, number - 1} { // some are noticed a line late
		if n < 1 || n > len(lines) {
			continue
		}
		for _, trap := range syntaxTraps {
			if m, ok := trap(lines[n-1]); ok {
				m.report(d, n)
				lines[n-1] = m.repaired
				d.src.mute(n + d.offset)
				return m.repaired != ""
			}
		}
	}
	if d.explainQuote(number, lines) {
		return true
	}
	d.syntaxError(err)
	return false
}

// explainQuote looks above a syntax error for a quote that is not closed: the
// text then goes on to the next quote, and the error shows only there. It is
// taken for the cause when closing it moves the error away.
func (d *document) explainQuote(number int, lines []string) bool {
	tries := maxRepairs
	for n := 1; n <= number && tries > 0; n++ {
		m, ok := openQuoteTrap(lines[n-1])
		if !ok {
			continue
		}
		tries--
		whole := lines[n-1]
		lines[n-1] = m.repaired
		if later := errorLine(lines); later == 0 || later > number {
			m.report(d, n)
			d.src.mute(n + d.offset)
			return true
		}
		lines[n-1] = whole
	}
	return false
}

// errorLine gives the line of the first syntax error, 0 if there is none.
func errorLine(lines []string) int {
	_, err := decode(strings.Join(lines, "\n"))
	var load *yaml.LoadError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &load):
		return load.Mark.Line
	}
	return 1
}

// syntaxError reports an error of the YAML reader that no trap explains.
func (d *document) syntaxError(err error) {
	var load *yaml.LoadError
	if !errors.As(err, &load) {
		d.src.report(span{d.offset + 1, 1, 2}, "yaml-syntax", syntaxFix, "this is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		return
	}
	context := span{load.ContextMark.Line + d.offset, load.ContextMark.Column, load.ContextMark.Column + 1}
	at := span{load.Mark.Line + d.offset, load.Mark.Column, load.Mark.Column + 1}
	switch {
	case strings.Contains(load.ContextMsg, "flow") && context.line > d.offset:
		d.src.report(context, "yaml-flow-open", "close it, put commas between its parts, and put quotes around text with special characters",
			"this bracket is not closed where line %d begins", at.line)
	case strings.Contains(load.ContextMsg, "quoted") && context.line > d.offset:
		d.src.report(context, "yaml-quote-open", "end the text with the quote it begins with", "this quote is not closed")
	case strings.Contains(load.ContextMsg, "block"):
		d.src.report(at, "yaml-indentation", "indent it like the lines of the same list or map", "this line does not fit the indentation of the lines before")
	default:
		d.src.report(at, "yaml-syntax", syntaxFix, "this is not YAML: %s", load.Message)
	}
}

const syntaxFix = "check the indentation, and put quotes around text with special characters"

// mistake is a recognized syntax error of one line. Columns are runes from 0.
type mistake struct {
	from, to     int
	code         string
	message, fix string
	repaired     string // the line as it may have been meant; "" if unknown
}

func (m mistake) report(d *document, line int) {
	d.src.report(span{line + d.offset, m.from + 1, m.to + 1}, m.code, m.fix, "%s", m.message)
}

// syntaxTraps recognize the mistakes that break the syntax, in the order in
// which they are tried.
var syntaxTraps = []func(line string) (mistake, bool){
	tabTrap, flowTemplateTrap, quoteThenTextTrap, colonTrap, reservedTrap,
}

var indentation = regexp.MustCompile(`^[ \t]*`)

func tabTrap(line string) (mistake, bool) {
	indent := indentation.FindString(line)
	i := strings.IndexByte(indent, '\t')
	if i < 0 {
		return mistake{}, false
	}
	return mistake{
		from: i, to: len(indent), code: "yaml-tab",
		message:  "a tab cannot indent YAML",
		fix:      "indent with two spaces for each level",
		repaired: strings.ReplaceAll(indent, "\t", "  ") + line[len(indent):],
	}, true
}

var flowTemplate = regexp.MustCompile(`([{,\[]\s*(?:[\w.-]+:\s+)?)(\$\{\{.*?\}\})`)

// flowTemplateTrap finds { k: ${{ x }} }: inside braces YAML takes the braces of
// the template for its own.
func flowTemplateTrap(line string) (mistake, bool) {
	m := flowTemplate.FindStringSubmatchIndex(line)
	if m == nil {
		return mistake{}, false
	}
	quoted := flowTemplate.ReplaceAllStringFunc(line, func(s string) string {
		g := flowTemplate.FindStringSubmatch(s)
		return g[1] + quote(g[2])
	})
	return mistake{
		from: runes(line[:m[4]]), to: runes(line[:m[5]]), code: "yaml-flow-template",
		message:  "inside { } or [ ] a template needs quotes, since YAML reads its braces as its own",
		fix:      "write " + quote(line[m[4]:m[5]]),
		repaired: quoted,
	}, true
}

// entry matches "key: value" and "- value" at the start of a line.
var entry = regexp.MustCompile(`^(\s*(?:- +)*(?:[A-Za-z_][\w.-]*:\s+|- +))(\S.*)$`)

var quotedStart = regexp.MustCompile(`^("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')(\s*)([^\s#,}\]:].*)$`)

// quoteThenTextTrap finds `if: "a" in b`: a value that begins with a quote ends
// with it.
func quoteThenTextTrap(line string) (mistake, bool) {
	e := entry.FindStringSubmatchIndex(line)
	if e == nil {
		return mistake{}, false
	}
	value := strings.TrimRight(line[e[4]:], " ")
	m := quotedStart.FindStringSubmatchIndex(value)
	if m == nil {
		return mistake{}, false
	}
	return mistake{
		from: runes(line[:e[4]+m[6]]), to: runes(line[:e[4]]) + runes(value), code: "yaml-quote",
		message:  "YAML ends the value at the closing quote, and more text follows",
		fix:      "put the whole value in quotes: " + quote(value),
		repaired: line[:e[4]] + quote(value),
	}, true
}

// colonTrap finds `if: a ? 1 : 2` and `reason: error: disk`: ": " inside
// unquoted text begins a key.
func colonTrap(line string) (mistake, bool) {
	e := entry.FindStringSubmatchIndex(line)
	if e == nil || strings.ContainsAny(line[e[4]:e[4]+1], "{[\"'|>#") {
		return mistake{}, false
	}
	value := strings.TrimRight(line[e[4]:], " ")
	i := strings.Index(value, ": ")
	if i < 0 && strings.HasSuffix(value, ":") {
		i = len(value) - 1
	}
	if i < 0 {
		return mistake{}, false
	}
	at := runes(line[:e[4]+i])
	return mistake{
		from: at, to: at + 1, code: "yaml-colon",
		message:  "in unquoted text a colon and a space begin a key",
		fix:      "put the value in quotes: " + quote(value),
		repaired: line[:e[4]] + quote(value),
	}, true
}

// reservedTrap finds values that begin with a character that means something to
// YAML.
func reservedTrap(line string) (mistake, bool) {
	e := entry.FindStringSubmatchIndex(line)
	if e == nil || !strings.ContainsAny(line[e[4]:e[4]+1], "@`%&*!") {
		return mistake{}, false
	}
	value := strings.TrimRight(line[e[4]:], " ")
	from := runes(line[:e[4]])
	if value[0] == '!' {
		return mistake{
			from: from, to: from + runes(value), code: "yaml-tag",
			message:  "YAML reads " + strings.Fields(value)[0] + " as a tag, and the condition or text is lost",
			fix:      "put the value in quotes: " + quote(value),
			repaired: line[:e[4]] + quote(value),
		}, true
	}
	return mistake{
		from: from, to: from + 1, code: "yaml-reserved",
		message:  "an unquoted value may not begin with " + value[:1],
		fix:      "put the value in quotes: " + quote(value),
		repaired: line[:e[4]] + quote(value),
	}, true
}

// openQuoteTrap finds a quote that is opened and not closed in its line.
func openQuoteTrap(line string) (mistake, bool) {
	e := entry.FindStringSubmatchIndex(line)
	if e == nil || line[e[4]] != '"' && line[e[4]] != '\'' {
		return mistake{}, false
	}
	value := []rune(line[e[4]:])
	if n := quotedWidth(value); n < len(value) || n > 1 && value[n-1] == value[0] {
		return mistake{}, false
	}
	from := runes(line[:e[4]])
	return mistake{
		from: from, to: from + len(value), code: "yaml-quote-open",
		message:  "this quote is not closed",
		fix:      "end the text with " + string(value[0]),
		repaired: line + string(value[0]),
	}, true
}

func runes(s string) int { return utf8.RuneCountInString(s) }

// quote writes s as a quoted YAML scalar, with the quotes that need the fewest
// escapes.
func quote(s string) string {
	if !strings.ContainsAny(s, "\"\\\n") {
		return `"` + s + `"`
	}
	if strings.Contains(s, "\n") {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
	}
	return `'` + strings.ReplaceAll(s, `'`, `''`) + `'`
}
