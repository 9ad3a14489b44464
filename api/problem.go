package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/danielgtaylor/huma/v2"

	"github.com/deviceops/deviceops"
)

// statuses maps the error codes of the domain to HTTP, for all routes.
var statuses = map[string]int{
	deviceops.EINVALID:         http.StatusUnprocessableEntity,
	deviceops.ENOTFOUND:        http.StatusNotFound,
	deviceops.ECONFLICT:        http.StatusConflict,
	deviceops.EUNAUTHENTICATED: http.StatusUnauthorized,
	deviceops.EFORBIDDEN:       http.StatusForbidden,
	deviceops.EEXHAUSTED:       http.StatusTooManyRequests,
	deviceops.EUNAVAILABLE:     http.StatusServiceUnavailable,
	deviceops.ETIMEOUT:         http.StatusGatewayTimeout,
	deviceops.ECANCELED:        http.StatusConflict,
	deviceops.EREJECTED:        http.StatusConflict,
	deviceops.EFAILED:          http.StatusBadGateway,
	deviceops.EINTERNAL:        http.StatusInternalServerError,
}

// codeOf gives the code for a status that did not come from the domain, such as
// that of a body which is no JSON.
func codeOf(status int) string {
	switch status {
	case http.StatusNotFound:
		return deviceops.ENOTFOUND
	case http.StatusRequestTimeout:
		return deviceops.ETIMEOUT
	case http.StatusUnauthorized:
		return deviceops.EUNAUTHENTICATED
	}
	if status >= http.StatusInternalServerError {
		return deviceops.EINTERNAL
	}
	return deviceops.EINVALID
}

// problem is an error as RFC 9457 describes it, with the code of the domain.
type problem struct {
	Title  string              `json:"title" doc:"The HTTP status in words"`
	Status int                 `json:"status" doc:"The HTTP status"`
	Code   string              `json:"code" doc:"For programs: invalid, not_found, conflict, unauthenticated, forbidden, exhausted, unavailable, timeout, canceled, rejected, failed, internal"`
	Detail string              `json:"detail" doc:"For people: what is wrong and what to do"`
	Errors []*huma.ErrorDetail `json:"errors,omitempty" doc:"The fields that are wrong"`
}

func newProblem(status int, code, detail string) *problem {
	return &problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// Error implements error.
func (p *problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *problem) ContentType(string) string { return "application/problem+json" }

var problemResponse = &huma.Response{
	Description: "What went wrong, as RFC 9457 describes it",
	Content: map[string]*huma.MediaType{"application/problem+json": {Schema: &huma.Schema{
		Type:     huma.TypeObject,
		Required: []string{"title", "status", "code", "detail"},
		Properties: map[string]*huma.Schema{
			"title":  {Type: huma.TypeString},
			"status": {Type: huma.TypeInteger},
			"code":   {Type: huma.TypeString, Description: "invalid, not_found, conflict, unauthenticated, forbidden, exhausted, unavailable, timeout, canceled, rejected, failed, internal"},
			"detail": {Type: huma.TypeString},
			"errors": {Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeObject}},
		},
	}}},
}

// problem gives err as callers see it. What is not of the domain is logged and
// told as "internal error" only.
func (c *core) problem(ctx context.Context, err error) *problem {
	if ctx.Err() != nil {
		return newProblem(http.StatusServiceUnavailable, deviceops.ECANCELED, "the request was given up")
	}
	code := deviceops.ErrorCode(err)
	status, known := statuses[code]
	if !known || code == deviceops.EINTERNAL {
		status, code = http.StatusInternalServerError, deviceops.EINTERNAL
		c.Log.ErrorContext(ctx, "request failed", "error", err)
	}
	return newProblem(status, code, deviceops.ErrorMessage(err))
}

// asProblem turns the errors that huma makes itself, about bodies and
// parameters, into problems.
func asProblem(_ huma.Context, _ string, v any) (any, error) {
	var model *huma.ErrorModel
	if err, ok := v.(error); !ok || !errors.As(err, &model) {
		return v, nil
	}
	p := newProblem(model.Status, codeOf(model.Status), model.Detail)
	p.Errors = model.Errors
	for i, e := range model.Errors {
		separator := "; "
		if i == 0 {
			separator = ": "
		}
		p.Detail += separator + e.Location + " " + e.Message
	}
	return p, nil
}

func writeProblem(w http.ResponseWriter, p *problem) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the caller may be gone
}

// recoverer answers 500 where a handler panics, so that one bad request is one
// bad answer.
type recoverer struct {
	next http.Handler
	log  *slog.Logger
}

func (h recoverer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		switch cause := recover(); cause {
		case nil:
		case http.ErrAbortHandler:
			panic(cause)
		default:
			h.log.ErrorContext(r.Context(), "a handler panicked", "cause", cause, "path", r.URL.Path, "stack", string(debug.Stack()))
			writeProblem(w, newProblem(http.StatusInternalServerError, deviceops.EINTERNAL, "internal error"))
		}
	}()
	h.next.ServeHTTP(w, r)
}
