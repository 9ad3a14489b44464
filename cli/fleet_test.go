package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func TestRenderFleetHealth(t *testing.T) {
	t.Parallel()
	berlin := deviceops.FleetCounts{Devices: 600, ByConnectivity: map[deviceops.Connectivity]int{deviceops.Online: 599, deviceops.Offline: 1}, ByWellness: map[deviceops.WellnessStatus]int{deviceops.Degraded: 12}}
	none := deviceops.FleetCounts{Devices: 400, ByConnectivity: map[deviceops.Connectivity]int{deviceops.Online: 200, deviceops.Unreachable: 200}}
	h := deviceops.FleetHealth{
		At: now, By: "label:site", ByState: map[deviceops.State]int{deviceops.Active: 990, deviceops.Quarantined: 10, deviceops.Retired: 5},
		All: deviceops.FleetCounts{
			Devices:        1000,
			ByConnectivity: map[deviceops.Connectivity]int{deviceops.Online: 799, deviceops.Offline: 1, deviceops.Unreachable: 200},
			ByWellness:     map[deviceops.WellnessStatus]int{deviceops.Well: 988, deviceops.Degraded: 12},
		},
		Groups:   []deviceops.FleetGroup{{Key: "berlin", FleetCounts: berlin}, {FleetCounts: none}},
		Troubles: []deviceops.FleetTrouble{{Kind: "unreachable", Devices: 200}, {Kind: "degraded", Detail: "disk", Devices: 12}},
		Versions: []deviceops.FleetVersion{{Component: "app", Version: "1.0", Devices: 1000}, {Component: "os", Version: "2.4", Devices: 750}, {Component: "os", Version: "2.3", Devices: 250}},
		Silent:   []deviceops.SilentDevice{{ID: "k1", Profile: "kiosk", Account: "acme", Connectivity: deviceops.Offline, LastSeen: now.Add(-9 * time.Hour)}},
	}
	drawn(t, `
1000 devices, 80 % of them online, at 2026-11-20 12:00:00 UTC

online       ██████████████████████████▍         799   80 %
offline      ▏                                     1   <1 %
unreachable  ██████▋                             200   20 %

well         ████████████████████████████████▋   988   99 %
degraded     ▍                                    12    1 %

states: active 990, quarantined 10, retired 5

LABEL:SITE  DEVICES  ONLINE         OFFLINE  UNREACHABLE  DEGRADED  FLAPPING
berlin      600      ███████ >99 %  1        0            12        0
(none)      400      ███▌    50 %   0        200          0         0

TROUBLE      DETAIL  DEVICES
unreachable  -       200
degraded     disk    12

COMPONENT  VERSION                   DEVICES
app        1.0      ███████████████  1000
os         2.4      ███████████▎     750
           2.3      ███▊             250

SILENT FOR LONGEST  PROFILE  ACCOUNT  CONNECTIVITY  SEEN
k1                  kiosk    acme     offline       9h ago
`, func(w *screen) { w.fleetHealth(h, 60) })
}

func TestRenderEmptyFleet(t *testing.T) {
	t.Parallel()
	drawn(t, "0 devices, 0 % of them online, at 2026-11-20 12:00:00 UTC\n", func(w *screen) { w.fleetHealth(deviceops.FleetHealth{At: now}, 60) })
}

func TestGaugesAreAsLongAsTheirShare(t *testing.T) {
	t.Parallel()
	for want, n := range map[string]int{"          ": 0, "▏         ": 1, "████▌     ": 450, "█████     ": 500, "█████████▉": 991, "██████████": 1000} {
		require.Equal(t, want, gauge(n, 1000, 10), "%d", n)
	}
	for want, n := range map[string]int{"0 %": 0, "<1 %": 9, "1 %": 10, "99 %": 990, ">99 %": 999, "100 %": 1000} {
		require.Equal(t, want, percent(n, 1000))
	}
	require.Equal(t, "0 %", percent(0, 0))
}
