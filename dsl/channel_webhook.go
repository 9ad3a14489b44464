package dsl

import (
	"time"

	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"
)

// ChannelWebhook says how what the other system sends is verified and read.
type ChannelWebhook struct {
	Verify ChannelVerify

	when, ticket, status, comment, by, id *Expression // nil: not said
}

// ChannelVerify says how a message proves where it comes from: by an HMAC over
// its body, or by a token that only the system knows.
type ChannelVerify struct {
	Header    string
	Secret    string        // the reference
	Token     bool          // the header holds the secret itself
	Prefix    string        // before the signature, as sha256=
	Algorithm string        // sha256, sha1 or sha512
	Encoding  string        // hex or base64
	Timestamp string        // the header whose text is signed before the body; "": none
	MaxAge    time.Duration // of the timestamp; 0: any
}

var webhookKeys = []fieldSpec{
	{"verify", objectSchema("how a message proves where it comes from", nil, verifyKeys)},
	{"if", expressionSchema("which messages matter; left out: all")},
	{"ticket", expressionSchema("the id of the ticket there")},
	{"status", expressionSchema("its status there; nil: the message is not about it")},
	{"comment", expressionSchema("what somebody wrote; nil: nothing")},
	{"by", expressionSchema("who did it")},
	{"id", expressionSchema("what names the message, so that one that is sent again counts once; left out: its body")},
}

var verifyKeys = []fieldSpec{
	{"hmac", objectSchema("a signature over the body", []string{"header", "secret"}, hmacKeys)},
	{"token", objectSchema("a secret in a header", []string{"header", "secret"}, hmacKeys[:2])},
}

var hmacKeys = []fieldSpec{
	{"header", textSchema("the header that holds it")},
	{"secret", textSchema("secret:PATH")},
	{"prefix", textSchema("what stands before the signature, such as sha256=")},
	{"algorithm", schema{"enum": words(hmacAlgorithms), "description": "left out: sha256"}},
	{"encoding", schema{"enum": words(hmacEncodings), "description": "left out: hex"}},
	{"timestamp", textSchema("a header whose text is signed before the body")},
	{"max_age", durationSchema("how old the timestamp may be")},
}

var (
	hmacAlgorithms = []string{"sha256", "sha1", "sha512"}
	hmacEncodings  = []string{"hex", "base64"}
)

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
		r.verify(v, &w.Verify)
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

func (r channelReader) verify(n *yaml.Node, v *ChannelVerify) {
	o := r.object(n, "verify", fieldNames(verifyKeys)...)
	if o == nil {
		return
	}
	if len(o.order) != 1 {
		r.report(n, "wrong-value", "write verify: { hmac: { header: X-Hub-Signature, secret: secret:... } }", "verify is hmac or token")
		return
	}
	keys := hmacKeys
	if v.Token = o.has("token"); v.Token {
		keys = hmacKeys[:2]
	}
	v.Algorithm, v.Encoding = hmacAlgorithms[0], hmacEncodings[0]
	inner := r.object(o.get(o.order[0]), o.order[0], fieldNames(keys)...)
	if inner == nil {
		return
	}
	for _, key := range []string{"header", "secret"} {
		if !inner.has(key) {
			r.report(inner.node, "missing-key", "add "+key+":", "%s needs %s", o.order[0], key)
		}
	}
	for _, key := range inner.order {
		r.verifyKey(key, inner.get(key), v)
	}
}

func (r channelReader) verifyKey(key string, n *yaml.Node, v *ChannelVerify) {
	switch key {
	case "header":
		v.Header, _ = r.text(n, key)
	case "secret":
		v.Secret = r.reference(n, key)
	case "prefix":
		v.Prefix, _ = r.text(n, key)
	case "algorithm":
		v.Algorithm = r.choice(n, key, hmacAlgorithms...)
	case "encoding":
		v.Encoding = r.choice(n, key, hmacEncodings...)
	case "timestamp":
		v.Timestamp, _ = r.text(n, key)
	case "max_age":
		v.MaxAge = r.positive(n, key)
	}
}
