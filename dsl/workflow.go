package dsl

import (
	"regexp"

	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// workflowKeys are the keys of a workflow, in the order in which they are
// usually written.
var workflowKeys = []fieldSpec{
	{"workflow", textSchema("the name of the workflow")},
	{"version", integerSchema("left out, the server numbers", 1)},
	{"description", textSchema("what the workflow is for")},
	{"inputs", mapOf("what a run is started with: names and types", typeSchema("default", "description", "min", "max"))},
	{"outputs", mapOf("what a run gives: names and values", valueSchema(""))},
	{"device", templateSchema("the device of every step that names no other")},
	{"timeout", durationSchema("how long a run may take")},
	{"steps", refTo("steps")},
	{"catch", described(refTo("steps"), "runs when a step failed, with error set; the run then succeeds, unless catch fails")},
	{"finally", described(refTo("steps"), "runs last in any case, also on cancel")},
}

// builder compiles one workflow.
type builder struct {
	*checker
	program *Program
	scope   *scope
	inputs  map[string]Type
	steps   int

	afterReturn bool              // a return may have ended the run before the steps that follow
	atEnd       map[string]string // steps that outputs may find missing, and why
	idle        []idle            // what has a purpose only if something reads it
}

// idle is something that does nothing but give a value.
type idle struct {
	node *yaml.Node
	name string // under which expressions read it: "vars.x", "steps.x"; "": nothing can
	what string
}

func readWorkflow(c *checker, out *Compiled) {
	o := c.object(c.doc.root, "a workflow", fieldNames(workflowKeys)...)
	if o == nil {
		return
	}
	b := &builder{checker: c, inputs: map[string]Type{}, atEnd: map[string]string{}}
	b.program = &Program{Hash: out.Hash, Source: out.Source, blocks: map[string]*Block{}, steps: map[string]*Step{}}
	b.header(o)
	b.scope = newScope(b.environment(o))
	b.scope.later = b.collectIDs(o.get("steps"), o.get("catch"), o.get("finally"))
	b.body(o)
	out.Name, out.Version, out.Program = b.program.Name, b.program.Version, b.program
}

func (b *builder) header(o *object) {
	p := b.program
	p.Name = b.name(o.get("workflow"), "the name of a workflow")
	if n := o.get("version"); n != nil {
		p.Version = b.version(n)
	}
	if n := o.get("description"); n != nil {
		p.Description, _ = b.text(n, "a description")
	}
	if n := o.get("timeout"); n != nil {
		p.Limits.Timeout = b.positive(n, "the timeout of a workflow")
	}
	if n := o.get("inputs"); n != nil {
		b.readInputs(n)
	}
}

func (b *builder) readInputs(n *yaml.Node) {
	o := b.names(n, "inputs")
	if o == nil {
		return
	}
	for _, name := range o.order {
		if !b.word(o.keys[name], "the name of an input") {
			continue
		}
		d, ok := b.declaration(o.get(name), "the input "+name)
		if !ok {
			d.Kind = ""
		}
		b.knownProfile(o.get(name), d.Profile)
		b.inputs[name] = d.Type
		b.program.Inputs = append(b.program.Inputs, Input{
			Name: name, Type: d.Type, Default: d.def, Required: !d.hasDefault, Description: d.description,
		})
	}
}

// knownProfile reports a profile that does not exist.
func (b *builder) knownProfile(n *yaml.Node, name string) {
	if name == "" {
		return
	}
	if p, known := b.opts.profile(name); known && p == nil {
		b.report(n, "unknown-name", "publish the profile, or put it into this file", "there is no profile %q", name)
	}
}

// environment gives the roots that expressions of this workflow may use.
func (b *builder) environment(o *object) types.Map {
	inputs := types.Map{}
	for name, t := range b.inputs {
		inputs[name] = t.exprType()
	}
	env := types.Map{"inputs": inputs, "run": runType}
	if n := o.get("device"); n != nil {
		env["device"] = deviceType(b.deviceProfile(n))
	}
	return env
}

var inputReference = regexp.MustCompile(`^\s*\$\{\{\s*inputs\.(\w+)\s*\}\}\s*$`)

// deviceProfile gives the profile of the device that a field names, if it can be
// told: when the field is an input of type `device PROFILE`.
func (b *builder) deviceProfile(n *yaml.Node) *deviceops.Profile {
	if n == nil {
		return nil
	}
	m := inputReference.FindStringSubmatch(n.Value)
	if m == nil || b.inputs[m[1]].Profile == "" {
		return nil
	}
	p, _ := b.opts.profile(b.inputs[m[1]].Profile)
	return p
}

func (b *builder) body(o *object) {
	p := b.program
	around := frame{}
	if n := o.get("device"); n != nil {
		reads := b.watchReads()
		p.Device = b.deviceValue(n, b.scope.without("device"))
		p.DeviceReads = reads()
		around.device, around.profile = p.Device, b.deviceProfile(n)
	}
	switch n := o.get("steps"); {
	case n == nil:
		b.report(o.keys["workflow"], "missing-key", "write steps: and a list below it", "a workflow needs steps")
	default:
		p.Root = b.block(n, "steps", around)
	}
	b.afterSteps(o, around)
	if n := o.get("outputs"); n != nil {
		b.readOutputs(n)
	}
	if !b.doc.hasErrors() { // an expression that is wrong may have meant what seems idle
		b.reportIdle()
	}
	p.Limits.Steps = b.steps
	p.Uses = *b.scope.used
}

// afterSteps reads the workflow's own catch and finally. What they hold is like
// the catch and finally of a try around all steps; the outputs are evaluated
// last.
func (b *builder) afterSteps(o *object, around frame) {
	body := b.newSteps(nil)
	if n := o.get("catch"); n != nil {
		b.markMissing(body, "may not have run when the workflow's catch took over")
		b.program.Catch = b.catchBlock(n, "catch", around)
		if b.program.Catch.ends() {
			b.unmark(body)
		}
	}
	if n := o.get("finally"); n != nil {
		seen := b.newSteps(nil)
		b.markMissing(seen, "may not have run when finally does")
		around.cleanup = "finally"
		b.program.Finally = b.apart(n, "finally", around, forClean, b.scope)
		b.unmark(seen)
	}
}

// reportIdle warns of what gives a value that nothing reads, once for each name.
func (b *builder) reportIdle() {
	warned := map[string]bool{}
	for _, i := range b.idle {
		if b.scope.reads[i.name] || warned[i.name] {
			continue
		}
		warned[i.name] = i.name != ""
		b.warn(i.node, "unused", "remove it, or use what it gives", "nothing uses %s", i.what)
	}
}

// deviceValue compiles a field that names a device.
func (b *builder) deviceValue(n *yaml.Node, sc *scope) *Value {
	v := b.textValue(n, "a device", sc)
	if id, ok := v.literal.(string); ok && v.kind == literalValue && !deviceops.ValidID(id) {
		b.report(n, "bad-name", "write an id, or ${{ inputs.device }}", "%s is not the id of a device", quoteShort(id))
	}
	return v
}

func (b *builder) readOutputs(n *yaml.Node) {
	o := b.names(n, "outputs")
	if o == nil {
		return
	}
	for id, why := range b.atEnd {
		info := b.scope.steps[id]
		info.missing = orElse(info.missing, why)
		b.scope.steps[id] = info
	}
	for _, name := range o.order {
		if b.word(o.keys[name], "the name of an output") {
			b.program.Outputs = append(b.program.Outputs, Output{name, b.value(o.get(name), b.scope)})
		}
	}
}
