package dsl

import (
	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// ChannelWebhook says how what the other system sends is verified and read.
type ChannelWebhook struct {
	Verify deviceops.MessageProof

	when, ticket, status, comment, by, id *Expression // nil: not said
}

var webhookKeys = []fieldSpec{
	{"verify", proofSchema()},
	{"if", expressionSchema("which messages matter; left out: all")},
	{"ticket", expressionSchema("the id of the ticket there")},
	{"status", expressionSchema("its status there; nil: the message is not about it")},
	{"comment", expressionSchema("what somebody wrote; nil: nothing")},
	{"by", expressionSchema("who did it")},
	{"id", expressionSchema("what names the message, so that one that is sent again counts once; left out: its body")},
}

func webhookSchema() schema {
	return objectSchema("what comes back from the system", []string{"ticket", "verify"}, webhookKeys)
}

// hookType is the type of `request` in the expressions of a webhook.
var hookType = types.Map{"headers": openMap, "json": types.Any, "body": types.String}

func (r channelReader) webhook(n *yaml.Node) {
	o := r.object(n, "webhook", fieldNames(webhookKeys)...)
	if o == nil {
		return
	}
	w := &ChannelWebhook{}
	r.channel.Webhook = w
	for _, key := range []string{"verify", "ticket"} {
		if !o.has(key) {
			r.report(n, "missing-key", "add "+key+":", "a webhook needs %s", key)
		}
	}
	if v := o.get("verify"); v != nil {
		r.messageProof(v, &w.Verify)
	}
	sc := newScope(types.Map{"request": hookType})
	if v := o.get("if"); v != nil {
		w.when = r.expression(v, "if", sc, wantBool)
	}
	parts := map[string]**Expression{"ticket": &w.ticket, "status": &w.status, "comment": &w.comment, "by": &w.by, "id": &w.id}
	for _, key := range fieldNames(webhookKeys) {
		if into := parts[key]; into != nil && o.has(key) {
			*into = r.expression(o.get(key), key, sc, wantAny)
		}
	}
}
