package rehearsal

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// judge compares one expectation with what came about.
func (w *world) judge(e dsl.Expectation) dsl.Diagnostics {
	switch e.Kind {
	case dsl.ExpectRuns:
		return differs(e, e.Want, len(w.roots), "%s", plural(len(w.roots), "run was started", "runs were started"))
	case dsl.ExpectStarts:
		return w.judgeStarts(e)
	case dsl.ExpectCalls:
		return differs(e, e.Want, w.calls[e.Name], "%s was %s", e.Name, called(w.calls[e.Name]))
	case dsl.ExpectTickets:
		opened := w.desk.opened
		return differs(e, e.Want, opened, "%s", plural(opened, "ticket was opened", "tickets were opened"))
	case dsl.ExpectStorms:
		return differs(e, e.Want, w.desk.storms(), "%s", plural(w.desk.storms(), "storm began", "storms began"))
	case dsl.ExpectDevices:
		return w.judgeDevice(e)
	}
	return w.judgeRuns(e)
}

// differs gives a difference unless want equals got.
func differs(e dsl.Expectation, want, got any, format string, args ...any) dsl.Diagnostics {
	if dsl.Format(dsl.Canonical(want)) == dsl.Format(dsl.Canonical(got)) && sameKind(want, got) {
		return nil
	}
	d := e.Diagnostic("expectation", "", "expected %s: %s", label(e), fmt.Sprintf(format, args...))
	return dsl.Diagnostics{d}
}

// sameKind tells the text "5" from the number 5.
func sameKind(want, got any) bool {
	_, wantText := want.(string)
	_, gotText := got.(string)
	return wantText == gotText
}

// label says what was expected: "calls of reboot 2".
func label(e dsl.Expectation) string {
	name := e.Kind
	if e.Name != "" {
		name += "." + e.Name
	}
	if e.Kind == dsl.ExpectTook {
		return name + " " + span(e.Want.([2]time.Duration))
	}
	return name + " " + show(e.Want)
}

func show(v any) string {
	switch v := v.(type) {
	case []string:
		return "[" + strings.Join(v, ", ") + "]"
	case []time.Duration:
		texts := make([]string, len(v))
		for i, d := range v {
			texts[i] = dsl.FormatDuration(d)
		}
		return "[" + strings.Join(texts, ", ") + "]"
	case nil:
		return "nothing"
	}
	return dsl.Format(dsl.Canonical(v))
}

func span(bounds [2]time.Duration) string {
	low, high := dsl.FormatDuration(bounds[0]), dsl.FormatDuration(bounds[1])
	switch {
	case bounds[0] == bounds[1]:
		return low
	case bounds[1] == dsl.MaxDuration:
		return low + " or more"
	case bounds[0] == 0:
		return "at most " + high
	}
	return low + ".." + high
}

func called(n int) string {
	switch n {
	case 0:
		return "never called"
	case 1:
		return "called once"
	}
	return fmt.Sprintf("called %d times", n)
}

