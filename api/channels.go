package api

import (
	"context"
	"net/http"

	"github.com/deviceops/deviceops"
)

type channelService struct{ *core }

func (s *server) channelRoutes(c channelService) {
	handle(s, route{
		id: "list-channels", method: http.MethodGet, path: "/v1/channels", role: deviceops.RoleViewer,
		summary: "List the channels that an account can use",
	}, c.list)
	handle(s, route{
		id: "get-channel", method: http.MethodGet, path: "/v1/channels/{name}", role: deviceops.RoleViewer,
		summary: "Show what a channel can do",
	}, c.get)
	handle(s, route{
		id: "test-channel", method: http.MethodPost, path: "/v1/channels/{name}/test", role: deviceops.RoleOperator,
		summary: "Send a notification and tell what became of it", about: "It is sent at once, past the queue and the limit.",
	}, c.test)
	handle(s, route{
		id: "list-notices", method: http.MethodGet, path: "/v1/notices", role: deviceops.RoleViewer,
		summary: "List notifications, newest first", about: "With status=dead: those that were given up.",
	}, c.notices)
	handle(s, route{
		id: "redrive-notices", method: http.MethodPost, path: "/v1/channels/{name}/redrive", role: deviceops.RoleOperator,
		summary: "Send notifications again that were given up",
	}, c.redrive)
}

// channels gives the port, for installations that have one.
func (c channelService) channels() (deviceops.Channels, error) {
	if c.Channels == nil {
		return nil, deviceops.Errorf(deviceops.EUNAVAILABLE, "this process reaches no channels")
	}
	return c.Channels, nil
}

// AccountQuery is the part of an input that names the account to look from.
type AccountQuery struct {
	Account string `query:"account" doc:"The account to look from. Default: the caller's"`
}

func (c channelService) list(ctx context.Context, p deviceops.Principal, in *AccountQuery) (page[deviceops.ChannelReport], error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return page[deviceops.ChannelReport]{}, err
	}
	documents, err := c.Store.ListDocuments(ctx, account, deviceops.KindChannel)
	if err != nil {
		return page[deviceops.ChannelReport]{}, err
	}
	reports := []deviceops.ChannelReport{}
	for _, d := range documents {
		report, err := c.report(ctx, d.Account, d.Name)
		if err != nil {
			return page[deviceops.ChannelReport]{}, err
		}
		reports = append(reports, report)
	}
	return page[deviceops.ChannelReport]{Items: reports}, nil
}

// report describes a channel; one that this version cannot use says why.
func (c channelService) report(ctx context.Context, account, name string) (deviceops.ChannelReport, error) {
	channels, err := c.channels()
	if err != nil {
		return deviceops.ChannelReport{}, err
	}
	info, err := channels.Describe(ctx, account, name)
	if deviceops.ErrorCode(err) == deviceops.EINVALID {
		return deviceops.ChannelReport{
			ChannelInfo: deviceops.ChannelInfo{Name: name, Account: account, Operations: []string{}}, Fault: deviceops.ErrorMessage(err),
		}, nil
	}
	return deviceops.ChannelReport{ChannelInfo: info}, err
}

// ChannelPath is the part of an input that names a channel.
type ChannelPath struct {
	AccountQuery
	Name string `path:"name" maxLength:"64"`
}

func (c channelService) get(ctx context.Context, p deviceops.Principal, in *ChannelPath) (deviceops.ChannelReport, error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return deviceops.ChannelReport{}, err
	}
	return c.report(ctx, account, in.Name)
}

type channelTestInput struct {
	Reasoned
	ChannelPath
	Body deviceops.ChannelTest
}

// test sends a notification. That the other system says no is the answer, not a
// failure of the request.
func (c channelService) test(ctx context.Context, p deviceops.Principal, in *channelTestInput) (deviceops.ChannelTestReport, error) {
	report, err := c.get(ctx, p, &in.ChannelPath)
	switch {
	case err != nil:
		return deviceops.ChannelTestReport{}, err
	case report.Fault != "":
		return deviceops.ChannelTestReport{Code: deviceops.EINVALID, Error: report.Fault}, nil
	}
	account, _ := scope(p, in.Account) // get has asked
	_, err = c.Channels.Call(ctx, deviceops.ChannelCall{
		ID: keyed(p, "test", ""), Account: account, Channel: in.Name, Operation: deviceops.ChannelNotify,
		Args: map[string]any{"title": "Test of the channel " + in.Name, "text": in.Body.Text, "severity": "info", "key": "test", "more": 0},
	})
	audit := c.Store.AppendAudit(ctx, c.entry(p, change{
		account: account, action: "channel.test", target: "channel:" + in.Name, reason: in.Reason,
		evidence: map[string]any{"delivered": err == nil},
	}))
	return deviceops.ChannelTestReport{Delivered: err == nil, Code: deviceops.ErrorCode(err), Error: deviceops.ErrorMessage(err)}, audit
}

type noticeFilter struct {
	Paged
	Account string `query:"account" doc:"This account and all below it"`
	Channel string `query:"channel"`
	Status  string `query:"status" enum:"pending,sent,folded,dead"`
}

func (c channelService) notices(ctx context.Context, p deviceops.Principal, in *noticeFilter) (page[deviceops.Notice], error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return page[deviceops.Notice]{}, err
	}
	after, err := in.after()
	if err != nil {
		return page[deviceops.Notice]{}, err
	}
	rows, err := c.Store.ListNotices(ctx, deviceops.NoticeFilter{
		Account: account, Channel: in.Channel, Status: deviceops.NoticeStatus(in.Status), After: after, Limit: in.Limit + 1,
	})
	return pageOf(rows, in.Limit, func(n deviceops.Notice) string { return n.ID }), err
}

type redriveInput struct {
	Reasoned
	ChannelPath
	Body deviceops.RedriveRequest
}

func (c channelService) redrive(ctx context.Context, p deviceops.Principal, in *redriveInput) (report deviceops.RedriveReport, err error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return report, err
	}
	err = c.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		n, err := tx.RedriveNotices(ctx, account, in.Name, in.Body.IDs, c.Now())
		report.Redriven = n
		switch {
		case err != nil:
			return err
		case n == 0 && len(in.Body.IDs) > 0:
			return deviceops.Errorf(deviceops.ENOTFOUND, "channel %s gave up no such notification: deviceops channels dead-letters %s lists those that it did", in.Name, in.Name)
		case n == 0:
			return nil
		}
		return tx.AppendAudit(ctx, c.entry(p, change{
			account: account, action: "channel.redrive", target: "channel:" + in.Name, reason: in.Reason, evidence: map[string]any{"redriven": n},
		}))
	})
	return report, err
}
