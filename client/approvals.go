package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/deviceops/deviceops"
)

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
