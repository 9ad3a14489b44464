package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/api"
	"github.com/deviceops/deviceops/artifact"
	"github.com/deviceops/deviceops/channel"
	"github.com/deviceops/deviceops/cluster"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/outbound"
	"github.com/deviceops/deviceops/postgres/postgrestest"
	"github.com/deviceops/deviceops/workflows"
)

func TestMain(m *testing.M) { os.Exit(cluster.RunTests(m)) }

// now is the time of all API tests.
var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// rig is an API on a real database, with an orchestrator and a gateway that
// only note what they are asked.
type rig struct {
	*testing.T
	store        deviceops.Store
	automations  *deviceops.AutomationStore
	orchestrator *orchestrator
	gateway      *gateway
	signer       *artifact.Signer
	clock        atomic.Int64 // how far the signer's clock is ahead of now
	url          string
}

// Tokens of the people in the tests.
const (
	root     = "root-token"     // admin of the installation
	olga     = "olga-token"     // operator of acme
	victor   = "victor-token"   // viewer of acme
	anna     = "anna-token"     // author of acme
	stranger = "stranger-token" // admin of globex
	expired  = "expired-token"
)

func newRig(t *testing.T) *rig {
	t.Helper()
	store := postgrestest.New(t)
	r := &rig{T: t, store: store, orchestrator: &orchestrator{}, gateway: &gateway{}}
	for _, account := range []string{"acme", "acme/emea", "globex"} {
		require.NoError(t, store.EnsureAccount(t.Context(), deviceops.Account{Path: account, Name: account, CreatedAt: now}))
	}
	r.token(root, "user:root", deviceops.RootAccount, deviceops.RoleAdmin, time.Time{})
	r.token(olga, "user:olga", "acme", deviceops.RoleOperator, time.Time{})
	r.token(victor, "user:victor", "acme", deviceops.RoleViewer, time.Time{})
	r.token(anna, "user:anna", "acme", deviceops.RoleAuthor, now.Add(time.Hour))
	r.token(stranger, "user:stranger", "globex", deviceops.RoleAdmin, time.Time{})
	r.token(expired, "user:expired", "acme", deviceops.RoleAdmin, now)
	r.signer = artifact.NewSigner(artifact.SignerConfig{
		Records: store, Key: []byte("downloads"), BaseURL: "https://devices.example.com",
		Now: func() time.Time { return now.Add(time.Duration(r.clock.Load())) },
	})
	catalog := &dsl.Catalog{Documents: store}
	r.automations = &deviceops.AutomationStore{Store: store, Automations: &deviceops.Automations{
		Catalog: catalog, Start: workflows.RunStart, Now: func() time.Time { return now },
	}}
	server := httptest.NewServer(api.New(api.Config{
		Automations: r.automations, Secrets: hookSecrets{},
		Artifacts: openArtifacts(t, store), Downloads: r.signer,
		Store: store, Orchestrator: r.orchestrator, Gateway: r.gateway, Catalog: catalog, DecisionKey: decisionKey,
		Channels: channel.New(channel.Config{Source: catalog, Guard: outbound.NewGuard(nil), Secrets: hookSecrets{}}),
		Now:      func() time.Time { return now }, Poll: 10 * time.Millisecond, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Checks: map[string]api.Check{"store": func(context.Context) error { return nil }, "gateway": r.gateway.check},
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *rig) token(token, name, account, role string, expires time.Time) {
	require.NoError(r, r.store.SaveToken(r.Context(), deviceops.Token{
		Hash: deviceops.HashToken(token), Principal: deviceops.Principal{Name: name, Account: account, Roles: []string{role}}, ExpiresAt: expires, CreatedAt: now,
	}))
}

// answer is what the API said.
type answer struct {
	*rig
	status int
	header http.Header
	body   string
}

// as makes a request with a token. A body that is text is sent as it is.
func (r *rig) as(token, method, path string, body any, headers ...string) answer {
	r.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		require.NoError(r, err)
		reader = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(r.Context(), method, r.url+path, reader)
	require.NoError(r, err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(r, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(r, err)
	return answer{r, response.StatusCode, response.Header, string(text)}
}

// into decodes a good answer.
func (a answer) into(v any) {
	a.Helper()
	require.Less(a, a.status, 300, a.body)
	require.NoError(a, json.Unmarshal([]byte(a.body), v), a.body)
}

// refused checks for a problem of a status and code and gives its detail.
func (a answer) refused(status int, code string) string {
	a.Helper()
	require.Equal(a, status, a.status, a.body)
	require.Equal(a, "application/problem+json", a.header.Get("Content-Type"))
	var p struct {
		Title, Code, Detail string
		Status              int
	}
	require.NoError(a, json.Unmarshal([]byte(a.body), &p))
	require.Equal(a, code, p.Code)
	require.Equal(a, status, p.Status)
	require.Equal(a, http.StatusText(status), p.Title)
	require.NotEmpty(a, p.Detail)
	return p.Detail
}

// device stores a device in a state, registered to an account.
func (r *rig) device(id, account string, state deviceops.State) {
	r.Helper()
	outcomes, err := r.store.RegisterDevices(r.Context(), []deviceops.Registration{{
		ID: id, Account: account, Serial: id, Profile: "kiosk", ClaimHash: deviceops.HashClaim(id, "claim"),
	}}, now)
	require.NoError(r, err)
	require.Equal(r, deviceops.Registered, outcomes[0])
	if state == deviceops.Escrow {
		return
	}
	d, err := r.store.FindDevice(r.Context(), id)
	require.NoError(r, err)
	d.State = state
	require.NoError(r, r.store.SaveDevice(r.Context(), &d))
	require.NoError(r, r.store.SaveSessions(r.Context(), map[string]deviceops.Session{
		id: {Connectivity: deviceops.Online, Since: now, HelloAt: now, LastSeen: now, Boot: "b1", Connection: "c1"},
	}))
}

// audited gives the newest audit entry about a target.
func (r *rig) audited(target string) deviceops.AuditEntry {
	r.Helper()
	entries, err := r.store.ListAudit(r.Context(), deviceops.AuditFilter{Target: target, Limit: 1})
	require.NoError(r, err)
	require.NotEmpty(r, entries, "no audit entry about %s", target)
	return entries[0]
}

const kioskYAML = `profile: kiosk
attributes: { panel: string, ram_mb: integer }
commands:
  diagnostics: { result: { uptime_s: integer } }
  health: { result: { online: boolean } }
`

const checkYAML = `workflow: check
version: 1
inputs:
  device: device kiosk
  battery: number 0..100
device: ${{ inputs.device }}
steps:
  - id: diagnostics
    command: diagnostics
`

// apply publishes documents as the root.
func (r *rig) apply(source string) {
	r.Helper()
	var report deviceops.ApplyReport
	r.as(root, http.MethodPost, "/v1/documents:apply", source, "Content-Type", "application/yaml").into(&report)
	require.False(r, report.Refused, "%+v", report)
}

// orchestrator notes what it is asked.
type orchestrator struct {
	mu       sync.Mutex
	starts   []deviceops.Start
	canceled []string
	updates  []any // decisions and delegations
	updateID []string
	ended    bool                     // no workflow is running any more
	runs     map[string]deviceops.Run // answers of the query run
	tables   map[string]deviceops.Timetable
	down     bool
}

var _ deviceops.Orchestrator = (*orchestrator)(nil)

func (o *orchestrator) locked() func() {
	o.mu.Lock()
	return o.mu.Unlock
}

func (o *orchestrator) Start(_ context.Context, s deviceops.Start) (bool, error) {
	defer o.locked()()
	if o.down {
		return false, deviceops.Errorf(deviceops.EUNAVAILABLE, "Temporal does not answer")
	}
	o.starts = append(o.starts, s)
	return true, nil
}

func (o *orchestrator) Signal(context.Context, string, string, any) error { return nil }

func (o *orchestrator) Update(_ context.Context, _, updateID, _ string, arg, result any) error {
	defer o.locked()()
	if o.down {
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "Temporal does not answer")
	}
	if o.ended {
		return deviceops.Errorf(deviceops.ENOTFOUND, "no workflow of this id is running")
	}
	o.updates, o.updateID = append(o.updates, arg), append(o.updateID, updateID)
	if a, ok := result.(*deviceops.Approval); ok {
		*a = deviceops.Approval{Status: deviceops.ApprovalApproved}
	}
	return nil
}

func (o *orchestrator) Query(_ context.Context, id, _ string, result any) error {
	defer o.locked()()
	run, ok := o.runs[id]
	if !ok {
		return deviceops.Errorf(deviceops.ENOTFOUND, "no workflow %s", id)
	}
	*result.(*deviceops.Run) = run
	return nil
}

func (o *orchestrator) Cancel(_ context.Context, id, _ string) error {
	defer o.locked()()
	o.canceled = append(o.canceled, id)
	return nil
}

func (o *orchestrator) Complete(context.Context, deviceops.ActivityRef, deviceops.Command) error {
	return nil
}

func (o *orchestrator) Describe(context.Context, string) (deviceops.Execution, error) {
	return deviceops.Execution{}, nil
}

func (o *orchestrator) Schedule(_ context.Context, t deviceops.Timetable) error {
	defer o.locked()()
	if o.down {
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "Temporal does not answer")
	}
	if o.tables == nil {
		o.tables = map[string]deviceops.Timetable{}
	}
	o.tables[t.ID] = t
	return nil
}

func (o *orchestrator) Unschedule(_ context.Context, id string) error {
	defer o.locked()()
	delete(o.tables, id)
	return nil
}

func (o *orchestrator) Timetables(context.Context) (map[string]string, error) {
	defer o.locked()()
	digests := map[string]string{}
	for id, t := range o.tables {
		digests[id] = t.Digest()
	}
	return digests, nil
}

// NextTimes gives the noons of the coming days.
func (o *orchestrator) NextTimes(_ context.Context, id string) ([]time.Time, error) {
	defer o.locked()()
	if _, there := o.tables[id]; !there {
		return nil, deviceops.Errorf(deviceops.ENOTFOUND, "there is no timetable %s", id)
	}
	var noons []time.Time
	for day := range 10 {
		noons = append(noons, now.AddDate(0, 0, day+1))
	}
	return noons, nil
}

// TimesBetween gives the noons of the days between, a few at a time.
func (o *orchestrator) TimesBetween(_ context.Context, id string, after, until time.Time) (times []time.Time, err error) {
	defer o.locked()()
	if _, there := o.tables[id]; !there {
		return nil, deviceops.Errorf(deviceops.ENOTFOUND, "there is no timetable %s", id)
	}
	for day := -30; day < 30 && len(times) < 3; day++ {
		if at := now.AddDate(0, 0, day); at.After(after) && !at.After(until) {
			times = append(times, at)
		}
	}
	return times, nil
}

// gateway notes what it publishes.
type gateway struct {
	mu       sync.Mutex
	commands []deviceops.Command
	cancels  []string
	down     bool
}

var _ deviceops.Gateway = (*gateway)(nil)

func (g *gateway) check(context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.down {
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "the broker does not answer")
	}
	return nil
}

func (g *gateway) PublishCommands(_ context.Context, commands []deviceops.Command, _ time.Time) ([]deviceops.Sent, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var sent []deviceops.Sent
	for _, c := range commands {
		sent = append(sent, deviceops.Sent{ID: c.ID, Attempt: c.Attempt, Boot: "b1"})
	}
	g.commands = append(g.commands, commands...)
	return sent, nil
}

func (g *gateway) PublishCancel(_ context.Context, _, id string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cancels = append(g.cancels, id)
	return nil
}

func (g *gateway) PublishWelcomes(context.Context, []deviceops.Welcome, time.Time) error { return nil }

func (g *gateway) PublishAcks(context.Context, []deviceops.SeqKey) error { return nil }
