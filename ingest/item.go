package ingest

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// Codes of rejected messages.
const (
	codeTopic      = "unknown_topic"   // not a topic of this protocol
	codeDeviceID   = "bad_device_id"   // the topic names no possible device
	codeLeaf       = "unknown_leaf"    // the topic ends in nothing that devices publish
	codeTooLarge   = "too_large"       // above protocol.MaxPayload
	codeMalformed  = "malformed"       // not JSON, or it breaks a rule of the protocol
	codeUnknown    = "unknown_device"  // not registered, and no full hello
	codeFull       = "discovered_full" // not registered, and enough of those wait already
	codeRetired    = "retired"         // the device has left the fleet
	codeChild      = "foreign_child"   // the child is not one of this gateway's
	codeMetric     = "invalid_metric"  // a value that its profile doesn't allow
	codeType       = "reserved_type"   // an event that only the engine may write
	codeNoCommand  = "unknown_command" // answers a command that does not exist
	codeNotItsOwn  = "foreign_command" // answers a command of another device
	codeUnstorable = "unprocessable"   // the store refuses it
)

// item is one thing that a device said.
type item struct {
	topic   string
	payload []byte // what it was read from: a message, or its entry in a backlog
	at      time.Time

	origin  string // the device whose topic it came on; seqs are counted per origin
	subject string // the device that it is about: origin or its child
	message protocol.Message
	own     *own // nil: it came in the device protocol

	numbered bool // its number was entered when it was rejected: it is no repetition
}

// rest gives telemetry as if it had told only the metrics that are not kept: when it
// is taken in again, it adds these.
func (i item) rest(m *protocol.Telemetry, kept map[string]any) item {
	left := protocol.Object{}
	for name, value := range m.Metrics {
		if _, ok := kept[name]; !ok {
			left[name] = value
		}
	}
	if len(left) < len(m.Metrics) {
		i.payload, _ = json.Marshal(protocol.Telemetry{Header: m.Header, Metrics: left}) // it was read from JSON
	}
	return i
}

// sequenced reports whether the message is one of those that a device numbers
// and keeps until they are acknowledged. A number on any other is ignored: it
// would use up one of theirs.
func (i item) sequenced() bool {
	switch i.message.Leaf() {
	case protocol.LeafEvent, protocol.LeafTelemetry, protocol.LeafResult:
		return i.message.Head().Seq > 0
	default:
		return false
	}
}

// numbers reports by what an item of a boot is told from its repetitions: by the
// content of a message on a topic of the device's own, or by its seq.
func (i item) numbers(boot string) (own, seq bool) {
	return i.own != nil && i.own.dedupe != 0, i.sequenced() && boot != ""
}

// decode reads a message. It gives either items or the rejection.
func decode(topics protocol.Topics, m deviceops.Message) ([]item, *deviceops.Rejected) {
	address, err := topics.Parse(m.Topic)
	switch {
	case err != nil:
		return nil, reject(m, address.Device, topicCode(address), deviceops.ErrorMessage(err))
	case address.Direction != protocol.Up:
		return nil, reject(m, address.Device, codeLeaf, "the topic is one on which the engine speaks, not devices")
	case len(m.Payload) > protocol.MaxPayload:
		return nil, reject(m, address.Device, codeTooLarge, "the payload is larger than 128 KiB: upload it and send {url, size, sha256}")
	}
	messages, parts, err := protocol.DecodeEach(address.Leaf, m.Payload)
	if err != nil {
		return nil, reject(m, address.Device, codeMalformed, deviceops.ErrorMessage(err))
	}
	items := make([]item, len(messages))
	for i, message := range messages {
		payload := m.Payload
		if parts != nil {
			payload = parts[i]
		}
		items[i] = item{
			topic: m.Topic, payload: payload, at: m.ReceivedAt,
			origin: address.Device, subject: subject(address.Device, message), message: message,
		}
	}
	return items, nil
}

func subject(origin string, m protocol.Message) string {
	if child := m.Head().Child; child != "" {
		return child
	}
	return origin
}

func topicCode(a protocol.Address) string {
	switch {
	case a.Device == "":
		return codeTopic
	case !deviceops.ValidID(a.Device):
		return codeDeviceID
	default:
		return codeLeaf
	}
}

func reject(m deviceops.Message, device, code, reason string) *deviceops.Rejected {
	kept := m.Payload[:min(len(m.Payload), deviceops.RejectedPayload)]
	return &deviceops.Rejected{
		ReceivedAt: m.ReceivedAt, Topic: storable(m.Topic), Device: storable(device), Code: code, Reason: storable(reason),
		Size: len(m.Payload), Payload: protocol.Redact(kept),
	}
}

func (i item) reject(code, reason string) deviceops.Rejected {
	m := deviceops.Message{Topic: i.topic, Payload: i.payload, ReceivedAt: i.at}
	r := *reject(m, i.subject, code, reason)
	if invalid, ok := i.message.(*protocol.Invalid); ok {
		r.Size = len(invalid.Raw)
		r.Payload = protocol.Redact(invalid.Raw[:min(len(invalid.Raw), deviceops.RejectedPayload)])
	}
	return r
}

// storable makes a text fit for PostgreSQL, which takes neither invalid UTF-8
// nor NUL, and bounds it.
func storable(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	const most = 512
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}
