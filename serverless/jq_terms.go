package serverless

import "slices"

// term reads what operators stand between.
func (p *jqParser) term() jqNode {
	t := p.current
	at := pos{t.from, t.to}
	switch t.kind {
	case tokenNumber:
		p.advance()
		return &jqNumber{at, t.text}
	case tokenText:
		p.advance()
		return textNode(at, t)
	case tokenField:
		p.advance()
		return &jqField{at, &jqIdentity{pos{t.from, t.from + 1}}, t.text}
	case tokenVariable:
		p.advance()
		return &jqVariable{at, t.text}
	case tokenFormat:
		return p.format(at, t)
	case tokenName:
		return p.named(at, t)
	case tokenOperator:
		return p.bracketed(at, t)
	}
	p.fail(p.unexpected())
	return nil
}

func textNode(at pos, t jqToken) *jqText {
	if t.parts == nil {
		return &jqText{at, []jqPart{{text: t.text}}}
	}
	return &jqText{at, t.parts}
}

func (p *jqParser) format(at pos, t jqToken) jqNode {
	p.advance()
	if p.current.kind == tokenText {
		at.to = p.current.to
		p.advance()
		return &jqUnsupported{at, "a text with a format before it", `write "..." + (x | ` + t.text + `)`}
	}
	return &jqFormat{at, t.text}
}

// bracketed reads a term that begins with punctuation.
func (p *jqParser) bracketed(at pos, t jqToken) jqNode {
	switch t.text {
	case ".":
		return p.dot(at)
	case "..":
		p.advance()
		return &jqUnsupported{at, "the operator .., which visits all values", "name the values that are needed"}
	case "(":
		p.advance()
		n := p.pipe()
		p.expect(")")
		return n
	case "[":
		return p.array(at)
	case "{":
		return p.object(at)
	case "-":
		p.advance()
		operand := p.postfix()
		_, at.to = operand.span()
		return &jqNegate{at, operand}
	}
	p.fail(p.unexpected())
	return nil
}

// dot reads a lone dot, ."name" and .[...].
func (p *jqParser) dot(at pos) jqNode {
	identity := &jqIdentity{at}
	p.advance()
	if p.current.kind == tokenText && p.current.from == at.to {
		t := p.current
		p.advance()
		return keyed(pos{at.from, t.to}, identity, t)
	}
	return identity
}

func (p *jqParser) array(at pos) jqNode {
	p.expect("[")
	if p.is("]") {
		at.to = p.expect("]")
		return &jqArray{at, nil}
	}
	items := p.pipe()
	at.to = p.expect("]")
	return &jqArray{at, items}
}

// refusedWords begin constructs that have no place in the tree.
var refusedWords = map[string]jqUnsupported{
	"reduce":  {what: "reduce", fix: "use map, select, add, any or all"},
	"foreach": {what: "foreach", fix: "use a for task"},
	"def":     {what: "the definition of a function", fix: "write out what it does where it is called"},
	"try":     {what: "try", fix: "use a try task, or // and a default"},
	"label":   {what: "label", fix: "use select and take the first"},
	"import":  {what: "import", fix: "write out what the module does"},
	"include": {what: "include", fix: "write out what the module does"},
}

var closingWords = []string{"then", "elif", "else", "end", "as", "and", "or", "__loc__"}

// named reads a term that begins with a word.
func (p *jqParser) named(at pos, t jqToken) jqNode {
	if refused, ok := refusedWords[t.text]; ok {
		p.fail(&jqProblem{at.from, at.to, codeJQUnsupported, refused.what + " is not translated", refused.fix})
	}
	if slices.Contains(closingWords, t.text) {
		p.fail(p.unexpected())
	}
	p.advance()
	switch t.text {
	case "null", "true", "false":
		return &jqConstant{at, t.text}
	case "if":
		return p.conditional(at)
	}
	call := &jqCall{pos: at, name: t.text}
	if !p.is("(") {
		return call
	}
	for sep := "("; p.is(sep); sep = ";" {
		p.advance()
		call.args = append(call.args, p.pipe())
	}
	call.to = p.expect(")")
	return call
}

// conditional reads what follows if or elif.
func (p *jqParser) conditional(at pos) jqNode {
	defer p.deeper()()
	n := &jqIf{pos: at}
	n.cond = p.pipe()
	p.expectName("then")
	n.yes = p.pipe()
	switch {
	case p.isName("elif"):
		from := p.current.from
		p.advance()
		n.no = p.conditional(pos{from, from})
		_, n.to = n.no.span()
		return n
	case p.isName("else"):
		p.advance()
		n.no = p.pipe()
	default:
		n.no = &jqIdentity{pos{p.current.from, p.current.to}}
	}
	n.to = p.expectName("end")
	return n
}
