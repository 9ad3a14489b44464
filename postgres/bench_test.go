package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

const batch = 500

// fleet gives a store with 10,000 devices that are online.
func fleet(b *testing.B) (*postgres.Store, []string) {
	b.Helper()
	s := postgrestest.New(b)
	ids := names("k", 10_000)
	online(b, s, ids...)
	return s, ids
}

// perRow runs f with a batch of devices at a time and reports time per row.
func perRow(b *testing.B, ids []string, f func(n int, ids []string) error) {
	b.Helper()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		first := n * batch % len(ids)
		require.NoError(b, f(n, ids[first:first+batch]))
		n++
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n*batch), "µs/row")
}

func BenchmarkSaveSessions(b *testing.B) {
	s, ids := fleet(b)
	perRow(b, ids, func(n int, ids []string) error {
		sessions := make(map[string]deviceops.Session, len(ids))
		for _, id := range ids {
			sessions[id] = deviceops.Session{
				Connectivity: deviceops.Online, Since: noon, Boot: "b1", Connection: "c1", HelloAt: noon,
				LastSeen: after(time.Duration(n) * time.Second), LastHeartbeat: after(time.Duration(n) * time.Second), UptimeS: int64(n), Seq: int64(n),
			}
		}
		return s.SaveSessions(b.Context(), sessions)
	})
	hot := query[float64](b, s, `select 100.0::float8 * n_tup_hot_upd / greatest(n_tup_upd, 1) from pg_stat_user_tables where relname = 'sessions'`)
	b.ReportMetric(hot[0], "%hot")
}

// BenchmarkFleetHealth sums up 100,000 devices of which one in ten is away, one in
// twenty degraded, and none runs exactly what it should.
func BenchmarkFleetHealth(b *testing.B) {
	s := postgrestest.New(b)
	ids := names("k", 100_000)
	online(b, s, ids...)
	require.NoError(b, postgres.Exec(b.Context(), s, `
		update sessions set connectivity = case when right(device, 1) = '7' then 'offline' else 'online' end,
			wellness = case when right(device, 2) in ('00', '20', '40', '60', '80') then 'degraded' else 'well' end,
			degraded_since = case when right(device, 2) in ('00', '20', '40', '60', '80') then now() end, degraded_because = '{disk}'`))
	require.NoError(b, postgres.Exec(b.Context(), s, `
		update twins set software = '{"os":"2.4.0","app":"1.0"}', reported_software = jsonb_build_object('os', '2.3.' || right(device, 1), 'app', '1.0')`))
	require.NoError(b, postgres.Exec(b.Context(), s, `update devices set state = 'active', labels = jsonb_build_object('site', right(id, 2))`))
	require.NoError(b, postgres.Exec(b.Context(), s, `vacuum analyze devices, sessions, twins`))
	for b.Loop() {
		h, err := s.FleetHealth(b.Context(), deviceops.FleetQuery{By: deviceops.Grouping{Kind: deviceops.GroupLabel, Label: "site"}})
		require.NoError(b, err)
		require.Len(b, h.Groups, 100)
	}
}

func BenchmarkAppendEvents(b *testing.B) {
	s, ids := fleet(b)
	perRow(b, ids, func(n int, ids []string) error {
		events := make([]deviceops.Event, len(ids))
		for i, id := range ids {
			events[i] = event(id, "device.telemetry", time.Now())
			events[i].Data = map[string]any{"battery_pct": 81.5, "crashes": int64(0), "in_use": true}
			events[i].Boot, events[i].Seq = "b1", int64(n)
		}
		return s.AppendEvents(b.Context(), events)
	})
}

func BenchmarkClaimSeqs(b *testing.B) {
	s, ids := fleet(b)
	perRow(b, ids, func(n int, ids []string) error {
		keys := make([]deviceops.SeqKey, len(ids))
		for i, id := range ids {
			keys[i] = deviceops.SeqKey{Device: id, Boot: "b1", Seq: int64(n + 1)}
		}
		_, err := s.ClaimSeqs(b.Context(), keys, noon)
		return err
	})
}

