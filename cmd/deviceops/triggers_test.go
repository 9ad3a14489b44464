//go:build !lean

package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

const triggeredYAML = `workflow: note
version: 1
inputs: { said: string }
outputs: { said: "${{ inputs.said }}" }
steps: [ { set: { seen: "${{ inputs.said }}" } } ]
---
automation: delivered
trigger: { webhook: orders, where: event.data.status == "delivered" }
key: event.data.order
concurrency: parallel
run: note@1
with: { said: "${{ event.data.order }}" }
---
automation: ticks
trigger: { schedule: { every: 2s } }
concurrency: parallel
run: note@1
with: { said: "${{ event.at }}" }
---
automation: by-hand
trigger: { manual: true }
run: note@1
with: { said: "${{ event.by }}: ${{ event.reason }}" }
`

// caller is another system that knows the secret of the webhook orders.
type caller struct {
	home
	key string
}

// call sends a message, as any program could, and gives the status and the body of
// the answer; 0 where nobody answers.
func (c caller) call(key, id, body string) (int, string) {
	stamp := fmt.Sprint(time.Now().Unix())
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = io.WriteString(mac, stamp+"."+body)
	request, err := http.NewRequest(http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/v1/webhooks/orders", c.port("api")), strings.NewReader(body))
	require.NoError(c.t, err)
	for name, value := range map[string]string{
		"Content-Type": "application/json", "X-DeviceOps-Timestamp": stamp, "X-DeviceOps-Signature": "sha256=" + hex.EncodeToString(mac.Sum(nil)),
		"ce-specversion": "1.0", "ce-type": "shop.order", "ce-source": "/shop", "ce-id": id,
	} {
		request.Header.Set(name, value)
	}
	return answerTo(request)
}

// triggered gives the runs of an automation, the oldest first.
func (c caller) triggered(automation string) []deviceops.Run {
	page, err := c.client().ListRuns(c.t.Context(), deviceops.RunFilter{Workflow: "note", Limit: 1000}, "")
	if err != nil {
		return nil
	}
	runs := slices.DeleteFunc(page.Items, func(r deviceops.Run) bool { return r.StartedBy != "automation:"+automation+"@1" })
	slices.SortFunc(runs, func(a, b deviceops.Run) int { return a.StartedAt.Compare(b.StartedAt) })
	return runs
}

func (c caller) succeeded(automation string) int {
	n := 0
	for _, r := range c.triggered(automation) {
		if r.Status == deviceops.RunSucceeded {
			n++
		}
	}
	return n
}

func newCaller(t *testing.T) caller {
	c := caller{newHome(t), "the key of the shop"}
	secrets, err := json.Marshal(map[string]string{"webhooks/orders": c.key, "webhooks/spare-parts": c.key})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(c.data, "secrets.json"), secrets, 0o600))
	return c
}

// documented calls a webhook as docs/automations.md shows it.
func (c caller) documented() {
	page, err := os.ReadFile("../../docs/automations.md")
	require.NoError(c.t, err)
	_, rest, found := strings.Cut(string(page), "<!-- webhook: a test runs this -->\n```sh\n")
	require.True(c.t, found)
	script, _, _ := strings.Cut(rest, "```")
	c.must("apply", "-f", "../../examples/spare-part.yaml", "--reason", "test")
	c.must("devices", "register", "m1", "--profile", "kiosk")
	var answers []string
	for range 2 {
		cmd := exec.Command("sh", "-euc", script)
		cmd.Env = append(os.Environ(), fmt.Sprintf("DEVICEOPS_SERVER=http://127.0.0.1:%d", c.port("api")), "WEBHOOK_SECRET="+c.key)
		answer, err := cmd.CombinedOutput()
		require.NoError(c.t, err, "%s", answer)
		answers = append(answers, string(answer))
	}
	require.Contains(c.t, answers[0], `"automations":[{"name":"part-delivered","outcome":"started","run":"auto-`)
	require.Equal(c.t, answers[0], answers[1])
}

