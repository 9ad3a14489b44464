package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestAuthentication(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, c := range map[string]struct{ token, detail string }{
		"none":    {"", "send a token"},
		"unknown": {"guess", "not known"},
		"expired": {expired, "expired"},
	} {
		a := r.as(c.token, http.MethodGet, "/v1/whoami", nil)
		require.Contains(t, a.refused(401, deviceops.EUNAUTHENTICATED), c.detail, name)
		require.Contains(t, a.header.Get("WWW-Authenticate"), "Bearer")
	}
	var who deviceops.Principal
	r.as(olga, http.MethodGet, "/v1/whoami", nil).into(&who)
	require.Equal(t, deviceops.Principal{Name: "user:olga", Account: "acme", Roles: []string{"operator"}}, who)
}

func TestRoles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.device("k1", "acme", deviceops.Active)
	for _, c := range []struct {
		token, method, path string
		body                any
	}{
		{victor, http.MethodPost, "/v1/devices", deviceops.RegisterRequest{ID: "k2", Profile: "kiosk"}},
		{victor, http.MethodPost, "/v1/devices/k1/tags", deviceops.TagRequest{Add: []string{"x"}}},
		{victor, http.MethodPost, "/v1/devices/k1/transition", deviceops.TransitionRequest{To: deviceops.Retired}},
		{victor, http.MethodPost, "/v1/devices/k1/commands", deviceops.CommandRequest{Name: "reboot"}},
		{victor, http.MethodPost, "/v1/runs", deviceops.RunRequest{Workflow: "check"}},
		{olga, http.MethodPost, "/v1/documents:apply", kioskYAML},
		{olga, http.MethodPost, "/v1/accounts", deviceops.AccountRequest{Path: "acme/x"}},
		{anna, http.MethodPost, "/v1/devices:import", "id\n"},
	} {
		r.as(c.token, c.method, c.path, c.body).refused(403, deviceops.EFORBIDDEN)
	}
}

// What lies in another account is answered like what does not exist.
func TestOtherAccountsAreNotFound(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.device("k1", "acme/emea", deviceops.Active)
	r.asks(func(*deviceops.Approval) {})
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{http.MethodGet, "/v1/devices/k1", nil},
		{http.MethodGet, "/v1/devices/k1/timeline", nil},
		{http.MethodGet, "/v1/devices/k1/explain", nil},
		{http.MethodGet, "/v1/devices/k1/commands", nil},
		{http.MethodPost, "/v1/devices/k1/tags", deviceops.TagRequest{Add: []string{"x"}}},
		{http.MethodPost, "/v1/devices/k1/transition", deviceops.TransitionRequest{To: deviceops.Retired}},
		{http.MethodPost, "/v1/devices/k1/commands", deviceops.CommandRequest{Name: "reboot"}},
		{http.MethodGet, "/v1/approvals/run-1%2Fok", nil},
		{http.MethodPost, "/v1/approvals/run-1%2Fok/decide", deviceops.DecideRequest{Approve: true}},
		{http.MethodPost, "/v1/approvals/run-1%2Fok/delegate", deviceops.DelegateRequest{To: []string{"user:eve"}}},
		{http.MethodGet, "/v1/devices?account=acme", nil},
		{http.MethodGet, "/v1/devices/stats/stream?account=acme", nil},
	} {
		got := r.as(stranger, c.method, c.path, c.body).refused(404, deviceops.ENOTFOUND)
		require.NotContains(t, got, "emea")
	}
	got := r.as(stranger, http.MethodGet, "/v1/devices/k1", nil).refused(404, deviceops.ENOTFOUND)
	none := r.as(stranger, http.MethodGet, "/v1/devices/k9", nil).refused(404, deviceops.ENOTFOUND)
	require.Equal(t, strings.ReplaceAll(none, "k9", "k1"), got)

	var page struct{ Items []deviceops.Device }
	r.as(stranger, http.MethodGet, "/v1/devices", nil).into(&page)
	require.Empty(t, page.Items)
	r.as(olga, http.MethodGet, "/v1/devices", nil).into(&page)
	require.Len(t, page.Items, 1, "acme sees what is below it")
	r.as(stranger, http.MethodGet, "/v1/events/rejected", nil).refused(403, deviceops.EFORBIDDEN)
}

func TestProblems(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, c := range map[string]struct {
		method, path string
		body         any
		status       int
		code, detail string
	}{
		"no route":      {http.MethodGet, "/v1/nothing", nil, 404, deviceops.ENOTFOUND, "/openapi.json"},
		"no JSON":       {http.MethodPost, "/v1/devices", "{", 400, deviceops.EINVALID, ""},
		"unknown field": {http.MethodPost, "/v1/devices", `{"id":"k1","profile":"kiosk","serail":"1"}`, 422, deviceops.EINVALID, "serail"},
		"bad value":     {http.MethodGet, "/v1/devices?state=lost", nil, 422, deviceops.EINVALID, "query.state"},
		"bad cursor":    {http.MethodGet, "/v1/devices?cursor=xyz", nil, 422, deviceops.EINVALID, "begin again"},
		"bad id":        {http.MethodPost, "/v1/devices", deviceops.RegisterRequest{ID: "a/b", Profile: "kiosk"}, 422, deviceops.EINVALID, "a/b"},
		"not found":     {http.MethodGet, "/v1/runs/run-1", nil, 404, deviceops.ENOTFOUND, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.as(root, c.method, c.path, c.body, "Content-Type", "application/json")
			require.Contains(t, a.refused(c.status, c.code), c.detail)
		})
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	require.Equal(t, 200, r.as("", http.MethodGet, "/healthz", nil).status)
	require.Equal(t, 200, r.as("", http.MethodGet, "/readyz", nil).status)
	r.gateway.mu.Lock()
	r.gateway.down = true
	r.gateway.mu.Unlock()
	ready := r.as("", http.MethodGet, "/readyz", nil)
	require.Equal(t, 503, ready.status)
	require.JSONEq(t, `{"ready": false, "checks": {"store": "ok", "gateway": "the broker does not answer"}}`, ready.body)
	r.as(root, http.MethodGet, "/v1/whoami", nil)
	require.Contains(t, r.as("", http.MethodGet, "/metrics", nil).body, `deviceops_api_request_seconds_count{method="GET",route="/v1/whoami",status="200"} 1`)
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Responses   map[string]any
			Description string
		}
	}
	a := r.as("", http.MethodGet, "/openapi.json", nil)
	require.NoError(t, json.Unmarshal([]byte(a.body), &doc))
	require.Equal(t, "3.1.0", doc.OpenAPI)
	for path, operations := range doc.Paths {
		for method, op := range operations {
			require.NotEmpty(t, op.OperationID, "%s %s", method, path)
			require.Contains(t, op.Responses, "default", "%s %s says nothing about errors", method, path)
			if op.OperationID == "call-webhook" {
				require.Contains(t, op.Description, "Needs no token")
				continue
			}
			require.Contains(t, op.Description, "Needs the role")
		}
	}
	require.Contains(t, doc.Paths, "/v1/devices:import")
	require.Contains(t, doc.Paths, "/v1/runs/{id}/stream")
}
