package channel

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/outbound"
)

// credentials are what shows the system who asks, in the place where it looks.
type credentials struct {
	header, value string         // a header
	user          string         // of basic, with value
	basic         bool           // user and value
	query         url.Values     // parameters of the address
	member        map[string]any // of the JSON body
	signing       []byte         // the key by which the body is signed, into header
}

// credentials reads the secret of the channel.
func (e *exchange) credentials(ctx context.Context) (credentials, error) {
	a := e.channel.Auth
	if a == nil {
		return credentials{}, nil
	}
	if a.Kind == dsl.AuthOAuth2 {
		token, err := e.token(ctx, a)
		return credentials{header: "Authorization", value: "Bearer " + token}, err
	}
	secret, err := e.secret(ctx, a.Secret)
	if err != nil {
		return credentials{}, err
	}
	if strings.ContainsAny(secret, "\r\n\x00") {
		return credentials{}, deviceops.Errorf(deviceops.EINVALID, "the secret %s has several lines, which no request can hold", a.Secret)
	}
	switch a.Kind {
	case dsl.AuthBasic:
		return credentials{basic: true, user: a.Username, value: secret}, nil
	case dsl.AuthHeader:
		return credentials{header: a.Name, value: secret}, nil
	case dsl.AuthQuery:
		return credentials{query: url.Values{a.Name: {secret}}}, nil
	case dsl.AuthJSON:
		return credentials{member: map[string]any{a.Name: secret}}, nil
	case dsl.AuthHMAC:
		return credentials{header: a.Name, signing: []byte(secret)}, nil
	default:
		return credentials{header: "Authorization", value: "Bearer " + secret}, nil
	}
}

// apply puts into a request what is in its headers.
func (c credentials) apply(request *http.Request, body []byte) error {
	switch {
	case c.basic:
		request.SetBasicAuth(c.user, c.value)
	case c.signing != nil:
		mac := hmac.New(sha256.New, c.signing)
		mac.Write(body)
		request.Header.Set(c.header, "sha256="+hex.EncodeToString(mac.Sum(nil)))
	case c.header != "":
		request.Header.Set(c.header, c.value)
	}
	return nil
}

// tokenCache keeps the tokens of OAuth 2 until they lapse, by channel and
// credentials.
type tokenCache struct {
	now    func() time.Time
	mu     sync.Mutex
	tokens map[string]cachedToken
}

type cachedToken struct {
	value   string
	expires time.Time
}

// tokenMargin is how long before its end a token is renewed.
const tokenMargin = 30 * time.Second

func (t *tokenCache) get(key string) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	token, ok := t.tokens[key]
	return token.value, ok && t.now().Before(token.expires)
}

func (t *tokenCache) put(key, value string, lasts time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tokens == nil || len(t.tokens) > 1000 {
		t.tokens = map[string]cachedToken{}
	}
	t.tokens[key] = cachedToken{value, t.now().Add(lasts - tokenMargin)}
}

func (t *tokenCache) drop(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.tokens, key)
}

// credentialsKey names the credentials of a channel: of one account and content.
func (e *exchange) credentialsKey() string { return e.channel.Account + "\x00" + e.channel.Hash }

// renew forgets a token that was refused; false: there is none to renew.
func (e *exchange) renew() bool {
	if e.channel.Auth == nil || e.channel.Auth.Kind != dsl.AuthOAuth2 {
		return false
	}
	e.tokens.drop(e.credentialsKey())
	return true
}

// token gives a token by the client credentials grant (RFC 6749, 4.4).
func (e *exchange) token(ctx context.Context, a *dsl.ChannelAuth) (string, error) {
	if token, ok := e.tokens.get(e.credentialsKey()); ok {
		e.redactor.Add(token)
		return token, nil
	}
	secret, err := e.secret(ctx, a.Secret)
	if err != nil {
		return "", err
	}
	token, lasts, err := e.grant(ctx, a, secret)
	if err != nil {
		return "", err
	}
	e.redactor.Add(token)
	e.tokens.put(e.credentialsKey(), token, lasts)
	return token, nil
}

func (e *exchange) grant(ctx context.Context, a *dsl.ChannelAuth, secret string) (string, time.Duration, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if a.Scope != "" {
		form.Set("scope", a.Scope)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, deviceops.Errorf(deviceops.EINVALID, "token_url cannot be requested")
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	request.SetBasicAuth(url.QueryEscape(a.Username), url.QueryEscape(secret))
	response, err := e.config.Guard.Send(ctx, request, true)
	if err != nil {
		return "", 0, networkError(err)
	}
	defer response.Body.Close()
	var granted struct {
		Token   string `json:"access_token"`
		Expires int64  `json:"expires_in"` // seconds
	}
	err = json.NewDecoder(io.LimitReader(response.Body, maxResponse)).Decode(&granted)
	switch {
	case outbound.Retryable(response.StatusCode):
		return "", 0, deviceops.Errorf(deviceops.EUNAVAILABLE, "the server that gives tokens answered %s", statusText(response.StatusCode))
	case response.StatusCode != http.StatusOK || err != nil || granted.Token == "":
		return "", 0, deviceops.Errorf(deviceops.EFORBIDDEN, "the server that gives tokens gave none: it answered %s", statusText(response.StatusCode))
	case granted.Expires <= 0:
		granted.Expires = 300
	}
	return granted.Token, time.Duration(granted.Expires) * time.Second, nil
}
