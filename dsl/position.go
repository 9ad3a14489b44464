package dsl

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// place is the position of one rune of a scalar in the file, both from 1.
type place struct{ line, column int }

// places gives the position in the file of every rune of a scalar's value, and
// of the end. Quotes, escapes, folded lines and block indentation lie between
// the text of the file and the value, so the two are walked side by side.
func (d *document) places(n *yaml.Node) []place {
	if d.src.muted[n.Line+d.offset] { // the line was repaired, so its text is not the value's
		return []place{{n.Line + d.offset, n.Column}}
	}
	w := &walker{doc: d, line: n.Line + d.offset, column: n.Column, double: n.Style&yaml.DoubleQuotedStyle != 0, single: n.Style&yaml.SingleQuotedStyle != 0}
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		w.line, w.column = w.line+1, 1
	case w.double || w.single:
		w.column++
	}
	value := []rune(n.Value)
	out := make([]place, 0, len(value)+1)
	for _, r := range value {
		out = append(out, w.next(r))
	}
	return append(out, place{w.line, w.column})
}

type walker struct {
	doc            *document
	line, column   int
	double, single bool
	cachedLine     int
	cached         []rune
}

// next finds r at or after the walker's position and moves behind it.
func (w *walker) next(r rune) place {
	if r == ' ' || r == '\n' || r == '\t' {
		return w.space(r)
	}
	for tries := 0; tries < 1<<16 && w.line <= len(w.doc.src.lines); tries++ {
		text := w.text()
		if w.column > len(text) {
			w.line, w.column = w.line+1, 1
			continue
		}
		at := place{w.line, w.column}
		found, width := w.read(text[w.column-1:])
		w.column += width
		if found == r {
			return at
		}
	}
	return place{w.line, w.column}
}

// space moves over a blank; one that stands for a folded line end is nowhere in
// the line, so the walker stays.
func (w *walker) space(r rune) place {
	text := w.text()
	at := place{w.line, w.column}
	if w.column > len(text) {
		return at
	}
	if found, width := w.read(text[w.column-1:]); found == r {
		w.column += width
	}
	return at
}

func (w *walker) text() []rune {
	if w.cachedLine != w.line {
		w.cachedLine, w.cached = w.line, []rune(w.doc.src.line(w.line))
	}
	return w.cached
}

var simpleEscapes = map[rune]rune{
	'n': '\n', 't': '\t', 'r': '\r', '0': 0, 'a': '\a', 'b': '\b', 'e': 0x1b, 'f': '\f', 'v': '\v',
	'N': 0x85, '_': 0xa0, 'L': 0x2028, 'P': 0x2029,
}

var hexEscapes = map[rune]int{'x': 2, 'u': 4, 'U': 8}

// read decodes the rune at the start of text and says how wide it is written.
func (w *walker) read(text []rune) (rune, int) {
	switch {
	case w.single && text[0] == '\'' && len(text) > 1 && text[1] == '\'':
		return '\'', 2
	case !w.double || text[0] != '\\' || len(text) < 2:
		return text[0], 1
	}
	if digits, ok := hexEscapes[text[1]]; ok && len(text) >= 2+digits {
		n, err := strconv.ParseUint(string(text[2:2+digits]), 16, 32)
		if err == nil {
			return rune(n), 2 + digits
		}
	}
	if r, ok := simpleEscapes[text[1]]; ok {
		return r, 2
	}
	return text[1], 2
}

// part gives the place of runes [from, to) of a scalar's value.
func (d *document) part(n *yaml.Node, from, to int) span {
	places := d.places(n)
	last := len(places) - 1
	from, to = min(max(from, 0), last), min(max(to, 0), last)
	start, end := places[from], places[max(to-1, from)]
	if end.line != start.line { // a caret marks one line only
		return span{start.line, start.column, runes(strings.TrimRight(d.src.line(start.line), " ")) + 1}
	}
	return span{start.line, start.column, end.column + 1}
}
