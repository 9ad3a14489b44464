// Package mochi mends what the embedded MQTT broker, mochi-mqtt v2.7.9, gets wrong.
package mochi

import (
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Closing gives a listener that ends its connections in place of the server. That
// looks for them under a lock that it takes twice (Clients.GetByListener), and stands
// still for ever when a connection ends by itself in between.
func Closing(l listeners.Listener, server *mqtt.Server) listeners.Listener {
	return closing{l, server}
}

type closing struct {
	listeners.Listener
	server *mqtt.Server
}

func (c closing) Close(listeners.CloseFn) {
	c.Listener.Close(func(listener string) {
		for _, client := range c.server.Clients.GetAll() {
			if client.Net.Listener == listener && !client.Closed() {
				_ = c.server.DisconnectClient(client, packets.ErrServerShuttingDown)
			}
		}
	})
}
