package dev

import (
	"context"
	"log/slog"
	"net"
	"sync"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dev/mochi"
)

const (
	// maxPacket is twice the largest payload of the protocol, so that what is
	// a little too large is still seen and rejected by name, and what is far
	// too large ends the connection.
	maxPacket = 256 << 10

	// maxQueued bounds what a client has not taken yet. A slot for each is
	// allocated with every connection, so it cannot be generous.
	maxQueued = 4096

	// maxEngineQueued bounds what all members of shared subscriptions together
	// have not confirmed. It stays below maxQueued, so that no member's queue
	// overflows even when it gets everything.
	maxEngineQueued = maxQueued - 512
)

// BrokerConfig says how to run the embedded MQTT broker.
type BrokerConfig struct {
	Port int          // on 127.0.0.1; 0 takes a free one
	Log  *slog.Logger // nil discards
}

// Broker is an MQTT broker in this process, on loopback, for anybody on this
// machine: it knows no users, so it cannot keep one device out of another's
// downlink. A production broker does that with per-device access rules.
//
// What mochi-mqtt does with a subscriber that is slow, and what is done here:
// it confirms a publish before it hands it on, and drops a message when the
// subscriber's outbound queue or its unconfirmed messages reach their limit.
// For one device that is right, since commands are asked again. For the engine
// it would lose confirmed events, so publishers wait instead (see gate).
// Sessions are in memory and end with the process, which the protocol allows.
type Broker struct {
	server  *mqtt.Server
	gate    *gate
	address string
	close   func() error
}

// StartBroker returns when the broker takes connections. It returns ECONFLICT
// when the port is taken.
func StartBroker(_ context.Context, cfg BrokerConfig) (*Broker, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	listener, err := net.Listen("tcp", loopback(cfg.Port))
	if err != nil {
		return nil, deviceops.Errorf(deviceops.ECONFLICT, "port %d for the MQTT broker is taken: end the program that uses it or choose another", cfg.Port)
	}
	server := mqtt.New(&mqtt.Options{Capabilities: brokerLimits(), Logger: cfg.Log})
	b := &Broker{server: server, gate: newGate(server, maxEngineQueued), address: listener.Addr().String()}
	b.close = sync.OnceValue(server.Close) // a second one would panic
	for _, hook := range []mqtt.Hook{new(auth.AllowHook), b.gate} {
		if err := server.AddHook(hook, nil); err != nil {
			return nil, deviceops.Errorf(deviceops.EINTERNAL, "set up the MQTT broker: %w", err)
		}
	}
	if err := server.AddListener(mochi.Closing(listeners.NewNet("tcp", listener), server)); err != nil {
		return nil, deviceops.Errorf(deviceops.EINTERNAL, "set up the MQTT broker: %w", err)
	}
	if err := server.Serve(); err != nil {
		return nil, deviceops.Errorf(deviceops.EINTERNAL, "start the MQTT broker: %w", err)
	}
	return b, nil
}

func brokerLimits() *mqtt.Capabilities {
	limits := mqtt.NewDefaultServerCapabilities()
	limits.MaximumPacketSize = maxPacket
	limits.MaximumClientWritesPending = maxQueued
	limits.MaximumInflight = maxQueued
	return limits
}

// URL is the address for MQTT clients, tcp://127.0.0.1:port.
func (b *Broker) URL() string { return "tcp://" + b.address }

// Address is host:port.
func (b *Broker) Address() string { return b.address }

// Dropped counts messages that a subscriber was too slow to take.
func (b *Broker) Dropped() int64 {
	info := b.server.Info.Clone()
	return info.MessagesDropped + info.InflightDropped
}

// Close ends every connection. Publishers that wait get no answer, so that they
// send again.
func (b *Broker) Close() error {
	b.gate.close()
	return b.close()
}
