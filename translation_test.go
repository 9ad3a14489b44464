package deviceops

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTopicMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"acme/+/data", "acme/s1/data", true},
		{"acme/+/data", "acme/s1/other", false},
		{"acme/+/data", "acme/s1/data/more", false},
		{"acme/+/data", "acme/data", false},
		{"acme/#", "acme/s1/data", true},
		{"acme/#", "acme", true},
		{"acme/#", "acmes/s1", false},
		{"acme/+", "acme/", true},
		{"+/+", "/", true},
		{"+", "a/b", false},
		{"#", "$SYS/uptime", false},
		{"+/uptime", "$SYS/uptime", false},
		{"$SYS/#", "$SYS/uptime", true},
		{"", "", true},
		{"a", "", false},
	} {
		require.Equal(t, c.want, TopicMatches(c.filter, c.topic), "%s %s", c.filter, c.topic)
	}
}

func TestProfilesThatTranslateHaveNoReservedCommands(t *testing.T) {
	t.Parallel()
	p := Profile{Name: "own", Commands: map[string]CommandSpec{"blink": {Name: "blink"}}}
	_, err := p.Command(CommandReboot)
	require.NoError(t, err)
	p.Translation = struct{ Translation }{}
	_, err = p.Command(CommandReboot)
	require.Equal(t, ENOTFOUND, ErrorCode(err))
	require.Equal(t, []string{"blink"}, p.CommandNames())
	require.False(t, p.Takes(CommandConfigure))
	require.True(t, p.Takes("blink"))
}
