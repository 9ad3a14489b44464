package serverless

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// otherCalls are the calls of the specification that have no counterpart, with
// what to do instead.
var otherCalls = map[string]string{
	"openapi":  "write call: http with the address of the operation",
	"grpc":     "call the service over http, or add an action to the engine (activities.NewAction)",
	"asyncapi": "emit an event, or publish with the action mqtt.publish",
	"a2a":      "call the agent over http",
	"mcp":      "call the server over http",
}

// callTask translates call: http, and functions that are such a call.
func (b *builder) callTask(t task, sc scope) done {
	n := t.get("call")
	name, ok := b.text(n, "call")
	if !ok {
		return done{}
	}
	if name != "http" {
		return b.function(t, n, sc)
	}
	with := b.required(t.object, "with", "a call")
	if with == nil {
		return done{}
	}
	return b.http(t, with, sc)
}

func (b *builder) http(t task, with *yaml.Node, sc scope) done {
	c := &httpCall{builder: b, sc: sc, id: b.stepID(t), arguments: mapping()}
	return c.translate(with)
}

// function translates the call of a function of use that calls http. The
// function works on its arguments, or on what flows where it gets none.
func (b *builder) function(t task, n *yaml.Node, sc scope) done {
	if fix, other := otherCalls[n.Value]; other {
		b.Report(n, codeUnsupported, fix, "call: %s is not translated", n.Value)
		return done{}
	}
	if strings.ContainsAny(n.Value, ":@") {
		b.Report(n, codeUnsupported, "write the tasks of the function where it is called", "functions of catalogs are not translated")
		return done{}
	}
	definition := b.component(n, "functions", "function")
	if definition == nil {
		return done{}
	}
	o := b.object(definition, "a function", append([]string{"call", "with"}, commonKeys...)...)
	if call := o.get("call"); call == nil || call.Value != "http" {
		b.Report(n, codeUnsupported, "write the tasks of the function where it is called", "functions are translated when they are call: http")
		return done{}
	}
	b.unsupported(o, "a function", "give it to the task that calls the function", "if", "output", "export", "timeout", "then")
	if input := o.get("input"); input != nil {
		held := b.object(input, "input", "schema", "from")
		b.unsupported(held, "a function", "compute it in the arguments", "from")
		b.unchecked(held)
	}
	with := b.required(o, "with", "a function")
	if with == nil {
		return done{}
	}
	given := t.get("with")
	if given == nil {
		return b.http(t, with, sc)
	}
	inner := sc
	inner.data = b.variable(t, "arguments")
	first := step("", "set", mapping(inner.data, b.value(given, sc.env())))
	d := b.http(t, with, inner)
	d.steps = append([]*yaml.Node{first}, d.steps...)
	return d
}

// httpCall is a call over HTTP that is translated.
type httpCall struct {
	*builder
	sc        scope
	id        string
	arguments *yaml.Node
}

var (
	httpKeys    = []string{"method", "endpoint", "headers", "body", "query", "output", "redirect"}
	httpMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
)

func (c *httpCall) translate(with *yaml.Node) done {
	o := c.object(with, "with", httpKeys...)
	method, endpoint := c.required(o, "method", "call: http"), c.required(o, "endpoint", "call: http")
	if method == nil || endpoint == nil {
		return done{}
	}
	verb := strings.ToUpper(method.Value)
	if !slices.Contains(httpMethods, verb) {
		c.Report(method, codeUnsupported, "use one of "+strings.Join(httpMethods, ", "), "this method is not translated")
	}
	put(c.arguments, "method", textNodeOf(verb))
	c.endpoint(endpoint)
	if n := o.get("headers"); n != nil {
		put(c.arguments, "headers", c.value(n, c.sc.env()))
	}
	c.query(o.get("query"))
	c.body(o.get("body"))
	if n := o.get("redirect"); n != nil && !c.boolean(n, "redirect", false) {
		c.approximate(n, "", "redirects are followed")
	}
	main := step(c.id, "action", textNodeOf("http.request"), "with", c.arguments)
	d := done{steps: []*yaml.Node{main}, main: main}
	c.output(o.get("output"), &d)
	return d
}

