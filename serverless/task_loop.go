package serverless

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops/dsl"
)

// forTask: each round gets what the one before gave; the output is what the last
// one gave. A loop without a condition is a foreach, which shows its items; one
// with a condition, or whose tasks may end the run, is a while.
func (b *builder) forTask(t task, sc scope) done {
	o := b.object(t.get("for"), "for", "each", "in", "at")
	in, body := b.required(o, "in", "for"), b.required(t.object, "do", "a for task")
	if in == nil || body == nil {
		return done{}
	}
	items := b.expression(in, "in", sc.env())
	each, at := "item", "index"
	if n := o.get("each"); n != nil {
		each, _ = b.text(n, "each")
	}
	if n := o.get("at"); n != nil {
		at, _ = b.text(n, "at")
	}
	l := &loop{builder: b, task: t, each: each, at: at, items: items, body: body}
	if t.has("while") || endsRun(body) {
		return l.while(sc)
	}
	return l.foreach(sc)
}

// endsRun reports whether a task below n has then: end.
func endsRun(n *yaml.Node) bool {
	if n.Kind == yaml.MappingNode {
		if then := get(n, "then"); then != nil && then.Value == "end" {
			return true
		}
	}
	for _, child := range n.Content {
		if endsRun(child) {
			return true
		}
	}
	return false
}

// loop is a for task that is translated.
type loop struct {
	*builder
	task     task
	each, at string // names of the item and of its number
	items    exp
	body     *yaml.Node
}

func (l *loop) foreach(sc scope) done {
	id := l.stepID(l.task)
	item := l.each
	if !canBeItem(item) || l.vars["item "+item] {
		item = unique(l.task.name+"_"+l.each, l.vars)
	}
	l.vars["item "+item] = true
	number := unique(l.task.name+"_"+l.at, l.vars) // a loop inside has an index of its own
	inner := sc.bound(l.each, exp{src: item, level: levelAtom, data: true}).bound(l.at, numberVariable(number))
	inner.branch, inner.loops = "for", append(slices.Clip(sc.loops), number)
	steps := l.block(l.tasks(l.body, l.task.pointer+"/for/do"), inner, false)
	if mentions(sequence(steps...), variable(number).src) {
		steps = append([]*yaml.Node{step("", "set", mapping(number, template(exp{src: "index"})))}, steps...)
	}
	main := step(id, "foreach", mapping("items", condition(l.items), "as", textNodeOf(item), "steps", sequence(steps...)))
	return done{steps: []*yaml.Node{main}, main: main}
}

func numberVariable(name string) exp {
	e := variable(name)
	e.kind = kindNumber
	return e
}

// canBeItem reports whether an item of a foreach may have a name, which must be
// no word of the language.
func canBeItem(name string) bool {
	if !plainField.MatchString(name) || strings.HasPrefix(name, letPrefix) {
		return false
	}
	_, found := dsl.Compile("workflow: w\nsteps:\n  - foreach:\n      items: '[1]'\n      as: \"" + name + "\"\n      steps: [{ set: { x: \"${{ " + name + " }}\" } }]\n")
	return !found.HasErrors()
}

func (l *loop) while(sc scope) done {
	id := l.stepID(l.task)
	list, item, number := l.variable(l.task, "items"), unique(l.task.name+"_"+l.each, l.vars), unique(l.task.name+"_"+l.at, l.vars)
	inner := sc.bound(l.each, variable(item)).bound(l.at, numberVariable(number))
	inner.loops = append(slices.Clip(sc.loops), number)
	going := exp{src: "vars." + number + " < len(vars." + list + ")", level: levelCompare, kind: kindBool}
	ahead := sc.bound(l.each, exp{src: "get(vars." + list + ", vars." + number + ")", level: levelAtom, data: true}).
		bound(l.at, numberVariable(number))
	if n := l.task.get("while"); n != nil {
		going = both(going, l.expression(n, "while", ahead.env()).truth())
	}
	begin := step("", "set", mapping(item, template(exp{src: "get(vars." + list + ", vars." + number + ")"})))
	steps := append([]*yaml.Node{begin}, l.block(l.tasks(l.body, l.task.pointer+"/for/do"), inner, false)...)
	steps = append(steps, step("", "set", mapping(number, template(exp{src: "vars." + number + " + 1"}))))
	main := step(id, "while", condition(going), "max_iterations", intNode(maxRounds), "steps", sequence(steps...))
	start := step("", "set", mapping(list, template(exp{src: "concat(" + l.items.src + ")"}), number, intNode(0)))
	return done{steps: []*yaml.Node{start, main}, main: main}
}

// forkTask: each branch works on a copy of the data in a variable of its own.
func (b *builder) forkTask(t task, sc scope) done {
	o := b.object(t.get("fork"), "fork", "branches", "compete")
	list := b.required(o, "branches", "fork")
	if list == nil {
		return done{}
	}
	id := b.stepID(t)
	branches, names := mapping(), map[string]bool{}
	var outputs []branchOutput
	for _, branch := range b.tasks(list, t.pointer+"/fork/branches") {
		if then := branch.get("then"); then != nil && then.Value != "continue" {
			b.Report(then, codeUnsupported, "remove it", "a branch of a fork leads nowhere")
		}
		name := unique(branch.name, names)
		inner := sc
		inner.data, inner.branch = b.variable(branch, "data"), "fork"
		steps := append([]*yaml.Node{step("", "set", mapping(inner.data, template(sc.dot())))}, b.task(branch, inner)...)
		put(branches, name, sequence(steps...))
		outputs = append(outputs, branchOutput{name, inner.dot()})
	}
	main := step(id, "parallel", branches)
	out := allOutputs(outputs)
	if b.boolean(o.get("compete"), "compete", false) {
		put(main, "race", boolNode(true))
		out = winner(id, outputs)
	}
	return done{steps: []*yaml.Node{main}, main: main, out: &out}
}

// branchOutput is what a branch gives.
type branchOutput struct {
	name  string
	value exp
}

func allOutputs(outputs []branchOutput) exp {
	src := "["
	for i, o := range outputs {
		if i > 0 {
			src += ", "
		}
		src += o.value.src
	}
	return atom(kindList, "%s]", src)
}

func winner(id string, outputs []branchOutput) exp {
	src := ""
	for i, o := range outputs {
		if i > 0 {
			src += ", "
		}
		src += quote(o.name) + ": " + o.value.src
	}
	return exp{src: "get({" + src + "}, steps." + id + ".output.winner)", level: levelAtom, data: true}
}
