package dsl

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// Approve pauses the run until people decide. Approved, the step's output is
// {decision, by, at, comment, votes, broken_glass} and, with a form, form;
// rejected, expired and canceled fail the step with the codes approval.rejected,
// approval.expired, approval.canceled.
type Approve struct {
	Title    *Value        // what is asked, one line of text
	Show     *Value        // evidence, frozen when the approval opens; nil: none
	By       []string      // "role:operator", "user:maria"; any of them may decide
	Quorum   int           // how many different people have to approve, from 1
	FourEyes bool          // who is behind the run may not decide
	Form     Form          // what whoever approves fills in
	Comment  bool          // a comment is required
	Notify   string        // channel to tell when it opens; "": none
	Escalate []Escalate    // in the order of time
	Expires  time.Duration // 0: never
}

// Escalate widens an approval that is still open.
type Escalate struct {
	After  time.Duration // since the opening
	By     []string      // who is asked besides
	Notify string        // channel to tell; "": none
}

func (*Approve) op() {}

var _ = register(verb{
	name:    "approve",
	summary: "pauses the run until people decide; all outcomes but approved fail the step",
	gives:   "{decision, by, at, comment, form}",
	value:   templateSchema("what is asked"),
	fields: []fieldSpec{
		{"by", refTo("people")},
		{"show", valueSchema("evidence, kept as it was when the question was asked")},
		{"quorum", schema{"type": "integer", "minimum": 1, "maximum": deviceops.MaxQuorum, "description": "how many different people have to approve; 1 when left out"}},
		{"four_eyes", booleanSchema("whoever started the run, or published the automation that did, may not decide")},
		{"form", mapOf("what whoever approves fills in: names and types", typeSchema("default", "description", "min", "max", "optional"))},
		{"comment", schema{"enum": []any{"required", "optional"}, "description": "whether a decision needs a comment"}},
		{"notify", textSchema("the channel that is told when the question is asked")},
		{"escalate", schema{"type": "array", "minItems": 1, "maxItems": maxEscalations, "items": escalateSchema(), "description": "who is asked besides while nobody decides"}},
		{"expires", durationSchema("after this time the outcome is expired, which is never a yes")},
	},
	instead: map[string]string{"timeout": "write expires:"},
	read:    readApprove,
})

const (
	// defaultApprovers decide where a document names nobody.
	defaultApprovers = "role:operator"

	maxEscalations = 10
)

var escalateKeys = []fieldSpec{
	{"after", durationSchema("time since the question was asked")},
	{"by", refTo("people")},
	{"notify", textSchema("the channel that is told")},
}

func escalateSchema() schema {
	return objectSchema("who is asked besides after a time", []string{"after"}, escalateKeys)
}

func readApprove(b *builder, s *reading) Op {
	op := &Approve{Title: b.textValue(s.own(), "approve", s.scope), Quorum: 1}
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
	b.approvalRules(s, op)
	s.outputs = op.outputType()
	return op
}

// approvalRules reads what makes a decision count.
func (b *builder) approvalRules(s *reading, op *Approve) {
	if n := s.get("form"); n != nil {
		op.Form = b.form(n)
	}
	if n := s.get("four_eyes"); n != nil {
		op.FourEyes = b.boolean(n, "four_eyes")
	}
	if n := s.get("comment"); n != nil {
		op.Comment = b.commentRule(n)
	}
	if n := s.get("notify"); n != nil {
		op.Notify = b.name(n, "the name of a channel")
		b.toldOn(n, op.Notify)
	}
	if n := s.get("escalate"); n != nil {
		op.Escalate = b.escalations(n, op.Expires)
	}
	if n := s.get("quorum"); n != nil {
		op.Quorum = b.integer(n, "quorum", 1, deviceops.MaxQuorum)
		b.reachable(n, op)
	}
}

func (b *builder) commentRule(n *yaml.Node) bool {
	rule, ok := b.text(n, "comment")
	if ok && rule != "required" && rule != "optional" {
		b.report(n, "bad-value", "write comment: required", "comment is required or optional, and this is %s", quoteShort(rule))
	}
	return rule == "required"
}

// reachable reports a quorum of more people than are ever asked. How many have a
// role is not known.
func (c *checker) reachable(n *yaml.Node, op *Approve) {
	var asked []string
	for _, who := range slices.Concat(append([][]string{op.By}, everyBy(op.Escalate)...)...) {
		if strings.HasPrefix(who, "role:") {
			return
		}
		if !contains(asked, who) {
			asked = append(asked, who)
		}
	}
	if len(asked) > 0 && op.Quorum > len(asked) {
		c.report(n, "bad-quorum", "name more people below by:, or a role", "%d people have to approve, and %d are asked", op.Quorum, len(asked))
	}
}

func everyBy(escalations []Escalate) [][]string {
	all := make([][]string, len(escalations))
	for i, e := range escalations {
		all[i] = e.By
	}
	return all
}

const escalateFix = "write - { after: 30m, by: [role:duty-manager], notify: pager }"

// escalations reads the list below escalate.
func (c *checker) escalations(n *yaml.Node, expires time.Duration) []Escalate {
	items := c.list(n, "escalate", escalateFix)
	if n.Kind == yaml.SequenceNode && len(items) == 0 {
		c.report(n, "empty-list", escalateFix, "nothing is escalated")
	}
	if len(items) > maxEscalations {
		c.report(items[maxEscalations], "too-large", "ask more people at once", "there are %d escalations; at most %d are allowed", len(items), maxEscalations)
		return nil
	}
	var all []Escalate
	var before time.Duration
	for _, item := range items {
		if e, ok := c.escalation(item, before, expires); ok {
			all, before = append(all, e), e.After
		}
	}
	return all
}

func (c *checker) escalation(n *yaml.Node, before, expires time.Duration) (e Escalate, ok bool) {
	o := c.object(n, "an escalation", fieldNames(escalateKeys)...)
	switch {
	case o == nil:
		return e, false
	case !o.has("after"):
		c.report(n, "missing-key", "add after: 30m", "it is not said when this is escalated")
		return e, false
	case !o.has("by") && !o.has("notify"):
		c.report(n, "missing-key", "add by: [role:duty-manager]", "nobody is asked or told by this escalation")
	}
	if v := o.get("by"); v != nil {
		e.By = c.people(v)
	}
	if v := o.get("notify"); v != nil {
		e.Notify = c.name(v, "the name of a channel")
		c.toldOn(v, e.Notify)
	}
	at := o.get("after")
	e.After = c.positive(at, "after")
	switch {
	case e.After == 0:
	case e.After <= before:
		c.report(at, "bad-order", "write escalations in the order of time", "this comes before the escalation above it")
	case expires > 0 && e.After >= expires:
		c.report(at, "bad-order", "escalate earlier, or let it expire later", "the question has expired by then, after %s", FormatDuration(expires))
	}
	return e, true
}

// outputType is the type of an approval's output.
func (op *Approve) outputType() types.Type {
	t := types.Map{
		"decision": types.String, "by": types.String, "at": types.String, "comment": types.Any, "votes": types.Any, "broken_glass": types.Bool,
	}
	if len(op.Form) > 0 {
		t["form"] = op.Form.exprType()
	}
	return t
}

var person = regexp.MustCompile(`^(role|user):[^\s:][^\s]*$`)

// people reads a list such as [role:operator, user:maria].
func (c *checker) people(n *yaml.Node) []string {
	var people []string
	for _, item := range c.list(n, "by", "write it as ["+defaultApprovers+"]") {
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
