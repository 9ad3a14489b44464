package starter_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	schedulepb "go.temporal.io/api/schedule/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/service/worker/scheduler"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/deviceops/deviceops"
)

// What Temporal makes of what it is given: its own code says when.
func TestTimetablesFollowTheClockOnTheWall(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		times deviceops.Schedule
		from  string
		want  []string
	}{
		"in spring an hour is left out": {deviceops.Schedule{Cron: "30 2 * * *", Zone: "Europe/Berlin"}, "2026-03-27T12:00:00Z",
			[]string{"2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z"}},
		"in autumn the second of two counts": {deviceops.Schedule{Cron: "30 2 * * *", Zone: "Europe/Berlin"}, "2026-10-24T12:00:00Z",
			[]string{"2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"}},
		"noon stays noon": {deviceops.Schedule{Cron: "0 12 * * 7", Zone: "America/New_York"}, "2026-02-27T00:00:00Z",
			[]string{"2026-03-01T17:00:00Z", "2026-03-08T16:00:00Z"}},
		"a day of the month or a weekday": {deviceops.Schedule{Cron: "0 3 13 * fri"}, "2026-04-04T00:00:00Z",
			[]string{"2026-04-10T03:00:00Z", "2026-04-13T03:00:00Z", "2026-04-17T03:00:00Z"}},
		"names, lists and steps": {deviceops.Schedule{Cron: "*/30 9,17 * jan-jun mon-fri"}, "2026-06-30T09:10:00Z",
			[]string{"2026-06-30T09:30:00Z", "2026-06-30T17:00:00Z", "2026-06-30T17:30:00Z", "2027-01-01T09:00:00Z"}},
		"an interval counts from 1970": {deviceops.Schedule{Every: 6 * time.Hour}, "2026-03-29T01:00:00Z",
			[]string{"2026-03-29T06:00:00Z", "2026-03-29T12:00:00Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, schedules, _ := newScheduler(t)
			var given client.ScheduleSpec
			schedules.On("Create", mock.Anything, mock.Anything).Run(func(args mock.Arguments) {
				given = args.Get(1).(client.ScheduleOptions).Spec
			}).Return(nil, nil)
			require.NoError(t, s.Schedule(t.Context(), nightly(c.times)))
			require.Equal(t, c.want, nextOf(t, given, c.from, len(c.want)))
		})
	}
}

// nextOf gives the next times of a schedule as the server computes them.
func nextOf(t *testing.T, s client.ScheduleSpec, from string, n int) []string {
	t.Helper()
	spec := &schedulepb.ScheduleSpec{CronString: s.CronExpressions, TimezoneName: s.TimeZoneName}
	for _, every := range s.Intervals {
		spec.Interval = append(spec.Interval, &schedulepb.IntervalSpec{Interval: durationpb.New(every.Every)})
	}
	enough := dynamicconfig.GetIntPropertyFn(100_000)
	compiled, err := scheduler.NewSpecBuilder(enough, enough).NewCompiledSpec(spec)
	require.NoError(t, err)
	at, err := time.Parse(time.RFC3339, from)
	require.NoError(t, err)
	var times []string
	for range n {
		next, err := compiled.GetNextTime("", at)
		require.NoError(t, err)
		at = next.Nominal
		times = append(times, at.UTC().Format(time.RFC3339))
	}
	return times
}
