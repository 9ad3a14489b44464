package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

func (a *app) automationsCommand() *cobra.Command {
	return group("automations", "See and steer what events, times and calls start",
		listIn(a, words{
			short: "List automations with their status", long: "A status is enabled, disabled (by a person), stopped (by the brake) or broken.",
			example: "  deviceops automations list",
		}, (*client.Client).ListAutomations, (*screen).automations),
		showIn(a, words{
			use: "show NAME", short: "Show what an automation remembers and decided lately", example: "  deviceops automations show low-battery-reboot",
		}, (*client.Client).Automation, (*screen).automation),
		a.automationSwitch("enable", `Lets an automation start runs again after somebody disabled it, or its brake
(limit:) stopped it. It then counts anew; what was refused meanwhile is not made
up for.`, (*client.Client).EnableAutomation),
		a.automationSwitch("disable", `Lets an automation start nothing until it is enabled. It is seen by all processes
within a second. Runs that go on are left alone (deviceops runs cancel), and so are
tickets that it opened: until it is enabled nobody closes them but people.`, (*client.Client).DisableAutomation),
		a.automationsRun(), a.automationsReplay())
}

// automationSwitch makes the command that enables or disables.
func (a *app) automationSwitch(what, long string, do func(*client.Client, context.Context, string, string, string) (deviceops.AutomationView, error)) *cobra.Command {
	var account, reason string
	cmd := &cobra.Command{
		Use: what + " NAME", Short: strings.ToUpper(what[:1]) + what[1:] + " an automation", Long: long, Args: args(1, 1),
		Example: "  deviceops automations " + what + " low-battery-reboot --reason \"the sensors of batch 7 lie\"",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			view, err := do(c, ctx, account, args[0], reason)
			if err != nil {
				return err
			}
			return a.show(view, func(w *screen) { w.switched(view) })
		}),
	}
	accountFlag(cmd, &account)
	reasonFlag(cmd, &reason)
	return cmd
}

func (w *screen) switched(v deviceops.AutomationView) {
	w.line("%s is %s", v.Name, v.Status)
	if v.Status == deviceops.AutomationDisabled && v.OpenTickets > 0 {
		w.line("It leaves %s open, until somebody closes them or it is enabled: deviceops tickets list --opened-by automation:%s", counted(v.OpenTickets, "ticket"), v.Name)
	}
}

func (a *app) automationsReplay() *cobra.Command {
	var account, since string
	cmd := &cobra.Command{
		Use: "replay NAME", Short: "Tell what an automation would have started", Args: args(1, 1),
		Long: `Lets the automation hear the stored events again, in memory: its condition, its
windows and its brake decide as in earnest, by the times of the events, and inputs
and tickets are made to see whether they fit. Nothing is started or changed. Devices
are taken to be as they are now, and runs to end at once. A schedule is replayed by
the times that it says now, whether they were heard or not.`,
		Example: "  deviceops automations replay low-battery-reboot --since 24h",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			from, err := moment("since", since, a.Now())
			if err != nil {
				return err
			}
			replayed, err := c.ReplayAutomation(ctx, account, args[0], from)
			if err != nil {
				return err
			}
			return a.show(replayed, func(w *screen) { w.replayed(replayed) })
		}),
	}
	accountFlag(cmd, &account)
	cmd.Flags().StringVar(&since, "since", "24h", "how long ago to begin, or a time such as 2026-05-01T08:00:00Z")
	return cmd
}

// automationsRun makes the command that calls an automation by hand.
func (a *app) automationsRun() *cobra.Command {
	var account, key string
	var r deviceops.AutomationRequest
	var inputs []string
	var wait bool
	cmd := &cobra.Command{
		Use: "run NAME", Short: "Call an automation whose trigger is manual", Args: args(1, 1),
		Long: `Lets the automation hear that you want it: its condition, its windows, concurrency
and brake decide as for any other event. Inputs are event.data, as text; the device
is event.device. Exits with 1 if nothing was started, and nothing waits.`,
		Example: `  deviceops automations run clean-screens -i site=berlin --reason "the fair begins"
  deviceops automations run collect-logs --device kiosk-0001 --wait`,
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			given, err := pairs(inputs)
			if err != nil {
				return err
			}
			if len(given) > 0 {
				r.Inputs = anyMap(given)
			}
			answer, err := c.RunAutomation(ctx, account, args[0], r, key)
			if err != nil {
				return err
			}
			return a.called(ctx, c, answer, wait)
		}),
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&inputs, "input", "i", nil, "an input key=value; repeat for more")
	flags.StringVar(&r.Device, "device", "", "the device that it is about")
	flags.BoolVar(&wait, "wait", false, "wait for the end of the run")
	flags.StringVar(&key, "key", "", "idempotency key: the same key calls once")
	accountFlag(cmd, &account)
	reasonFlag(cmd, &r.Reason)
	return cmd
}

// called shows what became of a call, and follows the run that it started.
func (a *app) called(ctx context.Context, c *client.Client, answer deviceops.CallAnswer, wait bool) error {
	decided := answer.Automations[0]
	if wait && decided.Run != "" {
		return a.followRun(ctx, c, decided.Run)
	}
	err := a.show(answer, func(w *screen) {
		w.line("%s: %s", decided.Name, decided.Text)
		if decided.Run != "" {
			w.line("Follow it: deviceops runs watch %s", decided.Run)
		}
	})
	if err != nil {
		return err
	}
	switch decided.Outcome {
	case deviceops.OutcomeStarted, deviceops.OutcomeQueued, deviceops.OutcomeReplacing, deviceops.OutcomeHolding:
		return nil
	}
	return failed("%s started nothing: %s; deviceops explain event %d says more", decided.Name, decided.Text, answer.Event)
}

