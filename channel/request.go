package channel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/outbound"
)

// Limits of one response.
const (
	maxResponse   = 1 << 20 // bytes
	excerptLength = 300     // characters of a body that an error shows
)

// request asks over HTTP. A token that was refused is renewed once.
func (e *exchange) request(ctx context.Context) (dsl.ChannelResponse, error) {
	response, err := e.try(ctx)
	if err == nil && response.Status == http.StatusUnauthorized && e.renew() {
		response, err = e.try(ctx)
	}
	if err != nil {
		return response, err
	}
	good, err := e.op.Expects(e.call, response)
	switch {
	case err != nil:
		return response, err
	case !good:
		return response, e.refused(response)
	}
	return response, nil
}

// try makes the request once, with fresh credentials.
func (e *exchange) try(ctx context.Context) (dsl.ChannelResponse, error) {
	request, err := e.build(ctx)
	if err != nil {
		return dsl.ChannelResponse{}, err
	}
	response, err := e.config.Guard.Send(ctx, request, e.channel.Auth != nil || e.channel.URLSecret != "")
	if err != nil {
		return dsl.ChannelResponse{}, networkError(err)
	}
	defer response.Body.Close()
	return readResponse(response)
}

// build makes the request of the operation.
func (e *exchange) build(ctx context.Context) (*http.Request, error) {
	spec, err := e.op.Request(e.call)
	if err != nil {
		return nil, err
	}
	base, err := e.base(ctx)
	if err != nil {
		return nil, err
	}
	credentials, err := e.credentials(ctx)
	if err != nil {
		return nil, err
	}
	address, err := addressOf(base+spec.Path, spec.Query, credentials.query)
	if err != nil {
		return nil, err
	}
	body, contentType, err := bodyOf(spec, credentials.member)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, spec.Method, address, bytes.NewReader(body))
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "this cannot be requested: its address is malformed")
	}
	e.headers(request, spec, contentType)
	return request, credentials.apply(request, body)
}

// headers sets those that are no credentials.
func (e *exchange) headers(request *http.Request, spec dsl.ChannelRequest, contentType string) {
	request.Header.Set("User-Agent", "DeviceOps")
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if e.call.ID != "" && request.Method != http.MethodGet {
		request.Header.Set("Idempotency-Key", e.call.ID)
	}
	for name, value := range e.channel.Headers {
		request.Header.Set(name, value)
	}
	for name, value := range spec.Headers {
		request.Header.Set(name, value)
	}
}

// base gives the address of the system.
func (e *exchange) base(ctx context.Context) (string, error) {
	if e.channel.URLSecret == "" {
		return e.channel.URL, nil
	}
	address, err := e.secret(ctx, e.channel.URLSecret)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(address, "/"), dsl.CheckChannelURL(address)
}

func addressOf(text string, queries ...url.Values) (string, error) {
	address, err := url.Parse(text)
	if err != nil || address.Scheme != "http" && address.Scheme != "https" {
		return "", deviceops.Errorf(deviceops.EINVALID, "this cannot be requested: the url of the channel and the path give no address of http or https")
	}
	query := address.Query()
	for _, values := range queries {
		for name, list := range values {
			for _, value := range list {
				query.Add(name, value)
			}
		}
	}
	address.RawQuery = query.Encode()
	return address.String(), nil
}

// bodyOf gives the body of a request; member is put into a JSON one.
func bodyOf(spec dsl.ChannelRequest, member map[string]any) (body []byte, contentType string, err error) {
	switch {
	case spec.JSON != nil:
		if object, ok := spec.JSON.(map[string]any); ok {
			for name, value := range member {
				object[name] = value
			}
		}
		body, err = json.Marshal(spec.JSON)
		return body, "application/json", err
	case spec.Form != nil:
		return []byte(spec.Form.Encode()), "application/x-www-form-urlencoded", nil
	case spec.Body != "":
		return []byte(spec.Body), "text/plain; charset=utf-8", nil
	default:
		return nil, "", nil
	}
}

func readResponse(response *http.Response) (dsl.ChannelResponse, error) {
	out := dsl.ChannelResponse{Status: response.StatusCode, Headers: lowered(response.Header)}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxResponse+1))
	switch {
	case err != nil:
		return out, networkError(err)
	case len(body) > maxResponse:
		return out, deviceops.Errorf(deviceops.EFAILED, "the response has more than %d bytes", maxResponse)
	}
	if outbound.IsJSON(response.Header.Get("Content-Type")) && len(bytes.TrimSpace(body)) > 0 {
		if out.JSON, err = dsl.DecodeJSON(body); err == nil {
			return out, nil
		}
	}
	out.Body = strings.ToValidUTF8(string(body), "\ufffd")
	return out, nil
}

func lowered(h http.Header) map[string]string {
	all := make(map[string]string, len(h))
	for name, values := range h {
		all[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return all
}

// networkError tells what kept a request from being answered, without its
// address, which may hold a secret.
func networkError(err error) error {
	var forbidden outbound.ForbiddenAddress
	var at *url.Error
	cause := err
	if errors.As(err, &at) {
		cause = at.Err
	}
	switch {
	case errors.As(err, &forbidden):
		return deviceops.Errorf(deviceops.EFORBIDDEN, "%s", forbidden.Error())
	case errors.Is(err, outbound.ErrManyRedirects), errors.Is(err, outbound.ErrOtherOrigin), errors.Is(err, outbound.ErrSchemeRedirect):
		return deviceops.Errorf(deviceops.EREJECTED, "%s", cause.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "the system did not answer in time")
	case errors.Is(err, context.Canceled):
		return deviceops.Errorf(deviceops.ECANCELED, "the request was called off")
	default:
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "the system cannot be reached: %s", cause.Error())
	}
}

// refused tells what a response means that is no success.
func (e *exchange) refused(r dsl.ChannelResponse) error {
	answer := "the system answered " + statusText(r.Status) + e.excerpt(r)
	wait := min(outbound.RetryAfter(r.Headers["retry-after"], e.config.Now()), longestPause)
	busy := outbound.Retryable(r.Status) || r.Status == http.StatusForbidden && wait > 0 // so GitHub says that a limit was reached
	switch {
	case busy && wait > 0:
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "%s; %w", answer, deviceops.Later{After: wait})
	case busy:
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "%s", answer)
	case r.Status == http.StatusUnauthorized, r.Status == http.StatusForbidden:
		return deviceops.Errorf(deviceops.EFORBIDDEN, "%s", answer)
	default:
		return deviceops.Errorf(deviceops.EREJECTED, "%s", answer)
	}
}

func statusText(status int) string {
	return strings.TrimSpace(dsl.Format(int64(status)) + " " + http.StatusText(status))
}

// excerpt gives the beginning of a body. Secrets are taken out before it is cut:
// a half of one would not be recognized.
func (e *exchange) excerpt(r dsl.ChannelResponse) string {
	text := r.Body
	if r.JSON != nil {
		text = dsl.Format(r.JSON)
	}
	text = strings.TrimSpace(e.redactor.Text(text))
	if text == "" {
		return ""
	}
	if utf8.RuneCountInString(text) > excerptLength {
		text = string([]rune(text)[:excerptLength]) + "…"
	}
	return ": " + text
}
