package client

import (
	"context"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/deviceops/deviceops"
)

func devicePath(id, rest string) string { return "/v1/devices/" + url.PathEscape(id) + rest }

// ListDevices gives devices by id. f.After is not used; cursor is.
func (c *Client) ListDevices(ctx context.Context, f deviceops.DeviceFilter, cursor string) (Page[deviceops.Device], error) {
	return get[Page[deviceops.Device]](ctx, c, "/v1/devices", query(
		"account", f.Account, "state", f.State, "connectivity", f.Connectivity, "wellness", f.Wellness, "profile", f.Profile,
		"tag", f.Tag, "parent", f.Parent, "search", f.Search, "limit", f.Limit, "cursor", cursor))
}

// Device gives a device. ENOTFOUND.
func (c *Client) Device(ctx context.Context, id string) (deviceops.Device, error) {
	return get[deviceops.Device](ctx, c, devicePath(id, ""), nil)
}

// RegisterDevice registers a device. EINVALID, ECONFLICT.
func (c *Client) RegisterDevice(ctx context.Context, r deviceops.RegisterRequest) (deviceops.RegisterReport, error) {
	return do[deviceops.RegisterReport](ctx, c, call{method: http.MethodPost, path: "/v1/devices", body: r})
}

// Content types of an import.
const (
	CSV    = "text/csv"
	NDJSON = "application/x-ndjson"
)

// ImportDevices registers the devices of a CSV or NDJSON stream.
func (c *Client) ImportDevices(ctx context.Context, contentType string, rows io.Reader, reason string) (deviceops.ImportReport, error) {
	return do[deviceops.ImportReport](ctx, c, call{
		method: http.MethodPost, path: "/v1/devices:import", raw: rows, contentType: contentType, reason: reason,
	})
}

// TagDevice adds and removes tags. ENOTFOUND.
func (c *Client) TagDevice(ctx context.Context, id string, r deviceops.TagRequest) (deviceops.Device, error) {
	return do[deviceops.Device](ctx, c, call{method: http.MethodPost, path: devicePath(id, "/tags"), body: r})
}

// TransitionDevice moves a device to another state. ENOTFOUND, ECONFLICT.
func (c *Client) TransitionDevice(ctx context.Context, id string, r deviceops.TransitionRequest) (deviceops.Device, error) {
	return do[deviceops.Device](ctx, c, call{method: http.MethodPost, path: devicePath(id, "/transition"), body: r})
}

// SendCommand sends a command and waits up to wait, at most a minute, for its
// end; it gives the command as it is then. key, if not empty, makes repeats
// harmless. ENOTFOUND, EINVALID, ECONFLICT.
func (c *Client) SendCommand(ctx context.Context, device string, r deviceops.CommandRequest, wait time.Duration, key string) (deviceops.Command, error) {
	return do[deviceops.Command](ctx, c, call{
		method: http.MethodPost, path: devicePath(device, "/commands"), query: query("wait", int(wait.Seconds())), body: r, key: key,
	})
}

// Command gives a command. ENOTFOUND.
func (c *Client) Command(ctx context.Context, id string) (deviceops.Command, error) {
	return get[deviceops.Command](ctx, c, "/v1/commands/"+url.PathEscape(id), nil)
}

// ListCommands gives a device's commands, newest first.
func (c *Client) ListCommands(ctx context.Context, device string, limit int) (Page[deviceops.Command], error) {
	return get[Page[deviceops.Command]](ctx, c, devicePath(device, "/commands"), query("limit", limit))
}

// DeviceTimeline tells what happened to a device, newest first.
func (c *Client) DeviceTimeline(ctx context.Context, device string, limit int) (Page[deviceops.TimelineEntry], error) {
	return get[Page[deviceops.TimelineEntry]](ctx, c, devicePath(device, "/timeline"), query("limit", limit))
}

// ExplainDevice tells what a device waits for.
func (c *Client) ExplainDevice(ctx context.Context, device string) (deviceops.Explanation, error) {
	return get[deviceops.Explanation](ctx, c, devicePath(device, "/explain"), nil)
}

// FleetStats counts devices by state and connectivity.
func (c *Client) FleetStats(ctx context.Context, f deviceops.DeviceFilter) (deviceops.FleetStats, error) {
	return get[deviceops.FleetStats](ctx, c, "/v1/devices/stats", query("account", f.Account, "profile", f.Profile, "tag", f.Tag))
}

// FollowFleetStats gives the counts now and whenever they changed, until ctx
// ends or the connection breaks.
func (c *Client) FollowFleetStats(ctx context.Context, f deviceops.DeviceFilter) iter.Seq2[deviceops.FleetStats, error] {
	return follow[deviceops.FleetStats](ctx, c, call{
		path: "/v1/devices/stats/stream", query: query("account", f.Account, "profile", f.Profile, "tag", f.Tag),
	}, "stats")
}
