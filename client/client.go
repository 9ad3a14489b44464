// Package client calls the API of DeviceOps.
//
// Errors are deviceops.Error with the code that the API gave; EUNAVAILABLE when
// the server cannot be reached. Lists give a Page: pass its Next as the cursor
// of the same list to go on; an empty Next means that there is no more.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
)

// Client calls one server with one token. It is safe for concurrent use.
type Client struct {
	server string
	token  string
	http   *http.Client
}

// New makes a client of the server at a URL such as http://127.0.0.1:8080.
func New(server, token string) *Client {
	return &Client{server: strings.TrimRight(server, "/"), token: token, http: &http.Client{}}
}

// Server gives the URL of the server.
func (c *Client) Server() string { return c.server }

// Page is one page of a list.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"` // cursor of the next page; "" on the last
}

// call is one request.
type call struct {
	method      string
	path        string // escaped
	query       url.Values
	body        any       // sent as JSON
	raw         io.Reader // sent as it is, instead of body
	contentType string    // of raw
	size        int64     // of raw, in bytes; 0: not known
	key         string    // Idempotency-Key
	reason      string    // X-Reason
	lastID      string    // Last-Event-ID
	accept      string
}

// do makes a call and decodes the answer into a T.
func do[T any](ctx context.Context, c *Client, k call) (T, error) {
	var out T
	response, err := c.send(ctx, k)
	if err != nil {
		return out, err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&out); err != nil {
		return out, deviceops.Errorf(deviceops.EINTERNAL, "%s %s gave an answer that cannot be read: %w", k.method, k.path, err)
	}
	return out, nil
}

func get[T any](ctx context.Context, c *Client, path string, query url.Values) (T, error) {
	return do[T](ctx, c, call{method: http.MethodGet, path: path, query: query})
}

// text gets an answer that is no JSON.
func (c *Client) text(ctx context.Context, path string, query url.Values) (string, error) {
	response, err := c.send(ctx, call{method: http.MethodGet, path: path, query: query})
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", deviceops.Errorf(deviceops.EUNAVAILABLE, "the answer of %s broke off: %w", path, err)
	}
	return string(body), nil
}

// send makes a call and gives the answer, the body of which the caller closes.
func (c *Client) send(ctx context.Context, k call) (*http.Response, error) {
	request, err := c.request(ctx, k)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, deviceops.Errorf(deviceops.ECANCELED, "given up: %w", ctx.Err())
	case err != nil:
		return nil, deviceops.Errorf(deviceops.EUNAVAILABLE, "cannot reach %s: %w", c.server, errors.Unwrap(err))
	case response.StatusCode >= http.StatusBadRequest:
		defer response.Body.Close()
		return nil, problemOf(response)
	}
	return response, nil
}

func (c *Client) request(ctx context.Context, k call) (*http.Request, error) {
	body, contentType := k.raw, k.contentType
	if k.body != nil {
		encoded, err := json.Marshal(k.body)
		if err != nil {
			return nil, deviceops.Errorf(deviceops.EINVALID, "the request cannot be written as JSON: %w", err)
		}
		body, contentType = bytes.NewReader(encoded), "application/json"
	}
	address := c.server + k.path
	if len(k.query) > 0 {
		address += "?" + k.query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, k.method, address, body)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "the server %q is no URL such as http://127.0.0.1:8080", c.server)
	}
	if k.raw != nil && k.size > 0 {
		request.ContentLength = k.size
	}
	setHeaders(request.Header, map[string]string{
		"Authorization": bearer(c.token), "Content-Type": contentType, "Idempotency-Key": k.key,
		"X-Reason": oneLine(k.reason), "Last-Event-ID": k.lastID, "Accept": k.accept,
	})
	return request, nil
}

func setHeaders(h http.Header, values map[string]string) {
	for name, value := range values {
		if value != "" {
			h.Set(name, value)
		}
	}
}

func bearer(token string) string {
	if token == "" {
		return ""
	}
	return "Bearer " + token
}

// oneLine makes a text fit for a header.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// maxProblem is how much of an error's body is read, in bytes.
const maxProblem = 1 << 20

// problemOf makes an error of an RFC 9457 problem, or of whatever a proxy in
// between answered.
func problemOf(response *http.Response) error {
	var p struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxProblem)) // what could be read is enough
	if json.Unmarshal(body, &p) == nil && p.Code != "" {
		return deviceops.Errorf(p.Code, "%s", p.Detail)
	}
	code := deviceops.EINTERNAL
	if response.StatusCode == http.StatusBadGateway || response.StatusCode == http.StatusServiceUnavailable {
		code = deviceops.EUNAVAILABLE
	}
	return deviceops.Errorf(code, "the server answered %s, not as the API does; is %s its address?", response.Status, response.Request.URL.Host)
}

// query makes query parameters out of names and values, leaving out zero ones.
func query(pairs ...any) url.Values {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if text := text(pairs[i+1]); text != "" {
			values.Set(pairs[i].(string), text)
		}
	}
	return values
}

func text(v any) string {
	switch v := v.(type) {
	case int:
		if v == 0 {
			return ""
		}
		return strconv.Itoa(v)
	case bool:
		if !v {
			return ""
		}
		return "true"
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.UTC().Format(time.RFC3339Nano)
	default:
		return fmt.Sprint(v)
	}
}

// Whoami tells who the token names.
func (c *Client) Whoami(ctx context.Context) (deviceops.Principal, error) {
	return get[deviceops.Principal](ctx, c, "/v1/whoami", nil)
}

// Readiness is what the server says about its parts.
type Readiness struct {
	Ready  bool              `json:"ready"`
	Checks map[string]string `json:"checks"` // "ok", or what is wrong
}

// Ready asks the server about its parts.
func (c *Client) Ready(ctx context.Context) (Readiness, error) {
	request, err := c.request(ctx, call{method: http.MethodGet, path: "/readyz"})
	if err != nil {
		return Readiness{}, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return Readiness{}, deviceops.Errorf(deviceops.EUNAVAILABLE, "cannot reach %s: %w", c.server, errors.Unwrap(err))
	}
	defer response.Body.Close()
	var r Readiness
	if err := json.NewDecoder(response.Body).Decode(&r); err != nil {
		return r, deviceops.Errorf(deviceops.EUNAVAILABLE, "%s does not answer as DeviceOps does (%s)", c.server, response.Status)
	}
	return r, nil
}
