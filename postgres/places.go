package postgres

import (
	"context"
	"time"

	"github.com/deviceops/deviceops"
)

// SavePlaces implements deviceops.Devices.
func (t tx) SavePlaces(ctx context.Context, places []deviceops.PlaceFix) error {
	if len(places) == 0 {
		return nil
	}
	type fix = deviceops.PlaceFix
	_, err := t.exec(ctx, "save places", `
		update devices set latitude = x.latitude, longitude = x.longitude, place_at = x.at
		from unnest($1::text[], $2::float8[], $3::float8[], $4::timestamptz[]) as x(device, latitude, longitude, at)
		where devices.id = x.device`,
		texts(places, func(p *fix) string { return p.Device }), column(places, func(p *fix) float64 { return p.Latitude }),
		column(places, func(p *fix) float64 { return p.Longitude }), column(places, func(p *fix) time.Time { return p.At }))
	return err
}
