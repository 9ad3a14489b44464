package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

func event(device, kind string, at time.Time) deviceops.Event {
	return deviceops.Event{Account: "acme", Device: device, Type: kind, Severity: "info", At: at, ReceivedAt: at}
}

func TestEventsComeBackAsTheyWereAppended(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		e := deviceops.Event{
			Account: "acme", Device: "k1", Type: "device.battery", Severity: "warning",
			Data: map[string]any{"pct": 18.0, "n": int64(3), "list": []any{int64(1), "x", nil, true}},
			At:   noon, ReceivedAt: after(time.Minute), ClockFixed: true, ClaimedAt: "2099-01-01T00:00:00Z", Boot: "b1", Seq: 4,
		}
		require.NoError(t, s.AppendEvents(t.Context(), []deviceops.Event{e}))
		require.NoError(t, s.AppendEvents(t.Context(), nil))
		found, err := s.ListEvents(t.Context(), deviceops.EventFilter{})
		require.NoError(t, err)
		e.ID = 1
		require.Equal(t, []deviceops.Event{e}, found)
	})
}

// One odd message must not keep its batch from being stored.
func TestOddTextIsStored(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		odd := event("k1", "a\x00b", noon)
		odd.Data = map[string]any{"nul\x00": "x\x00y", "backslash": `\u0000`, "broken": "\xff", "quote": "'\";--", "html": "<&>"}
		odd.Boot, odd.ClaimedAt = "\x00", strings.Repeat("9", 10)
		require.NoError(t, s.AppendEvents(t.Context(), []deviceops.Event{odd}))
		found, err := s.ListEvents(t.Context(), deviceops.EventFilter{})
		require.NoError(t, err)
		require.Equal(t, "a\ufffdb", found[0].Type)
		require.Equal(t, map[string]any{
			"nul\ufffd": "x\ufffdy", "backslash": `\u0000`, "broken": "\ufffd", "quote": "'\";--", "html": "<&>",
		}, found[0].Data)
	})
}

func TestListEventsFilters(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		all := []deviceops.Event{
			event("k1", "device.battery", noon),
			event("k1", "device.telemetry", after(time.Minute)),
			event("k2", "device.battery", after(2*time.Minute)),
			event("", "engine.started", after(3*time.Minute)),
			event("k3", "devices", after(4*time.Minute)),
		}
		all[2].Account, all[3].Account, all[4].Account = "acme/emea", "root", "acme0"
		require.NoError(t, s.AppendEvents(t.Context(), all))
		for name, c := range map[string]struct {
			filter deviceops.EventFilter
			want   []int64
		}{
			"the newest first":  {deviceops.EventFilter{}, []int64{5, 4, 3, 2, 1}},
			"only so many":      {deviceops.EventFilter{Limit: 2}, []int64{5, 4}},
			"after, oldest 1st": {deviceops.EventFilter{After: 2, Limit: 2}, []int64{3, 4}},
			"after the last":    {deviceops.EventFilter{After: 5}, []int64{}},
			"account":           {deviceops.EventFilter{Account: "acme"}, []int64{3, 2, 1}},
			"device":            {deviceops.EventFilter{Device: "k1"}, []int64{2, 1}},
			"type":              {deviceops.EventFilter{Type: "device.battery"}, []int64{3, 1}},
			"type by prefix":    {deviceops.EventFilter{Type: "device."}, []int64{3, 2, 1}},
			"since":             {deviceops.EventFilter{Since: after(2 * time.Minute)}, []int64{5, 4, 3}},
		} {
			found, err := s.ListEvents(t.Context(), c.filter)
			require.NoError(t, err, name)
			ids := []int64{}
			for _, e := range found {
				ids = append(ids, e.ID)
			}
			require.Equal(t, c.want, ids, name)
		}
	})
}

