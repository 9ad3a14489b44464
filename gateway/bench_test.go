package gateway_test

import (
	"context"
	"sync"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres/postgrestest"
	"github.com/deviceops/deviceops/protocol"
)

// counter is an inbox that only counts.
type counter struct {
	mu      sync.Mutex
	n, want int
	done    chan struct{}
}

func (c *counter) Deliver(_ context.Context, batch []deviceops.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n += len(batch); c.n >= c.want && c.done != nil {
		close(c.done)
		c.done = nil
	}
	return nil
}

// BenchmarkLanes publishes by one device and counts what all lanes deliver.
func BenchmarkLanes(b *testing.B) {
	for name, start := range brokers() {
		b.Run(name, func(b *testing.B) {
			url := start(b).URL()
			in := &counter{want: b.N, done: make(chan struct{})}
			done := in.done
			l := newLanes(b, url, "a", postgrestest.New(b), in)
			run(b, l.Run)
			holds(b, l, 4)
			d := connectDevice(b, url, "k1")
			topic := protocol.Topics{}.Up("k1", protocol.LeafHeartbeat)
			b.ResetTimer()
			window := make(chan mqtt.Token, 100)
			go func() {
				defer close(window)
				for n := range b.N {
					window <- d.client.Publish(topic, 1, false, heartbeat(n))
				}
			}()
			for token := range window {
				require.True(b, token.WaitTimeout(soon))
			}
			<-done
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
