package activities_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

// otherSystems are channels that remember what they were asked.
type otherSystems struct {
	infos map[string]deviceops.ChannelInfo
	calls []deviceops.ChannelCall
	fail  error
	give  deviceops.ChannelAnswer
}

func (o *otherSystems) Describe(_ context.Context, _, name string) (deviceops.ChannelInfo, error) {
	info, ok := o.infos[name]
	if !ok {
		return info, deviceops.Errorf(deviceops.ENOTFOUND, "there is no channel %s", name)
	}
	return info, nil
}

func (o *otherSystems) Call(_ context.Context, call deviceops.ChannelCall) (deviceops.ChannelAnswer, error) {
	o.calls = append(o.calls, call)
	return o.give, o.fail
}

func (o *otherSystems) Hear(context.Context, deviceops.ChannelHook) (deviceops.ChannelNews, error) {
	return deviceops.ChannelNews{}, deviceops.Errorf(deviceops.EINVALID, "nothing is heard here")
}

func pager() *otherSystems {
	return &otherSystems{infos: map[string]deviceops.ChannelInfo{
		"pager": {Name: "pager", Operations: []string{"notify"}, Limit: deviceops.Limit{N: 1, Per: time.Minute}},
		"crm":   {Name: "crm", Operations: []string{"actions.order"}},
	}}
}

func TestNotifyQueues(t *testing.T) {
	t.Parallel()
	systems := pager()
	w := newWorld(t, func(d *activities.Deps) { d.Channels = systems })
	w.device(t, "k1", deviceops.Active)
	say := func(step string, more map[string]any) error {
		args := map[string]any{"text": "the panel is dark", "title": "dark", "severity": "critical", "channel": "pager"}
		for name, value := range more {
			args[name] = value
		}
		_, err := w.perform("notify", step, args)
		return err
	}
	require.NoError(t, say("a", nil))
	require.NoError(t, say("a", nil), "done again it is told once")
	require.NoError(t, say("b", map[string]any{"key": "/a"}))
	queued, err := w.store.ListNotices(t.Context(), deviceops.NoticeFilter{Channel: "pager"})
	require.NoError(t, err)
	require.Len(t, queued, 2)
	require.Equal(t, deviceops.Notice{
		ID: "r1.a.0", Account: "acme", Channel: "pager", Key: "/a", Title: "dark", Text: "the panel is dark", Severity: "critical", Device: "k1",
		Run: deviceops.ChannelRun{ID: "r1", Step: "a"}, Status: deviceops.NoticePending, QueuedAt: noon, DueAt: noon,
	}, queued[1])
	require.Equal(t, noon.Add(time.Minute), queued[0].DueAt, "by the limit of the channel")
	require.Empty(t, systems.calls, "the step does not wait for the system")
	require.Len(t, w.events(t, "k1", activities.EventNotification), 2, "one for each step")

	require.Equal(t, deviceops.ENOTFOUND, activities.Cause(say("c", map[string]any{"channel": "nowhere"})).Code)
	require.Equal(t, "the channel crm cannot notify; give it notify:", activities.Cause(say("c", map[string]any{"channel": "crm"})).Message)
}

func TestCallChannel(t *testing.T) {
	t.Parallel()
	systems := pager()
	systems.give.Output = map[string]any{"order": "WO1"}
	w := newWorld(t, func(d *activities.Deps) { d.Channels = systems })
	w.device(t, "k1", deviceops.Active)
	order := map[string]any{"channel": "crm", "action": "order", "args": map[string]any{"part": "panel", "count": 2}}
	out, err := w.perform("channel.call", "a", order)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"answer": map[string]any{"order": "WO1"}}, out)
	call := systems.calls[0]
	require.Equal(t, "k1", call.Device.ID)
	require.Equal(t, "actions.order", call.Operation)
	require.Equal(t, "r1.a.0", call.ID)
	require.Equal(t, "panel", call.Args["part"])

	systems.fail = deviceops.Errorf(deviceops.EUNAVAILABLE, "busy: %w", deviceops.Later{After: time.Minute})
	_, err = w.perform("channel.call", "b", order)
	failed := activities.Cause(err)
	require.True(t, failed.Retryable)
	require.Equal(t, time.Minute, activities.RetryAfter(failed))
	require.Len(t, systems.calls, 2, "whether to ask again is the workflow's decision")
	systems.fail = deviceops.Errorf(deviceops.EREJECTED, "no such part")
	_, err = w.perform("channel.call", "c", order)
	require.False(t, activities.Cause(err).Retryable)
}
