package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// Codes of rejected messages of devices that know only topics of their own.
const (
	codeUntranslated = "untranslated"  // its profile does not say what it means
	codeForeignTopic = "foreign_topic" // the device's profile does not hear this topic
)

// own is what is known of an item that was translated.
type own struct {
	profile  *deviceops.Profile
	implicit bool              // it was not said, but follows from what was
	dedupe   int64             // tells it from a repetition; 0: nothing does
	replies  []deviceops.Reply // the commands that a result may answer
	more     bool              // the message said more than that, so that it need not answer any
}

const (
	// ownBoot is the boot of devices that tell none.
	ownBoot = "own"
	// ownDedupe stands in place of a boot in the table of duplicates.
	ownDedupe = "own/dedupe"
	// helloAgain is after how long a device that is still in escrow, and does not
	// know how to say hello, is taken to say it again.
	helloAgain = time.Minute
)

// isOwn reports whether a topic is none of the device protocol.
func (b *Inbox) isOwn(topic string) bool {
	return b.config.Translations != nil && !strings.HasPrefix(topic, b.topics.Prefix()+"/")
}

// addressed is a message with the device that said it and the profile that
// understands it.
type addressed struct {
	deviceops.Message
	device  string
	profile *deviceops.Profile
	known   *deviceops.Device // nil: nobody registered it
}

// translate reads messages on devices' own topics. A message becomes items or a
// rejection, never both: so that it can be taken in again as a whole when its
// profile was mended.
func (b *Inbox) translate(ctx context.Context, messages []deviceops.Message) (items []item, rejected []deviceops.Rejected, err error) {
	if len(messages) == 0 {
		return nil, nil, nil
	}
	found, rejected, err := b.address(ctx, messages)
	if err != nil {
		return nil, nil, err
	}
	for _, a := range found {
		said, refused := a.items()
		items = append(items, said...)
		if refused != nil {
			rejected = append(rejected, *refused)
		}
	}
	return items, rejected, nil
}

