package serverless

import (
	"strings"
	"unicode"
)

// jqToken is a word of a jq expression; from and to are characters of it.
type jqToken struct {
	kind     tokenKind
	text     string // the operator, name, number or, of a text, its value
	from, to int
	parts    []jqPart // of a text with interpolations
}

type tokenKind int

const (
	tokenEnd      tokenKind = iota
	tokenOperator           // punctuation and operators
	tokenName               // length, and, if
	tokenField              // .name, without the dot
	tokenVariable           // $name, without the dollar
	tokenNumber
	tokenText
	tokenFormat // @base64, with the at sign
)

// jqPart is a piece of a text: characters, or what stands in \( ).
type jqPart struct {
	text string
	expr jqNode
}

// jqProblem says what is wrong with, or not translated of, an expression; from
// and to are characters of it.
type jqProblem struct {
	from, to           int
	code, message, fix string
}

// Error implements error.
func (p *jqProblem) Error() string { return p.message }

// Codes of problems with expressions.
const (
	codeJQSyntax      = "jq-syntax"
	codeJQUnsupported = "jq-unsupported"
)

// jqLexer cuts an expression into tokens.
type jqLexer struct {
	text  []rune
	at    int
	depth int // of interpolations inside one another
}

// jqOperators are the operators by length, longest first.
var jqOperators = []string{
	"?//=", "?//", "//=", "|=", "+=", "-=", "*=", "/=", "%=", "==", "!=", "<=", ">=", "//", "..",
	"|", ",", "+", "-", "*", "/", "%", "=", "<", ">", "(", ")", "[", "]", "{", "}", ":", ";", "?", ".",
}

func (l *jqLexer) next() (jqToken, *jqProblem) {
	l.blanks()
	start := l.at
	if l.at >= len(l.text) {
		return jqToken{kind: tokenEnd, from: len(l.text), to: len(l.text)}, nil
	}
	r := l.text[l.at]
	switch {
	case r == '"':
		return l.quoted()
	case isDigit(r), r == '.' && l.at+1 < len(l.text) && isDigit(l.text[l.at+1]):
		return l.number(), nil
	case r == '.' && l.startsName(l.at+1):
		l.at++
		return l.word(tokenField, start), nil
	case r == '$' && l.startsName(l.at+1):
		l.at++
		return l.word(tokenVariable, start), nil
	case r == '@' && l.startsName(l.at+1):
		l.at++
		t := l.word(tokenFormat, start)
		t.text = "@" + t.text
		return t, nil
	case l.startsName(l.at):
		return l.word(tokenName, start), nil
	}
	return l.operator()
}

// blanks skips white space and comments.
func (l *jqLexer) blanks() {
	for l.at < len(l.text) {
		switch {
		case unicode.IsSpace(l.text[l.at]):
			l.at++
		case l.text[l.at] == '#':
			for l.at < len(l.text) && l.text[l.at] != '\n' {
				l.at++
			}
		default:
			return
		}
	}
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

func (l *jqLexer) startsName(i int) bool {
	return i < len(l.text) && (l.text[i] == '_' || l.text[i] < unicode.MaxASCII && unicode.IsLetter(l.text[i]))
}

func (l *jqLexer) word(kind tokenKind, from int) jqToken {
	start := l.at
	for l.startsName(l.at) || l.at < len(l.text) && isDigit(l.text[l.at]) {
		l.at++
	}
	return jqToken{kind: kind, text: string(l.text[start:l.at]), from: from, to: l.at}
}

func (l *jqLexer) number() jqToken {
	start := l.at
	digits := func() {
		for l.at < len(l.text) && isDigit(l.text[l.at]) {
			l.at++
		}
	}
	digits()
	if l.at < len(l.text) && l.text[l.at] == '.' {
		l.at++
		digits()
	}
	if l.at < len(l.text) && (l.text[l.at] == 'e' || l.text[l.at] == 'E') {
		mark := l.at
		l.at++
		if l.at < len(l.text) && (l.text[l.at] == '+' || l.text[l.at] == '-') {
			l.at++
		}
		if l.at >= len(l.text) || !isDigit(l.text[l.at]) {
			l.at = mark
		}
		digits()
	}
	return jqToken{kind: tokenNumber, text: string(l.text[start:l.at]), from: start, to: l.at}
}

func (l *jqLexer) operator() (jqToken, *jqProblem) {
	rest := string(l.text[l.at:min(l.at+4, len(l.text))])
	for _, op := range jqOperators {
		if strings.HasPrefix(rest, op) {
			t := jqToken{kind: tokenOperator, text: op, from: l.at, to: l.at + len(op)}
			l.at = t.to
			return t, nil
		}
	}
	return jqToken{}, &jqProblem{l.at, l.at + 1, codeJQSyntax, "jq has no " + string(l.text[l.at]) + " here", "remove it, or put text in double quotes"}
}

// jqEscapes are the escapes of texts besides \u and \( ).
var jqEscapes = map[rune]string{'"': `"`, '\\': `\`, '/': "/", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t"}

// quoted reads a text with its escapes and interpolations.
func (l *jqLexer) quoted() (jqToken, *jqProblem) {
	t := jqToken{kind: tokenText, from: l.at}
	var b strings.Builder
	for l.at++; l.at < len(l.text); {
		r := l.text[l.at]
		switch {
		case r == '"':
			l.at++
			t.to, t.text = l.at, b.String()
			if t.parts != nil {
				t.parts = append(t.parts, jqPart{text: b.String()})
			}
			return t, nil
		case r == '\\' && l.at+1 < len(l.text) && l.text[l.at+1] == '(':
			inner, problem := l.interpolation()
			if problem != nil {
				return t, problem
			}
			t.parts = append(t.parts, jqPart{text: b.String()}, jqPart{expr: inner})
			b.Reset()
		case r == '\\':
			if problem := l.escape(&b); problem != nil {
				return t, problem
			}
		default:
			b.WriteRune(r)
			l.at++
		}
	}
	return t, &jqProblem{t.from, len(l.text), codeJQSyntax, "this text is not closed", `close it with "`}
}

// interpolation reads \( ... ).
func (l *jqLexer) interpolation() (jqNode, *jqProblem) {
	start := l.at
	if l.depth >= maxJQDepth {
		return nil, tooDeep(start)
	}
	p := &jqParser{lexer: &jqLexer{text: l.text, at: l.at + 2, depth: l.depth + 1}, depth: l.depth}
	n, problem := p.whole(")")
	if problem != nil {
		return nil, problem
	}
	l.at = p.current.to
	return n, nil
}

// escape reads one escape.
func (l *jqLexer) escape(b *strings.Builder) *jqProblem {
	start := l.at
	if l.at+1 < len(l.text) {
		if s, ok := jqEscapes[l.text[l.at+1]]; ok {
			b.WriteString(s)
			l.at += 2
			return nil
		}
	}
	if r, width := l.unicode(); width > 0 {
		b.WriteRune(r)
		l.at += width
		return nil
	}
	return &jqProblem{start, start + 2, codeJQSyntax, `a text has no escape such as this one`, `write \\ for a backslash`}
}