func TestClaimSeqs(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		key := func(device, boot string, seq int64) deviceops.SeqKey {
			return deviceops.SeqKey{Device: device, Boot: boot, Seq: seq}
		}
		for _, c := range []struct {
			name string
			keys []deviceops.SeqKey
			want []bool
		}{
			{"first", []deviceops.SeqKey{key("k1", "b1", 2), key("k1", "b1", 1)}, []bool{true, true}},
			{"equal in one call", []deviceops.SeqKey{key("k2", "b1", 1), key("k2", "b1", 2), key("k2", "b1", 1)}, []bool{true, true, false}},
			{"equal across calls", []deviceops.SeqKey{key("k1", "b1", 3), key("k1", "b1", 2), key("k1", "b1", 3)}, []bool{true, false, false}},
			{"another boot", []deviceops.SeqKey{key("k1", "b2", 2)}, []bool{true}},
			{"another device", []deviceops.SeqKey{key("k3", "b1", 2)}, []bool{true}},
			{"an odd one", []deviceops.SeqKey{key("k1", "b\x00", 1), key("k1", "b\x00", 1), key("k1", "b1", 3)}, []bool{true, false, false}},
			{"of an account", []deviceops.SeqKey{{Device: "k1", Boot: "b3", Seq: 1, Account: "acme"}, {Device: "k1", Boot: "b3", Seq: 1}}, []bool{true, false}},
			{"none", nil, nil},
		} {
			isNew, err := s.ClaimSeqs(t.Context(), c.keys, noon)
			require.NoError(t, err)
			require.Equal(t, c.want, isNew, c.name)
		}
	})
}

// A repetition costs what came before it in its transaction nothing.
func TestARepetitionLeavesItsTransactionWhole(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	key := func(seq int64) deviceops.SeqKey { return deviceops.SeqKey{Device: "k1", Boot: "b1", Seq: seq} }
	require.NoError(t, s.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
		for _, c := range []struct {
			seqs []int64
			want []bool
		}{{[]int64{1, 2}, []bool{true, true}}, {[]int64{4, 2, 3}, []bool{true, false, true}}, {[]int64{5}, []bool{true}}, {[]int64{4}, []bool{false}}} {
			var keys []deviceops.SeqKey
			for _, seq := range c.seqs {
				keys = append(keys, key(seq))
			}
			isNew, err := tx.ClaimSeqs(ctx, keys, noon)
			require.NoError(t, err)
			require.Equal(t, c.want, isNew)
		}
		return nil
	}))
	isNew, err := s.ClaimSeqs(t.Context(), []deviceops.SeqKey{key(1), key(2), key(3), key(4), key(5), key(6)}, noon)
	require.NoError(t, err)
	require.Equal(t, []bool{false, false, false, false, false, true}, isNew)
}

func TestContiguousSeqs(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		claimSeqs := func(device, boot string, seqs ...int64) {
			keys := make([]deviceops.SeqKey, len(seqs))
			for i, seq := range seqs {
				keys[i] = deviceops.SeqKey{Device: device, Boot: boot, Seq: seq}
			}
			_, err := s.ClaimSeqs(t.Context(), keys, noon)
			require.NoError(t, err)
		}
		claimSeqs("k1", "b1", 1, 2, 3, 5, 6, 9)
		claimSeqs("k1", "b0", 4)
		claimSeqs("k2", "b1", 2, 3)
		for name, c := range map[string]struct {
			boots map[string]string
			from  map[string]int64
			want  map[string]int64
		}{
			"up to the gap":     {map[string]string{"k1": "b1"}, nil, map[string]int64{"k1": 3}},
			"from within":       {map[string]string{"k1": "b1"}, map[string]int64{"k1": 2}, map[string]int64{"k1": 3}},
			"at the gap":        {map[string]string{"k1": "b1"}, map[string]int64{"k1": 3}, map[string]int64{"k1": 3}},
			"beyond the gap":    {map[string]string{"k1": "b1"}, map[string]int64{"k1": 4}, map[string]int64{"k1": 6}},
			"beyond everything": {map[string]string{"k1": "b1"}, map[string]int64{"k1": 50}, map[string]int64{"k1": 50}},
			"the first misses":  {map[string]string{"k2": "b1"}, nil, map[string]int64{"k2": 0}},
			"a jump":            {map[string]string{"k2": "b1"}, map[string]int64{"k2": 1}, map[string]int64{"k2": 3}},
			"another boot":      {map[string]string{"k1": "b0"}, map[string]int64{"k1": 3}, map[string]int64{"k1": 4}},
			"several":           {map[string]string{"k1": "b1", "k2": "b1", "k3": "b"}, map[string]int64{"k2": 1}, map[string]int64{"k1": 3, "k2": 3, "k3": 0}},
			"none":              {nil, nil, map[string]int64{}},
		} {
			got, err := s.ContiguousSeqs(t.Context(), c.boots, c.from)
			require.NoError(t, err, name)
			require.Equal(t, c.want, got, name)
		}
	})
}