func (a *app) explainEvent() *cobra.Command {
	return &cobra.Command{
		Use: "event ID", Short: "Tell why an event did, or did not, start runs", Args: args(1, 1),
		Long: `Names every automation that hears events of this type with what it made of the
event: the condition does not hold, holding (and what that came to), silenced by
dedupe, skipped because of a run, stopped by the brake, too late, or the run that it
started. Decisions
are kept for 7 days. The ids of events are in: deviceops events tail`,
		Example: "  deviceops explain event 48123",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			id, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || id < 1 {
				return Usage(fmt.Errorf("%q is not the id of an event", args[0]))
			}
			x, err := c.ExplainEvent(ctx, id)
			if err != nil {
				return err
			}
			return a.show(x, func(w *screen) { w.eventExplanation(x) })
		}),
	}
}

func (w *screen) automations(all []deviceops.AutomationView) {
	rows := make([][]string, len(all))
	for i, v := range all {
		rows[i] = []string{v.Name, fmt.Sprint(v.Version), v.Account, v.Status, w.when(v.Since), v.Hears, orTicket(v), cut(v.Reason, 60)}
	}
	w.table([]string{"NAME", "VERSION", "ACCOUNT", "STATUS", "SINCE", "HEARS", "RUNS", "WHY"}, rows)
}

func (w *screen) automation(d deviceops.AutomationDetail) {
	refused := ""
	if d.Refused > 0 {
		refused = counted(d.Refused, "start")
	}
	w.fields(
		"automation", fmt.Sprintf("%s@%d", d.Name, d.Version), "account", d.Account, "status", d.Status, "since", w.when(d.Since), "hears", d.Hears,
		"runs", orTicket(d.AutomationView), "next", w.times(d.Next), "refused", refused, "open tickets", openTickets(d.AutomationView), "changed by", d.By, "why", d.Reason,
	)
	var rows [][]string
	for _, k := range d.Keys {
		rows = append(rows, []string{dash(k.Key), w.when(k.Holding), w.when(k.Due), w.when(k.Silent), dash(strings.Join(k.Running, " ")), fmt.Sprint(k.Queued)})
	}
	if len(rows) > 0 {
		w.line("")
		w.table([]string{"KEY", "HOLDING", "CLOCK DECIDES", "SILENT UNTIL", "RUNNING", "QUEUED"}, rows)
	}
	if len(d.Decisions) > 0 {
		w.line("")
		w.table(decisionColumns, w.decisions(d.Decisions))
	}
}

func openTickets(v deviceops.AutomationView) string {
	if v.OpenTickets == 0 {
		return ""
	}
	return fmt.Sprint(v.OpenTickets)
}

// times gives moments of the future in a line.
func (w *screen) times(all []time.Time) string {
	texts := make([]string, len(all))
	for i, at := range all {
		texts[i] = at.UTC().Format("2006-01-02 15:04:05")
	}
	return strings.Join(texts, ", ")
}

var decisionColumns = []string{"WHEN", "KEY", "EVENT", "OUTCOME", "RUN", "WHY"}

func (w *screen) decisions(all []deviceops.AutomationDecision) [][]string {
	rows := make([][]string, len(all))
	for i, d := range all {
		event := ""
		if d.Event > 0 {
			event = fmt.Sprint(d.Event)
		}
		rows[i] = []string{w.when(d.At), dash(d.Key), dash(event), string(d.Outcome), dash(d.Run), cut(d.Detail, 80)}
	}
	return rows
}

// shownStarts is how many of the starts of a replay a table shows.
const shownStarts = 20

func (w *screen) replayed(r deviceops.AutomationReplayed) {
	would := "started " + counted(r.Started, "run")
	if r.Tickets > 0 {
		would = fmt.Sprintf("opened tickets or told them again %s", counted(r.Tickets, "time"))
	}
	w.line("%s@%d would have %s between %s and %s,", r.Name, r.Version, would, r.Since.UTC().Format(time.DateTime), r.Until.UTC().Format(time.DateTime))
	w.line("by %s that it hears, %d of which hold.", counted(r.Events, "event"), r.Held)
	for _, outcome := range slices.Sorted(maps.Keys(r.Outcomes)) {
		w.line("  %-9s %d", outcome, r.Outcomes[outcome])
	}
	if !r.Stopped.IsZero() {
		w.line("The brake would have stopped it at %s.", r.Stopped.UTC().Format(time.DateTime))
	}
	if r.Truncated {
		w.line("There are more events than are replayed at once: begin later.")
	}
	for _, failure := range r.Failures {
		w.line("It fails on %s", failure)
	}
	if len(r.Starts) == 0 {
		return
	}
	shown := r.Starts[:min(len(r.Starts), shownStarts)]
	w.line("")
	w.table(decisionColumns, w.decisions(shown))
	if more := r.Started + r.Tickets - len(shown); more > 0 {
		w.line("and %d more: -o json has more of them", more)
	}
}

func (w *screen) eventExplanation(x deviceops.EventExplanation) {
	w.line("%s", x.Summary)
	for _, r := range x.Automations {
		w.line("")
		w.line("%s@%d: %s", r.Name, r.Version, r.Outcome)
		w.line("  %s", r.Text)
	}
}

// orTicket says what an automation starts.
func orTicket(v deviceops.AutomationView) string {
	if v.Workflow == "" && v.Status != deviceops.AutomationBroken {
		return "(a ticket)"
	}
	return dash(v.Workflow)
}
