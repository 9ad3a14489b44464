package codec_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/codec"
)

const reference = "temporal/payload-keys"

// secrets is a provider whose one secret is changed by tests.
type secrets struct {
	mu    sync.Mutex
	text  string
	err   error
	reads int
}

func (s *secrets) Secret(_ context.Context, account, ref string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if account != "" || ref != reference {
		return "", deviceops.Errorf(deviceops.EINVALID, "the keys are the engine's: account %q, %s", account, ref)
	}
	return s.text, s.err
}

func (s *secrets) set(text string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text, s.err = text, err
}

// keys gives a document with a key for every id, the first of them current. The
// key of an id is always the same.
func keys(ids ...string) string {
	doc := map[string]any{"current": ids[0]}
	all := map[string]string{}
	for _, id := range ids {
		all[id] = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte(id[len(id)-1:]), 32))
	}
	doc["keys"] = all
	text, _ := json.Marshal(doc)
	return string(text)
}

func open(t testing.TB, text string) (*codec.Codec, *codec.Keyring, *secrets) {
	t.Helper()
	s := &secrets{text: text}
	ring, err := codec.OpenKeyring(t.Context(), codec.Config{Secrets: s, Reference: reference, Refresh: 5 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return codec.New(ring), ring, s
}

func payload(data string) *commonpb.Payload {
	return &commonpb.Payload{Metadata: map[string][]byte{converter.MetadataEncoding: []byte("json/plain"), "more": {0, 255}}, Data: []byte(data)}
}

func encode(t testing.TB, c *codec.Codec, p *commonpb.Payload) *commonpb.Payload {
	t.Helper()
	encoded, err := c.Encode([]*commonpb.Payload{p})
	require.NoError(t, err)
	require.Len(t, encoded, 1)
	return encoded[0]
}

func decode(t testing.TB, c *codec.Codec, p *commonpb.Payload) *commonpb.Payload {
	t.Helper()
	decoded, err := c.Decode([]*commonpb.Payload{p})
	require.NoError(t, err)
	require.Len(t, decoded, 1)
	return decoded[0]
}

func TestCodec_RoundTrip(t *testing.T) {
	t.Parallel()
	c, _, _ := open(t, keys("k1"))
	for name, p := range map[string]*commonpb.Payload{
		"nothing":           {},
		"nil":               {Metadata: map[string][]byte{converter.MetadataEncoding: []byte("binary/null")}},
		"small":             payload(`{"canary": "a canary"}`),
		"large":             payload(`{"canary": "` + strings.Repeat("a canary ", 10_000) + `"}`),
		"not compressible":  {Data: incompressible(5000)},
		"what is encrypted": encode(t, c, payload(`"a canary"`)),
	} {
		encoded := encode(t, c, p)
		require.NotContains(t, encoded.String(), "canary", name)
		require.NotContains(t, encoded.String(), "json/plain", name)
		require.Equal(t, "binary/encrypted", string(encoded.Metadata[converter.MetadataEncoding]))
		require.Equal(t, "k1", string(encoded.Metadata["encryption-key-id"]))
		require.True(t, proto.Equal(p, decode(t, c, encoded)), name)
		require.NotEqual(t, encoded.Data, encode(t, c, p).Data, "%s: the same twice does not look the same", name)
	}
}

// incompressible gives bytes without a pattern, the same at every call.
func incompressible(n int) []byte {
	data, x := make([]byte, n), uint32(1)
	for i := range data {
		x = x*1664525 + 1013904223
		data[i] = byte(x >> 24)
	}
	return data
}

func TestCodec_CompressesWhatIsLarge(t *testing.T) {
	t.Parallel()
	c, _, _ := open(t, keys("k1"))
	text := strings.Repeat(`{"name": "kiosk", "state": "active"},`, 500)
	require.Less(t, len(encode(t, c, payload(text)).Data), len(text)/10)
	noise := incompressible(5000)
	require.Less(t, len(encode(t, c, &commonpb.Payload{Data: noise}).Data), len(noise)+64)
}

func TestCodec_SeesThatAPayloadWasChanged(t *testing.T) {
	t.Parallel()
	c, _, _ := open(t, keys("k1", "k2"))
	encoded := encode(t, c, payload(`{"to": "maintenance"}`))
	for i := range encoded.Data {
		changed := proto.CloneOf(encoded)
		changed.Data[i] ^= 1
		requireRefused(t, c, changed, deviceops.EINVALID, `key "k1" cannot be read`)
	}
	for name, change := range map[string]func(*commonpb.Payload){
		"cut":         func(p *commonpb.Payload) { p.Data = p.Data[:len(p.Data)-1] },
		"emptied":     func(p *commonpb.Payload) { p.Data = nil },
		"lengthened":  func(p *commonpb.Payload) { p.Data = append(p.Data, 0) },
		"another key": func(p *commonpb.Payload) { p.Metadata["encryption-key-id"] = []byte("k2") },
	} {
		changed := proto.CloneOf(encoded)
		change(changed)
		_, err := c.Decode([]*commonpb.Payload{changed})
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err), name)
	}
	other := proto.CloneOf(encoded)
	other.Metadata["encryption-cipher"] = []byte("ROT13")
	requireRefused(t, c, other, deviceops.EINVALID, `encrypted with "ROT13"; only AES-256-GCM is known`)
}

