package deviceops

import (
	"context"
	"encoding/json"
)

// ActionSpec describes an action to authors, to the checker and to editors. It
// is derived from the Go type that holds the action's arguments.
type ActionSpec struct {
	Name        string `json:"name"`                  // device.get, http.request ...
	Summary     string `json:"summary"`               // one line
	Description string `json:"description,omitempty"` // whatever else an author has to know
	Example     string `json:"example,omitempty"`     // a step, in YAML

	// Args is the JSON Schema of what `with` holds. Properties with
	// "format": FormatSecret take references to secrets and nothing else.
	Args json.RawMessage `json:"args"`
	// Output is the JSON Schema of the step's output; none: there is no output,
	// or nothing is known about it.
	Output json.RawMessage `json:"output,omitempty"`

	Device     bool     `json:"device"`            // it works on the step's device
	Idempotent bool     `json:"idempotent"`        // to perform it again changes nothing more
	Secrets    []string `json:"secrets,omitempty"` // paths of the arguments that take references: auth.bearer
}

// Formats of text in the schemas of an ActionSpec, beside those of JSON Schema.
const (
	FormatSecret   = "secret"   // a reference: secret:path
	FormatChannel  = "channel"  // the name of a channel; "operation" is what it has to be able to do, "": anything
	FormatDuration = "duration" // 500ms, 30s, 1h30m, 7d
	FormatDevice   = "device"   // of an object: a device as expressions see it
)

// Broker takes messages that are not for devices.
type Broker interface {
	// PublishMessage publishes payload to topic with QoS 1 and returns when the
	// broker has acknowledged it. EINVALID for a topic that cannot be published
	// to, EFORBIDDEN for one on which devices speak or are spoken to, EEXHAUSTED for a
	// payload of more than MaxMessage bytes, EUNAVAILABLE.
	PublishMessage(ctx context.Context, topic string, payload []byte, retain bool) error
}

// MaxMessage is the largest payload, in bytes, that a workflow may publish.
const MaxMessage = 128 << 10
