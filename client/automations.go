package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/deviceops/deviceops"
)

// ListAutomations gives the automations that an account can see, "" the caller's,
// with their status.
func (c *Client) ListAutomations(ctx context.Context, account string) (Page[deviceops.AutomationView], error) {
	return get[Page[deviceops.AutomationView]](ctx, c, "/v1/automations", query("account", account))
}

// Automation gives an automation with what it remembers and decided lately.
// ENOTFOUND.
func (c *Client) Automation(ctx context.Context, account, name string) (deviceops.AutomationDetail, error) {
	return get[deviceops.AutomationDetail](ctx, c, "/v1/automations/"+url.PathEscape(name), query("account", account))
}

// EnableAutomation lets an automation start runs again. ENOTFOUND, EFORBIDDEN.
func (c *Client) EnableAutomation(ctx context.Context, account, name, reason string) (deviceops.AutomationView, error) {
	return c.switchAutomation(ctx, account, name, "enable", reason)
}

// DisableAutomation lets an automation start nothing until it is enabled.
// ENOTFOUND, EFORBIDDEN.
func (c *Client) DisableAutomation(ctx context.Context, account, name, reason string) (deviceops.AutomationView, error) {
	return c.switchAutomation(ctx, account, name, "disable", reason)
}

func (c *Client) switchAutomation(ctx context.Context, account, name, what, reason string) (deviceops.AutomationView, error) {
	return do[deviceops.AutomationView](ctx, c, call{
		method: http.MethodPost, path: "/v1/automations/" + url.PathEscape(name) + "/" + what, query: query("account", account), reason: reason,
	})
}

// RunAutomation calls an automation whose trigger is manual, and gives what it
// decided. key, if not empty, makes repeats harmless. ENOTFOUND, EINVALID, ECONFLICT
// if it is disabled.
func (c *Client) RunAutomation(ctx context.Context, account, name string, r deviceops.AutomationRequest, key string) (deviceops.CallAnswer, error) {
	return do[deviceops.CallAnswer](ctx, c, call{
		method: http.MethodPost, path: "/v1/automations/" + url.PathEscape(name) + "/run", query: query("account", account), body: r, key: key,
	})
}

// ReplayAutomation tells what an automation would have started by the events that
// came in since a time. Nothing is started. ENOTFOUND, EINVALID.
func (c *Client) ReplayAutomation(ctx context.Context, account, name string, since time.Time) (deviceops.AutomationReplayed, error) {
	return do[deviceops.AutomationReplayed](ctx, c, call{
		method: http.MethodPost, path: "/v1/automations/" + url.PathEscape(name) + "/replay", query: query("account", account), body: deviceops.ReplayRequest{Since: since},
	})
}

// ExplainEvent tells why an event did, or did not, start runs. ENOTFOUND.
func (c *Client) ExplainEvent(ctx context.Context, id int64) (deviceops.EventExplanation, error) {
	return get[deviceops.EventExplanation](ctx, c, "/v1/events/"+strconv.FormatInt(id, 10)+"/explain", nil)
}