func requireRefused(t *testing.T, c *codec.Codec, p *commonpb.Payload, code, says string) {
	t.Helper()
	_, err := c.Decode([]*commonpb.Payload{payload("fine"), p})
	require.Equal(t, code, deviceops.ErrorCode(err))
	require.ErrorContains(t, err, says)
}

func TestCodec_LeavesAloneWhatIsNotEncrypted(t *testing.T) {
	t.Parallel()
	c, _, _ := open(t, keys("k1"))
	old := payload(`"from before encryption"`)
	require.Same(t, old, decode(t, c, old))
}

func TestCodec_DoesNotTouchItsParameters(t *testing.T) {
	t.Parallel()
	c, _, _ := open(t, keys("k1"))
	in := payload(strings.Repeat("x", 2000))
	before := proto.CloneOf(in)
	encoded := encode(t, c, in)
	require.True(t, proto.Equal(before, in))
	before = proto.CloneOf(encoded)
	decode(t, c, encoded)
	require.True(t, proto.Equal(before, encoded))
}

func TestCodec_Rotation(t *testing.T) {
	t.Parallel()
	old, _, _ := open(t, keys("k1"))
	under1 := encode(t, old, payload("1"))

	c, ring, s := open(t, keys("k1"))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- ring.Run(ctx) }()

	s.set(keys("k2", "k1"), nil)
	require.Eventually(t, func() bool { return string(encode(t, c, payload("2")).Metadata["encryption-key-id"]) == "k2" }, 10*time.Second, time.Millisecond)
	under2 := encode(t, c, payload("2"))
	require.Equal(t, "1", string(decode(t, c, under1).Data))
	require.Equal(t, "2", string(decode(t, c, under2).Data))

	// Keys that cannot be read, or are no keys, leave those in memory in use.
	s.set("", deviceops.Errorf(deviceops.EUNAVAILABLE, "sealed"))
	waitForRead(t, s)
	require.Equal(t, "1", string(decode(t, c, under1).Data))
	s.set("{}", nil)
	waitForRead(t, s)
	require.Equal(t, "2", string(decode(t, c, under2).Data))

	stop()
	require.NoError(t, <-ended)
}

// waitForRead waits until the keys were read twice: the first read may have begun
// before the secret was changed.
func waitForRead(t *testing.T, s *secrets) {
	t.Helper()
	count := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.reads
	}
	from := count()
	require.Eventually(t, func() bool { return count() >= from+2 }, 10*time.Second, time.Millisecond)
}

func TestCodec_AKeyThatIsNotKnown(t *testing.T) {
	t.Parallel()
	other, _, _ := open(t, keys("k2"))
	encoded := encode(t, other, payload("next"))

	t.Run("is found when another process already uses it", func(t *testing.T) {
		t.Parallel()
		c, _, s := open(t, keys("k1"))
		s.set(keys("k2", "k1"), nil)
		require.Equal(t, "next", string(decode(t, c, encoded).Data))
	})
	t.Run("is an error that names it", func(t *testing.T) {
		t.Parallel()
		c, _, s := open(t, keys("k1", "k3"))
		for range 100 {
			requireRefused(t, c, encoded, deviceops.ENOTFOUND, `secret temporal/payload-keys does not hold that key (it has [k1 k3])`)
		}
		require.Less(t, s.reads, 5, "a history full of such payloads is not as many reads")
	})
	t.Run("may be there when the keys can be read", func(t *testing.T) {
		t.Parallel()
		c, _, s := open(t, keys("k1"))
		s.set("", deviceops.Errorf(deviceops.EUNAVAILABLE, "sealed"))
		requireRefused(t, c, encoded, deviceops.EUNAVAILABLE, `could not be read to look for it: sealed`)
	})
}

