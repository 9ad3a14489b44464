package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// keep gives the outputs of a run such that they fit into histories: its own and
// that of the run that started it. What is large in them is stored by a local
// activity, whose arguments are in no history.
func (x *execution) keep(ctx workflow.Context, outputs map[string]any) (map[string]any, error) {
	if x.state.Engine < 2 || fits(outputs, deviceops.MaxInlineOutput) {
		return outputs, nil
	}
	var kept activities.ActionOutput
	if err := local(ctx, activities.NameKeepOutput, activities.KeepInput{Run: x.run.ID, Output: outputs}, &kept); err != nil {
		return nil, activities.DomainError(err)
	}
	slim, _ := kept.Output.(map[string]any)
	return slim, nil
}

// heavy reports whether rows of the timeline are too large to ride with an
// activity, whose arguments are history. A foreach may have collected much.
func heavy(rows []deviceops.RunStep) bool {
	left := deviceops.MaxInlineOutput
	for i := range rows {
		if left = spend(rows[i].Vars, spend(rows[i].Input, spend(rows[i].Output, left))); left < 0 {
			return true
		}
	}
	return false
}

// fits reports whether a canonical value is, roughly, of so many bytes at most.
func fits(v any, limit int) bool { return spend(v, limit) >= 0 }

// spend gives what is left of a number of bytes after a value; it stops to count
// when there are none. Which field is counted first is of no consequence.
//
//workflowcheck:ignore
func spend(v any, left int) int {
	switch v := v.(type) {
	case string:
		left -= len(v) + 2
	case map[string]any:
		for name, item := range v {
			if left = spend(item, left-len(name)-4); left < 0 {
				break
			}
		}
	case []any:
		for _, item := range v {
			if left = spend(item, left-1); left < 0 {
				break
			}
		}
	default:
		left -= 8
	}
	return left
}
