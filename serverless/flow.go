package serverless

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Targets of flow besides the tasks of a block, which have their numbers.
const (
	toExit = -1 // the end of the block
	toEnd  = -2 // the end of the run
)

// flow is the order in which the tasks of one block run.
type flow struct {
	*builder
	tasks []task
	sc    scope
	main  bool // the block is that of the workflow, whose end is the end of the run
	next  []int
	cases [][]flowCase // of tasks with switch, and of those that jump unless they are skipped
}

// flowCase is where a case of a switch leads: when one of some conditions holds,
// and none of others does. The last case of a switch is its default and has no
// conditions.
type flowCase struct {
	when, unless []test
	to           int
}

// test is a condition of a case, or that the if of the switch is false.
type test struct {
	n       *yaml.Node
	negated bool
}

// block translates tasks that run one after the other, as far as then and switch
// do not say otherwise.
func (b *builder) block(tasks []task, sc scope, main bool) []*yaml.Node {
	if len(tasks) == 0 {
		return nil
	}
	f := &flow{builder: b, tasks: tasks, sc: sc, main: main, next: make([]int, len(tasks)), cases: make([][]flowCase, len(tasks))}
	for i := range tasks {
		f.connect(i)
	}
	f.warnOfUnreachable()
	p := &planner{flow: f, seen: map[int]bool{}, after: f.postdominators()}
	plan, ok := p.region(0, toExit)
	if !ok {
		return f.machine()
	}
	return f.emit(plan)
}

// connect finds where a task leads.
func (f *flow) connect(i int) {
	t := f.tasks[i]
	f.next[i] = f.target(t.get("then"), i)
	list := t.get("switch")
	if list == nil {
		f.connectGuarded(i)
		return
	}
	if list.Kind != yaml.SequenceNode {
		f.Report(list, codeWrongType, "write each case below it as - NAME: { when: ..., then: ... }", "switch must be a list of cases")
		return
	}
	var cases []flowCase
	if n := t.get("if"); n != nil {
		cases = append(cases, flowCase{when: []test{{n, true}}, to: f.next[i]})
	}
	otherwise := flowCase{to: f.next[i]}
	for _, item := range list.Content {
		when, to, ok := f.readCase(item, i)
		switch {
		case !ok:
		case when == nil:
			otherwise.to = to
		default:
			cases = append(cases, flowCase{when: []test{{when, false}}, to: to})
		}
	}
	f.cases[i] = merged(append(cases, otherwise))
}

// connectGuarded finds where a task with an if leads: when it is skipped the next
// one follows, whatever its then says.
func (f *flow) connectGuarded(i int) {
	t := f.tasks[i]
	if following := f.target(nil, i); t.has("if") && following != f.next[i] {
		f.cases[i] = []flowCase{{when: []test{{t.get("if"), false}}, to: f.next[i]}, {to: following}}
	}
}

// merged brings cases that lead to the same task together, as far as the order in
// which they are asked allows: those beside one another, and those that lead
// where the default does.
func merged(cases []flowCase) []flowCase {
	otherwise := cases[len(cases)-1]
	var out []flowCase
	var unless []test
	for _, c := range cases[:len(cases)-1] {
		last := len(out) - 1
		switch {
		case c.to == otherwise.to:
			unless = append(slices.Clip(unless), c.when...)
		case last >= 0 && out[last].to == c.to && len(out[last].unless) == len(unless):
			out[last].when = append(out[last].when, c.when...)
		default:
			c.unless = unless
			out = append(out, c)
		}
	}
	return append(out, otherwise)
}

func (f *flow) readCase(item *yaml.Node, i int) (when *yaml.Node, to int, ok bool) {
	named := f.entries(item, "a case")
	if named == nil || len(named.order) != 1 {
		f.Report(item, codeWrongType, "write - NAME: { when: ..., then: ... }", "a case has one name")
		return nil, 0, false
	}
	o := f.object(named.get(named.order[0]), "a case", "when", "then")
	then := f.required(o, "then", "a case")
	if then == nil {
		return nil, 0, false
	}
	return o.get("when"), f.target(then, i), true
}

// target finds where a directive leads from task i.
func (f *flow) target(n *yaml.Node, i int) int {
	to := i + 1
	if n != nil {
		switch n.Value {
		case "continue":
		case "exit":
			return toExit
		case "end":
			return f.end(n)
		default:
			return f.named(n)
		}
	}
	if to == len(f.tasks) {
		return toExit
	}
	return to
}

