package cli

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

func (a *app) devicesHealth() *cobra.Command {
	var f client.FleetQuery
	cmd := &cobra.Command{
		Use: "health", Short: "Sum up how the fleet does", Args: args(0, 0),
		Long: `How many devices can be reached and are well, as a whole and by group; what is
wrong with how many of them; which versions they run; and who has been silent
for longest. Retired devices are left out.

Wellness is what profiles say of it (docs/wellness.md). A device may have
several troubles: degraded, flapping, offline, unreachable (its gateway is
lost), quarantined, clock (it is wrong), configuration and software (it has not
got yet what it should have).`,
		Example: `  deviceops devices health
  deviceops devices health --by label:site --profile kiosk
  deviceops devices health --account acme/emea -o json`,
		RunE: a.remote(func(ctx context.Context, c *client.Client, _ []string) error {
			h, err := c.FleetHealth(ctx, f)
			if err != nil {
				return err
			}
			return a.show(h, func(w *screen) { w.fleetHealth(h, a.columns()) })
		}),
	}
	fleetFlags(cmd, &f)
	return cmd
}

func (w *screen) fleetHealth(h deviceops.FleetHealth, columns int) {
	online := h.All.ByConnectivity[deviceops.Online]
	w.line("%s, %s of them online, at %s UTC", counted(h.All.Devices, "device"), percent(online, h.All.Devices), h.At.UTC().Format(time.DateTime))
	if h.All.Devices == 0 {
		return
	}
	w.line("")
	w.bars(columns, h.All.Devices, slices.Concat(
		slicesOf(h.All.ByConnectivity, deviceops.Online, deviceops.Sleeping, deviceops.Offline, deviceops.Unreachable, deviceops.Never), []slice{{}},
		slicesOf(h.All.ByWellness, deviceops.Well, deviceops.Degraded, deviceops.Flapping)))
	w.line("")
	w.line("%s", statesText(h.ByState))
	w.fleetGroups(h, columns)
	w.troubles(h)
	w.versions(h, columns)
	w.silent(h)
}

// slice is a part of a fleet; one without a name is a gap.
type slice struct {
	name string
	n    int
}

// slicesOf lists counts in an order; what is not there is left out.
func slicesOf[K ~string](counts map[K]int, order ...K) []slice {
	var all []slice
	for _, name := range order {
		if n := counts[name]; n > 0 {
			all = append(all, slice{string(name), n})
		}
	}
	return all
}

// bars draws parts of a total below one another.
func (w *screen) bars(columns, total int, parts []slice) {
	names, digits := 0, len(fmt.Sprint(total))
	for _, p := range parts {
		names = max(names, utf8.RuneCountInString(p.name))
	}
	width := max(columns-names-digits-12, 10)
	for _, p := range parts {
		if p.name == "" {
			w.line("")
			continue
		}
		pad := strings.Repeat(" ", names-utf8.RuneCountInString(p.name))
		w.line("%s%s  %s  %*d  %5s", w.paint(p.name), pad, gauge(p.n, total, width), digits, p.n, percent(p.n, total))
	}
}

// eighths are the blocks of which a bar ends in one.
var eighths = []rune(" ▏▎▍▌▋▊▉")

// gauge draws n of total in a width, filled up with spaces. What is there is seen,
// however little it is.
func gauge(n, total, width int) string {
	if total <= 0 || n <= 0 {
		return strings.Repeat(" ", width)
	}
	parts := max(int(math.Round(float64(n)/float64(total)*float64(width)*8)), 1)
	text := strings.Repeat("█", parts/8)
	if rest := parts % 8; rest > 0 {
		text += string(eighths[rest])
	}
	return text + strings.Repeat(" ", width-utf8.RuneCountInString(text))
}

// percent tells a share; neither 0 nor 100 stands for almost.
func percent(n, total int) string {
	switch p := 100 * float64(n) / float64(max(total, 1)); {
	case n > 0 && p < 1:
		return "<1 %"
	case n < total && p > 99:
		return ">99 %"
	default:
		return fmt.Sprintf("%.0f %%", p)
	}
}

func statesText(byState map[deviceops.State]int) string {
	var parts []string
	for _, state := range deviceops.States() {
		if n := byState[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", state, n))
		}
	}
	return "states: " + strings.Join(parts, ", ")
}

func (w *screen) fleetGroups(h deviceops.FleetHealth, columns int) {
	if len(h.Groups) == 0 {
		return
	}
	rows := make([][]string, len(h.Groups))
	for i, g := range h.Groups {
		online := g.ByConnectivity[deviceops.Online]
		rows[i] = []string{
			groupName(g.Key, h.By), fmt.Sprint(g.Devices), gauge(online, g.Devices, columns/8) + " " + percent(online, g.Devices), fmt.Sprint(g.ByConnectivity[deviceops.Offline]),
			fmt.Sprint(g.ByConnectivity[deviceops.Unreachable]), fmt.Sprint(g.ByWellness[deviceops.Degraded]), fmt.Sprint(g.ByWellness[deviceops.Flapping]),
		}
	}
	defer w.moreGroups(h.More)
	w.line("")
	w.table([]string{groupHeader(h.By), "DEVICES", "ONLINE", "OFFLINE", "UNREACHABLE", "DEGRADED", "FLAPPING"}, rows)
}

func (w *screen) troubles(h deviceops.FleetHealth) {
	w.line("")
	if len(h.Troubles) == 0 {
		w.line("Nothing is wrong with any of them.")
		return
	}
	rows := make([][]string, len(h.Troubles))
	for i, t := range h.Troubles {
		rows[i] = []string{t.Kind, dash(t.Detail), fmt.Sprint(t.Devices)}
	}
	w.table([]string{"TROUBLE", "DETAIL", "DEVICES"}, rows)
}

func (w *screen) versions(h deviceops.FleetHealth, columns int) {
	if len(h.Versions) == 0 {
		return
	}
	totals := map[string]int{}
	for _, v := range h.Versions {
		totals[v.Component] += v.Devices
	}
	var rows [][]string
	for i, v := range h.Versions {
		component := v.Component
		if i > 0 && h.Versions[i-1].Component == component {
			component = ""
		}
		rows = append(rows, []string{component, v.Version, gauge(v.Devices, totals[v.Component], columns/4), fmt.Sprint(v.Devices)})
	}
	w.line("")
	w.table([]string{"COMPONENT", "VERSION", "", "DEVICES"}, rows)
}

func (w *screen) silent(h deviceops.FleetHealth) {
	if len(h.Silent) == 0 {
		return
	}
	rows := make([][]string, len(h.Silent))
	for i, d := range h.Silent {
		rows[i] = []string{d.ID, dash(d.Profile), d.Account, string(d.Connectivity), w.when(d.LastSeen)}
	}
	w.line("")
	w.table([]string{"SILENT FOR LONGEST", "PROFILE", "ACCOUNT", "CONNECTIVITY", "SEEN"}, rows)
}
