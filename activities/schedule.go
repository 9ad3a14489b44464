package activities

import (
	"context"
	"time"

	"github.com/deviceops/deviceops"
)

// FireInput says that a time of the schedule of an automation has come.
type FireInput struct {
	Automation deviceops.AutomationRef `json:"automation"`
	At         time.Time               `json:"at"`
}

// Schedules lets automations hear times.
type Schedules struct{ deps Deps }

// Fire lets an automation hear a time, once for each. Of one that is no longer
// published, or is disabled, nobody wants to hear any more.
func (a *Schedules) Fire(ctx context.Context, in FireInput) error {
	if a.deps.Automations == nil {
		return Failure(deviceops.Errorf(deviceops.EUNAVAILABLE, "this worker knows no automations"))
	}
	err := a.deps.Automations.Fire(ctx, in.Automation, in.At)
	switch deviceops.ErrorCode(err) {
	case deviceops.ENOTFOUND, deviceops.ECONFLICT:
		return nil
	}
	return Failure(err)
}
