package serverless

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// header is what the document says of itself.
type header struct {
	name, description string
	comments          []string
}

var (
	documentKeys = []string{"dsl", "namespace", "name", "version", "title", "summary", "tags", "metadata"}
	workflowName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`)
)

// header reads document.
func (b *builder) header(o *object) header {
	d := b.object(o.get("document"), "document", documentKeys...)
	if d == nil {
		return header{}
	}
	texts := map[string]string{}
	for _, key := range documentKeys[:6] {
		if v := d.get(key); v != nil {
			texts[key], _ = b.text(v, key)
		}
	}
	if version := b.required(d, "dsl", "document"); version != nil && !strings.HasPrefix(texts["dsl"], "1.") {
		b.Report(version, codeUnsupported, "translate a workflow of DSL 1.0", "only workflows of DSL 1.0 are translated")
	}
	h := header{name: texts["name"], description: strings.TrimSpace(texts["title"])}
	if h.description == "" {
		h.description = strings.TrimSpace(texts["summary"])
	}
	if name := b.required(d, "name", "document"); name != nil && !workflowName.MatchString(h.name) {
		b.Report(name, "bad-name", "write small letters, digits and -, at most 64", "this cannot be the name of a workflow")
	}
	for _, key := range documentKeys[:6] {
		if texts[key] != "" {
			b.definition["definition.document."+key] = textExp(texts[key])
		}
	}
	h.comments = []string{strings.Join(strings.Fields("Translated from the Serverless Workflow "+texts["namespace"]+"/"+texts["name"]+" "+texts["version"]+" (DSL "+texts["dsl"]+")."), " ")}
	return h
}

// evaluation reads how expressions are meant to be evaluated.
func (b *builder) evaluation(n *yaml.Node) {
	if n == nil {
		return
	}
	o := b.object(n, "evaluate", "language", "mode")
	if language := o.get("language"); language != nil && language.Value != "jq" {
		b.Report(language, codeUnsupported, "write the expressions in jq", "expressions in %s are not translated", language.Value)
	}
	if mode := o.get("mode"); mode != nil && mode.Value != "strict" {
		b.Report(mode, codeUnsupported, "write ${ } around expressions, and mode: strict", "the mode %s is not translated", mode.Value)
	}
}

// components reads use.
func (b *builder) components(n *yaml.Node) {
	if n == nil {
		return
	}
	b.use = b.object(n, "use", "authentications", "catalogs", "errors", "extensions", "functions", "retries", "secrets", "timeouts")
	b.unsupported(b.use, "a workflow", "write the tasks that it adds into the workflow", "extensions")
	b.unsupported(b.use, "a workflow", "write the functions as tasks of the workflow", "catalogs")
}

// component gives a reusable component that a field names, or the field itself
// where it is no name; nil was reported.
func (b *builder) component(n *yaml.Node, group, what string) *yaml.Node {
	if n == nil || n.Kind != yaml.ScalarNode {
		return n
	}
	if b.use != nil && b.use.has(group) && b.use.get(group).Kind == yaml.MappingNode {
		if found := get(b.use.get(group), n.Value); found != nil {
			return found
		}
	}
	b.Report(n, codeUnknownName, "add it to use."+group, "there is no %s %q", what, n.Value)
	return nil
}
