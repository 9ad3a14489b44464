package ingest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

func event(seq int) string { return fmt.Sprintf(`{"type":"tick","boot":"b1","seq":%d}`, seq) }

func TestRepetitionsAreStoredOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	b.say("k1", "hello", fullHello, "event", event(1), "event", event(1), "event", `{"type":"tick","seq":1}`)
	b.say("k1", "event", event(1), "telemetry", `{"metrics":{"battery_pct":1},"boot":"b1","seq":1}`)
	require.Len(t, b.events("k1", "tick"), 1)
	require.Empty(t, b.events("k1", deviceops.EventTelemetry))
	b.say("k1", "event", `{"type":"tick"}`, "event", `{"type":"tick"}`)
	require.Len(t, b.events("k1", "tick"), 3, "what has no number can't be told from a repetition")
}

func TestNumbersOfAnotherBootAreNotRepetitions(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	b.say("k1", "hello", fullHello, "event", `{"type":"tick","seq":1}`)
	b.say("k1", "hello", `{"boot":"b2","profile":"kiosk"}`, "event", `{"type":"tick","seq":1}`)
	require.Len(t, b.events("k1", "tick"), 2)
}

func TestNumbersWithoutAnyBootAreNotRepetitions(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	b.say("k1", "event", `{"type":"tick","seq":1}`, "event", `{"type":"tick","seq":1}`)
	require.Len(t, b.events("k1", "tick"), 2, "a device that never said hello may have started anew")
}

func TestAcksCountUpToTheFirstGap(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	b.say("k1", "hello", fullHello)
	b.settle()
	require.Equal(t, deviceops.SeqKey{Boot: "b1"}, seqOf(b.gateway.welcome(t)))

	b.clock.advance(ackEvery)
	b.say("k1", "event", event(1), "event", event(2), "event", event(4))
	require.Equal(t, []deviceops.SeqKey{{Device: "k1", Boot: "b1", Seq: 2}}, b.acks())

	b.say("k1", "event", event(3))
	require.Empty(t, b.acks(), "not within ten seconds of the last")
	b.awaitTurn("k1")
	require.Equal(t, []deviceops.SeqKey{{Device: "k1", Boot: "b1", Seq: 4}}, b.acks())
	require.EqualValues(t, 4, b.find("k1").Session.Seq)

	b.say("k1", "event", event(9), "hello", `{"boot":"b1","profile":"kiosk","oldest":9}`)
	b.idle()
	require.Equal(t, deviceops.SeqKey{Boot: "b1", Seq: 9}, seqOf(b.gateway.welcome(t)), "what it dropped will not come")
	require.EqualValues(t, 9, b.find("k1").Session.Seq)
}

func TestAnEarlierBootIsAcknowledgedByItself(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	b.say("k1", "hello", fullHello, "event", event(1))
	b.say("k1", "hello", `{"boot":"b2","profile":"kiosk"}`, "event", event(2), "event", `{"type":"tick","seq":1}`)
	b.settle()
	require.Equal(t, []deviceops.SeqKey{{Device: "k1", Boot: "b1", Seq: 2}}, b.gateway.acked())
	require.Equal(t, deviceops.SeqKey{Boot: "b2", Seq: 1}, seqOf(b.gateway.welcome(t)))
}

func TestWhatIsRejectedCountsAsCommitted(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	b.say("k1", "event", `{"type":5,"boot":"b1","seq":1}`, "telemetry", `{"metrics":{"battery_pct":"full"},"boot":"b1","seq":2}`,
		"result", `{"id":"none","attempt":1,"status":"succeeded","boot":"b1","seq":3}`, "hello", fullHello)
	b.settle()
	require.EqualValues(t, 3, b.gateway.welcome(t).Seq, "or the device would send it for ever")
	require.Equal(t, map[string]int64{codeMalformed: 1, codeMetric: 1, codeNoCommand: 1}, b.rejected())
}

