package dsl

import (
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// Run runs another workflow and waits for it. The step's output is the outputs
// of that run.
type Run struct {
	Workflow string
	Version  int    // 0: the newest when the step starts
	Inputs   *Value // a map; nil: none
}

func (*Run) op() {}

var _ = register(verb{
	name:    "run",
	summary: "runs another workflow and waits for it",
	gives:   "the outputs of the run",
	value:   schema{"type": "string", "pattern": `^[a-z0-9][a-z0-9._-]*@([0-9]+|latest)$`, "description": "NAME@VERSION or NAME@latest"},
	fields: []fieldSpec{
		{"with", argumentsSchema("inputs")},
	},
	modifiers: []string{"timeout", "attempt_timeout", "retry", "undo"},
	read:      readRun,
})

var workflowReference = regexp.MustCompile(`^([a-z0-9][a-z0-9._-]{0,63})@(latest|[1-9]\d{0,8})$`)

func readRun(b *builder, s *reading) Op {
	op := &Run{}
	if text, ok := b.text(s.own(), "the workflow to run"); ok {
		op.Workflow, op.Version = b.workflowReference(s.own(), text)
	}
	if op.Workflow != "" && op.Workflow == b.program.Name {
		b.report(s.own(), "recursion", "run another workflow", "a workflow must not run itself")
	}
	n := s.get("with")
	if n != nil {
		op.Inputs = b.arguments(n, s.scope)
	}
	if op.Workflow != "" {
		b.opts.calls = append(b.opts.calls, call{b.checker, s.own(), n, op.Workflow, op.Version, "add it below with:"})
	}
	return op
}

// workflowReference reads NAME@VERSION; version 0 means the newest.
func (c *checker) workflowReference(n *yaml.Node, text string) (name string, version int) {
	m := workflowReference.FindStringSubmatch(text)
	if m == nil {
		fix := "write NAME@VERSION, such as reboot@3, or NAME@latest"
		if documentName.MatchString(text) {
			fix = "write " + text + "@latest, or a version such as " + text + "@3"
		}
		c.report(n, "bad-reference", fix, "%s does not say which version of which workflow", quoteShort(text))
		return "", 0
	}
	version, _ = strconv.Atoi(m[2]) // "latest" gives 0
	return m[1], version
}
