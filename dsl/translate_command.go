package dsl

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/deviceops/deviceops"
)

// send says how a device is told a command.
type send struct {
	topic   *Value
	told    *regexp.Regexp // what topic may come to; nil: it may begin with anything
	payload *Value         // nil: an empty one
	encode  string
	again   bool // the command is idempotent
}

// reply says how a device answers a command.
type reply struct {
	origin
	command   string
	id        *Expression
	attempt   *Expression
	ok        *Expression // either ok or status
	status    *Expression
	percent   *Expression
	phase     *Expression
	retryIn   *Expression
	output    []named
	code      *Value
	message   *Value
	retryable *Expression
}

// encodings make bytes of a payload.
var encodings = map[string]func(v any) ([]byte, error){
	"json": func(v any) ([]byte, error) { return json.Marshal(v) },
	"cbor": func(v any) ([]byte, error) { return cborEncoding.Marshal(v) },
	"text": func(v any) ([]byte, error) { return []byte(Format(v)), nil },
	"hex": func(v any) ([]byte, error) {
		return hex.DecodeString(strings.ReplaceAll(Format(v), " ", ""))
	},
	"base64": func(v any) ([]byte, error) { return base64.StdEncoding.DecodeString(Format(v)) },
}

// cborEncoding writes maps in the one order that all machines agree on.
var cborEncoding = func() cbor.EncMode {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic("dsl: the CBOR encoder is set up wrongly: " + err.Error()) // its options are constants
	}
	return mode
}()

// Down implements deviceops.Translation.
func (t *translation) Down(c deviceops.Command, now time.Time) (deviceops.Outgoing, error) {
	s := t.sends[c.Name]
	if s == nil {
		return deviceops.Outgoing{}, invalid("the profile %s does not say how its devices are told %s", c.Route.Profile, c.Name)
	}
	env := Env{all: commandVariables(c, now)}
	topic, err := s.topic.Text(env)
	if err != nil {
		return deviceops.Outgoing{}, err
	}
	out := deviceops.Outgoing{Topic: topic, Payload: []byte{}, Again: s.again}
	if s.payload == nil {
		return out, nil
	}
	v, err := s.payload.Eval(env)
	if err != nil {
		return out, err
	}
	if out.Payload, err = encodings[s.encode](v); err != nil {
		return out, invalid("the payload of the command %s cannot be written as %s: %s", c.Name, s.encode, firstLine(err.Error()))
	}
	return out, nil
}

func commandVariables(c deviceops.Command, now time.Time) map[string]any {
	command := map[string]any{"id": c.ID, "name": c.Name, "attempt": int64(c.Attempt), "expires_in": nil}
	if left := c.ExpiresAt.Sub(now); !c.ExpiresAt.IsZero() {
		command["expires_in"] = canonicalFloat(left.Seconds())
	}
	return map[string]any{
		"args": anyMap(c.Args), "command": command, "device": map[string]any{"id": c.Device, "serial": c.Route.Serial},
	}
}

// hearReplies notes the replies that a message may be, and gives the first error
// of one that could not be read.
func (t *translation) hearReplies(r *hearing) (failed error) {
	for i := range t.replies {
		taken, err := r.takes(&t.replies[i].origin)
		if taken {
			err = r.reply(&t.replies[i])
		}
		if err != nil && failed == nil {
			failed = deviceops.Errorf(deviceops.ErrorCode(err), "as a reply to %s: %w", t.replies[i].command, err)
		}
	}
	return failed
}

func (r *hearing) reply(t *reply) error {
	out := deviceops.Reply{Command: t.command}
	if t.id != nil {
		id, ok, err := r.need("id", t.id)
		if !ok {
			return err
		}
		out.ID = Format(id)
	}
	if attempt, ok, err := r.need("attempt", t.attempt); err != nil {
		return err
	} else if n, isNumber := attempt.(int64); ok && isNumber && n > 0 && n < 1<<31 {
		out.Attempt = int(n)
	}
	body, err := r.answer(t)
	if err != nil {
		return err
	}
	out.Body = body
	r.heard.Replies = append(r.heard.Replies, out)
	return nil
}

// need evaluates an expression of a reply. A value that is missing is an error:
// half an answer is none.
func (r *hearing) need(name string, e *Expression) (v any, ok bool, err error) {
	if e == nil {
		return nil, false, nil
	}
	if v, err = r.eval(e); err == nil && v == nil {
		err = invalid("%s: `%s` has no value", name, e.Source)
	}
	return v, err == nil, err
}

func (r *hearing) answer(t *reply) (map[string]any, error) {
	status, err := r.outcome(t)
	if err != nil {
		return nil, err
	}
	body := map[string]any{"status": status}
	for _, f := range []named{{"percent", t.percent}, {"phase", t.phase}, {"retry_in", t.retryIn}} {
		v, ok, err := r.optional(f.name, f.expr)
		if err != nil {
			return nil, err
		}
		if ok {
			body[f.name] = v
		}
	}
	output, err := r.values("output.", t.output)
	if len(output) > 0 {
		body["output"] = output
	}
	if err == nil && (status == "failed" || status == "rejected") {
		body["error"], err = r.failure(t)
	}
	return body, err
}

// outcome gives the status of a result, by ok or by status.
func (r *hearing) outcome(t *reply) (any, error) {
	if t.status != nil {
		v, _, err := r.need("status", t.status)
		return v, err
	}
	verdict, err := r.verdict(t.ok)
	switch {
	case err != nil:
		return nil, err
	case verdict == deviceops.Yes:
		return "succeeded", nil
	case verdict == deviceops.No:
		return "failed", nil
	}
	return nil, invalid("ok: `%s` cannot be judged, since a value is missing", t.ok.Source)
}

func (r *hearing) failure(t *reply) (map[string]any, error) {
	code, err := r.text("error.code", t.code)
	if err != nil {
		return nil, err
	}
	message, err := r.text("error.message", t.message)
	if err != nil {
		return nil, err
	}
	if !deviceops.ValidID(code) {
		code = strings.Trim(wordBreaks.ReplaceAllString(code, "_"), "_")
	}
	failure := map[string]any{"code": orElse(code, "failed"), "message": message}
	if t.retryable != nil {
		verdict, err := r.verdict(t.retryable)
		if err != nil {
			return nil, err
		}
		failure["retryable"] = verdict == deviceops.Yes
	}
	return failure, nil
}
