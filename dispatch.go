package deviceops

import (
	"context"
	"time"
)

// Dispatcher publishes commands that are due: the one way by which a command
// reaches a device. It is used when a command is made, when a device says
// hello, and by the sweeper.
type Dispatcher struct {
	Store   Store
	Gateway Gateway
}

// Dispatch claims the commands that q selects, publishes them and records what
// the broker took. It gives their number. What was claimed and not published,
// because the broker or this process failed, is claimed again when its lease
// has passed, with the same id and attempt.
func (d Dispatcher) Dispatch(ctx context.Context, q ClaimQuery) (int, error) {
	claimed, err := d.Store.ClaimCommands(ctx, q)
	if err != nil || len(claimed) == 0 {
		return 0, err
	}
	sent, publishErr := d.Gateway.PublishCommands(ctx, claimed, q.Now)
	if len(sent) > 0 {
		if err := d.Store.MarkSent(ctx, sent, q.Now); err != nil {
			return len(sent), err
		}
	}
	return len(sent), publishErr
}

// Confirmed reports whether an install or configure command in flight is
// confirmed by what its device reported since: configure by a config version
// that is at least the one asked for, install by software that names every
// component's new version, and by the config version of the configuration that
// comes with it.
func (c *Command) Confirmed(r Reported) bool { return c.Status.InFlight() && c.shownBy(r) }

// Fulfilled reports whether a device shows already what an open install or
// configure command asks for, so that nothing is left to be asked: its report
// may have come before there was a command for it to confirm.
func (c *Command) Fulfilled(d *Device) bool {
	if c.Status.Terminal() || !c.shownBy(d.Twin.Reported) {
		return false
	}
	return !c.Status.InFlight() || c.Restarted(d.Session.Boot)
}

// Restarted reports whether what a device says of itself at a hello is what came
// of the command. For an install in flight that takes another boot than the one
// in which it was sent, since until the restart a device may name versions that
// it does not run yet, or its word that it is done: one that was sent again
// after the restart was sent in the same boot.
func (c *Command) Restarted(boot string) bool {
	return c.Name != CommandInstall || c.Boot != boot || c.Boot == "" || c.Phase == PhaseConfirming
}

// Confirmable reports whether a device's report can take the place of its
// answer to the command.
func (c *Command) Confirmable() bool { return c.Name == CommandConfigure || c.Name == CommandInstall }

func (c *Command) shownBy(r Reported) bool {
	want, configures := c.Configures()
	switch c.Name {
	case CommandConfigure:
		return configures && r.ConfigVersion >= want
	case CommandInstall:
		return installed(c.Args["components"], r.Software) && (!configures || r.ConfigVersion >= want)
	default:
		return false
	}
}

// ArgConfigure is the argument of install that holds the configuration which comes
// with the software: the arguments of configure.
const ArgConfigure = "configure"

// Configures gives the version of the configuration that an install or configure
// command puts in force; ok is false when it brings none.
func (c *Command) Configures() (version int64, ok bool) {
	args := c.Args
	if c.Name == CommandInstall {
		args, _ = args[ArgConfigure].(map[string]any)
	}
	if c.Name != CommandInstall && c.Name != CommandConfigure {
		return 0, false
	}
	return asInt(args["version"])
}

func installed(components any, software map[string]string) bool {
	list, ok := components.([]any)
	if !ok || len(list) == 0 {
		return false
	}
	for _, item := range list {
		component, _ := item.(map[string]any)
		name, _ := component["name"].(string)
		to, _ := component["to"].(string)
		if name == "" || to == "" || software[name] != to {
			return false
		}
	}
	return true
}

func asInt(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case int:
		return int64(n), true
	case float64:
		return int64(n), n == float64(int64(n))
	default:
		return 0, false
	}
}

// DefaultCommandTimeout is how long a command may take where neither its step
// nor its profile says so.
const DefaultCommandTimeout = 15 * time.Minute
