package activities_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// perform performs an action on k1 as a step of run r1.
func (w *world) perform(name, step string, args map[string]any) (map[string]any, error) {
	out, err := do[activities.ActionOutput](w, activities.NameAction, activities.ActionInput{
		Action: name, Account: "acme", Device: "k1", Args: args, RunID: "r1", Step: step, By: "run:r1",
	})
	output, _ := out.Output.(map[string]any)
	return output, err
}

func TestActionSpecs(t *testing.T) {
	t.Parallel()
	specs := map[string]deviceops.ActionSpec{}
	for _, spec := range activities.Actions() {
		specs[spec.Name] = spec
		require.NotEmpty(t, spec.Summary, spec.Name)
		require.Contains(t, spec.Example, "action: "+spec.Name, spec.Name)
		var schema struct {
			Type       string
			Properties map[string]map[string]any
		}
		require.NoError(t, json.Unmarshal(spec.Args, &schema))
		require.Equal(t, "object", schema.Type, spec.Name)
		for name, property := range schema.Properties {
			require.NotEmpty(t, property["description"], "%s: %s", spec.Name, name)
		}
	}
	require.Equal(t, []string{
		"channel.call", "device.configure", "device.find", "device.get", "device.transition", "device.update", "http.request", "log", "mqtt.publish", "notify",
		"rollout.start", "rollout.wait", "ticket.close", "ticket.comment", "ticket.open", "ticket.wait",
	}, slices.Sorted(maps.Keys(specs)))
	require.Equal(t, []string{"auth.bearer", "auth.basic.password", "auth.header.value"}, specs["http.request"].Secrets)
	require.JSONEq(t, `{
		"type": "object", "additionalProperties": false, "required": ["to"],
		"properties": {
			"to": {"type": "string", "description": "the state", "enum": ["escrow", "discovered", "provisioning", "active", "maintenance", "quarantined", "retired"]},
			"reason": {"type": "string", "description": "shown on the timeline of the device and in the audit log"}
		}}`, string(specs["device.transition"].Args))
	require.JSONEq(t, `{"type": "object", "format": "device"}`, string(specs["device.get"].Output))
	require.Empty(t, specs["log"].Output)
}

func TestStatesOfArgumentsAreThoseOfDevices(t *testing.T) {
	t.Parallel()
	var names []string
	for _, s := range deviceops.States() {
		names = append(names, string(s))
	}
	for _, spec := range activities.Actions() {
		var schema struct {
			Properties map[string]struct{ Enum []string }
		}
		require.NoError(t, json.Unmarshal(spec.Args, &schema))
		for _, argument := range []string{"to", "state"} {
			if p, ok := schema.Properties[argument]; ok {
				require.ElementsMatch(t, names, p.Enum, spec.Name)
			}
		}
	}
}

func TestDeviceUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.catalog.profile.Attributes = map[string]string{"ram_mb": "integer", "panel": "string"}
	d := w.device(t, "k1", deviceops.Active)
	d.Tags, d.Labels, d.Attributes = []string{"canary", "suspect"}, map[string]string{"site": "paris", "spare": "x"}, map[string]any{"panel": "lcd"}
	require.NoError(t, w.store.SaveDevice(t.Context(), &d))
	change := map[string]any{
		"tags":       map[string]any{"add": []any{"inspected"}, "remove": []any{"suspect"}},
		"labels":     map[string]any{"floor": "2", "spare": nil},
		"attributes": map[string]any{"ram_mb": 4096, "panel": nil},
	}
	for _, changed := range []bool{true, false} { // repeated, it changes nothing more
		out, err := w.perform("device.update", "a", change)
		require.NoError(t, err)
		require.Equal(t, map[string]any{"changed": changed}, out)
		d = w.find(t, "k1")
		require.Equal(t, []string{"canary", "inspected"}, d.Tags)
		require.Equal(t, map[string]string{"site": "paris", "floor": "2"}, d.Labels)
		require.EqualValues(t, map[string]any{"ram_mb": int64(4096)}, d.Attributes)
	}
	entries, err := w.store.ListAudit(t.Context(), deviceops.AuditFilter{Target: "device:k1"})
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, "device.update", entries[0].Action)

	for name, args := range map[string]map[string]any{
		"an attribute that is not declared": {"attributes": map[string]any{"color": "red"}},
		"an attribute of another type":      {"attributes": map[string]any{"ram_mb": "much"}},
		"a label that is no text":           {"labels": map[string]any{"floor": 2}},
		"an argument that there is not":     {"tag": "x"},
	} {
		_, err := w.perform("device.update", "b", args)
		require.Equal(t, deviceops.EINVALID, activities.Cause(err).Code, name)
	}
}

