package serverless

// object reads {entries}.
func (p *jqParser) object(at pos) jqNode {
	p.expect("{")
	n := &jqObject{pos: at}
	for !p.is("}") {
		n.entries = append(n.entries, p.entry())
		if !p.is(",") {
			break
		}
		p.advance()
	}
	n.to = p.expect("}")
	return n
}

// entry reads key: value, and the short forms {name}, {"name"} and {$name}.
func (p *jqParser) entry() jqEntry {
	t := p.current
	at := pos{t.from, t.to}
	switch {
	case t.kind == tokenVariable:
		p.advance()
		return jqEntry{fixedKey(at, t.text), &jqVariable{at, t.text}}
	case t.kind == tokenName, t.kind == tokenNumber:
		p.advance()
		return p.valueOf(fixedKey(at, t.text), &jqField{at, &jqIdentity{at}, t.text})
	case t.kind == tokenText:
		p.advance()
		return p.valueOf(textNode(at, t), keyed(at, &jqIdentity{at}, t))
	case p.is("("):
		p.advance()
		key := p.pipe()
		p.expect(")")
		p.expect(":")
		return jqEntry{key, p.entryValue()}
	}
	p.fail(p.unexpected())
	return jqEntry{}
}

func fixedKey(at pos, name string) jqNode { return &jqText{at, []jqPart{{text: name}}} }

// valueOf reads the value of a key; short is what the key alone stands for.
func (p *jqParser) valueOf(key, short jqNode) jqEntry {
	if !p.is(":") {
		return jqEntry{key, short}
	}
	p.advance()
	return jqEntry{key, p.entryValue()}
}

// entryValue reads a value, in which a comma ends the entry.
func (p *jqParser) entryValue() jqNode {
	left := p.binary(precedenceOfAlternative)
	if !p.is("|") {
		return left
	}
	at := p.current.from
	p.advance()
	return joined(left, "|", at, p.entryValue())
}
