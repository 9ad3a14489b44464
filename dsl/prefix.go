package dsl

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// watchReads begins to note what expressions read. The result ends that and
// gives the inputs among it, sorted.
func (b *builder) watchReads() (end func() []string) {
	sc, outer := b.scope, b.scope.reads
	sc.reads = map[string]bool{}
	return func() (inputs []string) {
		for _, name := range sortedKeys(sc.reads) {
			outer[name] = true
			if input, ok := strings.CutPrefix(name, "inputs."); ok {
				inputs = append(inputs, input)
			}
		}
		sc.reads = outer
		return inputs
	}
}

// Prefix gives what the first n steps do, with the device that they share, as
// YAML in one form: programs whose prefixes are equal do the same so far.
// Comments, layout and ways of quoting are left out.
func (p *Program) Prefix(n int) string {
	root, err := decode(p.Source)
	if err != nil || root == nil {
		return p.Source // which Compile has read, so this cannot be
	}
	kept := &yaml.Node{Kind: yaml.MappingNode}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		switch key.Value {
		case "steps":
			value.Content = value.Content[:min(n, len(value.Content))]
		case "device":
		default:
			continue
		}
		kept.Content = append(kept.Content, key, value)
	}
	plain(kept)
	text, err := yaml.Marshal(kept)
	if err != nil {
		return p.Source
	}
	return string(text)
}

// plain takes what has no meaning from a tree.
func plain(n *yaml.Node) {
	n.Style, n.HeadComment, n.LineComment, n.FootComment = 0, "", "", ""
	for _, child := range n.Content {
		plain(child)
	}
}