func TestDeviceFind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, id := range []string{"k1", "k2", "k3"} {
		w.device(t, id, deviceops.Active)
	}
	d := w.device(t, "k4", deviceops.Maintenance)
	d.Labels = map[string]string{"site": "paris"}
	require.NoError(t, w.store.SaveDevice(t.Context(), &d))
	other := w.device(t, "z1", deviceops.Active)
	other.Account = "globex"
	require.NoError(t, w.store.SaveDevice(t.Context(), &other))

	require.NoError(t, w.store.SaveWellness(t.Context(), map[string]deviceops.Wellness{"k2": {Status: deviceops.Degraded, DegradedSince: noon}}))

	for name, c := range map[string]struct {
		args map[string]any
		want []string
		more bool
	}{
		"by wellness":           {map[string]any{"wellness": "degraded"}, []string{"k2"}, false},
		"by state":              {map[string]any{"state": "active"}, []string{"k1", "k2", "k3"}, false},
		"by label":              {map[string]any{"labels": map[string]any{"site": "paris"}}, []string{"k4"}, false},
		"bounded":               {map[string]any{"limit": 2, "profile": "kiosk"}, []string{"k1", "k2"}, true},
		"none":                  {map[string]any{"tag": "canary"}, []string{}, false},
		"of the run's account":  {nil, []string{"k1", "k2", "k3", "k4"}, false},
		"no more than there is": {map[string]any{"limit": 3, "state": "active"}, []string{"k1", "k2", "k3"}, false},
	} {
		out, err := w.perform("device.find", "a", c.args)
		require.NoError(t, err, name)
		ids := []string{}
		for _, found := range out["devices"].([]any) {
			ids = append(ids, found.(map[string]any)["id"].(string))
		}
		require.Equal(t, c.want, ids, name)
		require.EqualValues(t, len(ids), out["count"], name)
		require.Equal(t, c.more, out["more"], name)
	}
	for name, args := range map[string]map[string]any{
		"too many": {"limit": 1001}, "none at all": {"limit": -1}, "no state": {"state": "broken"},
	} {
		_, err := w.perform("device.find", "a", args)
		require.Equal(t, deviceops.EINVALID, activities.Cause(err).Code, name)
	}
}

