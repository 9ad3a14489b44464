package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/deviceops/deviceops"
)

// StartRun runs a workflow. key, if not empty, makes repeats harmless.
// ENOTFOUND, EINVALID.
func (c *Client) StartRun(ctx context.Context, r deviceops.RunRequest, key string) (deviceops.Run, error) {
	return do[deviceops.Run](ctx, c, call{method: http.MethodPost, path: "/v1/runs", body: r, key: key})
}

// ListRuns gives runs without steps, newest first. f.After is not used; cursor
// is.
func (c *Client) ListRuns(ctx context.Context, f deviceops.RunFilter, cursor string) (Page[deviceops.Run], error) {
	return get[Page[deviceops.Run]](ctx, c, "/v1/runs", query(
		"account", f.Account, "workflow", f.Workflow, "device", f.Device, "status", f.Status, "limit", f.Limit, "cursor", cursor))
}

// Run gives a run with its steps. ENOTFOUND.
func (c *Client) Run(ctx context.Context, id string) (deviceops.Run, error) {
	return get[deviceops.Run](ctx, c, "/v1/runs/"+url.PathEscape(id), nil)
}

// RunGraph draws a run as "svg" or "text". ENOTFOUND.
func (c *Client) RunGraph(ctx context.Context, id, format string) (string, error) {
	return c.text(ctx, "/v1/runs/"+url.PathEscape(id)+"/graph", query("format", format))
}

// CancelRun asks a run to end. ENOTFOUND, ECONFLICT.
func (c *Client) CancelRun(ctx context.Context, id, reason string) (deviceops.Run, error) {
	return c.controlRun(ctx, id, "cancel", reason, "")
}

// PauseRun has a run begin no steps until it is resumed. key, if not empty, makes
// repeats harmless. ENOTFOUND; ECONFLICT when it has ended or is paused already.
func (c *Client) PauseRun(ctx context.Context, id, reason, key string) (deviceops.Run, error) {
	return c.controlRun(ctx, id, "pause", reason, key)
}

// ResumeRun lets a paused run go on. key, if not empty, makes repeats harmless.
// ENOTFOUND; ECONFLICT when it has ended or is not paused.
func (c *Client) ResumeRun(ctx context.Context, id, reason, key string) (deviceops.Run, error) {
	return c.controlRun(ctx, id, "resume", reason, key)
}

func (c *Client) controlRun(ctx context.Context, id, what, reason, key string) (deviceops.Run, error) {
	return do[deviceops.Run](ctx, c, call{method: http.MethodPost, path: "/v1/runs/" + url.PathEscape(id) + "/" + what, reason: reason, key: key})
}

// FollowRun gives a run now and whenever it changed, until it has ended.
func (c *Client) FollowRun(ctx context.Context, id string) iter.Seq2[deviceops.Run, error] {
	return follow[deviceops.Run](ctx, c, call{path: "/v1/runs/" + url.PathEscape(id) + "/stream"}, "run")
}

// RerunRun starts a run that goes on with one that did not succeed. key, if not
// empty, makes repeats harmless. ENOTFOUND; ECONFLICT when the run has not ended;
// EINVALID says what cannot be copied, and where to begin instead.
func (c *Client) RerunRun(ctx context.Context, id string, r deviceops.RerunRequest, key string) (deviceops.Run, error) {
	return do[deviceops.Run](ctx, c, call{method: http.MethodPost, path: "/v1/runs/" + url.PathEscape(id) + "/rerun", body: r, key: key})
}
