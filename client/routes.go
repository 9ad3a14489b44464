package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/deviceops/deviceops"
)

// Routes gives routes with how far their targets have come. account "" is the
// caller's own.
func (c *Client) Routes(ctx context.Context, account string) (Page[deviceops.RouteStatus], error) {
	return get[Page[deviceops.RouteStatus]](ctx, c, "/v1/routes", query("account", account))
}

// Route gives a route with how far its targets have come. ENOTFOUND.
func (c *Client) Route(ctx context.Context, account, name string) (deviceops.RouteStatus, error) {
	return get[deviceops.RouteStatus](ctx, c, routePath(name, ""), query("account", account))
}

// PauseRoute stops a route, or one target of it. ENOTFOUND.
func (c *Client) PauseRoute(ctx context.Context, account, name string, r deviceops.RouteRequest) (deviceops.RouteStatus, error) {
	return do[deviceops.RouteStatus](ctx, c, call{method: http.MethodPost, path: routePath(name, "/pause"), query: query("account", account), body: r})
}

// ResumeRoute lets a paused route, or one target of it, go on. ENOTFOUND.
func (c *Client) ResumeRoute(ctx context.Context, account, name string, r deviceops.RouteRequest) (deviceops.RouteStatus, error) {
	return do[deviceops.RouteStatus](ctx, c, call{method: http.MethodPost, path: routePath(name, "/resume"), query: query("account", account), body: r})
}

// DeadLetters gives the events that a target of a route would not take; target ""
// means any. ENOTFOUND.
func (c *Client) DeadLetters(ctx context.Context, account, name, target string, limit int, cursor string) (Page[deviceops.DeadLetter], error) {
	return get[Page[deviceops.DeadLetter]](ctx, c, routePath(name, "/dead-letters"),
		query("account", account, "target", target, "limit", limit, "cursor", cursor))
}

// ReplayRoute has dead letters tried again. ENOTFOUND.
func (c *Client) ReplayRoute(ctx context.Context, account, name string, r deviceops.RouteRequest) (deviceops.RouteLetters, error) {
	return do[deviceops.RouteLetters](ctx, c, call{method: http.MethodPost, path: routePath(name, "/replay"), query: query("account", account), body: r})
}

// DiscardDeadLetters has dead letters forgotten. ENOTFOUND.
func (c *Client) DiscardDeadLetters(ctx context.Context, account, name string, r deviceops.RouteRequest) (deviceops.RouteLetters, error) {
	return do[deviceops.RouteLetters](ctx, c, call{method: http.MethodPost, path: routePath(name, "/discard"), query: query("account", account), body: r})
}

func routePath(name, verb string) string { return "/v1/routes/" + url.PathEscape(name) + verb }
