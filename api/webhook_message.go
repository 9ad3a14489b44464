package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/binding/format"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// Bounds of what another system says at once.
const (
	maxHookEvents = 100
	maxHookData   = 128 << 10 // bytes of one event: as much as a device could say
	maxHookWord   = 512       // bytes of an attribute
)

// hookMessage is a message to a webhook.
type hookMessage struct {
	header  http.Header
	body    []byte
	name    string
	webhook *deviceops.Webhook
	at      time.Time // when it came
}

// events reads the message: as CloudEvents in one of the modes of their binding to
// HTTP (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md),
// or as what the caller likes. EINVALID.
func (m hookMessage) events(ctx context.Context) (events []deviceops.Event, batch bool, err error) {
	message := cehttp.NewMessage(decodedAttributes(m.header), io.NopCloser(bytes.NewReader(m.compact())))
	switch message.ReadEncoding() {
	case binding.EncodingBatch:
		events, err = m.batch(ctx, message)
		return events, true, err
	case binding.EncodingBinary, binding.EncodingStructured:
		read, err := binding.ToEvent(ctx, message)
		if err != nil {
			return nil, false, deviceops.Errorf(deviceops.EINVALID, "the CloudEvent cannot be read: %w", err)
		}
		one, err := m.cloudEvent(read)
		return []deviceops.Event{one}, false, err
	}
	if m.header.Get("Ce-Specversion") != "" || format.IsFormat(m.header.Get("Content-Type")) {
		return nil, false, deviceops.Errorf(deviceops.EINVALID, "CloudEvents are understood in the versions 1.0 and 0.3, as application/cloudevents+json, application/cloudevents-batch+json or in headers")
	}
	one, err := m.plain()
	return []deviceops.Event{one}, false, err
}

// compact gives the body of a CloudEvent that is JSON without spaces: before
// data_base64 the SDK takes them for a part of it. What is no JSON it tells itself.
func (m hookMessage) compact() []byte {
	var compacted bytes.Buffer
	if !format.IsFormat(m.header.Get("Content-Type")) || json.Compact(&compacted, m.body) != nil {
		return m.body
	}
	return compacted.Bytes()
}

// decodedAttributes gives the headers with the attributes of a CloudEvent decoded:
// in headers, they are percent-encoded.
func decodedAttributes(h http.Header) http.Header {
	decoded := maps.Clone(h)
	for name, values := range h {
		if text, err := url.PathUnescape(values[0]); err == nil && strings.HasPrefix(name, "Ce-") {
			decoded[name] = []string{text}
		}
	}
	return decoded
}

func (m hookMessage) batch(ctx context.Context, message *cehttp.Message) ([]deviceops.Event, error) {
	read, err := binding.ToEvents(ctx, message, message.BodyReader)
	switch {
	case err != nil:
		return nil, deviceops.Errorf(deviceops.EINVALID, "the batch of CloudEvents cannot be read: %w", err)
	case len(read) == 0 || len(read) > maxHookEvents:
		return nil, deviceops.Errorf(deviceops.EINVALID, "the batch holds %d CloudEvents: send 1 to %d", len(read), maxHookEvents)
	}
	events := make([]deviceops.Event, len(read))
	for i := range read {
		if events[i], err = m.cloudEvent(&read[i]); err != nil {
			return nil, deviceops.Errorf(deviceops.EINVALID, "event %d of the batch: %w", i+1, err)
		}
	}
	return events, nil
}

