package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestQuietDevices(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		registered(t, s, "default", "beating", "patient", "asleep", "late", "gone", "never", "hasty")
		policy := func(id string, every time.Duration) {
			require.NoError(t, s.SaveDesired(t.Context(), map[string]deviceops.Desired{id: {Heartbeat: deviceops.HeartbeatPolicy{Every: every, OfflineAfter: 2}}}))
		}
		policy("patient", time.Hour)
		policy("hasty", 4*time.Second)
		require.NoError(t, s.SaveSessions(t.Context(), map[string]deviceops.Session{
			"default": {Connectivity: deviceops.Online, LastSeen: noon},
			"beating": {Connectivity: deviceops.Online, LastSeen: noon.Add(-time.Hour), LastHeartbeat: after(2 * time.Minute)},
			"patient": {Connectivity: deviceops.Online, LastSeen: noon},
			"asleep":  {Connectivity: deviceops.Sleeping, LastSeen: noon.Add(-time.Hour), WakeAt: after(time.Hour)},
			"late":    {Connectivity: deviceops.Sleeping, LastSeen: noon.Add(-time.Hour), WakeAt: noon.Add(-time.Minute)},
			"gone":    {Connectivity: deviceops.Offline, LastSeen: noon.Add(-time.Hour)},
			"hasty":   {Connectivity: deviceops.Online, LastSeen: after(time.Hour)},
		}))
		silence := deviceops.DefaultHeartbeat.Silence()
		outage := deviceops.Outage{Until: after(10 * time.Minute), For: 10 * time.Minute}
		just, all := time.Microsecond, after(24*time.Hour)
		for name, c := range map[string]struct {
			query deviceops.QuietQuery
			want  []string
		}{
			"all is well":           {deviceops.QuietQuery{Before: after(-time.Minute)}, nil},
			"sleeps too long":       {deviceops.QuietQuery{Before: after(silence)}, []string{"late"}},
			"nothing heard":         {deviceops.QuietQuery{Before: after(silence + just)}, []string{"late", "default"}},
			"the longest first":     {deviceops.QuietQuery{Before: after(silence + just), Limit: 1}, []string{"late"}},
			"with its own policy":   {deviceops.QuietQuery{Before: after(2*time.Hour + just)}, []string{"late", "default", "beating", "hasty", "asleep", "patient"}},
			"asleep is not silent":  {deviceops.QuietQuery{Before: after(time.Hour)}, []string{"late", "default", "beating"}},
			"only these":            {deviceops.QuietQuery{Before: all, Devices: []string{"patient", "gone", "late"}}, []string{"late", "patient"}},
			"soon, by their policy": {deviceops.QuietQuery{Before: all, Below: 8*time.Second + just}, []string{"hasty"}},
			"sooner than any":       {deviceops.QuietQuery{Before: all, Below: 8 * time.Second}, nil},
			"at least so late":      {deviceops.QuietQuery{Before: all, AtLeast: silence + just}, []string{"patient"}},
			"the default is one":    {deviceops.QuietQuery{Before: all, AtLeast: silence, Below: time.Hour}, []string{"late", "default", "beating", "asleep"}},
			"nobody listened":       {deviceops.QuietQuery{Before: after(silence + just), Outage: outage}, nil},
			"and now somebody does": {deviceops.QuietQuery{Before: after(10*time.Minute + silence), Outage: outage}, []string{"late"}},
			"heard of since":        {deviceops.QuietQuery{Before: after(time.Hour + 8*time.Second + just), Outage: outage}, []string{"late", "beating", "default", "hasty"}},
			"in between":            {deviceops.QuietQuery{Before: all, AtLeast: 8 * time.Second, Below: silence}, []string{"hasty"}},
		} {
			found, err := s.QuietDevices(t.Context(), c.query)
			require.NoError(t, err)
			var ids []string
			for _, q := range found {
				ids = append(ids, q.Device)
			}
			require.Equal(t, c.want, ids, name)
		}
		last, err := s.LastHeard(t.Context(), after(time.Minute))
		require.NoError(t, err)
		require.Equal(t, noon, last)
		last, err = s.LastHeard(t.Context(), noon.Add(-time.Hour))
		require.NoError(t, err)
		require.Zero(t, last)
		found, err := s.QuietDevices(t.Context(), deviceops.QuietQuery{Before: all, Devices: []string{"asleep"}})
		require.NoError(t, err)
		require.Equal(t, []deviceops.Quiet{{Device: "asleep", MissedAt: after(time.Hour + silence)}}, found)
	})
}
