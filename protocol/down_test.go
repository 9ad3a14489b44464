package protocol

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestEncodeDown(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		message DownMessage
		want    string
	}{
		{"command", &Command{ID: "r:1", Name: "install", Attempt: 1, ExpiresIn: 60, Args: Object{"url": "https://h/a?b&c=<d>"}},
			`{"id":"r:1","name":"install","args":{"url":"https://h/a?b&c=<d>"},"attempt":1,"expires_in":60}`},
		{"cancel", &Cancel{ID: "r:1", Child: "m1"}, `{"id":"r:1","child":"m1"}`},
		{"ack", &Ack{Boot: "b1", Seq: 0}, `{"boot":"b1","seq":0}`},
		{"welcome", &Welcome{Time: Timestamp{time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)}, State: "active", Seq: 3, Boot: "b1", Pending: 2,
			Desired: &Desired{Version: 2, Configuration: Object{"brightness": 80}, Heartbeat: &HeartbeatPolicy{Every: 60, OfflineAfter: 3}}},
			`{"time":"2026-05-04T08:00:00Z","state":"active","desired":{"version":2,"configuration":{"brightness":80},"heartbeat":{"every":60,"offline_after":3}},"pending":2,"boot":"b1","seq":3}`},
		{"welcome that asks", &Welcome{Hello: HelloFull}, `{"hello":"full","seq":0}`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := EncodeDown(c.message, 0)
			require.NoError(t, err)
			require.Equal(t, c.want, string(got))
			_, err = DecodeDown(c.message.Leaf(), got)
			require.NoError(t, err)
		})
	}
}

func TestEncodeDownRefuses(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]DownMessage{
		"no id":         &Command{Name: "reboot", Attempt: 1},
		"no name":       &Command{ID: "x", Attempt: 1},
		"no attempt":    &Command{ID: "x", Name: "reboot"},
		"expiry":        &Command{ID: "x", Name: "reboot", Attempt: 1, ExpiresIn: Seconds(math.Inf(1))},
		"cancel":        &Cancel{ID: "a/b"},
		"ack":           &Ack{Boot: "b", Seq: -1},
		"hello":         &Welcome{Hello: "again"},
		"every":         &Welcome{Desired: &Desired{Heartbeat: &HeartbeatPolicy{}}},
		"desired":       &Welcome{Desired: &Desired{Version: -1}},
		"not JSON":      &Command{ID: "x", Name: "reboot", Attempt: 1, Args: Object{"f": math.NaN()}},
		"welcome child": &Welcome{Child: "#"},
	} {
		_, err := EncodeDown(m, 0)
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err), name)
	}
}

func TestEncodeDownKeepsToTheDevicesLimit(t *testing.T) {
	t.Parallel()
	m := &Command{ID: "x", Name: "say", Attempt: 1, Args: Object{"text": strings.Repeat("x", 2000)}}
	_, err := EncodeDown(m, 1024)
	require.Equal(t, deviceops.EEXHAUSTED, deviceops.ErrorCode(err))
	require.EqualError(t, err, "command has 2054 bytes, the device takes 1024: put what is large behind {url, size, sha256}")
	_, err = EncodeDown(m, 1<<30)
	require.NoError(t, err)
	m.Args["text"] = strings.Repeat("x", MaxPayload)
	_, err = EncodeDown(m, 1<<30)
	require.Equal(t, deviceops.EEXHAUSTED, deviceops.ErrorCode(err))
}

func TestDecodeDownRefuses(t *testing.T) {
	t.Parallel()
	for payload, leaf := range map[string]Leaf{
		`{"id":"x","name":"reboot","attempt":"1"}`: LeafCommand,
		`{"id":"x"}`:        LeafCommand,
		`[]`:                LeafAck,
		``:                  LeafAck,
		`{"id":"x"} trail`:  LeafCancel,
		`{"boot":"b"}`:      LeafHello,
		`{"a":"\u0000"}`:    LeafAck,
		`{"hello":"twice"}`: LeafWelcome,
	} {
		_, err := DecodeDown(leaf, []byte(payload))
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err), payload)
	}
}

func TestEncodeChecks(t *testing.T) {
	t.Parallel()
	raw, err := Encode(&Heartbeat{Header: Header{Boot: "b1"}, UptimeS: 3})
	require.NoError(t, err)
	require.Equal(t, `{"boot":"b1","uptime_s":3}`, string(raw))
	_, err = Encode(&Heartbeat{UptimeS: -3})
	require.Error(t, err)
	_, err = Encode(&Event{Type: "x", Data: Object{"d": strings.Repeat("x", MaxPayload)}})
	require.Equal(t, deviceops.EEXHAUSTED, deviceops.ErrorCode(err))
}

func TestSeconds(t *testing.T) {
	t.Parallel()
	require.Equal(t, 1500*time.Millisecond, Seconds(1.5).Duration())
	require.Equal(t, Seconds(90), SecondsOf(90*time.Second))
	require.Equal(t, time.Duration(0), Seconds(-1).Duration())
	require.Equal(t, 3650*24*time.Hour, Seconds(1e300).Duration())
}
