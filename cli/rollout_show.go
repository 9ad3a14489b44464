package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/deviceops/deviceops"
)

func (w *screen) rollouts(rollouts []deviceops.Rollout) {
	rows := make([][]string, len(rollouts))
	for i, r := range rollouts {
		rows[i] = []string{r.Name, string(r.Kind), string(r.Status), w.when(r.CreatedAt), w.took(r.StartedAt, r.FinishedAt), r.CreatedBy, cut(r.StatusReason, 60)}
	}
	w.table([]string{"NAME", "CHANGE", "STATUS", "CREATED", "TOOK", "BY", "REASON"}, rows)
}

// rollout shows all that there is to see of a rollout: the same picture by show
// and, drawn again and again, by watch.
func (w *screen) rollout(r deviceops.RolloutReport) {
	w.rolloutHead(r)
	w.line("")
	w.rings(r.Rollout.Rings)
	w.gates(r)
	w.rolloutWaits(r.Waits)
	w.rolloutErrors(r)
	w.rolloutApprovals(r)
}

func (w *screen) rolloutHead(r deviceops.RolloutReport) {
	x := r.Rollout
	next := r.Next
	if next == x.StatusReason {
		next = "" // it stands there already
	}
	if next != "" && !r.NextAt.IsZero() {
		next += ", " + w.when(r.NextAt)
	}
	w.fields(
		"rollout", x.Name, "id", x.ID, "change", cmp.Or(r.Change, string(x.Kind)), "status", string(x.Status), "because", x.StatusReason,
		"since", w.when(x.StatusSince)+by(x.StatusBy), "takes back", x.RollbackOf, "taken back by", x.Rollback,
		"limits", fmt.Sprintf("%d in flight, %s", x.Limits.InFlight, perMinute(r.PerMinute)),
		"created", w.when(x.CreatedAt)+by(x.CreatedBy), "reason", x.Reason, "took", w.took(x.StartedAt, x.FinishedAt), "next", next,
	)
}

func by(who string) string {
	if who == "" {
		return ""
	}
	return " by " + who
}

// barWidth is the width of a progress bar, in characters.
const barWidth = 20

// bar draws how far a ring is: done well, done badly, under way, to come.
func (w *screen) bar(c deviceops.Counts) string {
	parts := []struct {
		n    int
		mark string
		tint color
	}{
		{c.Succeeded - c.Unhealthy, "█", green}, {c.Finished() - c.Succeeded + c.Unhealthy, "▒", red}, {c.InFlight() + c.Deferred, "▓", yellow},
	}
	var b strings.Builder
	total, drawn, sum := max(c.Targeted, 1), 0, 0
	for _, part := range parts {
		sum += part.n
		width := sum*barWidth/total - drawn
		if part.n > 0 && width == 0 && drawn < barWidth {
			width = 1 // one device of ten thousand is seen, too
		}
		width = min(max(width, 0), barWidth-drawn)
		drawn += width
		b.WriteString(w.tint(strings.Repeat(part.mark, width), part.tint))
	}
	return b.String() + strings.Repeat("░", barWidth-drawn)
}