// address finds whose messages they are. Profiles of several accounts may hear
// one topic: that of the device counts.
func (b *Inbox) address(ctx context.Context, messages []deviceops.Message) (found []addressed, rejected []deviceops.Rejected, err error) {
	candidates := make([][]addressed, len(messages))
	var ids []string
	for n, m := range messages {
		heard, refused, err := b.hear(ctx, m)
		if err != nil {
			return nil, nil, err
		}
		if refused != nil {
			rejected = append(rejected, *refused)
		}
		for _, c := range heard {
			ids = append(ids, c.device)
		}
		candidates[n] = heard
	}
	if len(ids) == 0 {
		return nil, rejected, nil
	}
	devices, err := b.config.Store.ReadDevices(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range candidates {
		if len(c) == 0 {
			continue
		}
		chosen, refused, err := b.choose(ctx, c, devices)
		switch {
		case err != nil:
			return nil, nil, err
		case refused != nil:
			rejected = append(rejected, *refused)
		default:
			found = append(found, chosen)
		}
	}
	return found, rejected, nil
}

// hear gives the profiles that hear a topic, with the device that each makes
// out.
func (b *Inbox) hear(ctx context.Context, m deviceops.Message) (heard []addressed, refused *deviceops.Rejected, err error) {
	profiles, err := b.config.Translations.Hearing(ctx, m.Topic)
	if err != nil {
		return nil, nil, err
	}
	reason := "no published profile translates this topic"
	code := codeTopic
	for _, p := range profiles {
		id, err := p.Translation.Device(m)
		if err != nil {
			code, reason = codeUntranslated, deviceops.ErrorMessage(err)
			continue
		}
		heard = append(heard, addressed{Message: m, device: id, profile: p})
	}
	if len(heard) == 0 {
		return nil, reject(m, "", code, reason), nil
	}
	return heard, nil, nil
}

// choose gives the candidate whose profile is that of its device or, for a
// device that nobody registered, the first.
func (b *Inbox) choose(ctx context.Context, candidates []addressed, devices map[string]*deviceops.Device) (addressed, *deviceops.Rejected, error) {
	var other *deviceops.Device
	for _, c := range candidates {
		d := devices[c.device]
		if d == nil {
			continue
		}
		p, err := b.config.Translations.Translating(ctx, d.Account, d.Profile)
		if err != nil {
			return c, nil, err
		}
		if p != nil && p.Account == c.profile.Account && p.Name == c.profile.Name {
			c.known, c.profile = d, p
			return c, nil, nil
		}
		if d.State == deviceops.Discovered && d.Profile == c.profile.Name { // it has no account yet
			c.known = d
			return c, nil, nil
		}
		other = d
	}
	if other != nil {
		reason := "the device is a " + other.Profile + ", and that profile does not translate this topic"
		return addressed{}, reject(candidates[0].Message, other.ID, codeForeignTopic, reason), nil
	}
	return candidates[0], nil, nil
}

// items translates a message.
func (a addressed) items() ([]item, *deviceops.Rejected) {
	if a.known != nil && a.known.State == deviceops.Retired {
		return nil, reject(a.Message, a.device, codeRetired, "the device is retired: register it under a new id to use it again")
	}
	heard, err := a.profile.Translation.Up(a.Message, a.known)
	switch {
	case err != nil:
		return nil, reject(a.Message, a.device, codeUntranslated, deviceops.ErrorMessage(err))
	case heard.Ignored:
		return nil, nil
	}
	messages, code, reason := a.messages(heard)
	if code != "" {
		return nil, reject(a.Message, a.device, code, reason)
	}
	items := make([]item, 0, len(messages)+2)
	for n, m := range messages {
		items = append(items, a.item(m, &own{dedupe: dedupeOf(heard.Dedupe, m, n)}))
	}
	if items = a.present(items); items == nil {
		return nil, reject(a.Message, a.device, codeUnknown, "the device is not registered: register it, or map a message to hello")
	}
	if len(heard.Replies) > 0 {
		items = append(items, a.item(&protocol.Result{}, &own{replies: heard.Replies, more: len(heard.Said) > 0}))
	}
	return items, nil
}

func (a addressed) item(m protocol.Message, o *own) item {
	o.profile = a.profile
	return item{topic: a.Topic, payload: a.Payload, at: a.ReceivedAt, origin: a.device, subject: a.device, message: m, own: o}
}

// JudgeTranslated tells why ingest rejects what p made of a message of one of its
// own devices: the code and the reason; "" if it takes it. It needs no store, so
// that authors see it before anything is published.
func JudgeTranslated(p *deviceops.Profile, heard deviceops.Heard) (code, reason string) {
	_, code, reason = addressed{profile: p}.messages(heard)
	return code, reason
}

// messages gives what was said as messages of the protocol, judged as those
// are.
func (a addressed) messages(heard deviceops.Heard) (messages []protocol.Message, code, reason string) {
	for _, s := range heard.Said {
		m, err := protocolMessage(protocol.Leaf(s.Leaf), s.Body, a.complete)
		if err != nil {
			return nil, codeUntranslated, "it was translated into " + s.Leaf + ", and " + deviceops.ErrorMessage(err)
		}
		switch m := m.(type) {
		case *protocol.Telemetry:
			if _, _, wrong := measure(a.profile, m.Metrics); len(wrong) > 0 {
				return nil, codeMetric, strings.Join(wrong, "; ")
			}
		case *protocol.Event:
			if deviceops.SaidByEngine(m.Type) {
				return nil, codeType, "only the engine writes events of type " + m.Type + ": choose another"
			}
		}
		messages = append(messages, m)
	}
	for _, r := range heard.Replies {
		if _, err := resultOf(r, "x", 1); err != nil {
			return nil, codeUntranslated, "it was translated into a reply to " + r.Command + ", and " + deviceops.ErrorMessage(err)
		}
	}
	return messages, "", ""
}

// protocolMessage reads a translated message by the rules for those that devices
// send. complete may fill in its body first.
func protocolMessage(leaf protocol.Leaf, body map[string]any, complete func(leaf protocol.Leaf, body map[string]any)) (protocol.Message, error) {
	if complete != nil {
		complete(leaf, body)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "it is no JSON: %w", err)
	}
	messages, err := protocol.Decode(leaf, raw)
	if err != nil {
		return nil, err
	}
	if invalid, ok := messages[0].(*protocol.Invalid); ok {
		return nil, invalid.Err
	}
	return messages[0], nil
}

