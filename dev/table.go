package dev

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
)

// barWidth is the length, in characters, of the bar of a state that holds all
// devices.
const barWidth = 40

// stateTable draws how many devices are in each state that any is in.
func stateTable(counts map[deviceops.State]int, elapsed time.Duration) []string {
	total := 0
	for _, n := range counts {
		total += n
	}
	lines := []string{fmt.Sprintf("%-14s %7s   after %s", "STATE", "DEVICES", elapsed.Round(time.Second))}
	for _, state := range deviceops.States() {
		if n := counts[state]; n > 0 {
			lines = append(lines, fmt.Sprintf("%-14s %7d   %s", state, n, bar(n, total)))
		}
	}
	return lines
}

// bar gives n's share of total; any share above none shows.
func bar(n, total int) string {
	return strings.Repeat("█", max(1, n*barWidth/total))
}

// stateLine is the table in one line, for logs.
func stateLine(counts map[deviceops.State]int, elapsed time.Duration) string {
	parts := []string{fmt.Sprintf("%4s", elapsed.Round(time.Second))}
	for _, state := range deviceops.States() {
		if n := counts[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", state, n))
		}
	}
	return strings.Join(parts, "  ")
}

// board shows a table that moves: redrawn in place on a terminal, a line when
// something has changed elsewhere.
type board struct {
	out      io.Writer
	terminal bool
	drawn    int    // lines to go back over
	last     string // the line shown last, without its time
}

func (b *board) show(counts map[deviceops.State]int, elapsed time.Duration) {
	if b.terminal {
		b.redraw(stateTable(counts, elapsed))
		return
	}
	if line := stateLine(counts, 0); line != b.last { // time alone is no news
		b.last = line
		fmt.Fprintln(b.out, stateLine(counts, elapsed))
	}
}

// draw shows a table or, where tables do not move, the line if it has changed.
func (b *board) draw(table []string, line string) {
	if b.terminal {
		b.redraw(table)
		return
	}
	if line != b.last {
		b.last = line
		fmt.Fprintln(b.out, line)
	}
}

// leave lets the table stand where it is: what comes is written below it.
func (b *board) leave() { b.drawn = 0 }

// rolloutTable draws how far the rings of a rollout are.
func rolloutTable(r deviceops.Rollout) []string {
	lines := []string{fmt.Sprintf("%-10s %-9s %-*s %12s %8s %8s %8s", "RING", "STATUS", barWidth, "", "DONE", "HEALTHY", "BAD", "BACK")}
	for _, ring := range r.Rings {
		c := ring.Counts
		done := strings.Repeat("█", c.Finished()*barWidth/max(1, c.Targeted))
		lines = append(lines, fmt.Sprintf("%-10s %-9s %s %12s %8d %8d %8d", ring.Name, ring.Status, done+strings.Repeat("░", barWidth-len([]rune(done))),
			fmt.Sprintf("%d/%d", c.Finished(), c.Targeted), c.Healthy, c.Unsuccessful()+c.Unhealthy, c.Reverted))
	}
	return append(lines, fmt.Sprintf("%s is %s  %s", r.Name, r.Status, r.StatusReason))
}

// rolloutLine is the table in one line, for logs.
func rolloutLine(r deviceops.Rollout) string {
	parts := []string{"  " + string(r.Status)}
	for _, ring := range r.Rings {
		c := ring.Counts
		if ring.Status == deviceops.RingPending {
			continue
		}
		part := fmt.Sprintf("%s %s %d/%d", ring.Name, ring.Status, c.Finished(), c.Targeted)
		if bad := c.Unsuccessful() + c.Unhealthy; bad > 0 {
			part += fmt.Sprintf(" (%d bad)", bad)
		}
		if c.Reverted > 0 {
			part += fmt.Sprintf(" (%d back)", c.Reverted)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "  ")
}

func (b *board) redraw(lines []string) {
	if b.drawn > 0 {
		fmt.Fprintf(b.out, "\x1b[%dA\x1b[J", b.drawn)
	}
	b.drawn = len(lines)
	fmt.Fprintln(b.out, strings.Join(lines, "\n"))
}
