package client_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

// serve gives a client of a server that answers everything with h.
func serve(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return client.New(server.URL+"/", "s3cret")
}

func TestRequests(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		call func(c *client.Client) error
		want string // method, path with query, headers that matter, body
	}{
		"list": {func(c *client.Client) error {
			_, err := c.ListDevices(t.Context(), deviceops.DeviceFilter{State: deviceops.Active, Tag: "a b", Limit: 5}, "abc")
			return err
		}, "GET /v1/devices?cursor=abc&limit=5&state=active&tag=a+b  "},
		"escaped id": {func(c *client.Client) error {
			_, err := c.Decide(t.Context(), "run-1/ok", deviceops.DecideRequest{Approve: true, Comment: "go"})
			return err
		}, `POST /v1/approvals/run-1%2Fok/decide  {"approve":true,"comment":"go"}`},
		"delegation": {func(c *client.Client) error {
			_, err := c.Delegate(t.Context(), "run-1/ok", deviceops.DelegateRequest{To: []string{"user:maria"}, Reason: "on leave"})
			return err
		}, `POST /v1/approvals/run-1%2Fok/delegate  {"to":["user:maria"],"reason":"on leave"}`},
		"emergency": {func(c *client.Client) error {
			_, err := c.BreakGlass(t.Context(), "run-1/ok", deviceops.BreakGlassRequest{Reason: "fire"})
			return err
		}, `POST /v1/approvals/run-1%2Fok/break-glass  {"reason":"fire"}`},
		"reason on one line": {func(c *client.Client) error {
			_, err := c.CancelRun(t.Context(), "run-1", "wrong\n site")
			return err
		}, "POST /v1/runs/run-1/cancel wrong site "},
		"command": {func(c *client.Client) error {
			_, err := c.SendCommand(t.Context(), "k1", deviceops.CommandRequest{Name: "reboot"}, 20*time.Second, "key")
			return err
		}, `POST /v1/devices/k1/commands?wait=20 key {"name":"reboot"}`},
		"version": {func(c *client.Client) error {
			_, err := c.Document(t.Context(), "", "workflow", "check", 3)
			return err
		}, "GET /v1/documents/workflow/check?version=3  "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := ""
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				asked = fmt.Sprintf("%s %s %s%s %s", r.Method, r.URL.RequestURI(), r.Header.Get("Idempotency-Key"), r.Header.Get("X-Reason"), body)
				if r.Header.Get("Authorization") != "Bearer s3cret" {
					w.WriteHeader(http.StatusUnauthorized)
				}
				_, _ = io.WriteString(w, "{}")
			})
			require.NoError(t, c.call(server))
			require.Equal(t, c.want, asked)
		})
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status        int
		body          string
		code, message string
	}{
		"problem":  {409, `{"title":"Conflict","status":409,"code":"conflict","detail":"it is taken"}`, deviceops.ECONFLICT, "it is taken"},
		"proxy":    {502, "<html>", deviceops.EUNAVAILABLE, "502 Bad Gateway"},
		"stranger": {404, "page not found", deviceops.EINTERNAL, "is 127.0.0.1"},
		"no JSON":  {200, "hello", deviceops.EINTERNAL, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			_, err := server.Whoami(t.Context())
			require.Equal(t, c.code, deviceops.ErrorCode(err))
			require.Contains(t, err.Error(), c.message)
		})
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	_, err := client.New("http://127.0.0.1:1", "").Whoami(t.Context())
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(err))
	require.Contains(t, err.Error(), "cannot reach http://127.0.0.1:1: dial tcp")
	_, err = client.New("://", "").Whoami(t.Context())
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
}

func TestFollow(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, ":\n\nid: "+r.Header.Get("Last-Event-ID")+"\nevent: event\ndata: {\"id\": 8,\ndata: \"type\": \"a\"}\n\n"+
			"event: other\ndata: 1\n\nevent: event\ndata: {\"id\": 9}\n\nevent: problem\ndata: {\"code\":\"unavailable\",\"detail\":\"gone\"}\n\n")
	})
	var ids []int64
	var last error
	for e, err := range server.FollowEvents(t.Context(), deviceops.EventFilter{After: 7}) {
		if last = err; err == nil {
			ids = append(ids, e.ID)
		}
	}
	require.Equal(t, []int64{8, 9}, ids)
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(last))

	for range server.FollowEvents(t.Context(), deviceops.EventFilter{}) {
		break // leaving early closes the stream
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "event: run\ndata: {\"id\":\"run-1\"}\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for run, err := range server.FollowRun(ctx, "run-1") {
		if last = err; err == nil {
			require.Equal(t, "run-1", run.ID)
			cancel()
		}
	}
	require.Equal(t, deviceops.ECANCELED, deviceops.ErrorCode(last))
}
