package ingest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

func TestGarbageNeverStopsTheStream(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	b := newBundle(t, func(c *Config) { c.Registerer = registry })
	b.device("k1", deviceops.Active)
	var batch []deviceops.Message
	for _, leaf := range protocol.UpLeaves() {
		for _, payload := range []string{
			"", "{", "null", "5", `"text"`, "[[[]]]", `{"boot":5}`, "\xff\xfe", `{"a":"\u0000"}`, strings.Repeat("[", 100),
			strings.Repeat("x", 1<<20), `{"seq":1e400}`, `{"seq":-1}`, `{"time":"soon"}`, `{"child":"a/b"}`, `{"child":"nobody"}`,
		} {
			batch = append(batch, message("k1", leaf, payload), message("nobody", leaf, payload))
		}
		batch = append(batch, message("+", leaf, "{}"), message("a/b", leaf, "{}"), message("#", leaf, "{}"), message("k\x00", leaf, "{}"))
	}
	batch = append(batch, message("k1", "gossip", "{}"),
		message("k1", "event", `{"type":"device.state_changed"}`),
		message("k1", "event", `[{"type":"good"},{"type":7},{"type":"good"}]`))
	require.NoError(t, b.inbox.Deliver(t.Context(), batch))
	require.Len(t, b.events("k1", "good"), 2)
	require.Empty(t, b.events("k1", deviceops.EventDeviceState))

	counts := b.rejected()
	for _, code := range []string{codeMalformed, codeTooLarge, codeDeviceID, codeTopic, codeLeaf, codeUnknown, codeChild, codeType} {
		require.NotZero(t, counts[code], code)
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	require.NotEmpty(t, families)
	require.InDelta(t, counts[codeTooLarge], testutil.ToFloat64(b.inbox.metrics.rejected.WithLabelValues(codeTooLarge)), 0)
}

// picky is a store that can't keep everything.
type picky struct {
	deviceops.Store
	refuse func(e deviceops.Event) error
}

type pickyTx struct {
	deviceops.Tx
	refuse func(e deviceops.Event) error
}

func (p picky) InTx(ctx context.Context, f func(context.Context, deviceops.Tx) error) error {
	return p.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error { return f(ctx, pickyTx{tx, p.refuse}) })
}

func (p pickyTx) AppendEvents(ctx context.Context, events []deviceops.Event) error {
	for _, e := range events {
		if err := p.refuse(e); err != nil {
			return err
		}
	}
	return p.Tx.AppendEvents(ctx, events)
}

func TestAMessageThatCannotBeStoredIsFoundAndRejected(t *testing.T) {
	t.Parallel()
	for name, cause := range map[string]error{
		"as data":   deviceops.Errorf(deviceops.EINVALID, "no such number"),
		"unforseen": errors.New("index row too large"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t, nil)
			b.config.Store = picky{b.store, func(e deviceops.Event) error {
				if e.Data["poison"] != nil {
					return cause
				}
				return nil
			}}
			b.settle()
			b.device("k1", deviceops.Active)
			b.say("k1", "hello", fullHello)
			b.say("k1", "event", event(1), "event", event(2), "event", `{"type":"tick","boot":"b1","seq":3,"data":{"poison":1}}`,
				"event", event(4), "event", event(5), "hello", fullHello)
			b.settle()
			require.Len(t, b.events("k1", "tick"), 4)
			require.EqualValues(t, 5, b.gateway.welcome(t).Seq)
			rejected, counts, err := b.store.ListRejected(t.Context(), deviceops.RejectedFilter{}, 10)
			require.NoError(t, err)
			require.Equal(t, map[string]int64{codeUnstorable: 1}, counts)
			require.Contains(t, rejected[0].Reason, cause.Error())
			require.Contains(t, string(rejected[0].Payload), "poison")
		})
	}
}

func TestAStoreThatIsAwayRejectsNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	away := true
	b.config.Store = picky{b.store, func(deviceops.Event) error {
		if away {
			return deviceops.Errorf(deviceops.EUNAVAILABLE, "starting up")
		}
		return nil
	}}
	b.settle()
	b.device("k1", deviceops.Active)
	batch := []deviceops.Message{message("k1", "event", event(1)), message("k1", "event", event(2))}
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(b.inbox.Deliver(t.Context(), batch)))
	require.Empty(t, b.events("k1", "tick"))
	away = false
	require.NoError(t, b.inbox.Deliver(t.Context(), batch))
	require.Len(t, b.events("k1", "tick"), 2)
	require.Empty(t, b.rejected())
}

func TestBacklogsAreTakenInParts(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	b.device("k1", deviceops.Active)
	backlog := "[" + strings.TrimSuffix(strings.Repeat(`{"type":"tick"},`, protocol.MaxElements), ",") + "]"
	b.say("k1", "event", backlog, "event", backlog, "event", backlog)
	n := 0
	for after := int64(1); ; {
		found, err := b.store.ListEvents(t.Context(), deviceops.EventFilter{Device: "k1", Type: "tick", After: after, Limit: 1000})
		require.NoError(t, err)
		if len(found) == 0 {
			break
		}
		n += len(found)
		after = found[len(found)-1].ID
	}
	require.InDelta(t, 3*protocol.MaxElements, n, 1)
}
