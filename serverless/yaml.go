package serverless

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops/dsl"
)

// mapping makes a map of keys and nodes, given in turn. A nil node leaves its
// key out.
func mapping(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i+1 < len(pairs); i += 2 {
		put(n, pairs[i].(string), pairs[i+1].(*yaml.Node))
	}
	return n
}

// put adds an entry to a map.
func put(n *yaml.Node, key string, value *yaml.Node) {
	if value != nil {
		n.Content = append(n.Content, textNodeOf(key), value)
	}
}

// get gives the value of a key; nil if there is none.
func get(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func sequence(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: items}
}

// step makes a step; without an id it has none.
func step(id string, pairs ...any) *yaml.Node {
	n := mapping()
	if id != "" {
		put(n, "id", textNodeOf(id))
	}
	n.Content = append(n.Content, mapping(pairs...).Content...)
	return n
}

func scalarNode(tag, value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
}

func boolNode(b bool) *yaml.Node { return scalarNode("!!bool", strconv.FormatBool(b)) }

func intNode(i int) *yaml.Node { return scalarNode("!!int", strconv.Itoa(i)) }

func nullNode() *yaml.Node { return scalarNode("!!null", "null") }

var (
	plainText      = regexp.MustCompile(`^[A-Za-z][\w./-]*( [\w./-]+)*$`)
	plainTemplate  = regexp.MustCompile(`^\$\{\{ [A-Za-z_][\w.?]* \}\}$`)
	plainCondition = regexp.MustCompile(`^[A-Za-z_][\w.?]*( (==|!=|<|<=|>|>=) (\d+|nil|true|false))?$`)
	readOtherwise  = regexp.MustCompile(`^(?i:y|n|yes|no|on|off|true|false|null)$`)
)

// textNodeOf writes a text so that every reader of YAML takes it for that text.
func textNodeOf(s string) *yaml.Node {
	n := scalarNode("!!str", s)
	switch {
	case plainText.MatchString(s) && !readOtherwise.MatchString(s):
	case strings.ContainsAny(s, "\"\\") && printable(s):
		n.Style = yaml.SingleQuotedStyle
	default:
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) < 0
}

// template writes an expression into a field that takes values.
func template(e exp) *yaml.Node {
	source := "${{ " + e.src + " }}"
	if plainTemplate.MatchString(source) {
		return scalarNode("!!str", source)
	}
	return textNodeOf(source)
}

// condition writes an expression into a field that is always one.
func condition(e exp) *yaml.Node {
	if e.src == "true" || e.src == "false" {
		return scalarNode("!!bool", e.src)
	}
	if plainCondition.MatchString(e.src) {
		return scalarNode("!!str", e.src)
	}
	return textNodeOf(e.src)
}

// templateBraces are what the language reads in a text.
var templateBraces = regexp.MustCompile(`\{\{|^secret:`)

// literal writes a text as it is, through an expression if the language would
// read something into it.
func literal(s string) *yaml.Node {
	if templateBraces.MatchString(s) {
		return template(textExp(s))
	}
	return textNodeOf(s)
}

// constantNode writes a canonical value.
func constantNode(v any) *yaml.Node {
	switch v := v.(type) {
	case nil:
		return nullNode()
	case bool:
		return boolNode(v)
	case int64:
		return scalarNode("!!int", dsl.Format(v))
	case float64:
		return scalarNode("!!float", dsl.Format(v))
	}
	return literal(dsl.Format(v))
}

// encode writes a document with comments above it.
func encode(n *yaml.Node, comments []string) ([]byte, error) {
	var b bytes.Buffer
	for _, comment := range comments {
		b.WriteString("# " + comment + "\n")
	}
	d, err := yaml.NewDumper(&b, yaml.WithIndent(2), yaml.WithLineWidth(-1), yaml.WithCompactSeqIndent(false))
	if err != nil {
		return nil, err
	}
	if err := d.Dump(n); err != nil {
		return nil, err
	}
	return b.Bytes(), d.Close()
}
