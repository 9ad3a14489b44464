package dsl

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// call is a place of a file that runs a workflow. Those whose workflow is in the
// same file are checked against it once all documents are read.
type call struct {
	*checker
	at       *yaml.Node // the reference
	with     *yaml.Node // nil: nothing is given
	workflow string
	version  int    // 0: the newest
	fix      string // what to do about a missing input
}

// checkCalls compares what calls give with the inputs of the workflows.
func checkCalls(calls []call, compiled []Compiled) {
	for _, c := range calls {
		p := newestProgram(compiled, c.workflow, c.version)
		if p == nil {
			p = c.published()
		}
		if p != nil && (c.with == nil || c.with.Kind == yaml.MappingNode) {
			c.check(p)
		}
	}
}

// published gives the workflow that is run if it is known what is published; one
// that is not is reported.
func (c call) published() *Program {
	if c.opts.Workflow == nil {
		return nil
	}
	p := c.opts.Workflow(c.workflow, c.version)
	if p == nil {
		c.report(c.at, "unknown-name", "publish the workflow, or put it into this file", "there is no workflow %s", c.at.Value)
	}
	return p
}

// newestProgram finds a version of a workflow among documents, 0 for the newest;
// nil if it is not there.
func newestProgram(compiled []Compiled, name string, version int) *Program {
	var newest *Program
	for _, d := range compiled {
		if d.Program == nil || d.Name != name || version != 0 && d.Version != version {
			continue
		}
		if newest == nil || d.Version > newest.Version {
			newest = d.Program
		}
	}
	return newest
}

func (c call) check(p *Program) {
	given := map[string]bool{}
	if c.with != nil {
		for i := 0; i+1 < len(c.with.Content); i += 2 {
			given[c.with.Content[i].Value] = true
			c.checkInput(p, c.with.Content[i], c.with.Content[i+1])
		}
	}
	for _, in := range p.Inputs {
		fromCaller := in.Name == "device" && in.Type.Kind == TypeDevice // the caller's device, if it is left out
		if in.Required && !given[in.Name] && !fromCaller {
			c.report(c.at, "missing-argument", c.fix, "the workflow %s needs the input %q: %s", p.Name, in.Name, in.Type)
		}
	}
}

func (c call) checkInput(p *Program, key, value *yaml.Node) {
	i := slices.IndexFunc(p.Inputs, func(in Input) bool { return in.Name == key.Value })
	if i < 0 {
		known := p.inputNames()
		c.report(key, "unknown-argument", orElse(fixWrite("", closest(key.Value, known)), "use one of "+joinNames(known)),
			"the workflow %s has no input %q%s", p.Name, key.Value, didYouMean(key.Value, known))
		return
	}
	if value.Kind != yaml.ScalarNode || strings.Contains(value.Value, "${{") {
		return
	}
	if _, err := p.Inputs[i].Type.Coerce(scalar(value)); err != nil {
		c.report(value, "bad-argument", "", "the input %q of the workflow %s: %s", key.Value, p.Name, err)
	}
}
