package dsl

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// everyDecoder is a profile that reads its payload in every way, and says all
// that can be said.
const everyDecoder = `profile: p
translate:
  - { on: "a/{device}/json", dedupe: payload.id, each: "payload.list ?? [payload]", time: { unix: item.ts },
      hello: { serial: item.sn, boot: item.b, software: { os: item.fw } }, status: string(item.st), heartbeat: { uptime_s: item.up },
      metrics: { a: item.a + 1, b: item.b }, reported: { attributes: { x: item.x } },
      event: { if: item.e != nil, type: "t.${{ item.e }}", data: { all: "${{ item }}" } } }
  - { on: "a/{device}/cbor", decode: cbor, event: { type: t, data: { all: "${{ payload }}" } } }
  - { on: "a/{device}/text", decode: text, event: { type: t, data: { all: "${{ payload }}" } } }
  - { on: "a/{device}/split", decode: { text: { split: ",", names: [x, z] } }, metrics: { x: float(payload.x) } }
  - { on: "a/{device}/match", decode: { text: { pattern: '^(?P<x>\d+)([a-z]*)*$' } }, metrics: { x: int(payload.x) } }
  - on: a/{device}/bytes
    decode:
      bytes:
        - { name: f, type: f32le, at: 0, optional: true }
        - { name: u, type: u64be, at: 0, bits: 3..62, optional: true }
        - { name: i, type: i24be, at: 1, scale: 0.1, offset: -3, optional: true }
        - { name: t, type: text, at: 0, size: 3 }
    metrics: { f: payload.f, u: payload.u, i: payload.i }
    event: { type: t, data: { t: "${{ payload.t }}" } }
`

var everyTopic = []string{"json", "cbor", "text", "split", "match", "bytes", "none"}

// FuzzTranslate holds that whatever a device publishes is translated or refused,
// without a panic, within bounds and the same each time.
func FuzzTranslate(f *testing.F) {
	for _, seed := range []string{
		`{"id":1,"ts":1767225600,"a":2,"e":"x"}`, `{"list":[{"a":1},{"a":"x"},null]}`, `[[[[`, "1,2", "12ab", "\x00\x01\x02\x03\x04\x05\x06\x07",
		"\xa1\x61a\x01", "\x9f\x9f\x9f", "\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00", "\xbb\xff\xff\xff\xff\xff\xff\xff\xff", `{"a":{"$stored":"x"}}`, `{"a":1e999}`,
	} {
		for i := range everyTopic {
			f.Add(uint8(i), []byte(seed))
		}
	}
	tr := compileTranslation(f, everyDecoder)
	f.Fuzz(func(t *testing.T, topic uint8, payload []byte) {
		m := deviceops.Message{Topic: "a/d/" + everyTopic[int(topic)%len(everyTopic)], Payload: payload}
		first, err := tr.Up(m, nil)
		again, errAgain := tr.Up(m, nil)
		require.Equal(t, deviceops.ErrorCode(err), deviceops.ErrorCode(errAgain))
		if err != nil {
			require.Contains(t, []string{deviceops.EINVALID, deviceops.ENOTFOUND, deviceops.EEXHAUSTED}, deviceops.ErrorCode(err), "%v", err)
			return
		}
		require.True(t, reflect.DeepEqual(first, again), "%v\n%v", first, again)
		require.LessOrEqual(t, len(first.Said), 6*maxTranslated)
	})
}

// BenchmarkTranslate translates a payload of ten fields into ten metrics.
func BenchmarkTranslate(b *testing.B) {
	tr := compileTranslation(b, `profile: p
translate:
  - on: acme/{device}/telemetry
    time: { unix: payload.ts }
    metrics:
      temp_c: (payload.temp_f - 32) / 1.8
      battery_pct: payload.bat * 100
      humidity_pct: payload.hum
      pressure_pa: payload.press * 100
      rssi_dbm: payload.rssi
      uptime_s: payload.up
      door_open: payload.door == 1
      power_w: payload.volt * payload.amp
`)
	m := deviceops.Message{
		Topic:   "acme/s1/telemetry",
		Payload: []byte(`{"ts":1767225600,"temp_f":70.7,"bat":0.87,"hum":41,"press":1013.2,"rssi":-71,"up":86400,"door":0,"volt":3.3,"amp":0.12}`),
	}
	b.Run("whole", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := tr.Up(m, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decoding alone", func(b *testing.B) { // the yardstick
		b.ReportAllocs()
		for b.Loop() {
			var v any
			if err := json.Unmarshal(m.Payload, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
}