// complete adds to a hello what the device need not know of itself.
func (a addressed) complete(leaf protocol.Leaf, body map[string]any) {
	if leaf != protocol.LeafHello {
		return
	}
	body["profile"] = a.profile.Name
	set := func(name string, v any) {
		if body[name] == nil {
			body[name] = v
		}
	}
	set("boot", ownBoot)
	if a.known != nil {
		set("config_version", a.known.Twin.Reported.ConfigVersion)
	}
}

func resultOf(r deviceops.Reply, id string, attempt int) (*protocol.Result, error) {
	body := make(map[string]any, len(r.Body)+2)
	for k, v := range r.Body {
		body[k] = v
	}
	body["id"], body["attempt"] = id, attempt
	m, err := protocolMessage(protocol.LeafResult, body, nil)
	if err != nil {
		return nil, err
	}
	return m.(*protocol.Result), nil
}

// dedupeOf makes a number of what tells a message from its repetition, for the
// n-th of the things that it said. 0: for what need not be told apart.
func dedupeOf(key string, m protocol.Message, n int) int64 {
	switch m.Leaf() {
	case protocol.LeafTelemetry, protocol.LeafEvent:
	default:
		return 0
	}
	if key == "" {
		return 0
	}
	sum := sha256.Sum256([]byte(strconv.Itoa(n) + "\x00" + key))
	return int64(binary.BigEndian.Uint64(sum[:])>>1 | 1)
}

// present completes what was said by what follows for the presence of the
// device: a heartbeat from whatever it says, and the hello of a device that does
// not know how to say one. Nil if the device is not known and said no hello.
func (a addressed) present(items []item) []item {
	var greets, beats, leaves bool
	for n, i := range items {
		switch m := i.message.(type) {
		case *protocol.Hello:
			greets = true
			if a.saidAlready(m) {
				items[n].message, items[n].own.implicit = &protocol.Heartbeat{}, true
			}
		case *protocol.Heartbeat:
			beats = true
		case *protocol.Status:
			leaves = leaves || m.Status != protocol.StatusOnline
		}
	}
	switch {
	case a.known == nil && !greets:
		return nil
	case leaves:
		return items
	}
	if !beats {
		items = append(items, a.item(&protocol.Heartbeat{}, &own{implicit: true}))
	}
	if !greets && a.owesHello() {
		items = append([]item{a.item(a.impliedHello(), &own{implicit: true})}, items...)
	}
	return items
}

// saidAlready reports whether a hello says nothing that is not known. Such a
// device has not come anew, and nothing is asked of it again.
func (a addressed) saidAlready(h *protocol.Hello) bool {
	if a.known == nil {
		return false
	}
	s := a.known.Session
	return s.Connectivity == deviceops.Online && s.Boot == h.Boot && s.Digest == h.DescriptionDigest() && !a.inEscrow()
}

// owesHello reports whether a device that is known has yet to be greeted.
func (a addressed) owesHello() bool { return a.known.Session.HelloAt.IsZero() || a.inEscrow() }

func (a addressed) inEscrow() bool {
	return a.known.State == deviceops.Escrow && a.ReceivedAt.Sub(a.known.Session.HelloAt) >= helloAgain
}

func (a addressed) impliedHello() *protocol.Hello {
	boot := a.known.Session.Boot
	if boot == "" {
		boot = ownBoot
	}
	return &protocol.Hello{
		Header: protocol.Header{Boot: boot}, Profile: a.profile.Name, Serial: a.known.Serial,
		ConfigVersion: a.known.Twin.Reported.ConfigVersion,
	}
}
