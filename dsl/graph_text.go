package dsl

import (
	"strings"
	"unicode/utf8"
)

// textWidth is how long a line of a drawing in text may be, in characters.
const textWidth = 100

// Text draws the graph with lines, for a terminal. It ends with a line break.
func (g *Graph) Text() string {
	d := &textDrawing{graph: g}
	if g.Run == nil {
		d.line("", g.heading())
	} else {
		d.line("", symbols[g.Run.Status]+" "+g.heading()+"  "+g.story())
	}
	d.blocks(g.Blocks, "")
	return d.String()
}

type textDrawing struct {
	strings.Builder
	graph *Graph
}

func (d *textDrawing) line(indent, text string) {
	d.WriteString(strings.TrimRight(indent+clip(text, textWidth-utf8.RuneCountInString(indent)), " ") + "\n")
}

// blocks draws blocks below one another. Those with a title stand on a line of
// their own, with their steps below it.
func (d *textDrawing) blocks(blocks []GraphBlock, indent string) {
	for i, b := range blocks {
		last := i == len(blocks)-1
		if b.Title == "" {
			d.nodes(b.Nodes, indent, last)
			continue
		}
		branch, below := corner(last)
		d.line(indent+branch, b.Title)
		d.nodes(b.Nodes, indent+below, true)
	}
}

func (d *textDrawing) nodes(nodes []GraphNode, indent string, end bool) {
	for i, n := range nodes {
		branch, below := corner(end && i == len(nodes)-1)
		d.node(n, indent+branch, indent+below)
	}
}

// corner gives what leads to an item of a tree, and what leads past it.
func corner(last bool) (branch, below string) {
	if last {
		return "└─ ", "   "
	}
	return "├─ ", "│  "
}

func (d *textDrawing) node(n GraphNode, indent, below string) {
	head := n.Title
	if n.Text != "" {
		head += "  " + n.Text
	}
	beside := ""
	if len(n.Blocks) > 0 {
		beside = "│ "
	}
	if symbol, ok := symbols[d.graph.status(n)]; ok {
		head = symbol + " " + head
	}
	d.line(indent, head)
	if len(n.Notes) > 0 {
		d.line(below+beside, "  "+strings.Join(n.Notes, ", "))
	}
	for _, text := range d.graph.tell(n) {
		d.line(below+beside, "  "+text)
	}
	d.blocks(n.Blocks, below)
}

// clip shortens a text to width characters, on one line.
func clip(s string, width int) string {
	s = strings.ReplaceAll(s, "\n", " ")
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:max(width-1, 0)]) + "…"
}
