package channel_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/channel"
	"github.com/deviceops/deviceops/channel/channeltest"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

// room is a courier with its store and clock.
type room struct {
	*channel.Courier
	store deviceops.Store
	now   time.Time
}

func newRoom(t *testing.T, c deviceops.Channels) *room {
	r := &room{store: postgrestest.New(t), now: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)}
	r.Courier = channel.NewCourier(channel.CourierConfig{
		Store: r.store, Channels: c, Now: func() time.Time { return r.now }, Log: slog.New(slog.DiscardHandler),
	})
	return r
}

func (r *room) queue(t *testing.T, channel, id, key string, limit deviceops.Limit) {
	t.Helper()
	require.NoError(t, r.store.QueueNotice(t.Context(), deviceops.Notice{
		ID: id, Account: "acme", Channel: channel, Key: key, Title: "Dark", Text: "no picture of " + id, Severity: "error", QueuedAt: r.now,
	}, limit))
}

// deliver sends what is due and waits for it.
func (r *room) deliver(t *testing.T) {
	t.Helper()
	require.NoError(t, r.Look(t.Context()))
	r.Wait()
}

func (r *room) notice(t *testing.T, id string) deviceops.Notice {
	t.Helper()
	all, err := r.store.ListNotices(t.Context(), deviceops.NoticeFilter{Limit: 10_000})
	require.NoError(t, err)
	for _, n := range all {
		if n.ID == id {
			return n
		}
	}
	require.Fail(t, "there is no notification "+id)
	return deviceops.Notice{}
}

// A thousand kiosks that go dark at once are a handful of messages.
func TestStormIsFolded(t *testing.T) {
	t.Parallel()
	system := channeltest.Webhook(t)
	r := newRoom(t, channels(channeltest.Source{"webhook": channeltest.Document(t, "webhook", system.URL)}))
	limit := deviceops.Limit{N: 3, Per: time.Minute}
	for i := range 200 {
		r.queue(t, "webhook", fmt.Sprint("k", i), "dark", limit)
	}
	r.deliver(t)
	require.Len(t, system.Tickets(), 3)
	r.deliver(t)
	require.Len(t, system.Tickets(), 3, "nothing is sent twice")
	r.now = r.now.Add(time.Minute)
	r.deliver(t)
	require.Len(t, system.Tickets(), 4)
	require.Equal(t, "no picture of k3\n… and 196 more", system.Tickets()[3].Body)
	require.Equal(t, deviceops.NoticeSent, r.notice(t, "k3").Status)
}

func TestNotificationsWaitForASystemThatIsAway(t *testing.T) {
	t.Parallel()
	system := channeltest.Webhook(t)
	var r *room
	r = newRoom(t, channelsAt(channeltest.Source{"webhook": channeltest.Document(t, "webhook", system.URL)}, func() time.Time { return r.now }))
	r.queue(t, "webhook", "n1", "a", deviceops.DefaultNoticeLimit)
	r.queue(t, "webhook", "n2", "b", deviceops.DefaultNoticeLimit)
	system.Refuse(http.StatusTooManyRequests, "120")
	r.deliver(t)
	require.Len(t, system.Calls(), 1, "the others wait with the one that found out")
	require.Equal(t, 1, r.notice(t, "n1").Attempts)
	require.Zero(t, r.notice(t, "n2").Attempts)
	r.now = r.now.Add(119 * time.Second)
	r.queue(t, "webhook", "n3", "c", deviceops.DefaultNoticeLimit)
	r.deliver(t)
	require.Empty(t, system.Calls(), "no sooner than the system asks, whatever comes meanwhile")
	require.Zero(t, r.notice(t, "n3").Attempts, "nobody was asked")
	require.Equal(t, r.now.Add(time.Second), r.notice(t, "n3").DueAt.UTC())
	r.now = r.now.Add(time.Second)
	r.deliver(t)
	require.Len(t, system.Tickets(), 3)
	require.Equal(t, deviceops.NoticeSent, r.notice(t, "n2").Status)
}

func TestDeadLettersAreToldAndRedriven(t *testing.T) {
	t.Parallel()
	system := channeltest.Webhook(t)
	r := newRoom(t, channels(channeltest.Source{"webhook": channeltest.Document(t, "webhook", system.URL)}))
	r.queue(t, "webhook", "n1", "a", deviceops.DefaultNoticeLimit)
	r.queue(t, "nowhere", "n2", "a", deviceops.DefaultNoticeLimit)
	system.Refuse(http.StatusBadRequest, "")
	r.deliver(t)
	require.Equal(t, deviceops.NoticeDead, r.notice(t, "n1").Status)
	require.Contains(t, r.notice(t, "n1").Error, "400 Bad Request")
	require.Equal(t, deviceops.NoticeDead, r.notice(t, "n2").Status)
	events, err := r.store.ListEvents(t.Context(), deviceops.EventFilter{Account: "acme"})
	require.NoError(t, err)
	require.Len(t, events, 2)
	require.Equal(t, deviceops.EventNoticeDead, events[0].Type)

	n, err := r.store.RedriveNotices(t.Context(), "acme", "webhook", nil, r.now)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	r.deliver(t)
	require.Equal(t, deviceops.NoticeSent, r.notice(t, "n1").Status)
	require.Len(t, system.Tickets(), 1)
}

func TestSlowChannelDelaysNoOther(t *testing.T) {
	t.Parallel()
	held, asked := make(chan struct{}), atomic.Int32{}
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		<-held
	}))
	defer slow.Close()
	system := channeltest.Webhook(t)
	source := custom(slow.URL, "")
	source["webhook"] = channeltest.Document(t, "webhook", system.URL)
	r := newRoom(t, channels(source))
	r.queue(t, "x", "slow", "a", deviceops.DefaultNoticeLimit)
	r.queue(t, "webhook", "fast1", "a", deviceops.DefaultNoticeLimit)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	require.NoError(t, r.Look(ctx))
	require.Eventually(t, func() bool { return r.notice(t, "fast1").Status == deviceops.NoticeSent && asked.Load() == 1 }, 20*time.Second, 10*time.Millisecond)
	r.queue(t, "webhook", "fast2", "a", deviceops.DefaultNoticeLimit)
	r.queue(t, "x", "behind", "a", deviceops.DefaultNoticeLimit)
	require.NoError(t, r.Look(ctx))
	require.Eventually(t, func() bool { return r.notice(t, "fast2").Status == deviceops.NoticeSent }, 20*time.Second, 10*time.Millisecond)
	require.EqualValues(t, 1, asked.Load(), "what is behind a slow one waits for it")
	close(held)
	r.Wait()
	r.deliver(t)
	require.Equal(t, deviceops.NoticeSent, r.notice(t, "behind").Status)
}
