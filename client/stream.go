package client

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"strings"

	"github.com/deviceops/deviceops"
)

// maxEvent is how long a line of a stream may be, in bytes.
const maxEvent = 4 << 20

// message is one server-sent event.
type message struct {
	id    string
	event string
	data  string
}

// follow opens a stream and gives what its events of the given name carry. An
// error is the last thing that it gives.
func follow[T any](ctx context.Context, c *Client, k call, event string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		k.method, k.accept = http.MethodGet, "text/event-stream"
		response, err := c.send(ctx, k)
		if err != nil {
			yield(none, err)
			return
		}
		defer response.Body.Close()
		for m, err := range messages(response.Body) {
			v, err := decode[T](ctx, m, event, err)
			if err == errSkipped {
				continue
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// errSkipped says that a message is not what the caller follows.
var errSkipped = &deviceops.Error{Code: deviceops.EINTERNAL, Message: "skipped"}

func decode[T any](ctx context.Context, m message, event string, broken error) (T, error) {
	var v T
	switch {
	case ctx.Err() != nil:
		return v, deviceops.Errorf(deviceops.ECANCELED, "given up: %w", ctx.Err())
	case broken != nil:
		return v, deviceops.Errorf(deviceops.EUNAVAILABLE, "the stream broke off: %w", broken)
	case m.event == "problem":
		return v, streamProblem(m.data)
	case m.event != event:
		return v, errSkipped
	}
	if err := json.Unmarshal([]byte(m.data), &v); err != nil {
		return v, deviceops.Errorf(deviceops.EINTERNAL, "the stream cannot be read: %w", err)
	}
	return v, nil
}

func streamProblem(data string) error {
	p := struct{ Code, Detail string }{Code: deviceops.EINTERNAL, Detail: data}
	_ = json.Unmarshal([]byte(data), &p) // what is no problem is shown as it is
	return deviceops.Errorf(p.Code, "%s", p.Detail)
}

// messages reads server-sent events. Comments are passed over; several data
// lines are joined, as the standard asks.
func messages(r io.Reader) iter.Seq2[message, error] {
	return func(yield func(message, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, maxEvent)
		var m message
		for lines.Scan() {
			if line := lines.Text(); line != "" {
				m.field(line)
				continue
			}
			if m.event != "" && !yield(m, nil) {
				return
			}
			m = message{}
		}
		if err := lines.Err(); err != nil {
			yield(message{}, err)
		}
	}
}

// field takes one line of an event.
func (m *message) field(line string) {
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch name {
	case "id":
		m.id = value
	case "event":
		m.event = value
	case "data":
		if m.data != "" {
			m.data += "\n"
		}
		m.data += value
	}
}
