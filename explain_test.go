package deviceops_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestExplainDevice(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	online := deviceops.Session{Connectivity: deviceops.Online, HelloAt: ago(time.Hour)}
	active := deviceops.Device{ID: "k1", Profile: "kiosk", State: deviceops.Active, Session: online}
	in := func(s deviceops.State, session deviceops.Session) deviceops.Device {
		return deviceops.Device{ID: "k1", Profile: "kiosk", State: s, StateSince: ago(time.Hour), Session: session}
	}
	with := func(d deviceops.Device, change func(*deviceops.Device)) deviceops.Device {
		change(&d)
		return d
	}
	never := deviceops.Session{Connectivity: deviceops.Never}

	for name, c := range map[string]struct {
		facts deviceops.ExplainFacts
		want  []string // "for: text", in order
	}{
		"nothing": {deviceops.ExplainFacts{Device: active, HasProfile: true}, nil},
		"degraded and flapping": {
			deviceops.ExplainFacts{HasProfile: true, Device: with(active, func(d *deviceops.Device) {
				d.Wellness = deviceops.Wellness{Status: deviceops.Degraded, DegradedSince: ago(3 * time.Hour), Because: []string{"disk", "crashes"}, FlappingSince: ago(10 * time.Minute)}
			})},
			[]string{
				"recovery: it has been degraded for 3 h: disk, crashes",
				"calm: its connection has been lost and found again and again for 10 min; automations are not told each time",
			},
		},
		"held by rollouts": {
			deviceops.ExplainFacts{HasProfile: true, Device: active, Rollouts: []deviceops.ExplainRolloutFacts{
				{
					Rollout: deviceops.Rollout{Name: "night-mode", Status: deviceops.RolloutRunning},
					Row: &deviceops.RolloutDevice{Device: "k1", Status: deviceops.DevicePending, Wait: &deviceops.RolloutWait{
						Kind: deviceops.WaitConflict, Text: "rollout ro-1 holds it", Since: ago(time.Minute),
					}},
				},
				{
					Rollout: deviceops.Rollout{Name: "os-2", Status: deviceops.RolloutRunning},
					Row:     &deviceops.RolloutDevice{Device: "k1", Status: deviceops.DeviceAccepted, Phase: "installing", Percent: 40, SentAt: ago(time.Minute)},
				},
			}},
			[]string{"rollout: rollout night-mode: rollout ro-1 holds it", "rollout: rollout os-2: it is at it: installing, 40 %"},
		},
		"never seen, with claim": {
			deviceops.ExplainFacts{HasProfile: true, Device: with(in(deviceops.Escrow, never), func(d *deviceops.Device) { d.ClaimHash = "x" })},
			[]string{"hello: it waits for its first hello, with the claim that was registered"},
		},
		"never seen, without claim": {
			deviceops.ExplainFacts{HasProfile: true, Device: in(deviceops.Escrow, never)},
			[]string{"hello: it waits for its first hello; no claim was registered for it"},
		},
		"held in escrow": {
			deviceops.ExplainFacts{HasProfile: true, Device: with(in(deviceops.Escrow, online), func(d *deviceops.Device) { d.StateReason = "install failed" })},
			[]string{"admission: it is not admitted: install failed"},
		},
		"seen, in escrow": {
			deviceops.ExplainFacts{HasProfile: true, Device: in(deviceops.Escrow, online)},
			[]string{"claim: it said hello and is not admitted yet"},
		},
		"discovered": {
			deviceops.ExplainFacts{Device: with(in(deviceops.Discovered, online), func(d *deviceops.Device) { d.Session.Presented.Profile = "kiosk" })},
			[]string{"admission: nobody registered it; it says that it is a kiosk with serial (not given)"},
		},
		"quarantined": {
			deviceops.ExplainFacts{HasProfile: true, Device: with(in(deviceops.Quarantined, online), func(d *deviceops.Device) { d.StateReason = "wrong claim" })},
			[]string{"admission: it was quarantined: wrong claim"},
		},
		"maintenance": {
			deviceops.ExplainFacts{HasProfile: true, Device: in(deviceops.Maintenance, online)},
			[]string{"release: it is in maintenance"},
		},
		"retired": {deviceops.ExplainFacts{Device: in(deviceops.Retired, deviceops.Session{Connectivity: deviceops.Offline, HelloAt: now})}, nil},
		"no profile": {
			deviceops.ExplainFacts{Device: active},
			[]string{`profile: its profile "kiosk" is not published`},
		},
		"broken profile": {
			deviceops.ExplainFacts{Device: active, ProfileFault: "line 3"},
			[]string{"profile: its profile kiosk cannot be used: line 3"},
		},
		"provisioning": {
			deviceops.ExplainFacts{
				HasProfile: true, Device: in(deviceops.Provisioning, online),
				Provision: &deviceops.ProvisionPhase{Phase: "install", WaitsFor: "the command install"},
			},
			[]string{"provisioning: provisioning is at install and waits for the command install"},
		},
		"provisioning, nobody answers": {
			deviceops.ExplainFacts{HasProfile: true, Device: in(deviceops.Provisioning, online)},
			[]string{"provisioning: it is to be provisioned and no workflow answers for it"},
		},
		"approval": {
			deviceops.ExplainFacts{HasProfile: true, Device: active, Approvals: []deviceops.Approval{{ID: "r/ok", Question: "Reboot?", By: []string{"role:operator", "user:maria"}}}},
			[]string{"approval: approval r/ok is open: Reboot? (may decide: role:operator, user:maria)"},
		},
		"offline": {
			deviceops.ExplainFacts{HasProfile: true, Device: in(deviceops.Active, deviceops.Session{Connectivity: deviceops.Offline, HelloAt: now, Since: ago(3 * time.Hour)})},
			[]string{"connection: it has been offline for 3 h"},
		},
		"sleeping": {
			deviceops.ExplainFacts{HasProfile: true, Device: in(deviceops.Active, deviceops.Session{Connectivity: deviceops.Sleeping, HelloAt: now, WakeAt: now.Add(time.Hour)})},
			[]string{"wake: it sleeps until 2026-11-20T13:00:00Z"},
		},
		"unreachable": {
			deviceops.ExplainFacts{HasProfile: true, Device: with(in(deviceops.Active, deviceops.Session{Connectivity: deviceops.Unreachable, HelloAt: now}), func(d *deviceops.Device) { d.Parent = "gw1" })},
			[]string{"connection: it cannot be reached because its gateway gw1 is lost"},
		},
		"drift": {
			deviceops.ExplainFacts{HasProfile: true, Device: with(active, func(d *deviceops.Device) {
				d.Twin.Desired = deviceops.Desired{Version: 3, Software: map[string]string{"os": "2", "app": "1"}}
				d.Twin.Reported = deviceops.Reported{ConfigVersion: 2, Software: map[string]string{"app": "1"}}
			})},
			[]string{"configuration: its configuration is at version 2 and should be at 3", "software: its os is at (not given) and should be at 2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := deviceops.ExplainDevice(c.facts, now)
			var got []string
			for _, w := range x.Waits {
				got = append(got, w.For+": "+w.Text)
			}
			require.Equal(t, c.want, got)
			require.True(t, strings.HasPrefix(x.Summary, "k1 is "), x.Summary)
			if len(c.want) == 0 {
				require.Contains(t, x.Summary, "waits for nothing")
			}
		})
	}
}

