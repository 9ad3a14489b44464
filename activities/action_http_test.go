package activities_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// canary is a secret that must not be found anywhere.
const canary = "canary-5f2d9c71e8"

// secrets are values by reference without the scheme.
type secrets map[string]string

func (s secrets) Secret(_ context.Context, _, reference string) (string, error) {
	value, ok := s[strings.TrimPrefix(reference, deviceops.SecretScheme)]
	if !ok {
		return "", deviceops.Errorf(deviceops.ENOTFOUND, "there is no secret %s", reference)
	}
	return value, nil
}

func newLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// newWeb gives a world whose actions may talk to servers of this machine, and
// such a server.
func newWeb(t *testing.T, handler http.HandlerFunc) (*world, *httptest.Server) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return newWorld(t, func(d *activities.Deps) {
		d.Networks, d.Secrets = loopback, secrets{"erp/token": canary, "erp/lines": "two\nlines"}
	}), server
}

func TestRequest(t *testing.T) {
	t.Parallel()
	var heard *http.Request
	var body string
	w, server := newWeb(t, func(rw http.ResponseWriter, r *http.Request) {
		heard = r
		data, _ := io.ReadAll(r.Body)
		body = string(data)
		rw.Header().Set("Content-Type", "application/json; charset=utf-8")
		rw.Header().Set("X-Order", "7")
		rw.WriteHeader(http.StatusCreated)
		fmt.Fprint(rw, `{"id": 9007199254740993, "items": [1.5]}`)
	})
	out, err := w.perform("http.request", "order", map[string]any{
		"method": "POST", "url": server.URL + "/v1/orders?a=1", "headers": map[string]any{"X-Site": "paris"},
		"query": map[string]any{"n": 5, "tag": []any{"x", "y z"}}, "json": map[string]any{"part": "panel"}, "expect": []any{201},
	})
	require.NoError(t, err)
	require.EqualValues(t, 201, out["status"])
	require.Equal(t, map[string]any{"id": int64(9007199254740993), "items": []any{1.5}}, out["json"])
	require.Equal(t, "", out["body"])
	require.Equal(t, "7", out["headers"].(map[string]any)["x-order"])
	require.Equal(t, "POST", heard.Method)
	require.Equal(t, "a=1&n=5&tag=x&tag=y+z", heard.URL.RawQuery)
	require.Equal(t, "paris", heard.Header.Get("X-Site"))
	require.Equal(t, "application/json", heard.Header.Get("Content-Type"))
	require.Equal(t, "r1.order.0", heard.Header.Get("Idempotency-Key"), "the same at each try")
	require.Equal(t, `{"part":"panel"}`, body)
}

func TestRequestGivesTextAndHead(t *testing.T) {
	t.Parallel()
	w, server := newWeb(t, func(rw http.ResponseWriter, r *http.Request) {
		require.Empty(t, r.Header.Get("Idempotency-Key"))
		rw.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(rw, "hello \xff")
	})
	out, err := w.perform("http.request", "a", map[string]any{"url": server.URL})
	require.NoError(t, err)
	require.Equal(t, "hello \ufffd", out["body"])
	require.Nil(t, out["json"])
	_, err = w.perform("http.request", "a", map[string]any{"url": server.URL, "method": "HEAD"})
	require.NoError(t, err)
}

func TestRequestCredentials(t *testing.T) {
	t.Parallel()
	const reference = "secret:erp/token"
	for name, c := range map[string]struct {
		auth         map[string]any
		header, want string
	}{
		"bearer": {map[string]any{"bearer": reference}, "Authorization", "Bearer " + canary},
		"header": {map[string]any{"header": map[string]any{"name": "X-Api-Key", "value": reference}}, "X-Api-Key", canary},
		"basic": {
			map[string]any{"basic": map[string]any{"username": "maria", "password": reference}}, "Authorization",
			"Basic " + base64.StdEncoding.EncodeToString([]byte("maria:"+canary)),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, server := newWeb(t, func(rw http.ResponseWriter, r *http.Request) {
				require.Equal(t, c.want, r.Header.Get(c.header))
				rw.Header().Set("X-Echo", r.Header.Get(c.header))
				if r.URL.Path == "/refused" {
					rw.WriteHeader(http.StatusForbidden)
				}
				fmt.Fprint(rw, strings.Repeat("y", 490)+r.Header.Get(c.header))
			})
			out, err := w.perform("http.request", "a", map[string]any{"url": server.URL, "auth": c.auth})
			require.NoError(t, err)
			require.NotContains(t, fmt.Sprint(out), canary[:8], "the server said it, and nobody repeats it")
			require.Contains(t, out["body"], "[redacted]")
			_, err = w.perform("http.request", "a", map[string]any{"url": server.URL + "/refused", "auth": c.auth})
			require.NotContains(t, fmt.Sprint(activities.Cause(err)), canary[:8], "nor a half of it")
			require.False(t, activities.Cause(err).Retryable)
		})
	}
}

