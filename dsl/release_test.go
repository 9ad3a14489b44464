package dsl

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestReleaseDocuments(t *testing.T) {
	t.Parallel()
	const sum = "0f343b0931126a20f133d67c2b018a3b2f5c5e7d3a0d6c2b4f8e9a1c3d5b7f90"
	compiled, found := CheckFile("release.yaml", `release: kiosk-os@2.4.0+7
notes: quieter
components:
  os: { sha256: `+sum+`, size: 20, order: 1, group: system, signature: c2ln }
  player: { kind: app, version: "7.1", url: "https://x/player", sha256: `+sum+` }
configuration: { brightness: 80, ratio: 1.5 }
requires: { boot: ">=3" }
from: ">=2.2 <3"
reversible: false
downgrade: allow
signature: c2ln
signer: 0123456789abcdef
`, Options{})
	require.Empty(t, found)
	require.Len(t, compiled, 1)
	require.Equal(t, "kiosk-os@2.4.0+7", compiled[0].Name)
	require.Equal(t, &deviceops.ReleaseRequest{
		Project: "kiosk-os", Version: "2.4.0+7", Notes: "quieter",
		Components: []deviceops.ComponentRequest{
			{Name: "os", SHA256: sum, Size: 20, Order: 1, Group: "system", Signature: "c2ln"},
			{Name: "player", Kind: "app", Version: "7.1", URL: "https://x/player", SHA256: sum},
		},
		Configuration: map[string]any{"brightness": int64(80), "ratio": 1.5}, Requires: map[string]deviceops.Constraint{"boot": ">=3"},
		From: ">=2.2 <3", Irreversible: true, Downgrade: true, Signature: "c2ln", Signer: "0123456789abcdef",
	}, compiled[0].Release)
	release := compiled[0].Release.Release()
	require.NoError(t, release.Check())
}

func TestTheExampleOfAReleaseIsOne(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../examples/release.yaml")
	require.NoError(t, err)
	compiled, found := CheckFile("release.yaml", string(text), Options{})
	require.Empty(t, found)
	release := compiled[0].Release.Release()
	require.NoError(t, release.Check())
	require.Equal(t, map[string]string{"player": "7.2.0", "codecs": "3.1.4"}, release.Versions())
}
