package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

func (a *app) runsShow() *cobra.Command {
	var graph graphFlag
	cmd := &cobra.Command{
		Use: "show RUN", Short: "Show a run with its steps", Args: args(1, 1),
		Long: `Shows when each step began, how long it took, what went in and came out, who
decided and what went wrong, while the run goes on and ever after. Long values
are cut; -o json shows all of them.

--graph draws the workflow with what ran of it.`,
		Example: "  deviceops runs show run-0a1b2c\n  deviceops runs show run-0a1b2c --graph=svg > run.svg",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			if graph != "" {
				return a.draw(graph, func(format string) (string, error) { return c.RunGraph(ctx, args[0], format) })
			}
			run, err := c.Run(ctx, args[0])
			if err != nil {
				return err
			}
			return a.show(run, func(w *screen) { w.run(run) })
		}),
	}
	graph.add(cmd)
	return cmd
}

// graphFlag is the flag --graph: "" for none, text or svg.
type graphFlag string

func (g *graphFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar((*string)(g), "graph", "", "draw it, as text (the default) or as svg")
	cmd.Flags().Lookup("graph").NoOptDefVal = "text"
}

// draw writes the picture that get gives in the form of the flag.
func (a *app) draw(form graphFlag, get func(format string) (string, error)) error {
	if form != "text" && form != "svg" {
		return Usage(fmt.Errorf("--graph=%s: use text or svg", form))
	}
	picture, err := get(string(form))
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(a.Out, picture)
	return err
}

func (w *screen) run(r deviceops.Run) {
	w.fields(
		"run", r.ID, "workflow", workflowOf(r), "status", string(r.Status), "paused", w.paused(r.Paused), "device", r.Device, "account", r.Account,
		"by", r.StartedBy, "reason", r.Reason, "rerun of", rerunOf(r), "inputs", compact(r.Inputs),
		"started", w.when(r.StartedAt), "took", w.took(r.StartedAt, r.FinishedAt), "outputs", compact(r.Outputs), "failure", runError(r.Error),
	)
	if len(r.Steps) > 0 {
		w.line("")
		w.steps(r.Steps)
	}
}

// steps writes the timeline: a row for each step, and below it what it was
// about.
func (w *screen) steps(steps []deviceops.RunStep) {
	rows := make([][]string, len(steps))
	for i, s := range steps {
		rows[i] = []string{clock(s.StartedAt), s.Step, s.Verb, stepStatus(s), tries(s), w.took(s.StartedAt, s.FinishedAt)}
	}
	table := screen{colors: w.colors, now: w.now}
	table.table([]string{"UTC", "STEP", "VERB", "STATUS", "TRIES", "TOOK"}, rows)
	lines := strings.SplitAfter(table.String(), "\n")
	w.WriteString(lines[0])
	for i, s := range steps {
		w.WriteString(lines[i+1])
		w.details(s)
	}
}

// stepStatus is the status of a step; that of one that was executed in another
// run says so.
func stepStatus(s deviceops.RunStep) string {
	if s.Copied {
		return string(s.Status) + ", copied"
	}
	return string(s.Status)
}

// rerunOf says with what a run goes on, and where it begins; "" for any other
// run.
func rerunOf(r deviceops.Run) string {
	o := r.RerunOf
	if o == nil {
		return ""
	}
	text := o.Run + ", from step " + o.Step
	if o.Because != "" {
		text += ", since " + o.Because
	}
	return text
}

// clock shows a point in time; "-" for none.
func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateTime)
}

func tries(s deviceops.RunStep) string {
	if s.Attempts == 0 {
		return "-"
	}
	return fmt.Sprint(s.Attempts)
}

// detailWidth is how much of a value is shown, in characters.
const detailWidth = 100

// details writes what there is to say about a step, each on a line.
func (w *screen) details(s deviceops.RunStep) {
	for _, d := range []struct{ name, text string }{
		{"in", compact(s.Input)}, {"out", compact(s.Output)}, {"set", compact(s.Vars)}, {"decided by", s.DecidedBy()}, {"waits for", w.waits(s)}, {"failure", runError(s.Error)},
	} {
		if d.text != "" {
			w.line("%21s%-10s  %s", "", d.name, cut(d.text, detailWidth))
		}
	}
}

// waits says what a step waits for, how far that is and when it is over; "" if
// it does not wait.
func (w *screen) waits(s deviceops.RunStep) string {
	if s.WaitsFor == "" {
		return ""
	}
	parts := []string{s.WaitsFor}
	if s.Progress != "" {
		parts = append(parts, s.Progress)
	}
	if !s.Until.IsZero() {
		parts = append(parts, "until "+clock(s.Until)+", "+w.when(s.Until))
	}
	return strings.Join(parts, "; ")
}

// stepNote says the most telling thing about a step.
func (w *screen) stepNote(s deviceops.RunStep) string {
	switch by := s.DecidedBy(); {
	case s.Error != nil:
		return runError(s.Error)
	case s.WaitsFor != "":
		return "waits for " + w.waits(s)
	case by != "":
		return "decided by " + by
	default:
		return compact(s.Output)
	}
}

// paused says since when a run is paused, by whom and why; "" if it is not.
func (w *screen) paused(p *deviceops.RunPause) string {
	if p == nil {
		return ""
	}
	text := fmt.Sprintf("since %s, %s, by %s", clock(p.Since), w.when(p.Since), p.By)
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}

func (w *screen) pauseNote(p *deviceops.RunPause) string {
	if p == nil {
		return "the run goes on"
	}
	return w.paint(string(deviceops.RunPaused)) + " " + w.paused(p)
}

// seenStep is what of a step has been shown.
type seenStep struct {
	status   deviceops.RunStatus
	attempts int
	waits    string
	progress string
	until    time.Time
}

// seenRun is what of a run has been shown.
type seenRun struct {
	steps  map[int]seenStep
	paused bool
}

// news shows what changed since seen.
func (w *screen) news(r deviceops.Run, seen *seenRun) {
	if paused := r.Paused != nil; paused != seen.paused && !r.Status.Ended() {
		seen.paused = paused
		w.line("%s  %s", w.now.Format("15:04:05"), w.pauseNote(r.Paused))
	}
	for _, s := range r.Steps {
		state := seenStep{s.Status, s.Attempts, s.WaitsFor, s.Progress, s.Until}
		if before, ok := seen.steps[s.Index]; ok && before == state {
			continue
		}
		seen.steps[s.Index] = state
		name := s.Step
		if s.Attempts > 1 {
			name += fmt.Sprintf(" #%d", s.Attempts)
		}
		w.line("%s", strings.TrimRight(fmt.Sprintf("%s  %-20s  %s  %s", w.now.Format("15:04:05"), name, w.paint(stepStatus(s)), cut(w.stepNote(s), detailWidth)), " "))
	}
}

func (w *screen) runEnd(r deviceops.Run) {
	w.line("%s %s after %s", workflowOf(r), w.paint(string(r.Status)), w.took(r.StartedAt, r.FinishedAt))
	if outputs := compact(r.Outputs); outputs != "" {
		w.line("outputs  %s", outputs)
	}
}
