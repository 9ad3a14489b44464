package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

const (
	// storeTimeout is how long one call of the store may take, and storePatience
	// how long a workflow bears with a store that is out of reach.
	storeTimeout  = 10 * time.Second
	storePatience = 24 * time.Hour

	// shortestLease and longestLease bound how long an activity that waits for
	// a device stays away before it looks at the command's row again. That is
	// what a lost notification costs.
	shortestLease = 20 * time.Second
	longestLease  = 2 * time.Minute

	// silence is how long an activity may give no sign of life that gives one each
	// HeartbeatEvery: its worker is dead then. Temporal may be busy for longer than
	// it takes to miss one.
	silence = 3 * HeartbeatEvery
)

// HeartbeatEvery is how often workers tell Temporal that they are at activities
// that take long.
const HeartbeatEvery = 2 * time.Second

// local executes an activity that only touches the store inside the present
// workflow task.
func local(ctx workflow.Context, name string, in, out any) error {
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout:    storeTimeout,
		ScheduleToCloseTimeout: storePatience,
		RetryPolicy:            untilItIsBack(),
	})
	return workflow.ExecuteLocalActivity(ctx, name, in).Get(ctx, out)
}

// untilItIsBack says how often a store that is out of reach is tried. A pause
// longer than a workflow task becomes a timer: hours cost a few events each half
// minute, not each second.
func untilItIsBack() *temporal.RetryPolicy {
	return &temporal.RetryPolicy{InitialInterval: 200 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 30 * time.Second}
}

// remote executes an activity, with re-tries by Temporal within timeout.
func remote(ctx workflow.Context, name string, timeout time.Duration, in, out any) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout:    min(30*time.Second, timeout),
		ScheduleToCloseTimeout: timeout,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 500 * time.Millisecond, BackoffCoefficient: 1.5, MaximumInterval: 15 * time.Second},
	})
	return workflow.ExecuteActivity(ctx, name, in).Get(ctx, out)
}

// leased gives the options of an activity that waits for a device: Temporal runs
// it again each time its lease has passed, until timeout.
func leased(id string, timeout time.Duration) workflow.ActivityOptions {
	lease := min(max(timeout/180, shortestLease), longestLease)
	return workflow.ActivityOptions{
		ActivityID:             id,
		StartToCloseTimeout:    min(lease, timeout),
		ScheduleToCloseTimeout: timeout,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 1, MaximumInterval: time.Second},
	}
}
