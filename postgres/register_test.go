package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

func TestRegisterDevicesDecidesByRow(t *testing.T) {
	full := deviceops.Registration{
		ID: "k1", Account: "acme", Serial: "s1", Profile: "kiosk", Parent: "gw", Tags: []string{"b", "a", "b"},
		Labels: map[string]string{"site": "x"}, Attributes: map[string]any{"ram": int64(5), "f": 2.0}, Zone: "UTC",
		Place: &deviceops.Place{Latitude: 1, Longitude: 2}, ClaimHash: "h1",
	}
	with := func(change func(r *deviceops.Registration)) deviceops.Registration {
		r := full
		change(&r)
		return r
	}
	for name, c := range map[string]struct {
		state deviceops.State // of k1 before the call
		rows  []deviceops.Registration
		want  []deviceops.RegisterOutcome
		check func(t *testing.T, d deviceops.Device) // of k1 after the call
	}{
		"just so": {deviceops.Escrow, []deviceops.Registration{full}, []deviceops.RegisterOutcome{deviceops.Unchanged}, nil},
		"tags in another order": {deviceops.Escrow,
			[]deviceops.Registration{with(func(r *deviceops.Registration) { r.Tags = []string{"a", "b"} })},
			[]deviceops.RegisterOutcome{deviceops.Unchanged}, nil},
		"without its claim": {deviceops.Escrow,
			[]deviceops.Registration{with(func(r *deviceops.Registration) { r.ClaimHash = "" })},
			[]deviceops.RegisterOutcome{deviceops.Unchanged},
			func(t *testing.T, d deviceops.Device) { require.Equal(t, "h1", d.ClaimHash) }},
		"other labels": {deviceops.Active,
			[]deviceops.Registration{with(func(r *deviceops.Registration) { r.Labels = map[string]string{"site": "y"} })},
			[]deviceops.RegisterOutcome{deviceops.Updated},
			func(t *testing.T, d deviceops.Device) {
				require.Equal(t, map[string]string{"site": "y"}, d.Labels)
				require.Equal(t, after(time.Minute), d.UpdatedAt)
				require.Equal(t, deviceops.Active, d.State)
			}},
		"other place": {deviceops.Retired,
			[]deviceops.Registration{with(func(r *deviceops.Registration) { r.Place = nil })},
			[]deviceops.RegisterOutcome{deviceops.Updated},
			func(t *testing.T, d deviceops.Device) { require.Nil(t, d.Place) }},
		"other number type": {deviceops.Escrow,
			[]deviceops.Registration{with(func(r *deviceops.Registration) { r.Attributes = map[string]any{"ram": 5.0, "f": 2.0} })},
			[]deviceops.RegisterOutcome{deviceops.Updated}, nil},
		"identity in escrow": {deviceops.Escrow,
			[]deviceops.Registration{with(func(r *deviceops.Registration) { r.Serial, r.Profile, r.ClaimHash = "s2", "meter", "h2" })},
			[]deviceops.RegisterOutcome{deviceops.Updated},
			func(t *testing.T, d deviceops.Device) {
				require.Equal(t, []string{"s2", "meter", "h2"}, []string{d.Serial, d.Profile, d.ClaimHash})
			}},
		"identity past escrow": {deviceops.Provisioning,
			[]deviceops.Registration{with(func(r *deviceops.Registration) { r.Serial, r.Profile, r.ClaimHash = "s2", "meter", "h2" })},
			[]deviceops.RegisterOutcome{deviceops.Unchanged},
			func(t *testing.T, d deviceops.Device) {
				require.Equal(t, []string{"s1", "kiosk", "h1"}, []string{d.Serial, d.Profile, d.ClaimHash})
			}},
		"id of another account": {deviceops.Escrow,
			[]deviceops.Registration{with(func(r *deviceops.Registration) { r.Account, r.Zone = "beta", "" })},
			[]deviceops.RegisterOutcome{deviceops.Conflict},
			func(t *testing.T, d deviceops.Device) { require.Equal(t, "UTC", d.Zone) }},
		"serial is taken": {deviceops.Active,
			[]deviceops.Registration{
				with(func(r *deviceops.Registration) { r.ID = "k2" }),
				with(func(r *deviceops.Registration) { r.ID, r.Account = "k3", "acme/emea" }),
				with(func(r *deviceops.Registration) { r.ID, r.Profile = "k4", "meter" }),
				with(func(r *deviceops.Registration) { r.ID, r.Serial = "k5", "" }),
				with(func(r *deviceops.Registration) { r.ID, r.Serial = "k6", "" }),
			},
			[]deviceops.RegisterOutcome{deviceops.Conflict, deviceops.Registered, deviceops.Registered, deviceops.Registered, deviceops.Registered}, nil},
		"change to a taken serial": {deviceops.Escrow,
			[]deviceops.Registration{
				with(func(r *deviceops.Registration) { r.ID, r.Serial = "k2", "s2" }),
				with(func(r *deviceops.Registration) { r.Serial = "s2" }),
			},
			[]deviceops.RegisterOutcome{deviceops.Registered, deviceops.Conflict},
			func(t *testing.T, d deviceops.Device) { require.Equal(t, "s1", d.Serial) }},
		"repeated in one call": {deviceops.Escrow,
			[]deviceops.Registration{
				with(func(r *deviceops.Registration) { r.ID, r.Serial = "k2", "s2" }),
				with(func(r *deviceops.Registration) { r.ID, r.Serial = "k2", "s2" }),
				with(func(r *deviceops.Registration) { r.ID, r.Serial, r.Zone = "k2", "s2", "CET" }),
				with(func(r *deviceops.Registration) { r.ID, r.Serial, r.Account = "k2", "s2", "beta" }),
				with(func(r *deviceops.Registration) { r.ID, r.Serial = "k3", "s2" }),
			},
			[]deviceops.RegisterOutcome{deviceops.Registered, deviceops.Unchanged, deviceops.Updated, deviceops.Conflict, deviceops.Conflict}, nil},
		"discovered gets an owner": {deviceops.Discovered, []deviceops.Registration{full},
			[]deviceops.RegisterOutcome{deviceops.Adopted},
			func(t *testing.T, d deviceops.Device) {
				require.Equal(t, deviceops.Escrow, d.State)
				require.Equal(t, after(time.Minute), d.StateSince)
				require.Equal(t, []string{"acme", "s1", "kiosk", "h1"}, []string{d.Account, d.Serial, d.Profile, d.ClaimHash})
				require.Equal(t, "b1", d.Session.Boot)
			}},
		"discovered keeps nobody's serial": {deviceops.Discovered,
			[]deviceops.Registration{with(func(r *deviceops.Registration) { r.ID, r.Account = "k2", "root" })},
			[]deviceops.RegisterOutcome{deviceops.Registered},
			func(t *testing.T, d deviceops.Device) { require.Equal(t, deviceops.Discovered, d.State) }},
		"adopted with a taken serial": {deviceops.Discovered,
			[]deviceops.Registration{with(func(r *deviceops.Registration) { r.ID = "k2" }), full},
			[]deviceops.RegisterOutcome{deviceops.Registered, deviceops.Conflict},
			func(t *testing.T, d deviceops.Device) { require.Equal(t, "root", d.Account) }},
		"nothing": {deviceops.Escrow, nil, []deviceops.RegisterOutcome{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, s deviceops.Tx) {
				given(t, s, full, c.state)
				outcomes, err := s.RegisterDevices(t.Context(), c.rows, after(time.Minute))
				require.NoError(t, err)
				require.Equal(t, c.want, outcomes)
				if c.check != nil {
					d, err := s.FindDevice(t.Context(), "k1")
					require.NoError(t, err)
					c.check(t, d)
				}
			})
		})
	}
}

