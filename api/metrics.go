package api

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
)

type metricService struct{ *core }

func (s *server) metricRoutes(m metricService) {
	handle(s, route{
		id: "device-metric", method: http.MethodGet, path: "/v1/devices/{id}/metrics/{name}", role: deviceops.RoleViewer,
		summary: "Show the history of a metric of a device",
		about:   "A point for each step in which there was a sample. Single samples are kept for two days, sums of five minutes for 30 days and of hours for 400 days, unless the server is told otherwise: longer ago, steps are rounded up to those.",
	}, m.device)
	handle(s, route{
		id: "fleet-metric", method: http.MethodGet, path: "/v1/metrics/{name}", role: deviceops.RoleViewer,
		summary: "Sum up a metric over groups of devices",
		about:   "Count, average and percentiles are over the latest values of the devices of a group; points are its history. Up to 100 groups, the largest first.",
	}, m.fleet)
}

// MetricSpan is the part of an input that selects a part of the history.
type MetricSpan struct {
	Name  string    `path:"name" maxLength:"128"`
	Since time.Time `query:"since" doc:"Left out: a day before until"`
	Until time.Time `query:"until" doc:"Left out: now"`
	Step  string    `query:"step" doc:"Time that a point stands for; left out: what gives a readable number of points" example:"15m"`
}

func (m MetricSpan) window(now time.Time, keep deviceops.MetricRetention, points int, fleet bool) (deviceops.MetricWindow, error) {
	r := deviceops.MetricRequest{Since: m.Since, Until: m.Until, Points: points, Fleet: fleet}
	if m.Step != "" {
		step, err := time.ParseDuration(m.Step)
		if err != nil || step <= 0 {
			return deviceops.MetricWindow{}, deviceops.Errorf(deviceops.EINVALID, "step %q is no duration: write it as 15m", m.Step)
		}
		r.Step = step
	}
	return r.Window(now, keep)
}

type deviceMetricInput struct {
	DevicePath
	MetricSpan
}

func (m metricService) device(ctx context.Context, p deviceops.Principal, in *deviceMetricInput) (deviceops.DeviceMetric, error) {
	d, err := m.core.device(ctx, p, in.ID)
	if err != nil {
		return deviceops.DeviceMetric{}, err
	}
	w, err := in.window(m.Now(), m.KeepMetrics, 120, false)
	if err != nil {
		return deviceops.DeviceMetric{}, err
	}
	points, err := m.Store.DeviceMetric(ctx, d.ID, in.Name, w)
	if err != nil {
		return deviceops.DeviceMetric{}, err
	}
	if _, known := d.Metrics[in.Name]; !known && len(points) == 0 {
		return deviceops.DeviceMetric{}, unknownMetric(d, in.Name)
	}
	return deviceops.DeviceMetric{
		Device: d.ID, Name: in.Name, Since: w.Since, Until: w.Until, StepS: int64(w.Step.Seconds()), Source: w.Source,
		All: deviceops.SumUp(points), Points: orEmpty(points),
	}, nil
}

func unknownMetric(d deviceops.Device, name string) error {
	if len(d.Metrics) == 0 {
		return deviceops.Errorf(deviceops.ENOTFOUND, "device %s reported no metrics yet", d.ID)
	}
	return deviceops.Errorf(deviceops.ENOTFOUND, "device %s reported no metric %s; it reported %s", d.ID, name, strings.Join(slices.Sorted(maps.Keys(d.Metrics)), ", "))
}

// FleetQuery is the part of an input that selects and groups devices.
type FleetQuery struct {
	By      string `query:"by" doc:"profile, account, tag, label:NAME, place or place:DEGREES; left out: one group" example:"label:site"`
	Account string `query:"account" doc:"This account and all below it"`
	Profile string `query:"profile"`
	Tag     string `query:"tag"`
	Label   string `query:"label" doc:"NAME=VALUE" example:"site=hamburg"`
}

// selection gives the grouping, and the filter within the caller's accounts.
func (f FleetQuery) selection(p deviceops.Principal) (g deviceops.Grouping, filter deviceops.DeviceFilter, err error) {
	if filter.Account, err = scope(p, f.Account); err != nil {
		return g, filter, err
	}
	filter.Profile, filter.Tag = f.Profile, f.Tag
	if f.Label != "" {
		name, value, ok := strings.Cut(f.Label, "=")
		if !ok || name == "" {
			return g, filter, deviceops.Errorf(deviceops.EINVALID, "label %q: write it as NAME=VALUE", f.Label)
		}
		filter.Labels = map[string]string{name: value}
	}
	g, err = deviceops.ParseGrouping(f.By)
	return g, filter, err
}

type fleetMetricInput struct {
	FleetQuery
	MetricSpan
}

// fleetPoints keeps the history of many groups small.
const fleetPoints = 24

func (m metricService) fleet(ctx context.Context, p deviceops.Principal, in *fleetMetricInput) (deviceops.FleetMetric, error) {
	by, filter, err := in.selection(p)
	if err != nil {
		return deviceops.FleetMetric{}, err
	}
	w, err := in.window(m.Now(), m.KeepMetrics, fleetPoints, true)
	if err != nil {
		return deviceops.FleetMetric{}, err
	}
	groups, more, err := m.Store.GroupMetric(ctx, deviceops.MetricQuery{Name: in.Name, By: by, Filter: filter, Window: w})
	return deviceops.FleetMetric{
		Name: in.Name, By: in.By, Since: w.Since, Until: w.Until, StepS: int64(w.Step.Seconds()), Groups: orEmpty(groups), More: more,
	}, err
}
