package dsl

import (
	"html"
	"strings"

	"github.com/deviceops/deviceops"
)

// Widths of a drawing as SVG, in pixels.
const (
	MinGraphWidth     = 320 // of a phone
	DefaultGraphWidth = 760
	MaxGraphWidth     = 4000
)

// Measures of a drawing, in pixels.
const (
	graphMargin = 16
	cardPad     = 12
	arrowGap    = 24
	lineHeight  = 17
	iconSpace   = 26
	leastCard   = 168 // no card is narrower; deep nesting makes the drawing wider
	leastColumn = 220 // branches stand beside one another where each has this much
)

// SVG draws the graph as a picture of about width pixels, which stands for
// itself: fonts of the reader's system, no scripts, nothing loaded. Branches
// stand beside one another where there is room, else below one another, so that
// a narrow picture reads well on a phone. Status has a color and a symbol.
func (g *Graph) SVG(width int) string {
	inner := width - 2*graphMargin
	for _, b := range g.Blocks {
		inner = max(inner, b.least())
	}
	d := svgDrawing{graph: g}
	y := d.heading(graphMargin, inner)
	y = d.terminal(graphMargin+inner/2, y)
	for i, b := range g.Blocks {
		if i > 0 {
			y += arrowGap
		}
		y = d.block(b, graphMargin, y, inner)
	}
	d.arrow(graphMargin+inner/2, y, y+arrowGap)
	y = d.terminal(graphMargin+inner/2, y+arrowGap)
	return d.document(inner+2*graphMargin, y+graphMargin)
}

// svgDrawing collects the shapes of a drawing.
type svgDrawing struct {
	graph  *Graph
	shapes strings.Builder
}

func (d *svgDrawing) add(format string, args ...any) {
	d.shapes.WriteString(sprintf(format, args...) + "\n")
}

// text writes one line. Its baseline is at y.
func (d *svgDrawing) text(x, y int, class, text string) {
	d.add(`<text x="%d" y="%d" class="%s">%s</text>`, x, y, class, html.EscapeString(text))
}

// arrow leads straight down.
func (d *svgDrawing) arrow(x, from, to int) {
	d.add(`<path class="flow" d="M%d %dV%d"/><path class="head" d="M%d %dl-4 -7h8z"/>`, x, from, to-6, x, to)
}

// terminal marks the beginning or the end.
func (d *svgDrawing) terminal(x, y int) int {
	d.add(`<circle class="terminal" cx="%d" cy="%d" r="6"/>`, x, y+6)
	return y + 12
}

func (d *svgDrawing) heading(x, width int) int {
	d.add(`<rect width="100%%" height="100%%" rx="10" fill="#ffffff"/>`)
	y := 2*graphMargin + 8
	if d.graph.Run == nil {
		d.text(x, y, "name", clip(d.graph.heading(), width/10))
		return y + 20
	}
	d.icon(x+9, y-6, d.graph.Run.Status)
	d.text(x+iconSpace, y, "name", clip(d.graph.heading(), (width-iconSpace)/10))
	for _, line := range wrapText(d.graph.story()+" · "+d.graph.Run.ID, width/7, 2) {
		y += lineHeight + 3
		d.text(x, y, "note", line)
	}
	return y + 20
}

// document puts the shapes into a document with its styles.
func (d *svgDrawing) document(width, height int) string {
	return sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s" style="max-width:100%%;height:auto">`,
		width, height, width, height, html.EscapeString("The workflow "+d.graph.heading())) +
		"\n<style>" + graphStyle + "</style>\n" + d.shapes.String() + "</svg>\n"
}

const graphStyle = `
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","DejaVu Sans",Arial,sans-serif;font-size:12px;fill:#1f2733}
.name{font-size:18px;font-weight:600}.title{font-size:14px;font-weight:600}.what{fill:#3a4656}.note{fill:#69768a}.label{fill:#4a5a70;font-weight:600}
.state{font-weight:600}.cause{fill:#b02f2f}
.flow{stroke:#8c9bb0;stroke-width:1.5;fill:none}.head,.terminal{fill:#8c9bb0}.failure{stroke:#d64545;stroke-width:1.5;stroke-dasharray:4 3;fill:none}.failurehead{fill:#d64545}
.frame{fill:#ffffff;stroke:#d5dce6;stroke-width:1}.frame.catch{fill:#fffafa;stroke:#efc4c4}.frame.undo{fill:#fffdf5;stroke:#ead9a8;stroke-dasharray:5 3}.frame.finally{fill:#f8faff;stroke:#c3d2ea}
.sign{fill:none;stroke:#ffffff;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}
`

// look is how a status is drawn.
type look struct {
	fill, stroke, ink string
	dashed            bool
	sign              string // path in the middle of a circle, 10 by 10
}

var looks = map[deviceops.RunStatus]look{
	"":                     {fill: "#f4f8fd", stroke: "#9db7d6", ink: "#3a4656"},
	deviceops.RunSucceeded: {fill: "#ebf8f0", stroke: "#2f9e62", ink: "#1f7a49", sign: "M-4 0l3 3.5l5.5 -6.5"},
	deviceops.RunFailed:    {fill: "#fdeeee", stroke: "#d64545", ink: "#b02f2f", sign: "M-3.5 -3.5l7 7M3.5 -3.5l-7 7"},
	deviceops.RunWaiting:   {fill: "#fff8e4", stroke: "#cc8f0a", ink: "#8a5f00", sign: "M-2.2 -3.5v7M2.2 -3.5v7"},
	deviceops.RunRunning:   {fill: "#eaf2fe", stroke: "#2f74d0", ink: "#1f57a4", sign: "M-2 -4l5 4l-5 4z"},
	deviceops.RunPending:   {fill: "#ffffff", stroke: "#b4bfce", ink: "#69768a", sign: "M-3 0h0M0 0h0M3 0h0"},
	deviceops.RunCanceled:  {fill: "#f2f3f6", stroke: "#7b8494", ink: "#525b6b", sign: "M-3.5 3.5l7 -7"},
	deviceops.RunSkipped:   {fill: "#fafbfc", stroke: "#a3adbc", ink: "#69768a", dashed: true, sign: "M-4 -3.5l3.5 3.5l-3.5 3.5M1 -3.5l3.5 3.5l-3.5 3.5"},
	unreached:              {fill: "#ffffff", stroke: "#ccd4df", ink: "#69768a", dashed: true},
}

// icon draws the symbol of a status around x, y.
func (d *svgDrawing) icon(x, y int, status deviceops.RunStatus) {
	l := looks[status]
	if l.sign == "" {
		d.add(`<circle cx="%d" cy="%d" r="8" fill="none" stroke="%s" stroke-width="1.5"/>`, x, y, l.stroke)
		return
	}
	d.add(`<circle cx="%d" cy="%d" r="9" fill="%s"/><path class="sign" transform="translate(%d %d)" d="%s"/>`, x, y, l.stroke, x, y, l.sign)
}
