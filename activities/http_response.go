package activities

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/outbound"
)

// Codes of the failures of http.request.
const (
	codeHTTPStatus    = "http.status"
	codeHTTPTimeout   = "http.timeout"
	codeHTTPNetwork   = "http.network"
	codeHTTPRedirect  = "http.redirect"
	codeHTTPForbidden = "http.forbidden"
	codeHTTPTooLarge  = "http.too_large"
	codeHTTPMalformed = "http.malformed"
)

// excerptLength is how many characters of a body a failure shows.
const excerptLength = 500

// networkFailure tells what kept a request from being answered. What the network
// says is left out where it could repeat a part of the request.
func networkFailure(err error) error {
	var forbidden outbound.ForbiddenAddress
	var at *url.Error
	message := err.Error()
	if errors.As(err, &at) {
		message = at.Err.Error()
	}
	switch {
	case errors.As(err, &forbidden):
		return Fail(deviceops.RunError{Code: codeHTTPForbidden, Message: forbidden.Error()})
	case errors.Is(err, outbound.ErrManyRedirects), errors.Is(err, outbound.ErrOtherOrigin), errors.Is(err, outbound.ErrSchemeRedirect):
		return Fail(deviceops.RunError{Code: codeHTTPRedirect, Message: message})
	case errors.Is(err, context.DeadlineExceeded):
		return Fail(deviceops.RunError{Code: codeHTTPTimeout, Message: "the server did not answer in time", Retryable: true})
	case errors.Is(err, context.Canceled):
		return err
	default:
		return Fail(deviceops.RunError{Code: codeHTTPNetwork, Message: "the server cannot be reached: " + message, Retryable: true})
	}
}

// judge reads a response and decides whether it is a success. Of a body that is
// too large nothing is shown: its end may be half a secret, which nobody would
// recognize.
func (a *httpArgs) judge(c *Call, response *http.Response) (httpOutput, error) {
	body, err := io.ReadAll(io.LimitReader(response.Body, int64(a.MaxResponse)+1))
	tooLarge := len(body) > a.MaxResponse
	if !a.expects(response.StatusCode) {
		if tooLarge || err != nil {
			body = nil
		}
		return httpOutput{}, statusFailure(response, c.excerpt(body), c.Now())
	}
	switch {
	case err != nil:
		return httpOutput{}, networkFailure(err)
	case tooLarge:
		return httpOutput{}, Fail(deviceops.RunError{
			Code: codeHTTPTooLarge, Message: fmt.Sprintf("the response has more than %d bytes; ask for less, or raise max_response", a.MaxResponse),
			Data: map[string]any{"status": response.StatusCode},
		})
	}
	return c.readResponse(response, body)
}

func (a *httpArgs) expects(status int) bool {
	if len(a.Expect) == 0 {
		return status >= 200 && status <= 299
	}
	return slices.Contains(a.Expect, status)
}

func (c *Call) readResponse(response *http.Response, body []byte) (httpOutput, error) {
	out := httpOutput{Status: response.StatusCode, Headers: map[string]string{}}
	for name, values := range response.Header {
		out.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	if !outbound.IsJSON(response.Header.Get("Content-Type")) || len(bytes.TrimSpace(body)) == 0 {
		out.Body = strings.ToValidUTF8(string(body), "\ufffd")
		return out, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber() // numbers leave as they came
	if err := decoder.Decode(&out.JSON); err != nil || decoder.More() {
		return httpOutput{}, Fail(deviceops.RunError{
			Code: codeHTTPMalformed, Message: "the server says that its response is JSON, and it is not",
			Data: map[string]any{"status": response.StatusCode, "body": c.excerpt(body)},
		})
	}
	return out, nil
}

func statusFailure(response *http.Response, body string, now time.Time) error {
	data := map[string]any{"status": response.StatusCode, "body": body}
	if wait := outbound.RetryAfter(response.Header.Get("Retry-After"), now); wait > 0 {
		data[retryAfterField] = int64(wait.Round(time.Second) / time.Second)
	}
	text := strconv.Itoa(response.StatusCode)
	if name := http.StatusText(response.StatusCode); name != "" {
		text += " " + name
	}
	return Fail(deviceops.RunError{
		Code: codeHTTPStatus, Message: "the server answered " + text, Retryable: outbound.Retryable(response.StatusCode), Data: data,
	})
}

// excerpt gives the beginning of a body. Secrets are taken out before it is cut:
// a half of one would not be recognized.
func (c *Call) excerpt(body []byte) string {
	text := c.redactor.Text(strings.ToValidUTF8(string(body), "\ufffd"))
	if utf8.RuneCountInString(text) <= excerptLength {
		return text
	}
	return string([]rune(text)[:excerptLength]) + "…"
}
