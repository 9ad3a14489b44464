package serverless

// maxJQDepth bounds how deep brackets and operators may stand inside one another.
const maxJQDepth = 100

// parseJQ reads a jq expression: the grammar of jq 1.7 without definitions of
// functions and modules. A construct that has no place in the tree, such as
// reduce, ends the reading with the code jq-unsupported.
func parseJQ(source string) (jqNode, *jqProblem) {
	p := &jqParser{lexer: &jqLexer{text: []rune(source)}}
	return p.whole("")
}

// jqParser reads by recursive descent and precedence climbing.
type jqParser struct {
	lexer   *jqLexer
	current jqToken
	depth   int
}

// whole reads an expression up to a closing operator, "" for the end.
func (p *jqParser) whole(end string) (n jqNode, problem *jqProblem) {
	defer func() {
		if caught, ok := recover().(*jqProblem); ok {
			n, problem = nil, caught
		} else if caught != nil {
			panic(caught)
		}
	}()
	p.advance()
	n = p.pipe()
	if end == "" && p.current.kind == tokenEnd || end != "" && p.is(end) {
		return n, nil
	}
	return nil, p.unexpected()
}

// fail leaves the reading; whole catches it.
func (p *jqParser) fail(problem *jqProblem) { panic(problem) }

func (p *jqParser) advance() {
	t, problem := p.lexer.next()
	if problem != nil {
		p.fail(problem)
	}
	p.current = t
}

func (p *jqParser) is(operator string) bool {
	return p.current.kind == tokenOperator && p.current.text == operator
}

func (p *jqParser) isName(name string) bool {
	return p.current.kind == tokenName && p.current.text == name
}

func (p *jqParser) expect(operator string) (to int) {
	if !p.is(operator) {
		p.fail(p.unexpected())
	}
	to = p.current.to
	p.advance()
	return to
}

func (p *jqParser) expectName(name string) (to int) {
	if !p.isName(name) {
		p.fail(p.unexpected())
	}
	to = p.current.to
	p.advance()
	return to
}

func (p *jqParser) unexpected() *jqProblem {
	t := p.current
	if t.kind == tokenEnd {
		at := max(t.from-1, 0)
		return &jqProblem{at, at + 1, codeJQSyntax, "the expression ends too early", "complete it, or close the open bracket"}
	}
	return &jqProblem{t.from, t.to, codeJQSyntax, "jq cannot continue here", "remove it, or put an operator before it"}
}

func tooDeep(at int) *jqProblem {
	return &jqProblem{at, at + 1, codeJQSyntax, "brackets and operators stand too deep inside one another", "set a part of it in a task before"}
}

// deeper guards against a stack overflow.
func (p *jqParser) deeper() func() {
	if p.depth++; p.depth > maxJQDepth {
		p.fail(tooDeep(p.current.from))
	}
	return func() { p.depth-- }
}

// pipe reads a | b, which binds weakest and to the right.
func (p *jqParser) pipe() jqNode {
	defer p.deeper()()
	left := p.binary(precedenceOfComma)
	if !p.is("|") {
		return left
	}
	at := p.current.from
	p.advance()
	right := p.pipe()
	return joined(left, "|", at, right)
}

func joined(left jqNode, op string, at int, right jqNode) jqNode {
	from, _ := left.span()
	_, to := right.span()
	return &jqBinary{pos{from, to}, op, at, left, right}
}

// Precedences of jq's operators; all bind to the left but //.
const (
	precedenceOfComma = iota + 1
	precedenceOfAlternative
	precedenceOfAssignment
	precedenceOfOr
	precedenceOfAnd
	precedenceOfComparison
	precedenceOfSum
	precedenceOfProduct
)

