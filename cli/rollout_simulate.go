package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// share is a flag for a part of a whole: 2%, or 0.02.
type share float64

// String implements pflag.Value.
func (s *share) String() string { return strconv.FormatFloat(float64(*s)*100, 'g', -1, 64) + "%" }

// Type implements pflag.Value.
func (s *share) Type() string { return "share" }

// Set implements pflag.Value.
func (s *share) Set(text string) error {
	number, percent := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(number, 64)
	if percent {
		n /= 100
	}
	if err != nil || n < 0 || n > 1 {
		return fmt.Errorf("write a share from 0%% to 100%%, such as 2%%")
	}
	*s = share(n)
	return nil
}

func (a *app) rolloutSimulate() *cobra.Command {
	var fleet deviceops.SimFleet
	var o deviceops.SimOptions
	var fails, retryable, rejects, silent, offline, never, unhealthy = share(0), share(0.5), share(0), share(0), share(0), share(0), share(0)
	cmd := &cobra.Command{
		Use: "simulate FILE", Short: "Play a rollout on a virtual clock", Args: args(1, 1),
		Long: `Plays the manifest offline, in moments, with a fleet that does not exist: by the
very rules that decide in earnest, rings, rates, windows, budgets, retries and
gates. Tells how long it takes until 50, 90 and 99 % of the devices have the
change and, when devices fare badly, how many were touched before the gate
stopped it and how long taking them back takes.

Conditions over devices see virtual ones: of the profile, active, with the label
site, the tag canary on some, and no metrics. --unhealthy plays a bad release.`,
		Example: `  deviceops rollout simulate kiosk-2.4.0.yaml --devices 10000 --fail 2% --offline 10%
  deviceops rollout simulate kiosk-2.4.0.yaml --devices 2000 --unhealthy 80%`,
		RunE: func(_ *cobra.Command, args []string) error {
			file, source, err := a.manifest(args[0])
			if err != nil {
				return err
			}
			spec, found := dsl.CompileRollout(file, source, dsl.Options{Actions: a.Actions})
			for _, d := range found {
				fmt.Fprintln(a.Err, d.String())
			}
			if spec == nil {
				return errReported
			}
			o.FailureRate, o.RetryableRate, o.RejectRate, o.SilentRate = float64(fails), float64(retryable), float64(rejects), float64(silent)
			o.OfflineRate, o.NeverRate, o.UnhealthyRate, o.Start = float64(offline), float64(never), float64(unhealthy), a.Now()
			report, err := deviceops.SimulateRollout(spec, fleet.Build(), o)
			if err != nil {
				return err
			}
			return a.show(report, func(w *screen) { w.WriteString(report.String()) })
		},
	}
	f := cmd.Flags()
	f.IntVar(&fleet.Devices, "devices", 1000, "how many devices there are")
	f.StringVar(&fleet.Profile, "profile", "kiosk", "their profile")
	f.IntVar(&fleet.Canaries, "canaries", 10, "how many have the tag canary")
	f.IntVar(&fleet.Sites, "sites", 0, "at how many sites they stand (label site); 0: none")
	f.StringSliceVar(&fleet.Zones, "zones", nil, "their time zones, in turn by site")
	f.Uint64Var(&o.Seed, "seed", 1, "of all chance: the same seed gives the same report")
	f.Var(&fails, "fail", "share of attempts that fail")
	f.Var(&retryable, "retryable", "share of the failures that a re-try may mend")
	f.Var(&rejects, "reject", "share of devices that reject the change")
	f.Var(&silent, "silent", "share of devices that are not heard of again")
	f.Var(&offline, "offline", "share of devices that are offline when it begins")
	f.Var(&never, "never", "share of the offline ones that do not come back")
	f.Var(&unhealthy, "unhealthy", "share of devices that are not well after the change")
	f.DurationVar(&o.AnswerMedian, "takes", 0, "median of the time that a device takes (default 1m)")
	f.DurationVar(&o.BackMean, "back", 0, "mean time after which offline devices come back (default 8h)")
	f.DurationVar(&o.ApproveAfter, "approve-after", 0, "how long people take to say yes")
	return cmd
}
