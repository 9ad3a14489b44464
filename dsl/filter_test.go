package dsl

import (
	"testing"

	"github.com/expr-lang/expr/types"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// filterText writes a filter on one line.
func filterText(f *deviceops.Filter) string {
	if f == nil {
		return "-"
	}
	switch f.Op {
	case deviceops.FilterAll:
		return "all"
	case deviceops.FilterAnd, deviceops.FilterOr, deviceops.FilterNot:
		text := string(f.Op) + "("
		for i := range f.Args {
			if i > 0 {
				text += ", "
			}
			text += filterText(&f.Args[i])
		}
		return text + ")"
	case deviceops.FilterPresent, deviceops.FilterTrue:
		return f.Field + " " + string(f.Op)
	}
	return f.Field + " " + string(f.Op) + " " + formatJSON(f.Value)
}

// What the database makes of filters is compared with expressions in package
// postgres.
func TestFilterOf(t *testing.T) {
	t.Parallel()
	facts := map[string]any{"release": map[string]any{"project": "kiosk-os", "version": "2.4.0"}}
	sc := newScope(types.Map{"device": deviceType(nil), "release": types.Map{"project": types.String, "version": types.String}})
	for source, want := range map[string][2]string{
		`device.profile == "kiosk" && device.state == "active"`:    {`and(profile == "kiosk", state == "active")`},
		`device.state == "active" && (true || device.id != "x")`:   {`and(state == "active", or(all, id != "x"))`},
		`(device.id == "a" or device.id == "b") or false`:          {`or(id == "a", id == "b", not(all))`},
		`not (30 < device.metrics.battery)`:                        {`not(metrics.battery > 30)`},
		`10 < device.metrics.battery < 90`:                         {`and(metrics.battery > 10, metrics.battery < 90)`},
		`device.wellness in ["well", "flapping"]`:                  {`wellness in ["well","flapping"]`},
		`device.attributes.level >= -2.5`:                          {`attributes.level >= -2.5`},
		`device.labels.site in ["b1", "b2"]`:                       {`labels.site in ["b1","b2"]`},
		`device.labels["a.b"] not in []`:                           {`not(labels.a.b in [])`},
		`"canary" in device.tags`:                                  {`tags has "canary"`},
		`"site" in device.labels`:                                  {`labels.site present`},
		`device.labels?.site startsWith "b"`:                       {`labels.site prefix "b"`},
		`device.reported.software.os == nil`:                       {`not(reported.software.os present)`},
		`nil != device.last_seen`:                                  {`last_seen present`},
		`device.metrics.in_use`:                                    {`metrics.in_use true`},
		`!(device.metrics.in_use ?? false)`:                        {`not(and(metrics.in_use present, metrics.in_use true))`},
		`(device.metrics.battery ?? 100) > 30`:                     {`or(not(metrics.battery present), metrics.battery > 30)`},
		`(device.labels.site ?? "") == "b1"`:                       {`and(labels.site present, labels.site == "b1")`},
		`(device.metrics.battery ?? "none") > 30`:                  {`metrics.battery > 30`},
		`device.reported.software.os == release.version`:           {`reported.software.os == "2.4.0"`},
		`release.project != device.labels.project`:                 {`labels.project != "kiosk-os"`},
		`device.attributes.net.ip == "10.0.0.1"`:                   {"-", "-"},
		`device.attributes["net"]["ip"] == nil`:                    {"-", "-"},
		`device.last_seen < "2026"`:                                {"-", "-"},
		`device.labels.site endsWith "1"`:                          {"-", "-"},
		`"x" in device.attributes`:                                 {"-", "-"},
		`device.labels.site == device.zone`:                        {"-", "-"},
		`device.labels.site == "` + "\\x00" + `"`:                  {"-", "-"},
		`any(device.tags, # startsWith "a") && device.id == "x"`:   {"-", `id == "x"`},
		`device.id > "a" && len(device.tags) > 1 && !false`:        {"-", `and(id > "a", not(not(all)))`},
		`device.id == "x" || any(device.tags, # startsWith "a")`:   {"-", "-"},
		`device.state == "active" ? device.id == "x" : true`:       {"-", "-"},
		`-device.metrics.battery < 1`:                              {"-", "-"},
		`device.metrics.battery + 1 < 30 && device.zone == "Asia"`: {"-", `zone == "Asia"`},
	} {
		_, problems := compileExpression(source, sc, wantPredicate)
		require.Empty(t, problems, source)
		if want[1] == "" {
			want[1] = want[0]
		}
		exact, narrow := filterOf(source, facts)
		require.Equal(t, want[0], filterText(exact), source)
		require.Equal(t, want[1], filterText(narrow), source)
	}
}
