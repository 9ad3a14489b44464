package dsl

import (
	"strings"

	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// ChannelOperation is one thing that a channel can be asked to do: by a request,
// or by a mail.
type ChannelOperation struct {
	Name       string
	ArgsSchema []byte // JSON Schema of the arguments of an action

	method  string
	path    *Value
	query   *Value
	headers *Value
	json    *Value
	form    *Value
	body    *Value
	mail    *channelMail // nil: a request

	expect  *Expression // nil: statuses from 200 to 299
	answer  []answerField
	prepare func(map[string]any) (map[string]any, error) // of an action
}

type channelMail struct {
	from, to, subject, text *Value
}

type answerField struct {
	name string
	expr *Expression
}

var operationKeys = []fieldSpec{
	{"request", objectSchema("an HTTP request", nil, channelRequestKeys)},
	{"mail", objectSchema("an e-mail, of a channel whose url is smtp", []string{"from", "subject", "text", "to"}, channelMailKeys)},
	{"expect", expressionSchema("whether the response is a success; left out: its status is 200 to 299")},
	{"answer", mapOf("what is read from the response, by name: id, url and status of tickets", expressionSchema(""))},
}

var channelRequestKeys = []fieldSpec{
	{"method", schema{"enum": words(channelMethods), "description": "left out: POST"}},
	{"path", textSchema("what follows the url of the channel; values in it are escaped")},
	{"query", mapOf("parameters of the address", valueSchema(""))},
	{"headers", mapOf("further headers", textSchema(""))},
	{"json", valueSchema("the body, sent as JSON")},
	{"form", mapOf("the body, sent as a form", valueSchema(""))},
	{"body", textSchema("the body, sent as it is")},
}

var channelMailKeys = []fieldSpec{
	{"from", textSchema("the sender")},
	{"to", valueSchema("an address, or a list of them")},
	{"subject", textSchema("the subject")},
	{"text", textSchema("the body, plain text")},
}

var channelMethods = []string{"GET", "POST", "PUT", "PATCH", "DELETE"}

var actionKeys = append([]fieldSpec{
	{"description", textSchema("what the action does")},
	{"args", mapOf("arguments: names and types", valueSchema(""))},
}, operationKeys...)

func operationSchema(description string) schema {
	return objectSchema(description, nil, operationKeys)
}

func actionOperationSchema() schema { return objectSchema("an action", nil, actionKeys) }

// Types of what the expressions of a channel see.
var (
	remoteTicketType = types.Map{"id": types.String, "url": types.String, "status": types.String}
	ticketType       = types.Map{
		"id": types.String, "account": types.String, "device": types.String, "title": types.String, "body": types.String,
		"severity": types.String, "status": types.String, "fingerprint": types.String, "count": types.Int64, "members": types.Int64, "assignee": types.String,
		"run": types.String, "opened_by": types.String, "opened_at": types.String, "closed_by": types.String, "resolution": types.String,
		"remote": remoteTicketType,
	}
	channelRunType = types.Map{"id": types.String, "workflow": types.String, "step": types.String}
	responseType   = types.Map{"status": types.Int64, "headers": openMap, "json": types.Any, "body": types.String, "message_id": types.String}
	noticeArgs     = types.Map{"title": types.String, "text": types.String, "severity": types.String, "key": types.String, "more": types.Int64}
	saidArgs       = types.Map{"text": types.String, "by": types.String}
	closeArgs      = types.Map{"resolution": types.String, "by": types.String}
	severityArgs   = types.Map{"severity": types.String, "by": types.String}
)

// operationArgs are the arguments of the operations that are no actions.
var operationArgs = map[string]types.Map{
	deviceops.ChannelComment: saidArgs, deviceops.ChannelReopen: saidArgs, deviceops.ChannelClose: closeArgs, deviceops.ChannelNotify: noticeArgs,
	deviceops.ChannelSeverity: severityArgs,
}

// ticketAnswers are what may be read from responses about tickets.
var ticketAnswers = map[string][]string{
	deviceops.ChannelFind: {"id", "url", "status"}, deviceops.ChannelOpen: {"id", "url", "status"}, deviceops.ChannelGet: {"url", "status"},
}

// operation reads an operation that every channel has in the same way.
func (r channelReader) operation(n *yaml.Node, name string) {
	o := r.object(n, name, fieldNames(operationKeys)...)
	if o == nil {
		return
	}
	env := types.Map{"device": deviceType(nil), "run": channelRunType}
	if args := operationArgs[name]; args != nil {
		env["args"] = args
	}
	if strings.HasPrefix(name, "ticket.") {
		env["ticket"] = ticketType
	}
	op := &ChannelOperation{Name: name}
	r.channel.Operations[name] = op
	r.transport(n, o, op, newScope(env))
	r.answers(n, o, op, env)
}

func (r channelReader) actions(n *yaml.Node) {
	o := r.names(n, "actions")
	if o == nil {
		return
	}
	for _, name := range o.order {
		if !documentName.MatchString(name) {
			r.report(o.keys[name], "bad-name", "write a name such as create-work-order", "the name of an action may have small letters, digits, '-', '_' and '.'")
			continue
		}
		r.action(o.get(name), name)
	}
}

func (r channelReader) action(n *yaml.Node, name string) {
	o := r.object(n, "the action "+name, fieldNames(actionKeys)...)
	if o == nil {
		return
	}
	op := &ChannelOperation{Name: deviceops.ChannelAction(name), prepare: refuseArguments(name)}
	r.channel.Operations[op.Name] = op
	if v := o.get("description"); v != nil {
		r.text(v, "a description")
	}
	env := types.Map{"device": deviceType(nil), "run": channelRunType, "args": types.Map{}}
	if v := o.get("args"); v != nil {
		env["args"] = r.actionArgs(v, op, name)
	}
	r.transport(n, o, op, newScope(env))
	r.answers(n, o, op, env)
}

// actionArgs reads the arguments of an action and gives their names.
func (r channelReader) actionArgs(n *yaml.Node, op *ChannelOperation, name string) types.Map {
	s, defaults := r.fieldsSchema(n, "args", false, true)
	if s == nil {
		return openMap
	}
	op.ArgsSchema = mustJSON(s)
	prepare, err := prepareFunc(name, op.ArgsSchema, defaults)
	if err != nil {
		r.report(n, "bad-type", "", "these arguments cannot be checked: %s", firstLine(err.Error()))
		return openMap
	}
	op.prepare = prepare
	known := types.Map{}
	properties, _ := s["properties"].(schema)
	for arg := range properties {
		known[arg] = types.Any
	}
	return known
}

// transport reads how the system is asked.
func (r channelReader) transport(n *yaml.Node, o *object, op *ChannelOperation, sc *scope) {
	request, mail := o.get("request"), o.get("mail")
	switch {
	case r.channel.Mail() && mail == nil:
		r.report(n, "missing-key", "add mail: { from: ..., to: ..., subject: ..., text: ... }", "a channel whose url is smtp sends mail")
	case r.channel.Mail() && request != nil:
		r.report(o.keys["request"], "wrong-value", "keep mail:", "a channel whose url is smtp sends no requests")
	case r.channel.Mail():
		r.mail(mail, op, sc)
	case mail != nil:
		r.report(o.keys["mail"], "wrong-value", "write request: in its place, or url: smtp://HOST", "mail goes by a channel whose url is smtp")
	case request == nil:
		r.report(n, "missing-key", "add request: { method: POST, path: /... }", "it is not said what is requested")
	default:
		r.request(request, op, sc)
	}
}

func (r channelReader) request(n *yaml.Node, op *ChannelOperation, sc *scope) {
	o := r.object(n, "request", fieldNames(channelRequestKeys)...)
	if o == nil {
		return
	}
	op.method = "POST"
	if v := o.get("method"); v != nil {
		op.method = r.choice(v, "method", channelMethods...)
	}
	if v := o.get("path"); v != nil {
		op.path = r.path(v, sc)
	}
	maps := map[string]**Value{"query": &op.query, "headers": &op.headers, "form": &op.form}
	for _, key := range sortedKeys(maps) {
		if v := o.get(key); v != nil && r.entries(v, key) != nil {
			*maps[key] = r.mapValue(v, sc)
		}
	}
	if v := o.get("json"); v != nil {
		op.json = r.value(v, sc)
	}
	if v := o.get("body"); v != nil {
		op.body = r.textValue(v, "body", sc)
	}
	r.oneBody(o, op)
}

// oneBody reports bodies that exclude each other, and credentials without a
// place.
func (r channelReader) oneBody(o *object, op *ChannelOperation) {
	var given []string
	for _, key := range []string{"json", "form", "body"} {
		if o.has(key) {
			given = append(given, key)
		}
	}
	switch {
	case len(given) > 1:
		r.report(o.keys[given[1]], "wrong-value", "keep one of them", "a request has one body: %s", strings.Join(given, " or "))
	case len(given) == 1 && op.method == "GET":
		r.report(o.keys[given[0]], "wrong-value", "write another method, or use query:", "a request with GET has no body")
	case r.channel.Auth != nil && r.channel.Auth.Kind == AuthJSON && (op.json == nil || o.get("json").Kind != yaml.MappingNode):
		r.report(o.node, "missing-key", "add json: with a map", "the credentials of this channel go into a JSON body, and this request has none")
	}
}

// path reads a path, whose literal part begins it: no value decides which part
// of the system is asked.
func (r channelReader) path(n *yaml.Node, sc *scope) *Value {
	text, ok := r.text(n, "path")
	if !ok {
		return nil
	}
	if !strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//") {
		r.report(n, "bad-path", "begin it with /, as in /rest/api/3/issue", "path is what follows the url of the channel")
		return nil
	}
	return r.textValue(n, "path", sc)
}

