package api

import (
	"fmt"
	"strings"
)

// diffContext is how many unchanged lines are shown around a change.
const diffContext = 2

// diffLines shows how to get from one text to another, line by line: "-" and
// "+" before what differs, "  " before some lines around, "..." for the rest;
// "" if nothing differs.
func diffLines(from, to string) string {
	edits := editScript(splitLines(from), splitLines(to))
	shown := make([]bool, len(edits))
	changed := false
	for i, e := range edits {
		if e.mark == ' ' {
			continue
		}
		changed = true
		for j := max(0, i-diffContext); j <= min(len(edits)-1, i+diffContext); j++ {
			shown[j] = true
		}
	}
	if !changed {
		return ""
	}
	return render(edits, shown)
}

func render(edits []edit, shown []bool) string {
	var b strings.Builder
	hidden := false
	for i, e := range edits {
		if !shown[i] {
			hidden = true
			continue
		}
		if hidden {
			b.WriteString("  ...\n")
			hidden = false
		}
		fmt.Fprintf(&b, "%c %s\n", e.mark, e.line)
	}
	if hidden {
		b.WriteString("  ...\n")
	}
	return b.String()
}

func splitLines(text string) []string {
	return strings.Split(strings.TrimRight(text, "\n"), "\n")
}

// edit is one line of a diff.
type edit struct {
	mark rune // ' ' kept, '-' removed, '+' added
	line string
}

// editScript gives a shortest list of edits. Equal beginnings and ends are cut
// off first, since the table below grows with the product of what is left.
func editScript(from, to []string) []edit {
	var head, tail []edit
	for len(from) > 0 && len(to) > 0 && from[0] == to[0] {
		head = append(head, edit{' ', from[0]})
		from, to = from[1:], to[1:]
	}
	for len(from) > 0 && len(to) > 0 && from[len(from)-1] == to[len(to)-1] {
		tail = append([]edit{{' ', from[len(from)-1]}}, tail...)
		from, to = from[:len(from)-1], to[:len(to)-1]
	}
	return append(append(head, middle(from, to)...), tail...)
}

// maxDiffCells bounds the table of middle; larger changes are shown as one
// block removed and one added.
const maxDiffCells = 4 << 20

func middle(from, to []string) []edit {
	if len(from)*len(to) > maxDiffCells {
		return append(marked('-', from), marked('+', to)...)
	}
	common := commonLengths(from, to)
	var edits []edit
	i, j := 0, 0
	for i < len(from) && j < len(to) {
		switch {
		case from[i] == to[j]:
			edits = append(edits, edit{' ', from[i]})
			i, j = i+1, j+1
		case common[i+1][j] >= common[i][j+1]:
			edits = append(edits, edit{'-', from[i]})
			i++
		default:
			edits = append(edits, edit{'+', to[j]})
			j++
		}
	}
	return append(append(edits, marked('-', from[i:])...), marked('+', to[j:])...)
}

func marked(mark rune, lines []string) []edit {
	edits := make([]edit, len(lines))
	for i, line := range lines {
		edits[i] = edit{mark, line}
	}
	return edits
}

// commonLengths gives, for every i and j, how many lines from[i:] and to[j:]
// have in common, in order.
func commonLengths(from, to []string) [][]int {
	common := make([][]int, len(from)+1)
	for i := range common {
		common[i] = make([]int, len(to)+1)
	}
	for i := len(from) - 1; i >= 0; i-- {
		for j := len(to) - 1; j >= 0; j-- {
			if from[i] == to[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	return common
}
