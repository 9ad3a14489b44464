package deviceops_test

import (
	"errors"
	"testing"

	"github.com/deviceops/deviceops"
	"github.com/stretchr/testify/require"
)

// The table of DESIGN: every edge that exists, and so every one that doesn't.
var wantEdges = map[deviceops.State][]deviceops.State{
	deviceops.Escrow:       {deviceops.Provisioning, deviceops.Quarantined, deviceops.Retired},
	deviceops.Discovered:   {deviceops.Escrow, deviceops.Provisioning, deviceops.Quarantined, deviceops.Retired},
	deviceops.Provisioning: {deviceops.Active, deviceops.Escrow, deviceops.Quarantined, deviceops.Retired},
	deviceops.Active:       {deviceops.Maintenance, deviceops.Quarantined, deviceops.Retired},
	deviceops.Maintenance:  {deviceops.Active, deviceops.Quarantined, deviceops.Retired},
	deviceops.Quarantined:  {deviceops.Provisioning, deviceops.Retired},
	deviceops.Retired:      nil,
}

func TestEveryEdgeAndNoOther(t *testing.T) {
	t.Parallel()
	for _, from := range deviceops.States() {
		require.Equal(t, wantEdges[from], deviceops.NextStates(from), "from %s", from)
		for _, to := range deviceops.States() {
			err := deviceops.CheckTransition(&deviceops.Device{ID: "k1", State: from}, nil, to)
			if contains(wantEdges[from], to) {
				require.NoError(t, err, "%s to %s", from, to)
			} else {
				require.Equal(t, deviceops.ECONFLICT, deviceops.ErrorCode(err), "%s to %s", from, to)
			}
		}
	}
}

func TestUnknownStateIsInvalid(t *testing.T) {
	t.Parallel()
	err := deviceops.CheckTransition(&deviceops.Device{ID: "k1", State: deviceops.Escrow}, nil, "asleep")
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
}

func TestGuards(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		verdict deviceops.Verdict
		err     error
		want    string
	}{
		{"yes lets pass", deviceops.Yes, nil, ""},
		{"no refuses", deviceops.No, nil, deviceops.ECONFLICT},
		{"a missing value refuses", deviceops.Unknown, nil, deviceops.ECONFLICT},
		{"a broken guard says so", deviceops.Yes, errors.New("boom"), deviceops.EINVALID},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := &deviceops.Profile{Name: "kiosk", Guards: map[deviceops.State]deviceops.DevicePredicate{
				deviceops.Active: func(*deviceops.Device) (deviceops.Verdict, error) { return c.verdict, c.err },
			}}
			d := &deviceops.Device{ID: "k1", State: deviceops.Provisioning}
			require.Equal(t, c.want, deviceops.ErrorCode(deviceops.CheckTransition(d, p, deviceops.Active)))
			require.NoError(t, deviceops.CheckTransition(d, p, deviceops.Escrow), "other states have no guard")
		})
	}
}

func contains(states []deviceops.State, s deviceops.State) bool {
	for _, x := range states {
		if x == s {
			return true
		}
	}
	return false
}