func TestExplainCommands(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	command := func(id, name string, status deviceops.CommandStatus, change func(*deviceops.Command)) deviceops.Command {
		c := deviceops.Command{ID: id, Name: name, Status: status, SentAt: now.Add(-10 * time.Second), DueAt: now}
		if change != nil {
			change(&c)
		}
		return c
	}
	exclusive := func(c *deviceops.Command) { c.Exclusive = true }
	for name, c := range map[string]struct {
		connectivity deviceops.Connectivity
		commands     []deviceops.Command
		want         []string
	}{
		"offline": {deviceops.Offline, []deviceops.Command{command("c1", "reboot", deviceops.CommandPending, nil)},
			[]string{"command reboot (c1) waits because the device is offline"}},
		"behind another": {deviceops.Online, []deviceops.Command{
			command("c1", "install", deviceops.CommandAccepted, func(c *deviceops.Command) {
				c.Exclusive, c.Phase, c.Percent = true, "downloading", 40
			}),
			command("c2", "reboot", deviceops.CommandPending, exclusive),
			command("c3", "ping", deviceops.CommandPending, nil),
		}, []string{
			"command install (c1) is under way: downloading, 40 %",
			"command reboot (c2) waits behind install (c1): neither may overlap with another",
			"command ping (c3) is about to be sent",
		}},
		"deferred": {deviceops.Online, []deviceops.Command{command("c1", "install", deviceops.CommandDeferred, func(c *deviceops.Command) {
			c.DueAt, c.Phase = now.Add(time.Hour), "customer is using it"
		})}, []string{"command install (c1) was deferred by the device until 2026-11-20T13:00:00Z: customer is using it"}},
		"not due": {deviceops.Online, []deviceops.Command{command("c1", "reboot", deviceops.CommandPending, func(c *deviceops.Command) { c.DueAt = now.Add(time.Hour) })},
			[]string{"command reboot (c1) is not due before 2026-11-20T13:00:00Z"}},
		"silent": {deviceops.Online, []deviceops.Command{command("c1", "reboot", deviceops.CommandSent, nil)},
			[]string{"command reboot (c1) was sent less than a minute ago and is not answered yet"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := deviceops.ExplainDevice(deviceops.ExplainFacts{
				Device:     deviceops.Device{ID: "k1", State: deviceops.Active, Session: deviceops.Session{Connectivity: c.connectivity}},
				HasProfile: true, Commands: c.commands,
			}, now)
			require.Equal(t, c.want, waitTexts(x))
		})
	}
}