// given stores the device of a registration in a state.
func given(t *testing.T, s deviceops.Tx, row deviceops.Registration, state deviceops.State) {
	t.Helper()
	if state == deviceops.Discovered {
		_, err := s.AddDiscovered(t.Context(), []deviceops.Device{{ID: row.ID, Account: "root", Profile: row.Profile, Serial: row.Serial}}, 10)
		require.NoError(t, err)
		connectivity(t, s, deviceops.Online, row.ID)
		return
	}
	outcomes, err := s.RegisterDevices(t.Context(), []deviceops.Registration{row}, noon)
	require.NoError(t, err)
	require.Equal(t, []deviceops.RegisterOutcome{deviceops.Registered}, outcomes)
	d, err := s.FindDevice(t.Context(), row.ID)
	require.NoError(t, err)
	d.State = state
	require.NoError(t, s.SaveDevice(t.Context(), &d))
}

// A device that changes its account takes its other rows along.
func TestAdoptionMovesAllTables(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	given(t, s, deviceops.Registration{ID: "k1"}, deviceops.Discovered)
	require.NoError(t, s.SaveMetrics(t.Context(), []deviceops.MetricValue{{Device: "k1", Name: "m", Value: 1.5, At: noon}}))
	outcomes, err := s.RegisterDevices(t.Context(), []deviceops.Registration{{ID: "k1", Account: "acme"}}, noon)
	require.NoError(t, err)
	require.Equal(t, []deviceops.RegisterOutcome{deviceops.Adopted}, outcomes)
	for _, table := range []string{"twins", "sessions", "device_metrics"} {
		accounts := query[string](t, s, "select account from "+table)
		require.Equal(t, []string{"acme"}, accounts, table)
	}
}

