package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// How often a ticket is looked at when nobody says that something happened, and
// how many looks one execution takes.
const (
	soonestLook    = 15 * time.Second
	latestLook     = 5 * time.Minute
	ticketLooks    = 500
	syncTimeout    = 2 * time.Minute // one pass: a few requests
	syncRetryAfter = 5 * time.Second
	syncRetryMost  = 5 * time.Minute
)

// ticketSync keeps one ticket in step until it is closed here and there: at once
// when somebody says that it changed, and every now and then. A system that is
// away costs no history, since Temporal repeats the activity.
func ticketSync(ctx workflow.Context, in deviceops.TicketSyncInput) error {
	looks := in.Looks
	if looks == 0 {
		looks = ticketLooks
	}
	changed := workflow.GetSignalChannel(ctx, deviceops.TicketNudge)
	wait := soonestLook
	for range looks {
		drained(changed) // the pass sees what they tell of
		var out activities.TicketOutput
		if err := workflow.ExecuteActivity(syncOptions(ctx), activities.NameSyncTicket, activities.TicketInput{Ticket: in.Ticket}).Get(ctx, &out); err != nil {
			return err
		}
		if drained(changed) {
			wait = soonestLook
			continue
		}
		if out.Ended {
			return nil
		}
		if heard, _ := changed.ReceiveWithTimeout(ctx, wait, nil); heard {
			wait = soonestLook
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		wait = min(wait*2, latestLook)
	}
	return workflow.NewContinueAsNewError(ctx, deviceops.TicketWorkflow, in)
}

// drained takes all signals that came and tells whether there were any.
func drained(c workflow.ReceiveChannel) bool {
	any := false
	for c.ReceiveAsync(nil) {
		any = true
	}
	return any
}

// syncOptions let a pass be tried for as long as it takes: the ticket is open, and
// the pass itself says how long to wait.
func syncOptions(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: syncTimeout,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: syncRetryAfter, BackoffCoefficient: 2, MaximumInterval: syncRetryMost},
	})
}
