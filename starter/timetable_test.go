package starter_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/mocks"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/starter"
	"github.com/deviceops/deviceops/workflows"
)

// nightly is the timetable of an automation.
func nightly(times deviceops.Schedule) deviceops.Timetable {
	ref := deviceops.AutomationRef{Account: "acme", Name: "nightly"}
	return deviceops.Timetable{ID: deviceops.TimetableID(ref), Times: times, Start: workflows.TriggerStart(ref)}
}

const day = 24 * time.Hour

func newScheduler(t *testing.T) (*starter.Starter, *mocks.ScheduleClient, *mocks.ScheduleHandle) {
	t.Helper()
	s, c := newStarter(t)
	schedules, handle := mocks.NewScheduleClient(t), mocks.NewScheduleHandle(t)
	c.On("ScheduleClient").Return(schedules)
	schedules.On("GetHandle", mock.Anything, "automation/acme/nightly").Return(handle).Maybe()
	return s, schedules, handle
}

// What Temporal is given. That a cron text in a zone follows the clock on the wall
// there is Temporal's: a time that is left out in spring is passed over.
func TestTimetables(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		times deviceops.Schedule
		want  client.ScheduleSpec
		reach time.Duration
	}{
		"cron":          {deviceops.Schedule{Cron: "0 3 * * *"}, client.ScheduleSpec{CronExpressions: []string{"0 3 * * *"}}, 7 * day},
		"in a zone":     {deviceops.Schedule{Cron: "30 2 * * 7", Zone: "Europe/Berlin"}, client.ScheduleSpec{CronExpressions: []string{"30 2 * * 7"}, TimeZoneName: "Europe/Berlin"}, 7 * day},
		"an interval":   {deviceops.Schedule{Every: 6 * time.Hour}, client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: 6 * time.Hour}}}, 5 * day},
		"seconds":       {deviceops.Schedule{Every: time.Second}, client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: time.Second}}}, time.Minute},
		"either of two": {deviceops.Schedule{Cron: "0 3 13 * fri"}, client.ScheduleSpec{CronExpressions: []string{"0 3 13 * *", "0 3 * * fri"}}, 7 * day},
		"every 2nd day": {deviceops.Schedule{Cron: "0 3 */2 * fri"}, client.ScheduleSpec{CronExpressions: []string{"0 3 */2 * fri"}}, 7 * day},
		"by the hour":   {deviceops.Schedule{Cron: "30 8-18 * * *"}, client.ScheduleSpec{CronExpressions: []string{"30 8-18 * * *"}}, 20 * time.Hour},
		"by the minute": {deviceops.Schedule{Cron: "*/5 3 * * *"}, client.ScheduleSpec{CronExpressions: []string{"*/5 3 * * *"}}, 20 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, schedules, _ := newScheduler(t)
			c.times.CatchUp = time.Minute
			table := nightly(c.times)
			table.Paused = true
			schedules.On("Create", mock.Anything, client.ScheduleOptions{
				ID: "automation/acme/nightly", Spec: c.want, Overlap: enums.SCHEDULE_OVERLAP_POLICY_BUFFER_ALL, CatchupWindow: c.reach,
				Paused: true, Note: "deviceops " + table.Digest(),
				Action: &client.ScheduleWorkflowAction{
					ID: "trigger/acme/nightly", Workflow: "Trigger", TaskQueue: workflows.TaskQueue,
					Args: []any{workflows.TriggerInput{Automation: deviceops.AutomationRef{Account: "acme", Name: "nightly"}}},
				},
			}).Return(nil, nil)
			require.NoError(t, s.Schedule(t.Context(), table))
		})
	}
}

func TestATimetableThatIsThereIsChanged(t *testing.T) {
	t.Parallel()
	s, schedules, handle := newScheduler(t)
	schedules.On("Create", mock.Anything, mock.Anything).Return(nil, temporal.ErrScheduleAlreadyRunning)
	var changed *client.ScheduleUpdate
	handle.On("Update", mock.Anything, mock.Anything).Run(func(args mock.Arguments) {
		update, err := args.Get(1).(client.ScheduleUpdateOptions).DoUpdate(client.ScheduleUpdateInput{})
		require.NoError(t, err)
		changed = update
	}).Return(nil)
	table := nightly(deviceops.Schedule{Every: time.Hour, CatchUp: time.Minute})
	require.NoError(t, s.Schedule(t.Context(), table))
	require.Equal(t, []client.ScheduleIntervalSpec{{Every: time.Hour}}, changed.Schedule.Spec.Intervals)
	require.Equal(t, "deviceops "+table.Digest(), changed.Schedule.State.Note)
	require.False(t, changed.Schedule.State.Paused)

	down, schedules, _ := newScheduler(t)
	schedules.On("Create", mock.Anything, mock.Anything).Return(nil, serviceerror.NewUnavailable("down"))
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(down.Schedule(t.Context(), table)))
}

func TestUnschedule(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		code string
	}{
		"it was there":     {},
		"it was not there": {err: serviceerror.NewNotFound("gone")},
		"Temporal is away": {serviceerror.NewUnavailable("down"), deviceops.EUNAVAILABLE},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _, handle := newScheduler(t)
			handle.On("Delete", mock.Anything).Return(c.err)
			require.Equal(t, c.code, deviceops.ErrorCode(s.Unschedule(t.Context(), "automation/acme/nightly")))
		})
	}
}

func TestNextTimes(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	s, _, handle := newScheduler(t)
	state := &client.ScheduleState{}
	handle.On("Describe", mock.Anything).Return(&client.ScheduleDescription{
		Schedule: client.Schedule{State: state}, Info: client.ScheduleInfo{NextActionTimes: []time.Time{noon}},
	}, nil)
	times, err := s.NextTimes(t.Context(), "automation/acme/nightly")
	require.NoError(t, err)
	require.Equal(t, []time.Time{noon}, times)
	state.Paused = true
	times, err = s.NextTimes(t.Context(), "automation/acme/nightly")
	require.NoError(t, err)
	require.Empty(t, times, "one that is paused has none")
}

// matching is the part of Temporal that computes times.
type matching struct {
	workflowservice.WorkflowServiceClient
	asked *workflowservice.ListScheduleMatchingTimesRequest
	times []time.Time
	err   error
}

func (m *matching) ListScheduleMatchingTimes(_ context.Context, in *workflowservice.ListScheduleMatchingTimesRequest, _ ...grpc.CallOption) (*workflowservice.ListScheduleMatchingTimesResponse, error) {
	m.asked = in
	out := &workflowservice.ListScheduleMatchingTimesResponse{}
	for _, at := range m.times {
		out.StartTime = append(out.StartTime, timestamppb.New(at))
	}
	return out, m.err
}

func TestTimesBetween(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	s, c := newStarter(t)
	service := &matching{times: []time.Time{noon.AddDate(0, 0, -1), noon}}
	c.On("WorkflowService").Return(service)
	times, err := s.TimesBetween(t.Context(), "automation/acme/nightly", noon.AddDate(0, 0, -2), noon)
	require.NoError(t, err)
	require.Equal(t, service.times, times)
	require.Equal(t, "acme-ns", service.asked.Namespace)
	require.Equal(t, "automation/acme/nightly", service.asked.ScheduleId)
	require.Equal(t, noon.AddDate(0, 0, -2), service.asked.StartTime.AsTime())
	require.Equal(t, noon, service.asked.EndTime.AsTime())
	service.err = serviceerror.NewNotFound("gone")
	_, err = s.TimesBetween(t.Context(), "automation/acme/nightly", noon, noon)
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))
}
