package rehearsal

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/workflows"
)

// Options say which cases are run, and how.
type Options struct {
	// Run selects the cases of whose TEST/NAME it is a part; "" means all.
	Run string

	// Now is the machine's clock, for telling how long cases took; nil: they
	// took no time.
	Now func() time.Time
}

// patienceOfMachine is how long a case may do nothing before it counts as stuck.
const patienceOfMachine = 10 * time.Second

// Ranks of notes.
const (
	rankOfSteps = iota + 1
	rankOfEnds
)

// Note is a line of a case's timeline that is not about a step.
type Note struct {
	At   time.Duration `json:"at"` // since the beginning of the case, in nanoseconds
	Text string        `json:"text"`
	rank int           // of notes of one moment the lower ones come first
}

// Result is how a case went. It passed when there are no differences.
type Result struct {
	Test        string          `json:"test"`
	Case        string          `json:"case"`
	File        string          `json:"file"`
	Line        int             `json:"line"`
	Differences dsl.Diagnostics `json:"differences"` // each at the expectation that is not met
	Runs        []deviceops.Run `json:"runs"`        // with their timelines, in the order of start
	Start       time.Time       `json:"start"`       // on the virtual clock
	Notes       []Note          `json:"notes"`       // what automations and people did
	Virtual     time.Duration   `json:"virtual"`     // from the beginning to the end, in nanoseconds
	Took        time.Duration   `json:"took"`        // on the machine, in nanoseconds
}

// Passed reports whether all that was expected came true.
func (r Result) Passed() bool { return len(r.Differences) == 0 }

// Report is how the cases of a suite went, in the order of the files.
type Report struct {
	Results  []Result   `json:"results"`
	Coverage []Coverage `json:"coverage"` // by workflow, in the order of their names
}

// Failed gives the number of cases that did not pass.
func (r Report) Failed() int {
	n := 0
	for _, result := range r.Results {
		if !result.Passed() {
			n++
		}
	}
	return n
}

// Run runs the cases of a suite that was loaded without errors.
func (s *Suite) Run(o Options) Report {
	report := Report{Results: []Result{}}
	covered := coverage{}
	for _, t := range s.tests {
		for i := range t.Cases {
			if strings.Contains(t.Name+"/"+t.Cases[i].Name, o.Run) {
				report.Results = append(report.Results, s.timed(t, &t.Cases[i], covered, o.Now))
			}
		}
	}
	report.Coverage = s.coverage(covered)
	return report
}

func (s *Suite) timed(t *dsl.Test, c *dsl.TestCase, covered coverage, now func() time.Time) Result {
	if now == nil {
		return s.runCase(t, c, covered)
	}
	begin := now()
	result := s.runCase(t, c, covered)
	result.Took = now().Sub(begin)
	return result
}

// runCase plays one case and judges it.
func (s *Suite) runCase(t *dsl.Test, c *dsl.TestCase, covered coverage) Result {
	w := newWorld(s, c)
	w.play(s.subjects[t])
	result := Result{
		Test: t.Name, Case: c.Name, File: c.File, Line: c.Line, Start: w.start,
		Differences: append(dsl.Diagnostics{}, w.found...), Notes: w.notes, Virtual: w.now.Sub(w.start),
	}
	for _, e := range c.Expect {
		result.Differences = append(result.Differences, w.judge(e)...)
	}
	for _, r := range w.runs {
		result.Runs = append(result.Runs, *r)
		covered.add(s.workflow(r.Workflow, r.Version), r.Steps)
	}
	return result
}

// driverType is no name that a definition may have.
const driverType = "Rehearsal"

// play runs the workflow of the driver in an environment of its own.
func (w *world) play(about subject) {
	defer func() {
		if stuck := recover(); stuck != nil {
			w.fault(w.story.Place, "give the wait of the step an end", "the case does not come to an end: %s", firstLine(stuck))
		}
	}()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(silence{})
	env := suite.NewTestWorkflowEnvironment()
	env.SetStartTime(w.start)
	env.SetTestTimeout(patienceOfMachine)
	env.SetDetachedChildWait(false)
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{&stage{world: w}}})
	workflows.Register(env)
	d := w.driver(about)
	env.RegisterWorkflowWithOptions(d.run, workflow.RegisterOptions{Name: driverType})
	staff := &people{w, env, map[int]bool{}}
	staff.arrange()
	defer staff.leave()
	if w.story.Cancel != nil {
		env.RegisterDelayedCallback(d.cancelAll, *w.story.Cancel)
	}
	env.ExecuteWorkflow(driverType)
	if err := env.GetWorkflowError(); err != nil {
		w.fault(w.story.Place, "", "the case broke off: %s", err)
	}
}

func firstLine(v any) string {
	line, _, _ := strings.Cut(fmt.Sprint(v), ", workflow stack")
	line, _, _ = strings.Cut(line, "\n")
	return line
}

// silence drops the log of the test environment.
type silence struct{}

// Debug implements log.Logger.
func (silence) Debug(string, ...any) {}

// Info implements log.Logger.
func (silence) Info(string, ...any) {}

// Warn implements log.Logger.
func (silence) Warn(string, ...any) {}

// Error implements log.Logger.
func (silence) Error(string, ...any) {}
