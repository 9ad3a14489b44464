package dsl

import (
	"regexp"
	"strings"
	"time"

	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"
)

// Approve pauses the run until a person decides. Approved, the step's output is
// {decision, by, at, comment}; rejected, expired and canceled fail the step with
// the codes approval.rejected, approval.expired, approval.canceled.
type Approve struct {
	Title   *Value        // what is asked, one line of text
	Show    *Value        // evidence, frozen when the approval opens; nil: none
	By      []string      // "role:operator", "user:maria"; any of them may decide
	Expires time.Duration // 0: never
}

func (*Approve) op() {}

var _ = register(verb{
	name:    "approve",
	summary: "pauses the run until a person decides; all outcomes but approved fail the step",
	value:   templateSchema("what is asked"),
	fields: []fieldSpec{
		{"by", refTo("people")},
		{"show", valueSchema("evidence, kept as it was when the question was asked")},
		{"expires", durationSchema("after this time the outcome is expired, which is never a yes")},
	},
	instead: map[string]string{"timeout": "write expires:"},
	read:    readApprove,
})

// defaultApprovers decide where a document names nobody.
const defaultApprovers = "role:operator"

// decisionType is the type of an approval's output.
var decisionType = types.Map{"decision": types.String, "by": types.String, "at": types.String, "comment": types.Any}

func readApprove(b *builder, s *reading) Op {
	op := &Approve{Title: b.textValue(s.own(), "approve", s.scope)}
	if n := s.get("by"); n != nil {
		op.By = b.people(n)
	} else {
		b.report(s.keys["approve"], "missing-key", "add by: ["+defaultApprovers+"]", "it is not said who may decide")
	}
	if n := s.get("show"); n != nil {
		op.Show = b.value(n, s.scope)
	}
	if n := s.get("expires"); n != nil {
		op.Expires = b.positive(n, "expires")
	}
	s.outputs = decisionType
	return op
}

var person = regexp.MustCompile(`^(role|user):[^\s:][^\s]*$`)

// people reads a list such as [role:operator, user:maria].
func (c *checker) people(n *yaml.Node) []string {
	var people []string
	for _, item := range c.list(n, "by", "write it as [role:operator]") {
		s, ok := c.text(item, "who may decide")
		if ok && !person.MatchString(s) {
			name := strings.TrimRight(strings.TrimPrefix(strings.TrimPrefix(s, "role:"), "user:"), ": ")
			c.report(item, "bad-person", "write role:"+orElse(name, "operator")+" or user:"+orElse(name, "maria"), "%s is neither a role nor a user", quoteShort(s))
		}
		people = append(people, s)
	}
	if n.Kind == yaml.SequenceNode && len(people) == 0 {
		c.report(n, "bad-person", "write it as ["+defaultApprovers+"]", "nobody may decide")
	}
	return people
}
