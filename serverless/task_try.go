package serverless

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops/dsl"
)

// tryTask: what is retried stands in a block of its own inside the try. Its
// catch starts over with what flowed into the task.
func (b *builder) tryTask(t task, sc scope) done {
	catch := b.object(orEmpty(b.required(t.object, "catch", "a try task")), "catch", "errors", "as", "when", "exceptWhen", "retry", "do")
	c := &catching{builder: b, object: catch, task: t, sc: sc, input: b.variable(t, "input"), as: "error"}
	if n := catch.get("as"); n != nil {
		c.as, _ = b.text(n, "as")
	}
	body := b.block(b.tasks(t.get("try"), t.pointer+"/try"), sc, false)
	save := step("", "set", mapping(c.input, template(sc.dot())))
	if n := b.component(catch.get("retry"), "retries", "retry"); n != nil {
		body = c.retried(n, body)
		if !catch.has("do") { // when all tries have failed, so has the task
			return done{steps: append([]*yaml.Node{save}, body...)}
		}
	}
	main := step("", "try", sequence(b.orNothing(sc, body)...), "catch", sequence(c.steps()...))
	return done{steps: []*yaml.Node{save, main}, main: main}
}

// catching is the catch of a try task.
type catching struct {
	*builder
	*object
	task  task
	sc    scope
	input string // the variable that keeps what flowed into the task
	as    string // under which expressions see the error
}

// steps translates what happens to an error that is caught.
func (c *catching) steps() []*yaml.Node {
	name := unique(c.as, c.vars)
	caught := variable(name)
	caught.kind = kindMap
	sc := c.sc.bound(c.as, caught)
	var steps []*yaml.Node
	start := mapping(c.sc.data, template(variable(c.input)))
	read := c.reads(caught.src, func() {
		if wanted := c.wanted(sc); wanted.src != "true" {
			steps = append(steps, step("", "if", condition(not(wanted)), "fail", template(exp{src: "error"})))
		}
		if n := c.get("do"); n != nil {
			steps = append(steps, c.block(c.builder.tasks(n, c.task.pointer+"/catch/do"), sc, false)...)
		}
	})
	if read {
		put(start, name, template(c.problem()))
	}
	return append([]*yaml.Node{step("", "set", start)}, steps...)
}

// wanted gives the condition under which an error is caught.
func (c *catching) wanted(sc scope) exp {
	all := atom(kindBool, "true")
	if n := c.get("errors"); n != nil {
		filter := c.builder.object(orEmpty(c.required(c.builder.object(n, "errors", "with"), "with", "errors")), "with", append(errorKeys, "details")...)
		for _, key := range filter.order {
			all = also(all, c.matches(key, filter.get(key), sc))
		}
	}
	return c.judged(c.object, all, sc)
}

// judged adds when and exceptWhen to a condition.
func (c *catching) judged(o *object, all exp, sc scope) exp {
	if n := o.get("when"); n != nil {
		all = also(all, c.expression(n, "when", sc.env()).truth())
	}
	if n := o.get("exceptWhen"); n != nil {
		all = also(all, not(c.expression(n, "exceptWhen", sc.env()).truth()))
	}
	return all
}

// also gives a && b, where true is left out.
func also(a, b exp) exp {
	switch {
	case a.src == "true":
		return b
	case b.src == "true":
		return a
	}
	return both(a, b)
}

// matches compares a field of the error with what a filter wants. What a failure
// of the engine is called there follows from its code.
func (c *catching) matches(key string, n *yaml.Node, sc scope) exp {
	if n.Kind != yaml.ScalarNode {
		c.Report(n, codeWrongType, "write a text or number", "%s of a filter must be one value", key)
		return atom(kindBool, "true")
	}
	want := textExp(n.Value)
	switch {
	case isText(n) && wholeExpression.MatchString(n.Value):
		want = c.expression(n, key, sc.env())
	case !isText(n):
		want = atom(kindNumber, "%s", dsl.Format(plainValue(n)))
	}
	is := func(field string) exp { return compared("error.data?."+field, "==", "!=", want.at(levelSum)) }
	switch key {
	case "type":
		return c.orEngine(is("type"), "type", func(word string) bool { return strings.HasSuffix(n.Value, "/"+word) })
	case "status":
		return c.orEngine(is("status"), "status", func(word string) bool { return standardErrors[word] == n.Value })
	case "title":
		return compared("(error.data?.type != nil ? error.data?.title : error.message)", "==", "!=", want.at(levelSum))
	case "instance":
		return compared("(error.data?.instance ?? "+c.origin()+")", "==", "!=", want.at(levelSum))
	}
	return is("detail")
}

// standardErrors are the types of errors that failures of the engine become, by
// the last word of their names, with the status that they have by themselves.
var standardErrors = map[string]string{"communication": "500", "timeout": "408", "expression": "400", "runtime": "500"}

const standardErrorType = "https://serverlessworkflow.io/spec/1.0.0/errors/"

// engineErrors are the conditions under which a failure of the engine is of a
// standard type.
var engineErrors = []struct{ word, condition string }{
	{"communication", `error.code startsWith "http." && error.code != "http.timeout"`},
	{"timeout", `error.code in ["timeout", "http.timeout"]`},
	{"expression", `error.code == "invalid"`},
	{"runtime", `error.code not in ["timeout", "invalid"] && !(error.code startsWith "http.")`},
}

