package ingest

import (
	"context"

	"github.com/deviceops/deviceops"
)

// place notes where a device says that it is: latitude and longitude in one
// message, as metrics or attributes. What is older than what is known changes
// nothing, nor does a move that may be none.
func (l *ledger) place(d *deviceops.Device, said map[string]any, when moment) {
	latitude, ok := number(said["latitude"])
	longitude, also := number(said["longitude"])
	to := deviceops.Place{Latitude: latitude, Longitude: longitude}
	if !ok || !also || !to.Valid() || when.at.Before(d.PlaceAt) {
		return
	}
	data, moved := deviceops.Move(d.Place, to)
	if !moved {
		return
	}
	d.Place, d.PlaceAt = &to, when.at
	l.placed[d.ID] = true
	l.emit(d, deviceops.EventPlace, "debug", data)
	l.events[len(l.events)-1].At = when.at
}

func (l *ledger) savePlaces(ctx context.Context, tx deviceops.Tx) error {
	if len(l.placed) == 0 {
		return nil
	}
	places := make([]deviceops.PlaceFix, 0, len(l.placed))
	for _, id := range sortedKeys(l.placed) {
		d := l.devices[id]
		places = append(places, deviceops.PlaceFix{Device: id, Place: *d.Place, At: d.PlaceAt})
	}
	return tx.SavePlaces(ctx, places)
}
