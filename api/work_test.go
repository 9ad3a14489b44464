package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func (r *rig) publish(token, query, source string) deviceops.ApplyReport {
	r.Helper()
	var report deviceops.ApplyReport
	r.as(token, http.MethodPost, "/v1/documents:apply"+query, source, "Content-Type", "application/yaml", "X-Reason", "test").into(&report)
	return report
}

func outcomes(report deviceops.ApplyReport) []string {
	var out []string
	for _, d := range report.Documents {
		out = append(out, d.Kind+" "+d.Name+" "+d.Outcome)
	}
	return out
}

func TestApply(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	both := kioskYAML + "---\n" + checkYAML

	report := r.publish(anna, "?dry_run=true", both)
	require.Equal(t, []string{"profile kiosk created", "workflow check created"}, outcomes(report))
	r.as(anna, http.MethodGet, "/v1/documents/profile/kiosk", nil).refused(404, deviceops.ENOTFOUND)

	report = r.publish(anna, "", both)
	require.Equal(t, []string{"profile kiosk created", "workflow check created"}, outcomes(report))
	require.Equal(t, "document.publish", r.audited("workflow:check@1").Action)
	require.Equal(t, []string{"profile kiosk unchanged", "workflow check unchanged"}, outcomes(r.publish(anna, "", both)))

	var d deviceops.Document
	r.as(anna, http.MethodGet, "/v1/documents/workflow/check?version=1", nil).into(&d)
	require.Equal(t, "acme", d.Account)
	require.Contains(t, d.Source, "diagnostics")
	var list struct{ Items []deviceops.Document }
	r.as(victor, http.MethodGet, "/v1/documents?kind=workflow", nil).into(&list)
	require.Len(t, list.Items, 1)
	r.as(stranger, http.MethodGet, "/v1/documents", nil).into(&list)
	require.Empty(t, list.Items)
}

func TestApplyRefusesOtherContentUnderAVersion(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(anna, "", kioskYAML+"---\n"+checkYAML)
	changed := strings.ReplaceAll(checkYAML, "command: diagnostics", "command: health")
	report := r.publish(anna, "?file=check.yaml", kioskYAML+"metrics: { crashes: integer }\n---\n"+changed)
	require.True(t, report.Refused)
	require.Equal(t, []string{"profile kiosk held", "workflow check refused"}, outcomes(report), "together or not at all")
	refused := report.Documents[1]
	require.Equal(t, "  ...\n  steps:\n    - id: diagnostics\n-     command: diagnostics\n+     command: health\n", refused.Diff)
	require.Contains(t, refused.Diagnostics[0].Message, "new version")

	var versions struct{ Items []deviceops.Document }
	r.as(anna, http.MethodGet, "/v1/documents/profile/kiosk/versions", nil).into(&versions)
	require.Len(t, versions.Items, 1)
}

func TestApplyShowsDiagnostics(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	report := r.publish(anna, "?file=bad.yaml", kioskYAML+"---\nworkflow: broken\nsteps:\n  - comand: reboot\n")
	require.Equal(t, []string{"profile kiosk held", "workflow broken refused"}, outcomes(report))
	finding := report.Documents[1].Diagnostics[0]
	require.Equal(t, "bad.yaml", finding.File)
	require.Equal(t, 9, finding.Line)
	require.Contains(t, finding.Text, "bad.yaml:9:")
	r.as(anna, http.MethodPost, "/v1/documents:apply?account=globex", kioskYAML).refused(404, deviceops.ENOTFOUND)
}

func TestRetireDocument(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.apply(kioskYAML)
	r.as(anna, http.MethodDelete, "/v1/documents/profile/kiosk", nil).refused(403, deviceops.EFORBIDDEN)
	r.as(root, http.MethodDelete, "/v1/documents/profile/kiosk", nil, "X-Reason", "old").into(new(deviceops.Document))
	require.Equal(t, "old", r.audited("profile:kiosk").Reason)
	r.as(root, http.MethodGet, "/v1/documents/profile/kiosk", nil).refused(404, deviceops.ENOTFOUND)
}

func TestStartRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.apply(kioskYAML + "---\n" + checkYAML)
	r.device("k1", "acme", deviceops.Active)
	r.device("g1", "globex", deviceops.Active)
	q := deviceops.RunRequest{Workflow: "check@1", Device: "k1", Inputs: map[string]any{"battery": "18"}, Reason: "test"}

	var run, again deviceops.Run
	r.as(olga, http.MethodPost, "/v1/runs", q, "Idempotency-Key", "a").into(&run)
	require.Equal(t, map[string]any{"device": "k1", "battery": 18.0}, run.Inputs, "inputs get their types, and the device its input")
	require.Equal(t, 1, run.Version)
	require.NotEmpty(t, run.Hash)
	require.Equal(t, "k1", run.Device)
	require.Equal(t, "acme", run.Account)
	require.Len(t, r.orchestrator.starts, 1)
	require.Equal(t, run.ID, r.orchestrator.starts[0].WorkflowID)
	require.Equal(t, "check", r.orchestrator.starts[0].Type, "lists of workflows show the name of the definition")
	require.Equal(t, "run.start", r.audited("run:"+run.ID).Action)

	r.as(olga, http.MethodPost, "/v1/runs", q, "Idempotency-Key", "a").into(&again)
	require.Equal(t, run.ID, again.ID)
	require.Len(t, r.orchestrator.starts, 1, "the same key starts one run")

	for name, bad := range map[string]struct {
		run    deviceops.RunRequest
		status int
		code   string
	}{
		"no workflow":    {deviceops.RunRequest{Workflow: "none"}, 404, deviceops.ENOTFOUND},
		"bad version":    {deviceops.RunRequest{Workflow: "check@x"}, 422, deviceops.EINVALID},
		"no version":     {deviceops.RunRequest{Workflow: "check@7"}, 404, deviceops.ENOTFOUND},
		"missing input":  {deviceops.RunRequest{Workflow: "check", Device: "k1"}, 422, deviceops.EINVALID},
		"out of range":   {deviceops.RunRequest{Workflow: "check", Device: "k1", Inputs: map[string]any{"battery": 101}}, 422, deviceops.EINVALID},
		"other's device": {deviceops.RunRequest{Workflow: "check", Inputs: map[string]any{"battery": 1, "device": "g1"}}, 404, deviceops.ENOTFOUND},
	} {
		t.Run(name, func(t *testing.T) { r.as(olga, http.MethodPost, "/v1/runs", bad.run).refused(bad.status, bad.code) })
	}
}

func TestShowAndCancelRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	require.NoError(t, r.createRun("run-1", deviceops.RunRunning))
	var run deviceops.Run
	r.as(victor, http.MethodGet, "/v1/runs/run-1", nil).into(&run)
	require.Equal(t, deviceops.RunRunning, run.Status, "the store's view, when the workflow does not answer")

	r.orchestrator.runs = map[string]deviceops.Run{"run-1": {Workflow: "check", Status: deviceops.RunWaiting, Steps: []deviceops.RunStep{{Step: "ok", Status: deviceops.RunWaiting}}}}
	r.as(victor, http.MethodGet, "/v1/runs/run-1", nil).into(&run)
	require.Equal(t, deviceops.RunWaiting, run.Status)
	require.Len(t, run.Steps, 1)
	require.Equal(t, "acme", run.Account)

	r.as(olga, http.MethodPost, "/v1/runs/run-1/cancel", nil, "X-Reason", "wrong site").into(&run)
	require.Equal(t, []string{"run-1"}, r.orchestrator.canceled)
	require.Equal(t, "wrong site", r.audited("run:run-1").Reason)

	require.NoError(t, r.createRun("run-2", deviceops.RunSucceeded))
	r.as(olga, http.MethodPost, "/v1/runs/run-2/cancel", nil).refused(409, deviceops.ECONFLICT)
	var list struct{ Items []deviceops.Run }
	r.as(victor, http.MethodGet, "/v1/runs?status=succeeded", nil).into(&list)
	require.Len(t, list.Items, 1)
}

func (r *rig) createRun(id string, status deviceops.RunStatus) error {
	run := deviceops.Run{ID: id, Account: "acme", Workflow: "check", Version: 1, Hash: "h", Status: status, StartedBy: "user:olga", StartedAt: now}
	_, err := r.store.CreateRun(r.Context(), run)
	return err
}

// streamOf opens a stream and gives what it says: "event data".
func (r *rig) streamOf(token, path string, headers ...string) (<-chan string, context.CancelFunc) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 30*time.Second)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+path, nil)
	require.NoError(r, err)
	request.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(r, err)
	require.Equal(r, 200, response.StatusCode)
	require.Equal(r, "text/event-stream", response.Header.Get("Content-Type"))
	said := make(chan string, 100)
	go func() {
		defer close(said)
		defer response.Body.Close()
		event := ""
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				event = value
			case "data":
				said <- event + " " + value
			}
		}
	}()
	return said, cancel
}

func (r *rig) event(kind string) {
	r.Helper()
	require.NoError(r, r.store.AppendEvents(r.Context(), []deviceops.Event{
		{Account: "acme", Device: "k1", Type: kind, Severity: "info", At: now, ReceivedAt: now},
	}))
}

