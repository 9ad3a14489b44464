package dsl

import (
	"regexp"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

var webhookTriggerKeys = []fieldSpec{
	{"name", textSchema("the name by which other systems call; left out: that of the automation")},
	{"secret", secretsSchema()},
	{"verify", proofSchema()},
	{"id", schema{"type": "string", "pattern": headerPattern, "description": "the header that names a message, so that one that is sent again counts once; left out: Idempotency-Key"}},
}

const headerPattern = `^[A-Za-z0-9-]+$`

var headerName = regexp.MustCompile(headerPattern)

// DefaultWebhookID is the header that names a message where a webhook does not say
// otherwise, and defaultWebhookSecrets where its secret is.
const (
	DefaultWebhookID      = "Idempotency-Key"
	defaultWebhookSecrets = secretPrefix + "webhooks/"
)

func webhookTriggerSchema() schema {
	return schema{"description": "another system calls: a name, or a map", "anyOf": []any{textSchema(""), objectSchema("", nil, webhookTriggerKeys)}}
}

// webhookTrigger reads how another system calls the automation of this name. There
// is no webhook that takes whatever comes: without a word its secret is
// webhooks/NAME.
func (c *checker) webhookTrigger(n *yaml.Node, automation string) *deviceops.Webhook {
	w := &deviceops.Webhook{Name: automation, ID: DefaultWebhookID}
	if n.Kind == yaml.ScalarNode {
		w.Name = c.name(n, "the name of a webhook")
		w.Proof = deviceops.DefaultProof(defaultWebhookSecrets + w.Name)
		return w
	}
	o := c.object(n, "webhook", fieldNames(webhookTriggerKeys)...)
	if o == nil {
		return w
	}
	if v := o.get("name"); v != nil {
		w.Name = c.name(v, "the name of a webhook")
	}
	if v := o.get("id"); v != nil {
		if w.ID, _ = c.text(v, "id"); !headerName.MatchString(w.ID) {
			c.report(v, "bad-name", "write the name of a header, such as X-GitHub-Delivery", "id names a header")
		}
	}
	w.Proof = deviceops.DefaultProof(defaultWebhookSecrets + w.Name)
	if v := o.get("secret"); v != nil {
		w.Proof = deviceops.DefaultProof(c.references(v, "secret")...)
	}
	if v := o.get("verify"); v != nil {
		w.Proof = deviceops.MessageProof{}
		c.messageProof(v, &w.Proof)
		if o.has("secret") {
			c.report(o.keys["secret"], "no-meaning", "write it below verify", "verify says which secret it is")
		}
	}
	return w
}
