package api

import (
	"context"
	"net/http"

	"github.com/deviceops/deviceops"
)

type fleetService struct{ *core }

func (s *server) fleetRoutes(f fleetService) {
	handle(s, route{
		id: "fleet-health", method: http.MethodGet, path: "/v1/fleet/health", role: deviceops.RoleViewer,
		summary: "Sum up how devices do",
		about:   "Counts by state, connectivity and wellness, in groups where `by` is given; what is wrong with how many; versions of components; who has been silent for longest. Retired devices are counted by state alone.",
	}, f.health)
}

func (f fleetService) health(ctx context.Context, p deviceops.Principal, in *FleetQuery) (deviceops.FleetHealth, error) {
	by, filter, err := in.selection(p)
	if err != nil {
		return deviceops.FleetHealth{}, err
	}
	h, err := f.Store.FleetHealth(ctx, deviceops.FleetQuery{By: by, Filter: filter})
	h.At, h.By = f.Now().UTC(), in.By
	h.Groups, h.Troubles, h.Versions, h.Silent = orEmpty(h.Groups), orEmpty(h.Troubles), orEmpty(h.Versions), orEmpty(h.Silent)
	return h, err
}