func (f *flow) end(n *yaml.Node) int {
	if f.main {
		return toExit
	}
	if f.sc.branch != "" {
		f.Report(n, codeUnsupported, "set a value, and let a switch behind the "+f.sc.branch+" read it", "ending the run from inside a %s is not translated", f.sc.branch)
	}
	return toEnd
}

func (f *flow) named(n *yaml.Node) int {
	var names []string
	for i, t := range f.tasks {
		if t.name == n.Value {
			return i
		}
		names = append(names, t.name)
	}
	f.Report(n, codeUnknownName, "write continue, exit, end or one of "+strings.Join(names, ", "), "there is no task %q beside this one", n.Value)
	return toExit
}

// leads gives all targets of a task.
func (f *flow) leads(i int) []int {
	if f.cases[i] == nil {
		return []int{f.next[i]}
	}
	var all []int
	for _, c := range f.cases[i] {
		all = append(all, c.to)
	}
	return all
}

func (f *flow) warnOfUnreachable() {
	reached := map[int]bool{}
	var visit func(i int)
	visit = func(i int) {
		if i < 0 || reached[i] {
			return
		}
		reached[i] = true
		for _, to := range f.leads(i) {
			visit(to)
		}
	}
	visit(0)
	for i, t := range f.tasks {
		if !reached[i] {
			f.Warn(t.key, "unreachable", "remove it, or let a task lead to it", "the task %s never runs, and is left out", t.name)
		}
	}
}

// planned is one task of a plan, with the blocks of its cases.
type planned struct {
	task   int
	bodies [][]planned // by case of the switch
	end    bool        // no task: the run ends
}

// planner lays out a block as sequences and cases, each task once.
type planner struct {
	*flow
	seen  map[int]bool
	after []map[int]bool // by task: what the run certainly comes to after it
}

// region plans what runs from a task up to another one. False: tasks jump about
// so that no such layout exists.
func (p *planner) region(i, stop int) ([]planned, bool) {
	var plan []planned
	for {
		switch {
		case i == toEnd:
			return append(plan, planned{end: true}), true
		case i == stop:
			return plan, true
		case i == toExit, p.seen[i]:
			return nil, false
		}
		p.seen[i] = true
		item := planned{task: i}
		if p.cases[i] == nil {
			plan, i = append(plan, item), p.next[i]
			continue
		}
		join := p.join(i)
		for _, c := range p.cases[i] {
			body, ok := p.region(c.to, join)
			if !ok {
				return nil, false
			}
			item.bodies = append(item.bodies, body)
		}
		plan, i = append(plan, item), join
		if join == toEnd { // no case goes on
			return plan, true
		}
	}
}

// join gives the nearest place that all cases of a switch come to; toEnd when
// each ends the run.
func (p *planner) join(i int) int {
	candidates := p.after[i]
	for c := range candidates {
		nearest := c != i
		for other := range candidates {
			if other != i && other != c && (c == toExit || !p.after[c][other]) {
				nearest = false
			}
		}
		if nearest {
			return c
		}
	}
	return toEnd
}

// postdominators gives for each task what every way from it comes to before the
// block is left, itself and toExit among them; ways that end the run do not
// count. A task from which every way ends the run has none.
func (f *flow) postdominators() []map[int]bool {
	after := make([]map[int]bool, len(f.tasks)) // nil: not known to be limited yet
	for changed := true; changed; {
		changed = false
		for i := len(f.tasks) - 1; i >= 0; i-- {
			common := f.common(i, after)
			if common != nil {
				common[i] = true
			}
			if len(common) != len(after[i]) {
				after[i], changed = common, true
			}
		}
	}
	return after
}

// common gives what all ways from a task have in common, nil if nothing is known.
func (f *flow) common(i int, after []map[int]bool) map[int]bool {
	var common map[int]bool
	for _, to := range f.leads(i) {
		way := map[int]bool{toExit: true}
		switch {
		case to == toEnd:
			continue
		case to >= 0:
			way = after[to]
		}
		if way == nil {
			continue
		}
		if common == nil {
			common = map[int]bool{}
			for c := range way {
				common[c] = true
			}
			continue
		}
		for c := range common {
			if !way[c] {
				delete(common, c)
			}
		}
	}
	return common
}
