package dsl

import (
	"slices"

	"go.yaml.in/yaml/v4"
)

// Foreign is one document of another language that is written in YAML or JSON.
// Whoever translates such a document reads the tree below Root and reports at
// its nodes, with the same carets as for documents of this language.
type Foreign struct{ doc *document }

// ReadForeign reads a file that holds one document. It gives nil when the text
// cannot be read as YAML or JSON; the diagnostics then say why.
func ReadForeign(name, text string) (*Foreign, Diagnostics) {
	src := newSource(name, normalize(text))
	docs := src.split()
	switch {
	case len(docs) == 0:
		src.report(span{1, 1, 2}, "empty", "give a file that holds a document", "this file holds no document")
		return nil, src.found
	case len(docs) > 1:
		src.report(span{docs[1].offset, 1, 4}, "several-documents", "put each into a file of its own", "this file holds %d documents", len(docs))
		return nil, src.found
	}
	f := &Foreign{doc: docs[0]}
	if !f.doc.parse() || !f.plain(f.doc.root, 0) {
		return nil, src.found.sorted()
	}
	return f, nil
}

// plain reports what keeps a tree from being read node by node: aliases, keys
// that are no names or are given twice, and too many levels.
func (f *Foreign) plain(n *yaml.Node, depth int) bool {
	if depth > MaxNesting {
		f.Report(n, "too-deep", "", "lists and maps are nested more than %d deep", MaxNesting)
		return false
	}
	before := len(f.doc.src.found)
	f.doc.anchorTrap(n)
	if n.Kind == yaml.MappingNode {
		f.plainKeys(n)
	}
	ok := len(f.doc.src.found) == before
	for _, child := range n.Content {
		ok = f.plain(child, depth+1) && ok
	}
	return ok
}

func (f *Foreign) plainKeys(n *yaml.Node) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode:
			f.Report(key, "yaml-key", "write a plain name before the colon", "a key must be a name")
		case seen[key.Value]:
			f.Report(key, "duplicate-key", "keep one of them", "the key %q is given twice", key.Value)
		}
		seen[key.Value] = true
	}
}

// Root gives the node of the whole document.
func (f *Foreign) Root() *yaml.Node { return f.doc.root }

// Found gives what was reported, in the order of the file.
func (f *Foreign) Found() Diagnostics { return slices.Clone(f.doc.src.found).sorted() }

// Report adds an error about a node.
func (f *Foreign) Report(n *yaml.Node, code, fix, format string, args ...any) {
	f.doc.src.report(f.doc.at(n), code, fix, format, args...)
}

// ReportPart adds an error about the characters [from, to) of the value of a
// scalar, wherever quotes, escapes and folding have put them in the file.
func (f *Foreign) ReportPart(n *yaml.Node, from, to int, code, fix, format string, args ...any) {
	f.doc.src.report(f.doc.part(n, from, to), code, fix, format, args...)
}

// Warn adds a warning about a node.
func (f *Foreign) Warn(n *yaml.Node, code, fix, format string, args ...any) {
	f.doc.src.add(SeverityWarning, f.doc.at(n), code, fix, format, args...)
}
