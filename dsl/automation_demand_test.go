package dsl

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestDemands(t *testing.T) {
	t.Parallel()
	for where, want := range map[string][]deviceops.Demand{
		`event.data.code == 7`:                      {{Path: []string{"data", "code"}, Value: int64(7)}},
		`-1.5 == event.data?.at["a.b"]`:             {{Path: []string{"data", "at", "a.b"}, Value: -1.5}},
		`event.device == "k1" && device.zone != ""`: {{Path: []string{"device"}, Value: "k1"}},
		`event.data.code == 7 || event.data.x == 1`: nil,
		`event.data.code != 7`:                      nil,
		`event.data.code == nil`:                    nil,
		`event.data.code == event.data.other`:       nil,
		`!(event.data.code == 7)`:                   nil,
		`device.labels.site == "x"`:                 nil,
		`(event.data.code ?? 7) == 7`:               nil,
	} {
		require.Equal(t, want, wheres(t, where)[0].Demands, where)
	}
}

// wheres gives automations that hear the type x under conditions.
func wheres(t *testing.T, conditions ...string) (all []*deviceops.Automation) {
	t.Helper()
	for _, where := range conditions {
		a := automationOf(t, "automation: a\ntrigger:\n  event: x\n  where: |\n    "+where+"\nrun: w@latest\n")
		all = append(all, new(a.Rules()))
	}
	return all
}

// TestListenersLeaveOutOnlyWhatDenies compares what an event finds with asking every
// automation, over values that are equal in odd ways, or nearly.
func TestListenersLeaveOutOnlyWhatDenies(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	one := func(of ...string) string { return of[random.IntN(len(of))] }
	part := func() string {
		path := one("event.data.code", `event.data.deep["$stored"].type`, "event.data?.code", "event.data.kind", "event.data.deep?.code", "event.device", `event["severity"]`, "event.data")
		constant := one("0", "7", "-7", "7.0", "7.5", "0.0", "-0.0", `"7"`, `""`, `"k1"`, "true", "false", "9007199254740992", "9007199254740993", "9.3e18", "nil", "[7]")
		return one(path+" == "+constant, constant+" == "+path, path+" != "+constant, path+" in ["+constant+"]", `"a" in device.tags`)
	}
	var conditions []string
	for len(conditions) < 400 {
		where := part() + one(" && ", " && ", " || ") + part()
		if _, found := CompileAutomation("automation: a\ntrigger:\n  event: x\n  where: |\n    " + where + "\nrun: w@latest\n"); found.Err() == nil {
			conditions = append(conditions, where)
		}
	}
	automations := wheres(t, conditions...)
	listeners := deviceops.NewListeners(automations)

	values := []any{nil, int64(0), 0.0, int64(7), 7.0, 7.5, int64(-7), "7", "", "k1", true, false, int64(1<<53 + 1), float64(1 << 53), int64(9.2e18), 9.3e18,
		[]any{int64(7)}, map[string]any{"code": int64(7)}, deviceops.Stored{Ref: "r", Type: "map"}.Map(), strings.Repeat("7", 100_000)}
	value := func() any { return values[random.IntN(len(values))] }
	asked := 0
	for range 500 {
		e := deviceops.Event{Type: "x", Device: one("k1", "7", ""), Severity: one("k1", "7"), Data: map[string]any{}}
		for _, name := range []string{"code", "kind", "deep"} {
			if v := value(); v != nil || random.IntN(2) == 0 {
				e.Data[name] = v
			}
		}
		found := listeners.For(&e)
		asked += len(found)
		occasion := (&Catalog{}).Occasion(e, nil)
		for i, a := range automations {
			if !slices.Contains(found, a) {
				require.True(t, a.Rules.Denies(occasion), "%s is not asked about %v", conditions[i], e.Data)
			}
		}
	}
	require.Less(t, asked, 500*len(automations)*9/10, "hardly any are left out")
}

func TestListenersFindEachByTheRarestDemand(t *testing.T) {
	t.Parallel()
	automations := wheres(t,
		`event.severity == "error" && event.data.code == 1`, `event.severity == "error" && event.data.code == 2`, `event.severity == "error" && event.data.code == 3`,
		`event.data.code > 2`, `event.device == "k1"`)
	listeners := deviceops.NewListeners(automations)
	names := func(e deviceops.Event) (found []int) {
		for _, a := range listeners.For(&e) {
			found = append(found, slices.Index(automations, a))
		}
		return found
	}
	require.Equal(t, []int{3, 1}, names(deviceops.Event{Device: "k2", Severity: "error", Data: map[string]any{"code": int64(2)}}))
	require.Equal(t, []int{3, 4}, names(deviceops.Event{Device: "k1", Severity: "error", Data: map[string]any{"code": "none"}}))
	require.Equal(t, []int{3, 0, 1, 2}, names(deviceops.Event{Device: "k2"}), "without a value, all are asked")
	require.Empty(t, (*deviceops.Listeners)(nil).For(&deviceops.Event{}))
}

// TestListenersKeepThoseToWhichANoMatters: it breaks holds off.
func TestListenersKeepThoseToWhichANoMatters(t *testing.T) {
	t.Parallel()
	a := automationOf(t, "automation: a\ntrigger: { event: x, where: event.data.code == 7, for: 1m }\nrun: w@latest\n").Rules()
	require.NotEmpty(t, a.Demands)
	e := deviceops.Event{Type: "x", Data: map[string]any{"code": int64(8)}}
	require.Equal(t, []*deviceops.Automation{&a}, deviceops.NewListeners([]*deviceops.Automation{&a}).For(&e))
}
