package protocol

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestBatches(t *testing.T) {
	t.Parallel()
	install := Install{Release: "r@1", Components: []deviceops.ComponentChange{
		{Name: "model", To: "7", Order: 3},
		{Name: "app", To: "2", Order: 2, Group: "core"},
		{Name: "font", To: "1", Order: 3},
		{Name: "os", To: "2", Order: 1, Group: "core"},
		{Name: "boot", To: "5"},
	}}
	require.NoError(t, install.Check())
	var names [][]string
	for _, batch := range install.Batches() {
		var in []string
		for _, c := range batch {
			in = append(in, c.Name)
		}
		names = append(names, in)
	}
	require.Equal(t, [][]string{{"boot"}, {"os", "app"}, {"model"}, {"font"}}, names)
}

func TestInstallCheck(t *testing.T) {
	t.Parallel()
	for name, install := range map[string]Install{
		"nothing":    {Release: "r"},
		"twice":      {Components: []deviceops.ComponentChange{{Name: "os", To: "1"}, {Name: "os", To: "2"}}},
		"no version": {Components: []deviceops.ComponentChange{{Name: "os"}}},
		"no name":    {Components: []deviceops.ComponentChange{{To: "1"}}},
		"too early":  {Components: []deviceops.ComponentChange{{Name: "os", To: "1"}}, InstallIn: -1},
		"too late":   {Components: []deviceops.ComponentChange{{Name: "os", To: "1"}}, InstallWithin: MaxSeconds + 1},
		"size":       {Components: []deviceops.ComponentChange{{Name: "os", To: "1", Size: -1}}},
		"no config":  {Components: []deviceops.ComponentChange{{Name: "os", To: "1"}}, Configure: &Configure{}},
	} {
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(install.Check()), name)
	}
	require.Error(t, (&Configure{}).Check())
	require.NoError(t, (&Configure{Version: 1}).Check())
}

func TestArgumentsTravelAsObjects(t *testing.T) {
	t.Parallel()
	want := Configure{Version: 9007199254740993, Configuration: Object{"brightness": int64(80)}, Heartbeat: &HeartbeatPolicy{Every: 60}}
	args, err := ObjectOf(want)
	require.NoError(t, err)
	require.Equal(t, int64(9007199254740993), args["version"])
	var got Configure
	require.NoError(t, args.Into(&got))
	require.Equal(t, want, got)

	require.EqualError(t, Object{"version": "two"}.Into(&got), "field version must be a whole number, got string")
	_, err = ObjectOf([]int{1})
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
}

func TestDescriptionDigest(t *testing.T) {
	t.Parallel()
	hello := &Hello{Header: Header{Boot: "b1"}, Connection: "c1", Profile: "kiosk", Serial: "SN-1", Claim: "secret",
		Software: map[string]string{"os": "2.3.0", "app": "1.0"}, ConfigVersion: 3, MaxPayload: 2048, Running: []string{"x"}, Oldest: 4}
	// printf 'config_version=3\nmax_payload=2048\nprofile=kiosk\nserial=SN-1\nsoftware.app=1.0\nsoftware.os=2.3.0\n' | sha256sum
	const want = "0fd9771bf3513ed9eb73c817075a4e81027812cdeb4f2c6543e085d61cc8eb31"
	require.Equal(t, want, hello.DescriptionDigest())

	short := hello.Abbreviate()
	require.True(t, short.Short())
	require.Equal(t, &Hello{Header: Header{Boot: "b1"}, Connection: "c1", Running: []string{"x"}, Oldest: 4, Digest: want}, short)
	require.NoError(t, short.check())

	other := *hello
	other.Boot, other.Connection, other.Claim, other.Running, other.Oldest = "b2", "c2", "", nil, 0
	require.Equal(t, want, other.DescriptionDigest(), "a new boot describes the same device")
	other.ConfigVersion = 0
	require.NotEqual(t, want, other.DescriptionDigest())
}
