package ingest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func session(c deviceops.Connectivity) deviceops.Session {
	return deviceops.Session{Connectivity: c, Since: noon, HelloAt: noon, LastSeen: noon, Connection: "c1", Boot: "b1", Seq: 7}
}

func TestGreet(t *testing.T) {
	t.Parallel()
	at := noon.Add(time.Minute)
	full := protocol.Hello{
		Header: protocol.Header{Boot: "b1"}, Connection: "c2", Profile: "kiosk", Serial: "s1", Claim: "secret", MaxPayload: 4096,
	}
	for name, test := range map[string]struct {
		before deviceops.Session
		change func(h *protocol.Hello)
		want   func(s *deviceops.Session)
	}{
		"full": {session(deviceops.Offline), nil, func(s *deviceops.Session) {
			s.Connectivity, s.Since = deviceops.Online, at
		}},
		"again while online": {session(deviceops.Online), nil, nil},
		"new boot counts from the start": {session(deviceops.Online), func(h *protocol.Hello) { h.Boot = "b2" }, func(s *deviceops.Session) {
			s.Boot, s.Seq = "b2", 0
		}},
		"oldest closes the gap":  {session(deviceops.Online), func(h *protocol.Hello) { h.Oldest = 21 }, func(s *deviceops.Session) { s.Seq = 20 }},
		"oldest never goes back": {session(deviceops.Online), func(h *protocol.Hello) { h.Oldest = 3 }, nil},
		"a child has no journal": {session(deviceops.Online), func(h *protocol.Hello) { h.Child, h.Oldest = "k1", 21 }, nil},
		"wakes":                  {deviceops.Session{Connectivity: deviceops.Sleeping, Boot: "b1", WakeAt: at, Seq: 7}, nil, func(s *deviceops.Session) { s.Since = at }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := full
			if test.change != nil {
				test.change(&h)
			}
			want := deviceops.Session{
				Connectivity: deviceops.Online, Since: noon, HelloAt: at, LastSeen: at, Connection: "c2", Boot: "b1", Seq: 7,
				Presented: deviceops.Presented{Profile: "kiosk", Serial: "s1"}, ClaimHash: deviceops.HashClaim("k1", "secret"),
				MaxPayload: 4096, Digest: h.DescriptionDigest(),
			}
			if test.want != nil {
				test.want(&want)
			}
			got, ok := greet(test.before, "k1", &h, at)
			require.True(t, ok)
			require.Equal(t, want, got)
		})
	}
}

func TestGreetIgnoresAnOlderHello(t *testing.T) {
	t.Parallel()
	s := session(deviceops.Offline)
	got, ok := greet(s, "k1", &protocol.Hello{Connection: "c0"}, noon.Add(-time.Millisecond))
	require.False(t, ok)
	require.Equal(t, s, got)
}

func TestGreetInShortKeepsTheDescription(t *testing.T) {
	t.Parallel()
	s := session(deviceops.Offline)
	s.Presented, s.ClaimHash, s.MaxPayload = deviceops.Presented{Profile: "kiosk"}, "hash", 2048
	got, ok := greet(s, "k1", &protocol.Hello{Header: protocol.Header{Boot: "b1"}, Connection: "c2", Digest: "d"}, noon.Add(time.Second))
	require.True(t, ok)
	require.Equal(t, s.Presented, got.Presented)
	require.Equal(t, "hash", got.ClaimHash)
	require.Equal(t, 2048, got.MaxPayload)
	require.Equal(t, "c2", got.Connection)
}

