package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/deviceops/deviceops"
)

// Channels gives the channels that an account can use; "" is the caller's own.
func (c *Client) Channels(ctx context.Context, account string) (Page[deviceops.ChannelReport], error) {
	return get[Page[deviceops.ChannelReport]](ctx, c, "/v1/channels", query("account", account))
}

// Channel tells what a channel can do. ENOTFOUND.
func (c *Client) Channel(ctx context.Context, account, name string) (deviceops.ChannelReport, error) {
	return get[deviceops.ChannelReport](ctx, c, "/v1/channels/"+url.PathEscape(name), query("account", account))
}

// TestChannel sends a notification at once. ENOTFOUND. That the other system says
// no is in the report.
func (c *Client) TestChannel(ctx context.Context, account, name, text, reason string) (deviceops.ChannelTestReport, error) {
	return do[deviceops.ChannelTestReport](ctx, c, call{
		method: http.MethodPost, path: "/v1/channels/" + url.PathEscape(name) + "/test", query: query("account", account),
		body: deviceops.ChannelTest{Text: text}, reason: reason,
	})
}

// ListNotices gives notifications, newest first. f.After is not used; cursor is.
func (c *Client) ListNotices(ctx context.Context, f deviceops.NoticeFilter, cursor string) (Page[deviceops.Notice], error) {
	return get[Page[deviceops.Notice]](ctx, c, "/v1/notices", query(
		"account", f.Account, "channel", f.Channel, "status", f.Status, "limit", f.Limit, "cursor", cursor))
}

// RedriveNotices sends notifications of a channel again that were given up: those
// with the ids, or all.
func (c *Client) RedriveNotices(ctx context.Context, account, name string, ids []string, reason string) (deviceops.RedriveReport, error) {
	return do[deviceops.RedriveReport](ctx, c, call{
		method: http.MethodPost, path: "/v1/channels/" + url.PathEscape(name) + "/redrive", query: query("account", account),
		body: deviceops.RedriveRequest{IDs: ids}, reason: reason,
	})
}
