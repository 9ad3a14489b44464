package dsl

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// Channel is a compiled channel: how another system is asked for tickets,
// notifications and actions of its own, and how its answers and what it sends
// back are read. It is immutable and safe for concurrent use.
type Channel struct {
	Name        string
	Account     string // where it is published
	Version     int    // as written; 0 when the server numbers
	Hash        string // hex SHA-256 of Source
	Source      string // canonical
	Description string

	URL       string // http, https, smtp or smtps
	URLSecret string // instead of URL: the reference to a secret that is the URL
	Plaintext bool   // smtp without encryption
	Auth      *ChannelAuth
	Headers   map[string]string
	Timeout   time.Duration
	Limit     deviceops.Limit // of notifications with one key

	Operations map[string]*ChannelOperation // by the names that deviceops.ChannelCall has
	Webhook    *ChannelWebhook              // nil: it listens to nothing

	statuses map[string]deviceops.TicketStatus
}

// DefaultChannelTimeout is how long one request may take, and
// DefaultChannelLimit how many notifications with one key are sent, where a
// channel says nothing else.
const DefaultChannelTimeout = 20 * time.Second

// DefaultChannelLimit is the limit of notifications of a channel that has none.
var DefaultChannelLimit = deviceops.DefaultNoticeLimit

var channelKeys = []fieldSpec{
	{"channel", textSchema("the name of the channel")},
	{"version", integerSchema("left out, the server numbers", 1)},
	{"description", textSchema("what the channel is for")},
	{"url", textSchema("where requests go: https://HOST, smtp://HOST:587, or a secret that is such an address, as secret:slack/hook")},
	{"plaintext", booleanSchema("smtp without encryption, for a relay in the own network")},
	{"auth", objectSchema("credentials: one of these", nil, channelAuthKeys)},
	{"headers", mapOf("headers of every request", textSchema(""))},
	{"timeout", durationSchema("how long one request may take; left out: 20s")},
	{"limit", schema{"type": "string", "pattern": `^\d+ per \S+$`, "description": "at most so many notifications with one key; the rest is folded into one. Left out: 20 per 1m"}},
	{"ticket", objectSchema("what tickets need", []string{"open"}, ticketChannelKeys)},
	{"notify", operationSchema("tells people something")},
	{"webhook", webhookSchema()},
	{"actions", mapOf("what else the system does for workflows, by name", actionOperationSchema())},
}

var ticketChannelKeys = []fieldSpec{
	{"find", operationSchema("looks whether the ticket is there already, before it is opened")},
	{"open", operationSchema("opens a ticket")},
	{"comment", operationSchema("adds a comment; args: text, by")},
	{"close", operationSchema("closes it; args: resolution, by")},
	{"reopen", operationSchema("opens it again; args: text, by")},
	{"severity", operationSchema("says how much it matters now; args: severity, by; left out: a comment does")},
	{"get", operationSchema("asks how far it is")},
	{"statuses", mapOf("what the words of the system mean: open or closed; what is not listed is open", schema{"enum": []any{"open", "closed"}})},
}

func channelSchema() schema {
	return objectSchema("where tickets and notifications go", []string{"channel", "url"}, channelKeys)
}

func readChannel(c *checker, out *Compiled) {
	o := c.object(c.doc.root, "a channel", fieldNames(channelKeys)...)
	if o == nil {
		return
	}
	ch := &Channel{
		Hash: out.Hash, Source: out.Source, Timeout: DefaultChannelTimeout, Limit: DefaultChannelLimit,
		Operations: map[string]*ChannelOperation{}, Headers: map[string]string{},
	}
	ch.Name = c.name(o.get("channel"), "the name of a channel")
	if ch.Name == deviceops.ChannelLog {
		c.report(o.get("channel"), "bad-name", "write another name", "%s is the channel that every installation has", deviceops.ChannelLog)
	}
	r := channelReader{c, ch}
	r.address(o)
	readers := map[string]func(*yaml.Node){
		"version":     func(n *yaml.Node) { ch.Version = c.version(n) },
		"description": func(n *yaml.Node) { ch.Description, _ = c.text(n, "a description") },
		"auth":        r.auth, "headers": r.headers, "ticket": r.ticket, "webhook": r.webhook, "actions": r.actions,
		"timeout": func(n *yaml.Node) { ch.Timeout = c.positive(n, "timeout") },
		"limit":   func(n *yaml.Node) { ch.Limit = c.limit(n) },
		"notify":  func(n *yaml.Node) { r.operation(n, deviceops.ChannelNotify) },
	}
	for _, key := range fieldNames(channelKeys) { // credentials before the requests that carry them
		if read := readers[key]; read != nil && o.has(key) {
			read(o.get(key))
		}
	}
	if len(ch.Operations) == 0 && !o.has("ticket") && !o.has("actions") {
		c.report(o.keys["channel"], "missing-key", "add ticket:, notify: or actions:", "nothing can be done by this channel")
	}
	out.Name, out.Version, out.Channel = ch.Name, ch.Version, ch
}

