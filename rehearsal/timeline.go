package rehearsal

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
)

// Timeline tells a case as it happened: what automations and people did, and how
// the steps of the runs ended.
func (r Result) Timeline() []Note {
	all := slices.Clone(r.Notes)
	for _, run := range r.Runs {
		for _, row := range run.Steps {
			all = append(all, stepNote(run, row, r.Start))
		}
	}
	slices.SortStableFunc(all, func(a, b Note) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.rank, b.rank)) })
	return all
}

func stepNote(run deviceops.Run, row deviceops.RunStep, start time.Time) Note {
	at := row.FinishedAt
	if at.IsZero() {
		at = row.StartedAt
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s  %s %s", run.ID, row.Step, row.Status)
	if row.Attempts > 1 {
		fmt.Fprintf(&text, " after %d tries", row.Attempts)
	}
	switch {
	case row.Error != nil:
		fmt.Fprintf(&text, ": %s: %s", row.Error.Code, row.Error.Message)
	case row.WaitsFor != "":
		fmt.Fprintf(&text, " for %s", row.WaitsFor)
	}
	return Note{At: at.Sub(start), Text: text.String(), rank: rankOfSteps}
}
