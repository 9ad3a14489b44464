package bench

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"golang.org/x/sync/errgroup"
)

const yardstickQueue = "bench-yardstick"

// empty is an activity that does nothing.
func empty(context.Context) error { return nil }

// threeActivities is the yardstick: the least that a workflow of three steps
// costs on this server.
func threeActivities(ctx workflow.Context) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute})
	for range 3 {
		if err := workflow.ExecuteActivity(ctx, empty).Get(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

// measureThreeActivities runs n workflows of three empty activities, all
// started as fast as the server takes them, and gives the time from the first
// start to the last end. The worker runs in this process, as the product's does.
func measureThreeActivities(ctx context.Context, c client.Client, n int) (time.Duration, error) {
	w := worker.New(c, yardstickQueue, worker.Options{})
	w.RegisterWorkflow(threeActivities)
	w.RegisterActivity(empty)
	if err := w.Start(); err != nil {
		return 0, fmt.Errorf("start the yardstick's worker: %w", err)
	}
	defer w.Stop()

	began := time.Now()
	runs := make([]client.WorkflowRun, n)
	group, starting := errgroup.WithContext(ctx)
	group.SetLimit(64)
	for i := range runs {
		group.Go(func() (err error) {
			options := client.StartWorkflowOptions{ID: fmt.Sprintf("yardstick/%d", i), TaskQueue: yardstickQueue}
			runs[i], err = c.ExecuteWorkflow(starting, options, threeActivities)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, fmt.Errorf("start the yardstick's workflows: %w", err)
	}
	for _, run := range runs {
		if err := run.Get(ctx, nil); err != nil {
			return 0, fmt.Errorf("yardstick: %w", err)
		}
	}
	return time.Since(began), nil
}
