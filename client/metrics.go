package client

import (
	"context"
	"net/url"
	"time"

	"github.com/deviceops/deviceops"
)

// MetricSpan selects a part of the history. Zero fields have the defaults of
// the API: the last day, in steps that are readable.
type MetricSpan struct {
	Since, Until time.Time
	Step         time.Duration
}

func (s MetricSpan) query(pairs ...any) url.Values {
	step := ""
	if s.Step > 0 {
		step = s.Step.String()
	}
	return query(append(pairs, "since", s.Since, "until", s.Until, "step", step)...)
}

// FleetQuery selects and groups devices. By is profile, account, tag,
// label:NAME, place or place:DEGREES.
type FleetQuery struct {
	By, Account, Profile, Tag string
	Label                     string // NAME=VALUE
}

func (f FleetQuery) pairs() []any {
	return []any{"by", f.By, "account", f.Account, "profile", f.Profile, "tag", f.Tag, "label", f.Label}
}

// DeviceMetric gives the history of a metric of a device. ENOTFOUND, EINVALID.
func (c *Client) DeviceMetric(ctx context.Context, device, name string, s MetricSpan) (deviceops.DeviceMetric, error) {
	return get[deviceops.DeviceMetric](ctx, c, devicePath(device, "/metrics/"+url.PathEscape(name)), s.query())
}

// FleetMetric sums up a metric over groups of devices. EINVALID.
func (c *Client) FleetMetric(ctx context.Context, name string, f FleetQuery, s MetricSpan) (deviceops.FleetMetric, error) {
	return get[deviceops.FleetMetric](ctx, c, "/v1/metrics/"+url.PathEscape(name), s.query(f.pairs()...))
}