func TestAcknowledge(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		online(t, s, "k1", "k2", "k3", "retired")
		retired, err := s.FindDevice(t.Context(), "retired")
		require.NoError(t, err)
		retired.State = deviceops.Retired
		require.NoError(t, s.SaveDevice(t.Context(), &retired))
		var keys []deviceops.SeqKey
		for _, device := range []string{"k1", "k2", "retired"} {
			for _, seq := range []int64{1, 2, 4} {
				keys = append(keys, deviceops.SeqKey{Device: device, Boot: "b1", Seq: seq}, deviceops.SeqKey{Device: device, Boot: "b0", Seq: seq - 1})
			}
		}
		_, err = s.ClaimSeqs(t.Context(), keys, noon)
		require.NoError(t, err)
		acknowledge := func(owed ...deviceops.OwedAck) map[string]int64 {
			reached, err := s.Acknowledge(t.Context(), owed, after(time.Hour))
			require.NoError(t, err)
			seqs := map[string]int64{}
			for _, k := range reached {
				seqs[k.Device+"/"+k.Boot] = k.Seq
			}
			return seqs
		}
		session := func(device string) deviceops.Session {
			d, err := s.FindDevice(t.Context(), device)
			require.NoError(t, err)
			return d.Session
		}
		require.Equal(t, map[string]int64{"k1/b1": 2, "k2/b0": 1, "k3/b1": 0}, acknowledge(
			deviceops.OwedAck{Device: "k1", Boot: "b1", SeenAt: after(time.Minute)},
			deviceops.OwedAck{Device: "k2", Boot: "b0", SeenAt: noon.Add(-time.Minute)},
			deviceops.OwedAck{Device: "k3", Boot: "b1"},
			deviceops.OwedAck{Device: "retired", Boot: "b1"}, deviceops.OwedAck{Device: "nobody", Boot: "b1"},
		))
		for device, want := range map[string]deviceops.Session{
			"k1":      {Connectivity: deviceops.Online, Since: noon, Boot: "b1", LastSeen: after(time.Minute), Seq: 2, AckedAt: after(time.Hour)},
			"k2":      {Connectivity: deviceops.Online, Since: noon, Boot: "b1", LastSeen: noon, AckedAt: after(time.Hour)},
			"k3":      {Connectivity: deviceops.Online, Since: noon, Boot: "b1", LastSeen: noon, AckedAt: after(time.Hour)},
			"retired": {Connectivity: deviceops.Online, Since: noon, Boot: "b1", LastSeen: noon},
		} {
			require.Equal(t, want, session(device), device)
		}

		_, err = s.ClaimSeqs(t.Context(), []deviceops.SeqKey{{Device: "k1", Boot: "b1", Seq: 3}}, noon)
		require.NoError(t, err)
		require.Equal(t, map[string]int64{"k1/b1": 4}, acknowledge(deviceops.OwedAck{Device: "k1", Boot: "b1"}), "on from what was reached")
		require.Equal(t, map[string]int64{"k1/b1": 4}, acknowledge(deviceops.OwedAck{Device: "k1", Boot: "b1"}), "and again")
		require.Empty(t, acknowledge())
	})
}

func TestRejectedAreKeptAndCounted(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		one := deviceops.Rejected{
			ReceivedAt: noon, Topic: "deviceops/v1/k1/up/\x00", Device: "k1", Code: "malformed", Reason: "not JSON",
			Size: 40_000, Payload: append([]byte{0, 255, '\\'}, make([]byte, 40_000)...),
		}
		two := deviceops.Rejected{ReceivedAt: after(time.Second), Topic: "x", Code: "unknown_leaf"}
		require.NoError(t, s.AppendRejected(t.Context(), []deviceops.Rejected{one, two}))
		require.NoError(t, s.AppendRejected(t.Context(), []deviceops.Rejected{two}))
		require.NoError(t, s.AppendRejected(t.Context(), nil))
		found, counts, err := s.ListRejected(t.Context(), deviceops.RejectedFilter{}, 10)
		require.NoError(t, err)
		require.Equal(t, map[string]int64{"malformed": 1, "unknown_leaf": 2}, counts)
		require.Len(t, found, 3)
		one.ID, one.Topic, one.Payload = 1, "deviceops/v1/k1/up/\ufffd", one.Payload[:deviceops.RejectedPayload]
		require.Equal(t, one, found[2])
		require.Equal(t, int64(3), found[0].ID)
		found, _, err = s.ListRejected(t.Context(), deviceops.RejectedFilter{}, 1)
		require.NoError(t, err)
		require.Len(t, found, 1)
	})
}