func TestMessagesOverSeveralLanesInAnyOrder(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	const devices, events = 5, 60
	var all []deviceops.Message
	for d := range devices {
		id := fmt.Sprintf("k%d", d)
		b.device(id, deviceops.Active)
		b.say(id, "hello", fullHello)
		for seq := range events {
			m := message(id, protocol.LeafEvent, event(seq+1))
			all = append(all, m, m) // each of them twice
		}
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var lanes sync.WaitGroup
	for lane := range 4 {
		lanes.Go(func() {
			for i := lane * 10; i < len(all); i += 40 {
				require.NoError(t, b.inbox.Deliver(context.Background(), all[i:min(i+10, len(all))]))
			}
		})
	}
	lanes.Wait()
	for d := range devices {
		id := fmt.Sprintf("k%d", d)
		require.Len(t, b.events(id, "tick"), events)
		b.say(id, "hello", fullHello)
		b.settle()
		require.EqualValues(t, events, b.gateway.welcome(t).Seq)
	}
}

func TestClocksThatAreWrong(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	for _, year := range []string{"2099", "1970"} {
		b.say("k1", "event", `{"type":"tick","time":"`+year+`-01-01T00:00:00Z"}`)
	}
	ticks := b.events("k1", "tick")
	require.Len(t, ticks, 2)
	for i, claimed := range []string{"2099-01-01T00:00:00Z", "1970-01-01T00:00:00Z"} {
		require.True(t, ticks[i].ClockFixed)
		require.Equal(t, claimed, ticks[i].ClaimedAt)
		require.WithinDuration(t, noon, ticks[i].At, 0)
	}
	require.Len(t, b.events("k1", deviceops.EventClock), 1, "told once")
	require.True(t, b.find("k1").Session.ClockSkewed)

	b.say("k1", "event", `{"type":"tick","time":"2026-05-01T11:59:00Z"}`)
	require.False(t, b.find("k1").Session.ClockSkewed)
	require.WithinDuration(t, noon.Add(-time.Minute), b.events("k1", "tick")[2].At, 0)
}

func seqOf(w deviceops.Welcome) deviceops.SeqKey { return deviceops.SeqKey{Boot: w.Boot, Seq: w.Seq} }

func TestAnswersAreAcknowledgedTwentySecondsLaterTogetherWithWhatFollowed(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	b.say("k1", "hello", fullHello)
	hello := b.find("k1").Session.LastSeen
	b.clock.advance(time.Minute)
	b.say("k1", "result", `{"id":"none","attempt":1,"status":"accepted","boot":"b1","seq":1}`)
	b.clock.advance(ackAnswers / 2)
	b.say("k1", "result", `{"id":"none","attempt":1,"status":"succeeded","boot":"b1","seq":2}`)
	b.idle()
	require.Empty(t, b.gateway.acked())
	require.Equal(t, hello, b.find("k1").Session.LastSeen, "what the ack will write is not written twice")

	b.clock.advance(ackAnswers / 2)
	require.Equal(t, []deviceops.SeqKey{{Device: "k1", Boot: "b1", Seq: 2}}, b.acks())
	require.Equal(t, hello.Add(time.Minute+ackAnswers/2), b.find("k1").Session.LastSeen)
	require.Empty(t, b.acks())
}

// A fleet that spoke all at once is acknowledged little by little from then on.
func TestDevicesHaveTurnsOfTheirOwn(t *testing.T) {
	t.Parallel()
	const devices = 12_000
	perSecond := map[int]int{}
	for n := range devices {
		id := fmt.Sprintf("k%d", n)
		first := nextTurn(id, noon)
		require.Equal(t, first, nextTurn(id, first))
		require.Equal(t, first.Add(ackRound), nextTurn(id, first.Add(2*ackTick+ackEvery)), "also if the ack was late by two ticks")
		perSecond[int(first.Sub(noon)/time.Second)]++
	}
	require.Len(t, perSecond, int(ackRound/time.Second))
	for second, n := range perSecond {
		require.InDelta(t, devices/len(perSecond), n, 150, second)
	}
}

func TestADeviceThatCouldBeTakenForSilentIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	b.say("k1", "hello", fullHello)
	b.clock.advance(deviceops.DefaultHeartbeat.Silence() - ackEvery)
	b.say("k1", "result", `{"id":"none","attempt":1,"status":"accepted","boot":"b1","seq":1}`)
	require.Equal(t, b.clock.Now(), b.find("k1").Session.LastSeen)
	b.clock.advance(ackEvery + time.Second)
	_, err := b.sweeper().silent(t.Context(), b.clock.Now())
	require.NoError(t, err)
	require.Equal(t, deviceops.Online, b.find("k1").Session.Connectivity)
}
