package dsl

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// Ways by which a channel shows who asks.
const (
	AuthBearer = "bearer"
	AuthBasic  = "basic"
	AuthHeader = "header"
	AuthQuery  = "query"
	AuthJSON   = "json"
	AuthOAuth2 = "oauth2"
	AuthHMAC   = "hmac"
)

// ChannelAuth are the credentials of a channel.
type ChannelAuth struct {
	Kind     string // AuthBearer ...
	Secret   string // the reference to the token, password or value
	Username string // of basic; the client of oauth2
	Name     string // of the header, parameter or member
	TokenURL string // of oauth2
	Scope    string // of oauth2; may be empty
}

var channelAuthKeys = []fieldSpec{
	{AuthBearer, textSchema("secret:PATH of a token, sent as Authorization: Bearer")},
	{AuthBasic, objectSchema("a user and a password", []string{"password", "username"}, basicKeys)},
	{AuthHeader, objectSchema("a header of the system's own", []string{"name", "value"}, namedSecretKeys)},
	{AuthQuery, objectSchema("a parameter of the address", []string{"name", "value"}, namedSecretKeys)},
	{AuthJSON, objectSchema("a member of the JSON body, for systems that want it there", []string{"name", "value"}, namedSecretKeys)},
	{AuthOAuth2, objectSchema("a token that the client credentials give", []string{"client_id", "client_secret", "token_url"}, oauth2Keys)},
	{AuthHMAC, objectSchema("a signature over the body: sha256= and the HMAC in hex", []string{"header", "secret"}, signatureKeys)},
}

var signatureKeys = []fieldSpec{
	{"header", textSchema("the header that holds it, such as X-DeviceOps-Signature")},
	{"secret", textSchema("secret:PATH of the key")},
}

var basicKeys = []fieldSpec{
	{"username", textSchema("the user")},
	{"password", textSchema("secret:PATH")},
}

var namedSecretKeys = []fieldSpec{
	{"name", textSchema("its name")},
	{"value", textSchema("secret:PATH")},
}

var oauth2Keys = []fieldSpec{
	{"token_url", textSchema("where tokens are given")},
	{"client_id", textSchema("the client")},
	{"client_secret", textSchema("secret:PATH")},
	{"scope", textSchema("what the token is for")},
}

func (r channelReader) auth(n *yaml.Node) {
	kinds := fieldNames(channelAuthKeys)
	o := r.object(n, "auth", kinds...)
	if o == nil {
		return
	}
	if len(o.order) != 1 {
		r.report(n, "wrong-value", "keep one of them", "auth is one of %s", joinNames(kinds))
		return
	}
	kind := o.order[0]
	a := &ChannelAuth{Kind: kind}
	r.channel.Auth = a
	switch inner := o.get(kind); kind {
	case AuthBearer:
		a.Secret = r.reference(inner, kind)
	case AuthBasic:
		r.credentials(inner, kind, basicKeys, map[string]*string{"username": &a.Username, "password": &a.Secret})
	case AuthOAuth2:
		r.credentials(inner, kind, oauth2Keys, map[string]*string{
			"token_url": &a.TokenURL, "client_id": &a.Username, "client_secret": &a.Secret, "scope": &a.Scope,
		})
	case AuthHMAC:
		r.credentials(inner, kind, signatureKeys, map[string]*string{"header": &a.Name, "secret": &a.Secret})
	default:
		r.credentials(inner, kind, namedSecretKeys, map[string]*string{"name": &a.Name, "value": &a.Secret})
	}
	r.fitting(n, a)
}

// secretKeys are those of credentials that take references.
var secretKeys = []string{"password", "value", "client_secret", "secret"}

// credentials reads the map of one kind of credentials.
func (r channelReader) credentials(n *yaml.Node, kind string, keys []fieldSpec, into map[string]*string) {
	o := r.object(n, kind, fieldNames(keys)...)
	if o == nil {
		return
	}
	for _, key := range fieldNames(keys) {
		switch v := o.get(key); {
		case v == nil && key != "scope":
			r.report(n, "missing-key", "add "+key+":", "%s needs %s", kind, key)
		case v == nil:
		case contains(secretKeys, key):
			*into[key] = r.reference(v, key)
		default:
			*into[key], _ = r.text(v, key)
		}
	}
}

// fitting reports credentials that the transport cannot carry.
func (r channelReader) fitting(n *yaml.Node, a *ChannelAuth) {
	switch {
	case r.channel.Mail() && a.Kind != AuthBasic:
		r.report(n, "wrong-value", "write auth: { basic: { username: ..., password: secret:... } }", "mail is sent with a user and a password")
	case r.channel.Mail() && r.channel.Plaintext:
		r.report(n, "wrong-value", "remove plaintext: or auth:", "credentials are not sent without encryption")
	case (a.Kind == AuthHeader || a.Kind == AuthHMAC) && ownedHeaders[strings.ToLower(a.Name)]:
		r.report(n, "wrong-value", "use another header, such as X-Api-Key", "the header %s cannot carry credentials", a.Name)
	case a.Kind == AuthOAuth2 && !strings.HasPrefix(a.TokenURL, "http"):
		r.report(n, "bad-url", "write token_url: https://HOST/oauth/token", "token_url is the address at which tokens are given")
	}
}

// ownedHeaders say how a message is framed and to whom it goes.
var ownedHeaders = map[string]bool{
	"host": true, "content-length": true, "transfer-encoding": true, "connection": true, "te": true, "trailer": true, "upgrade": true,
	"proxy-authorization": true, "proxy-connection": true, "accept-encoding": true,
}
