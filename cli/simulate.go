package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
	"github.com/deviceops/deviceops/simulator"
)

func (a *app) simulateCommand() *cobra.Command {
	var s simulation
	cmd := &cobra.Command{
		Use: "simulate --broker URL", Short: "Run a fleet of virtual devices against a broker", Args: args(0, 0),
		Long: `The devices follow the device protocol to the letter, and misbehave as told. Ids
are PREFIX-00001 and so on; claims follow from --seed. --registrations writes
what "deviceops devices import" takes, so that the fleet can be registered.
Ends with Ctrl-C or after --for, and then shows what the devices counted.`,
		Example: `  deviceops simulate --devices 200 --registrations fleet.ndjson
  deviceops devices import fleet.ndjson
  deviceops simulate --broker tcp://127.0.0.1:1883 --devices 200
  deviceops simulate --broker tcp://127.0.0.1:1883 --devices 5000 --connections 50 --churn 0.1 --for 10m`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.registrations != "" {
				return a.writeRegistrations(s)
			}
			if s.config.Broker == "" {
				return Usage(fmt.Errorf("name the broker: --broker tcp://HOST:1883"))
			}
			return a.simulate(cmd.Context(), s)
		},
	}
	s.flags(cmd)
	return cmd
}

// simulation is what the flags of simulate say.
type simulation struct {
	config        simulator.Config
	topics        string
	duration      time.Duration
	registrations string
	trust         []string
	bad           []string
	verbose       bool
}

func (s *simulation) flags(cmd *cobra.Command) {
	f, c, b := cmd.Flags(), &s.config, &s.config.Behavior
	f.StringVar(&c.Broker, "broker", "", "URL of the MQTT broker: tcp://, ssl://, ws:// or wss://")
	f.StringVar(&c.Username, "username", "", "user name at the broker; %d becomes the device's id")
	f.StringVar(&c.Password, "password", "", "password at the broker")
	f.StringVar(&s.topics, "topics", "", "prefix of the topics (default: deviceops/v1)")
	f.IntVar(&c.Devices, "devices", 10, "how many devices")
	f.IntVar(&c.First, "first", 1, "number of the first")
	f.StringVar(&c.Prefix, "prefix", "sim", "beginning of their ids")
	f.StringVar(&c.Profile, "profile", "kiosk", "their profile")
	f.Uint64Var(&c.Seed, "seed", 1, "what all chance, and the claims, derive from")
	f.IntVar(&c.Connections, "connections", 0, "MQTT connections to share (0: one per device)")
	f.DurationVar(&c.Ramp, "ramp", 0, "time over which they are switched on")
	f.StringVar(&c.StateDir, "state", "", "folder for what they remember over restarts")
	f.StringVar(&c.LedgerFile, "ledger", "", "file that gets a line for every executed command")
	f.BoolVar(&c.Download.Enabled, "download", false, "really download what they install, in ranges, and check its hash")
	f.StringArrayVar(&s.trust, "trust-key", nil, "PEM file with a public key: install only what it signed; repeat for more")
	f.DurationVar(&s.duration, "for", 0, "how long to run (default: until Ctrl-C)")
	f.StringVar(&s.registrations, "registrations", "", "write the fleet as NDJSON for devices import, and end")
	f.BoolVar(&s.verbose, "verbose", false, "show connection problems")
	f.IntVar(&b.BadClaims, "bad-claims", 0, "devices that present a wrong claim")
	f.IntVar(&b.WrongProfiles, "wrong-profiles", 0, "devices that name a wrong profile")
	f.DurationVar(&b.Latency.Median, "latency", 0, "median time of a command (default: 50ms)")
	f.DurationVar(&b.Latency.P99, "latency-p99", 0, "99th percentile (default: ten times the median)")
	f.DurationVar(&b.Telemetry, "telemetry", 0, "interval of metrics; below 0: never (default: 1m)")
	f.Float64Var(&b.Faults.Retryable, "fail", 0, "probability that a command fails and may be tried again")
	f.Float64Var(&b.Faults.Permanent, "fail-for-good", 0, "probability that a command fails for good")
	f.Float64Var(&b.Faults.Rejected, "reject", 0, "probability that a command is refused")
	f.Float64Var(&b.Faults.Deferred, "defer", 0, "probability that a command is put off")
	f.DurationVar(&b.Faults.DeferFor, "defer-for", 0, "longest time that one is put off (default: 2s)")
	f.Float64Var(&b.Faults.Silent, "silent", 0, "probability that a command or its answer is lost")
	f.Float64Var(&b.Faults.PowerLoss, "power-loss", 0, "probability that power goes in the middle of a command")
	f.Float64Var(&b.Churn.Share, "churn", 0, "share of devices that lose their connection now and then")
	f.DurationVar(&b.Churn.Every, "churn-every", 0, "mean time between two losses of a connection (default: 5m)")
	f.DurationVar(&b.Churn.For, "churn-for", 0, "how long they stay away (default: 30s)")
	f.DurationVar(&b.Resend, "resend", 0, "after how long what was not acknowledged is said again (default: 30s)")
	f.Float64Var(&b.Sleep.Share, "sleep", 0, "share of devices that sleep now and then")
	f.Float64Var(&b.Duplicated, "duplicate", 0, "probability that a message is sent twice")
	f.Float64Var(&b.Reordered, "reorder", 0, "probability that a message is sent late")
	f.Float64Var(&b.WrongClocks, "wrong-clocks", 0, "share of devices with a wrong clock")
	f.StringVar(&b.Degrade.Component, "degrade-component", "", "component whose new version makes devices crash")
	f.StringVar(&b.Degrade.Version, "degrade-version", "", "that version")
	f.StringArrayVar(&s.bad, "bad-version", nil, "a version that cannot be installed: os@2.4.0=fail, or =retry if the device says that it may be tried again; repeat for more")
	f.Float64Var(&b.Ail.Share, "ail", 0, "share of devices whose disk is full now and then (disk_free_pct)")
	f.DurationVar(&b.Ail.Every, "ail-every", 0, "mean time until it is full (default: 5m)")
	f.DurationVar(&b.Ail.For, "ail-for", 0, "mean time until it is cleaned (default: 30s)")
}

