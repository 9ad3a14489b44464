package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/deviceops/deviceops"
)

// source gives the news of a stream since the last call. done ends the stream.
type source func(ctx context.Context) (news []message, done bool, err error)

// message is one server-sent event.
type message struct {
	id    string // for Last-Event-ID; may be empty
	event string
	data  any // sent as JSON
}

// silence is how long a stream may have nothing to say before it sends a
// comment, which shows both sides that the connection lives.
const silence = 15 * time.Second

// stream registers a route that answers with server-sent events. open runs
// before the first byte, so that its error is an ordinary problem.
func stream[I any](s *server, r route, open func(ctx context.Context, p deviceops.Principal, in *I) (source, error)) {
	op := r.operation()
	op.Responses["200"] = &huma.Response{
		Description: "Server-sent events, until the caller leaves",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}
	huma.Register(s.huma, op, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		next, err := open(ctx, principalOf(ctx), in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return &huma.StreamResponse{Body: func(ctx huma.Context) { s.pump(ctx, next) }}, nil
	})
}

// pump sends what next gives, once per poll, until the caller leaves or the
// stream is done.
func (s *server) pump(hc huma.Context, next source) {
	ctx := hc.Context()
	_, w := humago.Unwrap(hc)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back
	hc.SetStatus(http.StatusOK)
	out := sender{w: w, flusher: http.NewResponseController(w), spoke: time.Now()}
	tick := time.NewTicker(s.Poll)
	defer tick.Stop()
	for {
		news, done, err := next(ctx)
		if err != nil && ctx.Err() == nil {
			news = append(news, message{event: "problem", data: s.problem(ctx, err)})
			done = true
		}
		if out.send(news) != nil || done {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sender writes server-sent events.
type sender struct {
	w       io.Writer
	flusher *http.ResponseController
	spoke   time.Time
	begun   bool
}

func (o *sender) send(news []message) error {
	for _, m := range news {
		if err := o.write(m); err != nil {
			return err
		}
	}
	switch {
	case len(news) > 0:
	case !o.begun || time.Since(o.spoke) > silence:
		if _, err := io.WriteString(o.w, ":\n\n"); err != nil {
			return err
		}
	default:
		return nil
	}
	o.begun, o.spoke = true, time.Now()
	return o.flusher.Flush()
}

func (o *sender) write(m message) error {
	data, err := json.Marshal(m.data)
	if err != nil {
		return err
	}
	if m.id != "" {
		if _, err := fmt.Fprintf(o.w, "id: %s\n", m.id); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(o.w, "event: %s\ndata: %s\n\n", m.event, data)
	return err
}
