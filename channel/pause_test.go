package channel_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/channel/channeltest"
)

// One request that hears that a system is busy keeps all others of the channel from it.
func TestASystemThatIsBusyIsLeftAloneByAll(t *testing.T) {
	t.Parallel()
	busy, other := channeltest.Jira(t), channeltest.Jira(t)
	now := time.Now()
	source := channeltest.Source{"busy": channeltest.Document(t, "jira", busy.URL), "other": channeltest.Document(t, "jira", other.URL)}
	c := channelsAt(source, func() time.Time { return now })
	call := func(channel, id string) error {
		_, err := c.Call(t.Context(), deviceops.ChannelCall{ID: id, Account: "acme", Channel: channel, Operation: deviceops.ChannelOpen, Ticket: problem})
		return err
	}
	busy.Refuse(http.StatusServiceUnavailable, "120")
	require.Error(t, call("busy", "e1"))
	require.Len(t, busy.Calls(), 1)

	now = now.Add(20*time.Second + time.Millisecond)
	err := call("busy", "e2")
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(err))
	require.Equal(t, 100*time.Second, deviceops.RetryDelay(err), "what is left of it")
	require.EqualError(t, err, "channel jira: the system was busy; it asks to be left alone for 1m40s")
	require.Empty(t, busy.Calls())
	require.NoError(t, call("other", "e3"), "another system is not busy")

	now = now.Add(100 * time.Second)
	require.NoError(t, call("busy", "e2"))
	busy.Refuse(http.StatusTooManyRequests, "3600")
	require.Error(t, call("busy", "e4"))
	source["busy"] += "\n# with another token\n"
	require.NoError(t, call("busy", "e5"), "a channel that was published anew is asked")
}
