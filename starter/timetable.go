package starter

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/deviceops/deviceops"
)

// notePrefix begins the notes that timetables have in Temporal: it is followed by
// the digest of what was asked for.
const notePrefix = "deviceops "

// Schedule implements deviceops.Orchestrator.
func (s *Starter) Schedule(ctx context.Context, t deviceops.Timetable) error {
	ctx, cancel := bounded(ctx, callTimeout)
	defer cancel()
	schedule := s.schedule(t)
	_, err := s.client.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: t.ID, Spec: *schedule.Spec, Action: schedule.Action, Overlap: schedule.Policy.Overlap, CatchupWindow: schedule.Policy.CatchupWindow,
		Paused: schedule.State.Paused, Note: schedule.State.Note,
	})
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return domain(err)
	}
	return domain(s.client.ScheduleClient().GetHandle(ctx, t.ID).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			return &client.ScheduleUpdate{Schedule: schedule}, nil
		},
	}))
}

// schedule gives a timetable as Temporal wants it. Times wait for one another, so
// that they are heard in order.
func (s *Starter) schedule(t deviceops.Timetable) *client.Schedule {
	return &client.Schedule{
		Spec:   new(spec(t.Times)),
		Action: &client.ScheduleWorkflowAction{ID: t.Start.WorkflowID, Workflow: t.Start.Type, Args: []any{t.Start.Input}, TaskQueue: s.taskQueue},
		Policy: &client.SchedulePolicies{Overlap: enums.SCHEDULE_OVERLAP_POLICY_BUFFER_ALL, CatchupWindow: t.Times.Reach()},
		State:  &client.ScheduleState{Paused: t.Paused, Note: notePrefix + t.Digest()},
	}
}

func spec(s deviceops.Schedule) client.ScheduleSpec {
	if s.Cron == "" {
		return client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: s.Every}}}
	}
	return client.ScheduleSpec{CronExpressions: crons(s.Cron), TimeZoneName: s.Zone}
}

// crons gives a cron text as Temporal understands it. Where both the day of the
// month and that of the week are said, cron means either of them and Temporal both,
// so that it gets one text for each.
func crons(text string) []string {
	f := strings.Fields(text)
	if len(f) != 5 || strings.HasPrefix(f[2], "*") || strings.HasPrefix(f[4], "*") {
		return []string{text}
	}
	return []string{strings.Join([]string{f[0], f[1], f[2], f[3], "*"}, " "), strings.Join([]string{f[0], f[1], "*", f[3], f[4]}, " ")}
}

// Unschedule implements deviceops.Orchestrator.
func (s *Starter) Unschedule(ctx context.Context, id string) error {
	ctx, cancel := bounded(ctx, callTimeout)
	defer cancel()
	err := s.client.ScheduleClient().GetHandle(ctx, id).Delete(ctx)
	var gone *serviceerror.NotFound
	if errors.As(err, &gone) {
		return nil
	}
	return domain(err)
}

// Timetables implements deviceops.Orchestrator. Schedules that others made in this
// namespace are left out.
func (s *Starter) Timetables(ctx context.Context) (map[string]string, error) {
	ctx, cancel := bounded(ctx, callTimeout)
	defer cancel()
	all, err := s.client.ScheduleClient().List(ctx, client.ScheduleListOptions{})
	if err != nil {
		return nil, domain(err)
	}
	digests := map[string]string{}
	for all.HasNext() {
		one, err := all.Next()
		if err != nil {
			return nil, domain(err)
		}
		if deviceops.IsTimetable(one.ID) {
			digests[one.ID] = strings.TrimPrefix(one.Note, notePrefix)
		}
	}
	return digests, nil
}

// NextTimes implements deviceops.Orchestrator.
func (s *Starter) NextTimes(ctx context.Context, id string) ([]time.Time, error) {
	ctx, cancel := bounded(ctx, callTimeout)
	defer cancel()
	described, err := s.client.ScheduleClient().GetHandle(ctx, id).Describe(ctx)
	if err != nil {
		return nil, domain(err)
	}
	if described.Schedule.State.Paused {
		return nil, nil
	}
	return described.Info.NextActionTimes, nil
}

// TimesBetween implements deviceops.Orchestrator. Temporal computes them as it
// does when it starts something.
func (s *Starter) TimesBetween(ctx context.Context, id string, after, until time.Time) ([]time.Time, error) {
	ctx, cancel := bounded(ctx, callTimeout)
	defer cancel()
	found, err := s.client.WorkflowService().ListScheduleMatchingTimes(ctx, &workflowservice.ListScheduleMatchingTimesRequest{
		Namespace: s.namespace, ScheduleId: id, StartTime: timestamppb.New(after), EndTime: timestamppb.New(until),
	})
	if err != nil {
		return nil, domain(err)
	}
	times := make([]time.Time, len(found.StartTime))
	for i, at := range found.StartTime {
		times[i] = at.AsTime()
	}
	return times, nil
}
