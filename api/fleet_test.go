package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestFleetHealth(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.device("k1", "acme", deviceops.Active)
	r.device("k2", "acme", deviceops.Active)
	r.device("other", "rival", deviceops.Active)
	require.NoError(t, r.store.SaveWellness(t.Context(), map[string]deviceops.Wellness{
		"k2": {Status: deviceops.Degraded, DegradedSince: now, Because: []string{"disk"}},
	}))
	var h deviceops.FleetHealth
	r.as(victor, http.MethodGet, "/v1/fleet/health?by=profile", nil).into(&h)
	require.Equal(t, 2, h.All.Devices, "those of the caller's accounts")
	require.Equal(t, now, h.At)
	require.Equal(t, "profile", h.By)
	require.Equal(t, 1, h.Groups[0].ByWellness[deviceops.Degraded])
	require.Equal(t, []deviceops.FleetTrouble{{Kind: "degraded", Detail: "disk", Devices: 1}}, h.Troubles)

	r.as(victor, http.MethodGet, "/v1/fleet/health?by=color", nil).refused(422, deviceops.EINVALID)
	r.as(victor, http.MethodGet, "/v1/fleet/health?account=rival", nil).refused(404, deviceops.ENOTFOUND)

	var p devicePage
	r.as(victor, http.MethodGet, "/v1/devices?wellness=degraded", nil).into(&p)
	require.Len(t, p.Items, 1)
	require.Equal(t, "k2", p.Items[0].ID)
}
