package simulator

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Config){
		"no broker is named: set its URL, such as tcp://127.0.0.1:1883": func(c *Config) { c.Broker = "" },
		"0 devices: at least one is needed":                             func(c *Config) { c.Devices = 0 },
		"-1 connections: use 0 for one per device":                      func(c *Config) { c.Connections = -1 },
		"3 lying devices of 2: lower bad claims or wrong profiles": func(c *Config) {
			c.Behavior.BadClaims, c.Behavior.WrongProfiles = 1, 2
		},
		"fault probabilities must be between 0 and 1 and not exceed 1 together": func(c *Config) {
			c.Behavior.Faults = Faults{Retryable: 0.6, Silent: 0.6}
		},
		`prefix "a/b" makes no valid device id: use A-Z a-z 0-9 . _ : -`: func(c *Config) { c.Prefix = "a/b" },
		"degrading needs both a component and its version":               func(c *Config) { c.Behavior.Degrade.Version = "2" },
		"share of churn is 1.5: use 0 to 1":                              func(c *Config) { c.Behavior.Churn.Share = 1.5 },
		"share of duplicated is -1: use 0 to 1":                          func(c *Config) { c.Behavior.Duplicated = -1 },
	} {
		cfg := Config{Broker: "tcp://127.0.0.1:1", Devices: 2}
		change(&cfg)
		_, err := New(cfg)
		require.EqualError(t, err, want)
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
	}
}

func TestNewRefusesBrokenState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := &memory{}
	require.NoError(t, m.save(dir, "sim-00001"))
	_, err := New(Config{Broker: "tcp://127.0.0.1:1", Devices: 1, StateDir: dir})
	require.NoError(t, err)
	require.NoError(t, (&memory{}).save(dir, "sim-00001"))
	writeFile(t, filepath.Join(dir, "sim-00001.json"), "{")
	_, err = New(Config{Broker: "tcp://127.0.0.1:1", Devices: 1, StateDir: dir})
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
	require.ErrorContains(t, err, "state of device sim-00001 is not readable")
}

func TestIdentitiesComeFromTheSeed(t *testing.T) {
	t.Parallel()
	cfg := Config{Devices: 100, Seed: 1, Prefix: "shop", First: 41, Behavior: Behavior{BadClaims: 3, WrongProfiles: 2}}
	all := Identities(cfg)
	require.Equal(t, all, Identities(cfg))
	require.Equal(t, "shop-00041", all[0].ID)
	require.Equal(t, "SN-shop-00041", all[0].Serial)
	require.Equal(t, Claim(1, "shop-00041"), all[0].Claim)
	require.Equal(t, "0fede0d307a9c532644ae74f492a64b0", Claim(1, "sim-00001"), "printf 'deviceops-simulator\\0001\\000sim-00001' | sha256sum")

	lies := map[string]int{}
	for _, i := range all {
		lies[i.Lie]++
		profile, claim := i.presented()
		require.Equal(t, i.Lie == WrongProfile, profile != i.Profile)
		require.Equal(t, i.Lie == BadClaim, claim != i.Claim)
	}
	require.Equal(t, map[string]int{"": 95, BadClaim: 3, WrongProfile: 2}, lies)
	cfg.Seed = 2
	require.NotEqual(t, all, Identities(cfg))
}

func TestLatencyHasItsMedianAndTail(t *testing.T) {
	t.Parallel()
	l := Latency{Median: 100 * time.Millisecond, P99: time.Second}
	c := chanceOf(1, "latency")
	const n = 20000
	below, beyond := 0, 0
	for range n {
		drawn := c.latency(l)
		require.LessOrEqual(t, drawn, 10*l.P99)
		if drawn < l.Median {
			below++
		}
		if drawn > l.P99 {
			beyond++
		}
	}
	require.InDelta(t, 0.5, float64(below)/n, 0.02)
	require.InDelta(t, 0.01, float64(beyond)/n, 0.003)
	require.Equal(t, time.Second, c.latency(Latency{Median: time.Second, P99: time.Second}))
}

func TestChanceIsRepeatable(t *testing.T) {
	t.Parallel()
	one, two := chanceOf(7, "a", "b"), chanceOf(7, "a", "b")
	other := chanceOf(7, "ab")
	require.Equal(t, one.Uint64(), two.Uint64())
	require.NotEqual(t, one.Uint64(), other.Uint64())
	require.False(t, one.happens(0))
	require.True(t, one.happens(1))
}
