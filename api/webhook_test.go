package api_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

const ordersYAML = `workflow: install
version: 1
inputs: { order: string, machine: string }
steps: [ { wait: 1s } ]
---
automation: delivered
trigger: { webhook: orders, where: event.data.status == "delivered" }
key: event.data.order
concurrency: parallel
run: install@1
with: { order: "${{ event.data.order }}", machine: "${{ event.data.machine ?? event.source }}" }
`

// signed gives the headers that prove a message, and more of them.
func signed(key, body string, at time.Time, more ...string) []string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(stamp + "." + body))
	return append([]string{
		deviceops.TimestampHeader, stamp, deviceops.SignatureHeader, "sha256=" + hex.EncodeToString(mac.Sum(nil)), "Content-Type", "application/json",
	}, more...)
}

// hookAnswer is what the caller of a webhook is told.
type hookAnswer struct {
	Event       int64
	Automations []struct{ Name, Outcome, Run string }
}

// calls sends a message to the webhook orders of acme.
func (r *rig) calls(body string, more ...string) hookAnswer {
	r.Helper()
	var answer hookAnswer
	a := r.as("", http.MethodPost, "/v1/webhooks/orders?account=acme", body, signed(hookKey, body, now, more...)...)
	require.Equal(r, 202, a.status, a.body)
	a.into(&answer)
	return answer
}

func (r *rig) runs() []deviceops.Run {
	r.Helper()
	runs, err := r.store.ListRuns(r.Context(), deviceops.RunFilter{Account: "acme"})
	require.NoError(r, err)
	return runs
}

// newHookRig publishes documents.
func newHookRig(t *testing.T, documents string) *rig {
	t.Helper()
	r := newRig(t)
	require.NoError(t, r.store.MaintainEvents(t.Context(), now, 24*time.Hour))
	require.False(t, r.publish(anna, "?file=orders.yaml", documents).Refused)
	return r
}

func TestWebhooksStartRuns(t *testing.T) {
	t.Parallel()
	r := newHookRig(t, ordersYAML)
	const body = `{"order": "A7", "status": "delivered", "machine": "m1", "part": 2.0}`
	answer := r.calls(body)
	require.Len(t, answer.Automations, 1)
	require.Equal(t, "started", answer.Automations[0].Outcome)
	runs := r.runs()
	require.Len(t, runs, 1)
	require.Equal(t, answer.Automations[0].Run, runs[0].ID)
	require.Equal(t, map[string]any{"order": "A7", "machine": "m1"}, runs[0].Inputs)
	require.Equal(t, "automation:delivered@1", runs[0].StartedBy)

	event, err := r.store.FindEvent(t.Context(), answer.Event)
	require.NoError(t, err)
	require.Equal(t, "orders", event.Type, "what is no CloudEvent has the name of the webhook as type")
	require.Equal(t, "acme", event.Account)
	require.Equal(t, []string{"delivered"}, event.Call.To)
	require.Equal(t, map[string]any{"order": "A7", "status": "delivered", "machine": "m1", "part": int64(2)}, event.Data)

	require.Equal(t, answer, r.calls(body), "sent again it is the same")
	require.Len(t, r.runs(), 1)
	shipped := r.calls(`{"order": "A8", "status": "shipped"}`)
	require.Equal(t, "no", shipped.Automations[0].Outcome)
	first := r.calls(body, "Idempotency-Key", "d1")
	require.NotEqual(t, answer.Event, first.Event)
	require.Equal(t, first, r.calls(`{"order": "A7", "status": "delivered", "machine": "m1", "sent": "again"}`, "Idempotency-Key", "d1"))
	require.Len(t, r.runs(), 2)
}

// A delivery that is repeated while the first one is under way waits for it.
func TestWebhooksThatComeAtTheSameTime(t *testing.T) {
	t.Parallel()
	r := newHookRig(t, ordersYAML)
	answers := make([]hookAnswer, 8)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() {
			answers[i] = r.calls(`{"order": "A7", "status": "delivered"}`, "Ce-Specversion", "1.0", "Ce-Id", "d1", "Ce-Source", "/erp", "Ce-Type", "com.example.order")
		})
	}
	all.Wait()
	for _, answer := range answers {
		require.Equal(t, answers[0], answer)
	}
	require.Len(t, r.runs(), 1)
}