func TestOpenKeyring_Refuses(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		`canary`:                          "are not JSON",
		`{"current": 1}`:                  "are not JSON",
		`{}`:                              `the current key is ""`,
		`{"current": "k9", "keys": {}}`:   `the current key is "k9", and the keys are []`,
		`{"keys": {"k1": "Y2FuYXJ5"}}`:    `key "k1" is not base64 of 32 bytes`,
		`{"keys": {"k1": "canary !"}}`:    `key "k1" is not base64 of 32 bytes`,
		`{"keys": {"a key": "Y2FuYXJ5"}}`: `key id "a key"`,
	} {
		_, err := codec.OpenKeyring(t.Context(), codec.Config{Secrets: &secrets{text: text}, Reference: reference})
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err), text)
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), "canary")
		require.NotContains(t, err.Error(), "Y2FuYXJ5")
	}
	_, err := codec.OpenKeyring(t.Context(), codec.Config{Secrets: &secrets{err: deviceops.Errorf(deviceops.EUNAVAILABLE, "sealed")}, Reference: reference})
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(err))
}

func TestGenerateKeys(t *testing.T) {
	t.Parallel()
	first, err := codec.GenerateKeys()
	require.NoError(t, err)
	second, err := codec.GenerateKeys()
	require.NoError(t, err)
	a, _, _ := open(t, first)
	b, _, _ := open(t, second)
	encoded := encode(t, a, payload("x"))
	require.Equal(t, "x", string(decode(t, a, encoded).Data))
	_, err = b.Decode([]*commonpb.Payload{encoded})
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err), "another key has another id")
}

func TestCodec_AtTheSameTime(t *testing.T) {
	t.Parallel()
	c, ring, s := open(t, keys("k1"))
	ctx, stop := context.WithCancel(t.Context())
	go func() { _ = ring.Run(ctx) }()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 50 {
				text := strings.Repeat(fmt.Sprint(i, n), 500)
				s.set(keys("k"+fmt.Sprint(n%2), "k"+fmt.Sprint(1-n%2)), nil)
				require.Equal(t, text, string(decode(t, c, encode(t, c, payload(text))).Data))
			}
		})
	}
	all.Wait()
	stop()
}

func FuzzCodec_Decode(f *testing.F) {
	c, _, _ := open(f, keys("k1"))
	for _, text := range []string{"", "x", strings.Repeat("a canary ", 500)} {
		encoded := encode(f, c, payload(text))
		f.Add("binary/encrypted", "k1", encoded.Data)
		f.Add("json/plain", "k9", encoded.Data)
	}
	f.Fuzz(func(t *testing.T, encoding, id string, data []byte) {
		in := &commonpb.Payload{Data: data, Metadata: map[string][]byte{
			converter.MetadataEncoding: []byte(encoding), "encryption-cipher": []byte("AES-256-GCM"), "encryption-key-id": []byte(id),
		}}
		metadata := maps.Clone(in.Metadata)
		decoded, err := c.Decode([]*commonpb.Payload{in})
		require.Equal(t, metadata, in.Metadata)
		if err == nil {
			require.Len(t, decoded, 1)
			return
		}
		require.Contains(t, []string{deviceops.EINVALID, deviceops.ENOTFOUND}, deviceops.ErrorCode(err))
	})
}

func BenchmarkCodec(b *testing.B) {
	c, _, _ := open(b, keys("k1"))
	for _, size := range []int{200, 2_000, 60_000} {
		in := payload(strings.Repeat(`{"name": "kiosk", "state": "active"},`, size/37+1)[:size])
		out := encode(b, c, in)
		b.Run(fmt.Sprintf("encode/%d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				_, _ = c.Encode([]*commonpb.Payload{in})
			}
		})
		b.Run(fmt.Sprintf("decode/%d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				_, _ = c.Decode([]*commonpb.Payload{out})
			}
		})
	}
}
