package cli

import "strings"

// columnGap is the space between two columns, and before those that are folded.
const columnGap = "  "

// readableWidth is how many characters a text has to keep to be wrapped beside
// other columns.
const readableWidth = 32

// table writes rows under a header, in columns as wide as their widest cell. What
// has no room in the width of the screen is folded; nothing is left out.
func (w *screen) table(header []string, rows [][]string) {
	widths := make([]int, len(header))
	for _, row := range append([][]string{header}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], printed(cell))
		}
	}
	narrow(widths, rows, w.width)
	bands := folded(widths, w.width)
	w.row(header, bands, plainly)
	for _, row := range rows {
		w.row(row, bands, w.paint)
	}
}

func plainly(s string) string { return s }

// narrow lets the widest column make do with what the others leave in a width, if its
// words have room there and it can still be read.
func narrow(widths []int, rows [][]string, width int) {
	total, widest := -len(columnGap), 0
	for i, column := range widths {
		total += column + len(columnGap)
		if column > widths[widest] {
			widest = i
		}
	}
	room := widths[widest] - (total - width)
	if width <= 0 || total <= width || room < readableWidth {
		return
	}
	for _, row := range rows {
		for _, line := range wrapped(row[widest], room) {
			if printed(line) > room {
				return
			}
		}
	}
	widths[widest] = room
}

// band is the columns of a table that stand side by side, by their widths. A row
// takes one after the other, each below the one before.
type band []int

// folded arranges columns in a width; 0 is any. As many as have room stand side by
// side, the others below them. The last, which is where text stands, makes do with
// what the others leave if that can be read.
func folded(widths []int, width int) (bands []band) {
	if width <= 0 {
		return []band{widths}
	}
	var now band
	left := width
	for i, column := range widths {
		last := i == len(widths)-1
		if len(now) > 0 && column > left && (!last || left < readableWidth) {
			bands, now = append(bands, now), nil
			left = width - len(columnGap)
		}
		if len(now) == 0 || last {
			column = min(column, max(left, 1))
		}
		now = append(now, column)
		left -= column + len(columnGap)
	}
	return append(bands, now)
}

// row writes the cells of a row, band by band.
func (w *screen) row(cells []string, bands []band, paint func(string) string) {
	for i, widths := range bands {
		indent := ""
		if i > 0 {
			indent = columnGap
		}
		if i == 0 || strings.Join(cells[:len(widths)], "") != "" {
			w.band(indent, cells[:len(widths)], widths, paint)
		}
		cells = cells[len(widths):]
	}
}

// band writes cells side by side, each wrapped in its column.
func (w *screen) band(indent string, cells []string, widths band, paint func(string) string) {
	columns, height := make([][]string, len(cells)), 0
	for i, cell := range cells {
		columns[i] = wrapped(cell, widths[i])
		height = max(height, len(columns[i]))
	}
	for n := range height {
		var line strings.Builder
		for i, lines := range columns {
			text := ""
			if n < len(lines) {
				text = lines[n]
			}
			line.WriteString(paint(text) + strings.Repeat(" ", max(0, widths[i]-printed(text))) + columnGap)
		}
		w.line("%s", strings.TrimRight(indent+line.String(), " "))
	}
}

// wrapped breaks a text into lines after spaces and the commas of lists and JSON. A
// word that is longer than a line, such as an address, stays whole to be copied.
func wrapped(text string, width int) (lines []string) {
	if printed(text) <= width {
		return []string{text}
	}
	line := ""
	for rest := text; rest != ""; {
		end := strings.IndexAny(rest, " ,") + 1
		if end == 0 {
			end = len(rest)
		}
		piece := rest[:end]
		rest = rest[end:]
		if line != "" && printed(strings.TrimRight(line+piece, " ")) > width {
			lines, line = append(lines, strings.TrimRight(line, " ")), ""
		}
		line += piece
	}
	return append(lines, strings.TrimRight(line, " "))
}
