package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops/activities"
)

// scheduledAt is where Temporal says for which time of a schedule it started a
// workflow.
var scheduledAt = temporal.NewSearchAttributeKeyTime("TemporalScheduledStartTime")

// How often it is tried to let a time be heard, and how long one try may take.
// There is no end to it: what comes too late is for the activity to see.
const (
	fireTimeout    = 30 * time.Second
	fireRetryAfter = time.Second
	fireRetryMost  = 30 * time.Second
)

// trigger lets an automation hear that a time of its schedule has come.
func trigger(ctx workflow.Context, in TriggerInput) error {
	at, ok := workflow.GetTypedSearchAttributes(ctx).GetTime(scheduledAt)
	if !ok { // somebody started it by hand
		at = workflow.Now(ctx)
	}
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: fireTimeout,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: fireRetryAfter, BackoffCoefficient: 2, MaximumInterval: fireRetryMost},
	})
	return workflow.ExecuteActivity(ctx, activities.NameFireSchedule, activities.FireInput{Automation: in.Automation, At: at}).Get(ctx, nil)
}
