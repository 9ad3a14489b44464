package deviceops

import (
	"context"
	"strings"
	"time"
)

// Translation is how devices are understood that know only topics and payloads
// of their own, and how they are told what to do: compiled from a profile. Its
// methods depend on their arguments alone and may be called at the same time.
type Translation interface {
	// Filters are the MQTT filters of all that its devices say.
	Filters() []string

	// Hears reports whether a topic is one on which its devices speak.
	Hears(topic string) bool

	// Tells reports whether a topic is one on which its devices are told what to do.
	Tells(topic string) bool

	// Device gives the id of the device that said m. EINVALID if m does not
	// tell.
	Device(m Message) (string, error)

	// Up translates what a device said; d is what is known of it, nil for one
	// that nobody registered. ENOTFOUND if nothing of the profile takes the
	// message, EINVALID if it is not what the profile expects, EEXHAUSTED if it
	// needs too much work. Either is all that becomes of a message, or none.
	Up(m Message, d *Device) (Heard, error)

	// Down gives what to publish for a command. EINVALID if the profile does not
	// say how to, or what it says cannot be worked out.
	Down(c Command, now time.Time) (Outgoing, error)
}

// Heard is what a message of a device was translated into.
type Heard struct {
	Said    []Said   `json:"said,omitempty"`
	Replies []Reply  `json:"replies,omitempty"` // commands that it may answer; the first that is under way counts
	Dedupe  string   `json:"dedupe,omitempty"`  // what tells it from a repetition; "": nothing does
	Ignored bool     `json:"ignored,omitempty"` // the profile wants nothing of it
	Missing []string `json:"missing,omitempty"` // values that it did not have, and that were left out
}

// Said is one message in the words of the device protocol.
type Said struct {
	Leaf string         `json:"leaf"` // hello, status, heartbeat, telemetry, event, reported
	Body map[string]any `json:"body"` // as in docs/device-protocol.md
}

// Reply is an answer to a command that is still to be found.
type Reply struct {
	Command string         `json:"command"`           // its name
	ID      string         `json:"id,omitempty"`      // "": the one of this name that is under way
	Attempt int            `json:"attempt,omitempty"` // 0: the present one
	Body    map[string]any `json:"body"`              // of a result, without id and attempt
}

// Outgoing is a message to a device on a topic of its own.
type Outgoing struct {
	Topic   string `json:"topic"`
	Payload []byte `json:"payload"`
	// Again says that the message may be published again under the same attempt:
	// the command is idempotent. Other devices would do twice what they are told
	// twice, since they keep no journal of ids.
	Again bool `json:"again,omitempty"`
}

// Translations knows what the published profiles of all accounts translate. It
// may be a few seconds behind.
type Translations interface {
	// Filters gives the MQTT filters of all of them, each once, in order.
	Filters(ctx context.Context) ([]string, error)

	// Hearing gives the profiles whose devices speak on a topic.
	Hearing(ctx context.Context, topic string) ([]*Profile, error)

	// OfDevices gives the name of a profile whose devices speak on a topic or are
	// told something there, "" if there is none.
	OfDevices(ctx context.Context, topic string) (profile string, err error)

	// Translating gives the newest profile of a name as seen from account, nil
	// if there is none or it translates nothing.
	Translating(ctx context.Context, account, profile string) (*Profile, error)

	// Refresh makes the next answers as new as the store is.
	Refresh()
}

// Proofs of a device's identity, for ProvisionSpec.
const (
	ProofClaim = "claim" // what it presents at its hello has to match what was registered
	ProofTopic = "topic" // whoever may publish on its topics is the device: the broker sees to it
)

// RejectedReplay asks that rejected messages are taken in again. Zero fields
// select all.
type RejectedReplay struct {
	RejectedFilter
	Reason string `json:"reason,omitempty" doc:"Why; kept in the audit log"`
}

// RejectedFilter selects rejected messages. Zero fields select all.
type RejectedFilter struct {
	Code   string `json:"code,omitempty" query:"code" doc:"Only those rejected with this code"`
	Topic  string `json:"topic,omitempty" query:"topic" doc:"Only those whose topic matches this MQTT filter"`
	Device string `json:"device,omitempty" query:"device" doc:"Only those of this device"`
}

// Check reports a topic that is no MQTT filter, which would select something else
// than it seems to. EINVALID.
func (f RejectedFilter) Check() error {
	levels := strings.Split(f.Topic, "/")
	for i, level := range levels {
		if strings.ContainsAny(level, "+#") && (len(level) > 1 || level == "#" && i < len(levels)-1) {
			return Errorf(EINVALID, "%q is no MQTT filter: write + for one whole level, and # only at the end, as in acme/+/telemetry or acme/#", f.Topic)
		}
	}
	return nil
}

// RejectedReplayReport says what became of a RejectedReplay.
type RejectedReplayReport struct {
	Requested int `json:"requested"` // will be taken in again within seconds
	Cut       int `json:"cut"`       // cannot be: they were too long, or held a claim, and were not kept whole
}