// Messages of one kind do not push out those of another, and what is to be taken
// in again stays.
func TestOnlyTheNewestRejectedAreKept(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	const all = 256 << 20
	reject := func(code string, sizes ...int) {
		t.Helper()
		batch := make([]deviceops.Rejected, len(sizes))
		for i, size := range sizes {
			batch[i] = deviceops.Rejected{ReceivedAt: after(time.Duration(i) * time.Second), Topic: "t", Code: code, Size: size, Payload: make([]byte, size)}
		}
		require.NoError(t, s.AppendRejected(t.Context(), batch))
	}
	kept := func() []int64 {
		t.Helper()
		return query[int64](t, s, "select id from rejected order by id")
	}
	reject("malformed", 100, 200, 300)
	reject("untranslated", 100)
	_, err := s.RequestReplays(t.Context(), deviceops.RejectedReplay{}, noon)
	require.NoError(t, err)
	reject("malformed", 100, 200)
	require.Equal(t, []int64{201, 502, 903, 201, 1104, 1405}, query[int64](t, s, "select place from rejected order by id"), "up to a message, with what it takes beside its payload")
	require.Equal(t, []int64{1405, 201}, query[int64](t, s, "select bytes from rejected_counts order by code"))

	const more = "update rejected_counts set bytes = bytes + $1 where code = 'malformed'"
	require.NoError(t, postgres.Exec(t.Context(), s, more, all-201-302))
	reject("malformed", 0)
	require.Equal(t, []int64{1, 2, 3, 4, 5, 6, 7}, kept(), "a byte less than would be too much")
	require.NoError(t, postgres.Exec(t.Context(), s, more, all))
	reject("untranslated", 1)
	require.Equal(t, []int64{1, 2, 3, 4, 5, 6, 7, 8}, kept(), "another kind")
	reject("malformed", 0)
	require.Equal(t, []int64{1, 2, 3, 4, 8, 9}, kept())

	require.NoError(t, s.MaintainEvents(t.Context(), after(7*24*time.Hour), 7*24*time.Hour))
	require.Len(t, kept(), 6, "a week")
	require.NoError(t, s.MaintainEvents(t.Context(), after(7*24*time.Hour+time.Second), 7*24*time.Hour))
	require.Equal(t, []int64{2, 3}, kept())
	_, counts, err := s.ListRejected(t.Context(), deviceops.RejectedFilter{}, 0)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"malformed": 7, "untranslated": 2}, counts)
}

// Filters mean the same to the database as to the engine.
func TestTopicsOfRejected(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	topics := []string{"a", "a/b", "a/b/c", "a/", "/a", "/", "", "$SYS/a", "a.b", "axb", "a/\nb", "A/b", `a\d`, "a/b/", "(a|b)", "***:a"}
	var batch []deviceops.Rejected
	for _, topic := range topics {
		batch = append(batch, deviceops.Rejected{ReceivedAt: noon, Topic: topic, Code: "malformed"})
	}
	require.NoError(t, s.AppendRejected(t.Context(), batch))
	for _, filter := range append([]string{
		"#", "+", "a/#", "a/+", "+/b", "+/+", "a/+/c", "/+", "+/", "$SYS/#", "$SYS/+", "+/a", "/#", "a/b/#", "a/+/#",
	}, topics...) {
		var want, got []string
		for _, topic := range topics {
			if filter == "" || topicMatches(filter, topic) {
				want = append(want, topic)
			}
		}
		found, _, err := s.ListRejected(t.Context(), deviceops.RejectedFilter{Topic: filter}, 100)
		require.NoError(t, err, filter)
		for _, r := range found {
			got = append(got, r.Topic)
		}
		require.ElementsMatch(t, want, got, filter)
	}
}

