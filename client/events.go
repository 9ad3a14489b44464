package client

import (
	"context"
	"iter"
	"net/http"
	"strconv"

	"github.com/deviceops/deviceops"
)

// ListEvents gives the newest events, newest first, or with a cursor those
// after it, oldest first. The cursor of a page never ends: repeat it to follow.
func (c *Client) ListEvents(ctx context.Context, f deviceops.EventFilter, cursor string) (Page[deviceops.Event], error) {
	return get[Page[deviceops.Event]](ctx, c, "/v1/events", query(
		"account", f.Account, "device", f.Device, "type", f.Type, "since", f.Since, "limit", f.Limit, "cursor", cursor))
}

// Event gives an event. ENOTFOUND.
func (c *Client) Event(ctx context.Context, id int64) (deviceops.Event, error) {
	return get[deviceops.Event](ctx, c, "/v1/events/"+strconv.FormatInt(id, 10), nil)
}

// FollowEvents gives events as they come in: those after f.After, or from now
// on if that is 0.
func (c *Client) FollowEvents(ctx context.Context, f deviceops.EventFilter) iter.Seq2[deviceops.Event, error] {
	k := call{path: "/v1/events/stream", query: query("account", f.Account, "device", f.Device, "type", f.Type)}
	if f.After > 0 {
		k.lastID = strconv.FormatInt(f.After, 10)
	}
	return follow[deviceops.Event](ctx, c, k, "event")
}

// ListRejected gives messages that were not taken, newest first, and counts.
// EFORBIDDEN outside the account root.
func (c *Client) ListRejected(ctx context.Context, f deviceops.RejectedFilter, limit int) (deviceops.RejectedReport, error) {
	return get[deviceops.RejectedReport](ctx, c, "/v1/events/rejected", query("code", f.Code, "topic", f.Topic, "device", f.Device, "limit", limit))
}

// ReplayRejected has rejected messages taken in again. EFORBIDDEN outside the
// account root.
func (c *Client) ReplayRejected(ctx context.Context, r deviceops.RejectedReplay) (deviceops.RejectedReplayReport, error) {
	return do[deviceops.RejectedReplayReport](ctx, c, call{method: http.MethodPost, path: "/v1/events/rejected:replay", body: r})
}

// ListAudit gives audit entries, newest first. f.Before is not used; cursor is.
func (c *Client) ListAudit(ctx context.Context, f deviceops.AuditFilter, cursor string) (Page[deviceops.AuditEntry], error) {
	return get[Page[deviceops.AuditEntry]](ctx, c, "/v1/audit", query(
		"account", f.Account, "target", f.Target, "actor", f.Actor, "limit", f.Limit, "cursor", cursor))
}

// ListAccounts gives the caller's account and those below it.
func (c *Client) ListAccounts(ctx context.Context) (Page[deviceops.Account], error) {
	return get[Page[deviceops.Account]](ctx, c, "/v1/accounts", nil)
}

// CreateAccount creates an account. EINVALID, ENOTFOUND if its parent is not
// there.
func (c *Client) CreateAccount(ctx context.Context, r deviceops.AccountRequest) (deviceops.Account, error) {
	return do[deviceops.Account](ctx, c, call{method: http.MethodPost, path: "/v1/accounts", body: r})
}
