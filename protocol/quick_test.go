package protocol

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

var quickSeeds = map[Leaf][]string{
	LeafEvent: {
		`{"type":"device.battery","boot":"b-7f3a","seq":20,"data":{"battery_pct":9,"volts":3.71}}`,
		" {\n\t\"type\" : \"t\" , \"severity\" : \"warning\" , \"child\" : \"c1\" , \"age_ms\" : 12 }\r\n",
		`{"type":"t","time":"2026-01-02T03:04:05.678Z","data":{}}`,
		`{"type":"t","time":1767323045678,"data":{"a":[1,-2.5e3,{"b":"\u00fc\n"}],"c":true,"d":null}}`,
	},
	LeafTelemetry: {`{"metrics":{"battery_pct":7,"crashes":9007199254740993,"in_use":false},"boot":"b1","seq":3}`},
	LeafResult: {
		`{"boot":"b1","seq":2,"id":"r.k1","attempt":1,"status":"succeeded"}`,
		`{"id":"c","attempt":2,"status":"progress","component":"os","phase":"downloading","percent":40.5,"reason":"","output":{"n":1}}`,
	},
}

// What is written the plain way is read at once, as encoding/json reads it.
func TestQuickly(t *testing.T) {
	t.Parallel()
	for leaf, payloads := range quickSeeds {
		for _, payload := range payloads {
			m, ok := quickly(leaf, []byte(payload))
			require.True(t, ok, payload)
			require.Equal(t, decodeOne(leaf, []byte(payload), false), m, payload)
		}
	}
}

// All else is left to encoding/json.
func TestNotQuickly(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{
		``, `[]`, `{`, `{}`, `{"type"}`, `{"type":"t",}`, `{"type":"t"}}`, `{"type":"t"} {`, "{\"type\":\"t\"}\x00",
		`{"type":"t","type":"u"}`, `{"Type":"t"}`, `{"t\u0079pe":"t"}`, `{"type":"t","odd":1}`, `{"type":"t","seq":null}`, `{"type":"t","data":null}`,
		`{"type":1}`, `{"type":"t","seq":"1"}`, `{"type":"t","seq":1.0}`, `{"type":"t","seq":01}`, `{"type":"t","seq":+1}`, `{"type":"t","seq":99999999999999999999}`,
		`{"type":"t","seq":-1}`, `{"type":"t","data":[]}`, `{"type":"t","data":{"a":1.}}`, `{"type":"t","data":{"a":.5}}`, `{"type":"t","data":{"a":1e}}`,
		`{"type":"t","data":{"a":-}}`, `{"type":"t","data":{"a":1e999}}`, `{"type":"t","data":{"a":tru}}`, `{"type":"t","data":{"a":[1,]}}`, `{"type":"t","data":{"a" 1}}`,
		"{\"type\":\"a\tb\"}", `{"type":"t","time":"yesterday"}`, `{"type":"t","time":{}}`, `{"type":"t","time":null}`, `{"type":"t","age_ms":1.5}`,
	} {
		_, ok := quickly(LeafEvent, []byte(payload))
		require.False(t, ok, payload)
	}
	for _, payload := range []string{`{"id":"c","attempt":1,"status":"failed","error":{"code":"x"}}`, `{"id":"c","attempt":1,"status":"odd"}`} {
		_, ok := quickly(LeafResult, []byte(payload))
		require.False(t, ok, payload)
	}
	_, ok := quickly(LeafHeartbeat, []byte(`{"uptime_s":1}`))
	require.False(t, ok)
}

// FuzzQuickly holds the quick way to what it promises: what it reads, encoding/json
// reads just so.
func FuzzQuickly(f *testing.F) {
	leaves := UpLeaves()
	for leaf, payloads := range quickSeeds {
		for _, payload := range payloads {
			f.Add(uint8(slices.Index(leaves, leaf)), []byte(payload))
		}
	}
	f.Fuzz(func(t *testing.T, pick uint8, payload []byte) {
		leaf := leaves[int(pick)%len(leaves)]
		if scan(payload, MaxPayload) != nil {
			return
		}
		m, ok := quickly(leaf, payload)
		if !ok {
			return
		}
		objects, err := split(leaf, payload)
		require.NoError(t, err)
		require.Len(t, objects, 1)
		require.Equal(t, decodeOne(leaf, objects[0], false), m)
	})
}
