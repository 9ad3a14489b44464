package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/api"
	"github.com/deviceops/deviceops/workflows"
)

// canary is a secret that must be found nowhere.
const canary = "canary-9d41c7e0b35f"

// oneSecret gives the canary to everybody.
type oneSecret struct{}

func (oneSecret) Secret(context.Context, string, string) (string, error) { return canary, nil }

// echo answers with what it was sent, as servers do in their errors. It fails
// twice on /later before it answers, and never answers on /never.
func echo(t *testing.T, heard *atomic.Int32) *httptest.Server {
	t.Helper()
	release := make(chan struct{})
	var late atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := r.Header.Get("Authorization") + r.Header.Get("X-Api-Key")
		if _, password, ok := r.BasicAuth(); ok {
			sent += " " + password
		}
		if strings.Contains(sent, canary) {
			heard.Add(1)
		}
		w.Header().Set("X-Echo", sent)
		switch {
		case r.URL.Path == "/never":
			<-release
		case r.URL.Path == "/refused":
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path == "/later" && late.Add(1) <= 2:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/json":
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{"you": sent, sent: true})
			return
		}
		fmt.Fprintf(w, "you sent %s", sent)
	}))
	t.Cleanup(func() {
		close(release)
		server.Close()
	})
	return server
}

const canaryWorkflow = `workflow: canary
outputs: { body: "${{ steps.success.output.body }}", json: "${{ steps.reply.output.json }}", refused: "${{ vars.refused }}", late: "${{ vars.late }}" }
steps:
  - id: success
    action: http.request
    with: { url: "SERVER/", auth: { bearer: "secret:erp/token" } }
  - id: reply
    action: http.request
    with: { url: "SERVER/json", auth: { header: { name: X-Api-Key, value: "secret:erp/token" } } }
  - try:
      - action: http.request
        with: { url: "SERVER/refused", method: POST, json: { a: 1 }, auth: { basic: { username: maria, password: "secret:erp/token" } } }
    catch:
      - set: { refused: "${{ error }}" }
      - action: log
        with: { message: "${{ toJSON(error) }}" }
      - action: notify
        with: { title: "${{ error.message }}", text: "${{ toJSON(error) }}" }
      - action: ticket.open
        with: { title: "${{ error.code }}", body: "${{ toJSON(error) }}" }
  - id: later
    action: http.request
    with: { url: "SERVER/later", auth: { bearer: "secret:erp/token" } }
    retry: { times: 3, delay: 10ms }
  - try:
      - action: http.request
        with: { url: "SERVER/never", timeout: 300ms, auth: { bearer: "secret:erp/token" } }
    catch:
      - set: { late: "${{ error }}" }
`

// A server says every secret back, in each outcome of a request, and nobody
// repeats it.
func TestSecretsAreFoundNowhere(t *testing.T) {
	var heard atomic.Int32
	server, log := echo(t, &heard), &lines{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := newStack(t, func(d *activities.Deps) {
		d.Secrets, d.Log = oneSecret{}, logger
		d.Networks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	s.publish(t, "canary", strings.ReplaceAll(canaryWorkflow, "SERVER", server.URL))
	run := deviceops.Run{ID: "r1", Account: "acme", Workflow: "canary", Version: 1, Status: deviceops.RunPending, StartedAt: time.Now()}
	_, err := s.store.CreateRun(t.Context(), run)
	require.NoError(t, err)
	began := time.Now()
	s.start(t, workflows.RunStart(run))
	var result workflows.RunResult
	require.NoError(t, s.wait(t, "r1", &result))

	require.EqualValues(t, 7, heard.Load(), "the server got the secret at each request")
	require.GreaterOrEqual(t, time.Since(began), 2*time.Second, "the server asked to be left alone for a second, twice")
	require.Equal(t, "you sent Bearer [redacted]", result.Outputs["body"])
	require.Equal(t, "http.status", result.Outputs["refused"].(map[string]any)["code"])
	require.Equal(t, "http.timeout", result.Outputs["late"].(map[string]any)["code"])

	found := map[string]string{"the log": log.String(), "the result": fmt.Sprint(result), "the store": dump(t, s.url)}
	for _, e := range s.history(t, "r1", "http") {
		found["the history"] += e.String()
	}
	require.Contains(t, found["the history"], "erp/token", "the reference is readable, so a secret would be")
	for _, path := range []string{"/v1/runs", "/v1/runs/r1", "/v1/events", "/v1/tickets", "/v1/audit"} {
		found[path] = s.ask(t, logger, path)
	}
	require.Contains(t, found["/v1/runs/r1"], "[redacted]", "what the server said back is shown")
	require.Contains(t, found["/v1/tickets"], "http.status")

	forms := &deviceops.Redactor{} // knows a secret as it is, and as base64, hex, URLs and JSON write it
	forms.Add(canary)
	for place, text := range found {
		require.NotEmpty(t, text, place)
		require.True(t, forms.Text(text) == text, "%s holds the secret", place)
	}
}

// dump gives all rows of all tables as text.
func dump(t *testing.T, url string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	var text string
	require.NoError(t, conn.QueryRow(t.Context(), "select database_to_xml(true, false, '')::text").Scan(&text))
	return text
}

// ask gives what the API answers to an administrator.
func (s *stack) ask(t *testing.T, log *slog.Logger, path string) string {
	t.Helper()
	admin := deviceops.Principal{Name: "user:root", Account: deviceops.RootAccount, Roles: []string{deviceops.RoleAdmin}}
	require.NoError(t, s.store.SaveToken(t.Context(), deviceops.Token{Hash: deviceops.HashToken("open sesame"), Principal: admin, CreatedAt: time.Now()}))
	handler := api.New(api.Config{Store: s.store, Orchestrator: s.starter, Gateway: s.fleet, Catalog: catalog{}, Log: log})
	request := httptest.NewRequest(http.MethodGet, path, nil)
	request.Header.Set("Authorization", "Bearer open sesame")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	require.Equal(t, http.StatusOK, answer.Code, answer.Body.String())
	return answer.Body.String()
}
