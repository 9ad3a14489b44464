package serverless

import (
	"strconv"
	"unicode/utf16"
)

// jqNode is a part of a jq expression. span gives its characters.
type jqNode interface{ span() (from, to int) }

// pos is embedded by all nodes.
type pos struct{ from, to int }

func (p pos) span() (from, to int) { return p.from, p.to }

type (
	// jqIdentity is a lone dot.
	jqIdentity struct{ pos }

	// jqField is .name or ."name" of target.
	jqField struct {
		pos
		target jqNode
		name   string
	}

	// jqIndex is target[key].
	jqIndex struct {
		pos
		target, key jqNode
	}

	// jqEach is target[].
	jqEach struct {
		pos
		target jqNode
	}

	// jqNumber, jqText, jqConstant and jqVariable stand for themselves.
	jqNumber struct {
		pos
		text string
	}
	jqText struct {
		pos
		parts []jqPart
	}
	jqConstant struct { // null, true, false
		pos
		name string
	}
	jqVariable struct {
		pos
		name string
	}

	// jqArray is [items]; items is nil for [].
	jqArray struct {
		pos
		items jqNode
	}

	// jqObject is {entries}.
	jqObject struct {
		pos
		entries []jqEntry
	}

	// jqNegate is -operand.
	jqNegate struct {
		pos
		operand jqNode
	}

	// jqBinary is left op right, where op is one of jq's operators, | and ,
	// among them.
	jqBinary struct {
		pos
		op          string
		opAt        int
		left, right jqNode
	}

	// jqIf is if cond then yes else no end. Without an else, no is a dot.
	jqIf struct {
		pos
		cond, yes, no jqNode
	}

	// jqCall is name or name(arguments).
	jqCall struct {
		pos
		name string
		args []jqNode
	}

	// jqBind is source as $name | body.
	jqBind struct {
		pos
		source jqNode
		name   string
		body   jqNode
	}

	// jqFormat is @name, alone or before a text.
	jqFormat struct {
		pos
		name string
	}

	// jqUnsupported stands for a part that was read and cannot be translated.
	jqUnsupported struct {
		pos
		what, fix string
	}
)

// jqEntry is key: value of an object; a text as key, or an expression.
type jqEntry struct {
	key   jqNode
	value jqNode
}

// unicode reads \uXXXX, with the second half of a surrogate pair.
func (l *jqLexer) unicode() (r rune, width int) {
	first, ok := l.hex(l.at)
	if !ok {
		return 0, 0
	}
	if utf16.IsSurrogate(first) {
		if second, ok := l.hex(l.at + 6); ok {
			return utf16.DecodeRune(first, second), 12
		}
	}
	return first, 6
}

func (l *jqLexer) hex(at int) (rune, bool) {
	if at+6 > len(l.text) || l.text[at] != '\\' || l.text[at+1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(l.text[at+2:at+6]), 16, 32)
	return rune(n), err == nil
}
