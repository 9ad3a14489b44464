package worker_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/vault"
	"github.com/deviceops/deviceops/vault/vaulttest"
	"github.com/deviceops/deviceops/workflows"
)

// secretive takes secrets to a server that says them back, in every outcome of a
// request. Before the last step Vault is sealed.
const secretive = `workflow: secretive
inputs: { server: string }
outputs: { ok: "${{ steps.ok.output.json.heard }}", late: "${{ steps.late.output.json.heard }}" }
steps:
  - id: ok
    action: http.request
    with: { url: "${{ inputs.server }}/ok", auth: { bearer: "secret:crm/token" } }
  - try:
      - action: http.request
        with: { url: "${{ inputs.server }}/refused", auth: { basic: { username: bot, password: "secret:crm/login#password" } } }
    catch:
      - action: log
        with: { message: "${{ error.message }} ${{ toJSON(error.data) }}" }
  - action: http.request
    with: { url: "${{ inputs.server }}/flaky", auth: { bearer: "secret:crm/token" } }
    retry: { times: 3, delay: 10ms }
  - try:
      - action: http.request
        with: { url: "${{ inputs.server }}/slow", timeout: 300ms, auth: { header: { name: X-Api-Key, value: "secret:crm/token" } } }
    catch:
      - set: { slow: "${{ error.message }}" }
  - action: http.request
    with: { url: "${{ inputs.server }}/seal" }
  - id: late
    action: http.request
    with: { url: "${{ inputs.server }}/ok", auth: { bearer: "secret:crm/late@1" } }
`

// parrot says back with which credentials it is asked.
func parrot(t *testing.T, seal func()) *httptest.Server {
	t.Helper()
	var flaky atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard := r.Header.Get("Authorization") + r.Header.Get("X-Api-Key")
		w.Header().Set("X-Heard", heard)
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/refused":
			w.WriteHeader(http.StatusForbidden)
		case "/flaky":
			if flaky.Add(1) <= 2 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		case "/slow":
			<-r.Context().Done()
		case "/seal":
			seal()
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"heard": heard})
	}))
	t.Cleanup(server.Close)
	return server
}

// openVault gives a client of a real Vault with the secrets of the test.
func openVault(t *testing.T, log *slog.Logger) (*vaulttest.Server, *vault.Client) {
	t.Helper()
	server := vaulttest.Start(t)
	server.Policy(t, "readers", `path "secret/data/*" { capabilities = ["read"] }`)
	for path, field := range map[string]string{"crm/token": "value", "crm/login": "password", "crm/late": "value"} {
		server.Put(t, path, map[string]any{field: planted + "/" + path})
	}
	roleID, file := server.AppRole(t, time.Hour, "readers")
	client, err := vault.Dial(t.Context(), vault.Config{
		Address: server.Address, Auth: vault.AuthAppRole, RoleID: roleID, SecretIDFile: file, Log: log,
	})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return server, client
}

// lines is a log that is written at the same time by many.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// A run whose login at Vault ends, and that finds Vault sealed, waits and goes
// on; and no secret is to be found afterwards, though the other side says each of
// them back.
func TestSecretsOfARun(t *testing.T) {
	written := &lines{}
	log := slog.New(slog.NewJSONHandler(written, &slog.HandlerOptions{Level: slog.LevelDebug}))
	server, client := openVault(t, log)
	address := parrot(t, func() {
		server.RevokeLogins(t)
		server.Seal(t)
	}).URL
	s := newStack(t, func(d *activities.Deps) {
		d.Secrets, d.Log, d.Networks = client, log, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	s.publish(t, "secretive", secretive)
	run := deviceops.Run{
		ID: "r1", Account: "acme", Workflow: "secretive", Version: 1, Inputs: map[string]any{"server": address},
		Status: deviceops.RunPending, StartedAt: time.Now(),
	}
	_, err := s.store.CreateRun(t.Context(), run)
	require.NoError(t, err)
	s.start(t, workflows.RunStart(run))

	s.awaitRepeat(t, "r1")
	server.Unseal(t)
	require.NoError(t, s.wait(t, "r1", nil))
	require.Equal(t, 1, server.Logins(t), "it logged in again")

	ended, err := s.store.FindRun(t.Context(), "r1")
	require.NoError(t, err)
	require.Equal(t, deviceops.RunSucceeded, ended.Status, ended.Error)
	require.Equal(t, map[string]any{"ok": "Bearer [redacted]", "late": "Bearer [redacted]"}, ended.Outputs)

	require.Contains(t, written.String(), "logged in at Vault again")
	require.NotContains(t, written.String(), planted, "the log")
	history, err := proto.Marshal(&historypb.History{Events: s.history(t, "r1", "secrets")})
	require.NoError(t, err)
	require.Contains(t, string(history), "crm/late", "the references are readable, so secrets would be")
	require.NotContains(t, string(history), planted, "the history")
	require.Zero(t, rowsWith(t, s.url, planted), "the store")
	require.NotZero(t, rowsWith(t, s.url, "Bearer [redacted]"), "so it would be found")
}

// awaitRepeat waits until an activity of a workflow has failed and is tried again.
func (s *stack) awaitRepeat(t *testing.T, id string) {
	t.Helper()
	require.Eventually(t, func() bool {
		described, err := s.client.DescribeWorkflowExecution(t.Context(), id, "")
		require.NoError(t, err)
		for _, pending := range described.GetPendingActivities() {
			if pending.GetAttempt() > 1 {
				return true
			}
		}
		return false
	}, patience, 20*time.Millisecond)
}

// rowsWith counts the rows, of all tables, that hold a text.
func rowsWith(t *testing.T, url, text string) (sum int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), "select format('%I.%I', table_schema, table_name) from information_schema.tables where table_schema not in ('pg_catalog', 'information_schema')")
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	for _, table := range tables {
		var found int
		require.NoError(t, conn.QueryRow(t.Context(), fmt.Sprintf("select count(*) from %s as r where strpos(r::text, $1) > 0", table), text).Scan(&found))
		sum += found
	}
	return sum
}
