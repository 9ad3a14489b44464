package serverless

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// task is one task of the document.
type task struct {
	*object
	name    string
	key     *yaml.Node // its name in the document
	pointer string     // JSON pointer: /do/0/greet
}

// tasks reads a list of tasks.
func (b *builder) tasks(n *yaml.Node, pointer string) []task {
	if n.Kind != yaml.SequenceNode {
		b.Report(n, codeWrongType, "write each task below it as - NAME: { ... }", "tasks must be a list")
		return nil
	}
	var tasks []task
	for i, item := range n.Content {
		named := b.entries(item, "a task")
		if named == nil {
			continue
		}
		if len(named.order) != 1 {
			b.Report(item, codeWrongType, "begin each task with - NAME:", "an item of a list of tasks has one name, and this has %d", len(named.order))
			continue
		}
		name := named.order[0]
		if o := b.entries(named.get(name), "a task"); o != nil {
			tasks = append(tasks, task{o, name, named.keys[name], pointer + "/" + strconv.Itoa(i) + "/" + name})
		}
	}
	if len(n.Content) == 0 {
		b.Report(n, codeMissingKey, "write each task below it as - NAME: { ... }", "there is no task")
	}
	return tasks
}

// commonKeys are the keys that every task may have.
var commonKeys = []string{"if", "input", "output", "export", "timeout", "then", "metadata"}

// taskKind is a kind of task.
type taskKind struct {
	keys      []string // further keys that belong to it
	becomes   string   // for the table of docs/import.md
	remark    string   // what of it is not translated, for the table
	translate func(b *builder, t task, sc scope) done
}

// done is what a task became.
type done struct {
	steps []*yaml.Node
	main  *yaml.Node // the step that takes a timeout; nil: there is none
	value *yaml.Node // its output; nil: see out
	out   *exp       // its output; nil: it is in the variable of the data
}

var taskKinds map[string]taskKind

func init() { // kinds and the translation of blocks refer to each other
	taskKinds = map[string]taskKind{
		"call":   {[]string{"with"}, "`action: http.request`", "`http` alone, and functions of `use` that are it; credentials have to be secrets", (*builder).callTask},
		"do":     {nil, "its tasks, one after the other", "", (*builder).doTask},
		"emit":   {nil, "`emit`", "the type has to be written out, in small letters; its source is lost", (*builder).emitTask},
		"for":    {[]string{"while", "do"}, "`foreach`, or `while` where it has a condition", "at most 1,000 items", (*builder).forTask},
		"fork":   {nil, "`parallel`, with `race` where branches compete", "", (*builder).forkTask},
		"listen": {[]string{"foreach"}, "`wait` for an event, in `parallel` for several", "no `until`, `foreach` or `correlate`; filters by `type` and `data`", (*builder).listenTask},
		"raise":  {nil, "`fail`", "", (*builder).raiseTask},
		"run":    {nil, "`run`", "`workflow` alone, its latest version", (*builder).runTask},
		"set":    {nil, "`set`", "", (*builder).setTask},
		"switch": {nil, "`switch`", "", nil}, // which the flow translates
		"try":    {[]string{"catch"}, "`try`, `catch`, `retry`", "delays are constant or double; jitter is lost", (*builder).tryTask},
		"wait":   {nil, "`wait`", "durations that are written out", (*builder).waitTask},
	}
}