func BenchmarkSaveMetrics(b *testing.B) {
	s, ids := fleet(b)
	perRow(b, ids, func(n int, ids []string) error {
		var values []deviceops.MetricValue
		for _, id := range ids {
			at := after(time.Duration(n) * time.Second)
			values = append(values,
				deviceops.MetricValue{Device: id, Name: "battery_pct", Value: 80.5, At: at},
				deviceops.MetricValue{Device: id, Name: "crashes", Value: int64(n), At: at})
		}
		return s.SaveMetrics(b.Context(), values)
	})
}

func BenchmarkAppendSamples(b *testing.B) {
	s, ids := fleet(b)
	perRow(b, ids, func(n int, ids []string) error {
		var samples []deviceops.MetricSample
		for _, id := range ids {
			at := after(time.Duration(n) * time.Second)
			samples = append(samples,
				deviceops.MetricSample{Account: "acme", Device: id, Name: "battery_pct", Value: 80.5, At: at, ReceivedAt: at},
				deviceops.MetricSample{Account: "acme", Device: id, Name: "crashes", Value: float64(n), At: at, ReceivedAt: at})
		}
		return s.AppendSamples(b.Context(), samples)
	})
}

// BenchmarkRollUpMetrics sums up two samples of each of 500 devices at a time.
func BenchmarkRollUpMetrics(b *testing.B) {
	s, ids := fleet(b)
	perRow(b, ids, func(n int, ids []string) error {
		samples := make([]deviceops.MetricSample, 0, 2*len(ids))
		for _, id := range ids {
			at := after(time.Duration(n) * time.Second)
			samples = append(samples,
				deviceops.MetricSample{Account: "acme", Device: id, Name: "battery_pct", Value: 80.5, At: at, ReceivedAt: at},
				deviceops.MetricSample{Account: "acme", Device: id, Name: "crashes", Value: float64(n), At: at, ReceivedAt: at})
		}
		if err := s.AppendSamples(b.Context(), samples); err != nil {
			return err
		}
		_, err := s.RollUpMetrics(b.Context())
		return err
	})
}

func BenchmarkLockDevices(b *testing.B) {
	s, ids := fleet(b)
	perRow(b, ids, func(_ int, ids []string) error {
		return s.InTx(b.Context(), func(ctx context.Context, tx deviceops.Tx) error {
			_, err := tx.LockDevices(ctx, ids)
			return err
		})
	})
}

// BenchmarkDispatch is the life of 500 commands: made, claimed, sent, ended.
func BenchmarkDispatch(b *testing.B) {
	s, ids := fleet(b)
	perRow(b, ids, func(n int, ids []string) error {
		return s.InTx(b.Context(), func(ctx context.Context, tx deviceops.Tx) error {
			for _, id := range ids {
				c := command(fmt.Sprint(id, "-", n), id)
				c.Exclusive = true
				if _, _, err := tx.CreateCommand(ctx, c); err != nil {
					return err
				}
			}
			claimed, err := tx.ClaimCommands(ctx, deviceops.ClaimQuery{Now: noon, Limit: batch})
			if err != nil {
				return err
			}
			if len(claimed) != batch {
				return fmt.Errorf("claimed %d", len(claimed))
			}
			sent := make([]deviceops.Sent, len(claimed))
			for i := range claimed {
				sent[i] = deviceops.Sent{ID: claimed[i].ID, Attempt: claimed[i].Attempt}
				claimed[i].Finish(deviceops.CommandSucceeded, nil, noon)
			}
			if err := tx.MarkSent(ctx, sent, noon); err != nil {
				return err
			}
			return tx.SaveCommands(ctx, claimed)
		})
	})
}

// BenchmarkSweep is what the sweeper does when there is nothing to do: 10,000
// devices, half of them offline with an open command each.
func BenchmarkSweep(b *testing.B) {
	s, ids := fleet(b)
	connectivity(b, s, deviceops.Offline, ids[:5000]...)
	require.NoError(b, s.InTx(b.Context(), func(ctx context.Context, tx deviceops.Tx) error {
		for _, id := range ids[:5000] {
			if _, _, err := tx.CreateCommand(ctx, command("c-"+id, id)); err != nil {
				return err
			}
		}
		return nil
	}))
	sweeps := map[string]func() error{
		"claim": func() error {
			_, err := s.ClaimCommands(b.Context(), deviceops.ClaimQuery{Now: noon, Limit: batch})
			return err
		},
		"silent": func() error {
			_, err := s.QuietDevices(b.Context(), deviceops.QuietQuery{Before: noon, Limit: batch})
			return err
		},
		"expired": func() error { _, err := s.ExpiredCommands(b.Context(), noon, batch); return err },
		"starts":  func() error { _, err := s.PendingStarts(b.Context(), noon, noon, batch); return err },
	}
	for name, sweep := range sweeps {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, sweep())
			}
		})
	}
}

