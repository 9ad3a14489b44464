package postgres_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/postgres"
	"github.com/deviceops/deviceops/postgres/postgrestest"
)

func targets(t testing.TB, s deviceops.Tx, account string, f *deviceops.Filter) []string {
	t.Helper()
	ids := []string{}
	require.NoError(t, s.TargetDevices(t.Context(), account, f, func(d *deviceops.Device) error {
		ids = append(ids, d.ID)
		return nil
	}))
	return ids
}

// variety makes devices that differ in everything that filters ask for: values
// are missing, or of a type that nobody expects.
func variety(t *testing.T, s deviceops.Tx, r *rand.Rand, n int) []deviceops.Device {
	t.Helper()
	ids := names("v", n)
	registered(t, s, ids...)
	sessions, reported, metrics := map[string]deviceops.Session{}, map[string]deviceops.Reported{}, []deviceops.MetricValue{}
	devices, wellness := make([]deviceops.Device, n), map[string]deviceops.Wellness{}
	for i, id := range ids {
		d, err := s.FindDevice(t.Context(), id)
		require.NoError(t, err)
		vary(&d, r)
		require.NoError(t, s.SaveDevice(t.Context(), &d))
		sessions[id], reported[id] = d.Session, d.Twin.Reported
		for name, v := range values(r, "battery", "crashes", "in_use") {
			if v != nil {
				metrics = append(metrics, deviceops.MetricValue{Device: id, Name: name, Value: v, At: noon})
			}
		}
		devices[i], wellness[id] = d, deviceops.Wellness{Status: pick(r, deviceops.Well, deviceops.Degraded, deviceops.Flapping)}
	}
	require.NoError(t, s.SaveSessions(t.Context(), sessions))
	require.NoError(t, s.SaveWellness(t.Context(), wellness))
	require.NoError(t, s.SaveReported(t.Context(), reported))
	require.NoError(t, s.SaveMetrics(t.Context(), metrics))
	for i, id := range ids { // as they were stored
		var err error
		devices[i], err = s.FindDevice(t.Context(), id)
		require.NoError(t, err)
	}
	return devices
}

