package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

func (a *app) routesCommand() *cobra.Command {
	return group("routes", "Forward events to other systems",
		listIn(a, words{
			short: "List routes with how far their targets have come",
			long: `LAG counts the events that a route selects by type and that are not done, whatever
its where says, and tells how long ago the oldest came in.`,
			example: "  deviceops routes list",
		}, (*client.Client).Routes, (*screen).routes),
		showIn(a, words{
			use: "show ROUTE", short: "Show a route with its targets, their trouble and their lag", example: "  deviceops routes show battery-to-lake",
		}, (*client.Client).Route, (*screen).route),
		a.routeChange("pause", "Stop forwarding, and keep the place in the stream",
			"Events that come in the meantime wait for the route, as long as events are kept.",
			"  deviceops routes pause battery-to-lake --target lake --reason \"the lake moves\"", (*client.Client).PauseRoute),
		a.routeChange("resume", "Go on from where the route was", "Everything that came while it was paused is forwarded first.",
			"  deviceops routes resume battery-to-lake --reason \"the lake has moved\"", (*client.Client).ResumeRoute),
		a.routesDeadLetters(),
		a.lettersChange(words{
			use: "replay ROUTE [EVENT...]", short: "Try dead letters again",
			long: `All dead letters of the route, or those of the events that are named, are tried
again by the version of the route that holds then: mend the route or the target
first. What a target takes is no dead letter any more.`,
			example: "  deviceops routes replay battery-to-lake --reason \"the shape is mended\"\n  deviceops routes replay battery-to-lake 48211 --target lake",
		}, (*client.Client).ReplayRoute, "%s to be tried again"),
		a.lettersChange(words{
			use: "discard ROUTE [EVENT...]", short: "Forget dead letters that nobody will need",
			long: `All dead letters of the route, or those of the events that are named, are
forgotten, also those of targets that the route has no longer. The events stay
where they are.`,
			example: "  deviceops routes discard battery-to-lake 48211 --target lake --reason \"a test\"",
		}, (*client.Client).DiscardDeadLetters, "%s discarded"),
		a.routesTest())
}

// routeChange makes a command that stops a route or lets it go on.
func (a *app) routeChange(verb, short, long, example string, do func(*client.Client, context.Context, string, string, deviceops.RouteRequest) (deviceops.RouteStatus, error)) *cobra.Command {
	var account string
	var r deviceops.RouteRequest
	cmd := &cobra.Command{
		Use: verb + " ROUTE", Short: short, Long: long, Example: example, Args: args(1, 1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			route, err := do(c, ctx, account, args[0], r)
			if err != nil {
				return err
			}
			return a.show(route, func(w *screen) { w.routes([]deviceops.RouteStatus{route}) })
		}),
	}
	accountFlag(cmd, &account)
	cmd.Flags().StringVar(&r.Target, "target", "", "this target alone")
	reasonFlag(cmd, &r.Reason)
	return cmd
}

func (a *app) routesDeadLetters() *cobra.Command {
	var account, target string
	var page listFlags
	cmd := &cobra.Command{
		Use: "dead-letters ROUTE", Short: "List the events that targets would not take", Args: args(1, 1),
		Long: `A dead letter is an event that could not be shaped, that a target refused for
what it is, or that was tried as often as the route allows. It is told with the
reason and stays until a replay delivers it or somebody discards it; the event
itself is kept as long as all events are.`,
		Example: "  deviceops routes dead-letters battery-to-lake --target lake",
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			letters, err := c.DeadLetters(ctx, account, args[0], target, page.limit, page.cursor)
			if err != nil {
				return err
			}
			defer a.more(len(letters.Items), letters.Next)
			return a.show(letters, func(w *screen) { w.deadLetters(letters.Items) })
		}),
	}
	accountFlag(cmd, &account)
	cmd.Flags().StringVar(&target, "target", "", "of this target alone")
	page.add(cmd)
	return cmd
}