// orEngine extends a comparison to errors whose field says nothing, and whose
// code stands for one of the types that are meant.
func (c *catching) orEngine(is exp, field string, meant func(word string) bool) exp {
	var codes []string
	for _, e := range engineErrors {
		if meant(e.word) {
			codes = append(codes, e.condition)
		}
	}
	if len(codes) == 0 {
		return is
	}
	unsaid := "error.data?." + field + " == nil && "
	if len(codes) > 1 {
		unsaid += "(" + strings.Join(codes, " || ") + ")"
	} else {
		unsaid += codes[0]
	}
	return either(is, exp{src: unsaid, level: levelAnd, kind: kindBool})
}

// problem gives the error as RFC 7807 has it: what a raise task gave, or what a
// failure of the engine is called there.
func (c *catching) problem() exp {
	kind := c.byCode(func(word string) string { return quote(c.spelled(word)) })
	status := "error.data?.status ?? (" + c.byCode(func(word string) string { return standardErrors[word] }) + ")"
	src := `error.data?.type != nil ? error.data : {"type": ` + kind + `, "status": ` + status + `, "title": error.message, "instance": ` + c.origin() + "}"
	return exp{src: src, level: levelLoose, kind: kindMap}
}

// byCode chooses by the code of a failure.
func (c *catching) byCode(value func(word string) string) string {
	return `error.code in ["timeout", "http.timeout"] ? ` + value("timeout") + ` : error.code startsWith "http." ? ` + value("communication") +
		` : error.code == "invalid" ? ` + value("expression") + " : " + value("runtime")
}

// spelled gives the type of a standard error the way the filter spells it: drafts
// of the specification had other addresses.
func (c *catching) spelled(word string) string {
	if errors := c.get("errors"); errors != nil && errors.Kind == yaml.MappingNode {
		if with := get(errors, "with"); with != nil && with.Kind == yaml.MappingNode {
			if kind := get(with, "type"); kind != nil && strings.HasSuffix(kind.Value, "/"+word) {
				return kind.Value
			}
		}
	}
	return standardErrorType + word
}

// origin gives where in the document the step of the error comes from.
func (c *catching) origin() string {
	var entries []string
	for id, pointer := range c.instances {
		if strings.HasPrefix(pointer, c.task.pointer+"/try/") {
			entries = append(entries, quote(id)+": "+quote(pointer))
		}
	}
	slices.Sort(entries)
	return "get({" + strings.Join(entries, ", ") + "}, error.step)"
}

// maxRetries is the largest number of re-tries that the language has.
const maxRetries = dsl.MaxRetries

// retried puts steps into a block that is tried again.
func (c *catching) retried(n *yaml.Node, body []*yaml.Node) []*yaml.Node {
	o := c.builder.object(n, "retry", "when", "exceptWhen", "limit", "backoff", "jitter", "delay")
	if o == nil {
		return body
	}
	retry := mapping()
	times, limit := c.limits(o)
	put(retry, "times", intNode(times))
	put(retry, "delay", c.delay(o, times))
	problem := c.problem()
	problem.src, problem.level = "("+problem.src+")", levelAtom
	sc := c.sc.bound(c.as, problem)
	wanted := c.judged(o, c.wanted(sc), sc)
	put(retry, "if", condition(wanted))
	again := step("", "set", mapping(c.sc.data, template(variable(c.input))))
	block := step("", "switch", sequence(mapping("if", boolNode(true), "steps", sequence(append([]*yaml.Node{again}, body...)...))))
	put(block, "timeout", limit)
	put(block, "retry", retry)
	return []*yaml.Node{c.noted(block)}
}

// limits reads how often and how long a task is retried.
func (c *catching) limits(o *object) (times int, limit *yaml.Node) {
	all := c.builder.object(orEmpty(o.get("limit")), "limit", "attempt", "duration")
	attempt := c.builder.object(orEmpty(all.get("attempt")), "attempt", "count", "duration")
	c.unsupported(attempt, "attempt", "give limit.duration, or the task a timeout", "duration")
	if n := all.get("duration"); n != nil {
		if d, ok := c.duration(n, "the limit of retries"); ok {
			limit = durationNode(max(d, time.Millisecond))
		}
	}
	n := attempt.get("count")
	if n == nil {
		c.approximate(o.node, "give limit.attempt.count", "retries without a limit end after 100")
		return maxRetries, limit
	}
	count, ok := plainValue(n).(int64)
	if !ok || count < 1 || count > maxRetries {
		c.Report(n, codeUnsupported, "write a number from 1 to 100", "this number of retries is not translated")
		return 1, limit
	}
	return int(count), limit
}

// delay reads the pauses between tries. They are constant, or double.
func (c *catching) delay(o *object, times int) *yaml.Node {
	d := time.Duration(0)
	if n := o.get("delay"); n != nil {
		d, _ = c.duration(n, "a delay")
	}
	if o.has("jitter") {
		c.approximate(o.keys["jitter"], "", "pauses between tries have no jitter")
	}
	backoff := c.builder.object(orEmpty(o.get("backoff")), "backoff", "constant", "linear", "exponential")
	longest := d
	switch {
	case backoff.has("exponential"):
		for range times - 1 {
			longest = min(2*longest, dsl.MaxDuration)
		}
	case backoff.has("linear"):
		longest = min(d*time.Duration(times), dsl.MaxDuration)
		c.approximate(backoff.keys["linear"], "", "pauses between tries double, up to the longest that they would have been")
	}
	text := dsl.FormatDuration(d)
	if longest > d {
		text += ".." + dsl.FormatDuration(longest)
	}
	return textNodeOf(text)
}

// orNothing gives steps, or one that changes nothing where a step is needed.
func (b *builder) orNothing(sc scope, steps []*yaml.Node) []*yaml.Node {
	if len(steps) > 0 {
		return steps
	}
	return []*yaml.Node{step("", "set", mapping(sc.data, template(sc.dot())))}
}
