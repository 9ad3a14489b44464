package protocol

import (
	"bytes"
	"encoding/json"

	"github.com/deviceops/deviceops"
)

// DownMessage is one thing that the engine says to a device: one of *Welcome,
// *Command, *Cancel and *Ack.
type DownMessage interface {
	Leaf() Leaf
	check() error
}

// HelloFull in Welcome.Hello asks for the full form of the hello.
const HelloFull = "full"

// Welcome answers a hello.
type Welcome struct {
	// Child is whose hello this answers, if a gateway said it for a child.
	Child string `json:"child,omitempty"`
	// Time is the engine's, by which a device may set its clock.
	Time Timestamp `json:"time,omitzero"`
	// State is the device's state in the engine.
	State string `json:"state,omitempty"`
	// Hello is HelloFull when the engine doesn't know the digest of a short
	// hello; the device then says hello again in full.
	Hello   string   `json:"hello,omitempty"`
	Desired *Desired `json:"desired,omitempty"`
	// Pending counts the commands that wait for this device.
	Pending int `json:"pending,omitempty"`
	// Boot and Seq acknowledge like an Ack.
	Boot string `json:"boot,omitempty"`
	Seq  int64  `json:"seq"`
}

// Desired is what the engine wants in force on a device. It is told for
// information: what must be done comes as commands.
type Desired struct {
	Version       int64             `json:"version,omitempty"`
	Configuration Object            `json:"configuration,omitempty"`
	Software      map[string]string `json:"software,omitempty"`
	Heartbeat     *HeartbeatPolicy  `json:"heartbeat,omitempty"`
}

// HeartbeatPolicy is how often a device says that it lives.
type HeartbeatPolicy struct {
	// Every is the seconds between heartbeats.
	Every Seconds `json:"every"`
	// OfflineAfter is how many may be missing before the device counts as
	// offline.
	OfflineAfter int `json:"offline_after,omitempty"`
}

// Command asks a device to do something once.
type Command struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Args Object `json:"args,omitempty"`
	// Attempt counts from 1 and rises only after a retryable failure.
	Attempt int `json:"attempt"`
	// ExpiresIn is the seconds after which the device must not begin it any
	// more; 0 means never.
	ExpiresIn Seconds `json:"expires_in,omitempty"`
	// Child is which device it is for, if not the one in the topic.
	Child string `json:"child,omitempty"`
}

// Cancel calls a command off.
type Cancel struct {
	ID    string `json:"id"`
	Child string `json:"child,omitempty"`
}

// Ack says that the engine has committed all of 1..Seq of a boot.
type Ack struct {
	Boot string `json:"boot"`
	Seq  int64  `json:"seq"`
}

// Leaf implements DownMessage.
func (*Welcome) Leaf() Leaf { return LeafWelcome }

// Leaf implements DownMessage.
func (*Command) Leaf() Leaf { return LeafCommand }

// Leaf implements DownMessage.
func (*Cancel) Leaf() Leaf { return LeafCancel }

// Leaf implements DownMessage.
func (*Ack) Leaf() Leaf { return LeafAck }

func (w *Welcome) check() error {
	if w.Hello != "" {
		if err := checkOneOf("hello", w.Hello, HelloFull); err != nil {
			return err
		}
	}
	return firstOf(optionalID("child", w.Child), checkAck(w.Boot, w.Seq), w.Desired.check())
}

func (d *Desired) check() error {
	if d == nil {
		return nil
	}
	return firstOf(checkVersion("desired.version", d.Version), checkSoftware(d.Software), d.Heartbeat.check())
}

func (p *HeartbeatPolicy) check() error {
	if p == nil {
		return nil
	}
	if p.Every <= 0 || p.OfflineAfter < 0 {
		return invalid("heartbeat asks for every %v s, offline after %d: every must be above 0", float64(p.Every), p.OfflineAfter)
	}
	return checkSeconds("heartbeat.every", p.Every)
}

func (c *Command) check() error {
	if c.Attempt < 1 {
		return invalid("attempt is %d: attempts count from 1", c.Attempt)
	}
	return firstOf(checkID("id", c.ID), checkID("name", c.Name), optionalID("child", c.Child), checkSeconds("expires_in", c.ExpiresIn))
}

func (c *Cancel) check() error { return firstOf(checkID("id", c.ID), optionalID("child", c.Child)) }

func (a *Ack) check() error { return checkAck(a.Boot, a.Seq) }

func checkAck(boot string, seq int64) error {
	if seq < 0 {
		return invalid("seq is %d: it is a count of committed messages", seq)
	}
	return optionalID("boot", boot)
}

func checkVersion(field string, version int64) error {
	if version < 0 {
		return invalid("%s is %d: versions count from 1", field, version)
	}
	return nil
}

// EncodeDown writes what the engine says to a device that takes at most limit
// bytes (0: MaxPayload). Returns EINVALID for a message that breaks a rule and
// EEXHAUSTED for one that is too large for the device.
func EncodeDown(m DownMessage, limit int) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	return encode(m.Leaf(), m, limit)
}

// DecodeDown reads what the engine published on leaf. Returns EINVALID like
// Decode.
func DecodeDown(leaf Leaf, payload []byte) (DownMessage, error) {
	return decodeDown(leaf, payload, false)
}

func decodeDown(leaf Leaf, payload []byte, strict bool) (DownMessage, error) {
	m := newDown(leaf)
	if m == nil {
		return nil, invalid("%q is not a message that the engine publishes", clip(string(leaf)))
	}
	if err := scan(payload, MaxPayload); err != nil {
		return nil, err
	}
	if err := unmarshal(payload, m, strict); err != nil {
		return nil, err
	}
	return m, m.check()
}

func newDown(leaf Leaf) DownMessage {
	switch leaf {
	case LeafWelcome:
		return &Welcome{}
	case LeafCommand:
		return &Command{}
	case LeafCancel:
		return &Cancel{}
	case LeafAck:
		return &Ack{}
	}
	return nil
}

// Encode writes what a device says. Returns EINVALID for a message that breaks
// a rule and EEXHAUSTED for one that is too large.
func Encode(m Message) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	return encode(m.Leaf(), m, MaxPayload)
}

func encode(leaf Leaf, m any, limit int) ([]byte, error) {
	raw, err := marshal(m)
	if err != nil {
		return nil, err
	}
	if limit <= 0 || limit > MaxPayload {
		limit = MaxPayload
	}
	if len(raw) > limit {
		return nil, deviceops.Errorf(deviceops.EEXHAUSTED,
			"%s has %d bytes, the device takes %d: put what is large behind {url, size, sha256}", leaf, len(raw), limit)
	}
	return raw, nil
}

// marshal writes JSON with URLs as they are: the & of a signed URL as \u0026 is
// legal, and more than many small parsers understand.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "cannot be written as JSON: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