func TestWebhooksTakeCloudEvents(t *testing.T) {
	t.Parallel()
	r := newHookRig(t, ordersYAML)
	one := func(id string) map[string]any {
		return map[string]any{
			"specversion": "1.0", "id": id, "source": "/erp", "type": "com.example.order", "subject": "A7", "time": now.Add(-time.Minute).Format(time.RFC3339),
			"traceparent": "00-1", "data": map[string]any{"order": id, "status": "delivered"},
		}
	}
	structured, err := json.Marshal(one("e1"))
	require.NoError(t, err)
	answer := r.calls(string(structured), "Content-Type", "application/cloudevents+json; charset=utf-8")
	require.Equal(t, "started", answer.Automations[0].Outcome)
	event, err := r.store.FindEvent(t.Context(), answer.Event)
	require.NoError(t, err)
	require.Equal(t, "com.example.order", event.Type)
	require.Equal(t, now.Add(-time.Minute), event.At.UTC())
	require.Equal(t, "A7", event.Call.Subject)
	require.Equal(t, "00-1", event.Call.Attributes["traceparent"])
	require.Equal(t, "/erp", r.runs()[0].Inputs["machine"], "event.source is that of the CloudEvent")

	batch, err := json.Marshal([]any{one("e1"), one("e2"), one("e3"), one("e2")})
	require.NoError(t, err)
	var said struct{ Items []hookAnswer }
	r.as("", http.MethodPost, "/v1/webhooks/orders?account=acme", string(batch), signed(hookKey, string(batch), now, "Content-Type", "application/cloudevents-batch+json")...).into(&said)
	require.Len(t, said.Items, 4)
	require.Equal(t, answer, said.Items[0], "e1 came before")
	require.Equal(t, said.Items[1], said.Items[3])
	require.Len(t, r.runs(), 3)
}

// Of a batch with a mistake nothing is taken.
func TestBatchesAreTakenWhole(t *testing.T) {
	t.Parallel()
	r := newHookRig(t, ordersYAML)
	const good = `{"specversion": "1.0", "id": "e1", "source": "/erp", "type": "order", "data": {"status": "delivered"}}`
	for name, c := range map[string]struct{ second, detail string }{
		"no id":         {`{"specversion": "1.0", "source": "/erp", "type": "order"}`, "event 2 of the batch: this is no CloudEvent"},
		"engine's type": {`{"specversion": "1.0", "id": "e2", "source": "/erp", "type": "device.state_changed"}`, "only the engine writes events of type device.state_changed"},
		"large":         {`{"specversion": "1.0", "id": "e2", "source": "/erp", "type": "order", "data": "` + strings.Repeat("x", 130<<10) + `"}`, "more than 131072 bytes"},
	} {
		body := "[" + good + "," + c.second + "]"
		a := r.as("", http.MethodPost, "/v1/webhooks/orders?account=acme", body, signed(hookKey, body, now, "Content-Type", "application/cloudevents-batch+json")...)
		require.Contains(t, a.refused(422, deviceops.EINVALID), c.detail, name)
	}
	many := "[" + strings.TrimSuffix(strings.Repeat(good+",", 101), ",") + "]"
	a := r.as("", http.MethodPost, "/v1/webhooks/orders?account=acme", many, signed(hookKey, many, now, "Content-Type", "application/cloudevents-batch+json")...)
	require.Contains(t, a.refused(422, deviceops.EINVALID), "the batch holds 101 CloudEvents")
	require.Empty(t, r.runs())
	events, err := r.store.ListEvents(t.Context(), deviceops.EventFilter{Account: "acme"})
	require.NoError(t, err)
	require.Empty(t, events)
}

