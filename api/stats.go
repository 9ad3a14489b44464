package api

import (
	"context"
	"reflect"

	"github.com/deviceops/deviceops"
)

type statsInput struct {
	Account string `query:"account" doc:"This account and all below it"`
	Profile string `query:"profile"`
	Tag     string `query:"tag"`
}

func (d deviceService) stats(ctx context.Context, p deviceops.Principal, in *statsInput) (deviceops.FleetStats, error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return deviceops.FleetStats{}, err
	}
	return d.count(ctx, deviceops.DeviceFilter{Account: account, Profile: in.Profile, Tag: in.Tag})
}

// connectivities are all ways in which a device can be reachable: their counts
// add up to the fleet.
var connectivities = []deviceops.Connectivity{
	deviceops.Never, deviceops.Online, deviceops.Offline, deviceops.Sleeping, deviceops.Unreachable,
}

func (d deviceService) count(ctx context.Context, f deviceops.DeviceFilter) (deviceops.FleetStats, error) {
	stats := deviceops.FleetStats{ByState: map[deviceops.State]int{}, ByConnectivity: map[deviceops.Connectivity]int{}}
	for _, f.Connectivity = range connectivities {
		byState, err := d.Store.CountDevices(ctx, f)
		if err != nil {
			return stats, err
		}
		for state, n := range byState {
			stats.ByState[state] += n
			stats.ByConnectivity[f.Connectivity] += n
			stats.Total += n
		}
	}
	return stats, nil
}

// watchStats sends the counts at once and then whenever they changed.
func (d deviceService) watchStats(_ context.Context, p deviceops.Principal, in *statsInput) (source, error) {
	if _, err := scope(p, in.Account); err != nil {
		return nil, err
	}
	var last deviceops.FleetStats
	return func(ctx context.Context) ([]message, bool, error) {
		stats, err := d.stats(ctx, p, in)
		if err != nil || reflect.DeepEqual(stats, last) {
			return nil, false, err
		}
		last = stats
		return []message{{event: "stats", data: stats}}, false, nil
	}, nil
}