func TestDepart(t *testing.T) {
	t.Parallel()
	at := noon.Add(time.Minute)
	for name, test := range map[string]struct {
		before deviceops.Connectivity
		status protocol.Status
		at     time.Time
		want   deviceops.Connectivity
	}{
		"the will of this connection":              {deviceops.Online, protocol.Status{Status: "offline", Connection: "c1"}, at, deviceops.Offline},
		"the will of another connection":           {deviceops.Online, protocol.Status{Status: "offline", Connection: "c0"}, at, deviceops.Online},
		"a will without connection":                {deviceops.Online, protocol.Status{Status: "offline"}, at, deviceops.Online},
		"a will from before the hello":             {deviceops.Online, protocol.Status{Status: "offline", Connection: "c1"}, noon.Add(-1), deviceops.Online},
		"the will of a sleeper":                    {deviceops.Sleeping, protocol.Status{Status: "offline", Connection: "c1"}, at, deviceops.Sleeping},
		"goes to sleep":                            {deviceops.Online, protocol.Status{Status: "sleeping", Connection: "c1", WakeIn: 60}, at, deviceops.Sleeping},
		"goes to sleep, without connection":        {deviceops.Online, protocol.Status{Status: "sleeping", WakeIn: 60}, at, deviceops.Sleeping},
		"an old connection goes to sleep":          {deviceops.Online, protocol.Status{Status: "sleeping", Connection: "c0"}, at, deviceops.Online},
		"is back":                                  {deviceops.Offline, protocol.Status{Status: "online", Connection: "c1"}, at, deviceops.Online},
		"online from before it was known to leave": {deviceops.Offline, protocol.Status{Status: "online"}, noon.Add(-1), deviceops.Offline},
		"wakes": {deviceops.Sleeping, protocol.Status{Status: "online"}, at, deviceops.Online},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := depart(session(test.before), &test.status, test.at)
			require.Equal(t, test.want, got.Connectivity)
			wantWake := time.Time{}
			if test.want == deviceops.Sleeping && test.before != deviceops.Sleeping {
				wantWake = at.Add(time.Minute)
			}
			require.Equal(t, wantWake, got.WakeAt)
		})
	}
}

func TestAlive(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before deviceops.Connectivity
		after  time.Duration
		want   deviceops.Connectivity
	}{
		"online stays":                         {deviceops.Online, time.Hour, deviceops.Online},
		"silence is over":                      {deviceops.Offline, time.Hour, deviceops.Online},
		"overtaken by its will":                {deviceops.Offline, settle - 1, deviceops.Offline},
		"its gateway is back":                  {deviceops.Unreachable, time.Hour, deviceops.Online},
		"sent before it fell asleep":           {deviceops.Sleeping, settle - 1, deviceops.Sleeping},
		"awake":                                {deviceops.Sleeping, time.Hour, deviceops.Online},
		"heard of for the first time":          {deviceops.Never, time.Hour, deviceops.Online},
		"received before the change, long ago": {deviceops.Offline, -time.Hour, deviceops.Offline},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := noon.Add(test.after)
			got := alive(&deviceops.Device{Session: session(test.before)}, &deviceops.Device{}, at)
			require.Equal(t, test.want, got.Connectivity)
			require.Equal(t, later(noon, at), got.LastSeen)
		})
	}
}

// What a device says after it was missed was not sent before it left.
func TestAliveAfterSilence(t *testing.T) {
	t.Parallel()
	silence := deviceops.DefaultHeartbeat.Silence()
	for name, test := range map[string]struct {
		seen, after time.Duration
		want        deviceops.Connectivity
	}{
		"a moment after it was missed":                {-silence, 1, deviceops.Online},
		"a moment after it was missed late":           {-time.Hour, 1, deviceops.Online},
		"taken in before, noted after it was missed":  {-silence, -time.Second, deviceops.Online},
		"taken in so long before that it was missed":  {-time.Hour, -silence, deviceops.Offline},
		"overtaken by its will, after nearly silence": {-silence + 1, 1, deviceops.Offline},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := session(deviceops.Offline)
			s.LastSeen = noon.Add(test.seen)
			require.Equal(t, test.want, alive(&deviceops.Device{Session: s}, &deviceops.Device{}, noon.Add(test.after)).Connectivity)
		})
	}
}

func TestSilent(t *testing.T) {
	t.Parallel()
	policy := deviceops.HeartbeatPolicy{Every: time.Minute, OfflineAfter: 2}
	for name, test := range map[string]struct {
		connectivity deviceops.Connectivity
		policy       deviceops.HeartbeatPolicy
		after        time.Duration
		want         bool
	}{
		"in time":                 {deviceops.Online, policy, 2 * time.Minute, false},
		"too late":                {deviceops.Online, policy, 2*time.Minute + 1, true},
		"default policy":          {deviceops.Online, deviceops.HeartbeatPolicy{}, 3*time.Minute + 1, true},
		"default policy, in time": {deviceops.Online, deviceops.HeartbeatPolicy{}, 3 * time.Minute, false},
		"asleep":                  {deviceops.Sleeping, policy, time.Hour + 2*time.Minute, false},
		"overslept":               {deviceops.Sleeping, policy, time.Hour + 2*time.Minute + 1, true},
		"offline":                 {deviceops.Offline, policy, time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &deviceops.Device{Session: session(test.connectivity)}
			d.Session.WakeAt = noon.Add(time.Hour)
			d.Twin.Desired.Heartbeat = test.policy
			require.Equal(t, test.want, silent(d, deviceops.Outage{}, noon.Add(test.after)))
		})
	}
}