func typeOf(t *testing.T, said string) string {
	t.Helper()
	var e deviceops.Event
	require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(said, "event ")), &e), said)
	return e.Type
}

func TestEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	require.NoError(t, r.store.MaintainEvents(t.Context(), now, time.Hour))
	r.event("device.a")
	r.event("device.b")
	var page struct {
		Items []deviceops.Event
		Next  string
	}
	r.as(victor, http.MethodGet, "/v1/events?type=device.", nil).into(&page)
	require.Equal(t, "device.b", page.Items[0].Type, "the newest first")
	var one deviceops.Event
	r.as(victor, http.MethodGet, "/v1/events/1", nil).into(&one)
	require.Equal(t, "device.a", one.Type)
	r.as(stranger, http.MethodGet, "/v1/events/1", nil).refused(404, deviceops.ENOTFOUND)
	r.as(victor, http.MethodGet, "/v1/events/99", nil).refused(404, deviceops.ENOTFOUND)

	said, leave := r.streamOf(victor, "/v1/events/stream")
	defer leave()
	again, leaveAgain := r.streamOf(victor, "/v1/events/stream", "Last-Event-ID", "1")
	defer leaveAgain()
	r.event("device.c")
	require.Equal(t, "device.c", typeOf(t, <-said), "from now on")
	require.Equal(t, "device.b", typeOf(t, <-again), "from where it broke off")
	require.Equal(t, "device.c", typeOf(t, <-again))
	r.event("device.d")
	require.Equal(t, "device.d", typeOf(t, <-said), "each once")

	r.as(victor, http.MethodGet, "/v1/events?cursor="+page.Next, nil).into(&page)
	require.Equal(t, "device.c", page.Items[0].Type, "what came after, oldest first")
	var report deviceops.RejectedReport
	r.as(root, http.MethodGet, "/v1/events/rejected", nil).into(&report)
	require.Empty(t, report.Items)
}

func TestRunStreamEndsWithTheRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	require.NoError(t, r.createRun("run-1", deviceops.RunRunning))
	said, leave := r.streamOf(victor, "/v1/runs/run-1/stream")
	defer leave()
	require.Contains(t, <-said, `"status":"running"`)
	run, err := r.store.FindRun(t.Context(), "run-1")
	require.NoError(t, err)
	run.Status, run.FinishedAt = deviceops.RunSucceeded, now
	require.NoError(t, r.store.SaveRun(t.Context(), run))
	require.Contains(t, <-said, `"status":"succeeded"`)
	_, more := <-said
	require.False(t, more)
	r.as(victor, http.MethodGet, "/v1/runs/none/stream", nil).refused(404, deviceops.ENOTFOUND)
}

func TestStatsStream(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	said, leave := r.streamOf(victor, "/v1/devices/stats/stream")
	defer leave()
	require.Contains(t, <-said, `"total":0`)
	r.device("k1", "acme", deviceops.Escrow)
	require.Contains(t, <-said, `"total":1`)
}

func TestAccountsAndAudit(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var account deviceops.Account
	r.as(stranger, http.MethodPost, "/v1/accounts", deviceops.AccountRequest{Path: "globex/asia", Reason: "new region"}).into(&account)
	require.Equal(t, "asia", account.Name)
	r.as(stranger, http.MethodPost, "/v1/accounts", deviceops.AccountRequest{Path: "globex/asia", Name: "Other"}).into(&account)
	require.Equal(t, "asia", account.Name, "creating again changes nothing")
	require.Equal(t, "new region", r.audited("account:globex/asia").Reason)
	r.as(stranger, http.MethodPost, "/v1/accounts", deviceops.AccountRequest{Path: "acme/asia"}).refused(404, deviceops.ENOTFOUND)
	r.as(stranger, http.MethodPost, "/v1/accounts", deviceops.AccountRequest{Path: "globex/x/y"}).refused(404, deviceops.ENOTFOUND)
	r.as(root, http.MethodPost, "/v1/accounts", deviceops.AccountRequest{Path: "root/x"}).refused(422, deviceops.EINVALID)

	var accounts struct{ Items []deviceops.Account }
	r.as(stranger, http.MethodGet, "/v1/accounts", nil).into(&accounts)
	require.Len(t, accounts.Items, 2)
	var audit struct{ Items []deviceops.AuditEntry }
	r.as(stranger, http.MethodGet, "/v1/audit?actor=user:stranger", nil).into(&audit)
	require.Len(t, audit.Items, 1)
}
