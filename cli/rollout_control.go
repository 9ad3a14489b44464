package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

// control makes a command that acts on a rollout.
func (a *app) control(action deviceops.RolloutAction, short, long, example string) (*cobra.Command, *deviceops.RolloutControlRequest) {
	r := &deviceops.RolloutControlRequest{Action: action}
	var key string
	cmd := &cobra.Command{
		Use: string(action) + " ROLLOUT", Short: short, Long: long, Example: example, Args: args(1, 1),
		RunE: a.remote(func(ctx context.Context, c *client.Client, args []string) error {
			done, err := c.ControlRollout(ctx, args[0], *r, key)
			if err != nil {
				return err
			}
			return a.show(done, func(w *screen) { w.controlled(done) })
		}),
	}
	reasonFlag(cmd, &r.Reason)
	cmd.Flags().StringVar(&key, "key", "", "idempotency key: the same key acts once")
	return cmd, r
}

func (w *screen) controlled(c deviceops.RolloutControlled) {
	w.line("%s", c.Text)
	if c.Rollback != "" {
		w.line("Watch it: deviceops rollout watch %s", c.Rollback)
	}
}

func (a *app) rolloutPause() *cobra.Command {
	cmd, _ := a.control(deviceops.RolloutPause, "Let nothing new leave",
		`What has not been published is withdrawn; devices that are at it go on. Tells
three numbers: how many were withdrawn, how many work on it, and how many were
sent the change and have not said a word since.`,
		"  deviceops rollout pause kiosk-2.4.0 --reason \"printers fail in Berlin\"")
	return cmd
}

func (a *app) rolloutResume() *cobra.Command {
	cmd, _ := a.control(deviceops.RolloutResume, "Let a paused rollout go on",
		`A rollout that its gate paused goes on as if the gate had passed; who resumed it
stands in the audit log.`,
		"  deviceops rollout resume kiosk-2.4.0 --reason \"it was the printers' paper\"")
	return cmd
}

func (a *app) rolloutCancel() *cobra.Command {
	cmd, _ := a.control(deviceops.RolloutCancel, "End a rollout where it is",
		`Devices whose turn has not come get nothing, also later; those that are at it
finish. To take back what was changed, see deviceops rollout rollback.`,
		"  deviceops rollout cancel kiosk-2.4.0 --reason \"2.4.1 is out\"")
	return cmd
}

func (a *app) rolloutSkip() *cobra.Command {
	cmd, _ := a.control(deviceops.RolloutSkip, "Go on to the next ring at once",
		`The ring that is open counts as passed, without its soak and gate; devices in it
whose turn has not come get nothing.`,
		"  deviceops rollout skip kiosk-2.4.0 --reason \"it bakes since Monday\"")
	return cmd
}

func (a *app) rolloutRetry() *cobra.Command {
	cmd, _ := a.control(deviceops.RolloutRetry, "Try devices that failed or timed out once more",
		`Devices that rejected the change are left alone: they said never.`,
		"  deviceops rollout retry kiosk-2.4.0 --reason \"the proxy is back\"")
	return cmd
}

func (a *app) rolloutRollback() *cobra.Command {
	cmd, r := a.control(deviceops.RolloutRollback, "Stop a rollout and take back what it changed",
		`The rollback is a rollout of its own: in reverse order of rings, with its own
limits, gate and report. Each device returns to what it came from; what cannot
be taken back is listed with its reason.`,
		"  deviceops rollout rollback kiosk-2.4.0 --all --reason \"crash loops\"")
	cmd.Flags().BoolVar(&r.All, "all", false, "of all rings that were reached, not the present one alone")
	return cmd
}

func (a *app) rolloutSet() *cobra.Command {
	cmd, r := a.control(deviceops.RolloutSet, "Change how fast a rollout goes", "",
		"  deviceops rollout set kiosk-2.4.0 --rate 120/m --in-flight 200 --reason \"it goes well\"")
	var rate string
	limits := &deviceops.Limits{}
	cmd.Flags().IntVar(&limits.InFlight, "in-flight", 0, "how many devices may be at it at once")
	cmd.Flags().StringVar(&rate, "rate", "", "how many devices may begin per second, minute or hour: 60/m")
	act := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if rate != "" {
			if limits.Rate.Start, err = deviceops.ParseRate(rate); err != nil {
				return Usage(err)
			}
		}
		r.Limits = limits
		return act(cmd, args)
	}
	return cmd
}
