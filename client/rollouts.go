package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/deviceops/deviceops"
)

// CreateRollout creates a rollout and starts it. A manifest that is refused is
// no error: the answer says so. ECONFLICT if the name is taken by another one.
func (c *Client) CreateRollout(ctx context.Context, r deviceops.RolloutRequest) (deviceops.RolloutCreated, error) {
	return do[deviceops.RolloutCreated](ctx, c, call{method: http.MethodPost, path: "/v1/rollouts", body: r})
}

// PreviewRollout tells what a manifest would do; nothing is stored.
func (c *Client) PreviewRollout(ctx context.Context, r deviceops.RolloutRequest) (deviceops.RolloutPreviewed, error) {
	return do[deviceops.RolloutPreviewed](ctx, c, call{method: http.MethodPost, path: "/v1/rollouts:preview", body: r})
}

// ListRollouts gives rollouts without rings, newest first. f.After is not used;
// cursor is.
func (c *Client) ListRollouts(ctx context.Context, f deviceops.RolloutFilter, cursor string) (Page[deviceops.Rollout], error) {
	return get[Page[deviceops.Rollout]](ctx, c, "/v1/rollouts", query(
		"account", f.Account, "name", f.Name, "status", f.Status, "open", f.Open, "limit", f.Limit, "cursor", cursor))
}

// Rollout gives what there is to see of a rollout, by name or id. ENOTFOUND.
func (c *Client) Rollout(ctx context.Context, name string) (deviceops.RolloutReport, error) {
	return get[deviceops.RolloutReport](ctx, c, rolloutPath(name), nil)
}

// RolloutDevices gives the rows of a rollout, by device; ring is the name or
// index of a ring, "" all. f.Rollout, f.Ring and f.After are not used; cursor
// is. ENOTFOUND.
func (c *Client) RolloutDevices(ctx context.Context, name, ring string, f deviceops.RolloutDeviceFilter, cursor string) (Page[deviceops.RolloutDevice], error) {
	return get[Page[deviceops.RolloutDevice]](ctx, c, rolloutPath(name)+"/devices",
		query("ring", ring, "status", f.Status, "wait", f.Wait, "limit", f.Limit, "cursor", cursor))
}

// ControlRollout acts on a rollout. key, if not empty, makes repeats harmless.
// ENOTFOUND, ECONFLICT when it is not in a state for that, EINVALID.
func (c *Client) ControlRollout(ctx context.Context, name string, r deviceops.RolloutControlRequest, key string) (deviceops.RolloutControlled, error) {
	return do[deviceops.RolloutControlled](ctx, c, call{method: http.MethodPost, path: rolloutPath(name) + "/control", body: r, key: key})
}

// FollowRollout gives a rollout now and whenever it changed, until it has ended.
func (c *Client) FollowRollout(ctx context.Context, name string) iter.Seq2[deviceops.RolloutReport, error] {
	return follow[deviceops.RolloutReport](ctx, c, call{path: rolloutPath(name) + "/stream"}, "rollout")
}

// ExplainRollout tells what a device waits for in a rollout, or what became of
// it. ENOTFOUND.
func (c *Client) ExplainRollout(ctx context.Context, name, device string) (deviceops.Explanation, error) {
	return get[deviceops.Explanation](ctx, c, rolloutPath(name)+"/devices/"+url.PathEscape(device)+"/explain", nil)
}

// Freeze lets nothing leave an account until Thaw. ECONFLICT.
func (c *Client) Freeze(ctx context.Context, r deviceops.FreezeRequest) (deviceops.Freeze, error) {
	return do[deviceops.Freeze](ctx, c, call{method: http.MethodPost, path: "/v1/freezes", body: r})
}

// Thaw ends a freeze. account "" is the caller's own. ENOTFOUND.
func (c *Client) Thaw(ctx context.Context, account, reason string) (deviceops.Freeze, error) {
	return do[deviceops.Freeze](ctx, c, call{method: http.MethodPost, path: "/v1/freezes:thaw", body: deviceops.FreezeRequest{Account: account, Reason: reason}})
}

// Freezes gives the freezes that bind an account; "" is the caller's own.
func (c *Client) Freezes(ctx context.Context, account string) (Page[deviceops.Freeze], error) {
	return get[Page[deviceops.Freeze]](ctx, c, "/v1/freezes", query("account", account))
}

func rolloutPath(name string) string { return "/v1/rollouts/" + url.PathEscape(name) }
