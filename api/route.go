package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/deviceops/deviceops"
)

// route describes one operation.
type route struct {
	id      string // operationId: list-devices
	method  string
	path    string
	role    string // that the caller needs
	summary string
	about   string // more than the summary; may be empty
	maxBody int64  // bytes; 0: 1 MiB
}

// roleKey is where an operation's role is kept, for guard.
const roleKey = "role"

func (r route) operation() huma.Operation {
	return huma.Operation{
		OperationID:  r.id,
		Method:       r.method,
		Path:         r.path,
		Summary:      r.summary,
		Description:  strings.TrimSpace(r.about + "\n\nNeeds the role " + r.role + "."),
		Tags:         []string{r.tag()},
		MaxBodyBytes: r.maxBody,
		Metadata:     map[string]any{roleKey: r.role},
		Responses:    map[string]*huma.Response{"default": problemResponse},
	}
}

// tag is the entity: the first word of the path.
func (r route) tag() string {
	word := strings.TrimPrefix(r.path, "/v1/")
	if end := strings.IndexAny(word, "/:"); end >= 0 {
		word = word[:end]
	}
	return word
}

// reply is what a handler gives, as huma wants it.
type reply[T any] struct {
	Body T
}

// handle registers f under r. The principal was authenticated and has the role.
func handle[I, O any](s *server, r route, f func(ctx context.Context, p deviceops.Principal, in *I) (O, error)) {
	register(s, r.operation(), f)
}

func register[I, O any](s *server, op huma.Operation, f func(ctx context.Context, p deviceops.Principal, in *I) (O, error)) {
	huma.Register(s.huma, op, func(ctx context.Context, in *I) (*reply[O], error) {
		out, err := f(ctx, principalOf(ctx), in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return &reply[O]{Body: out}, nil
	})
}

// Reasoned is part of every input that changes something. Like the other parts
// of inputs it is exported because huma passes over embedded fields that are not.
type Reasoned struct {
	Reason string `header:"X-Reason" doc:"Why; kept in the audit log"`
}

// because gives the reason out of the header or, first, the body.
func (r Reasoned) because(body string) string {
	if body != "" {
		return body
	}
	return r.Reason
}

func noRoute(w http.ResponseWriter, r *http.Request) {
	writeProblem(w, newProblem(http.StatusNotFound, deviceops.ENOTFOUND, "there is no route "+r.Method+" "+r.URL.Path+"; /openapi.json lists all"))
}