func waitTexts(x deviceops.Explanation) (texts []string) {
	for _, w := range x.Waits {
		texts = append(texts, w.Text)
	}
	return texts
}

func TestExplainCommandsThatWaitForTheFamily(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	explain := func(by string) []string {
		return waitTexts(deviceops.ExplainDevice(deviceops.ExplainFacts{
			Device:     deviceops.Device{ID: "k1", Parent: "gw1", State: deviceops.Active, Session: deviceops.Session{Connectivity: deviceops.Online}},
			HasProfile: true, FamilyBy: by,
			Commands: []deviceops.Command{
				{ID: "c1", Name: "ping", Status: deviceops.CommandPending}, {ID: "c2", Name: "reboot", Status: deviceops.CommandPending, Exclusive: true},
			},
		}, now))
	}
	const ping = "command ping (c1) is about to be sent"
	require.Equal(t, []string{ping, "command reboot (c2) is about to be sent"}, explain(""))
	require.Equal(t, []string{ping, "command reboot (c2) waits until a rollout is done with its gateway gw1"}, explain("gw1"))
	require.Equal(t, []string{ping, "command reboot (c2) waits until a rollout is done with meter-7, which is behind it"}, explain("meter-7"))
}

func TestRegisterRequest(t *testing.T) {
	t.Parallel()
	good := deviceops.RegisterRequest{ID: "k1", Profile: "kiosk", Tags: []string{"b", "a", "b"}, Claim: "s3cret"}
	row, err := good.Registration("acme")
	require.NoError(t, err)
	require.Equal(t, deviceops.Registration{
		ID: "k1", Account: "acme", Serial: "k1", Profile: "kiosk", Tags: []string{"a", "b"}, ClaimHash: deviceops.HashClaim("k1", "s3cret"),
	}, row)

	for name, change := range map[string]func(*deviceops.RegisterRequest){
		"id":      func(r *deviceops.RegisterRequest) { r.ID = "a/b" },
		"stats":   func(r *deviceops.RegisterRequest) { r.ID = "stats" },
		"account": func(r *deviceops.RegisterRequest) { r.Account = "acme//x" },
		"profile": func(r *deviceops.RegisterRequest) { r.Profile = "" },
		"serial":  func(r *deviceops.RegisterRequest) { r.Serial = strings.Repeat("s", 129) },
		"parent":  func(r *deviceops.RegisterRequest) { r.Parent = "k1" },
		"tag":     func(r *deviceops.RegisterRequest) { r.Tags = []string{"a,b"} },
		"place":   func(r *deviceops.RegisterRequest) { r.Place = &deviceops.Place{Latitude: 91} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := good
			change(&bad)
			_, err := bad.Registration("acme")
			require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
		})
	}
}