// channelReader reads the document of one channel.
type channelReader struct {
	*checker
	channel *Channel
}

const addressFix = "write url: https://tickets.example.com, or smtp://mail.example.com:587"

// address reads where the requests of the channel go. It is known when the
// document is written, or a secret: no value decides which host gets the
// credentials.
func (r channelReader) address(o *object) {
	n := o.get("url")
	if n == nil {
		r.report(o.keys["channel"], "missing-key", addressFix, "a channel needs the address of the system")
		return
	}
	if v := o.get("plaintext"); v != nil {
		r.channel.Plaintext = r.boolean(v, "plaintext")
	}
	text, ok := r.text(n, "url")
	switch {
	case !ok:
	case strings.HasPrefix(text, secretPrefix):
		r.channel.URLSecret = r.reference(n, "url")
	case strings.Contains(text, "${{"):
		r.report(n, "template-place", "write the address itself; templates belong into path", "url has to be known when the channel is published")
	default:
		r.plainAddress(n, text)
	}
}

func (r channelReader) plainAddress(n *yaml.Node, text string) {
	if err := CheckChannelURL(text); err != nil {
		r.report(n, "bad-url", addressFix, "%s", deviceops.ErrorMessage(err))
		return
	}
	r.channel.URL = strings.TrimSuffix(text, "/")
	if r.channel.Plaintext && !r.channel.Mail() {
		r.report(n, "bad-url", "remove plaintext:", "plaintext is about smtp://, and this is %s", quoteShort(text))
	}
}

// CheckChannelURL tells whether a channel can have an address. EINVALID. It does
// not repeat the address, which may be a secret.
func CheckChannelURL(text string) error {
	address, err := url.Parse(text)
	switch {
	case err != nil, !slices.Contains([]string{"http", "https", "smtp", "smtps"}, address.Scheme), address.Hostname() == "":
		return invalid("a channel needs an address such as https://tickets.example.com or smtp://mail.example.com:587")
	case address.User != nil:
		return invalid("the address of a channel holds no credentials; they belong into auth, as references to secrets")
	case address.Fragment != "":
		return invalid("the address of a channel has no fragment")
	}
	return nil
}

// Mail reports whether the channel sends mail. That is known from its URL; one
// whose URL is a secret speaks HTTP.
func (ch *Channel) Mail() bool { return strings.HasPrefix(ch.URL, "smtp") }

func (r channelReader) headers(n *yaml.Node) {
	o := r.entries(n, "headers")
	if o == nil {
		return
	}
	for _, name := range o.order {
		text, ok := r.text(o.get(name), "a header")
		if ok && strings.HasPrefix(text, secretPrefix) {
			r.report(o.get(name), "secret-place", "write auth: { header: { name: "+name+", value: "+text+" } }", "a secret cannot be used here")
		}
		r.channel.Headers[name] = text
	}
}

// reference reads a reference to a secret.
func (r channelReader) ticket(n *yaml.Node) {
	o := r.object(n, "ticket", fieldNames(ticketChannelKeys)...)
	if o == nil {
		return
	}
	if !o.has("open") {
		r.report(n, "missing-key", "add open: { request: ..., answer: { id: ... } }", "a channel for tickets has to open them")
	}
	for _, key := range o.order {
		if key == "statuses" {
			r.statuses(o.get(key))
			continue
		}
		r.operation(o.get(key), "ticket."+key)
	}
}

func (r channelReader) statuses(n *yaml.Node) {
	o := r.entries(n, "statuses")
	if o == nil {
		return
	}
	r.channel.statuses = map[string]deviceops.TicketStatus{}
	for _, word := range o.order {
		meaning := r.choice(o.get(word), "the meaning of a status", string(deviceops.TicketOpen), string(deviceops.TicketClosed))
		r.channel.statuses[strings.ToLower(word)] = deviceops.TicketStatus(meaning)
	}
}

// State gives what a status of the other system means here; "" for none.
func (ch *Channel) State(status string) deviceops.TicketStatus {
	if status == "" {
		return ""
	}
	if known, ok := ch.statuses[strings.ToLower(status)]; ok {
		return known
	}
	if strings.EqualFold(status, string(deviceops.TicketClosed)) {
		return deviceops.TicketClosed
	}
	return deviceops.TicketOpen
}

// Info describes the channel.
func (ch *Channel) Info() deviceops.ChannelInfo {
	info := deviceops.ChannelInfo{
		Name: ch.Name, Account: ch.Account, Version: ch.Version, Description: ch.Description, Transport: "http",
		Operations: sortedKeys(ch.Operations), Webhook: ch.Webhook != nil, Limit: ch.Limit,
	}
	if ch.Mail() {
		info.Transport = "mail"
	}
	return info
}

// CompileChannel compiles the source of one published channel.
func CompileChannel(source string) (*Channel, Diagnostics) {
	compiled, found := compileOne(source, deviceops.KindChannel)
	return compiled.Channel, found
}