// body sends a text as it is, and everything else as JSON.
func (c *httpCall) body(n *yaml.Node) {
	switch {
	case n == nil:
	case isText(n) && !wholeExpression.MatchString(n.Value):
		put(c.arguments, "body", c.value(n, c.sc.env()))
	default:
		put(c.arguments, "json", c.value(n, c.sc.env()))
	}
}

// query adds parameters to those that the address has.
func (c *httpCall) query(n *yaml.Node) {
	if n == nil {
		return
	}
	value := c.value(n, c.sc.env())
	own := get(c.arguments, "query")
	switch {
	case own == nil:
		put(c.arguments, "query", value)
	case value.Kind == yaml.MappingNode:
		own.Content = append(own.Content, value.Content...)
	default:
		c.Report(n, codeUnsupported, "write its parameters below query:, one by one", "parameters in the address and a computed query are not translated together")
	}
}

func (c *httpCall) endpoint(n *yaml.Node) {
	uri := n
	if n.Kind == yaml.MappingNode {
		o := c.object(n, "endpoint", "uri", "authentication")
		uri = c.required(o, "uri", "endpoint")
		if a := o.get("authentication"); a != nil {
			c.authentication(a)
		}
	}
	if uri == nil {
		return
	}
	text, ok := c.text(uri, "uri")
	switch {
	case !ok:
	case wholeExpression.MatchString(text):
		put(c.arguments, "url", c.value(uri, c.sc.env()))
	default:
		c.address(text)
	}
}

var uriVariable = regexp.MustCompile(`\{([^{}]+)\}`)

// address translates a URI template. Variables in its query become parameters.
func (c *httpCall) address(text string) {
	path, search, _ := strings.Cut(text, "?")
	query := mapping()
	if search != "" {
		rest := slices.DeleteFunc(strings.Split(search, "&"), func(pair string) bool {
			name, value, _ := strings.Cut(pair, "=")
			m := uriVariable.FindStringSubmatch(value)
			if m == nil || m[0] != value || uriVariable.MatchString(name) {
				return false
			}
			put(query, name, template(c.property(m[1])))
			return true
		})
		if len(rest) > 0 {
			path += "?" + strings.Join(rest, "&")
		}
	}
	put(c.arguments, "url", c.path(path))
	if len(query.Content) > 0 {
		put(c.arguments, "query", query)
	}
}

func (c *httpCall) path(text string) *yaml.Node {
	if !uriVariable.MatchString(text) {
		return literal(text)
	}
	return textNodeOf(uriVariable.ReplaceAllStringFunc(text, func(s string) string {
		return "${{ urlEncode(" + c.property(s[1:len(s)-1]).src + ") }}"
	}))
}

// property gives a property of what flows into the task, by its name as it is.
func (c *httpCall) property(name string) exp {
	if plainField.MatchString(name) {
		return exp{src: c.sc.dot().src + "?." + name, level: levelAtom, data: true}
	}
	return exp{src: c.sc.dot().src + "?.[" + quote(name) + "]", level: levelAtom, data: true}
}

// output gives what the call gives: the content, or all of the response.
func (c *httpCall) output(n *yaml.Node, d *done) {
	response := "steps." + c.id + ".output"
	content := exp{src: response + ".json ?? " + response + ".body", level: levelLoose, data: true}
	switch {
	case n == nil, n.Value == "content":
		d.out = &content
	case n.Value == "response":
		request := mapping("method", textNodeOf(strings.ToLower(get(c.arguments, "method").Value)), "uri", orEmptyText(get(c.arguments, "url")))
		headers := get(c.arguments, "headers")
		if headers == nil {
			headers = mapping()
		}
		put(request, "headers", headers)
		d.value = mapping("request", request, "statusCode", template(exp{src: response + ".status"}),
			"headers", template(exp{src: response + ".headers"}), "content", template(content))
	default:
		c.Report(n, codeUnsupported, "write content or response", "the output %s is not translated", n.Value)
	}
}

func orEmptyText(n *yaml.Node) *yaml.Node {
	if n == nil {
		return textNodeOf("")
	}
	return n
}
