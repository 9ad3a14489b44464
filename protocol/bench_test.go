package protocol

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkDecode reads an event as most are.
func BenchmarkDecode(b *testing.B) {
	payload := []byte(`{"type":"device.battery","boot":"b-7f3a","seq":20,"data":{"battery_pct":9,"volts":3.71}}`)
	b.ReportAllocs()
	for b.Loop() {
		messages, err := Decode(LeafEvent, payload)
		require.NoError(b, err)
		require.Len(b, messages, 1)
	}
}
