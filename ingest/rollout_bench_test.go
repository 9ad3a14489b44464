package ingest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/protocol"
)

// echo is a gateway whose devices answer at once.
type echo struct {
	fakeGateway
	answers chan deviceops.Message
	seqs    sync.Map
}

func (g *echo) PublishCommands(_ context.Context, commands []deviceops.Command, _ time.Time) ([]deviceops.Sent, error) {
	sent := make([]deviceops.Sent, len(commands))
	for i, c := range commands {
		sent[i] = deviceops.Sent{ID: c.ID, Attempt: c.Attempt, Boot: c.Route.Boot}
		n, _ := g.seqs.LoadOrStore(c.Device, new(int))
		seq := n.(*int)
		*seq++
		g.answers <- message(c.Device, protocol.LeafResult, fmt.Sprintf(`{"boot":"b1","seq":%d,"id":%q,"attempt":%d,"status":"succeeded"}`, *seq, c.ID, c.Attempt))
	}
	return sent, nil
}

// lane delivers answers in batches, as a member of the shared subscription does.
func (g *echo) lane(b *testing.B, inbox *Inbox) {
	for first := range g.answers {
		batch := []deviceops.Message{first}
		for len(batch) < 500 {
			select {
			case m, ok := <-g.answers:
				if ok {
					batch = append(batch, m)
					continue
				}
			default:
			}
			break
		}
		if err := inbox.Deliver(context.Background(), batch); err != nil {
			b.Error(err)
		}
	}
}

// BenchmarkRollout takes a command to 10,000 devices by the pump and the inbox,
// without a broker between them.
func BenchmarkRollout(b *testing.B) {
	const devices = 10_000
	for range b.N {
		b.StopTimer()
		gateway := &echo{answers: make(chan deviceops.Message, devices)}
		bundle := newBundle(b, func(c *Config) { c.Gateway, c.Now = gateway, time.Now })
		ids := fleetOf(b, bundle, devices)
		r := bundle.rollout("bench")
		var rows []deviceops.RolloutDevice
		for _, id := range ids {
			rows = append(rows, deviceops.RolloutDevice{Device: id})
		}
		r.Limits = deviceops.Limits{InFlight: 4000}
		bundle.become(r, deviceops.RolloutRunning)
		bundle.rows(r, rows...)
		require.NoError(b, bundle.store.AnalyzeRollout(b.Context()))

		var suite testsuite.WorkflowTestSuite
		env := suite.NewTestActivityEnvironment()
		env.SetTestTimeout(10 * time.Minute)
		activities.Register(env, activities.Deps{Store: bundle.store, Gateway: gateway, Catalog: fakeCatalog{}, Log: quiet})
		var lanes sync.WaitGroup
		for range 4 {
			lanes.Go(func() { gateway.lane(b, bundle.inbox) })
		}
		b.StartTimer()
		_, err := env.ExecuteActivity(activities.NamePumpRollout, activities.PumpInput{Rollout: r.ID})
		b.StopTimer()
		require.NoError(b, err)
		close(gateway.answers)
		lanes.Wait()
		require.Equal(b, devices, bundle.counts(r, 0).Succeeded)
	}
	b.ReportMetric(float64(b.N*devices)/b.Elapsed().Seconds(), "devices/s")
}

// fleetOf stores active devices that are online.
func fleetOf(b *testing.B, bundle *testBundle, n int) []string {
	b.Helper()
	ids, rows, sessions := make([]string, n), make([]deviceops.Registration, n), map[string]deviceops.Session{}
	for i := range ids {
		ids[i] = fmt.Sprintf("k%05d", i)
		rows[i] = deviceops.Registration{ID: ids[i]}
		sessions[ids[i]] = deviceops.Session{Connectivity: deviceops.Online, Since: noon, HelloAt: noon, LastSeen: noon, Boot: "b1"}
	}
	bundle.register(rows...)
	require.NoError(b, bundle.store.SaveSessions(b.Context(), sessions))
	err := bundle.store.InTx(b.Context(), func(ctx context.Context, tx deviceops.Tx) error {
		locked, err := tx.LockDevices(ctx, ids)
		for _, d := range locked {
			d.State = deviceops.Active
			if err == nil {
				err = tx.SaveDevice(ctx, d)
			}
		}
		return err
	})
	require.NoError(b, err)
	return ids
}