func TestWebhooksAreProved(t *testing.T) {
	t.Parallel()
	const rotated = "---\nautomation: rotated\ntrigger: { webhook: { secret: [secret:webhooks/new, secret:webhooks/old] } }\nrun: install@1\nwith: { order: A1, machine: m1 }\n" +
		"---\nautomation: retired-key\ntrigger: { webhook: { secret: [secret:webhooks/missing, secret:webhooks/new] } }\nrun: install@1\nwith: { order: A1, machine: m1 }\n" +
		"---\nautomation: missing\ntrigger: { webhook: missing }\nrun: install@1\nwith: { order: A1, machine: m1 }\n" +
		"---\nautomation: sealed\ntrigger: { webhook: sealed }\nrun: install@1\nwith: { order: A1, machine: m1 }\n" +
		"---\nautomation: token\ntrigger: { webhook: { verify: { token: { header: X-Token, secret: secret:webhooks/new } } } }\nrun: install@1\nwith: { order: A1, machine: m1 }\n"
	r := newHookRig(t, ordersYAML+rotated)
	const body = `{"order": "A7", "status": "delivered"}`
	other := signed(hookKey, `{"order": "A8"}`, now)
	for name, c := range map[string]struct {
		hook    string
		headers []string
		status  int
	}{
		"good":                  {"orders?account=acme", signed(hookKey, body, now), 202},
		"account below":         {"orders?account=acme/emea", signed(hookKey, body, now), 202},
		"none":                  {"orders?account=acme", nil, 401},
		"another key":           {"orders?account=acme", signed("guess", body, now), 401},
		"another body":          {"orders?account=acme", other, 401},
		"old":                   {"orders?account=acme", signed(hookKey, body, now.Add(-6*time.Minute)), 401},
		"of the future":         {"orders?account=acme", signed(hookKey, body, now.Add(6*time.Minute)), 401},
		"a token of the API":    {"orders?account=acme", []string{"Authorization", "Bearer " + root}, 401},
		"the new key":           {"rotated?account=acme", signed(hookKey, body, now), 202},
		"the old key":           {"rotated?account=acme", signed("key-of-yesterday", body, now), 202},
		"one secret is gone":    {"retired-key?account=acme", signed(hookKey, body, now), 202},
		"its secret is missing": {"missing?account=acme", signed(hookKey, body, now), 401},
		"an empty key":          {"missing?account=acme", signed("", body, now), 401},
		"the vault is sealed":   {"sealed?account=acme", signed(hookKey, body, now), 503},
		"a token":               {"token?account=acme", []string{"X-Token", hookKey}, 202},
		"another token":         {"token?account=acme", []string{"X-Token", hookKey + "x"}, 401},
		"another account":       {"orders?account=globex", signed(hookKey, body, now), 404},
		"no account":            {"orders", signed(hookKey, body, now), 404},
		"no such hook":          {"order?account=acme", signed(hookKey, body, now), 404},
		"an automation's name":  {"delivered?account=acme", signed(hookKey, body, now), 404},
	} {
		a := r.as("", http.MethodPost, "/v1/webhooks/"+c.hook, body, c.headers...)
		require.Equal(t, c.status, a.status, "%s: %s", name, a.body)
		require.NotContains(t, a.body, "secret:", name)
	}
}

func TestWebhooksOfDisabledAutomations(t *testing.T) {
	t.Parallel()
	r := newHookRig(t, ordersYAML)
	const body, path = `{"order": "A7", "status": "delivered"}`, "/v1/webhooks/orders?account=acme"
	r.as(olga, http.MethodPost, "/v1/automations/delivered/disable", nil)
	require.Contains(t, r.as("", http.MethodPost, path, body, signed(hookKey, body, now)...).refused(409, deviceops.ECONFLICT), "disabled")
	r.as("", http.MethodPost, path, body, signed("guess", body, now)...).refused(401, deviceops.EUNAUTHENTICATED)
	r.as(olga, http.MethodPost, "/v1/automations/delivered/enable", nil)
	require.Equal(t, "started", r.calls(body).Automations[0].Outcome)
}

// Automations may share a webhook: each hears what its own secret proves.
func TestAutomationsShareAWebhook(t *testing.T) {
	t.Parallel()
	const shared = "---\nautomation: shipped\ntrigger: { webhook: orders, where: event.data.status == \"shipped\" }\nrun: install@1\nwith: { order: A1, machine: m1 }\n" +
		"---\nautomation: audit\ntrigger: { webhook: { name: orders, secret: secret:webhooks/old } }\nrun: install@1\nwith: { order: A1, machine: m1 }\n" +
		"---\nautomation: listens\ntrigger: { event: orders }\nrun: install@1\nwith: { order: A1, machine: m1 }\n"
	r := newHookRig(t, ordersYAML+shared)
	outcomes := func(a hookAnswer) string { return fmt.Sprint(a.Automations) }
	answer := r.calls(`{"order": "A7", "status": "shipped"}`)
	require.Len(t, answer.Automations, 2, outcomes(answer))
	require.Equal(t, "no", answer.Automations[0].Outcome)
	require.Equal(t, "shipped", answer.Automations[1].Name)
	require.Equal(t, "started", answer.Automations[1].Outcome)
	require.Len(t, r.runs(), 1, "what is meant for a webhook is heard by no other automation")

	var x deviceops.EventExplanation
	r.as(victor, http.MethodGet, fmt.Sprintf("/v1/events/%d/explain", answer.Event), nil).into(&x)
	require.Len(t, x.Automations, 2)
	require.Contains(t, x.Summary, "started a run")
}

