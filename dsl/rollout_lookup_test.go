package dsl

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// published is what manifests are looked up in.
func published(t *testing.T) Options {
	t.Helper()
	kiosk, found := CompileProfile("profile: kiosk\ncommands: { reboot: { args: { mode: { enum: [soft, hard] } } } }\nmetrics: { battery_pct: number }\n")
	require.NoError(t, found.Err())
	repair, found := Compile("workflow: repair\nversion: 2\ninputs: { device: device kiosk, mode: string }\nsteps: [ { command: reboot, device: '${{ inputs.device }}', with: { mode: '${{ inputs.mode }}' } } ]\n")
	require.NoError(t, found.Err())
	releases := map[string]*deviceops.Release{
		"kiosk-os@2.4.0": {Project: "kiosk-os", Version: "2.4.0", Reversible: true},
		"kiosk-os@3.0.0": {Project: "kiosk-os", Version: "3.0.0"},
	}
	return Options{
		Profile: func(name string) *deviceops.Profile { return map[string]*deviceops.Profile{"kiosk": kiosk}[name] },
		Release: func(ref deviceops.ReleaseRef) *deviceops.Release { return releases[ref.String()] },
		Workflow: func(name string, version int) *Program {
			return map[string]*Program{"repair@0": repair, "repair@2": repair}[sprintf("%s@%d", name, version)]
		},
		Calendar: func(name string) *deviceops.Calendar {
			return map[string]*deviceops.Calendar{"peaks": {Name: "peaks"}}[name]
		},
	}
}

const lookedUp = `rollout: lookups
change: { release: kiosk-os@2.5.0 }
targets: device.profile == "kiosk"
on_fail: rollback
calendars: [peaks, fairs, holidays]
---
rollout: one-way
change: { release: kiosk-os@3.0.0 }
targets: device.profile == "kiosk"
on_fail: rollback-all
---
rollout: commands
change: { command: { name: reboot, args: { how: soft } } }
targets: device.profile == "kiosk" && device.metrics.battery > 20
---
rollout: workflows
change: { workflow: repair@3 }
targets: device.profile == "kiosk"
---
rollout: inputs
change: { workflow: repair@latest, inputs: { mode: 3 } }
targets: device.profile == "kiosk"
---
calendar: fairs
blackout: [ { from: 2026-11-27, to: 2026-11-30 } ]
`

const lookedUpFound = `r.yaml:2:20: error: there is no release kiosk-os@2.5.0 [unknown-name]
  2 | change: { release: kiosk-os@2.5.0 }
    |                    ^^^^^^^^^^^^^^
fix: create it, or put it into this file

r.yaml:5:27: error: there is no calendar "holidays" [unknown-name]
  5 | calendars: [peaks, fairs, holidays]
    |                           ^^^^^^^^
fix: publish the calendar, or put it into this file

r.yaml:10:10: error: the release kiosk-os@3.0.0 says that devices cannot go back from it [irreversible]
  10 | on_fail: rollback-all
     |          ^^^^^^^^^^^^
fix: write on_fail: pause or on_fail: stop

r.yaml:13:28: error: the command reboot needs the argument "mode" [missing-argument]
  13 | change: { command: { name: reboot, args: { how: soft } } }
     |                            ^^^^^^
fix: add it below args:

r.yaml:13:44: error: the command reboot has no argument "how" [unknown-argument]
  13 | change: { command: { name: reboot, args: { how: soft } } }
     |                                            ^^^
fix: use one of mode

r.yaml:14:54: error: there is no "battery" here [unknown-name]
  14 | targets: device.profile == "kiosk" && device.metrics.battery > 20
     |                                                      ^^^^^^^
fix: use battery_pct

r.yaml:17:21: error: there is no workflow repair@3 [unknown-name]
  17 | change: { workflow: repair@3 }
     |                     ^^^^^^^^
fix: publish the workflow, or put it into this file

r.yaml:21:52: error: the input "mode" of the workflow repair: the number 3 is given where a string is needed [bad-argument]
  21 | change: { workflow: repair@latest, inputs: { mode: 3 } }
     |                                                    ^
`

// What a manifest names is looked up, where somebody can tell what there is.
func TestRolloutsAreLookedUp(t *testing.T) {
	t.Parallel()
	_, found := CheckFile("r.yaml", lookedUp, published(t))
	var got strings.Builder
	require.NoError(t, WriteText(&got, found))
	require.Equal(t, lookedUpFound, got.String())

	const own = "---\nrelease: kiosk-os@2.5.0\nreversible: false\nconfiguration: { brightness: 80 }\n"
	_, found = CheckFile("r.yaml", lookedUp+own, Options{})
	require.Equal(t, []string{"irreversible"}, codes(found), "what is in the file is known anyway")
	require.Equal(t, 4, found[0].Line)

	_, found = CheckFile("r.yaml", lookedUp, Options{})
	require.Empty(t, found, "nothing can be said of what is not known")
}

func TestRolloutsThatFindEverything(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"a release, and a way back":   "change: { release: kiosk-os@2.4.0 }\non_fail: rollback\ncalendars: [peaks]",
		"a release without a way":     "change: { release: kiosk-os@3.0.0 }\non_fail: stop",
		"a command with its argument": "change: { command: { name: reboot, args: { mode: hard } } }",
		"a reserved command":          "change: { command: { name: collect, args: { what: logs } } }",
		"a workflow":                  "change: { workflow: repair@2, inputs: { mode: soft } }",
	} {
		spec, found := CompileRollout("r.yaml", "rollout: r\ntargets: device.profile == \"kiosk\"\n"+source+"\n", published(t))
		require.Empty(t, found, name)
		require.NotNil(t, spec, name)
	}
}

// A release that nobody vouches for any more, and devices that cannot be told the
// change, are found before anything begins.
func TestRolloutsThatCannotReachTheirDevices(t *testing.T) {
	t.Parallel()
	opts := published(t)
	sensor, found := CompileProfile("profile: sensor\nmetrics: { temp_c: number }\ntranslate:\n  - on: acme/{device}/telemetry\n    metrics: { temp_c: payload.t }\n")
	require.NoError(t, found.Err())
	opts.Profile = func(string) *deviceops.Profile { return sensor }
	for _, change := range []string{"release: kiosk-os@2.4.0", "config: { every: 5 }"} {
		_, found := CompileRollout("r.yaml", "rollout: r\nchange: { "+change+" }\ntargets: device.profile == \"sensor\"\n", opts)
		require.Equal(t, []string{"unknown-command"}, codes(found))
		require.Contains(t, found[0].Message, "devices of profile sensor have topics of their own")
	}

	opts = published(t)
	opts.Trusted = func(r *deviceops.Release) error {
		return deviceops.Errorf(deviceops.EFORBIDDEN, "%s was signed by key 01, which was removed", r.Ref())
	}
	_, found = CompileRollout("r.yaml", "rollout: r\nchange: { release: kiosk-os@2.4.0 }\ntargets: device.profile == \"kiosk\"\n", opts)
	require.Equal(t, []string{"untrusted"}, codes(found))
	require.Equal(t, "kiosk-os@2.4.0 was signed by key 01, which was removed", found[0].Message)
}
