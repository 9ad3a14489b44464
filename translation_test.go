package deviceops

import (
	"testing"

	"github.com/stretchr/testify/require"
)

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