func TestRequestFailures(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	w, server := newWeb(t, func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/503":
			rw.Header().Set("Retry-After", "120")
			http.Error(rw, "later", http.StatusServiceUnavailable)
		case "/429":
			rw.Header().Set("Retry-After", noon.Add(90*time.Second).Format(http.TimeFormat))
			rw.WriteHeader(http.StatusTooManyRequests)
		case "/404", "/501":
			rw.WriteHeader(map[string]int{"/404": 404, "/501": 501}[r.URL.Path])
		case "/slow":
			<-release
		case "/large":
			fmt.Fprint(rw, strings.Repeat("x", 5000))
		case "/large-error":
			rw.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(rw, strings.Repeat("x", 5000))
		case "/broken":
			rw.Header().Set("Content-Type", "application/problem+json")
			fmt.Fprint(rw, "{")
		case "/cut":
			rw.Header().Set("Content-Length", "10")
			fmt.Fprint(rw, "12")
		case "/loop":
			http.Redirect(rw, r, "/loop", http.StatusFound)
		case "/file":
			rw.Header().Set("Location", "file:///etc/passwd")
			rw.WriteHeader(http.StatusFound)
		case "/elsewhere":
			http.Redirect(rw, r, "http://localhost:1/", http.StatusFound)
		case "/inside":
			http.Redirect(rw, r, "http://169.254.169.254/latest/meta-data", http.StatusFound)
		}
	})
	t.Cleanup(func() { close(release) })
	auth := map[string]any{"bearer": "secret:erp/token"}
	for name, c := range map[string]struct {
		args map[string]any
		want deviceops.RunError
	}{
		"5xx may have another answer later": {map[string]any{"url": "/503"}, deviceops.RunError{
			Code: "http.status", Message: "the server answered 503 Service Unavailable", Retryable: true,
			Data: map[string]any{"status": 503.0, "body": "later\n", "retry_after_s": 120.0},
		}},
		"so may 429, with a date": {map[string]any{"url": "/429"}, deviceops.RunError{
			Code: "http.status", Message: "the server answered 429 Too Many Requests", Retryable: true,
			Data: map[string]any{"status": 429.0, "body": "", "retry_after_s": 90.0},
		}},
		"404 is an answer": {map[string]any{"url": "/404"}, deviceops.RunError{
			Code: "http.status", Message: "the server answered 404 Not Found", Data: map[string]any{"status": 404.0, "body": ""},
		}},
		"and 501": {map[string]any{"url": "/501"}, deviceops.RunError{
			Code: "http.status", Message: "the server answered 501 Not Implemented", Data: map[string]any{"status": 501.0, "body": ""},
		}},
		"a success that was not expected": {map[string]any{"url": "/", "expect": []any{201}}, deviceops.RunError{
			Code: "http.status", Message: "the server answered 200 OK", Data: map[string]any{"status": 200.0, "body": ""},
		}},
		"too slow": {map[string]any{"url": "/slow", "timeout": "50ms"}, deviceops.RunError{
			Code: "http.timeout", Message: "the server did not answer in time", Retryable: true,
		}},
		"too large": {map[string]any{"url": "/large", "max_response": 1024}, deviceops.RunError{
			Code: "http.too_large", Message: "the response has more than 1024 bytes; ask for less, or raise max_response", Data: map[string]any{"status": 200.0},
		}},
		"too large an error": {map[string]any{"url": "/large-error", "max_response": 1024}, deviceops.RunError{
			Code: "http.status", Message: "the server answered 502 Bad Gateway", Retryable: true, Data: map[string]any{"status": 502.0, "body": ""},
		}},
		"no JSON": {map[string]any{"url": "/broken"}, deviceops.RunError{
			Code: "http.malformed", Message: "the server says that its response is JSON, and it is not", Data: map[string]any{"status": 200.0, "body": "{"},
		}},
		"cut short": {map[string]any{"url": "/cut"}, deviceops.RunError{
			Code: "http.network", Message: "the server cannot be reached: unexpected EOF", Retryable: true,
		}},
		"a redirect without end": {map[string]any{"url": "/loop"}, deviceops.RunError{Code: "http.redirect", Message: "there are too many redirects"}},
		"a redirect to a file": {map[string]any{"url": "/file"}, deviceops.RunError{
			Code: "http.redirect", Message: "the server redirects to something else than http or https",
		}},
		"a redirect with credentials": {map[string]any{"url": "/elsewhere", "auth": auth}, deviceops.RunError{
			Code: "http.redirect", Message: "the server redirects to another origin, which must not see the credentials",
		}},
		"a redirect into a private network": {map[string]any{"url": "/inside"}, deviceops.RunError{
			Code:    "http.forbidden",
			Message: "169.254.169.254:80 is in a private or reserved network, which the installation has to allow: --allow-network",
		}},
	} {
		c.args["url"] = server.URL + c.args["url"].(string)
		_, err := w.perform("http.request", "a", c.args)
		require.Error(t, err, name)
		require.Equal(t, &c.want, activities.Cause(err), name)
	}
	_, err := w.perform("http.request", "a", map[string]any{"url": "http://127.0.0.1:1/"})
	cause := activities.Cause(err)
	require.Equal(t, "http.network", cause.Code)
	require.True(t, cause.Retryable)
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for _, seconds := range []any{int64(3), 3.0} {
		require.Equal(t, 3*time.Second, activities.RetryAfter(&deviceops.RunError{Data: map[string]any{"retry_after_s": seconds}}))
	}
	require.Zero(t, activities.RetryAfter(&deviceops.RunError{Data: map[string]any{"retry_after_s": "soon"}}))
	require.Zero(t, activities.RetryAfter(nil))
}