// kindOf finds what kind of task t is; "" was reported.
func (b *builder) kindOf(t task) string {
	var found []string
	for _, key := range t.order {
		if _, ok := taskKinds[key]; ok && !(key == "do" && t.has("for")) {
			found = append(found, key)
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	kinds := keys(taskKinds)
	slices.Sort(kinds)
	b.Report(t.key, codeMissingKey, "use one of "+strings.Join(kinds, ", "), "the task %s has to be of one kind, and it is of %d", t.name, len(found))
	return ""
}

// checkKeys reports keys that tasks of a kind do not have.
func (b *builder) checkKeys(t task, kind string) {
	known := append(append([]string{kind}, taskKinds[kind].keys...), commonKeys...)
	for _, key := range t.order {
		if !slices.Contains(known, key) {
			b.Report(t.keys[key], codeUnknownKey, "use "+strings.Join(known, ", "), "a %s task has no key %q in DSL 1.0", kind, key)
		}
	}
}

// task translates one task: its input, what it does, its output and its export.
func (b *builder) task(t task, sc scope) []*yaml.Node {
	kind := b.kindOf(t)
	switch kind {
	case "":
		return nil
	case "switch": // the only task of a branch
		return b.block([]task{t}, sc, false)
	}
	b.checkKeys(t, kind)
	when := b.guard(t, sc)
	inner := sc.inTask(t)
	from := b.from(t, inner)
	d := taskKinds[kind].translate(b, t, inner)
	after, saved := b.after(t, inner, d)
	var steps []*yaml.Node
	if from != nil {
		steps = append(steps, step("", "set", mapping(sc.data, from)))
	}
	if saved != "" {
		steps = append(steps, step("", "set", mapping(saved, template(sc.dot()))))
	}
	steps = append(steps, b.limited(t, d)...)
	if len(after.Content) > 0 {
		id := ""
		if len(d.steps) == 0 {
			id = b.stepID(t)
		}
		steps = append(steps, step(id, "set", after))
	}
	return b.guarded(when, steps)
}

// stepID gives the step of a task an id, and remembers where it comes from.
func (b *builder) stepID(t task) string {
	id := unique(t.name, b.steps)
	b.instances[id] = t.pointer
	return id
}

// variable gives a variable of its own for something of a task.
func (b *builder) variable(t task, what string) string { return unique(t.name+"_"+what, b.vars) }

// guard translates the if of a task, which sees what flows into it.
func (b *builder) guard(t task, sc scope) *exp {
	n := t.get("if")
	if n == nil {
		return nil
	}
	when := b.expression(n, "if", sc.env()).truth()
	return &when
}

// guarded puts steps under a condition.
func (b *builder) guarded(when *exp, steps []*yaml.Node) []*yaml.Node {
	if len(steps) == 0 {
		return nil
	}
	if when != nil {
		if len(steps) == 1 && get(steps[0], "if") == nil {
			at := 0
			if steps[0].Content[0].Value == "id" {
				at = 2
			}
			steps[0].Content = slices.Insert(steps[0].Content, at, textNodeOf("if"), condition(*when))
		} else {
			steps = []*yaml.Node{step("", "switch", sequence(mapping("if", condition(*when), "steps", sequence(steps...))))}
		}
	}
	steps[0] = b.noted(steps[0])
	return steps
}

// noted puts what was approximated above a step.
func (b *builder) noted(n *yaml.Node) *yaml.Node {
	if notes := b.notesAbove(); len(notes) > 0 {
		n.HeadComment = strings.TrimLeft(n.HeadComment+"\n# "+strings.Join(notes, "\n# "), "\n")
	}
	return n
}

// from translates input.from; nil if there is none.
func (b *builder) from(t task, sc scope) *yaml.Node {
	n := t.get("input")
	if n == nil {
		return nil
	}
	o := b.object(n, "input", "schema", "from")
	b.unchecked(o)
	if !o.has("from") {
		return nil
	}
	value, _ := b.asValue(o.get("from"), "from", sc.env())
	return value
}

// reads reports whether expressions that f translates read a variable, by its
// source.
func (b *builder) reads(source string, f func()) bool {
	outer := b.used
	b.used = map[string]bool{}
	f()
	read := b.used[source]
	for used := range b.used {
		outer[used] = true
	}
	b.used = outer
	return read
}

// after translates what becomes of a task's output: the assignments that follow
// it. Saved is the variable in which its input has to be kept for them; "": in
// none.
func (b *builder) after(t task, sc scope, d done) (assignments *yaml.Node, saved string) {
	assignments = mapping()
	output, export := b.object(orEmpty(t.get("output")), "output", "schema", "as"), b.object(orEmpty(t.get("export")), "export", "schema", "as")
	b.unchecked(output)
	b.unchecked(export)
	raw, kept := b.rawOutput(t, sc, d, output.has("as"), assignments)
	name := unique(t.name+"_input", b.vars)
	if n := output.get("as"); n != nil {
		input := sc.dot()
		if kept {
			input = flowing(name)
		}
		read := b.reads(variable(name).src, func() {
			value, _ := b.asValue(n, "as", sc.bound("input", input).env().with(raw))
			if !mentions(value, raw.src) {
				assignments.Content = nil // which held the raw output alone
			}
			put(assignments, sc.data, value)
		})
		if read && kept {
			saved = name
		}
	}
	if n := export.get("as"); n != nil {
		b.context = true
		read := b.reads(variable(name).src, func() {
			value, _ := b.asValue(n, "as", sc.bound("input", flowing(name)).bound("output", sc.dot()).env())
			put(assignments, contextVariable, value)
		})
		if read {
			saved = name
		}
	}
	return assignments, saved
}

// mentions reports whether an expression below n reads a variable.
func mentions(n *yaml.Node, source string) bool {
	name := regexp.MustCompile(regexp.QuoteMeta(source) + `\b`)
	return name.MatchString(n.Value) || slices.ContainsFunc(n.Content, func(child *yaml.Node) bool { return mentions(child, source) })
}

func orEmpty(n *yaml.Node) *yaml.Node {
	if n == nil {
		return mapping()
	}
	return n
}

// rawOutput gives the output of a task as output.as sees it. Where there is no
// output.as it is assigned to the data. Kept says that the variable of the data
// no longer holds the task's input by then.
func (b *builder) rawOutput(t task, sc scope, d done, transformed bool, assignments *yaml.Node) (raw exp, kept bool) {
	switch {
	case d.value != nil && transformed:
		name := b.variable(t, "output")
		put(assignments, name, d.value)
		return variable(name), false
	case d.value != nil:
		put(assignments, sc.data, d.value)
	case d.out != nil && transformed:
		return *d.out, false
	case d.out != nil:
		put(assignments, sc.data, template(*d.out))
	}
	return sc.dot(), true
}

// limited puts the timeout of a task on its step, or on a block around its steps.
func (b *builder) limited(t task, d done) []*yaml.Node {
	timeout := b.timeout(t.get("timeout"))
	switch {
	case timeout == nil || len(d.steps) == 0: // nothing takes no time
		return d.steps
	case d.main != nil:
		put(d.main, "timeout", timeout)
		return d.steps
	}
	whole := step("", "switch", sequence(mapping("if", boolNode(true), "steps", sequence(d.steps...))), "timeout", timeout)
	return []*yaml.Node{whole}
}
