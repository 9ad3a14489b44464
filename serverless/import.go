package serverless

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// Workflow is a translated workflow.
type Workflow struct {
	Name   string
	Source []byte // YAML that the checker accepts; with an automation where it has a schedule
}

// builder translates one document.
type builder struct {
	*dsl.Foreign
	use   *object         // reusable components
	steps map[string]bool // ids that are taken
	vars  map[string]bool // variables that are taken
	used  map[string]bool // variables of expressions that were read since it was emptied
	notes []string        // what was approximated since it was emptied

	instances  map[string]string // where a step comes from, as a JSON pointer, by id
	context    bool              // the context is read or written
	definition map[string]exp    // what expressions may read of the document, by path below $workflow
}

// Import translates a document of the Serverless Workflow DSL 1.0, in YAML or
// JSON. Actions are those that the translation may use. With errors among the
// diagnostics there is no workflow; warnings tell what was approximated.
func Import(name, text string, actions []deviceops.ActionSpec) (Workflow, dsl.Diagnostics) {
	source, found := dsl.ReadForeign(name, text)
	if source == nil {
		return Workflow{}, found
	}
	b := &builder{
		Foreign: source, steps: map[string]bool{}, used: map[string]bool{}, instances: map[string]string{},
		definition: map[string]exp{}, vars: map[string]bool{dataVariable: true, contextVariable: true, startVariable: true},
	}
	w := b.workflow()
	if b.Found().HasErrors() {
		return Workflow{}, b.Found()
	}
	b.verify(w, actions)
	if b.Found().HasErrors() {
		return Workflow{}, b.Found()
	}
	return w, b.Found()
}

// verify hands the translation to the checker. It finds what depends on the
// whole, such as blocks that stand too deep inside one another.
func (b *builder) verify(w Workflow, actions []deviceops.ActionSpec) {
	_, problems := dsl.CheckFile(w.Name+".yaml", string(w.Source), dsl.Options{Actions: actions})
	for _, p := range problems {
		if p.Severity == dsl.SeverityError {
			b.Report(b.Root().Content[0], "untranslatable", p.Fix, "the translation is not a workflow that can run: %s (%s)", p.Message, strings.TrimSpace(p.Snippet))
			return
		}
	}
}

var workflowKeys = []string{"document", "input", "use", "do", "timeout", "output", "schedule", "evaluate"}

// workflow translates the document.
func (b *builder) workflow() Workflow {
	if b.Root().Kind == yaml.MappingNode && get(b.Root(), "document") == nil {
		b.Report(b.Root(), codeMissingKey, "translate a workflow that begins with document: { dsl: '1.0.3', ... }; those before DSL 1.0 have other keys", "this is no workflow of the DSL 1.0: it has no document")
		return Workflow{}
	}
	o := b.object(b.Root(), "a workflow", workflowKeys...)
	if o == nil {
		return Workflow{}
	}
	head := b.header(o)
	b.evaluation(o.get("evaluate"))
	b.components(o.get("use"))
	n := mapping("workflow", textNodeOf(head.name))
	if head.description != "" {
		put(n, "description", literal(head.description))
	}
	comments := append(head.comments, b.data(o, n)...)
	source, err := encode(n, comments)
	if err == nil && o.has("schedule") {
		var automation []byte
		automation, err = encode(b.schedule(o.get("schedule"), head.name), nil)
		source = append(append(source, "---\n"...), automation...)
	}
	if err != nil {
		b.Report(b.Root(), "untranslatable", "", "the translation cannot be written: %s", err)
	}
	return Workflow{Name: head.name, Source: source}
}

// data translates what flows: input, tasks and output.
func (b *builder) data(o *object, n *yaml.Node) (comments []string) {
	sc := newScope(b.definition)
	kind, first := b.input(o.get("input"), sc)
	comments = b.notesAbove()
	put(n, "inputs", mapping("input", kind))
	var steps []*yaml.Node
	if list := b.required(o, "do", "a workflow"); list != nil {
		steps = b.block(b.tasks(list, "/do"), sc, true)
	}
	start := mapping(dataVariable, first)
	if b.reads(variable(startVariable).src, func() { put(n, "outputs", mapping("output", b.output(o.get("output"), sc))) }) {
		put(start, startVariable, template(variable(dataVariable)))
	}
	if b.context {
		put(start, contextVariable, nullNode())
	}
	put(n, "timeout", b.timeout(o.get("timeout")))
	put(n, "steps", sequence(append([]*yaml.Node{step("", "set", start)}, steps...)...))
	return append(comments, b.notesAbove()...)
}

// input translates the input of the workflow: its type, and what the first task
// gets.
func (b *builder) input(n *yaml.Node, sc scope) (kind, first *yaml.Node) {
	kind = mapping("type", textNodeOf("map"), "default", mapping())
	given := exp{src: "inputs.input", level: levelAtom, data: true}
	first = template(given)
	if n == nil {
		return kind, first
	}
	o := b.object(n, "input", "schema", "from")
	if schema := o.get("schema"); schema != nil {
		kind = b.inputType(schema, kind)
	}
	if from := o.get("from"); from != nil {
		first, _ = b.asValue(from, "from", jqEnv{dot: given, vars: sc.vars})
	}
	return kind, first
}

// inputTypes are types of a JSON Schema and those of inputs.
var inputTypes = map[string]string{"array": "list", "string": "string", "number": "number", "integer": "integer", "boolean": "boolean"}

// inputType reads the type of the input from its schema, of which nothing else is
// held.
func (b *builder) inputType(n, otherwise *yaml.Node) *yaml.Node {
	b.approximate(n, "check in the workflow what it relies on", "the schema of the input is not checked beyond its type")
	if n.Kind != yaml.MappingNode {
		return otherwise
	}
	if document := get(n, "document"); document != nil && document.Kind == yaml.MappingNode {
		if kind := get(document, "type"); kind != nil && inputTypes[kind.Value] != "" {
			return textNodeOf(inputTypes[kind.Value])
		}
	}
	return otherwise
}

// output translates the output of the workflow.
func (b *builder) output(n *yaml.Node, sc scope) *yaml.Node {
	if n != nil {
		o := b.object(n, "output", "schema", "as")
		b.unchecked(o)
		if as := o.get("as"); as != nil {
			value, _ := b.asValue(as, "as", sc.bound("input", flowing(startVariable)).env())
			return value
		}
	}
	return template(sc.dot())
}

// unchecked tells that a schema is not checked.
func (b *builder) unchecked(o *object) {
	if o.has("schema") {
		b.approximate(o.keys["schema"], "check in the workflow what it relies on", "the schema is not checked")
	}
}

// notesAbove gives what was approximated, as comments, and forgets it.
func (b *builder) notesAbove() []string {
	var comments []string
	for _, note := range b.notes {
		if comment := "note: " + note; !slices.Contains(comments, comment) {
			comments = append(comments, comment)
		}
	}
	b.notes = nil
	return comments
}
