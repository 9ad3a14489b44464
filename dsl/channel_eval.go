package dsl

import (
	"net/url"
	"strings"

	"github.com/deviceops/deviceops"
)

// ChannelRequest is the HTTP request of an operation, without credentials.
type ChannelRequest struct {
	Method  string
	Path    string // escaped; what follows the URL of the channel
	Query   url.Values
	Headers map[string]string
	JSON    any        // the body, if it is JSON
	Form    url.Values // the body, if it is a form
	Body    string     // the body, if it is text
}

// ChannelMail is the mail of an operation.
type ChannelMail struct {
	From    string
	To      []string
	Subject string
	Text    string
}

// ChannelResponse is what the other system answered.
type ChannelResponse struct {
	Status    int
	Headers   map[string]string // names with small letters
	JSON      any               // canonical; nil: it is none
	Body      string            // if it is no JSON
	MessageID string            // of a mail that was sent
}

// IsMail reports whether the operation is a mail.
func (o *ChannelOperation) IsMail() bool { return o.mail != nil }

// Prepare checks the arguments of an action and fills in defaults. EINVALID.
func (o *ChannelOperation) Prepare(args map[string]any) (map[string]any, error) {
	if o.prepare == nil {
		return args, nil
	}
	return o.prepare(args)
}

// Request gives the request of a call. EINVALID if an expression fails, or if a
// value cannot stand where it is used.
func (o *ChannelOperation) Request(call deviceops.ChannelCall) (ChannelRequest, error) {
	env := channelEnv(call)
	r := ChannelRequest{Method: o.method}
	var err error
	if r.Path, err = o.path.escaped(env); err != nil {
		return r, err
	}
	if r.Query, err = o.query.parameters(env); err != nil {
		return r, err
	}
	if r.Form, err = o.form.parameters(env); err != nil {
		return r, err
	}
	headers, err := o.headers.Map(env)
	if err != nil {
		return r, err
	}
	r.Headers = make(map[string]string, len(headers))
	for name, v := range headers {
		r.Headers[name] = Format(v)
	}
	if r.JSON, err = o.json.Eval(env); err != nil {
		return r, err
	}
	r.Body, err = o.body.Text(env)
	return r, err
}

// Mail gives the mail of a call. Errors are those of Request.
func (o *ChannelOperation) Mail(call deviceops.ChannelCall) (ChannelMail, error) {
	env := channelEnv(call)
	var m ChannelMail
	for into, v := range map[*string]*Value{&m.From: o.mail.from, &m.Subject: o.mail.subject, &m.Text: o.mail.text} {
		text, err := v.Text(env)
		if err != nil {
			return m, err
		}
		*into = text
	}
	to, err := o.mail.to.Eval(env)
	if err != nil {
		return m, err
	}
	list, ok := to.([]any)
	if !ok {
		list = []any{to}
	}
	for _, address := range list {
		m.To = append(m.To, Format(address))
	}
	return m, nil
}

// Expects judges a response.
func (o *ChannelOperation) Expects(call deviceops.ChannelCall, response ChannelResponse) (bool, error) {
	if o.expect == nil {
		return response.Status >= 200 && response.Status <= 299, nil
	}
	return o.expect.Bool(answerEnv(call, response))
}

// Answer reads a response. EFAILED if it has not what the channel says.
func (o *ChannelOperation) Answer(call deviceops.ChannelCall, response ChannelResponse) (map[string]any, error) {
	env := answerEnv(call, response)
	answer := make(map[string]any, len(o.answer))
	for _, f := range o.answer {
		v, err := f.expr.Eval(env)
		if err != nil {
			return nil, deviceops.Errorf(deviceops.EFAILED, "%s cannot be read from the response: %w", f.name, err)
		}
		answer[f.name] = v
	}
	return answer, nil
}

// Read takes what a message says. EINVALID if it cannot be read.
func (w *ChannelWebhook) Read(headers map[string]string, json any, body string) (map[string]string, error) {
	env := Env{Locals: map[string]any{"request": map[string]any{"headers": textMap(headers), "json": json, "body": body}}}
	matters, err := w.when.Bool(env)
	if err != nil || !matters {
		return nil, err
	}
	said := map[string]string{}
	for name, e := range map[string]*Expression{"ticket": w.ticket, "status": w.status, "comment": w.comment, "by": w.by, "id": w.id} {
		if e == nil {
			continue
		}
		v, err := e.Eval(env)
		if err != nil {
			return nil, err
		}
		said[name] = Format(v)
	}
	return said, nil
}

func channelEnv(call deviceops.ChannelCall) Env {
	t := call.Ticket
	return Env{Locals: map[string]any{
		"ticket": map[string]any{
			"id": t.ID, "account": t.Account, "device": t.Device, "title": t.Title, "body": t.Body, "severity": t.Severity,
			"status": string(t.Status), "fingerprint": t.Fingerprint, "count": int64(t.Count), "members": int64(t.Members), "assignee": t.Assignee, "run": t.Run,
			"opened_by": t.OpenedBy, "opened_at": Format(factTime(t.OpenedAt)), "closed_by": t.ClosedBy, "resolution": t.Resolution,
			"remote": map[string]any{"id": t.Remote.ID, "url": t.Remote.URL, "status": t.Remote.Status},
		},
		"device": DeviceFacts(&call.Device),
		"run":    map[string]any{"id": call.Run.ID, "workflow": call.Run.Workflow, "step": call.Run.Step},
		"args":   anyMap(call.Args),
	}}
}

func answerEnv(call deviceops.ChannelCall, r ChannelResponse) Env {
	env := channelEnv(call)
	env.Locals["response"] = map[string]any{
		"status": int64(r.Status), "headers": textMap(r.Headers), "json": Canonical(r.JSON), "body": r.Body, "message_id": r.MessageID,
	}
	return env
}

// escaped gives a path in which each value is escaped, so that it stays one
// segment.
func (v *Value) escaped(env Env) (string, error) {
	if v == nil {
		return "", nil
	}
	if v.kind != templateValue {
		return v.Text(env)
	}
	var b strings.Builder
	for _, p := range v.parts {
		if p.expr == nil {
			b.WriteString(p.text)
			continue
		}
		result, err := p.expr.Eval(env)
		if err != nil {
			return "", err
		}
		segment := Format(result)
		if segment == "" || strings.Trim(segment, ".") == "" {
			return "", deviceops.Errorf(deviceops.EINVALID, "`%s` gives %s, which cannot be a part of a path", p.expr.Source, describe(result))
		}
		b.WriteString(url.PathEscape(segment))
	}
	return b.String(), nil
}

// parameters gives a map as parameters of an address or form: lists are repeated,
// nothing is left out.
func (v *Value) parameters(env Env) (url.Values, error) {
	given, err := v.Map(env)
	if err != nil || given == nil {
		return nil, err
	}
	all := url.Values{}
	for name, value := range given {
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		for _, item := range list {
			if item != nil {
				all.Add(name, Format(item))
			}
		}
	}
	return all, nil
}