func TestTicketActions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Active)
	open := map[string]any{"title": "Reboot failed", "body": "in use"}
	for range 2 { // repeated, it opens nothing more
		out, err := w.perform("ticket.open", "a", open)
		require.NoError(t, err)
		require.Equal(t, true, out["created"])
		require.EqualValues(t, 1, out["count"])
	}
	again, err := w.perform("ticket.open", "b", open)
	require.NoError(t, err)
	require.Equal(t, false, again["created"], "the same problem is told again")
	require.EqualValues(t, 2, again["count"])
	id := again["id"].(string)
	require.Equal(t, "ticket-629a6923fe2e33fa", id, "of step r1.a.0, in every version")

	for range 2 {
		_, err = w.perform("ticket.comment", "c", map[string]any{"ticket": id, "text": "it answers again"})
		require.NoError(t, err)
		out, err := w.perform("ticket.close", "d", map[string]any{"ticket": id, "resolution": "by itself"})
		require.NoError(t, err)
		require.Equal(t, "closed", out["status"])
	}
	_, err = w.perform("ticket.close", "e", map[string]any{"ticket": id})
	require.NoError(t, err, "a closed one stays closed")
	stored, err := w.store.FindTicket(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "k1|Reboot failed", stored.Fingerprint)
	require.Equal(t, "acme", stored.Account)
	require.Equal(t, "r1", stored.Run)
	require.Equal(t, "error", stored.Severity)
	require.Equal(t, "by itself", stored.Resolution)
	require.Len(t, stored.Entries, 4)

	relapse, err := w.perform("ticket.open", "f", open)
	require.NoError(t, err)
	require.Equal(t, id, relapse["id"], "it is back: the ticket is open again")
	require.Equal(t, false, relapse["created"])
	byProblem := map[string]any{"fingerprint": "k1|Reboot failed", "resolution": "it is over"}
	for _, effect := range []string{"h", "i"} { // to tell of a problem that is none any more is no mistake
		out, err := w.perform("ticket.close", effect, byProblem)
		require.NoError(t, err)
		require.Equal(t, "closed", out["status"])
	}
	stored, err = w.store.FindTicket(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "it is over", stored.Resolution)
	require.Equal(t, deviceops.EntryRecovered, stored.Entries[5].Kind)
	back, err := w.perform("ticket.open", "k", map[string]any{"title": "It was offline", "recover": "online"})
	require.NoError(t, err)
	late, err := w.store.FindTicket(t.Context(), back["id"].(string))
	require.NoError(t, err)
	require.Equal(t, deviceops.TicketClosed, late.Status, "the device was back before it was opened")
	for _, args := range []map[string]any{{}, {"ticket": id, "fingerprint": "x"}} {
		_, err = w.perform("ticket.close", "j", args)
		require.Equal(t, deviceops.EINVALID, activities.Cause(err).Code)
	}
	_, err = w.perform("ticket.open", "g", map[string]any{"title": strings.Repeat("x", 201)})
	require.Equal(t, deviceops.EINVALID, activities.Cause(err).Code)
}

func TestTicketsOfOtherAccountsAreNotFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := deviceops.OpenTicket(t.Context(), w.store, deviceops.TicketOpening{
		Ticket: deviceops.Ticket{ID: "t1", Account: "globex", Fingerprint: "f"}, Entry: deviceops.TicketEntry{ID: "e1", At: noon},
	}, noon)
	require.NoError(t, err)
	for _, name := range []string{"ticket.comment", "ticket.close"} {
		args := map[string]any{"ticket": "t1"}
		if name == "ticket.comment" {
			args["text"] = "hello"
		}
		_, err := w.perform(name, "a", args)
		require.Equal(t, deviceops.ENOTFOUND, activities.Cause(err).Code, name)
	}
}

func TestNotify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Active)
	_, err := w.perform("notify", "a", map[string]any{"title": "dark", "text": "the panel is dark", "severity": "critical"})
	require.NoError(t, err)
	events := w.events(t, "k1", activities.EventNotification)
	require.Len(t, events, 1)
	require.Equal(t, "critical", events[0].Severity)
	require.Equal(t, map[string]any{"channel": "log", "title": "dark", "text": "the panel is dark", "run": "r1", "step": "a"}, events[0].Data)
	_, err = w.perform("notify", "b", map[string]any{"text": "x", "channel": "pager"})
	require.Equal(t, deviceops.ENOTFOUND, activities.Cause(err).Code)
}

func TestPublish(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	out, err := w.perform("mqtt.publish", "a", map[string]any{"topic": "plant/alerts", "json": map[string]any{"alert": "dark"}, "retain": true})
	require.NoError(t, err)
	require.EqualValues(t, 16, out["bytes"])
	_, err = w.perform("mqtt.publish", "a", map[string]any{"topic": "plant/text", "payload": "dark"})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"plant/alerts (retained)": `{"alert":"dark"}`, "plant/text": "dark"}, w.broker.messages)
	_, err = w.perform("mqtt.publish", "a", map[string]any{"topic": "plant", "json": 1, "payload": "dark"})
	require.Equal(t, deviceops.EINVALID, activities.Cause(err).Code)

	w.broker.fails = true
	_, err = w.perform("mqtt.publish", "a", map[string]any{"topic": "plant"})
	require.Equal(t, deviceops.EUNAVAILABLE, activities.Cause(err).Code)
	without := newWorld(t, func(d *activities.Deps) { d.Broker = nil })
	_, err = without.perform("mqtt.publish", "a", map[string]any{"topic": "plant"})
	require.Equal(t, deviceops.EUNAVAILABLE, activities.Cause(err).Code)
}

