package dsl

import (
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// A message of another system proves where it comes from: to a channel, or to the
// webhook of an automation.

var proofKeys = []fieldSpec{
	{"hmac", objectSchema("a signature over the body", []string{"header", "secret"}, hmacKeys)},
	{"token", objectSchema("a secret in a header", []string{"header", "secret"}, hmacKeys[:2])},
}

var hmacKeys = []fieldSpec{
	{"header", textSchema("the header that holds it")},
	{"secret", secretsSchema()},
	{"prefix", textSchema("what stands before the signature, such as sha256=")},
	{"algorithm", schema{"enum": words(hmacAlgorithms), "description": "left out: sha256"}},
	{"encoding", schema{"enum": words(hmacEncodings), "description": "left out: hex"}},
	{"timestamp", textSchema("a header whose text is signed before the body")},
	{"separator", textSchema("what stands between the two")},
	{"max_age", durationSchema("how old the timestamp may be")},
}

var (
	hmacAlgorithms = []string{"sha256", "sha1", "sha512"}
	hmacEncodings  = []string{"hex", "base64"}
)

// maxProofSecrets bounds the secrets of which any will do: the old and the new one
// while they are changed, and one to spare.
const maxProofSecrets = 3

func proofSchema() schema {
	return objectSchema("how a message proves where it comes from", nil, proofKeys)
}

func secretsSchema() schema {
	return schema{"description": "secret:PATH; while it is changed a list, of which any will do", "anyOf": []any{
		textSchema(""), schema{"type": "array", "minItems": 1, "maxItems": maxProofSecrets, "items": textSchema("")},
	}}
}

// messageProof reads what stands below verify.
func (c *checker) messageProof(n *yaml.Node, p *deviceops.MessageProof) {
	o := c.object(n, "verify", fieldNames(proofKeys)...)
	if o == nil {
		return
	}
	if len(o.order) != 1 {
		c.report(n, "wrong-value", "write verify: { hmac: { header: X-Hub-Signature, secret: secret:... } }", "verify is hmac or token")
		return
	}
	keys := hmacKeys
	if p.Token = o.has("token"); p.Token {
		keys = hmacKeys[:2]
	}
	p.Algorithm, p.Encoding = hmacAlgorithms[0], hmacEncodings[0]
	inner := c.object(o.get(o.order[0]), o.order[0], fieldNames(keys)...)
	if inner == nil {
		return
	}
	for _, key := range []string{"header", "secret"} {
		if !inner.has(key) {
			c.report(inner.node, "missing-key", "add "+key+":", "%s needs %s", o.order[0], key)
		}
	}
	for _, key := range inner.order {
		c.proofKey(key, inner.get(key), p)
	}
	for _, key := range []string{"max_age", "separator"} {
		if inner.has(key) && !inner.has("timestamp") {
			c.report(inner.keys[key], "no-meaning", "add timestamp: and the name of its header, or remove it", "%s is about a timestamp, and there is none", key)
		}
	}
}

func (c *checker) proofKey(key string, n *yaml.Node, p *deviceops.MessageProof) {
	switch key {
	case "header":
		p.Header, _ = c.text(n, key)
	case "secret":
		p.Secrets = c.references(n, key)
	case "prefix":
		p.Prefix, _ = c.text(n, key)
	case "algorithm":
		p.Algorithm = c.choice(n, key, hmacAlgorithms...)
	case "encoding":
		p.Encoding = c.choice(n, key, hmacEncodings...)
	case "timestamp":
		p.Timestamp, _ = c.text(n, key)
	case "separator":
		p.Separator, _ = c.text(n, key)
	case "max_age":
		p.MaxAge = c.positive(n, key)
	}
}

// references reads one reference to a secret, or a list of them.
func (c *checker) references(n *yaml.Node, what string) []string {
	items := listOrOne(n)
	if len(items) == 0 || len(items) > maxProofSecrets {
		c.report(n, "secret-place", "name the old and the new one while they are changed", "%s holds 1 to %d references, and this has %d", what, maxProofSecrets, len(items))
	}
	var refs []string
	for _, item := range items {
		refs = append(refs, c.reference(item, what))
	}
	return refs
}

// reference reads a reference to a secret.
func (c *checker) reference(n *yaml.Node, what string) string {
	return c.referenceLike(n, what, "ticketing/api-token")
}

// referenceLike reads a reference to a secret such as example.
func (c *checker) referenceLike(n *yaml.Node, what, example string) string {
	fix := "write secret: and the path of the secret, such as " + secretPrefix + example
	if !isText(n) || !strings.HasPrefix(n.Value, secretPrefix) {
		c.report(n, "secret-place", fix, "%s takes a reference to a secret, never its value", what)
		return ""
	}
	if _, err := deviceops.ParseSecretRef(n.Value); err != nil {
		c.report(n, "secret-place", fix, "%s", err)
	}
	return n.Value
}
