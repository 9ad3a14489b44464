package api

import (
	"context"
	"fmt"
	"strings"

	"github.com/deviceops/deviceops"
)

// mostWaits is for how many steps of a run it is looked up what they wait for.
const mostWaits = 20

// tellWaits adds to the waiting steps of an open run how far the device is and
// when the wait is over. What cannot be found is left out: the step itself says
// what it waits for.
func (c *core) tellWaits(ctx context.Context, run *deviceops.Run) {
	told := 0
	for i := range run.Steps {
		if run.Steps[i].Status != deviceops.RunWaiting || told == mostWaits {
			continue
		}
		told++
		switch step := &run.Steps[i]; step.Verb {
		case "command", "action":
			c.tellCommand(ctx, step)
		case "approve":
			c.tellApproval(ctx, run.ID, step)
		}
	}
}

func (c *core) tellCommand(ctx context.Context, step *deviceops.RunStep) {
	input, _ := step.Input.(map[string]any)
	id, _ := input["id"].(string)
	if id == "" {
		return
	}
	if command, err := c.Store.FindCommand(ctx, id); err == nil {
		step.Progress, step.Until = progress(command), command.ExpiresAt
	}
}

// progress says how far a command is: "accepted, installing, 40 %".
func progress(command deviceops.Command) string {
	parts := []string{string(command.Status)}
	if command.Phase != "" {
		parts = append(parts, command.Phase)
	}
	if command.Percent > 0 {
		parts = append(parts, fmt.Sprintf("%d %%", command.Percent))
	}
	return strings.Join(parts, ", ")
}

// tellApproval knows the first approval that a step asks for; one in a loop asks
// for others too, whose time is not told.
func (c *core) tellApproval(ctx context.Context, run string, step *deviceops.RunStep) {
	a, err := c.Store.FindApproval(ctx, run+"/"+step.Step)
	if err != nil || a.Status != deviceops.ApprovalOpen {
		return
	}
	step.Until = a.ExpiresAt
	if a.Needed() > 1 {
		step.Progress = fmt.Sprintf("%d of %d decided", len(a.Votes), a.Needed())
	}
}
