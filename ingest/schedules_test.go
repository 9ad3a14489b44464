package ingest

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

const hourly = "automation: hourly\ntrigger: { schedule: { every: 1h } }\nrun: reboot@1\nwith: { device: k1, battery: 1 }\n"
const nightly = "automation: nightly\ntrigger: { schedule: { cron: 0 3 * * *, zone: Europe/Berlin } }\nrun: reboot@1\nwith: { device: k1, battery: 1 }\n"

// Timetables follow what is published, whoever changed what: also after Temporal
// has lost them.
func TestSweeperKeepsTimetables(t *testing.T) {
	t.Parallel()
	a := newAutomated(t, lowBattery, hourly, nightly)
	sweeper := NewSweeper(SweeperConfig{
		Store: a.heard, Gateway: a.gateway, Orchestrator: a.engine, Catalog: a.config.Catalog, Automations: &a.heard, Now: a.clock.Now, Log: quiet,
	})
	sweep := func() []string {
		a.clock.advance(settleEvery)
		_ = sweeper.Sweep(t.Context())
		return slices.Sorted(maps.Keys(a.engine.tables))
	}
	const hourlyID, nightlyID = "automation/root/hourly", "automation/root/nightly"
	require.Equal(t, []string{hourlyID, nightlyID}, sweep())
	require.Equal(t, "Europe/Berlin", a.engine.tables[nightlyID].Times.Zone)

	ref := deviceops.AutomationRef{Account: deviceops.RootAccount, Name: "hourly"}
	a.switched(ref, true)
	require.Equal(t, []string{hourlyID, nightlyID}, sweep())
	require.True(t, a.engine.tables[hourlyID].Paused)
	a.switched(ref, false)
	sweep()
	require.False(t, a.engine.tables[hourlyID].Paused)

	a.engine.down = true
	a.engine.tables = nil
	require.Empty(t, sweep(), "Temporal is away, and what it knew is lost")
	a.engine.down = false
	require.Equal(t, []string{hourlyID, nightlyID}, sweep())

	a.publish("automation: nightly\ntrigger: { schedule: { every: 2h } }\nrun: reboot@1\nwith: { device: k1, battery: 1 }\n")
	sweep()
	require.Equal(t, 2*time.Hour, a.engine.tables[nightlyID].Times.Every)
	a.publish("automation: nightly\ntrigger: { manual: true }\nrun: reboot@1\nwith: { device: k1, battery: 1 }\n")
	require.Equal(t, []string{hourlyID}, sweep(), "it has no schedule any more")
	require.NoError(t, a.store.RetireDocument(t.Context(), deviceops.RootAccount, deviceops.KindAutomation, "hourly"))
	require.Empty(t, sweep())
}

// switched disables or enables an automation.
func (a *automated) switched(ref deviceops.AutomationRef, disabled bool) {
	a.t.Helper()
	require.NoError(a.t, a.store.InTx(a.t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
		states, err := tx.LockAutomationStates(ctx, []deviceops.AutomationRef{ref})
		if err != nil {
			return err
		}
		states[ref].Disabled = disabled
		return tx.SaveAutomationStates(ctx, []deviceops.AutomationState{*states[ref]})
	}))
}