var jqPrecedences = map[string]int{
	",": precedenceOfComma, "//": precedenceOfAlternative,
	"=": precedenceOfAssignment, "|=": precedenceOfAssignment, "+=": precedenceOfAssignment, "-=": precedenceOfAssignment,
	"*=": precedenceOfAssignment, "/=": precedenceOfAssignment, "%=": precedenceOfAssignment, "//=": precedenceOfAssignment,
	"or": precedenceOfOr, "and": precedenceOfAnd,
	"==": precedenceOfComparison, "!=": precedenceOfComparison, "<": precedenceOfComparison, "<=": precedenceOfComparison,
	">": precedenceOfComparison, ">=": precedenceOfComparison,
	"+": precedenceOfSum, "-": precedenceOfSum,
	"*": precedenceOfProduct, "/": precedenceOfProduct, "%": precedenceOfProduct,
}

// binary reads operators of at least a precedence.
func (p *jqParser) binary(least int) jqNode {
	defer p.deeper()()
	left := p.postfix()
	for {
		op := p.current
		precedence := jqPrecedences[op.text]
		if op.kind != tokenOperator && op.kind != tokenName || precedence == 0 || precedence < least {
			return left
		}
		p.advance()
		next := precedence + 1
		if op.text == "//" {
			next = precedence
		}
		left = joined(left, op.text, op.from, p.binary(next))
		if precedence == precedenceOfComparison && jqPrecedences[p.current.text] == precedence && p.current.kind == tokenOperator {
			p.fail(p.unexpected()) // a == b == c
		}
	}
}

// postfix reads a term with what follows it: .name, [..], ?, as.
func (p *jqParser) postfix() jqNode {
	n := p.term()
	for {
		from, _ := n.span()
		switch {
		case p.current.kind == tokenField:
			n = &jqField{pos{from, p.current.to}, n, p.current.text}
			p.advance()
		case p.is("."):
			n = p.afterDot(n)
		case p.is("["):
			n = p.bracket(n)
		case p.is("?"):
			n = &jqUnsupported{pos{from, p.current.to}, "the operator ?, which hides errors", "a missing field is null already: leave ? out, or write // and a default"}
			p.advance()
		case p.isName("as"):
			return p.bind(n)
		default:
			return n
		}
	}
}

// afterDot reads ."name" and .[ after a term.
func (p *jqParser) afterDot(target jqNode) jqNode {
	from, _ := target.span()
	p.advance()
	switch {
	case p.current.kind == tokenText:
		t := p.current
		p.advance()
		return keyed(pos{from, t.to}, target, t)
	case p.is("["):
		return p.bracket(target)
	}
	p.fail(p.unexpected())
	return nil
}

// keyed gives target."text".
func keyed(at pos, target jqNode, t jqToken) jqNode {
	if t.parts == nil {
		return &jqField{at, target, t.text}
	}
	return &jqIndex{at, target, &jqText{pos{t.from, t.to}, t.parts}}
}

// bracket reads [], [key] and [from:to] after a term.
func (p *jqParser) bracket(target jqNode) jqNode {
	from, _ := target.span()
	p.expect("[")
	if p.is("]") {
		return &jqEach{pos{from, p.expect("]")}, target}
	}
	if !p.is(":") {
		key := p.pipe()
		if p.is("]") {
			return &jqIndex{pos{from, p.expect("]")}, target, key}
		}
	}
	p.expect(":")
	if !p.is("]") {
		p.pipe()
	}
	return &jqUnsupported{pos{from, p.expect("]")}, "a slice", "name the items, as in [.[0], .[1]]"}
}

// bind reads as $name | body after its source.
func (p *jqParser) bind(source jqNode) jqNode {
	from, _ := source.span()
	at := p.expectName("as")
	if p.current.kind != tokenVariable {
		p.fail(&jqProblem{at - 2, p.current.to, codeJQUnsupported, "taking values apart by as [...] or as {...} is not translated", "bind one variable, as in . as $x | ..."})
	}
	name := p.current.text
	p.advance()
	p.expect("|")
	body := p.pipe()
	_, to := body.span()
	return &jqBind{pos{from, to}, source, name, body}
}
