package forward

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/outbound"
)

// EventIDsHeader lists the idempotency keys of the values of a request, in their
// order.
const EventIDsHeader = "Deviceops-Event-Ids"

// Bounds of what is read of answers.
const (
	maxAnswer = 64 << 10 // bytes, so that the connection can be used again
	maxReason = 300      // bytes of it that are kept
)

// httpSink sends requests with JSON.
type httpSink struct {
	*dsl.HTTPTarget
	guard   *outbound.Guard
	secrets *secrets
	now     func() time.Time
}

func (s *httpSink) most() int { return s.Batch }

func (s *httpSink) close() {}

func (s *httpSink) send(ctx context.Context, records []*record) error {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	request, err := s.request(ctx, records)
	if err != nil {
		return err
	}
	response, err := s.guard.Send(ctx, request, s.Auth != nil)
	if err != nil {
		return requestFailure(err)
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer)) // the status decides
	return s.judge(response, answer)
}

func (s *httpSink) request(ctx context.Context, records []*record) (*http.Request, error) {
	request, err := http.NewRequest(s.Method, s.URL, bytes.NewReader(s.body(records)))
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "this cannot be requested: %w", err)
	}
	for name, value := range s.Headers {
		request.Header.Set(name, value)
	}
	keys := strings.Join(column(records, func(r *record) string { return r.key }), ",")
	request.Header.Set("User-Agent", "DeviceOps")
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", idempotencyKey(records, keys))
	request.Header.Set(EventIDsHeader, keys)
	return request, s.authorize(ctx, request)
}

func (s *httpSink) body(records []*record) []byte {
	if !s.List {
		return records[0].body
	}
	list, _ := json.Marshal(column(records, func(r *record) json.RawMessage { return r.body })) // each is JSON
	return list
}

// idempotencyKey is that of the value, or one made of those of a list.
func idempotencyKey(records []*record, keys string) string {
	if len(records) == 1 {
		return keys
	}
	return deviceops.ShortHash(16, keys)
}

func (s *httpSink) authorize(ctx context.Context, request *http.Request) error {
	if s.Auth == nil {
		return nil
	}
	secret, err := s.secrets.get(ctx, s.Auth.Secret)
	switch {
	case err != nil:
		return err
	case strings.ContainsAny(secret, "\r\n\x00"):
		return deviceops.Errorf(deviceops.EINVALID, "the secret %s has several lines, which no header can hold", s.Auth.Secret)
	case s.Auth.Kind == "bearer":
		request.Header.Set("Authorization", "Bearer "+secret)
	case s.Auth.Kind == "basic":
		request.SetBasicAuth(s.Auth.Name, secret)
	default:
		request.Header.Set(s.Auth.Name, secret)
	}
	return nil
}

// aboutTarget are the statuses that say that the target is not as the route
// believes, and nothing about the events: they wait until that is mended.
var aboutTarget = map[int]bool{
	http.StatusUnauthorized: true, http.StatusForbidden: true, http.StatusNotFound: true, http.StatusMethodNotAllowed: true,
	http.StatusProxyAuthRequired: true, http.StatusMisdirectedRequest: true, http.StatusUpgradeRequired: true, http.StatusPaymentRequired: true,
}

// judge tells by the status what became of a request.
func (s *httpSink) judge(response *http.Response, answer []byte) error {
	status := response.StatusCode
	if status >= 200 && status < 300 {
		return nil
	}
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		s.secrets.forget()
	}
	reason := response.Status
	if text := strings.ToValidUTF8(string(answer[:min(len(answer), maxReason)]), ""); strings.TrimSpace(text) != "" {
		reason += ": " + strings.Join(strings.Fields(text), " ")
	}
	if status >= 400 && status < 500 && !aboutTarget[status] && !outbound.Retryable(status) {
		return &refused{reason}
	}
	return &unavailable{
		cause: deviceops.Errorf(deviceops.EUNAVAILABLE, "%s", reason), after: outbound.RetryAfter(response.Header.Get("Retry-After"), s.now()),
	}
}

// requestFailure says what kept a request from being answered, without the
// address, which the route has.
func requestFailure(err error) error {
	var inner *url.Error
	if errors.As(err, &inner) {
		if inner.Timeout() {
			return deviceops.Errorf(deviceops.ETIMEOUT, "no answer in time")
		}
		err = inner.Err
	}
	return networkFailure("no answer", err)
}
