package serverless

import "go.yaml.in/yaml/v4"

// emit translates a plan.
func (f *flow) emit(plan []planned) []*yaml.Node {
	var steps []*yaml.Node
	for _, item := range plan {
		switch {
		case item.end:
			steps = append(steps, step("", "return", nullNode()))
		case item.bodies == nil:
			steps = append(steps, f.task(f.tasks[item.task], f.sc)...)
		default:
			steps = append(steps, f.switched(item)...)
		}
	}
	return steps
}

// switched translates a switch whose cases hold what they lead to.
func (f *flow) switched(item planned) []*yaml.Node {
	t := f.tasks[item.task]
	steps, sc := f.beforeSwitch(t)
	cases := sequence()
	filled := 0 // how many cases there are up to the last that does something
	for i, c := range f.cases[item.task][:len(item.bodies)-1] {
		body := append(f.guardedTask(t), f.emit(item.bodies[i])...)
		if len(body) > 0 {
			filled = i + 1
		}
		cases.Content = append(cases.Content, mapping("if", condition(f.applies(c, sc)), "steps", sequence(f.orNothing(f.sc, body)...)))
	}
	otherwise := f.emit(item.bodies[len(item.bodies)-1])
	if len(otherwise) == 0 {
		cases.Content = cases.Content[:filled]
	}
	if len(cases.Content) == 0 {
		return append(steps, otherwise...)
	}
	out := step(f.switchID(t), "switch", cases)
	if len(otherwise) > 0 {
		put(out, "default", sequence(otherwise...))
	}
	return append(steps, f.noted(out))
}

// guardedTask translates a task that leads somewhere unless it is skipped, for
// the case that it is not; nothing for a switch.
func (f *flow) guardedTask(t task) []*yaml.Node {
	if t.has("switch") {
		return nil
	}
	unguarded := t
	unguarded.object = t.without("if")
	return f.task(unguarded, f.sc)
}

// switchID gives the id of the step that chooses; none where it belongs to
// another task.
func (f *flow) switchID(t task) string {
	if t.has("switch") {
		return f.stepID(t)
	}
	return ""
}

// beforeSwitch translates what a switch does besides leading somewhere.
func (f *flow) beforeSwitch(t task) ([]*yaml.Node, scope) {
	if !t.has("switch") {
		return nil, f.sc
	}
	f.checkKeys(t, "switch")
	const fix = "give it to a task beside the switch"
	f.unsupported(t.object, "a switch", fix, "output", "export", "timeout")
	sc := f.sc.inTask(t)
	from := f.from(t, sc)
	if from == nil {
		return nil, sc
	}
	return []*yaml.Node{step("", "set", mapping(sc.data, from))}, sc
}

// applies gives the condition of a case.
func (f *flow) applies(c flowCase, sc scope) exp {
	holds := func(one test) exp {
		e := f.expression(one.n, "when", sc.env()).truth()
		if one.negated {
			return not(e)
		}
		return e
	}
	all := holds(c.when[0])
	for _, one := range c.when[1:] {
		all = either(all, holds(one))
	}
	for _, one := range c.unless {
		all = both(not(holds(one)), all)
	}
	return all
}

// maxRounds bounds the loop of a machine.
const maxRounds = 10_000

// machine translates tasks that jump about: a loop does the next task until there
// is none. Tasks that always follow one another share a case.
func (f *flow) machine() []*yaml.Node {
	next := unique("next", f.vars)
	state := variable(next)
	cases := sequence()
	ends := false
	for _, leader := range f.leaders() {
		body, end := f.chain(leader, next)
		ends = ends || end
		when := exp{src: state.src + " == " + quote(f.label(leader)), level: levelCompare}
		cases.Content = append(cases.Content, mapping("if", condition(when), "steps", sequence(body...)))
	}
	if ends {
		when := exp{src: state.src + " == " + quote(f.label(toEnd)), level: levelCompare}
		cases.Content = append(cases.Content, mapping("if", condition(when), "steps", sequence(step("", "return", nullNode()))))
	}
	loop := step("", "while", condition(exp{src: state.src + ` != ""`}), "max_iterations", intNode(maxRounds),
		"steps", sequence(step("", "switch", cases)))
	return []*yaml.Node{step("", "set", mapping(next, textNodeOf(f.label(0)))), loop}
}

// label names a target in the variable of a machine.
func (f *flow) label(to int) string {
	switch to {
	case toExit:
		return ""
	case toEnd:
		return "/end" // no task has such a name
	}
	return f.tasks[to].name
}

// leaders gives the tasks that begin a case: the first, those that several lead
// to, and those that a switch leads to.
func (f *flow) leaders() []int {
	led := map[int]int{0: 2}
	reached := map[int]bool{}
	var visit func(i int)
	visit = func(i int) {
		if i < 0 || reached[i] {
			return
		}
		reached[i] = true
		for _, to := range f.leads(i) {
			led[to]++
			if f.cases[i] != nil {
				led[to]++
			}
			visit(to)
		}
	}
	visit(0)
	var leaders []int
	for i := range f.tasks {
		if reached[i] && led[i] > 1 {
			leaders = append(leaders, i)
		}
	}
	return leaders
}

// chain translates the tasks of one case, and what comes next.
func (f *flow) chain(i int, next string) (steps []*yaml.Node, ends bool) {
	leaders := map[int]bool{}
	for _, l := range f.leaders() {
		leaders[l] = true
	}
	for {
		if f.cases[i] != nil {
			more, ends := f.choice(i, next)
			return append(steps, more...), ends
		}
		steps = append(steps, f.task(f.tasks[i], f.sc)...)
		if i = f.next[i]; i < 0 || leaders[i] {
			return append(steps, step("", "set", mapping(next, literal(f.label(i))))), i == toEnd
		}
	}
}

// choice translates a switch of a machine.
func (f *flow) choice(i int, next string) (steps []*yaml.Node, ends bool) {
	t := f.tasks[i]
	steps, sc := f.beforeSwitch(t)
	cases := f.cases[i]
	for _, c := range cases {
		ends = ends || c.to == toEnd
	}
	lead := func(to int) *yaml.Node { return step("", "set", mapping(next, literal(f.label(to)))) }
	if !t.has("switch") {
		done := append(f.guardedTask(t), lead(cases[0].to))
		choice := step("", "switch", sequence(mapping("if", condition(f.applies(cases[0], sc)), "steps", sequence(done...))),
			"default", sequence(lead(cases[1].to)))
		return append(steps, f.noted(choice)), ends
	}
	chosen := textExp(f.label(cases[len(cases)-1].to))
	for k := len(cases) - 2; k >= 0; k-- {
		chosen = choose(f.applies(cases[k], sc), textExp(f.label(cases[k].to)), chosen)
	}
	return append(steps, f.noted(step(f.stepID(t), "set", mapping(next, template(chosen))))), ends
}
