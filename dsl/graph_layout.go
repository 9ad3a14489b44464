package dsl

import (
	"html"
	"strings"
	"unicode/utf8"
)

// least gives the narrowest width in which a block can be drawn.
func (b GraphBlock) least() int {
	width := leastCard
	for _, n := range b.Nodes {
		for _, inner := range n.Blocks {
			width = max(width, inner.least()+2*cardPad+inner.inset()*2)
		}
	}
	return width
}

// inset is the space on each side that the frame of a block takes.
func (b GraphBlock) inset() int {
	if b.Title == "" && b.Kind == BlockSteps {
		return 0
	}
	return cardPad
}

// block draws a block from y on and gives its lower edge. A block with a frame
// of its own has its title in it.
func (d *svgDrawing) block(b GraphBlock, x, y, width int) int {
	inset := b.inset()
	if inset == 0 {
		return d.nodes(b.Nodes, x, y, width, true)
	}
	content := svgDrawing{graph: d.graph}
	bottom := y + cardPad
	for _, line := range wrapText(b.Title, (width-2*inset)/7, 3) {
		bottom += lineHeight
		content.text(x+inset, bottom-5, "label", line)
	}
	bottom = content.nodes(b.Nodes, x+inset, bottom+4, width-2*inset, false) + cardPad
	d.add(`<rect class="frame %s" x="%d" y="%d" width="%d" height="%d" rx="8"/>`, b.Kind, x, y, width, bottom-y)
	d.shapes.WriteString(content.shapes.String())
	return bottom
}

// nodes draws steps below one another with arrows between them, and before the
// first if it is led to.
func (d *svgDrawing) nodes(nodes []GraphNode, x, y, width int, led bool) int {
	for i, n := range nodes {
		if i > 0 || led {
			d.arrow(x+width/2, y, y+arrowGap)
			y += arrowGap
		}
		y = d.node(n, x, y, width)
	}
	return y
}

// node draws a card, around the blocks of the step if it has any.
func (d *svgDrawing) node(n GraphNode, x, y, width int) int {
	status := d.graph.status(n)
	l := looks[status]
	content := svgDrawing{graph: d.graph}
	left, bottom := x+cardPad, y+8
	if status != "" {
		content.icon(left+9, bottom+12, status)
		left += iconSpace
	}
	for _, line := range d.lines(n) {
		size, most := 7, 3
		if line.class == "title" {
			size, most = 8, 2
		}
		for _, part := range wrapText(line.text, (x+width-cardPad-left)/size, most) {
			bottom += lineHeight
			content.colored(left, bottom, line.class, part, l.ink)
		}
	}
	bottom = content.blocks(n.Blocks, x+cardPad, bottom+8, width-2*cardPad) + cardPad - 2
	dash := ""
	if l.dashed {
		dash = ` stroke-dasharray="5 3"`
	}
	d.add(`<g><title>%s</title><rect x="%d" y="%d" width="%d" height="%d" rx="8" fill="%s" stroke="%s" stroke-width="1.5"%s/></g>`,
		html.EscapeString(d.hint(n)), x, y, width, bottom-y, l.fill, l.stroke, dash)
	d.shapes.WriteString(content.shapes.String())
	return bottom
}

func (d *svgDrawing) colored(x, y int, class, text, ink string) {
	if class != "state" {
		d.text(x, y, class, text)
		return
	}
	d.add(`<text x="%d" y="%d" class="state" style="fill:%s">%s</text>`, x, y, ink, html.EscapeString(text))
}

// cardLine is a line of a card, before it is wrapped.
type cardLine struct{ class, text string }

// lines gives what a card says.
func (d *svgDrawing) lines(n GraphNode) []cardLine {
	lines := []cardLine{{"title", n.Title}}
	if n.Text != "" {
		lines = append(lines, cardLine{"what", n.Text})
	}
	for _, note := range n.Notes {
		lines = append(lines, cardLine{"note", note})
	}
	for i, fact := range d.graph.tell(n) {
		class := "state"
		if i > 0 {
			class = "note"
		}
		if n.Ran.Last.Error != nil && strings.HasPrefix(fact, n.Ran.Last.Error.Code+":") {
			class = "cause"
		}
		lines = append(lines, cardLine{class, fact})
	}
	return lines
}

// hint is all that a card says, unshortened, for those who point at it.
func (d *svgDrawing) hint(n GraphNode) string {
	lines := d.lines(n)
	texts := make([]string, len(lines))
	for i, line := range lines {
		texts[i] = line.text
	}
	return strings.Join(texts, "\n")
}

// blocks draws the blocks of a step: branches beside one another where there is
// room, all others below.
func (d *svgDrawing) blocks(blocks []GraphBlock, x, y, width int) int {
	branches := 0
	for branches < len(blocks) && blocks[branches].Kind == BlockBranch {
		branches++
	}
	if branches > 1 && columnWidth(blocks[:branches], width) >= leastColumn {
		y = d.columns(blocks[:branches], x, y, width)
		blocks = blocks[branches:]
		if len(blocks) > 0 {
			y += cardPad
		}
	}
	for i, b := range blocks {
		switch {
		case i == 0:
		case b.Kind == BlockCatch:
			d.failure(x+width/2, y, y+arrowGap)
			y += arrowGap
		default:
			y += cardPad
		}
		if b.inset() == 0 {
			y = d.nodes(b.Nodes, x, y+4, width, false)
			continue
		}
		y = d.block(b, x, y, width)
	}
	return y
}

// failure leads down to what runs after a failure.
func (d *svgDrawing) failure(x, from, to int) {
	d.add(`<path class="failure" d="M%d %dV%d"/><path class="failurehead" d="M%d %dl-4 -7h8z"/>`, x, from, to-6, x, to)
}

// columnWidth gives the width of each of several columns, 0 if one of them
// would not fit into it.
func columnWidth(blocks []GraphBlock, width int) int {
	each := (width - cardPad*(len(blocks)-1)) / len(blocks)
	for _, b := range blocks {
		if b.least()+2*b.inset() > each {
			return 0
		}
	}
	return each
}

// columns draws branches beside one another, with a line that leads to each.
func (d *svgDrawing) columns(blocks []GraphBlock, x, y, width int) int {
	each := columnWidth(blocks, width)
	step := each + cardPad
	first := x + each/2
	last := first + step*(len(blocks)-1)
	d.add(`<path class="flow" d="M%d %dv8M%d %dH%d"/>`, (first+last)/2, y, first, y+8, last)
	bottom := y
	for i, b := range blocks {
		d.arrow(first+i*step, y+8, y+8+arrowGap)
		bottom = max(bottom, d.block(b, x+i*step, y+8+arrowGap, each))
	}
	return bottom
}

// wrapText breaks a text into lines of at most width characters, at spaces where it
// can. What does not fit into most lines is cut.
func wrapText(text string, width, most int) []string {
	width = max(width, 8)
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	if line != "" {
		lines = append(lines, line)
	}
	if len(lines) > most {
		lines[most-1] += " …"
		lines = lines[:most]
	}
	for i := range lines {
		lines[i] = clip(lines[i], width)
	}
	return lines
}