func TestMaintainEvents(t *testing.T) {
	t.Parallel()
	s := postgrestest.Open(t, postgrestest.URL(t))
	day := 24 * time.Hour
	midnight := noon.Truncate(day)
	require.NoError(t, s.AppendEvents(t.Context(), []deviceops.Event{
		event("k1", "before", midnight.Add(-time.Microsecond)), event("k1", "first", midnight), event("k1", "last", midnight.Add(day-time.Microsecond)),
		event("k1", "far", after(60*day)),
	}))
	require.Equal(t, []string{"events_default"}, query[string](t, s, "select distinct tableoid::regclass::text from events"))

	require.NoError(t, s.MaintainEvents(t.Context(), noon, 30*day))
	require.NoError(t, s.MaintainEvents(t.Context(), noon, 30*day))
	require.Equal(t, []string{"before events_day_20260531", "far events_default", "first events_day_20260601", "last events_day_20260601"},
		query[string](t, s, "select type || ' ' || tableoid::regclass from events order by type"))
	require.NoError(t, s.AppendEvents(t.Context(), []deviceops.Event{event("k1", "ahead", after(7*day))}))
	require.Equal(t, []string{"events_day_20260608"}, query[string](t, s, "select tableoid::regclass::text from events where type = 'ahead'"))

	_, err := s.ClaimSeqs(t.Context(), []deviceops.SeqKey{{Device: "k1", Boot: "b", Seq: 1}}, noon)
	require.NoError(t, err)
	_, err = s.ClaimSeqs(t.Context(), []deviceops.SeqKey{{Device: "k1", Boot: "b", Seq: 2, Account: "acme"}, {Device: "run", Boot: "b", Seq: 2}}, after(day))
	require.NoError(t, err)

	require.NoError(t, s.MaintainEvents(t.Context(), after(8*day), 8*day-11*time.Hour))
	require.Equal(t, []string{"ahead", "far", "first", "last"}, query[string](t, s, "select type from events order by type"))
	require.Equal(t, []string{"acme k1 2", "root run 2"}, query[string](t, s, "select account || ' ' || device || ' ' || seq from message_seqs order by device"))
	require.NoError(t, s.MaintainEvents(t.Context(), after(90*day), 40*day))
	require.Equal(t, []string{"far"}, query[string](t, s, "select type from events order by type"))
	require.NoError(t, s.MaintainEvents(t.Context(), after(200*day), 40*day))
	require.Empty(t, query[string](t, s, "select type from events"))
}

func TestMaintainEventsAtTheSameTime(t *testing.T) {
	t.Parallel()
	s := postgrestest.Open(t, postgrestest.URL(t))
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() { errs <- s.MaintainEvents(t.Context(), noon, time.Hour) }()
	}
	for range 20 {
		require.NoError(t, s.AppendEvents(t.Context(), []deviceops.Event{event("k1", "x", noon)}))
	}
	for range cap(errs) {
		require.NoError(t, <-errs)
	}
	require.Equal(t, []int{20}, query[int](t, s, "select count(*)::int from events"))
}

func TestMigratedDatabaseHasPartitionsForToday(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	require.NoError(t, s.AppendEvents(t.Context(), []deviceops.Event{{Account: "acme", Type: "x", ReceivedAt: time.Now()}, {Account: "acme", Type: "y"}}))
	require.Empty(t, query[string](t, s, "select type from events_default"))
}

// The index over accounts leaves out the root account, whose events are nearly all
// of those of an installation without tenants. Whoever has one finds its events by
// it all the same.
func TestEventsOfAnAccountAreFoundByIndex(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	require.NoError(t, postgres.Exec(t.Context(), s, `
		insert into events (account, device, type, severity, at, received_at, clock_fixed, claimed_at, boot, seq)
		select case when i % 1000 = 0 then 'acme/emea' else 'root' end, 'k' || i, 't', 'info', now(), now(), false, '', '', 0
		from generate_series(1, 20000) as i`))
	require.NoError(t, postgres.Exec(t.Context(), s, `analyze events`))
	f := deviceops.EventFilter{Account: "acme", Limit: 50}
	found, err := s.ListEvents(t.Context(), f)
	require.NoError(t, err)
	require.Len(t, found, 20)
	plan, err := postgres.EventsPlan(t.Context(), s, f)
	require.NoError(t, err)
	require.Contains(t, plan, "_account_id_idx")
}
