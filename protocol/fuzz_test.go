package protocol

import (
	"encoding/json"
	"testing"

	"github.com/deviceops/deviceops"
)

// FuzzDecode holds the decoder to its word on anything: no panic, bounded
// output, every refusal an EINVALID, and every message that it accepts can be
// stored and written again.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"boot":"b1","profile":"kiosk","software":{"os":"1"}}`, `[{"seq":1,"metrics":{"a":1.5}}]`,
		`{"type":"x","time":-62135596800000}`, `{"id":"a","attempt":1,"status":"deferred","retry_in":1e308}`,
		`[[[[`, `{"a":"\u0000"}`, `{"Header":{"boot":"x"}}`, `{"boot":null}`, "\xff", `{"metrics":{"":-0}}`,
	} {
		for leaf := range UpLeaves() {
			f.Add(uint8(leaf), []byte(seed))
		}
	}
	leaves := UpLeaves()
	f.Fuzz(func(t *testing.T, pick uint8, payload []byte) {
		leaf := leaves[int(pick)%len(leaves)]
		messages, err := Decode(leaf, payload)
		if err != nil {
			if deviceops.ErrorCode(err) != deviceops.EINVALID {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if len(messages) > MaxElements {
			t.Fatalf("%d messages", len(messages))
		}
		for _, m := range messages {
			rewrite(t, leaf, m)
		}
	})
}

func rewrite(t *testing.T, leaf Leaf, m Message) {
	if bad, ok := m.(*Invalid); ok {
		if deviceops.ErrorCode(bad.Err) != deviceops.EINVALID || !json.Valid(bad.Raw) {
			t.Fatalf("rejected with %v, raw %q", bad.Err, bad.Raw)
		}
		return
	}
	raw, err := Encode(m)
	if deviceops.ErrorCode(err) == deviceops.EEXHAUSTED {
		return // escapes may grow a message that was at the limit
	}
	if err != nil {
		t.Fatalf("cannot write %+v: %v", m, err)
	}
	again, err := Decode(leaf, raw)
	if err != nil || len(again) != 1 {
		t.Fatalf("cannot read own %s: %v", raw, err)
	}
	if bad, ok := again[0].(*Invalid); ok {
		t.Fatalf("cannot read own %s: %v", raw, bad.Err)
	}
}
