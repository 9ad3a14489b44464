package gateway

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func decoded(t *testing.T, p publication) protocol.DownMessage {
	t.Helper()
	address, err := protocol.Topics{}.Parse(p.topic)
	require.NoError(t, err)
	m, err := protocol.DecodeDown(address.Leaf, p.payload)
	require.NoError(t, err)
	return m
}

func TestEncodeCommand(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(c *deviceops.Command)
		topic  string
		want   protocol.Command
		code   string
	}{
		"for ever":     {func(*deviceops.Command) {}, "deviceops/v1/k1/down/command", protocol.Command{ID: "c1", Name: "x", Attempt: 1}, ""},
		"for a minute": {func(c *deviceops.Command) { c.ExpiresAt = noon.Add(time.Minute) }, "deviceops/v1/k1/down/command", protocol.Command{ID: "c1", Name: "x", Attempt: 1, ExpiresIn: 60}, ""},
		"for ages": {func(c *deviceops.Command) { c.ExpiresAt = noon.AddDate(50, 0, 0) }, "deviceops/v1/k1/down/command",
			protocol.Command{ID: "c1", Name: "x", Attempt: 1, ExpiresIn: protocol.MaxSeconds}, ""},
		"by a gateway":      {func(c *deviceops.Command) { c.Route.Via = "g1" }, "deviceops/v1/g1/down/command", protocol.Command{ID: "c1", Name: "x", Attempt: 1, Child: "k1"}, ""},
		"too late":          {func(c *deviceops.Command) { c.ExpiresAt = noon }, "", protocol.Command{}, deviceops.ETIMEOUT},
		"wildcard device":   {func(c *deviceops.Command) { c.Device = "#" }, "", protocol.Command{}, deviceops.EINVALID},
		"wildcard gateway":  {func(c *deviceops.Command) { c.Route.Via = "+" }, "", protocol.Command{}, deviceops.EINVALID},
		"wildcard child":    {func(c *deviceops.Command) { c.Device, c.Route.Via = "+", "g1" }, "", protocol.Command{}, deviceops.EINVALID},
		"no attempt":        {func(c *deviceops.Command) { c.Attempt = 0 }, "", protocol.Command{}, deviceops.EINVALID},
		"more than allowed": {func(c *deviceops.Command) { c.Args = map[string]any{"x": strings.Repeat("x", 1<<18)} }, "", protocol.Command{}, deviceops.EEXHAUSTED},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := deviceops.Command{ID: "c1", Device: "k1", Name: "x", Attempt: 1}
			test.change(&c)
			p, err := encoder{}.command(c, noon)
			require.Equal(t, test.code, deviceops.ErrorCode(err))
			if test.code == "" {
				require.Equal(t, test.topic, p.topic)
				require.Equal(t, &test.want, decoded(t, p))
			}
		})
	}
}

func TestInstallationTimesCountFromNow(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) string { return noon.Add(d).Format(time.RFC3339) }
	for name, test := range map[string]struct{ args, want map[string]any }{
		"none":        {map[string]any{"release": "r"}, map[string]any{"release": "r"}},
		"ahead":       {map[string]any{"release": "r", "install_after": at(time.Hour), "install_before": at(5 * time.Hour)}, map[string]any{"release": "r", "install_in": 3600.0, "install_within": 18000.0}},
		"open":        {map[string]any{"install_after": at(-time.Hour), "install_before": at(time.Hour)}, map[string]any{"install_within": 3600.0}},
		"over":        {map[string]any{"install_after": at(-5 * time.Hour), "install_before": at(-time.Hour)}, map[string]any{"install_within": 0.001}},
		"without end": {map[string]any{"install_after": at(time.Minute)}, map[string]any{"install_in": 60.0}},
		"no times":    {map[string]any{"install_after": 7}, map[string]any{"install_after": 7}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := maps.Clone(test.args)
			require.Equal(t, protocol.Object(test.want), relative(test.args, noon))
			require.Equal(t, before, test.args, "what is stored stays as it is")
		})
	}
}

func TestEncodeWelcome(t *testing.T) {
	t.Parallel()
	whole := deviceops.Welcome{
		Device: "k1", State: deviceops.Active, Pending: 2, Boot: "b1", Seq: 9,
		Desired: deviceops.Desired{Version: 3, Configuration: map[string]any{"a": "b"}, Heartbeat: deviceops.DefaultHeartbeat},
	}
	at := protocol.Timestamp{Time: noon}
	desired := &protocol.Desired{Version: 3, Configuration: protocol.Object{"a": "b"}, Heartbeat: &protocol.HeartbeatPolicy{Every: 60, OfflineAfter: 3}}
	for name, test := range map[string]struct {
		change func(w *deviceops.Welcome)
		want   protocol.Welcome
	}{
		"whole": {func(*deviceops.Welcome) {}, protocol.Welcome{Time: at, State: "active", Pending: 2, Boot: "b1", Seq: 9, Desired: desired}},
		"to a child": {func(w *deviceops.Welcome) { w.Route.Via = "g1" },
			protocol.Welcome{Child: "k1", Time: at, State: "active", Pending: 2, Boot: "b1", Seq: 9, Desired: desired}},
		"in quarantine": {func(w *deviceops.Welcome) { *w = deviceops.Welcome{Device: "k1", State: deviceops.Quarantined} },
			protocol.Welcome{Time: at, State: "quarantined"}},
		"to a stranger": {func(w *deviceops.Welcome) { *w = deviceops.Welcome{Device: "k1", NeedHello: true} },
			protocol.Welcome{Time: at, Hello: protocol.HelloFull}},
		"without a configuration that is too large": {
			func(w *deviceops.Welcome) {
				w.Route.MaxPayload = 1024
				w.Desired.Configuration = map[string]any{"a": strings.Repeat("x", 2000)}
			},
			protocol.Welcome{Time: at, State: "active", Pending: 2, Boot: "b1", Seq: 9, Desired: &protocol.Desired{Version: 3, Heartbeat: desired.Heartbeat}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := whole
			test.change(&w)
			p, err := encoder{}.welcome(w, noon)
			require.NoError(t, err)
			require.Equal(t, &test.want, decoded(t, p))
		})
	}
}
