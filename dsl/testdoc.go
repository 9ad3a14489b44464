package dsl

import (
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// Test is a compiled test document: cases that are rehearsed on a virtual clock.
type Test struct {
	Name string
	Place
	Automations []Named // those that are tested; with no workflow either, the one of the test's name
	Workflow    *Named  // that each case starts; nil: automations do
	Cases       []TestCase
}

// Named is a name and where it is written.
type Named struct {
	Name string
	Place
}

// Place is a place of a file, for saying later what is wrong there.
type Place struct {
	File         string
	Line, Column int // from 1
	EndColumn    int // first column after the place
	Snippet      string
}

// Diagnostic makes an error about the place.
func (p Place) Diagnostic(code, fix, format string, args ...any) Diagnostic {
	return Diagnostic{
		File: p.File, Line: p.Line, Column: p.Column, EndColumn: p.EndColumn, Snippet: p.Snippet,
		Severity: SeverityError, Code: code, Fix: fix, Message: sprintf(format, args...),
	}
}

// TestCase is one story: what happens, what devices answer, what people decide,
// and what is expected of it. Times count from its beginning.
type TestCase struct {
	Name string
	Place
	Now     time.Time     // the time at its beginning
	Until   time.Duration // when to stop looking; 0: a month after the last thing that is told
	Devices map[string]TestDevice
	Mocks   map[string]Mock // by name of command, action or workflow
	Events  []TestEvent     // in the order of their times
	Answers []TestAnswer
	Cancel  *time.Duration // when all runs are called off; nil: never
	Expect  []Expectation

	Inputs map[string]any // of the workflow that the case starts
	Device string         // of that run; "": none
	By     string         // who starts it
}

// TestDevice is a device as a case describes it. Of a device that no case
// describes nothing is known, and conditions about it are taken to hold.
type TestDevice struct {
	Place
	deviceops.Device
}

// TestEvent is something that happens in a case.
type TestEvent struct {
	Place
	At      time.Duration // when it comes in
	Event   deviceops.Event
	Age     time.Duration  // how long before it happened
	Metrics map[string]any // what the device reports by it; nil: nothing
}

// TestAnswer is what a person decides in a case.
type TestAnswer struct {
	Place
	At       time.Duration
	Run      int // the how-manieth run it is about, from 1; 0: the first that asks
	Step     string
	StepAt   Place
	Decision deviceops.Decision // without the approval's id
	Refused  string             // the code by which it is to be refused; "": it is to be taken
}

// Mock is what a command, action or workflow gives, call by call. The last answer
// is given from then on.
type Mock struct {
	Place
	Answers []MockAnswer
}

// Call gives the answer to call n, from 1.
func (m Mock) Call(n int) MockAnswer { return m.Answers[min(n, len(m.Answers))-1] }

// MockAnswer is one answer of a mock.
type MockAnswer struct {
	Output   any
	Error    *Failure
	Rejected bool          // a device refused the command; nobody tries again
	Silent   bool          // no answer comes
	After    time.Duration // how long the answer takes
}

// Kinds of expectations, by the keys of `expect`.
const (
	ExpectRuns    = "runs"    // Want int: how many runs were started
	ExpectStarts  = "starts"  // Want []time.Duration: when they were started
	ExpectStatus  = "status"  // Want string
	ExpectRan     = "ran"     // Want []string: the steps with ids that ran, in order of their first start
	ExpectSteps   = "steps"   // Name of the step, Want string: its last status
	ExpectCalls   = "calls"   // Name of the command, action or workflow, Want int: how often it was called
	ExpectTickets = "tickets" // Want int: how many were opened, without the parents of storms
	ExpectStorms  = "storms"  // Want int: how many storms these folded into
	ExpectOutputs = "outputs" // Name of the output, Want any
	ExpectError   = "error"   // Name is code, message or step, Want string; of a message a part
	ExpectTook    = "took"    // Want [2]time.Duration: least and most, from the start of a run to its end
	ExpectDevices = "devices" // Name of the device, Want string: its state at the end
)

// Expectation is one thing that is expected of a case.
type Expectation struct {
	Place
	Kind string
	Run  int // the how-manieth run it is about, from 1; 0: each
	Name string
	Want any
}

var testKeys = []fieldSpec{
	{"test", textSchema("the name of the test, which is that of what is tested unless the next keys say so")},
	{"description", textSchema("what the test is for")},
	{"automation", schema{"anyOf": []any{textSchema(""), schema{"type": "array", "items": textSchema("")}}, "description": "the automations that are tested"}},
	{"workflow", textSchema("the workflow that each case starts")},
	{"devices", mapOf("devices of all cases, by id", testDeviceSchema())},
	{"mock", mapOf("answers in all cases, by name of command, action or workflow", mockSchema())},
	{"cases", schema{"type": "array", "minItems": 1, "items": caseSchema()}},
}

var caseKeys = []fieldSpec{
	{"name", textSchema("what happens, in one line")},
	{"now", textSchema("the time at the beginning, such as 2026-03-01T02:00:00Z")},
	{"until", durationSchema("when to stop looking; left out: a month after the last event or answer")},
	{"inputs", schema{"type": "object", "description": "of the workflow that the case starts"}},
	{"device", textSchema("for which the workflow is started")},
	{"by", textSchema("who starts the workflow")},
	{"devices", mapOf("devices of this case, by id", testDeviceSchema())},
	{"events", schema{"type": "array", "items": testEventSchema(), "description": "what happens, and when"}},
	{"mock", mapOf("answers, by name of command, action or workflow", mockSchema())},
	{"answers", schema{"type": "array", "items": answerSchema(), "description": "what people decide, and when"}},
	{"cancel", durationSchema("when all runs are called off")},
	{"expect", expectSchema()},
}

func testSchema() schema {
	return objectSchema("cases that are rehearsed on a virtual clock", []string{"test", "cases"}, testKeys)
}

func caseSchema() schema { return objectSchema("", []string{"name", "expect"}, caseKeys) }

// caseStart is the time at which a case begins that names none: a Monday noon.
var caseStart = time.Date(2026, time.January, 5, 12, 0, 0, 0, time.UTC)

func (c *checker) place(n *yaml.Node) Place {
	at := c.doc.at(n)
	return Place{File: c.doc.src.name, Line: at.line, Column: at.column, EndColumn: at.end, Snippet: c.doc.src.line(at.line)}
}

func readTest(c *checker, out *Compiled) {
	o := c.object(c.doc.root, "a test", fieldNames(testKeys)...)
	if o == nil {
		return
	}
	t := &Test{Place: c.place(o.get("test"))}
	t.Name = c.name(o.get("test"), "the name of a test")
	out.Name, out.Test = t.Name, t
	if n := o.get("description"); n != nil {
		c.text(n, "a description")
	}
	c.tested(o, t)
	shared := TestCase{Devices: map[string]TestDevice{}, Mocks: map[string]Mock{}}
	c.stage(o, &shared)
	n := o.get("cases")
	if n == nil {
		c.report(o.keys["test"], "missing-key", "write cases: and a list below it", "a test needs cases")
		return
	}
	items := c.list(n, "cases", "write each case below it as - name: ...")
	if n.Kind == yaml.SequenceNode && len(items) == 0 {
		c.report(n, "missing-key", "write each case below it as - name: ...", "a test needs cases")
	}
	c.cases(items, shared, t)
}

// tested reads what the test is about.
func (c *checker) tested(o *object, t *Test) {
	if n := o.get("automation"); n != nil {
		for _, item := range listOrOne(n) {
			t.Automations = append(t.Automations, Named{c.name(item, "the name of an automation"), c.place(item)})
		}
	}
	if n := o.get("workflow"); n != nil {
		t.Workflow = &Named{c.name(n, "the name of a workflow"), c.place(n)}
		if len(t.Automations) > 0 {
			c.report(o.keys["workflow"], "two-subjects", "write two tests", "a test is about automations or about a workflow that it starts itself")
		}
	}
}

func listOrOne(n *yaml.Node) []*yaml.Node {
	if n.Kind == yaml.SequenceNode {
		return n.Content
	}
	return []*yaml.Node{n}
}

func (c *checker) cases(items []*yaml.Node, shared TestCase, t *Test) {
	seen := map[string]int{}
	for _, item := range items {
		o := c.object(item, "a case", fieldNames(caseKeys)...)
		if o == nil {
			continue
		}
		one := c.testCase(o, shared)
		if line, twice := seen[one.Name]; twice && one.Name != "" {
			c.doc.src.report(span{one.Line, one.Column, one.EndColumn}, "duplicate-name", "give one of them another name", "two cases have this name; the first is in line %d", line)
		}
		seen[one.Name] = one.Line
		t.Cases = append(t.Cases, one)
	}
}

func (c *checker) testCase(o *object, shared TestCase) TestCase {
	one := TestCase{
		Place: c.place(o.node), Now: caseStart, By: "user:author",
		Devices: copied(shared.Devices), Mocks: copied(shared.Mocks),
	}
	if n := o.get("name"); n != nil {
		one.Name, _ = c.text(n, "the name of a case")
		one.Place = c.place(n)
	} else {
		c.report(o.node, "missing-key", "add name: WHAT HAPPENS", "a case needs a name")
	}
	c.stage(o, &one)
	c.opening(o, &one)
	if n := o.get("events"); n != nil {
		c.testEvents(n, &one)
	}
	if n := o.get("answers"); n != nil {
		for _, item := range c.list(n, "answers", "write each answer below it as - { at: 5m, step: ID, by: maria, decision: approve }") {
			c.testAnswer(item, &one)
		}
	}
	if n := o.get("expect"); n != nil {
		c.expectations(n, &one)
	} else {
		c.report(o.node, "missing-key", "add expect: { status: succeeded }", "a case expects something")
	}
	return one
}

func copied[V any](m map[string]V) map[string]V {
	out := make(map[string]V, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// stage reads the devices and mocks of a test or of one of its cases.
func (c *checker) stage(o *object, one *TestCase) {
	if n := o.get("devices"); n != nil {
		c.testDevices(n, one)
	}
	if n := o.get("mock"); n != nil {
		c.mocks(n, one)
	}
}

// opening reads how a case begins and ends.
func (c *checker) opening(o *object, one *TestCase) {
	if n := o.get("now"); n != nil {
		if s, ok := c.text(n, "a time"); ok {
			at, err := time.Parse(time.RFC3339, s)
			if err != nil {
				c.report(n, "bad-time", "write it as 2026-03-01T02:00:00Z", "%s is not a time", quoteShort(s))
			}
			one.Now = at.UTC()
		}
	}
	if n := o.get("until"); n != nil {
		one.Until = c.positive(n, "until")
	}
	if n := o.get("cancel"); n != nil {
		at := c.duration(n, "cancel")
		one.Cancel = &at
	}
	if n := o.get("inputs"); n != nil {
		one.Inputs = c.constantMap(n, "inputs")
	}
	if n := o.get("device"); n != nil {
		one.Device = c.deviceID(n)
	}
	if n := o.get("by"); n != nil {
		one.By = c.personName(n)
	}
}

// constantMap reads a map without templates.
func (c *checker) constantMap(n *yaml.Node, what string) map[string]any {
	if c.entries(n, what) == nil {
		return nil
	}
	m, _ := Canonical(c.constant(n)).(map[string]any)
	return m
}

func (c *checker) deviceID(n *yaml.Node) string {
	s, ok := c.text(n, "a device")
	if ok && !deviceops.ValidID(s) {
		c.report(n, "bad-name", "write an id such as k1", "%s is not the id of a device", quoteShort(s))
	}
	return s
}

// personName reads maria or user:maria.
func (c *checker) personName(n *yaml.Node) string {
	s, ok := c.text(n, "a person")
	if !ok {
		return ""
	}
	return "user:" + strings.TrimPrefix(s, "user:")
}
