package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

const deskYAML = "channel: desk\nurl: http://127.0.0.1:1\nnotify: { request: { path: /in, json: { text: \"${{ args.text }}\" } } }\n"

func TestChannels(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.as(anna, http.MethodPost, "/v1/documents:apply", deskYAML)
	var list struct{ Items []deviceops.ChannelReport }
	r.as(victor, http.MethodGet, "/v1/channels", nil).into(&list)
	require.Len(t, list.Items, 1)
	require.Equal(t, "desk", list.Items[0].Name)
	require.Equal(t, []string{"notify"}, list.Items[0].Operations)
	var one deviceops.ChannelReport
	r.as(victor, http.MethodGet, "/v1/channels/desk?account=acme/emea", nil).into(&one)
	require.Equal(t, "acme", one.Account, "those below use it too")
	r.as(stranger, http.MethodGet, "/v1/channels/desk", nil).refused(404, deviceops.ENOTFOUND)

	var tried deviceops.ChannelTestReport
	r.as(olga, http.MethodPost, "/v1/channels/desk/test", deviceops.ChannelTest{Text: "hello"}).into(&tried)
	require.False(t, tried.Delivered)
	require.Equal(t, deviceops.EFORBIDDEN, tried.Code, tried.Error)
	require.Contains(t, tried.Error, "private or reserved network")
	require.Equal(t, "channel.test", r.audited("channel:desk").Action)
	r.as(victor, http.MethodPost, "/v1/channels/desk/test", deviceops.ChannelTest{Text: "hello"}).refused(403, deviceops.EFORBIDDEN)
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, id := range []string{"n1", "n2"} {
		n := deviceops.Notice{ID: id, Account: "acme/emea", Channel: "desk", Key: id, Text: "dark", Severity: "info", QueuedAt: now}
		require.NoError(t, r.store.QueueNotice(t.Context(), n, deviceops.DefaultNoticeLimit))
		n.Attempted(deviceops.Errorf(deviceops.EREJECTED, "no such room"), now)
		require.NoError(t, r.store.SaveNotice(t.Context(), n))
	}
	var page struct {
		Items []deviceops.Notice
		Next  string
	}
	r.as(victor, http.MethodGet, "/v1/notices?status=dead&channel=desk&limit=1", nil).into(&page)
	require.Len(t, page.Items, 1)
	require.Equal(t, "no such room", page.Items[0].Error)
	r.as(victor, http.MethodGet, "/v1/notices?status=dead&channel=desk&limit=1&cursor="+page.Next, nil).into(&page)
	require.Equal(t, "n1", page.Items[0].ID)
	r.as(stranger, http.MethodGet, "/v1/notices", nil).into(&page)
	require.Empty(t, page.Items)

	var done deviceops.RedriveReport
	r.as(stranger, http.MethodPost, "/v1/channels/desk/redrive", deviceops.RedriveRequest{}).into(&done)
	require.Zero(t, done.Redriven)
	r.as(olga, http.MethodPost, "/v1/channels/desk/redrive", deviceops.RedriveRequest{IDs: []string{"n1"}}).into(&done)
	require.Equal(t, 1, done.Redriven)
	r.as(olga, http.MethodPost, "/v1/channels/desk/redrive", deviceops.RedriveRequest{}, "X-Reason", "the room is back").into(&done)
	require.Equal(t, 1, done.Redriven)
	require.Equal(t, "the room is back", r.audited("channel:desk").Reason)
	problem := r.as(olga, http.MethodPost, "/v1/channels/desk/redrive", deviceops.RedriveRequest{IDs: []string{"n1"}}).refused(404, deviceops.ENOTFOUND)
	require.Contains(t, problem, "channel desk gave up no such notification")
}