// vaultArgs are the arguments of the actions of these tests.
type vaultArgs struct {
	Token string `json:"token" required:"true" secret:"true" doc:"a token"`
	Do    string `json:"do" doc:"what to do with it"`
}

// leak does with a secret whatever an action should not do.
func leak(ctx context.Context, c *activities.Call, args vaultArgs) (map[string]any, error) {
	token, err := c.Secret(ctx, args.Token)
	switch {
	case err != nil:
		return nil, err
	case args.Do == "fail":
		return nil, activities.Fail(deviceops.RunError{Code: "crm.refused", Message: "refused " + token, Data: map[string]any{"token": token}})
	case args.Do == "err":
		return nil, errors.New("no route with " + token)
	case args.Do == "panic":
		panic("lost " + token)
	}
	c.Log().Info("using " + token)
	return map[string]any{"token": token, "in": []any{"Bearer " + token}, token: true}, nil
}

func TestSecretsDoNotLeaveActions(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	w := newWorld(t, func(d *activities.Deps) {
		d.Secrets, d.Log = secrets{"crm/token": canary + "\n"}, newLog(&log)
		d.Actions = []activities.Action{activities.NewAction(activities.About{Name: "crm.leak"}, leak)}
	})
	for _, way := range []string{"", "fail", "err", "panic"} {
		out, err := w.ExecuteActivity(activities.NameAction, activities.ActionInput{
			Action: "crm.leak", Account: "acme", Args: map[string]any{"token": "secret:crm/token", "do": way}, RunID: "r1", Step: "a",
		})
		if way == "" {
			require.NoError(t, err)
			var got activities.ActionOutput
			require.NoError(t, out.Get(&got))
			require.Equal(t, map[string]any{"token": "[redacted]", "in": []any{"Bearer [redacted]"}, "[redacted]": true}, got.Output)
			continue
		}
		for cause := err; cause != nil; cause = errors.Unwrap(cause) {
			require.NotContains(t, cause.Error(), canary, way)
		}
		require.NotContains(t, activities.Cause(err).Message, canary)
		if way == "fail" {
			require.Equal(t, &deviceops.RunError{Code: "crm.refused", Message: "refused [redacted]", Data: map[string]any{"token": "[redacted]"}}, activities.Cause(err))
		}
	}
	require.Contains(t, log.String(), "using [redacted]")
	require.NotContains(t, log.String(), canary)
	require.Contains(t, log.String(), "[redacted]")
}

func TestSecretsAreReferences(t *testing.T) {
	t.Parallel()
	action := activities.NewAction(activities.About{Name: "crm.leak"}, leak)
	require.Equal(t, []string{"token"}, action.Spec().Secrets)
	for name, c := range map[string]struct {
		secrets deviceops.Secrets
		given   string
		code    string
	}{
		"the secret itself": {secrets{}, canary, deviceops.EINVALID},
		"none":              {secrets{}, "", deviceops.EINVALID},
		"unknown":           {secrets{}, "secret:crm/other", deviceops.ENOTFOUND},
		"no provider":       {nil, "secret:crm/token", deviceops.EUNAVAILABLE},
	} {
		w := newWorld(t, func(d *activities.Deps) { d.Secrets, d.Actions = c.secrets, []activities.Action{action} })
		_, err := w.perform("crm.leak", "a", map[string]any{"token": c.given})
		require.Equal(t, c.code, activities.Cause(err).Code, name)
		require.NotContains(t, err.Error(), canary, name)
	}
}
