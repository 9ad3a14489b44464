package protocol

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestTopics(t *testing.T) {
	t.Parallel()
	var topics Topics
	require.Equal(t, "deviceops/v1/k1/up/hello", topics.Up("k1", LeafHello))
	require.Equal(t, "deviceops/v1/k1/down/welcome", topics.Down("k1", LeafWelcome))
	require.Equal(t, "deviceops/v1/+/up/+", topics.UpFilter())
	require.Equal(t, "deviceops/v1/k1/down/+", topics.DownFilter("k1"))

	shared, err := topics.Shared("engine-0", topics.UpFilter())
	require.NoError(t, err)
	require.Equal(t, "$share/engine-0/deviceops/v1/+/up/+", shared)
	_, err = topics.Shared("a/b", topics.UpFilter())
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
}

func TestTopicsWithPrefix(t *testing.T) {
	t.Parallel()
	topics, err := NewTopics("acme/fleet")
	require.NoError(t, err)
	address, err := topics.Parse(topics.Up("k:1", LeafEvent))
	require.NoError(t, err)
	require.Equal(t, Address{Device: "k:1", Direction: Up, Leaf: LeafEvent}, address)
	_, err = topics.Parse("deviceops/v1/k1/up/event")
	require.Error(t, err)
}

func TestNewTopicsRefusesPrefixes(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"/a", "a/", "a//b", "a/+", "#", "$share/a", "/"} {
		_, err := NewTopics(prefix)
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err), prefix)
	}
}

func TestParseTellsWhatItCan(t *testing.T) {
	t.Parallel()
	for topic, want := range map[string]Address{
		"deviceops/v1/k1/up/nonsense":   {Device: "k1", Direction: Up, Leaf: "nonsense"},
		"deviceops/v1/k1/up/command":    {Device: "k1", Direction: Up, Leaf: LeafCommand},
		"deviceops/v1/k1/down/hello":    {Device: "k1", Direction: Down, Leaf: LeafHello},
		"deviceops/v1/k1/side/hello":    {Device: "k1", Direction: "side", Leaf: LeafHello},
		"deviceops/v1/k 1/up/hello":     {Device: "k 1", Direction: Up, Leaf: LeafHello},
		"deviceops/v1/+/up/hello":       {Device: "+", Direction: Up, Leaf: LeafHello},
		"deviceops/v1//up/hello":        {Direction: Up, Leaf: LeafHello},
		"deviceops/v1/k1/up/hello/more": {},
		"deviceops/v1/k1/up":            {},
		"elsewhere/k1/up/hello":         {},
		"":                              {},
	} {
		got, err := Topics{}.Parse(topic)
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err), topic)
		require.Equal(t, want, got, topic)
	}
}

func TestLeavesHaveOneDirection(t *testing.T) {
	t.Parallel()
	for _, leaf := range UpLeaves() {
		require.True(t, known(Up, leaf), leaf)
		require.False(t, known(Down, leaf), leaf)
		require.Equal(t, leaf, newMessage(leaf).Leaf())
	}
	for _, leaf := range DownLeaves() {
		require.True(t, known(Down, leaf), leaf)
		require.False(t, known(Up, leaf), leaf)
		require.Equal(t, leaf, newDown(leaf).Leaf())
	}
}

func TestClipCutsBetweenCharacters(t *testing.T) {
	t.Parallel()
	require.Equal(t, "short", clip("short"))
	require.Equal(t, strings.Repeat("x", 63)+"…", clip(strings.Repeat("x", 63)+"ä and more"))
}