func vary(d *deviceops.Device, r *rand.Rand) {
	d.Profile, d.Parent, d.Zone = pick(r, "kiosk", "meter"), pick(r, "", "gw-1"), pick(r, "", "Europe/Berlin")
	d.State = pick(r, deviceops.Active, deviceops.Maintenance, deviceops.Escrow)
	for _, tag := range []string{"canary", "lobby", "b"} {
		if r.IntN(2) == 0 {
			d.Tags = append(d.Tags, tag)
		}
	}
	d.Labels = texts(r, "site", "a.b", "")
	d.Attributes = values(r, "ram", "panel")
	d.Twin.Desired = deviceops.Desired{Version: int64(r.IntN(3)), Configuration: values(r, "brightness"), Software: texts(r, "os")}
	d.Twin.Reported = deviceops.Reported{ConfigVersion: int64(r.IntN(3)), Software: texts(r, "os", "app"), Attributes: values(r, "ram")}
	d.Session.Connectivity = pick(r, deviceops.Online, deviceops.Offline, deviceops.Never)
	if r.IntN(2) == 0 {
		d.Session.LastSeen = noon
	}
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

var (
	someTexts   = []string{"2.4.0", "2.10.0", "berlin-1", "berlin-2", "", "Ä", "\"'\\", "true", "80"}
	someNumbers = []any{int64(0), int64(1), int64(80), int64(-3), 2.5, 0.1, 80.0, 1e17, 1e-7, int64(1) << 40}
)

func texts(r *rand.Rand, names ...string) map[string]string {
	m := map[string]string{}
	for _, name := range names {
		if r.IntN(3) > 0 {
			m[name] = pick(r, someTexts...)
		}
	}
	return m
}

func values(r *rand.Rand, names ...string) map[string]any {
	m := map[string]any{}
	for _, name := range names {
		switch r.IntN(8) {
		case 0, 1:
		case 2, 3, 4:
			m[name] = pick(r, someNumbers...)
		case 5:
			m[name] = pick(r, someTexts...)
		case 6:
			m[name] = r.IntN(2) == 0
		default:
			m[name] = pick[any](r, nil, []any{int64(1), "a"}, map[string]any{"x": int64(1)})
		}
	}
	return m
}

// conditions writes random conditions over devices.
type conditions struct{ *rand.Rand }

func (r conditions) condition(depth int) string {
	if depth > 0 {
		switch r.IntN(6) {
		case 0, 1:
			return "(" + r.condition(depth-1) + " && " + r.condition(depth-1) + ")"
		case 2, 3:
			return "(" + r.condition(depth-1) + " || " + r.condition(depth-1) + ")"
		case 4:
			return "!(" + r.condition(depth-1) + ")"
		}
	}
	return r.comparison()
}

func (r conditions) comparison() string {
	field := r.field()
	switch r.IntN(12) {
	case 0:
		return field + pick(r.Rand, " == nil", " != nil")
	case 1:
		return fmt.Sprintf("%q in device.tags", pick(r.Rand, "canary", "lobby", "nobody"))
	case 2:
		return fmt.Sprintf("%q in device.%s", pick(r.Rand, "site", "os", "app"), pick(r.Rand, "labels", "reported.software", "desired.software"))
	case 3, 4:
		items := make([]string, r.IntN(4))
		for i := range items {
			items[i] = r.constant()
		}
		return field + pick(r.Rand, " in [", " not in [") + strings.Join(items, ", ") + "]"
	case 5:
		return field + " startsWith " + r.text()
	case 6:
		return pick(r.Rand, "device.metrics.in_use", "(device.metrics.in_use ?? false)", "device.attributes.ram", "true", "false")
	case 7:
		return "(" + field + " ?? " + r.constant() + ")" + r.operator() + r.constant()
	case 8:
		return r.constant() + r.operator() + field
	}
	return field + r.operator() + r.constant()
}

func (r conditions) field() string {
	return "device." + pick(r.Rand, "id", "profile", "parent", "zone", "state", "connectivity", "wellness", "labels.site", `labels["a.b"]`, `labels[""]`, "labels?.site",
		"attributes.ram", "attributes.panel", "metrics.battery", "metrics.crashes", "metrics.in_use", "desired.version", "desired.configuration.brightness",
		"desired.software.os", "reported.config_version", "reported.software.os", "reported.software.app", "reported.attributes.ram")
}

func (r conditions) operator() string {
	return pick(r.Rand, " == ", " == ", " != ", " < ", " <= ", " > ", " >= ")
}

func (r conditions) text() string {
	return fmt.Sprintf("%q", pick(r.Rand, append([]string{"v00003", "kiosk", "active", "online", "well", "degraded", "2.", "berlin", "gw-1"}, someTexts...)...))
}

func (r conditions) constant() string {
	switch r.IntN(5) {
	case 0:
		return pick(r.Rand, "true", "false")
	case 1, 2:
		return pick(r.Rand, "0", "1", "2", "80", "-3", "2.5", "0.1", "80.0", "100000000000000000", "0.0000001", "1099511627776")
	}
	return r.text()
}

// targetsOf compiles a condition; ok is false for one that is refused.
func targetsOf(source string) (c deviceops.Condition, ok bool) {
	manifest := "rollout: r\nchange: { config: { a: 1 } }\ntargets: '" + strings.ReplaceAll(source, "'", "''") + "'\n"
	spec, found := dsl.CompileRollout("r.yaml", manifest, dsl.Options{})
	if found.HasErrors() {
		return c, false
	}
	return spec.Targets, true
}

// judged gives the verdicts of a condition.
func judged(t *testing.T, c deviceops.Condition, devices []deviceops.Device) map[string]deviceops.Verdict {
	t.Helper()
	verdicts := make(map[string]deviceops.Verdict, len(devices))
	for i := range devices {
		v, err := c.Judge(&devices[i])
		require.NoError(t, err, c.Source)
		verdicts[devices[i].ID] = v
	}
	return verdicts
}

// yes gives the devices of a verdict, in order.
func yes(verdicts map[string]deviceops.Verdict) []string {
	ids := []string{}
	for id, v := range verdicts {
		if v == deviceops.Yes {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// TestFiltersJudgeLikeExpressions: whatever the condition and the devices, the
// database says of each of them what the expression says.
func TestFiltersJudgeLikeExpressions(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	devices := variety(t, s, r, 60)
	total := map[deviceops.Verdict]int{}
	for compared := 0; compared < 2000; {
		source := conditions{r}.condition(r.IntN(4))
		c, ok := targetsOf(source)
		if !ok {
			continue // its types do not fit
		}
		require.NotNil(t, c.Filter, source)
		want := judged(t, c, devices)
		got, err := postgres.Verdicts(t.Context(), s, *c.Filter)
		require.NoError(t, err, source)
		require.Equal(t, want, got, source)
		if compared%20 == 0 {
			require.Equal(t, yes(want), targets(t, s, "acme", c.Filter), source)
		}
		for _, v := range want {
			total[v]++
		}
		compared++
	}
	t.Logf("verdicts: %v", total)
	for _, v := range []deviceops.Verdict{deviceops.Yes, deviceops.No, deviceops.Unknown} {
		require.Greater(t, total[v], 10_000, v.String())
	}
}

// TestNarrowFiltersLoseNobody: where a part of a condition cannot be said in SQL
// the rest of it lets everybody pass to whom the condition says yes.
func TestNarrowFiltersLoseNobody(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	devices := variety(t, s, r, 60)
	left, of := 0, 0
	for compared := 0; compared < 200; {
		source := pick(r, "len(device.tags) > 0", `device.labels.site endsWith "-1"`, "device.reported.config_version == device.desired.version")
		for range 1 + r.IntN(2) {
			source = pick(r, source+" && "+conditions{r}.condition(1), conditions{r}.condition(1)+" && "+source)
		}
		c, ok := targetsOf(source)
		if !ok {
			continue
		}
		require.Nil(t, c.Filter, source)
		require.NotNil(t, c.Narrow, source)
		narrow := targets(t, s, "acme", c.Narrow)
		require.Subset(t, narrow, yes(judged(t, c, devices)), source)
		left, of, compared = left+len(narrow), of+len(devices), compared+1
	}
	require.Less(t, left, of/2, "they leave most devices out")
}

// What can be said differently in SQL than in Go, one by one.
func TestFiltersAboutOddValues(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	registered(t, s, "k1")
	d, err := s.FindDevice(t.Context(), "k1")
	require.NoError(t, err)
	d.Attributes = map[string]any{"null": nil, "list": []any{int64(1)}, "text": "80", "whole": 80.0, "big": int64(9007199254740993)}
	require.NoError(t, s.SaveDevice(t.Context(), &d))
	d, err = s.FindDevice(t.Context(), "k1")
	require.NoError(t, err)
	for source, want := range map[string]deviceops.Verdict{
		"device.attributes.null == nil":                               deviceops.Yes,
		"device.attributes.null != 1":                                 deviceops.Unknown,
		"device.attributes.list == 1":                                 deviceops.No,
		"device.attributes.list < 1":                                  deviceops.Unknown,
		"device.attributes.text == 80":                                deviceops.No,
		"device.attributes.text in [80]":                              deviceops.No,
		"device.attributes.text < 81":                                 deviceops.Unknown,
		"device.attributes.whole == 80":                               deviceops.Yes,
		"device.attributes.big == 9007199254740993":                   deviceops.Yes,
		"device.attributes.big == 9007199254740992":                   deviceops.No,
		"device.attributes.missing in []":                             deviceops.Unknown,
		`device.attributes.missing == 1 && device.id == "other"`:      deviceops.Unknown,
		`device.id == "other" && device.attributes.missing == 1`:      deviceops.No,
		`device.attributes.missing == 1 || device.id == "k1"`:         deviceops.Unknown,
		`device.id == "k1" || device.attributes.missing == 1`:         deviceops.Yes,
		`!(device.attributes.missing == 1)`:                           deviceops.Unknown,
		`"site" in device.labels`:                                     deviceops.No,
		"device.last_seen == nil":                                     deviceops.Yes,
		"device.zone == nil":                                          deviceops.No,
		`(device.labels.site ?? "none") == "none"`:                    deviceops.Yes,
		"1 < device.attributes.whole && device.attributes.whole < 81": deviceops.Yes,
	} {
		c, ok := targetsOf(source)
		require.True(t, ok, source)
		require.Equal(t, want, judged(t, c, []deviceops.Device{d})["k1"], source)
		got, err := postgres.Verdicts(t.Context(), s, *c.Filter)
		require.NoError(t, err, source)
		require.Equal(t, want, got["k1"], source)
	}
}

func TestTargetDevices(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		rows := []deviceops.Registration{}
		for id, account := range map[string]string{"a": "acme", "b": "acme/emea", "c": "acme/emea/stores", "d": "acmeister", "e": "globex"} {
			rows = append(rows, deviceops.Registration{ID: id, Account: account, Serial: id, Profile: "kiosk"})
		}
		_, err := s.RegisterDevices(t.Context(), rows, noon)
		require.NoError(t, err)
		require.NoError(t, s.SaveMetrics(t.Context(), []deviceops.MetricValue{{Device: "b", Name: "battery", Value: 80.0, At: noon}}))
		require.Equal(t, []string{"a", "b", "c"}, targets(t, s, "acme", nil))
		require.Equal(t, []string{"b", "c"}, targets(t, s, "acme/emea", nil))
		require.Equal(t, []string{"a", "b", "c", "d", "e"}, targets(t, s, deviceops.RootAccount, &deviceops.Filter{Op: deviceops.FilterAll}))
		require.Equal(t, []string{"b"}, targets(t, s, "acme", &deviceops.Filter{Op: deviceops.FilterGe, Field: "metrics.battery", Value: int64(80)}))

		var got deviceops.Device
		require.NoError(t, s.TargetDevices(t.Context(), "acme/emea", nil, func(d *deviceops.Device) error {
			if d.ID == "b" {
				got = *d
			}
			return nil
		}))
		want, err := s.FindDevice(t.Context(), "b")
		require.NoError(t, err)
		require.Equal(t, want, got, "with twin, session and metrics")
		require.Equal(t, map[string]any{"battery": 80.0}, got.Metrics)

		err = s.TargetDevices(t.Context(), "acme", nil, func(d *deviceops.Device) error {
			_, err := s.FindDevice(t.Context(), "nobody") // the connection is free meanwhile
			return err
		})
		requireCode(t, deviceops.ENOTFOUND, err)
	})
}

// Who could join a rollout, and who left it before its turn, is told without the many
// that did neither.
func TestJoiningAndLeavingDevices(t *testing.T) {
	both(t, func(t *testing.T, s deviceops.Tx) {
		registered(t, s, "asked", "away", "failed", "fresh", "repaired", "retired", "waits")
		for _, id := range []string{"asked", "away", "failed", "fresh", "repaired", "retired", "waits"} {
			d, err := s.FindDevice(t.Context(), id)
			require.NoError(t, err)
			if d.State = deviceops.Active; id == "retired" {
				d.State = deviceops.Retired
			}
			require.NoError(t, s.SaveDevice(t.Context(), &d))
		}
		r := running(t, s, rollout("kiosk-2", "canary", "all"))
		assigned(t, s, r, 0, "asked", "waits")
		require.Empty(t, leased(t, s, r, noon, "asked"))
		excused := func(device, code string) deviceops.RolloutDevice {
			return deviceops.RolloutDevice{
				Rollout: r.ID, Device: device, Account: "acme", Status: deviceops.DeviceExcused, EndedAt: noon, Error: &deviceops.CommandError{Code: code},
			}
		}
		_, err := s.AddRolloutDevices(t.Context(), []deviceops.RolloutDevice{
			excused("repaired", deviceops.ExcuseState), excused("away", deviceops.CodeStraggler), excused("failed", deviceops.FitRequires),
		})
		require.NoError(t, err)
		collect := func(stream func(context.Context, string, string, *deviceops.Filter, func(*deviceops.Device) error) error, f *deviceops.Filter) (ids []string) {
			require.NoError(t, stream(t.Context(), "acme", r.ID, f, func(d *deviceops.Device) error {
				ids = append(ids, d.ID)
				return nil
			}))
			return ids
		}
		is := func(id string) *deviceops.Filter {
			return &deviceops.Filter{Op: deviceops.FilterEq, Field: "id", Value: id}
		}
		require.Equal(t, []string{"fresh", "repaired"}, collect(s.JoiningDevices, nil))
		require.Equal(t, []string{"fresh"}, collect(s.JoiningDevices, is("fresh")))
		require.Equal(t, []string{"waits"}, collect(s.LeavingDevices, nil))
		require.Equal(t, []string{"waits"}, collect(s.LeavingDevices, is("fresh")))
		require.Equal(t, []string{"waits"}, collect(s.LeavingDevices, &deviceops.Filter{Op: deviceops.FilterEq, Field: "labels.unknown", Value: "x"}))
		require.Empty(t, collect(s.LeavingDevices, is("waits")))

		n, err := s.RejoinRollout(t.Context(), r.ID, []string{"away", "failed", "fresh", "repaired"}, after(time.Hour))
		require.NoError(t, err)
		require.Equal(t, 1, n)
		back := row(t, s, r, "repaired")
		require.Equal(t, deviceops.RolloutDevice{
			Rollout: r.ID, Device: "repaired", Account: "acme", Ring: 1, Status: deviceops.DevicePending, DueAt: after(time.Hour), AddedAt: after(time.Hour),
		}, back)
		require.Equal(t, deviceops.Counts{Targeted: 2, Pending: 2, Leased: 1, Excused: 2}, counts(t, s, r, 0))
		require.Equal(t, deviceops.Counts{Targeted: 1, Pending: 1}, counts(t, s, r, 1))
		require.Empty(t, collect(s.LeavingDevices, &deviceops.Filter{Op: deviceops.FilterAll}))

		held, err := s.HeldDevices(t.Context(), []string{"asked", "away", "repaired"}, "ro-none")
		require.NoError(t, err)
		require.Equal(t, map[string]string{"asked": "kiosk-2", "repaired": "kiosk-2"}, held)
		held, err = s.HeldDevices(t.Context(), []string{"asked"}, r.ID)
		require.NoError(t, err)
		require.Empty(t, held)
	})
}

// TestTargetDevicesGoesOnPage: more devices than one page come once each, in
// order.
func TestTargetDevicesGoesOnPage(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	for _, n := range []int{1999, 2000, 2001} {
		ids := names(fmt.Sprintf("p%d-", n), n)
		registered(t, s, ids...)
		f := deviceops.Filter{Op: deviceops.FilterPrefix, Field: "id", Value: fmt.Sprintf("p%d-", n)}
		require.Equal(t, ids, targets(t, s, "acme", &f))
	}
}

func TestFiltersThatCannotBeSaid(t *testing.T) {
	t.Parallel()
	s := postgrestest.New(t)
	eq := func(field string, v any) deviceops.Filter {
		return deviceops.Filter{Op: deviceops.FilterEq, Field: field, Value: v}
	}
	for text, f := range map[string]deviceops.Filter{
		`asks "==" of the field "colour"`:           eq("colour", "red"),
		`asks "==" of the field "last_seen"`:        eq("last_seen", "x"),
		`asks "==" of the field "tags"`:             eq("tags", "x"),
		`asks "has" of the field "labels.site"`:     {Op: deviceops.FilterHas, Field: "labels.site", Value: "x"},
		`there is no filter "~"`:                    {Op: "~", Field: "id", Value: "x"},
		"negates 0 conditions":                      {Op: deviceops.FilterNot},
		`joins 1 conditions by "or"`:                {Op: deviceops.FilterOr, Args: []deviceops.Filter{eq("id", "x")}},
		"a value of type []string":                  eq("id", []string{"x"}),
		"a value of type <nil>":                     eq("labels.site", nil),
		"looks a value up in a string":              {Op: deviceops.FilterIn, Field: "id", Value: "x"},
		`the text "\x00", which cannot be stored`:   eq("id", "\x00"),
		`the text "\xff", which cannot be stored`:   eq("labels.\xff", "x"),
		"compares with NaN":                         eq("metrics.x", math.NaN()),
		"compares with a value of type map[string]": {Op: deviceops.FilterIn, Field: "id", Value: []any{map[string]any{}}},
	} {
		err := s.TargetDevices(t.Context(), "acme", &f, func(*deviceops.Device) error { return nil })
		requireCode(t, deviceops.EINVALID, err)
		require.ErrorContains(t, err, text)
	}
	injected := eq(`labels.' or true --`, `') or (1=1`)
	registered(t, s, "k1")
	require.Empty(t, targets(t, s, "acme", &injected))
}