// lettersChange makes a command that does something with dead letters; told says
// with how many.
func (a *app) lettersChange(w words, do func(*client.Client, context.Context, string, string, deviceops.RouteRequest) (deviceops.RouteLetters, error), told string) *cobra.Command {
	var account string
	var r deviceops.RouteRequest
	cmd := &cobra.Command{
		Use: w.use, Short: w.short, Long: w.long, Example: w.example, Args: args(1, 1000),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			for _, text := range args[1:] {
				id, err := strconv.ParseInt(text, 10, 64)
				if err != nil {
					return Usage(fmt.Errorf("%s is not the id of an event; see deviceops routes dead-letters", text))
				}
				r.Events = append(r.Events, id)
			}
			done, err := do(c, ctx, account, args[0], r)
			if err != nil {
				return err
			}
			return a.show(done, func(w *screen) { w.line(told, counted(done.DeadLetters, "dead letter")) })
		}),
	}
	accountFlag(cmd, &account)
	cmd.Flags().StringVar(&r.Target, "target", "", "of this target alone")
	reasonFlag(cmd, &r.Reason)
	return cmd
}

func (w *screen) routes(routes []deviceops.RouteStatus) {
	var rows [][]string
	for _, r := range routes {
		name := fmt.Sprintf("%s@%d", r.Name, r.Version)
		if r.Error != "" {
			rows = append(rows, []string{name, "-", w.paint("failing"), "", "", "", cut(firstLine(r.Error), 60)})
		}
		for _, t := range r.Targets {
			rows = append(rows, []string{name, t.Target, w.paint(t.Status()), lag(t), fmt.Sprint(t.Delivered), fmt.Sprint(t.DeadLetters), cut(trouble(t), 60)})
		}
	}
	w.table([]string{"ROUTE", "TARGET", "STATUS", "LAG", "DELIVERED", "DEAD LETTERS", "WHY"}, rows)
}

// lag tells how far behind a target is, in events and time.
func lag(t deviceops.RouteTarget) string {
	switch age := time.Duration(t.LagSeconds * float64(time.Second)).Round(100 * time.Millisecond); {
	case t.LagEvents == 0:
		return "-"
	case t.LagEvents >= deviceops.MaxLag:
		return fmt.Sprintf("%d+, %s", t.LagEvents, age)
	default:
		return fmt.Sprintf("%d, %s", t.LagEvents, age)
	}
}

// letters tells how many dead letters a target has, and how many of them are to be
// tried again.
func letters(t deviceops.RouteTarget) string {
	if t.Replaying > 0 {
		return fmt.Sprintf("%d, of which %d are to be tried again", t.DeadLetters, t.Replaying)
	}
	return fmt.Sprint(t.DeadLetters)
}

func trouble(t deviceops.RouteTarget) string {
	if t.Paused {
		return t.PausedBy + ": " + t.PausedReason
	}
	return t.Error
}

func (w *screen) route(r deviceops.RouteStatus) {
	w.fields("route", fmt.Sprintf("%s@%d", r.Name, r.Version), "account", r.Account, "events", strings.Join(r.Types, ", "), "error", r.Error)
	for _, t := range r.Targets {
		w.line("")
		pairs := []string{
			"target", t.Target, "status", w.paint(t.Status()), "lag", lag(t), "delivered", fmt.Sprint(t.Delivered), "last delivery", w.when(t.DeliveredAt),
			"dead letters", letters(t), "done up to event", fmt.Sprint(t.Cursor), "held by", t.Holder,
		}
		if t.Paused {
			pairs = append(pairs, "paused", w.when(t.PausedAt)+" by "+trouble(t))
		}
		if t.Failures > 0 {
			pairs = append(pairs, "fails", w.when(t.FailingSince)+", "+counted(t.Failures, "time"), "error", t.Error, "next try", w.when(t.NextTry))
		}
		w.fields(pairs...)
	}
}

func (w *screen) deadLetters(letters []deviceops.DeadLetter) {
	rows := make([][]string, len(letters))
	for i, l := range letters {
		status := w.paint(l.Code)
		if l.Replaying {
			status = "to be tried again"
		}
		rows[i] = []string{fmt.Sprint(l.Event), l.Target, dash(l.Device), l.Type, status, fmt.Sprint(l.Tries), w.when(l.At), cut(l.Reason, 80)}
	}
	w.table([]string{"EVENT", "TARGET", "DEVICE", "TYPE", "STATUS", "TRIES", "LAST TRY", "REASON"}, rows)
}
