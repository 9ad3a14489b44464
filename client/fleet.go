package client

import (
	"context"

	"github.com/deviceops/deviceops"
)

// FleetHealth sums up how devices do. EINVALID.
func (c *Client) FleetHealth(ctx context.Context, f FleetQuery) (deviceops.FleetHealth, error) {
	return get[deviceops.FleetHealth](ctx, c, "/v1/fleet/health", query(f.pairs()...))
}
