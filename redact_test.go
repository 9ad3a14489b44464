package deviceops_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/deviceops/deviceops"
	"github.com/stretchr/testify/require"
)

const canary = `p@ss "word"/<&>+canary`

func redactor(secrets ...string) *deviceops.Redactor {
	r := &deviceops.Redactor{}
	for _, s := range secrets {
		r.Add(s)
	}
	return r
}

func TestRedactor_TextInEveryForm(t *testing.T) {
	t.Parallel()
	encoded, err := json.Marshal(map[string]string{"token": canary})
	require.NoError(t, err)
	var unescaped bytes.Buffer
	encoder := json.NewEncoder(&unescaped)
	encoder.SetEscapeHTML(false)
	require.NoError(t, encoder.Encode(canary))
	r := redactor(canary)
	for name, text := range map[string]string{
		"as it is":             "before " + canary + " after",
		"twice":                canary + canary,
		"in a query":           "https://x/?t=" + url.QueryEscape(canary),
		"in a path":            "https://x/" + url.PathEscape(canary) + "/y",
		"in JSON":              string(encoded),
		"in JSON, not HTML":    unescaped.String(),
		"quoted by Go":         fmt.Sprintf("%q", canary),
		"in hex":               hex.EncodeToString([]byte(canary)),
		"in base64":            base64.StdEncoding.EncodeToString([]byte(canary)),
		"after a user name":    base64.StdEncoding.EncodeToString([]byte("bot:" + canary)),
		"after a longer one":   base64.URLEncoding.EncodeToString([]byte("robot:" + canary)),
		"in the middle":        base64.RawURLEncoding.EncodeToString([]byte("maria:" + canary + ":x")),
		"with space around it": " " + canary + "\n",
	} {
		got := r.Text(text)
		require.Contains(t, got, deviceops.Redacted, name)
		require.NotContains(t, got, "canary", name)
		require.NotContains(t, got, base64.StdEncoding.EncodeToString([]byte("canary")), name)
	}
	require.Equal(t, "nothing of it", r.Text("nothing of it"))
}

func TestRedactor_WhatIsNotLookedFor(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a banana", (&deviceops.Redactor{}).Text("a banana"), "nothing is known")
	require.Equal(t, "a banana", redactor("", "a", "an", "ana").Text("a banana"), "too short to be a secret")
	require.Equal(t, deviceops.Redacted, redactor("pass", "password").Text("password"), "the longest first")
}

func TestRedactor_LinesOfAKey(t *testing.T) {
	t.Parallel()
	pem := "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nBAQEFAASCBKcwggSjAgEAAo\n-----END KEY-----\n"
	got := redactor(pem).Text("it says BAQEFAASCBKcwggSjAgEAAo in line 3")
	require.Equal(t, "it says [redacted] in line 3", got)
}

func TestRedactor_Value(t *testing.T) {
	t.Parallel()
	type answer struct {
		Header map[string][]string `json:"header"`
		Status int                 `json:"status"`
	}
	r := redactor(canary, "12345678")
	got := r.Value(map[string]any{
		"text": "is " + canary, canary: 1, "list": []any{canary, true, nil, 7},
		"number": int64(12345678), "float": 1.5, "raw": json.RawMessage(`{"a":["12345678"]}`),
		"typed": answer{Header: map[string][]string{"Authorization": {"Bearer " + canary}}, Status: 200},
		"clean": answer{Status: 200},
	})
	require.Equal(t, map[string]any{
		"text": "is [redacted]", "[redacted]": 1, "list": []any{"[redacted]", true, nil, 7},
		"number": "[redacted]", "float": 1.5, "raw": map[string]any{"a": []any{"[redacted]"}},
		"typed": map[string]any{"header": map[string]any{"Authorization": []any{"Bearer [redacted]"}}, "status": json.Number("200")},
		"clean": answer{Status: 200},
	}, got)
	require.Nil(t, r.Value(nil))
	require.Equal(t, deviceops.Redacted, r.Value(func() {}), "what JSON cannot say does not leave")
}

func TestRedactor_Error(t *testing.T) {
	t.Parallel()
	r := redactor(canary)
	require.NoError(t, r.Error(nil))

	clean := deviceops.Errorf(deviceops.ECONFLICT, "in use: %w", errors.New("by maria"))
	require.Same(t, clean, r.Error(clean))

	err := r.Error(fmt.Errorf("asking: %w", deviceops.Errorf(deviceops.EUNAVAILABLE, "GET https://x/?t=%s: %w", url.QueryEscape(canary), context.DeadlineExceeded)))
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(err))
	require.Equal(t, "GET https://x/?t=[redacted]: context deadline exceeded", deviceops.ErrorMessage(err))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, context.Canceled)

	hidden := r.Error(&deviceops.Error{Code: deviceops.EINTERNAL, Message: "it failed", Err: errors.Join(errors.New("one"), errors.New(canary))})
	require.Equal(t, "it failed", hidden.Error())
	for _, e := range []error{err, hidden} {
		require.NotContains(t, fmt.Sprintf("%v %+v %#v", e, e, errors.Unwrap(e)), "canary")
	}
}

// secretsOf is a provider with one secret.
type secretsOf map[string]string

func (s secretsOf) Secret(_ context.Context, account, reference string) (string, error) {
	value, ok := s[account+":"+reference]
	if !ok {
		return "", deviceops.Errorf(deviceops.ENOTFOUND, "none")
	}
	return value, nil
}

func TestRedactor_KnowsWhatWasHandedOut(t *testing.T) {
	t.Parallel()
	r := &deviceops.Redactor{}
	secrets := r.Secrets(secretsOf{"acme:a/b": canary})
	require.Equal(t, canary, r.Text(canary), "nobody asked for it yet")
	_, err := secrets.Secret(t.Context(), "acme", "a/c")
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))
	value, err := secrets.Secret(t.Context(), "acme", "a/b")
	require.NoError(t, err)
	require.Equal(t, canary, value)
	require.Equal(t, deviceops.Redacted, r.Text(canary))
}

// shy is printed with a field that JSON leaves out.
type shy struct{ token string }

// lazy says its value when it is logged.
type lazy string

func (l lazy) LogValue() slog.Value { return slog.StringValue(string(l)) }

func TestRedactor_Logger(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	log := redactor(canary).Logger(slog.New(slog.NewTextHandler(&out, nil)))
	log.With("with", canary).WithGroup("group").Info("message "+canary,
		"text", canary, "error", errors.New(canary), "lazy", lazy(canary), "any", []string{canary}, "shy", shy{canary},
		"n", 7, slog.Group("inner", "deep", canary))
	require.NotContains(t, out.String(), "canary")
	require.Equal(t, 8, strings.Count(out.String(), deviceops.Redacted))
	require.Contains(t, out.String(), "group.n=7")
}

func TestRedactor_AtTheSameTime(t *testing.T) {
	t.Parallel()
	r := &deviceops.Redactor{}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			secret := fmt.Sprintf("secret-%d-of-many", i)
			r.Add(secret)
			require.Equal(t, deviceops.Redacted, r.Text(secret))
		})
	}
	all.Wait()
}

func BenchmarkRedactor_Value(b *testing.B) {
	r := redactor(canary)
	answer := map[string]any{"status": 200, "body": strings.Repeat("nothing of it ", 4000)}
	for b.Loop() {
		r.Value(answer)
	}
}
