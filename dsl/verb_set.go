package dsl

// Set assigns variables, in order; each sees those before it.
type Set struct {
	Vars []Assignment
}

// Assignment gives vars.Name a value.
type Assignment struct {
	Name  string
	Value *Value
}

func (*Set) op() {}

var _ = register(verb{
	name:    "set",
	summary: "gives variables a value; expressions read them as vars.NAME",
	value:   mapOf("names and values; each sees those above it", valueSchema("")),
	read:    readSet,
})

func readSet(b *builder, s *reading) Op {
	op := &Set{}
	o := b.entries(s.own(), "set")
	if o == nil {
		return op
	}
	if len(o.order) == 0 {
		b.report(s.own(), "missing-key", "write set: { name: value }", "set gives no variable a value")
	}
	for _, name := range o.order {
		if !b.word(o.keys[name], "the name of a variable") {
			continue
		}
		op.Vars = append(op.Vars, Assignment{name, b.value(o.get(name), s.scope)})
		b.scope.vars[name] = true
		b.idle = append(b.idle, idle{o.keys[name], "vars." + name, "the variable " + name})
	}
	return op
}
