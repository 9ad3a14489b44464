package dsl

import (
	"regexp"
	"slices"
	"strconv"

	"github.com/expr-lang/expr/vm"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// Automation is a compiled automation: when a run is started, of what, with
// which inputs. It is immutable and safe for concurrent use.
type Automation struct {
	Name    string
	Version int    // as written; 0 when the server numbers
	Hash    string // hex SHA-256 of Source
	Source  string // canonical

	Description string
	Trigger     Trigger
	Window      deviceops.Window
	Concurrency deviceops.Concurrency
	Limit       deviceops.Limit

	Workflow        string
	WorkflowVersion int    // 0: the newest when a run starts
	Inputs          *Value // a map; nil: none

	Ticket *AutomationTicket // that it opens in place of a run; nil: it runs a workflow

	key   *Expression   // nil: the device of the event
	where []*Expression // all have to hold; none: always

	demands []deviceops.Demand // that are parts of where
}

var automationKeys = []fieldSpec{
	{"automation", textSchema("the name of the automation")},
	{"version", integerSchema("left out, the server numbers", 1)},
	{"description", textSchema("what the automation is for")},
	{"trigger", triggerSchema()},
	{"key", expressionSchema("what windows and concurrency count by; left out: the device of the event")},
	{"dedupe", durationSchema("after a sample that fired, silence for this time")},
	{"debounce", debounceSchema()},
	{"collect", objectSchema("fires at so many samples within a time", []string{"within", "at_least"}, collectKeys)},
	{"concurrency", schema{"enum": concurrencyNames(), "description": "what a firing becomes while a run of the same key goes on: skip, queue, cancel-running or parallel; left out: skip"}},
	{"limit", schema{"type": "string", "pattern": `^\d+ per \S+$`, "description": "at most so many starts, as in 50 per 10m; beyond it the automation stops and asks a person"}},
	{"run", schema{"type": "string", "pattern": `^[a-z0-9][a-z0-9._-]*@([0-9]+|latest)$`, "description": "NAME@VERSION or NAME@latest"}},
	{"with", argumentsSchema("inputs of the run")},
	{"ticket", automationTicketSchema()},
}

var debounceKeys = []fieldSpec{
	{"quiet", durationSchema("fires when no sample came for this time")},
	{"max", durationSchema("fires this long after the first sample, at the latest")},
}

var collectKeys = []fieldSpec{
	{"within", durationSchema("the time in which the samples have to lie")},
	{"at_least", integerSchema("how many samples", 2)},
}

func debounceSchema() schema {
	return schema{"description": "waits until samples are quiet; the last one wins", "anyOf": []any{
		refTo("duration"), objectSchema("", []string{"quiet"}, debounceKeys),
	}}
}

func automationSchema() schema {
	s := objectSchema("when a run is started, or a ticket opened", []string{"automation", "trigger"}, automationKeys)
	s["oneOf"] = []any{schema{"required": []string{"run"}}, schema{"required": []string{"ticket"}}}
	return s
}

func concurrencyNames() []string {
	var names []string
	for _, c := range deviceops.Concurrencies() {
		names = append(names, string(c))
	}
	return names
}

func readAutomation(c *checker, out *Compiled) {
	o := c.object(c.doc.root, "an automation", fieldNames(automationKeys)...)
	if o == nil {
		return
	}
	a := &Automation{Hash: out.Hash, Source: out.Source, Concurrency: deviceops.ConcurrencySkip}
	a.Name = c.name(o.get("automation"), "the name of an automation")
	if n := o.get("version"); n != nil {
		a.Version = c.version(n)
	}
	if n := o.get("description"); n != nil {
		a.Description, _ = c.text(n, "a description")
	}
	out.Name, out.Version, out.Automation = a.Name, a.Version, a
	if n := o.get("trigger"); n != nil {
		c.trigger(n, a)
	} else {
		c.report(o.keys["automation"], "missing-key", "add trigger: { event: TYPE }", "an automation needs a trigger")
	}
	c.windows(o, a)
	c.brakes(o, a)
	c.starts(o, a)
}

// windows reads the key and the windows that stand beside the trigger.
func (c *checker) windows(o *object, a *Automation) {
	if n := o.get("key"); n != nil {
		a.key = c.expression(n, "key", occasionScope(a, false), wantAny)
	}
	if n := o.get("dedupe"); n != nil {
		a.Window.Dedupe = c.positive(n, "dedupe")
	}
	if n := o.get("debounce"); n != nil {
		a.Window.Debounce = c.debounce(n)
	}
	if n := o.get("collect"); n != nil {
		a.Window.Collect = c.collect(n)
	}
	c.oneWindow(o, a)
}

// oneWindow refuses windows that do not go together: each of them says when
// samples fire.
func (c *checker) oneWindow(o *object, a *Automation) {
	var given []string
	if a.Window.For > 0 {
		given = append(given, "for")
	}
	for _, key := range []string{"debounce", "collect"} {
		if o.has(key) {
			given = append(given, key)
		}
	}
	if len(given) > 1 {
		c.report(o.keys[given[1]], "windows", "keep one of them; dedupe goes with all", "%s and %s exclude each other: both say when samples fire", given[0], given[1])
	}
}

func (c *checker) debounce(n *yaml.Node) deviceops.Debounce {
	if n.Kind == yaml.ScalarNode {
		return deviceops.Debounce{Quiet: c.positive(n, "debounce")}
	}
	var d deviceops.Debounce
	o := c.object(n, "debounce", fieldNames(debounceKeys)...)
	if o == nil {
		return d
	}
	if v := o.get("quiet"); v != nil {
		d.Quiet = c.positive(v, "quiet")
	} else {
		c.report(n, "missing-key", "write debounce: { quiet: 30s }", "debounce needs quiet")
	}
	if v := o.get("max"); v != nil {
		d.Max = c.positive(v, "max")
		if d.Max > 0 && d.Max < d.Quiet {
			c.report(v, "out-of-range", "write a longer one", "max is shorter than quiet, which then has no effect")
		}
	}
	return d
}

func (c *checker) collect(n *yaml.Node) deviceops.Collect {
	var w deviceops.Collect
	o := c.object(n, "collect", fieldNames(collectKeys)...)
	if o == nil {
		return w
	}
	for _, key := range fieldNames(collectKeys) {
		if !o.has(key) {
			c.report(n, "missing-key", "write collect: { within: 5m, at_least: 3 }", "collect needs %s", key)
			return w
		}
	}
	w.Within = c.positive(o.get("within"), "within")
	w.AtLeast = c.integer(o.get("at_least"), "at_least", 2, deviceops.MaxCollect)
	return w
}

var limitText = regexp.MustCompile(`^(\d+) per (\S+)$`)

// brakes reads what may keep a firing from starting a run.
func (c *checker) brakes(o *object, a *Automation) {
	if n := o.get("concurrency"); n != nil {
		s, ok := c.text(n, "concurrency")
		if names := concurrencyNames(); ok && !contains(names, s) {
			c.report(n, "bad-argument", orElse(fixWrite("", closest(s, names)), "use one of "+joinNames(names)), "there is no concurrency %s", quoteShort(s))
		}
		a.Concurrency = deviceops.Concurrency(s)
	}
	if n := o.get("limit"); n != nil {
		a.Limit = c.limit(n)
	}
}

func (c *checker) limit(n *yaml.Node) deviceops.Limit {
	s, ok := c.text(n, "limit")
	if !ok {
		return deviceops.Limit{}
	}
	m := limitText.FindStringSubmatch(s)
	if m == nil {
		c.report(n, "bad-limit", "write it as 50 per 10m", "%s is not a limit", quoteShort(s))
		return deviceops.Limit{}
	}
	count, err := strconv.Atoi(m[1])
	per, durationErr := ParseDuration(m[2])
	if err != nil || durationErr != nil || count < 1 || count > maxLimit || per <= 0 {
		c.report(n, "bad-limit", "write it as 50 per 10m", "a limit is a number from 1 to %d and a duration", maxLimit)
	}
	return deviceops.Limit{N: count, Per: per}
}

// maxLimit bounds what the brake of an automation has to remember.
const maxLimit = 10_000

// starts reads what is run, or the ticket that is opened.
func (c *checker) starts(o *object, a *Automation) {
	n := o.get("run")
	switch {
	case o.has("ticket"):
		c.opensTicket(o, a)
		return
	case n == nil:
		c.report(o.keys["automation"], "missing-key", "add run: NAME@VERSION, or ticket: { title: ... }", "an automation needs a workflow to run, or a ticket to open")
		return
	}
	if text, ok := c.text(n, "the workflow to run"); ok {
		a.Workflow, a.WorkflowVersion = c.workflowReference(n, text)
	}
	with := o.get("with")
	if with != nil {
		a.Inputs = c.inputsOf(with, occasionScope(a, true))
	}
	if a.Workflow != "" {
		c.opts.calls = append(c.opts.calls, call{c, n, with, a.Workflow, a.WorkflowVersion, "add it below with:"})
	}
}

// inputsOf compiles what with: holds.
func (c *checker) inputsOf(n *yaml.Node, sc *scope) *Value {
	if n.Kind == yaml.ScalarNode && isText(n) && loneTemplate.MatchString(n.Value) {
		return c.template(n, sc)
	}
	if c.entries(n, "with") == nil {
		return nil
	}
	return c.mapValue(n, sc)
}

func occasionVariables(o deviceops.Occasion) map[string]any {
	device := o.Device
	if device == nil {
		device = map[string]any{"id": o.Event["device"]}
	}
	return map[string]any{"event": orEmpty(o.Event), "events": o.Events, "device": device}
}

// Judge judges an occasion. What && joins is judged one by one: No if a part says
// no, else Unknown if a value is missing for one. EINVALID if a part fails.
func (a *Automation) Judge(o deviceops.Occasion) (deviceops.Judgement, error) {
	j := deviceops.Judgement{Verdict: deviceops.Yes}
	if a.Trigger.fenced() {
		crossed := a.Trigger.crossing(dataOf(o.Event))
		j.Arms, j.Silent = crossed.arms, crossed.silent
	}
	if a.Trigger.denies(o.Event) {
		j.Verdict = deviceops.No
		return j, nil
	}
	for _, part := range a.where {
		switch v, err := part.verdict(occasionVariables(o)); {
		case err != nil:
			return deviceops.Judgement{}, err
		case v == deviceops.No:
			return deviceops.Judgement{Verdict: deviceops.No, Denied: part.Source, Arms: j.Arms}, nil
		case v == deviceops.Unknown:
			j.Verdict, j.Unknown, j.Lacking = v, append(j.Unknown, part.Source), j.Lacking || !part.readsDevice
		}
	}
	return j, nil
}

// Denies reports whether the condition cannot hold, whatever is known of the
// device: a part that does not read it says no. What arms is to be heard all the
// same.
func (a *Automation) Denies(o deviceops.Occasion) bool {
	if a.Trigger.fenced() && a.Trigger.crossing(dataOf(o.Event)).arms {
		return false
	}
	if a.Trigger.denies(o.Event) {
		return true
	}
	s, kept := o.Screen.(*screen)
	if !kept {
		s = newScreen(o)
	}
	for _, part := range a.where {
		if part.readsDevice {
			continue
		}
		if v, err := part.judge(s.run(part)); err == nil && v == deviceops.No {
			return true
		}
	}
	return false
}

// screen evaluates one condition after the other on the same occasion.
type screen struct {
	variables map[string]any
	machine   vm.VM
	budget    budget
}

func newScreen(o deviceops.Occasion) *screen {
	s := &screen{variables: occasionVariables(o), machine: vm.VM{MemoryBudget: memoryBudget}}
	s.variables[budgetName] = &s.budget
	return s
}

func (s *screen) run(e *Expression) (any, error) {
	s.budget = *newBudget()
	return e.runOn(&s.machine, s.variables, &s.budget)
}

// usesDevice reports whether the condition or the key reads the device.
func (a *Automation) usesDevice() bool {
	return a.key != nil && a.key.readsDevice || slices.ContainsFunc(a.where, func(part *Expression) bool { return part.readsDevice })
}

// Rules gives the automation as the engine and rehearsals play it.
func (a *Automation) Rules() deviceops.Automation {
	return deviceops.Automation{
		Name: a.Name, Version: a.Version, Hash: a.Hash, Event: a.Trigger.EventType(), UsesDevice: a.usesDevice(), Demands: a.demands,
		Webhook: a.Trigger.Webhook, Schedule: a.Trigger.Schedule, Manual: a.Trigger.Kind == TriggerManual,
		Window: a.Window, Concurrency: a.Concurrency, Limit: a.Limit, Workflow: a.Workflow, WorkflowVersion: a.WorkflowVersion, OpensTicket: a.Ticket != nil, Rules: a,
	}
}

// Occasion gives back the events of samples.
func (a *Automation) Occasion(samples []deviceops.Sample) (deviceops.Occasion, error) {
	var o deviceops.Occasion
	for _, sample := range samples {
		v, err := DecodeJSON(sample.Event)
		if err != nil {
			return o, err
		}
		o.Event, _ = v.(map[string]any)
		o.Events = append(o.Events, v)
	}
	return o, nil
}

// Key gives what windows and concurrency count by.
func (a *Automation) Key(o deviceops.Occasion) (string, error) {
	if a.key == nil {
		device, _ := o.Event["device"].(string)
		return device, nil
	}
	v, err := a.key.run(occasionVariables(o))
	return Format(v), err
}

// InputsFor gives the inputs of the run that an occasion starts.
func (a *Automation) InputsFor(o deviceops.Occasion) (map[string]any, error) {
	return a.Inputs.Map(Env{Locals: occasionVariables(o)})
}

// EventFacts gives an event as expressions see it, in canonical form.
func EventFacts(e deviceops.Event) map[string]any {
	facts := map[string]any{
		"type": e.Type, "device": e.Device, "account": e.Account, "severity": e.Severity,
		"at": factTime(e.At), "data": anyMap(e.Data),
	}
	if e.Call == nil {
		return facts
	}
	switch e.Call.Kind {
	case deviceops.CallWebhook:
		facts["id"], facts["source"], facts["subject"], facts["attributes"] = e.Call.ID, e.Call.Source, e.Call.Subject, anyMap(e.Call.Attributes)
	case deviceops.CallManual:
		facts["by"], facts["reason"] = e.Call.By, e.Call.Reason
	}
	return facts
}

// CompileAutomation compiles the source of one published automation.
func CompileAutomation(source string) (*Automation, Diagnostics) {
	compiled, found := compileOne(source, deviceops.KindAutomation)
	return compiled.Automation, found
}

// joined reads a condition as the parts that && joins, so that each of them can
// be judged when another one cannot.
func (c *checker) joined(n *yaml.Node, what string, sc *scope) []*Expression {
	whole := c.expression(n, what, sc, wantPredicate)
	if whole.program == nil {
		return []*Expression{whole}
	}
	var parts []*Expression
	for _, source := range conjuncts(whole.Source) {
		part, problems := compileExpression(source, sc, wantPredicate)
		if len(problems) > 0 {
			return []*Expression{whole}
		}
		parts = append(parts, part)
	}
	return slices.Clip(parts)
}
