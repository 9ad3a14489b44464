package ingest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// BenchmarkDeliver delivers batches of 500 numbered telemetry messages of as
// many devices, one lane.
func BenchmarkDeliver(b *testing.B) {
	bundle := newBundle(b, nil)
	const devices = 500
	rows := make([]deviceops.Registration, devices)
	hellos := make([]deviceops.Message, devices)
	for n := range devices {
		id := fmt.Sprintf("k%d", n)
		rows[n] = deviceops.Registration{ID: id}
		hellos[n] = message(id, protocol.LeafHello, fullHello)
	}
	bundle.register(rows...)
	require.NoError(b, bundle.inbox.Deliver(context.Background(), hellos))
	bundle.settle()
	b.ResetTimer()
	for round := range b.N {
		batch := make([]deviceops.Message, devices)
		for n := range devices {
			batch[n] = message(fmt.Sprintf("k%d", n), protocol.LeafTelemetry,
				fmt.Sprintf(`{"boot":"b1","seq":%d,"metrics":{"battery_pct":%d}}`, round+1, round%100))
		}
		bundle.clock.advance(ackEvery + time.Second)
		require.NoError(b, bundle.inbox.Deliver(context.Background(), batch))
	}
	b.ReportMetric(float64(b.N*devices)/b.Elapsed().Seconds(), "messages/s")
}