// A message of another system starts a run, once, though the API that hears it is
// killed and the message sent again and again.
func TestWebhooksSurviveKills(t *testing.T) {
	t.Parallel()
	c := newCaller(t)
	c.startStack("--parts", "temporal,broker,postgres,gateway,worker")
	api := c.startStack("--parts", "api")
	c.apply("triggered", triggeredYAML)
	status, text := c.call("another key", "d0", `{"order": "A0", "status": "delivered"}`)
	require.Equal(t, http.StatusUnauthorized, status, text)
	require.Contains(t, text, `"code":"unauthenticated"`)
	c.documented()
	const orders = 6
	chance := moments(t)
	for n := range orders {
		body := fmt.Sprintf(`{"order": "A%d", "status": "delivered"}`, n)
		var answer string
		deliver := func() bool {
			status, text := c.call(c.key, fmt.Sprint("d", n), body)
			answer = text
			return status == http.StatusAccepted
		}
		heard := make(chan bool)
		go func() { heard <- deliver() }()
		<-time.After(time.Duration(chance.IntN(30)) * time.Millisecond)
		api.kill() // before, while or after it answers
		api = c.startStack("--parts", "api")
		<-heard
		require.Eventually(t, deliver, time.Minute, 10*time.Millisecond)
		first := answer
		require.Eventually(t, deliver, time.Minute, 10*time.Millisecond)
		require.Equal(t, first, answer, "a repeated delivery is answered the same")
	}
	require.Eventually(t, func() bool { return c.succeeded("delivered") >= orders }, time.Minute, 100*time.Millisecond)
	var said []string
	for _, r := range c.triggered("delivered") {
		said = append(said, fmt.Sprint(r.Inputs["said"]))
	}
	slices.Sort(said)
	require.Len(t, said, orders)
	require.Len(t, slices.Compact(said), orders, "one run for each order")
}

// A schedule starts one run for each of its times, also for those that come while
// there is no worker, and none while it is disabled.
func TestSchedulesSurviveKills(t *testing.T) {
	t.Parallel()
	c := newCaller(t)
	c.startStack("--parts", "temporal,broker,postgres,gateway,api")
	worker := c.startStack("--parts", "worker")
	c.apply("triggered", triggeredYAML)
	require.Eventually(t, func() bool { return c.succeeded("ticks") >= 2 }, time.Minute, 100*time.Millisecond)
	worker.kill()
	last := c.tick()
	require.Eventually(t, func() bool { return time.Since(last) > 7*time.Second }, time.Minute, 100*time.Millisecond)
	c.startStack("--parts", "worker")
	require.Eventually(t, func() bool { return c.tick().Sub(last) > 10*time.Second }, time.Minute, 100*time.Millisecond)
	c.noGaps()

	var shown deviceops.AutomationDetail
	require.NoError(t, json.Unmarshal([]byte(c.must("automations", "show", "ticks", "-o", "json")), &shown))
	require.NotEmpty(t, shown.Next)
	c.must("automations", "disable", "ticks", "--reason", "test")
	require.Eventually(t, func() bool { return time.Since(c.tick()) > 6*time.Second }, time.Minute, 200*time.Millisecond, "no more ticks")
	require.NoError(t, json.Unmarshal([]byte(c.must("automations", "show", "ticks", "-o", "json")), &shown))
	c.must("automations", "enable", "ticks", "--reason", "test")
	before := len(c.triggered("ticks"))
	require.Eventually(t, func() bool { return len(c.triggered("ticks")) > before }, time.Minute, 100*time.Millisecond)

	require.Contains(t, c.must("automations", "run", "by-hand", "--reason", "to see it"), "it started run auto-")
	require.Eventually(t, func() bool { return c.succeeded("by-hand") == 1 }, time.Minute, 100*time.Millisecond)
	require.Equal(t, "user:admin: to see it", c.triggered("by-hand")[0].Inputs["said"])
}

// ticks gives the times of the schedule for which runs were started, in order.
func (c caller) ticks() []time.Time {
	var times []time.Time
	for _, r := range c.triggered("ticks") {
		at, err := time.Parse(time.RFC3339, fmt.Sprint(r.Inputs["said"]))
		require.NoError(c.t, err)
		times = append(times, at)
	}
	slices.SortFunc(times, time.Time.Compare)
	return times
}

// tick gives the last time for which a run was started.
func (c caller) tick() time.Time {
	times := c.ticks()
	if len(times) == 0 {
		return time.Time{}
	}
	return times[len(times)-1]
}

// noGaps checks that there was one run for each time.
func (c caller) noGaps() {
	times := c.ticks()
	for i := range times[1:] {
		require.Equal(c.t, 2*time.Second, times[i+1].Sub(times[i]), "between %s and %s", times[i], times[i+1])
	}
}
