package deviceops_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestNoticeAttempts(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	n := deviceops.Notice{Status: deviceops.NoticePending}
	away := deviceops.Errorf(deviceops.EUNAVAILABLE, "nobody is there")
	var waits []time.Duration
	for range deviceops.NoticeAttempts - 1 {
		n.Attempted(away, now)
		require.Equal(t, deviceops.NoticePending, n.Status)
		waits = append(waits, n.DueAt.Sub(now))
	}
	require.Equal(t, []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second}, waits[:3])
	require.Equal(t, 30*time.Minute, waits[len(waits)-1])
	n.Attempted(away, now)
	require.Equal(t, deviceops.NoticeDead, n.Status)
	require.Equal(t, "nobody is there", n.Error)

	n = deviceops.Notice{Status: deviceops.NoticePending}
	n.Attempted(deviceops.Errorf(deviceops.EUNAVAILABLE, "busy: %w", deviceops.Later{After: time.Hour}), now)
	require.Equal(t, now.Add(time.Hour), n.DueAt, "no sooner than the system asks")
	n.Attempted(errors.New("a defect"), now)
	require.Equal(t, deviceops.NoticePending, n.Status)
	require.Equal(t, "internal error", n.Error)
	n.Attempted(nil, now)
	require.Equal(t, deviceops.NoticeSent, n.Status)
	require.Empty(t, n.Error)
	n = deviceops.Notice{}
	n.Attempted(deviceops.Errorf(deviceops.EFORBIDDEN, "wrong token"), now)
	require.Equal(t, deviceops.NoticeDead, n.Status)
}