func (r channelReader) mail(n *yaml.Node, op *ChannelOperation, sc *scope) {
	o := r.object(n, "mail", fieldNames(channelMailKeys)...)
	if o == nil {
		return
	}
	op.mail = &channelMail{}
	texts := map[string]**Value{"from": &op.mail.from, "to": &op.mail.to, "subject": &op.mail.subject, "text": &op.mail.text}
	for _, key := range fieldNames(channelMailKeys) {
		switch v := o.get(key); {
		case v == nil:
			r.report(n, "missing-key", "add "+key+":", "a mail needs %s", key)
		case key == "to":
			*texts[key] = r.value(v, sc)
		default:
			*texts[key] = r.textValue(v, key, sc)
		}
	}
}

// answers reads how a response is judged and what is taken from it.
func (r channelReader) answers(n *yaml.Node, o *object, op *ChannelOperation, env types.Map) {
	sc := newScope(env).with("response", responseType)
	if v := o.get("expect"); v != nil {
		op.expect = r.expression(v, "expect", sc, wantBool)
	}
	v := o.get("answer")
	if v == nil {
		if op.Name == deviceops.ChannelOpen || op.Name == deviceops.ChannelFind {
			r.report(n, "missing-key", "add answer: { id: response.json.id }", "it is not said what the ticket is called there")
		}
		return
	}
	known, restricted := ticketAnswers[op.Name]
	fields := r.entries(v, "answer")
	if fields == nil {
		return
	}
	for _, name := range fields.order {
		if restricted && !contains(known, name) || !restricted && op.prepare == nil {
			r.report(fields.keys[name], "unknown-key", orElse(fixWrite("", closest(name, known)), "remove it"), "the answer of %s has no %q", op.Name, name)
			continue
		}
		op.answer = append(op.answer, answerField{name, r.expression(fields.get(name), name, sc, wantAny)})
	}
	if known != nil && contains(known, "id") && !fields.has("id") {
		r.report(v, "missing-key", "add id: response.json.id", "it is not said what the ticket is called there")
	}
}