func (a *app) simulate(ctx context.Context, s simulation) error {
	topics, err := protocol.NewTopics(s.topics)
	if err != nil {
		return err
	}
	s.config.Topics = topics
	for _, text := range s.bad {
		bad, err := simulator.ParseBadVersion(text)
		if err != nil {
			return Usage(err)
		}
		s.config.Behavior.Bad = append(s.config.Behavior.Bad, bad)
	}
	for _, file := range s.trust {
		key, err := readReleaseKey(file)
		if err != nil {
			return err
		}
		s.config.Download.Keys = append(s.config.Download.Keys, key)
	}
	if s.verbose {
		s.config.Logger = slog.New(slog.NewTextHandler(a.Err, nil))
	}
	fleet, err := simulator.New(s.config)
	if err != nil {
		return err
	}
	if s.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.duration)
		defer cancel()
	}
	ended := make(chan error, 1)
	go func() { ended <- fleet.Run(ctx) }()
	return a.watchFleet(fleet, ended)
}

// reportEvery is how often a running fleet shows its counts.
const reportEvery = 5 * time.Second

func (a *app) watchFleet(fleet *simulator.Simulator, ended <-chan error) error {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil {
				return err
			}
			stats := fleet.Stats()
			return a.show(stats, func(w *screen) { w.fleet(stats, len(fleet.Ledger().Repeats())) })
		case <-tick.C:
			s := fleet.Stats()
			a.note("%d of %d connected, %d welcomed, %d commands, states: %s", s.Connected, s.Devices, s.Welcomed, s.Commands, assignments(s.States))
		}
	}
}

func (w *screen) fleet(s simulator.Stats, repeats int) {
	w.fields(
		"devices", fmt.Sprint(s.Devices), "states", assignments(s.States), "hellos", fmt.Sprint(s.Hellos),
		"messages out", fmt.Sprint(s.Published), "messages in", fmt.Sprint(s.Received), "commands", fmt.Sprint(s.Commands),
		"results", assignments(s.Results), "effects", fmt.Sprint(s.Effects), "effects repeated", fmt.Sprint(repeats),
		"downloaded", downloaded(s), "connections lost", fmt.Sprint(s.LostLinks), "power lost", fmt.Sprint(s.PowerLost),
	)
}

// downloaded says what devices fetched; "" when nothing.
func downloaded(s simulator.Stats) string {
	if s.Ranges == 0 {
		return ""
	}
	return fmt.Sprintf("%s in %s", bytesText(s.Downloaded), counted(s.Ranges, "request"))
}

// writeRegistrations writes the fleet as devices import takes it.
func (a *app) writeRegistrations(s simulation) error {
	f, err := os.OpenFile(s.registrations, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // it holds claims
	if err != nil {
		return deviceops.Errorf(deviceops.EINVALID, "cannot write the registrations: %w", err)
	}
	defer f.Close()
	encoder := json.NewEncoder(f)
	fleet := simulator.Identities(s.config)
	for _, id := range fleet {
		r := deviceops.RegisterRequest{ID: id.ID, Serial: id.Serial, Profile: id.Profile, Claim: id.Claim}
		if err := encoder.Encode(r); err != nil {
			return deviceops.Errorf(deviceops.EINVALID, "cannot write the registrations: %w", err)
		}
	}
	a.note("%d registrations are in %s: deviceops devices import %s", len(fleet), s.registrations, s.registrations)
	return f.Close()
}