func (w *screen) tint(text string, c color) string {
	if !w.colors || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// rings shows how far the rings are, in at most 80 columns unless their numbers are
// large: each with its counts, and below them a bar and the words of the engine.
func (w *screen) rings(rings []deviceops.Ring) {
	rows := make([][]string, len(rings))
	for i, r := range rings {
		c := r.Counts
		bad := fmt.Sprint(c.Failed + c.Rejected + c.TimedOut)
		rows[i] = []string{
			r.Name, string(r.Status), fmt.Sprintf("%d/%d", c.Finished(), c.Targeted), fmt.Sprint(c.InFlight()), fmt.Sprint(c.Succeeded),
			fmt.Sprint(c.Unhealthy), bad, fmt.Sprint(c.Deferred), fmt.Sprint(c.Excused + c.Canceled), w.took(r.OpenedAt, r.ClosedAt),
		}
	}
	table := screen{colors: w.colors, now: w.now}
	table.table([]string{"RING", "STATUS", "DONE", "BUSY", "OK", "UNWELL", "FAILED", "LATER", "OUT", "TOOK"}, rows)
	for i, line := range strings.Split(strings.TrimRight(table.String(), "\n"), "\n") {
		w.line("%s", line)
		if i > 0 {
			w.line("  %s", strings.TrimRight(w.bar(rings[i-1].Counts)+columnGap+cut(rings[i-1].Reason, detailWidth), " "))
		}
	}
}

// gates shows the terms of the gates with what they are and what they would have
// to be.
func (w *screen) gates(r deviceops.RolloutReport) {
	var rows [][]string
	for _, g := range r.Gates {
		name := ""
		if g.Ring < len(r.Rollout.Rings) {
			name = r.Rollout.Rings[g.Ring].Name
		}
		for _, part := range []struct {
			word  string
			terms []deviceops.GateTerm
		}{{"fails when", g.Fail.Terms}, {"passes when", g.Pass.Terms}} {
			for _, t := range part.terms {
				rows = append(rows, []string{name, part.word, t.Text, gateNumber(t.Value), t.Op, gateNumber(t.Threshold), t.Verdict.String()})
			}
		}
	}
	if len(rows) > 0 {
		w.line("")
		w.table([]string{"GATE", "", "OF", "IS", "", "LIMIT", "HOLDS"}, rows)
	}
}

func gateNumber(n *float64) string {
	if n == nil {
		return "?"
	}
	return fmt.Sprintf("%.4g", *n)
}

func (w *screen) rolloutWaits(waits map[deviceops.WaitKind]int) {
	if len(waits) == 0 {
		return
	}
	kinds := slices.SortedFunc(maps.Keys(waits), func(a, b deviceops.WaitKind) int {
		return cmp.Or(cmp.Compare(waits[b], waits[a]), cmp.Compare(a, b))
	})
	parts := make([]string, len(kinds))
	for i, kind := range kinds {
		parts[i] = fmt.Sprintf("%d for %s", waits[kind], waitWords[kind])
	}
	w.line("")
	w.line("waiting  %s", strings.Join(parts, ", "))
}

// waitWords say what devices wait for, after "for".
var waitWords = map[deviceops.WaitKind]string{
	deviceops.WaitRing: "their ring", deviceops.WaitApproval: "an approval", deviceops.WaitStart: "the start", deviceops.WaitPaused: "resume",
	deviceops.WaitFreeze: "thaw", deviceops.WaitRate: "the rate limit", deviceops.WaitInFlight: "others in flight", deviceops.WaitOffline: "their connection",
	deviceops.WaitSleep: "their wake", deviceops.WaitWindow: "their maintenance window", deviceops.WaitBudget: "the budget of their group",
	deviceops.WaitReady: "being ready", deviceops.WaitLock: "another command", deviceops.WaitConflict: "another rollout",
	deviceops.WaitFamily: "their gateway or its devices", deviceops.WaitRetry: "their next try", deviceops.WaitDeferred: "the time that they asked for",
}

func (w *screen) rolloutErrors(r deviceops.RolloutReport) {
	if len(r.Errors) == 0 {
		return
	}
	rows := make([][]string, len(r.Errors))
	for i, e := range r.Errors {
		ring := fmt.Sprint(e.Ring)
		if e.Ring < len(r.Rollout.Rings) {
			ring = r.Rollout.Rings[e.Ring].Name
		}
		rows[i] = []string{fmt.Sprint(e.Count), ring, string(e.Status), e.Code, e.Example, cut(e.Message, 70)}
	}
	w.line("")
	w.table([]string{"DEVICES", "RING", "STATUS", "ERROR", "SUCH AS", "WHICH SAYS"}, rows)
}

func (w *screen) rolloutApprovals(r deviceops.RolloutReport) {
	for _, a := range r.Approvals {
		w.line("")
		w.line("%s (asks %s)", a.Question, strings.Join(a.By, ", "))
		w.line("  deviceops approvals approve %s, or reject", a.ID)
	}
}

func (w *screen) rolloutDevices(devices []deviceops.RolloutDevice, rings []deviceops.Ring) {
	rows := make([][]string, len(devices))
	for i, d := range devices {
		ring := fmt.Sprint(d.Ring)
		if d.Ring < len(rings) {
			ring = rings[d.Ring].Name
		}
		rows[i] = []string{d.Device, ring, string(d.Status), fmt.Sprint(d.Attempt), w.when(d.SentAt), w.took(d.SentAt, d.EndedAt), cut(deviceNote(d), 80)}
	}
	w.table([]string{"DEVICE", "RING", "STATUS", "ATTEMPT", "SENT", "TOOK", "NOTE"}, rows)
}

// deviceNote says the most telling thing about a device of a rollout.
func deviceNote(d deviceops.RolloutDevice) string {
	switch {
	case d.Error != nil:
		return d.Error.Message + " (" + d.Error.Code + ")"
	case d.Status.Open() && d.Wait != nil:
		return d.Wait.Text
	case d.Status == deviceops.DeviceAccepted && d.Phase != "":
		return fmt.Sprintf("%s, %d %%", d.Phase, d.Percent)
	case d.Status == deviceops.DeviceSucceeded && d.Health == deviceops.No:
		return "unhealthy"
	default:
		return ""
	}
}

func (w *screen) rolloutPreview(p deviceops.RolloutPreview) {
	w.fields("rollout", p.Name, "change", p.Change, "targets", fmt.Sprintf("%d devices", p.Targeted), "begins", w.when(p.Begins), "ends", w.when(p.Ends), "sha256", p.Hash)
	w.line("")
	rows := make([][]string, len(p.Rings))
	for i, r := range p.Rings {
		rows[i] = []string{
			r.Name, fmt.Sprint(r.Devices), fmt.Sprint(r.Online), w.when(r.Begins), rounded(r.Soak), dash(strings.Join(r.Asks, " ")), w.when(r.Ends),
			cut(strings.Join(r.Examples, " "), 40),
		}
	}
	w.table([]string{"RING", "DEVICES", "ONLINE", "BEGINS", "SOAK", "ASKS", "ENDS", "SUCH AS"}, rows)
	w.line("")
	gates := make([][]string, len(p.Rings))
	for i, r := range p.Rings {
		gates[i] = []string{r.Name, cmp.Or(r.Fail, "never"), dash(string(r.OnFail)), cmp.Or(r.Pass, "none failed or is unhealthy")}
	}
	w.table([]string{"GATE", "FAILS WHEN", "THEN", "PASSES WHEN"}, gates)
	if len(p.Excused) > 0 {
		w.line("")
		excused := make([][]string, len(p.Excused))
		for i, x := range p.Excused {
			excused[i] = []string{fmt.Sprint(x.Devices), x.Reason, x.Example}
		}
		w.table([]string{"LEFT OUT", "BECAUSE", "SUCH AS"}, excused)
	}
	for _, note := range p.Notes {
		w.line("")
		w.line("%s", note)
	}
}

// rolloutEnd says in a few lines how a rollout ended.
func (w *screen) rolloutEnd(r deviceops.RolloutReport) {
	var sum deviceops.Counts
	for _, ring := range r.Rollout.Rings {
		sum = sum.Add(ring.Counts)
	}
	touched := sum.Reached()
	w.line("%s %s after %s", r.Rollout.Name, w.paint(string(r.Rollout.Status)), w.took(r.Rollout.StartedAt, r.Rollout.FinishedAt))
	w.line("%d of %d devices were touched: %d succeeded, %d failed, %d were taken back", touched, sum.Targeted, sum.Succeeded,
		sum.Failed+sum.Rejected+sum.TimedOut+sum.RevertFailed, sum.Reverted)
}

// rolloutVerb says how a rollout ended, after its name.
func rolloutVerb(s deviceops.RolloutStatus) string {
	switch s {
	case deviceops.RolloutCanceled, deviceops.RolloutReverted:
		return "was " + string(s)
	default:
		return string(s)
	}
}
