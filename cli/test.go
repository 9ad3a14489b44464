package cli

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/rehearsal"
)

// testRun is one call of the command test.
type testRun struct {
	*app
	format string
	cover  bool
	trace  bool
	run    string
}

// testFormats write the outcome of tests.
var testFormats = map[string]func(t *testRun, r rehearsal.Report) error{
	outputTable: (*testRun).table,
	outputJSON:  func(t *testRun, r rehearsal.Report) error { return writeJSON(t.Out, r) },
	"junit":     func(t *testRun, r rehearsal.Report) error { return writeJUnit(t.Out, r) },
}

func (a *app) testCommand() *cobra.Command {
	t := &testRun{app: a}
	cmd := &cobra.Command{
		Use: "test FILE...", Short: "Rehearse test documents offline, on a virtual clock", Args: args(1, 10_000),
		Long: `Runs the cases of all test documents in files, directories and patterns: events
come, devices and people answer as the case says, and what happens is compared
with what it expects. Nothing leaves this machine, and hours take milliseconds.

Give the files of what is tested too. Exits with 1 when a case fails.`,
		Example: `  deviceops test fleet/
  deviceops test 'fleet/*.yaml' --run low-battery --trace
  deviceops test fleet/ --cover
  deviceops test fleet/ --format junit > report.xml`,
		RunE: func(_ *cobra.Command, args []string) error { return t.execute(args) },
	}
	cmd.Flags().StringVar(&t.format, "format", outputTable, "table, junit or json")
	cmd.Flags().BoolVar(&t.cover, "cover", false, "show which steps and branches no case went through")
	cmd.Flags().BoolVar(&t.trace, "trace", false, "show what happened in cases that passed, too")
	cmd.Flags().StringVar(&t.run, "run", "", "run only the cases of whose TEST/NAME this is a part")
	return cmd
}

func (t *testRun) execute(args []string) error {
	if t.output == outputJSON {
		t.format = outputJSON
	}
	write := testFormats[t.format]
	if write == nil {
		return Usage(fmt.Errorf("--format %s: use table, junit or json", t.format))
	}
	files, err := t.sources(args)
	if err != nil {
		return err
	}
	suite, found := rehearsal.Load(files, t.Actions)
	if found.HasErrors() {
		if err := dsl.WriteText(t.Out, found); err != nil {
			return err
		}
		return failed("%s; nothing was run", countErrors(found, len(files)))
	}
	if tests, _ := suite.Tests(); tests == 0 {
		return failed("there is no test in these files: a test document begins with test: NAME")
	}
	report := suite.Run(rehearsal.Options{Run: t.run, Now: t.Now})
	if len(report.Results) == 0 {
		return failed("no case has %q in its TEST/NAME", t.run)
	}
	if err := write(t, report); err != nil {
		return err
	}
	return t.verdict(report)
}

// verdict ends the command.
func (t *testRun) verdict(r rehearsal.Report) error {
	if n := r.Failed(); n > 0 {
		return failed("%d of %s failed", n, counted(len(r.Results), "case"))
	}
	var virtual, took time.Duration
	for _, result := range r.Results {
		virtual += result.Virtual
		took += result.Took
	}
	t.note("%s passed: %s of virtual time in %s", counted(len(r.Results), "case"), dsl.FormatDuration(virtual.Truncate(time.Second)), took.Round(time.Millisecond))
	return nil
}

// table writes the outcome for people: a line for each case, then what went wrong
// in those that failed.
func (t *testRun) table(r rehearsal.Report) error {
	w := t.screen()
	rows := make([][]string, len(r.Results))
	for i, result := range r.Results {
		rows[i] = []string{outcome(result), result.Test, cut(result.Case, 70), strconv.Itoa(len(result.Runs)), dsl.FormatDuration(result.Virtual.Truncate(time.Second))}
	}
	w.table([]string{"RESULT", "TEST", "CASE", "RUNS", "TIME"}, rows)
	for _, result := range r.Results {
		if !result.Passed() || t.trace {
			w.testCase(result)
		}
	}
	if t.cover {
		w.coverage(r.Coverage)
	}
	_, err := io.WriteString(t.Out, w.String())
	return err
}

func outcome(r rehearsal.Result) string {
	if r.Passed() {
		return "ok"
	}
	return "failed"
}

// testCase tells one case: each difference at its expectation, then what happened.
func (w *screen) testCase(r rehearsal.Result) {
	w.line("\n%s: %s", r.Test, r.Case)
	for _, d := range r.Differences {
		w.line("\n%s", indent(d.String(), "  "))
	}
	w.line("\n  what happened:")
	for _, note := range r.Timeline() {
		w.line("    %-9s  %s", dsl.FormatDuration(note.At.Truncate(time.Millisecond)), note.Text)
	}
}

// coverage shows how much of each workflow was run, and the lines that were not.
func (w *screen) coverage(all []rehearsal.Coverage) {
	rows := make([][]string, len(all))
	for i, c := range all {
		rows[i] = []string{
			fmt.Sprintf("%s@%d", c.Workflow, c.Version), fraction(c.StepsRun(), c.Steps), fraction(c.BranchesTaken(), c.Branches), c.File,
		}
	}
	w.line("")
	w.table([]string{"WORKFLOW", "STEPS", "BRANCHES", "FILE"}, rows)
	for _, c := range all {
		for _, missed := range c.Missed {
			w.line("\n%s:%d: %s: %s\n  %d | %s", c.File, missed.Line, missed.Step, missed.What, missed.Line, missed.Snippet)
		}
	}
}

func fraction(part, whole int) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%d/%d %3d %%", part, whole, 100*part/whole)
}