func (m hookMessage) cloudEvent(c *event.Event) (deviceops.Event, error) {
	if err := c.Validate(); err != nil {
		return deviceops.Event{}, deviceops.Errorf(deviceops.EINVALID, "this is no CloudEvent: %w", err)
	}
	for _, word := range []string{c.Type(), c.ID(), c.Source(), c.Subject()} {
		if len(word) > maxHookWord {
			return deviceops.Event{}, deviceops.Errorf(deviceops.EINVALID, "an attribute of the CloudEvent has more than %d bytes", maxHookWord)
		}
	}
	data, err := hookData(c.DataContentType(), c.Data())
	if err != nil {
		return deviceops.Event{}, err
	}
	e := m.event(c.Type(), data)
	e.At, e.ClockFixed = deviceops.BelieveClock(m.at, c.Time(), -1)
	if e.ClockFixed {
		e.ClaimedAt = c.Time().Format(time.RFC3339Nano)
	}
	e.Call.ID, e.Call.Source, e.Call.Subject, e.Call.Attributes = c.ID(), c.Source(), c.Subject(), attributesOf(c)
	if deviceops.SaidByEngine(e.Type) {
		return e, deviceops.Errorf(deviceops.EINVALID, "only the engine writes events of type %s: choose another", e.Type)
	}
	return e, nil
}

// attributesOf gives the attributes of a CloudEvent that have no place of their
// own.
func attributesOf(c *event.Event) map[string]any {
	attributes := map[string]any{"specversion": c.SpecVersion()}
	maps.Copy(attributes, c.Extensions())
	for name, text := range map[string]string{"datacontenttype": c.DataContentType(), "dataschema": c.DataSchema()} {
		if text != "" {
			attributes[name] = text
		}
	}
	if !c.Time().IsZero() {
		attributes["time"] = c.Time().UTC().Format(time.RFC3339Nano)
	}
	return attributes
}

// plain reads a message that is no CloudEvent.
func (m hookMessage) plain() (deviceops.Event, error) {
	data, err := hookData(m.header.Get("Content-Type"), m.body)
	if err != nil {
		return deviceops.Event{}, err
	}
	e := m.event(m.name, data)
	e.Call.ID = m.id()
	return e, nil
}

// id names a message: by its header or, without one, by what is signed.
func (m hookMessage) id() string {
	if id := m.header.Get(m.webhook.ID); id != "" && len(id) <= maxHookWord {
		return id
	}
	sum := sha256.New()
	if stamp := m.webhook.Proof.Timestamp; stamp != "" {
		sum.Write([]byte(m.header.Get(stamp) + "\x00"))
	}
	sum.Write(m.body)
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

func (m hookMessage) event(kind string, data map[string]any) deviceops.Event {
	return deviceops.Event{
		Type: kind, Severity: "info", Data: data, At: m.at, ReceivedAt: m.at,
		Call: &deviceops.Call{Kind: deviceops.CallWebhook, Name: m.name},
	}
}

// hookData gives a body as event.data: an object as it is, anything else below a
// name.
func hookData(contentType string, body []byte) (map[string]any, error) {
	kind, _, err := mime.ParseMediaType(contentType)
	switch {
	case len(body) > maxHookData:
		return nil, deviceops.Errorf(deviceops.EINVALID, "the data of an event has more than %d bytes", maxHookData)
	case len(body) == 0:
		return map[string]any{}, nil
	case contentType == "" || kind == "application/json" || strings.HasSuffix(kind, "+json"):
		return jsonData(body)
	case err != nil:
		return nil, deviceops.Errorf(deviceops.EINVALID, "the Content-Type %q cannot be read", contentType)
	case kind == "application/x-www-form-urlencoded":
		return formData(body)
	case strings.HasPrefix(kind, "text/") && utf8.Valid(body):
		return map[string]any{"text": string(body)}, nil
	}
	return map[string]any{"base64": base64.StdEncoding.EncodeToString(body)}, nil
}

func jsonData(body []byte) (map[string]any, error) {
	value, err := dsl.DecodeJSON(body)
	if err != nil {
		return nil, err
	}
	if data, ok := value.(map[string]any); ok {
		return data, nil
	}
	return map[string]any{"value": value}, nil
}

// formData gives the fields of a form; of one that is there several times the
// first.
func formData(body []byte) (map[string]any, error) {
	fields, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "the form cannot be read: %w", err)
	}
	data := map[string]any{}
	for name, values := range fields {
		data[name] = values[0]
	}
	return data, nil
}