func TestRequestArguments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *activities.Deps) { d.Networks, d.Secrets = loopback, secrets{"erp/lines": "two\nlines"} })
	url := "http://127.0.0.1:1/"
	for name, args := range map[string]map[string]any{
		"no url":                   {},
		"a file":                   {"url": "file:///etc/passwd"},
		"no host":                  {"url": "http:///x"},
		"credentials in the url":   {"url": "http://maria:" + canary + "@example.com/"},
		"a method that is none":    {"url": url, "method": "FETCH"},
		"a body with GET":          {"url": url, "body": "x"},
		"two bodies":               {"url": url, "method": "POST", "body": "x", "json": 1},
		"a map as a parameter":     {"url": url, "query": map[string]any{"a": map[string]any{}}},
		"a header of the protocol": {"url": url, "headers": map[string]any{"host": "other"}},
		"two ways to authenticate": {"url": url, "auth": map[string]any{"bearer": "secret:a", "header": map[string]any{"name": "X", "value": "secret:a"}}},
		"no way to authenticate":   {"url": url, "auth": map[string]any{}},
		"no user":                  {"url": url, "auth": map[string]any{"basic": map[string]any{"password": "secret:a"}}},
		"a secret in clear":        {"url": url, "auth": map[string]any{"basic": map[string]any{"username": "maria", "password": canary}}},
		"a secret of two lines":    {"url": url, "auth": map[string]any{"bearer": "secret:erp/lines"}},
		"a header for framing":     {"url": url, "auth": map[string]any{"header": map[string]any{"name": "host", "value": "secret:erp/lines"}}},
		"no duration":              {"url": url, "timeout": "soon"},
		"a limit that is too low":  {"url": url, "max_response": 10},
		"a status that is text":    {"url": url, "expect": []any{"200"}},
	} {
		_, err := w.perform("http.request", "a", args)
		require.Error(t, err, name)
		require.Equal(t, deviceops.EINVALID, activities.Cause(err).Code, "%s: %v", name, err)
		require.NotContains(t, err.Error(), canary, name)
	}
}

// TestPrivateNetworksAreOutOfReach asks for servers that answer, so that only
// the check can be what keeps them away.
func TestPrivateNetworksAreOutOfReach(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(server.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	w := newWorld(t, func(d *activities.Deps) { d.Networks = []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")} })
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1.2.3", "10.0.0.1", "192.168.1.1", "100.64.0.1", "[fe80::1]", "[fd00::1]", "[64:ff9b::7f00:1]", "169.254.169.254", "224.0.0.1"} {
		_, err := w.perform("http.request", "a", map[string]any{"url": "http://" + host + ":" + port + "/", "timeout": "2s"})
		require.Error(t, err, host)
		require.Equal(t, "http.forbidden", activities.Cause(err).Code, "%s: %v", host, err)
	}
	require.Zero(t, reached.Load())
}
