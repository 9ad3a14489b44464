package dsl

import (
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// RouteTarget is one place that a route forwards to. Of the last five fields one
// is set.
type RouteTarget struct {
	Name     string
	Retry    RouteRetry
	Ordered  bool // the events of one device arrive one after the other
	Parallel int  // deliveries at once

	HTTP     *HTTPTarget
	MQTT     *MQTTTarget
	Postgres *PostgresTarget
	File     *FileTarget
	PubSub   *PubSubTarget
}

// HTTPTarget is a server that takes JSON.
type HTTPTarget struct {
	URL     string
	Method  string // POST, PUT or PATCH
	Headers map[string]string
	Auth    *HTTPAuth     // nil: none
	List    bool          // a request carries a list; else one value
	Batch   int           // most values of a list
	Per     time.Duration // how long a list may wait to be full; 0: not at all
	Timeout time.Duration
}

// HTTPAuth is one way to show credentials; Secret refers to a secret.
type HTTPAuth struct {
	Kind   string // bearer, basic or header
	Name   string // of the user, or the header
	Secret string
}

// MQTTTarget publishes on the installation's broker.
type MQTTTarget struct{ topic *Value }

// Topic gives where the values of an event are published.
func (m *MQTTTarget) Topic(f Forwarding) (string, error) { return m.topic.Text(f.env) }

// PostgresTarget is a table of another database. Columns take the fields of the
// values that have their names.
type PostgresTarget struct {
	URL     string   // a reference to a secret: postgres://user:password@host/database
	Table   string   // name, or schema.name
	Columns []string // without IDColumn
	ID      string   // the column that takes the key of the value; a value whose key is there is not inserted again
}

// FileTarget is a file of JSON lines below the folder that the installation
// gives to routes.
type FileTarget struct {
	Path  string // relative, of slashes
	Size  int64  // bytes, from which on the file is put aside; 0: any
	Daily bool   // the file is put aside at midnight UTC
	Keep  int    // files put aside that are kept; 0: all
}

// PubSubTarget is a topic of a message system.
type PubSubTarget struct {
	URL  string    // nats://host:4222/subject, kafka://host:9092/topic ...
	Auth *HTTPAuth // bearer or basic; nil: none
}

// targetKinds are the keys of which a target has one.
var targetKinds = []string{"http", "mqtt", "postgres", "file", "pubsub"}

var routeTargetKeys = []fieldSpec{
	{"name", textSchema("the name of the target, under which its place in the stream is kept")},
	{"http", objectSchema("a server that takes JSON", []string{"url"}, httpTargetKeys)},
	{"mqtt", objectSchema("a topic of the installation's broker", []string{"topic"}, mqttTargetKeys)},
	{"postgres", objectSchema("a table of another PostgreSQL database", []string{"url", "table", "columns"}, postgresTargetKeys)},
	{"file", objectSchema("a file of JSON lines, in the folder that the installation gives to routes", []string{"path"}, fileTargetKeys)},
	{"pubsub", objectSchema("a topic of a message system", []string{"url"}, pubSubTargetKeys)},
	{"retry", objectSchema("when a delivery that failed is tried again", nil, routeRetryKeys)},
	{"order", schema{"enum": words(routeOrders), "description": "device: the events of one device arrive one after the other; none: in any order; left out: device"}},
	{"parallel", schema{"type": "integer", "minimum": 1, "maximum": maxRouteParallel, "description": "deliveries at once; left out: 1"}},
}

var httpTargetKeys = []fieldSpec{
	{"url", textSchema("where to, http or https, without credentials")},
	{"method", schema{"enum": words(routeMethods), "description": "left out: POST"}},
	{"headers", mapOf("headers to send; credentials belong into auth", textSchema(""))},
	{"auth", routeAuthSchema()},
	{"batch", schema{"type": "integer", "minimum": 1, "maximum": MaxRouteBatch, "description": "a request carries a list of up to so many values; left out: one value and no list"}},
	{"per", durationSchema("how long a list may wait to be full; without batch, up to 500 values")},
	{"timeout", durationSchema("how long a request may take; left out: 20s")},
}

var mqttTargetKeys = []fieldSpec{{"topic", templateSchema("where to; topics of devices are out of reach")}}

var postgresTargetKeys = []fieldSpec{
	{"url", secretSchema("postgres://user:password@host/database, as a reference to a secret")},
	{"table", textSchema("name, or schema.name")},
	{"columns", schema{"type": "array", "items": schema{"type": "string"}, "description": "columns, which take the fields of the shape that have their names"}},
	{"id", textSchema("the column that takes the key of a value; with a unique index on it, nothing is inserted twice; left out: event_id")},
}

var fileTargetKeys = []fieldSpec{
	{"path", textSchema("such as telemetry.jsonl or lake/telemetry.jsonl")},
	{"size", schema{"type": "string", "pattern": `^\d+(KB|MB|GB)$`, "description": "the file is put aside when it would get larger, such as 100MB; left out: 100MB"}},
	{"daily", booleanSchema("the file is put aside at midnight UTC, too; left out: false")},
	{"keep", integerSchema("so many files put aside are kept; left out: all", 1)},
}

var pubSubTargetKeys = []fieldSpec{
	{"url", textSchema("nats://host:4222/subject; kafka:// and those of clouds by build tags, see docs/routes.md")},
	{"auth", routeAuthSchema()},
}

var (
	routeOrders  = []string{"device", "none"}
	routeMethods = []string{http.MethodPost, http.MethodPut, http.MethodPatch}
)

// Bounds and defaults of targets.
const (
	MaxRouteBatch    = 500
	maxRouteParallel = 32
	defaultFileSize  = 100_000_000
	defaultTimeout   = 20 * time.Second
	maxRoutePer      = 10 * time.Minute
)

func secretSchema(description string) schema {
	return schema{"type": "string", "pattern": "^" + secretPrefix, "description": description}
}

func routeTargetSchema() schema {
	s := objectSchema("a target", []string{"name"}, routeTargetKeys)
	var one []any
	for _, kind := range targetKinds {
		one = append(one, schema{"required": []string{kind}})
	}
	s["oneOf"] = one
	return s
}

func (c *checker) routeTargets(n *yaml.Node, r *Route, sc *scope) {
	items := c.list(n, "to", "write - name: lake and below it http: { url: https://... }")
	if n.Kind == yaml.SequenceNode && len(items) == 0 {
		c.report(n, "empty-list", "write - name: lake and below it http: { url: https://... }", "it is not said where events are forwarded to")
	}
	if len(items) > maxRouteTargets {
		c.report(items[maxRouteTargets], "too-large", "write another route", "there are %d targets; at most %d are allowed", len(items), maxRouteTargets)
		return
	}
	for _, item := range items {
		c.routeTarget(item, r, sc)
	}
}

func (c *checker) routeTarget(n *yaml.Node, r *Route, sc *scope) {
	o := c.object(n, "a target", fieldNames(routeTargetKeys)...)
	if o == nil {
		return
	}
	t := RouteTarget{Ordered: true, Parallel: 1, Retry: c.routeRetry(o.get("retry"))}
	if v := o.get("name"); v == nil {
		c.report(n, "missing-key", "add name: lake", "a target needs a name, under which its place in the stream is kept")
	} else if t.Name = c.name(v, "the name of a target"); slices.ContainsFunc(r.Targets, func(other RouteTarget) bool { return other.Name == t.Name }) {
		c.report(v, "repeated", "give it another name", "there are two targets %q", t.Name)
	}
	if v := o.get("order"); v != nil {
		t.Ordered = c.choice(v, "order", routeOrders...) == "device"
	}
	if v := o.get("parallel"); v != nil {
		t.Parallel = c.integer(v, "parallel", 1, maxRouteParallel)
	}
	c.targetKind(o, &t, sc)
	r.Targets = append(r.Targets, t)
}

func (c *checker) targetKind(o *object, t *RouteTarget, sc *scope) {
	var given []string
	for _, kind := range targetKinds {
		if o.has(kind) {
			given = append(given, kind)
		}
	}
	switch {
	case len(given) == 0:
		c.report(o.node, "missing-key", "add one of "+joinNames(targetKinds), "it is not said what this target is")
		return
	case len(given) > 1:
		c.report(o.keys[given[1]], "two-targets", "write a target for each", "a target is one thing, and this is %s", strings.Join(given, " and "))
		return
	}
	switch n := o.get(given[0]); given[0] {
	case "http":
		t.HTTP = c.httpTarget(n)
	case "mqtt":
		t.MQTT = c.mqttTarget(n, sc)
	case "postgres":
		t.Postgres = c.postgresTarget(n)
	case "file":
		t.File = c.fileTarget(n)
	case "pubsub":
		t.PubSub = c.pubSubTarget(n)
	}
}

// targetObject reads a map of which some keys have to be there.
func (c *checker) targetObject(n *yaml.Node, what string, keys []fieldSpec, needed ...string) *object {
	o := c.object(n, what, fieldNames(keys)...)
	if o == nil {
		return nil
	}
	for _, key := range needed {
		if !o.has(key) {
			c.report(n, "missing-key", "add "+key+":", "%s needs %s", what, key)
			return nil
		}
	}
	return o
}

func (c *checker) httpTarget(n *yaml.Node) *HTTPTarget {
	t := &HTTPTarget{Method: http.MethodPost, Batch: 1, Timeout: defaultTimeout}
	o := c.targetObject(n, "http", httpTargetKeys, "url")
	if o == nil {
		return t
	}
	t.URL = c.targetURL(o.get("url"), "https://lake.example.com/events", "http", "https")
	if v := o.get("method"); v != nil {
		t.Method = c.choice(v, "method", routeMethods...)
	}
	if v := o.get("headers"); v != nil {
		t.Headers = c.routeHeaders(v)
	}
	if v := o.get("auth"); v != nil {
		t.Auth = c.routeAuth(v, "bearer", "basic", "header")
	}
	if v := o.get("per"); v != nil {
		t.List, t.Batch, t.Per = true, MaxRouteBatch, c.positive(v, "per")
		if t.Per > maxRoutePer {
			c.report(v, "out-of-range", "write 10m or less", "a list waits for 10m at most")
		}
	}
	if v := o.get("batch"); v != nil {
		t.List, t.Batch = true, c.integer(v, "batch", 1, MaxRouteBatch)
	}
	if v := o.get("timeout"); v != nil {
		t.Timeout = c.positive(v, "timeout")
	}
	return t
}

// targetURL reads an address with one of some schemes and without credentials.
func (c *checker) targetURL(n *yaml.Node, example string, schemes ...string) string {
	text, ok := c.text(n, "url")
	if !ok {
		return ""
	}
	u, err := url.Parse(text)
	switch {
	case strings.Contains(text, "${{"):
		c.report(n, "template-place", "write the address itself", "url has to be known when the route is published")
	case err != nil || u.Host == "" || len(schemes) > 0 && !contains(schemes, u.Scheme):
		c.report(n, "bad-url", "write it as "+example, "%s is no address that this target can have", quoteShort(text))
	case u.User != nil:
		c.report(n, "secret-place", "give them by auth:, as a reference to a secret", "url must not hold credentials")
	}
	return text
}

func (c *checker) routeHeaders(n *yaml.Node) map[string]string {
	o := c.entries(n, "headers")
	if o == nil {
		return nil
	}
	headers := map[string]string{}
	for _, name := range o.order {
		canonical := http.CanonicalHeaderKey(name)
		if contains(ownHeaders, canonical) || !identifier.MatchString(strings.ReplaceAll(name, "-", "_")) {
			c.report(o.keys[name], "bad-name", "remove it; credentials belong into auth:", "the header %s cannot be set", quoteShort(name))
			continue
		}
		value, _ := c.constantScalar(o.get(name)).(string)
		if _, ok := c.text(o.get(name), "a header"); ok && strings.ContainsAny(value, "\r\n\x00") {
			c.report(o.get(name), "bad-argument", "write it in one line", "a header has one line")
		}
		headers[canonical] = value
	}
	return headers
}

// ownHeaders follow from the request, or carry credentials.
var ownHeaders = []string{
	"Host", "Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "Te", "Trailer", "Upgrade", "Authorization",
	"Proxy-Authorization", "Proxy-Connection", "Accept-Encoding", "Idempotency-Key",
}

func (c *checker) postgresTarget(n *yaml.Node) *PostgresTarget {
	t := &PostgresTarget{ID: "event_id"}
	o := c.targetObject(n, "postgres", postgresTargetKeys, "url", "table", "columns")
	if o == nil {
		return t
	}
	t.URL = c.referenceLike(o.get("url"), "url", "lake/token")
	t.Table = c.columnName(o.get("table"), "a table", true)
	if v := o.get("id"); v != nil {
		t.ID = c.columnName(v, "id", false)
	}
	for _, item := range c.list(o.get("columns"), "columns", "write columns: [device, at, value]") {
		name := c.columnName(item, "a column", false)
		if name == t.ID || slices.Contains(t.Columns, name) {
			c.report(item, "repeated", "remove it", "the column %s is filled twice", quoteShort(name))
		}
		t.Columns = append(t.Columns, name)
	}
	return t
}

var columnText = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

func (c *checker) columnName(n *yaml.Node, what string, qualified bool) string {
	text, ok := c.text(n, what)
	if !ok {
		return ""
	}
	parts := []string{text}
	if qualified {
		parts = strings.SplitN(text, ".", 2)
	}
	if !allMatch(parts, columnText) {
		c.report(n, "bad-name", "write a name such as telemetry", "%s may have letters, digits and '_'", what)
	}
	return text
}

func allMatch(texts []string, pattern *regexp.Regexp) bool {
	return !slices.ContainsFunc(texts, func(text string) bool { return !pattern.MatchString(text) })
}

func (c *checker) fileTarget(n *yaml.Node) *FileTarget {
	t := &FileTarget{Size: defaultFileSize}
	o := c.targetObject(n, "file", fileTargetKeys, "path")
	if o == nil {
		return t
	}
	if text, ok := c.text(o.get("path"), "path"); ok {
		t.Path = text
		if !filePath.MatchString(text) || path.Clean(text) != text || strings.HasPrefix(text, "..") {
			c.report(o.get("path"), "bad-name", "write a path such as lake/telemetry.jsonl", "%s is no path below the folder of routes", quoteShort(text))
		}
	}
	if v := o.get("size"); v != nil {
		t.Size = c.bytes(v, "size")
	}
	if v := o.get("daily"); v != nil {
		t.Daily = c.boolean(v, "daily")
	}
	if v := o.get("keep"); v != nil {
		t.Keep = c.integer(v, "keep", 1, 100_000)
	}
	return t
}

var (
	filePath = regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$`)
	byteText = regexp.MustCompile(`^(\d{1,6})(KB|MB|GB)$`)
)

// bytes reads a size such as 100MB.
func (c *checker) bytes(n *yaml.Node, what string) int64 {
	text, ok := c.text(n, what)
	if !ok {
		return 0
	}
	m := byteText.FindStringSubmatch(text)
	if m == nil || strings.Trim(m[1], "0") == "" {
		c.report(n, "bad-size", "write it as 100MB", "%s is no size", quoteShort(text))
		return 0
	}
	size := int64(0)
	for _, digit := range m[1] {
		size = size*10 + int64(digit-'0')
	}
	return size * map[string]int64{"KB": 1e3, "MB": 1e6, "GB": 1e9}[m[2]]
}

// routeAuth reads credentials of one of some kinds.
func (c *checker) routeAuth(n *yaml.Node, kinds ...string) *HTTPAuth {
	fix := "write auth: { bearer: secret:lake/token }"
	o := c.object(n, "auth", kinds...)
	if o == nil {
		return nil
	}
	if len(o.order) != 1 {
		c.report(n, "missing-key", fix, "auth is one of %s", joinNames(kinds))
		return nil
	}
	a := &HTTPAuth{Kind: o.order[0]}
	v := o.get(a.Kind)
	switch a.Kind {
	case "bearer":
		a.Secret = c.referenceLike(v, "bearer", "lake/token")
	case "basic":
		if inner := c.targetObject(v, "basic", basicAuthKeys, "username", "password"); inner != nil {
			a.Name, _ = c.text(inner.get("username"), "username")
			a.Secret = c.referenceLike(inner.get("password"), "password", "lake/token")
		}
	case "header":
		if inner := c.targetObject(v, "header", headerAuthKeys, "name", "value"); inner != nil {
			a.Name, _ = c.text(inner.get("name"), "name")
			a.Secret = c.referenceLike(inner.get("value"), "value", "lake/token")
		}
	}
	return a
}

var basicAuthKeys = []fieldSpec{{"username", textSchema("the user")}, {"password", secretSchema("the password")}}

var headerAuthKeys = []fieldSpec{{"name", textSchema("the name of the header")}, {"value", secretSchema("its value")}}

func routeAuthSchema() schema {
	return objectSchema("credentials: one of bearer, basic and header", nil, []fieldSpec{
		{"bearer", secretSchema("a token")},
		{"basic", objectSchema("a user and a password", []string{"username", "password"}, basicAuthKeys)},
		{"header", objectSchema("a header of the server's own, such as X-Api-Key", []string{"name", "value"}, headerAuthKeys)},
	})
}