// BenchmarkTargetDevices reads a fleet of 100,000, page by page: the last page is to
// cost no more than the first.
func BenchmarkTargetDevices(b *testing.B) {
	s := postgrestest.New(b)
	ids := names("k", 100_000)
	online(b, s, ids...)
	require.NoError(b, postgres.Exec(b.Context(), s, `vacuum analyze devices, sessions, twins`))
	kiosks := &deviceops.Filter{Op: deviceops.FilterEq, Field: "profile", Value: "kiosk"}
	for b.Loop() {
		n := 0
		require.NoError(b, s.TargetDevices(b.Context(), deviceops.RootAccount, kiosks, func(*deviceops.Device) error { n++; return nil }))
		require.Equal(b, len(ids), n)
	}
}

// BenchmarkRejected works on a million rejected messages of 1,000 devices: to keep 100
// more, to list some of them, and to have all of one topic taken in again.
func BenchmarkRejected(b *testing.B) {
	s := postgrestest.New(b)
	require.NoError(b, postgres.Exec(b.Context(), s, `
		insert into rejected (account, received_at, topic, device, code, reason, size, payload, place)
		select 'root', $1::timestamptz + n * interval '1 ms', 'acme/s' || n % 1000 || case when n % 1000 = 7 then '/rare' else '/data' end, 's' || n % 1000,
			case n % 3 when 0 then 'malformed' else 'untranslated' end, 'its profile does not say what this means', 100, decode(repeat('ab', 100), 'hex'), n
		from generate_series(1, 1000000) as n`, noon))
	require.NoError(b, postgres.Exec(b.Context(), s, `vacuum analyze rejected`))
	more := make([]deviceops.Rejected, 100)
	for i := range more {
		more[i] = deviceops.Rejected{ReceivedAt: noon, Topic: "acme/s1/data", Device: "s1", Code: "untranslated", Size: 100, Payload: make([]byte, 100)}
	}
	listed := func(f deviceops.RejectedFilter) func() error {
		return func() error { _, _, err := s.ListRejected(b.Context(), f, 20); return err }
	}
	for _, work := range []struct {
		name string
		do   func() error
	}{
		{"append", func() error { return s.AppendRejected(b.Context(), more) }},
		{"list", listed(deviceops.RejectedFilter{})},
		{"list-code", listed(deviceops.RejectedFilter{Code: "malformed"})},
		{"list-device", listed(deviceops.RejectedFilter{Device: "s17"})},
		{"list-topic", listed(deviceops.RejectedFilter{Topic: "acme/+/data"})},
		{"list-rare-topic", listed(deviceops.RejectedFilter{Topic: "acme/+/rare"})},
		{"list-no-topic", listed(deviceops.RejectedFilter{Topic: "acme/+/none"})},
		{"replay-none", func() error {
			_, err := s.RequestReplays(b.Context(), deviceops.RejectedReplay{RejectedFilter: deviceops.RejectedFilter{Topic: "acme/+/none"}}, noon)
			return err
		}},
		{"replay-rare", func() error {
			_, err := s.RequestReplays(b.Context(), deviceops.RejectedReplay{RejectedFilter: deviceops.RejectedFilter{Topic: "acme/+/rare"}}, noon)
			return err
		}},
		{"replay-all", func() error {
			_, err := s.RequestReplays(b.Context(), deviceops.RejectedReplay{}, noon)
			return err
		}},
		{"claim", func() error {
			_, err := s.ClaimReplays(b.Context(), noon, 100)
			return err
		}},
	} {
		b.Run(work.name, func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, work.do())
			}
		})
	}
}
