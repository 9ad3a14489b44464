package channel_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/channel"
	"github.com/deviceops/deviceops/channel/channeltest"
	"github.com/deviceops/deviceops/outbound"
)

// The same refusals mean the same for every system.
func TestRefusals(t *testing.T) {
	t.Parallel()
	jira := channeltest.Jira(t)
	now := time.Now()
	c := channelsAt(channeltest.Source{"jira": channeltest.Document(t, "jira", jira.URL)}, func() time.Time { return now })
	open := deviceops.ChannelCall{ID: "e1", Account: "acme", Channel: "jira", Operation: deviceops.ChannelOpen, Ticket: problem}
	for _, refused := range []struct {
		status int
		after  string
		code   string
		delay  time.Duration
	}{
		{429, "120", deviceops.EUNAVAILABLE, 2 * time.Minute},
		{429, "", deviceops.EUNAVAILABLE, 0},
		{503, "7", deviceops.EUNAVAILABLE, 7 * time.Second},
		{503, "86400", deviceops.EUNAVAILABLE, time.Hour},
		{500, "", deviceops.EUNAVAILABLE, 0},
		{403, "60", deviceops.EUNAVAILABLE, time.Minute},
		{401, "", deviceops.EFORBIDDEN, 0},
		{403, "", deviceops.EFORBIDDEN, 0},
		{400, "", deviceops.EREJECTED, 0},
		{404, "", deviceops.EREJECTED, 0},
	} {
		jira.Refuse(refused.status, refused.after)
		_, err := c.Call(t.Context(), open)
		require.Equal(t, refused.code, deviceops.ErrorCode(err), "%d: %v", refused.status, err)
		require.Equal(t, refused.delay, deviceops.RetryDelay(err), "%d: %v", refused.status, err)
		require.Contains(t, err.Error(), "channel jira: the system answered ")
		now = now.Add(refused.delay)
	}
	require.Len(t, jira.Calls(), 10, "a call asks once; trying again is the caller's")
	require.Empty(t, jira.Tickets())

	jira.Secret = "another-password"
	_, err := c.Call(t.Context(), open)
	require.Equal(t, deviceops.EFORBIDDEN, deviceops.ErrorCode(err))
	require.Contains(t, err.Error(), "401 Unauthorized")
	require.NotContains(t, err.Error(), channeltest.Secret)

	open.Operation = "ticket.split"
	_, err = c.Call(t.Context(), open)
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
	require.Contains(t, err.Error(), "it can do ticket.close, ticket.comment")
	open.Channel = "other"
	_, err = c.Call(t.Context(), open)
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))
}

func TestSlackSaysNoWithOK(t *testing.T) {
	t.Parallel()
	slack := channeltest.Slack(t)
	slack.Secret = "xoxb-other"
	c := channels(channeltest.Source{"slack": channeltest.Document(t, "slack", slack.URL)})
	_, err := c.Call(t.Context(), deviceops.ChannelCall{Account: "acme", Channel: "slack", Operation: deviceops.ChannelOpen, Ticket: problem})
	require.Equal(t, deviceops.EREJECTED, deviceops.ErrorCode(err))
	require.Contains(t, err.Error(), "invalid_auth")
}

func TestPrivateNetworksAreOutOfReach(t *testing.T) {
	t.Parallel()
	jira := channeltest.Jira(t)
	c := channel.New(channel.Config{
		Source: channeltest.Source{"jira": channeltest.Document(t, "jira", jira.URL)}, Guard: outbound.NewGuard(nil), Secrets: channeltest.Secrets{},
	})
	_, err := c.Call(t.Context(), deviceops.ChannelCall{Account: "acme", Channel: "jira", Operation: deviceops.ChannelOpen, Ticket: problem})
	require.Equal(t, deviceops.EFORBIDDEN, deviceops.ErrorCode(err))
	require.Contains(t, err.Error(), "private or reserved network")
	require.Empty(t, jira.Calls())
}