func plural(n int, one, many string) string {
	switch n {
	case 0:
		return "no " + one
	case 1:
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func (w *world) judgeStarts(e dsl.Expectation) dsl.Diagnostics {
	got := []time.Duration{}
	for _, id := range w.roots {
		got = append(got, w.byID[id].StartedAt.Sub(w.start))
	}
	if slices.Equal(e.Want.([]time.Duration), got) {
		return nil
	}
	return dsl.Diagnostics{e.Diagnostic("expectation", "", "expected %s: runs were started at %s", label(e), show(got))}
}

func (w *world) judgeDevice(e dsl.Expectation) dsl.Diagnostics {
	d := w.devices[e.Name]
	if d == nil {
		return dsl.Diagnostics{e.Diagnostic("expectation", "", "expected %s: there is no device %s in this case", label(e), e.Name)}
	}
	return differs(e, e.Want, string(d.State), "it is %s", d.State)
}

// judgeRuns compares an expectation with the run that it is about, or with each.
func (w *world) judgeRuns(e dsl.Expectation) dsl.Diagnostics {
	if e.Run > len(w.roots) {
		return nil // the number of runs is reported
	}
	if len(w.roots) == 0 {
		return dsl.Diagnostics{e.Diagnostic("expectation", "", "expected %s: no run was started", label(e))}
	}
	for i, id := range w.roots {
		if e.Run != 0 && e.Run != i+1 {
			continue
		}
		which := ""
		if len(w.roots) > 1 {
			which = " in " + id
		}
		if found := w.judgeRun(e, w.byID[id], which); found != nil {
			return found
		}
	}
	return nil
}

func (w *world) judgeRun(e dsl.Expectation, r *deviceops.Run, which string) dsl.Diagnostics {
	switch e.Kind {
	case dsl.ExpectStatus:
		return differs(e, e.Want, string(r.Status), "it is %s%s%s", r.Status, which, because(r))
	case dsl.ExpectRan:
		got := w.ran(r)
		if slices.Equal(e.Want.([]string), got) {
			return nil
		}
		return dsl.Diagnostics{e.Diagnostic("expectation", "", "expected %s: %s ran%s%s", label(e), show(got), which, because(r))}
	case dsl.ExpectSteps:
		got := statusOf(r, e.Name)
		return differs(e, e.Want, got, "it is %s%s", got, which)
	case dsl.ExpectOutputs:
		got := r.Outputs[e.Name]
		return differs(e, e.Want, got, "it is %s%s%s", show(got), which, because(r))
	case dsl.ExpectError:
		return judgeError(e, r, which)
	}
	return w.judgeTook(e, r, which)
}

// because tells why a run failed or what it waits for.
func because(r *deviceops.Run) string {
	if r.Error != nil {
		return fmt.Sprintf(" (%s: %s)", r.Error.Code, r.Error.Message)
	}
	for _, row := range slices.Backward(r.Steps) {
		if row.WaitsFor != "" {
			return fmt.Sprintf(" (%s waits for %s)", row.Step, row.WaitsFor)
		}
	}
	return ""
}

// ran gives the steps with ids that were begun, in the order of their first
// start.
func (w *world) ran(r *deviceops.Run) []string {
	got := []string{}
	d := w.suite.workflow(r.Workflow, r.Version)
	for _, row := range r.Steps {
		step, ok := d.Step(row.StepID())
		if ok && step.Named && row.Status != deviceops.RunSkipped && !slices.Contains(got, row.StepID()) {
			got = append(got, row.StepID())
		}
	}
	return got
}

// statusOf gives the last status of a step; skipped also when it was not reached.
func statusOf(r *deviceops.Run, step string) string {
	status := deviceops.RunSkipped
	for _, row := range r.Steps {
		if row.StepID() == step {
			status = row.Status
		}
	}
	return string(status)
}

func judgeError(e dsl.Expectation, r *deviceops.Run, which string) dsl.Diagnostics {
	if r.Error == nil {
		return dsl.Diagnostics{e.Diagnostic("expectation", "", "expected %s: there is no error, the run is %s%s", label(e), r.Status, which)}
	}
	want := e.Want.(string)
	switch e.Name {
	case "message":
		if strings.Contains(r.Error.Message, want) {
			return nil
		}
		return dsl.Diagnostics{e.Diagnostic("expectation", "", "expected %s: it is %q%s", label(e), r.Error.Message, which)}
	case "step":
		return differs(e, want, r.Error.Step, "it is %s%s", r.Error.Step, which)
	}
	return differs(e, want, r.Error.Code, "it is %s%s (%s)", r.Error.Code, which, r.Error.Message)
}

func (w *world) judgeTook(e dsl.Expectation, r *deviceops.Run, which string) dsl.Diagnostics {
	if r.FinishedAt.IsZero() {
		return dsl.Diagnostics{e.Diagnostic("expectation", "", "expected %s: it has not ended%s%s", label(e), which, because(r))}
	}
	took, bounds := r.FinishedAt.Sub(r.StartedAt), e.Want.([2]time.Duration)
	if took >= bounds[0] && took <= bounds[1] {
		return nil
	}
	return dsl.Diagnostics{e.Diagnostic("expectation", "", "expected %s: it took %s%s", label(e), dsl.FormatDuration(took), which)}
}
