package dsl

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Limits of what is read. They keep a document small enough to travel in the
// history of a run and an error in a generator from taking a worker's memory.
const (
	MaxFile      = 4 << 20   // bytes of a file
	MaxDocument  = 256 << 10 // bytes of a document
	MaxDocuments = 200       // documents in a file
	MaxNesting   = 40        // YAML lists and maps inside one another
	MaxSteps     = 1000      // steps of a workflow
	MaxBlocks    = 10        // blocks (of try, foreach, switch ...) inside one another
	MaxBranches  = 50        // branches of a parallel, cases of a switch
	MaxNames     = 200       // inputs, outputs, attributes, metrics or commands of a document, each
	maxProblems  = 200       // diagnostics per file
)

// source is a file that is being checked. It collects the diagnostics.
type source struct {
	name  string
	lines []string // without line ends
	found Diagnostics
	muted map[int]bool // lines about which enough is said
}

func newSource(name, text string) *source {
	return &source{name: name, lines: strings.Split(text, "\n"), muted: map[int]bool{}}
}

// normalize brings text into the form that positions and hashes refer to.
func normalize(text string) string {
	text = strings.TrimPrefix(text, "\ufeff")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	return strings.ReplaceAll(text, "\r", "\n")
}

// span is a place of a file: columns from 1, end excluded.
type span struct{ line, column, end int }

func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}

// report adds an error. A place that lies outside the line is clamped to it.
func (s *source) report(at span, code, fix, format string, args ...any) {
	s.add(SeverityError, at, code, fix, format, args...)
}

func (s *source) add(severity Severity, at span, code, fix, format string, args ...any) {
	at.line = min(max(at.line, 1), len(s.lines))
	if s.muted[at.line] || len(s.found) >= maxProblems {
		return
	}
	text := s.line(at.line)
	width := utf8.RuneCountInString(text)
	at.column = min(max(at.column, 1), width+1)
	at.end = min(max(at.end, at.column+1), max(width+1, at.column+1))
	s.found = append(s.found, Diagnostic{
		File: s.name, Line: at.line, Column: at.column, EndColumn: at.end,
		Severity: severity, Code: code, Message: fmt.Sprintf(format, args...), Fix: fix, Snippet: text,
	})
}

// mute keeps later stages from reporting what follows from what is reported.
func (s *source) mute(line int) { s.muted[line] = true }

// document is one document of a file.
type document struct {
	src    *source
	text   string // canonical: LF line ends, no blank lines at its edges
	offset int    // lines of the file before text
	root   *yaml.Node
}

func (d *document) hash() string {
	sum := sha256.Sum256([]byte(d.text))
	return hex.EncodeToString(sum[:])
}

// at gives the place of a node. For scalars of one line it covers the value as
// written.
func (d *document) at(n *yaml.Node) span {
	line := n.Line + d.offset
	return span{line, n.Column, n.Column + d.width(n)}
}

func (d *document) width(n *yaml.Node) int {
	if n.Kind != yaml.ScalarNode {
		return 1
	}
	rest := []rune(d.src.line(n.Line + d.offset))
	if n.Column < 1 || n.Column > len(rest) {
		return 1
	}
	rest = rest[n.Column-1:]
	switch {
	case n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		return quotedWidth(rest)
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return 1
	}
	return min(utf8.RuneCountInString(n.Value), len(rest))
}

// quotedWidth is the number of runes of a quoted scalar at the start of line.
func quotedWidth(line []rune) int {
	quote := line[0]
	for i := 1; i < len(line); i++ {
		switch {
		case quote == '"' && line[i] == '\\':
			i++
		case line[i] == quote && quote == '\'' && i+1 < len(line) && line[i+1] == quote:
			i++
		case line[i] == quote:
			return i + 1
		}
	}
	return len(line)
}

// split cuts a file into its documents. In YAML a line that begins with --- ends
// a document wherever it stands, so each can be read by itself and a mistake in
// one hides nothing of the others.
func (s *source) split() []*document {
	var docs []*document
	start := 0
	flush := func(end int, marked bool) {
		if d := s.cut(start, end); d != nil || marked {
			docs = append(docs, orEmptyDocument(d, s, start))
		}
	}
	marked := false
	for i, line := range s.lines {
		if !isMarker(line) {
			continue
		}
		if rest := strings.TrimSpace(line[3:]); rest != "" && rest[0] != '#' {
			s.report(span{i + 1, 5, runes(line) + 1}, "yaml-document", "put it on the line after ---", "what stands beside --- is lost")
		}
		flush(i, marked)
		start, marked = i+1, true
	}
	flush(len(s.lines), marked)
	return docs
}

func orEmptyDocument(d *document, s *source, line int) *document {
	if d == nil {
		return &document{src: s, offset: max(line-1, 0)}
	}
	return d
}

func isMarker(line string) bool {
	return line == "---" || strings.HasPrefix(line, "--- ")
}

// cut makes a document of lines [start, end) or gives nil if they hold nothing
// but comments.
func (s *source) cut(start, end int) *document {
	for start < end && strings.TrimSpace(s.lines[start]) == "" {
		start++
	}
	for end > start && strings.TrimSpace(s.lines[end-1]) == "" {
		end--
	}
	for _, line := range s.lines[start:end] {
		if t := strings.TrimSpace(line); t != "" && !strings.HasPrefix(t, "#") {
			return &document{src: s, text: strings.Join(s.lines[start:end], "\n") + "\n", offset: start}
		}
	}
	return nil
}
