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
	return do[deviceops.Run](ctx, c, call{method: http.MethodPost, path: "/v1/runs/" + url.PathEscape(id) + "/cancel", reason: reason})
}

// FollowRun gives a run now and whenever it changed, until it has ended.
func (c *Client) FollowRun(ctx context.Context, id string) iter.Seq2[deviceops.Run, error] {
	return follow[deviceops.Run](ctx, c, call{path: "/v1/runs/" + url.PathEscape(id) + "/stream"}, "run")
}

// ListApprovals gives approvals, newest first; empty fields select all.
func (c *Client) ListApprovals(ctx context.Context, account string, status deviceops.ApprovalStatus, device string, limit int) (Page[deviceops.Approval], error) {
	return get[Page[deviceops.Approval]](ctx, c, "/v1/approvals", query("account", account, "status", status, "device", device, "limit", limit))
}

// Approval gives an approval. ENOTFOUND.
func (c *Client) Approval(ctx context.Context, id string) (deviceops.Approval, error) {
	return get[deviceops.Approval](ctx, c, "/v1/approvals/"+url.PathEscape(id), nil)
}

// Decide answers an approval. ENOTFOUND, EFORBIDDEN, ECONFLICT when it has ended
// or the caller has decided, EINVALID when the form or a comment is missing.
func (c *Client) Decide(ctx context.Context, id string, r deviceops.DecideRequest) (deviceops.Approval, error) {
	return do[deviceops.Approval](ctx, c, call{method: http.MethodPost, path: "/v1/approvals/" + url.PathEscape(id) + "/decide", body: r})
}

// Delegate hands an open approval on: whom r names is asked besides. Codes are
// those of Decide.
func (c *Client) Delegate(ctx context.Context, id string, r deviceops.DelegateRequest) (deviceops.Approval, error) {
	return do[deviceops.Approval](ctx, c, call{method: http.MethodPost, path: "/v1/approvals/" + url.PathEscape(id) + "/delegate", body: r})
}

// BreakGlass approves in an emergency, for which the role break-glass and a
// reason are needed. Codes are those of Decide.
func (c *Client) BreakGlass(ctx context.Context, id string, r deviceops.BreakGlassRequest) (deviceops.Approval, error) {
	return do[deviceops.Approval](ctx, c, call{method: http.MethodPost, path: "/v1/approvals/" + url.PathEscape(id) + "/break-glass", body: r})
}
