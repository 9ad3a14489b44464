package protocol

import (
	"strings"

	"github.com/deviceops/deviceops"
)

// DefaultPrefix is where the topics of devices begin unless configured.
const DefaultPrefix = "deviceops/v1"

// Direction is who speaks: Up is the device, Down is the engine.
type Direction string

// The two directions, as they are written in a topic.
const (
	Up   Direction = "up"
	Down Direction = "down"
)

// Leaf is the last level of a topic: the kind of message. No leaf is used in
// both directions.
type Leaf string

// Leaves that devices publish.
const (
	LeafHello     Leaf = "hello"
	LeafStatus    Leaf = "status"
	LeafHeartbeat Leaf = "heartbeat"
	LeafTelemetry Leaf = "telemetry"
	LeafEvent     Leaf = "event"
	LeafResult    Leaf = "result"
	LeafReported  Leaf = "reported"
)

// Leaves that the engine publishes.
const (
	LeafWelcome Leaf = "welcome"
	LeafCommand Leaf = "command"
	LeafCancel  Leaf = "cancel"
	LeafAck     Leaf = "ack"
)

// UpLeaves gives every leaf that a device may publish.
func UpLeaves() []Leaf {
	return []Leaf{LeafHello, LeafStatus, LeafHeartbeat, LeafTelemetry, LeafEvent, LeafResult, LeafReported}
}

// DownLeaves gives every leaf that the engine publishes.
func DownLeaves() []Leaf {
	return []Leaf{LeafWelcome, LeafCommand, LeafCancel, LeafAck}
}

// Topics builds and reads topics below a prefix. The zero value uses
// DefaultPrefix.
type Topics struct {
	prefix string
}

// NewTopics gives the topics below prefix; "" means DefaultPrefix. Returns
// EINVALID if the prefix could not stand before a device's id in a topic.
func NewTopics(prefix string) (Topics, error) {
	if prefix == "" {
		return Topics{}, nil
	}
	if strings.ContainsAny(prefix, "+#\x00") || strings.HasPrefix(prefix, "$") {
		return Topics{}, deviceops.Errorf(deviceops.EINVALID,
			"topic prefix %q holds a wildcard or begins with $: use plain levels such as %q", prefix, DefaultPrefix)
	}
	for level := range strings.SplitSeq(prefix, "/") {
		if level == "" {
			return Topics{}, deviceops.Errorf(deviceops.EINVALID,
				"topic prefix %q has an empty level: write it without a slash at either end, such as %q", prefix, DefaultPrefix)
		}
	}
	return Topics{prefix: prefix}, nil
}

// Prefix gives the levels before the device's id.
func (t Topics) Prefix() string {
	if t.prefix == "" {
		return DefaultPrefix
	}
	return t.prefix
}

// Up gives the topic on which a device publishes leaf.
func (t Topics) Up(device string, leaf Leaf) string { return t.join(device, Up, string(leaf)) }

// Down gives the topic on which the engine publishes leaf to a device.
func (t Topics) Down(device string, leaf Leaf) string { return t.join(device, Down, string(leaf)) }

// UpFilter matches everything that devices publish.
func (t Topics) UpFilter() string { return t.join("+", Up, "+") }

// DownFilter matches everything that is published to one device.
func (t Topics) DownFilter(device string) string { return t.join(device, Down, "+") }

// Shared gives the filter of a shared subscription: the broker spreads what
// filter matches over the members of group. Returns EINVALID if group is not an
// id.
func (t Topics) Shared(group, filter string) (string, error) {
	if !deviceops.ValidID(group) {
		return "", deviceops.Errorf(deviceops.EINVALID,
			"shared subscription group %q is not an id: use A-Z a-z 0-9 . _ : - and at most %d characters", group, deviceops.MaxIDLength)
	}
	return "$share/" + group + "/" + filter, nil
}

func (t Topics) join(device string, direction Direction, leaf string) string {
	return t.Prefix() + "/" + device + "/" + string(direction) + "/" + leaf
}

// Address is what a topic says.
type Address struct {
	Device    string
	Direction Direction
	Leaf      Leaf
}

// Parse reads a topic. Returns EINVALID for one that is not below the prefix,
// whose device is not an id, or whose leaf is not known in its direction; the
// Address then holds the parts that could be told, so that the message can be
// kept as rejected under them.
func (t Topics) Parse(topic string) (Address, error) {
	rest, ok := strings.CutPrefix(topic, t.Prefix()+"/")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 {
		return Address{}, deviceops.Errorf(deviceops.EINVALID,
			"topic %q is not %s/<device>/up/<leaf> or .../down/<leaf>", clip(topic), t.Prefix())
	}
	a := Address{Device: parts[0], Direction: Direction(parts[1]), Leaf: Leaf(parts[2])}
	return a, a.check()
}

func (a Address) check() error {
	if !deviceops.ValidID(a.Device) {
		return deviceops.Errorf(deviceops.EINVALID,
			"device id %q in the topic is not valid: use A-Z a-z 0-9 . _ : - and at most %d characters", clip(a.Device), deviceops.MaxIDLength)
	}
	if !known(a.Direction, a.Leaf) {
		return deviceops.Errorf(deviceops.EINVALID, "topic ends in %q, which is not a message of this protocol",
			clip(string(a.Direction)+"/"+string(a.Leaf)))
	}
	return nil
}

func known(direction Direction, leaf Leaf) bool {
	switch leaf {
	case LeafHello, LeafStatus, LeafHeartbeat, LeafTelemetry, LeafEvent, LeafResult, LeafReported:
		return direction == Up
	case LeafWelcome, LeafCommand, LeafCancel, LeafAck:
		return direction == Down
	}
	return false
}
