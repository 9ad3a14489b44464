package dsl

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"
)

// Limits of a foreach.
const (
	MaxItems    = 1000 // items of one foreach
	MaxParallel = 100  // items that are worked on at once
)

// Foreach runs Body once for each item, with the item under the name As and its
// number, from 0, as index. The step's output is {total, succeeded, failed,
// results}, where results holds {item, status, output, error} in the order of
// the items; output is that of the item's last step.
type Foreach struct {
	Items     *Value // a list of at most MaxItems
	As        string
	Parallel  int // items at once
	Body      *Block
	Tolerance Tolerance
}

// Tolerance says how many items of a foreach may fail.
type Tolerance struct {
	Percent float64 // of all items; 100: all may
	Stop    bool    // the first failure calls the others off and is the failure of the step
}

// Exceeded reports whether failed of total are too many.
func (t Tolerance) Exceeded(failed, total int) bool {
	if t.Stop {
		return failed > 0
	}
	return float64(failed)*100 > t.Percent*float64(total)
}

func (*Foreach) op() {}

var _ = register(verb{
	name:    "foreach",
	summary: "runs steps once for each item of a list",
	gives:   "{total, succeeded, failed, results}, where results holds {item, status, output, error} by item",
	value: objectSchema("the items, and what to do with each", []string{"items", "steps"}, []fieldSpec{
		{"items", schema{"anyOf": []any{refTo("expression"), schema{"type": "array", "maxItems": MaxItems}}, "description": "an expression that gives a list, or the list"}},
		{"as", schema{"type": "string", "pattern": identifier.String(), "description": "the name of the item in expressions; item when left out. index is its number, from 0"}},
		{"max_parallel", schema{"type": "integer", "minimum": 1, "maximum": MaxParallel, "description": "how many items are worked on at once; 1 when left out"}},
		{"on_error", schema{"type": "string", "pattern": toleranceText.String(), "description": "stop (the default), continue, or tolerate 5%"}},
		{"steps", refTo("steps")},
	}),
	modifiers: []string{"timeout", "retry", "undo"},
	read:      readForeach,
})

var foreachType = types.Map{"total": types.Int64, "succeeded": types.Int64, "failed": types.Int64, "results": types.Array(types.Any)}

func readForeach(b *builder, s *reading) Op {
	op := &Foreach{As: "item", Parallel: 1, Body: &Block{}, Tolerance: Tolerance{Stop: true}}
	s.outputs = foreachType
	o := b.object(s.own(), "foreach", "items", "as", "max_parallel", "on_error", "steps")
	if o == nil {
		return op
	}
	for _, key := range []string{"items", "steps"} {
		if !o.has(key) {
			b.report(s.keys["foreach"], "missing-key", "add "+key+":", "foreach needs %s", key)
		}
	}
	if n := o.get("items"); n != nil {
		op.Items = b.items(n, s.scope)
	}
	if n := o.get("max_parallel"); n != nil {
		op.Parallel = b.integer(n, "max_parallel", 1, MaxParallel)
	}
	if n := o.get("on_error"); n != nil {
		op.Tolerance = b.tolerance(n)
	}
	if n := o.get("as"); n != nil {
		op.As = b.itemName(n)
	}
	if n := o.get("steps"); n != nil {
		inner := s.around.inside()
		inner.branch = "foreach"
		sc := b.scope.with("index", types.Int64).with(op.As, types.Any)
		op.Body = b.apart(n, s.step.Path+".foreach", inner, perItem, sc)
	}
	return op
}

// items reads the list: an expression, or the list itself.
func (b *builder) items(n *yaml.Node, sc *scope) *Value {
	if n.Kind != yaml.SequenceNode {
		return &Value{kind: exprValue, expr: b.expression(n, "items", sc, wantList)}
	}
	if len(n.Content) > MaxItems {
		b.report(n.Content[MaxItems], "too-large", "split the list", "there are %d items; at most %d are allowed", len(n.Content), MaxItems)
	}
	return b.value(n, sc)
}

// itemName reads the name of the item, which must not hide another name.
func (b *builder) itemName(n *yaml.Node) string {
	name, ok := b.text(n, "as")
	if !ok || !b.word(n, "the name of the item") {
		return "item"
	}
	if b.scope.has(name) && b.scope.env[name] != types.Any || contains([]string{"device", "error", "event", "index", "output"}, name) {
		b.report(n, "bad-name", "write another name, such as "+name+"_item", "%s is the name of something else in expressions", name)
		return "item"
	}
	return name
}

var toleranceText = regexp.MustCompile(`^(stop|continue|tolerate +(\d{1,2}(\.\d+)?|100) *%)$`)

func (b *builder) tolerance(n *yaml.Node) Tolerance {
	s, ok := b.text(n, "on_error")
	m := toleranceText.FindStringSubmatch(s)
	switch {
	case !ok:
	case m == nil:
		b.report(n, "wrong-value", "write stop, continue, or tolerate and a percentage such as tolerate 5%", "on_error says what a failed item means, and %s does not", quoteShort(s))
	case strings.HasPrefix(s, "tolerate"):
		percent, err := strconv.ParseFloat(m[2], 64)
		if err == nil {
			return Tolerance{Percent: percent}
		}
	case s == "continue":
		return Tolerance{Percent: 100}
	}
	return Tolerance{Stop: true}
}
