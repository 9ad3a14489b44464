package activities

import (
	"context"
	"encoding/json"

	"go.temporal.io/sdk/activity"

	"github.com/deviceops/deviceops"
)

const (
	// maxFetched is how much of stored outputs the arguments of one step may
	// have, in bytes.
	maxFetched = 2 * deviceops.MaxOutput
	// maxEmitted is how much of them an event may have: as much as a device could
	// have said.
	maxEmitted = 128 << 10
)

// keep gives an output with its large parts stored beside the run. The codes are
// those of deviceops.Slim.
func (d Deps) keep(ctx context.Context, run string, output any) (any, error) {
	slim, parts, err := deviceops.Slim(output, deviceops.OutputRef)
	if err != nil || len(parts) == 0 {
		return slim, err
	}
	for i := range parts {
		parts[i].Run = run
	}
	return slim, d.Store.SaveOutputs(ctx, parts)
}

// KeepInput is an output that a run has put together from what its steps gave.
type KeepInput struct {
	Run    string         `json:"run"`
	Output map[string]any `json:"output"`
}

// Keep gives the output with its large parts stored, those of the run's steps
// included, which are stored already.
func (a *Runs) Keep(ctx context.Context, in KeepInput) (ActionOutput, error) {
	slim, parts, err := deviceops.SlimOwn(in.Output, deviceops.OutputRef)
	if err != nil {
		return ActionOutput{}, Failure(err)
	}
	for i := range parts {
		parts[i].Run = in.Run
	}
	return ActionOutput{Output: slim}, Failure(a.deps.Store.SaveOutputs(ctx, parts))
}

// atOnce gives as many of the first events as one look may give, by their size.
func atOnce(events []deviceops.Event) []deviceops.Event {
	size := 0
	for i, e := range events {
		data, _ := json.Marshal(e.Data)
		if size += min(len(data), deviceops.MaxInlineOutput); size > deviceops.MaxInlineOutput && i > 0 {
			return events[:i]
		}
	}
	return events
}

// slimEvents stores what is large in the data of events beside the run that
// watches them. Events that pretend to refer to stored outputs are left out: no
// run can read them.
func (a *Runs) slimEvents(ctx context.Context, events []deviceops.Event) (slim []deviceops.Event, err error) {
	run := activity.GetInfo(ctx).WorkflowExecution.ID
	for _, e := range events {
		if len(e.Data) > 0 {
			data, err := a.deps.keep(ctx, run, e.Data)
			if deviceops.ErrorCode(err) == deviceops.EINVALID {
				continue
			}
			if err != nil {
				return nil, err
			}
			e.Data, _ = data.(map[string]any)
		}
		slim = append(slim, e)
	}
	return slim, nil
}
