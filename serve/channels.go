package serve

import (
	"context"

	"github.com/deviceops/deviceops/channel"
	"github.com/deviceops/deviceops/outbound"
)

// openChannels makes the way to other systems.
func (s *Server) openChannels() {
	networks, _ := s.config.networks() // they were checked
	s.channels = channel.New(channel.Config{
		Source: s.catalog, Guard: outbound.NewGuard(networks), Secrets: s.secrets, Log: s.config.Log,
	})
}

// startCourier sends the notifications that are queued.
func (s *Server) startCourier(ctx context.Context) {
	courier := channel.NewCourier(channel.CourierConfig{Store: s.Store, Channels: s.channels, Log: s.config.Log})
	s.roles.Go(func() error { return courier.Run(ctx) })
}