// Of many who register the same at the same time one succeeds, and the others
// learn what became of it.
func TestRegisterTheSameAtTheSameTime(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	const callers, devices = 5, 50
	var mutex sync.Mutex
	var group sync.WaitGroup
	total := map[deviceops.RegisterOutcome]int{}
	for caller := range callers {
		rows := make([]deviceops.Registration, devices)
		for i := range rows {
			rows[i] = deviceops.Registration{ID: fmt.Sprint("k", i), Account: "acme", Serial: fmt.Sprint(i), Profile: "kiosk"}
			if caller%2 == 1 { // others come with the same serials under other ids
				rows[i].ID += "x"
			}
		}
		group.Go(func() {
			outcomes, err := s.RegisterDevices(t.Context(), rows, noon)
			if err != nil {
				t.Error(err)
			}
			mutex.Lock()
			defer mutex.Unlock()
			for _, o := range outcomes {
				total[o]++
			}
		})
	}
	group.Wait()
	require.Equal(t, devices, total[deviceops.Registered])
	require.Equal(t, (callers-1)*devices, total[deviceops.Unchanged]+total[deviceops.Conflict])
}

func TestRegisterTenThousand(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	rows := make([]deviceops.Registration, 10_000)
	for i, id := range names("k", len(rows)) {
		rows[i] = deviceops.Registration{
			ID: id, Account: "acme", Serial: "s" + id, Profile: "kiosk", Tags: []string{"canary"},
			Labels: map[string]string{"site": fmt.Sprint(i % 100)}, Attributes: map[string]any{"ram_mb": int64(512)}, ClaimHash: "0123456789abcdef",
		}
	}
	register := func(what string, want deviceops.RegisterOutcome) {
		start := time.Now()
		outcomes, err := s.RegisterDevices(t.Context(), rows, noon)
		require.NoError(t, err)
		t.Logf("%s: %d devices in %v", what, len(rows), time.Since(start))
		for _, o := range outcomes {
			require.Equal(t, want, o)
		}
	}
	register("new", deviceops.Registered)
	register("just so", deviceops.Unchanged)
	for i := range rows {
		rows[i].Zone = "UTC"
	}
	register("changed", deviceops.Updated)
	estimate := query[float32](t, s, "select reltuples from pg_class where relname = 'sessions'")
	require.InDelta(t, 10_000, estimate[0], 1)

	start := time.Now()
	require.NoError(t, s.InTx(t.Context(), func(ctx context.Context, tx deviceops.Tx) error {
		_, err := tx.LockDevices(ctx, names("k", 500))
		return err
	}))
	t.Logf("lock and read 500 in %v", time.Since(start))
}
