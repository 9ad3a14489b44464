package deviceops_test

import (
	"strings"
	"testing"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/stretchr/testify/require"
)

func TestRolloutIDs(t *testing.T) {
	t.Parallel()
	id := deviceops.RolloutID("acme", "kiosk-2.4.0")
	require.Equal(t, id, deviceops.RolloutID("acme", "kiosk-2.4.0"), "creating it twice creates one")
	require.NotEqual(t, id, deviceops.RolloutID("acme/emea", "kiosk-2.4.0"))
	require.NotEqual(t, deviceops.RolloutID("a", "b\x00c"), deviceops.RolloutID("a", "b"))

	long := strings.Repeat("k", deviceops.MaxIDLength)
	require.Equal(t, id+".k1", deviceops.RolloutCommandID(id, "k1"))
	require.True(t, deviceops.ValidID(deviceops.RolloutCommandID(id, long)))
	require.NotEqual(t, deviceops.RolloutCommandID(id, long), deviceops.RolloutCommandID(id, long[1:]+"x"))
}

func TestCounts(t *testing.T) {
	t.Parallel()
	ring := deviceops.Counts{
		Targeted: 20, Pending: 3, Sent: 2, Accepted: 1, Deferred: 1, Succeeded: 8, Failed: 2, Rejected: 1, TimedOut: 1, Excused: 4, Canceled: 1, Healthy: 7,
	}
	require.Equal(t, 3, ring.InFlight())
	require.Equal(t, 7, ring.Open())
	require.Equal(t, 12, ring.Finished(), "what was excused or canceled came to no end")
	require.Equal(t, 16, ring.Reached())
	sum := ring.Add(deviceops.Counts{Targeted: 5, Succeeded: 5, Unhealthy: 2})
	require.Equal(t, 25, sum.Targeted)
	require.Equal(t, 13, sum.Succeeded)
	require.Equal(t, 2, sum.Unhealthy)
	require.Equal(t, 8, ring.Succeeded, "the operands stay as they are")
}

func TestControlsAreSigned(t *testing.T) {
	t.Parallel()
	key := deviceops.SigningKey(strings.Repeat("k", deviceops.SigningKeySize))
	signed := key.SignControl(deviceops.RolloutControl{
		Rollout: "ro-1", Action: deviceops.RolloutPause, By: deviceops.Principal{Name: "user:maria"}, Reason: "it smells", Request: "1",
	})
	require.NoError(t, key.CheckControl(signed))
	forged := signed
	forged.Action = deviceops.RolloutCancel
	require.Equal(t, deviceops.EFORBIDDEN, deviceops.ErrorCode(key.CheckControl(forged)))
	require.NotEqual(t, signed.ID(), forged.ID())
}

func TestRates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{"60/m": 60, "10/s": 600, "30/h": 0.5, " 1.5 / m ": 1.5} {
		rate, err := deviceops.ParseRate(text)
		require.NoError(t, err, text)
		require.InDelta(t, want, rate, 1e-9, text)
	}
	for _, text := range []string{"", "60", "60/d", "0/m", "-1/m", "many/m"} {
		_, err := deviceops.ParseRate(text)
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err), text)
	}
}

func TestNewRollout(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	spec := &deviceops.RolloutSpec{
		Name: "kiosk-2.4.0", Change: deviceops.Change{Kind: deviceops.ChangeRelease}, Limits: deviceops.Limits{InFlight: 500},
		Rings: []deviceops.RingSpec{{Name: "canary", Take: 10}, {Name: "everyone"}},
	}
	r := spec.NewRollout("acme", "rollout: kiosk-2.4.0", "abc", "user:maria", "ticket 4711", at)
	require.Equal(t, deviceops.RolloutID("acme", "kiosk-2.4.0"), r.ID)
	require.Equal(t, deviceops.RolloutPlanning, r.Status)
	require.Equal(t, []deviceops.Ring{{Index: 0, Name: "canary", Status: deviceops.RingPending}, {Index: 1, Name: "everyone", Status: deviceops.RingPending}}, r.Rings)
	require.Equal(t, 500, r.Limits.InFlight)
}