func TestWebhookBodies(t *testing.T) {
	t.Parallel()
	r := newHookRig(t, ordersYAML)
	for name, c := range map[string]struct {
		kind, body string
		want       map[string]any
	}{
		"an object":     {"application/json", `{"n": 1, "x": 1.5}`, map[string]any{"n": int64(1), "x": 1.5}},
		"a list":        {"application/vnd.shop+json", `[1, "a"]`, map[string]any{"value": []any{int64(1), "a"}}},
		"a form":        {"application/x-www-form-urlencoded", "status=delivered&order=A+7", map[string]any{"status": "delivered", "order": "A 7"}},
		"text":          {"text/plain; charset=utf-8", "hällo", map[string]any{"text": "hällo"}},
		"broken text":   {"text/plain", "\xff\xfe", map[string]any{"base64": "//4="}},
		"bytes":         {"application/octet-stream", "\x00\x01", map[string]any{"base64": "AAE="}},
		"nothing":       {"application/json", "", nil},
		"without a say": {"", `{"n": 1}`, map[string]any{"n": int64(1)}},
	} {
		answer := r.calls(c.body, "Content-Type", c.kind, "Idempotency-Key", name)
		event, err := r.store.FindEvent(t.Context(), answer.Event)
		require.NoError(t, err)
		require.Equal(t, c.want, event.Data, name)
	}
	for name, c := range map[string]struct {
		headers []string
		body    string
		status  int
	}{
		"no JSON":                {[]string{"Content-Type", "application/json"}, "{", 422},
		"large":                  {nil, `"` + strings.Repeat("x", 1<<20) + `"`, 413},
		"an unknown version":     {[]string{"Ce-Specversion", "2.0", "Ce-Id", "1", "Ce-Source", "/a", "Ce-Type", "t"}, "{}", 422},
		"an unknown format":      {[]string{"Content-Type", "application/cloudevents+avro"}, "{}", 422},
		"a CloudEvent without":   {[]string{"Content-Type", "application/cloudevents+json"}, `{"specversion": "1.0"}`, 422},
		"a source that is none":  {[]string{"Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Source", "%zz:", "Ce-Type", "t"}, "{}", 422},
		"a type without an end":  {[]string{"Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Source", "/a", "Ce-Type", strings.Repeat("t", 600)}, "{}", 422},
		"a batch that is no one": {[]string{"Content-Type", "application/cloudevents-batch+json"}, "{}", 422},
	} {
		a := r.as("", http.MethodPost, "/v1/webhooks/orders?account=acme", c.body, signed(hookKey, c.body, now, c.headers...)...)
		a.refused(c.status, deviceops.EINVALID)
		require.Equal(t, c.status, a.status, name)
	}
}

// Systems that speak CloudEvents ask first whether they may send.
func TestWebhooksAnswerTheQuestionOfCloudEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.as("", http.MethodOptions, "/v1/webhooks/orders", nil, "WebHook-Request-Origin", "eventgrid.example")
	require.Equal(t, 200, a.status)
	require.Equal(t, "eventgrid.example", a.header.Get("WebHook-Allowed-Origin"))
	var api struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Security    *[]any
		}
	}
	r.as("", http.MethodGet, "/openapi.json", nil).into(&api)
	hook := api.Paths["/v1/webhooks/{name}"]["post"]
	require.Equal(t, "call-webhook", hook.OperationID)
	require.NotNil(t, hook.Security)
	require.Empty(t, *hook.Security, "it takes no token")
}

// A replay hears what the webhook was told.
func TestWebhooksAreReplayed(t *testing.T) {
	t.Parallel()
	r := newHookRig(t, ordersYAML)
	for _, status := range []string{"shipped", "delivered", "delivered"} {
		r.calls(`{"order": "A7", "status": "`+status+`"}`, "Idempotency-Key", status+fmt.Sprint(len(r.runs())))
	}
	require.NoError(t, r.store.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
		return tx.AppendEvents(ctx, []deviceops.Event{{Account: "acme", Type: "orders", Severity: "info", At: now, ReceivedAt: now}})
	}))
	var replayed deviceops.AutomationReplayed
	r.as(victor, http.MethodPost, "/v1/automations/delivered/replay", deviceops.ReplayRequest{}).into(&replayed)
	require.Equal(t, 3, replayed.Events)
	require.Equal(t, 2, replayed.Started)
}
