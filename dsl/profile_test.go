package dsl

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func exampleProfile(t *testing.T, file, name string) *deviceops.Profile {
	t.Helper()
	source, err := os.ReadFile("../examples/" + file)
	require.NoError(t, err)
	docs, found := CheckFile(file, string(source), checked)
	require.Empty(t, found)
	for _, d := range docs {
		if d.Profile != nil && d.Name == name {
			return d.Profile
		}
	}
	require.Fail(t, "there is no such profile", name)
	return nil
}

func TestProfile(t *testing.T) {
	t.Parallel()
	p := exampleProfile(t, "provisioning.yaml", "gateway")
	require.Equal(t, map[string]string{"site": "string", "antenna": "string"}, p.Attributes)
	require.Equal(t, deviceops.HeartbeatPolicy{Every: 30 * time.Second, OfflineAfter: 4}, p.Heartbeat)
	require.Equal(t, "number", p.Metrics["temperature_c"].Type)
	require.Equal(t, -40.0, *p.Metrics["temperature_c"].Min)

	spec := p.Provision
	require.Equal(t, map[string]any{"region": "eu868", "uplink": map[string]any{"interval_s": int64(30), "compress": true}}, spec.Configuration)
	require.True(t, spec.Approve)
	require.Equal(t, []string{"role:operator", "role:installer"}, spec.ApproveBy)
	require.Equal(t, "gateway-acceptance@1", spec.Workflow)
	require.Equal(t, 6*time.Hour, spec.Timeout)
	require.Equal(t, 3, spec.Retries)
	require.Equal(t, deviceops.SoftwareSpec{Want: ">=1.8"}, spec.Software["forwarder"])
	require.Equal(t, deviceops.SoftwareSpec{Want: ">=2.3.0 <3", Install: &deviceops.ComponentChange{
		Name: "os", To: "2.4.1", URL: "https://downloads.example.com/gateway/os-2.4.1.img", Size: 48234496,
		SHA256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Order: 1,
	}}, spec.Software["os"])
}

func TestProfileDefaults(t *testing.T) {
	t.Parallel()
	p, found := CompileProfile("profile: p\n")
	require.NoError(t, found.Err())
	require.Equal(t, deviceops.DefaultHeartbeat, p.Heartbeat)
	require.Equal(t, deviceops.DefaultWellness, p.Wellness)
	require.Empty(t, p.Commands)
	require.NotEmpty(t, p.CommandNames(), "the reserved ones")
}

func TestProfileCommands(t *testing.T) {
	t.Parallel()
	p, found := CompileProfile(`profile: p
commands:
  ping:
  reboot: { reboots: true, args: { mode: { enum: [soft, hard], default: soft }, after_s: { type: integer, min: 0, optional: true } } }
  wipe: { idempotent: true }
  show: { args: { lines: [string], at: { x: number, y: number }, raw: any }, timeout: 90s }
`)
	require.NoError(t, found.Err())
	require.False(t, p.Commands["ping"].Exclusive)
	require.True(t, p.Commands["reboot"].Exclusive, "what reboots is exclusive")
	require.True(t, p.Commands["wipe"].Exclusive, "as the reserved command is")
	require.True(t, p.Commands["wipe"].Idempotent)
	require.Equal(t, 90*time.Second, p.Commands["show"].Timeout)
	require.JSONEq(t, `{
		"type": "object", "additionalProperties": false, "required": ["lines", "at", "raw"],
		"properties": {
			"lines": {"type": "array", "items": {"type": "string"}},
			"at": {"type": "object", "additionalProperties": false, "required": ["x", "y"], "properties": {"x": {"type": "number"}, "y": {"type": "number"}}},
			"raw": {}
		}}`, string(p.Commands["show"].ArgsSchema))
}

func TestPrepareArguments(t *testing.T) {
	t.Parallel()
	p, found := CompileProfile(`profile: p
commands:
  ping:
  reboot: { args: { mode: { enum: [soft, hard], default: soft }, after_s: { type: integer, min: 0, max: 60, optional: true }, why: string } }
`)
	require.NoError(t, found.Err())
	reboot, ping := p.Commands["reboot"].Prepare, p.Commands["ping"].Prepare

	given := map[string]any{"why": "test", "after_s": 5.0}
	got, err := reboot(given)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"mode": "soft", "after_s": int64(5), "why": "test"}, got)
	require.NotContains(t, given, "mode", "what is given stays as it is")

	got, err = ping(nil)
	require.NoError(t, err)
	require.Empty(t, got)

	for want, args := range map[string]map[string]any{
		"arguments of the command reboot: missing property 'why'":                    nil,
		"arguments of the command reboot: mode: value must be one of 'soft', 'hard'": {"why": "x", "mode": "quick"},
		"arguments of the command reboot: after_s: maximum: got 61, want 60":         {"why": "x", "after_s": 61},
		"arguments of the command reboot: after_s: got string, want integer":         {"why": "x", "after_s": "5"},
		"arguments of the command reboot: additional properties 'extra' not allowed": {"why": "x", "extra": 1},
	} {
		_, err := reboot(args)
		require.EqualError(t, err, want)
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
	}
	_, err = ping(map[string]any{"loud": true})
	require.EqualError(t, err, `the command ping takes no arguments, and "loud" is given`)
}

func TestProfileGuards(t *testing.T) {
	t.Parallel()
	p := exampleProfile(t, "provisioning.yaml", "gateway")
	require.Contains(t, p.GuardSources[deviceops.Active], "device.attributes.site")
	guard := p.Guards[deviceops.Active]
	for _, test := range []struct {
		attributes, metrics map[string]any
		want                deviceops.Verdict
	}{
		{nil, nil, deviceops.No},
		{map[string]any{"site": "b1"}, nil, deviceops.Yes},
		{map[string]any{"site": "b1"}, map[string]any{"temperature_c": 90.5}, deviceops.No},
		{map[string]any{"site": "b1"}, map[string]any{"temperature_c": "hot"}, deviceops.Unknown},
	} {
		got, err := guard(&deviceops.Device{Attributes: test.attributes, Metrics: test.metrics})
		require.Equal(t, test.want, got, test)
		require.Equal(t, test.metrics["temperature_c"] == "hot", err != nil)
	}
}