// custom gives the document of a channel that notifies a server.
func custom(url, rest string) channeltest.Source {
	return channeltest.Source{"x": "channel: x\nurl: " + url + "\n" + rest + "\nnotify: { request: { path: /in, json: { text: \"${{ args.text }}\" } } }\n"}
}

var notice = deviceops.ChannelCall{ID: "n1", Account: "acme", Channel: "x", Operation: deviceops.ChannelNotify, Args: map[string]any{"text": "hello"}}

func TestCredentials(t *testing.T) {
	t.Parallel()
	for rest, check := range map[string]func(r *http.Request, body string) bool{
		"auth: { bearer: secret:a }": func(r *http.Request, _ string) bool {
			return r.Header.Get("Authorization") == "Bearer "+channeltest.Secret
		},
		"auth: { header: { name: X-Key, value: secret:a } }": func(r *http.Request, _ string) bool { return r.Header.Get("X-Key") == channeltest.Secret },
		"auth: { query: { name: key, value: secret:a } }":    func(r *http.Request, _ string) bool { return r.URL.Query().Get("key") == channeltest.Secret },
		"auth: { json: { name: key, value: secret:a } }": func(_ *http.Request, body string) bool {
			return body == `{"key":"`+channeltest.Secret+`","text":"hello"}`
		},
		"headers: { X-From: us }": func(r *http.Request, body string) bool {
			return r.Header.Get("X-From") == "us" && body == `{"text":"hello"}`
		},
		"auth: { basic: { username: bot, password: \"secret:a#b\" } }": func(r *http.Request, _ string) bool {
			u, p, _ := r.BasicAuth()
			return u == "bot" && p == channeltest.Secret
		},
	} {
		var right atomic.Bool
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body := new(strings.Builder)
			_, _ = readAll(body, r)
			right.Store(check(r, body.String()))
			http.Error(w, "you sent "+r.Header.Get("Authorization")+r.Header.Get("X-Key")+r.URL.RawQuery+body.String(), http.StatusTeapot)
		}))
		_, err := channels(custom(server.URL, rest)).Call(t.Context(), notice)
		server.Close()
		require.True(t, right.Load(), rest)
		require.Equal(t, deviceops.EREJECTED, deviceops.ErrorCode(err), rest)
		require.NotContains(t, err.Error(), channeltest.Secret, "a system that repeats the secret does not give it away: %s", rest)
	}
}

func TestOAuth2(t *testing.T) {
	t.Parallel()
	var granted, refused atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if id != "ops" || secret != channeltest.Secret || r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "tickets" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		n := granted.Add(1)
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "token-number-" + string('0'+rune(n)), "token_type": "Bearer", "expires_in": 3600})
	})
	mux.HandleFunc("POST /in", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer token-number-1" && granted.Load() == 1 && refused.Load() == 1 {
			refused.Store(2) // it was taken back
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	c := channels(custom(server.URL, `auth: { oauth2: { token_url: "`+server.URL+`/token", client_id: ops, client_secret: secret:a, scope: tickets } }`))
	for range 3 {
		_, err := c.Call(t.Context(), notice)
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, granted.Load(), "a token is kept until it lapses")
	refused.Store(1)
	_, err := c.Call(t.Context(), notice)
	require.NoError(t, err, "a token that was taken back is renewed")
	require.EqualValues(t, 2, granted.Load())
}

func TestSecretAddress(t *testing.T) {
	t.Parallel()
	var got atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got.Store(r.URL.Path) }))
	defer server.Close()
	c := channel.New(channel.Config{Source: custom("secret:hooks/room", ""), Guard: loopback, Secrets: secretText(server.URL + "/T0/B0/abcdefgh\n")})
	_, err := c.Call(t.Context(), notice)
	require.NoError(t, err)
	require.Equal(t, "/T0/B0/abcdefgh/in", got.Load())
	server.Close()
	_, err = c.Call(t.Context(), notice)
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(err))
	require.NotContains(t, err.Error(), "abcdefgh")
}
