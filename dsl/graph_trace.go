package dsl

import (
	"strings"
	"time"

	"github.com/deviceops/deviceops"
)

// Trace puts a run onto the graph. Steps of the run that the graph has not are
// passed over. now is what open steps are measured by.
func (g *Graph) Trace(run deviceops.Run, now time.Time) {
	traces := map[string]*GraphTrace{}
	for _, row := range run.Steps {
		t := traces[row.StepID()]
		if t == nil {
			t = &GraphTrace{Last: row}
			traces[row.StepID()] = t
		}
		t.add(row)
	}
	trace(g.Blocks, traces)
	run.Steps = nil
	g.Run, g.now = &run, now
}

// add counts one more round. One that is going on stays in sight while others,
// beside it, end.
func (t *GraphTrace) add(row deviceops.RunStep) {
	t.Rounds++
	if row.Status == deviceops.RunFailed {
		t.Failed++
	}
	if t.Last.Status.Ended() || !row.Status.Ended() {
		t.Last = row
	}
}

func trace(blocks []GraphBlock, traces map[string]*GraphTrace) {
	for _, b := range blocks {
		for i := range b.Nodes {
			b.Nodes[i].Ran = traces[b.Nodes[i].Step]
			trace(b.Nodes[i].Blocks, traces)
		}
	}
}

// unreached is the status of a step to which a run has not come.
const unreached deviceops.RunStatus = "unreached"

// status is how a step is drawn; "" where no run is shown.
func (g *Graph) status(n GraphNode) deviceops.RunStatus {
	switch {
	case g.Run == nil:
		return ""
	case n.Ran == nil:
		return unreached
	default:
		return n.Ran.Last.Status
	}
}

// symbols show a status to those who see no colors.
var symbols = map[deviceops.RunStatus]string{
	deviceops.RunSucceeded: "✓", deviceops.RunFailed: "✗", deviceops.RunWaiting: "…", deviceops.RunRunning: "▸",
	deviceops.RunPending: "·", deviceops.RunCanceled: "⊘", deviceops.RunSkipped: "↷", unreached: "·",
}

// heading names the workflow.
func (g *Graph) heading() string {
	if g.Version == 0 {
		return g.Name
	}
	return sprintf("%s@%d", g.Name, g.Version)
}

// story tells what the run as a whole came to.
func (g *Graph) story() string {
	return g.outcome(g.Run.Status, g.Run.StartedAt, g.Run.FinishedAt)
}

func (g *Graph) outcome(status deviceops.RunStatus, from, to time.Time) string {
	switch {
	case from.IsZero() || status == deviceops.RunSkipped:
		return string(status)
	case status == deviceops.RunSucceeded:
		return sprintf("%s in %s", status, elapsed(to.Sub(from)))
	case status.Ended():
		return sprintf("%s after %s", status, elapsed(to.Sub(from)))
	default:
		return sprintf("%s for %s", status, elapsed(g.now.Sub(from)))
	}
}

// tell gives what a run made of a step, in sentences for one line each.
func (g *Graph) tell(n GraphNode) []string {
	if n.Ran == nil {
		return nil
	}
	last := n.Ran.Last
	facts := []string{g.outcome(last.Status, last.StartedAt, last.FinishedAt)}
	if by := last.DecidedBy(); by != "" {
		facts = append(facts, "decided by "+by)
	}
	if last.Attempts > 1 {
		facts = append(facts, sprintf("%d attempts", last.Attempts))
	}
	if n.Ran.Rounds > 1 {
		facts = append(facts, sprintf("%d rounds", n.Ran.Rounds))
	}
	if n.Ran.Failed > 1 || n.Ran.Failed == 1 && last.Status != deviceops.RunFailed {
		facts = append(facts, sprintf("%d failed", n.Ran.Failed))
	}
	lines := []string{strings.Join(facts, ", ")}
	if last.WaitsFor != "" {
		lines = append(lines, "waits for "+last.WaitsFor)
	}
	if last.Error != nil {
		lines = append(lines, sprintf("%s: %s", last.Error.Code, last.Error.Message))
	}
	return lines
}

// elapsed rounds a duration to what is worth reading.
func elapsed(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return FormatDuration(d.Round(time.Millisecond))
	case d < 10*time.Second:
		return sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return FormatDuration(d.Round(time.Second))
	default:
		return FormatDuration(d.Round(time.Minute))
	}
}
