package dsl

import (
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

var answerKeys = []fieldSpec{
	{"at", durationSchema("when the person decides")},
	{"run", integerSchema("the how-manieth run it is about; left out: the first that asks", 1)},
	{"step", textSchema("the step that asks")},
	{"by", textSchema("the person")},
	{"roles", schema{"type": "array", "items": textSchema("")}},
	{"decision", schema{"enum": []any{"approve", "reject"}}},
	{"form", schema{"type": "object"}},
	{"comment", textSchema("")},
	{"refused", schema{"description": "the answer is expected to be refused: true, or the code", "type": []any{"boolean", "string"}}},
}

func answerSchema() schema {
	return objectSchema("what a person decides", []string{"at", "step", "by", "decision"}, answerKeys)
}

// AnyRefusal is a TestAnswer.Refused that any code meets.
const AnyRefusal = "any"

func (c *checker) testAnswer(n *yaml.Node, one *TestCase) {
	o := c.object(n, "an answer", fieldNames(answerKeys)...)
	if o == nil {
		return
	}
	for _, key := range []string{"at", "step", "by", "decision"} {
		if !o.has(key) {
			c.report(n, "missing-key", "write { at: 5m, step: ID, by: maria, roles: [operator], decision: approve }", "an answer needs %s", key)
			return
		}
	}
	a := TestAnswer{Place: c.place(n), At: c.duration(o.get("at"), "at"), StepAt: c.place(o.get("step"))}
	a.Step, _ = c.text(o.get("step"), "a step")
	a.Decision.By = deviceops.Principal{Name: c.personName(o.get("by")), Account: deviceops.RootAccount}
	if v := o.get("roles"); v != nil {
		for _, item := range c.list(v, "roles", "write it as [operator]") {
			role, _ := c.text(item, "a role")
			a.Decision.By.Roles = append(a.Decision.By.Roles, strings.TrimPrefix(role, "role:"))
		}
	}
	a.Decision.Approve = c.choice(o.get("decision"), "a decision", "approve", "reject") == "approve"
	c.answerDetails(o, &a)
	one.Answers = append(one.Answers, a)
}

func (c *checker) answerDetails(o *object, a *TestAnswer) {
	if n := o.get("run"); n != nil {
		a.Run = c.integer(n, "run", 1, 1000)
	}
	if n := o.get("form"); n != nil {
		a.Decision.Form = c.constantMap(n, "form")
	}
	if n := o.get("comment"); n != nil {
		a.Decision.Comment, _ = c.text(n, "a comment")
	}
	switch n := o.get("refused"); {
	case n == nil:
	case n.Tag == "!!bool":
		if c.boolean(n, "refused") {
			a.Refused = AnyRefusal
		}
	default:
		a.Refused, _ = c.text(n, "refused")
	}
}

// runExpectKeys can be said of every run, expectKeys of the case besides.
var (
	runExpectKeys = []fieldSpec{
		{ExpectStatus, schema{"enum": endNames(), "description": "how the run ends"}},
		{ExpectRan, schema{"type": "array", "items": textSchema(""), "description": "the steps with ids that ran, in the order of their first start"}},
		{ExpectSteps, mapOf("steps and their last status", schema{"enum": endNames()})},
		{ExpectOutputs, schema{"type": "object", "description": "some or all of the outputs"}},
		{ExpectError, schema{"description": "the code, or code, message (a part of it) and step"}},
		{ExpectTook, schema{"type": "string", "description": "from start to end: 45m, 40m..1h or ..1h"}},
	}
	caseExpectKeys = []fieldSpec{
		{ExpectStarts, schema{"type": "array", "items": refTo("duration"), "description": "when runs are started"}},
		{ExpectCalls, mapOf("commands, actions and workflows and how often each is called", integerSchema("", 0))},
		{ExpectTickets, integerSchema("how many are opened, without the parents of storms", 0)},
		{ExpectStorms, integerSchema("how many storms these fold into", 0)},
		{ExpectDevices, mapOf("devices and their state at the end", schema{"enum": stateNames()})},
	}
)

func expectSchema() schema {
	runs := schema{"description": "how many runs are started, or what is expected of each", "anyOf": []any{
		integerSchema("", 0), schema{"type": "array", "items": objectSchema("", nil, runExpectKeys)},
	}}
	keys := append([]fieldSpec{{ExpectRuns, runs}}, runExpectKeys...)
	return objectSchema("what has to be true at the end", nil, append(keys, caseExpectKeys...))
}

// endNames are the statuses that runs and steps may be expected to have.
func endNames() []string {
	var names []string
	for _, s := range []deviceops.RunStatus{
		deviceops.RunSucceeded, deviceops.RunFailed, deviceops.RunCanceled, deviceops.RunWaiting, deviceops.RunRunning, deviceops.RunSkipped,
	} {
		names = append(names, string(s))
	}
	return names
}

func (c *checker) expectations(n *yaml.Node, one *TestCase) {
	keys := append([]string{ExpectRuns}, fieldNames(runExpectKeys)...)
	o := c.object(n, "expect", append(keys, fieldNames(caseExpectKeys)...)...)
	if o == nil {
		return
	}
	if len(o.order) == 0 {
		c.report(n, "missing-key", "write expect: { status: succeeded }", "a case expects something")
	}
	for _, key := range o.order {
		if key == ExpectRuns && o.get(key).Kind == yaml.SequenceNode {
			c.eachRun(o.get(key), one)
			continue
		}
		one.Expect = append(one.Expect, c.expectation(key, o.get(key), 0)...)
	}
}

// eachRun reads what is expected of each run by itself.
func (c *checker) eachRun(n *yaml.Node, one *TestCase) {
	one.Expect = append(one.Expect, Expectation{Place: c.place(n), Kind: ExpectRuns, Want: len(n.Content)})
	for i, item := range n.Content {
		o := c.object(item, "what is expected of a run", fieldNames(runExpectKeys)...)
		if o == nil {
			continue
		}
		for _, key := range o.order {
			one.Expect = append(one.Expect, c.expectation(key, o.get(key), i+1)...)
		}
	}
}

func (c *checker) expectation(key string, n *yaml.Node, run int) []Expectation {
	e := Expectation{Place: c.place(n), Kind: key, Run: run}
	switch key {
	case ExpectRuns, ExpectTickets, ExpectStorms:
		e.Want = c.integer(n, key, 0, 100_000)
	case ExpectStarts:
		e.Want = c.durations(n)
	case ExpectStatus:
		e.Want = c.choice(n, "a status", endNames()...)
	case ExpectRan:
		e.Want = c.texts(n, key)
	case ExpectTook:
		e.Want = c.took(n)
	case ExpectError:
		return c.errorExpectations(n, e)
	default:
		return c.namedExpectations(n, e)
	}
	return []Expectation{e}
}

// namedExpectations reads a map of which each entry is an expectation.
func (c *checker) namedExpectations(n *yaml.Node, e Expectation) []Expectation {
	o := c.entries(n, e.Kind)
	if o == nil {
		return nil
	}
	var all []Expectation
	for _, name := range o.order {
		v := o.get(name)
		e.Name, e.Place = name, c.place(v)
		switch e.Kind {
		case ExpectCalls:
			e.Want = c.integer(v, "a number of calls", 0, 100_000)
		case ExpectSteps:
			e.Want = c.choice(v, "a status", endNames()...)
		case ExpectDevices:
			e.Want = c.choice(v, "a state", stateNames()...)
		case ExpectOutputs:
			e.Want = Canonical(c.constant(v))
		}
		all = append(all, e)
	}
	return all
}

// errorExpectations reads a code, or a map of what is expected of an error.
func (c *checker) errorExpectations(n *yaml.Node, e Expectation) []Expectation {
	if n.Kind != yaml.MappingNode {
		e.Name = "code"
		e.Want, _ = c.text(n, "the code of an error")
		return []Expectation{e}
	}
	o := c.object(n, "an error", "code", "message", "step")
	var all []Expectation
	for _, name := range o.order {
		e.Name, e.Place = name, c.place(o.get(name))
		e.Want, _ = c.text(o.get(name), "error."+name)
		all = append(all, e)
	}
	return all
}

func (c *checker) texts(n *yaml.Node, what string) []string {
	list := []string{}
	for _, item := range c.list(n, what, "write it as [diagnostics, reboot]") {
		s, _ := c.text(item, what)
		list = append(list, s)
	}
	return list
}

func (c *checker) durations(n *yaml.Node) []time.Duration {
	list := []time.Duration{}
	for _, item := range c.list(n, "starts", "write it as [10m, 1h]") {
		list = append(list, c.duration(item, "a start"))
	}
	return list
}

// took reads 45m, 40m..1h, 40m.. or ..1h.
func (c *checker) took(n *yaml.Node) [2]time.Duration {
	const what = "a time"
	if !c.isDurationText(n, what) {
		return [2]time.Duration{}
	}
	low, high, isRange := strings.Cut(n.Value, "..")
	if !isRange {
		high = low
	}
	bounds := [2]time.Duration{0, MaxDuration}
	for i, text := range []string{low, high} {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		d, err := ParseDuration(text)
		if err != nil {
			c.report(n, "bad-duration", "write it as 45m, 40m..1h or ..1h", "%s is not %s", quoteShort(n.Value), what)
			return bounds
		}
		bounds[i] = d
	}
	return bounds
}
