package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/deviceops/deviceops"
)

type commandService struct{ *core }

// maxCommandWait is how long a request may wait for a device's answer.
const maxCommandWait = 60 * time.Second

// answerPoll is how often a request that waits looks for the answer.
const answerPoll = 200 * time.Millisecond

func (s *server) commandRoutes(c commandService) {
	handle(s, route{
		id: "send-command", method: http.MethodPost, path: "/v1/devices/{id}/commands", role: deviceops.RoleOperator,
		summary: "Send a command to a device",
		about:   "The command is stored and sent as soon as the device is online. With wait the answer is waited for; a command that has not ended by then is given as it is.",
	}, c.send)
	handle(s, route{
		id: "list-commands", method: http.MethodGet, path: "/v1/devices/{id}/commands", role: deviceops.RoleViewer,
		summary: "List the commands of a device, newest first",
	}, c.list)
	handle(s, route{
		id: "get-command", method: http.MethodGet, path: "/v1/commands/{id}", role: deviceops.RoleViewer,
		summary: "Show a command",
	}, c.get)
}

type commandInput struct {
	Reasoned
	DevicePath
	Key  string `header:"Idempotency-Key" maxLength:"128" doc:"The same key sends one command"`
	Wait int    `query:"wait" minimum:"0" maximum:"60" doc:"Seconds to wait for the answer"`
	Body deviceops.CommandRequest
}

// Resolve implements huma.Resolver. The deadline for reading the body would
// end the request while it waits for the device.
func (in *commandInput) Resolve(ctx huma.Context) []error {
	_ = ctx.SetReadDeadline(time.Time{})
	return nil
}

func (c commandService) send(ctx context.Context, p deviceops.Principal, in *commandInput) (deviceops.Command, error) {
	device, err := c.device(ctx, p, in.ID)
	if err != nil {
		return deviceops.Command{}, err
	}
	command, err := c.prepare(ctx, p, device, in)
	if err != nil {
		return deviceops.Command{}, err
	}
	stored, err := c.store(ctx, p, command)
	if err != nil {
		return deviceops.Command{}, err
	}
	q := deviceops.ClaimQuery{Now: c.Now(), IDs: []string{stored.ID}, Limit: 1}
	if _, err := (deviceops.Dispatcher{Store: c.Store, Gateway: c.Gateway}).Dispatch(ctx, q); err != nil {
		c.Log.WarnContext(ctx, "a command waits for the sweeper", "command", stored.ID, "error", err)
	}
	return c.await(ctx, stored.ID, min(time.Duration(in.Wait)*time.Second, maxCommandWait))
}

// prepare makes the command as the device's profile describes it.
func (c commandService) prepare(ctx context.Context, p deviceops.Principal, d deviceops.Device, in *commandInput) (deviceops.Command, error) {
	switch d.State {
	case deviceops.Provisioning, deviceops.Active, deviceops.Maintenance:
	default:
		return deviceops.Command{}, deviceops.Errorf(deviceops.ECONFLICT, "device %s is %s and takes no commands; it has to be admitted first", d.ID, d.State)
	}
	spec, err := c.spec(ctx, d, in.Body.Name)
	if err != nil {
		return deviceops.Command{}, err
	}
	args := in.Body.Args
	if spec.Prepare != nil {
		if args, err = spec.Prepare(args); err != nil {
			return deviceops.Command{}, err
		}
	}
	now := c.Now()
	return deviceops.Command{
		ID: keyed(p, "cmd", in.Key), Account: d.Account, Device: d.ID, Name: spec.Name, Args: args, Attempt: 1,
		Exclusive: spec.Exclusive, Status: deviceops.CommandPending, By: p.Name, Reason: in.because(in.Body.Reason),
		CreatedAt: now, DueAt: now, ExpiresAt: now.Add(commandTimeout(in.Body.TimeoutS, spec)),
	}, nil
}

func (c commandService) spec(ctx context.Context, d deviceops.Device, name string) (deviceops.CommandSpec, error) {
	profile, err := c.Catalog.Profile(ctx, d.Account, d.Profile)
	if err == nil {
		return profile.Command(name)
	}
	if spec, reserved := deviceops.ReservedCommand(name); reserved && deviceops.ErrorCode(err) == deviceops.ENOTFOUND {
		return spec, nil
	}
	return deviceops.CommandSpec{}, err
}

func commandTimeout(seconds float64, spec deviceops.CommandSpec) time.Duration {
	switch {
	case seconds > 0:
		return time.Duration(seconds * float64(time.Second))
	case spec.Timeout > 0:
		return spec.Timeout
	default:
		return deviceops.DefaultCommandTimeout
	}
}

func (c commandService) store(ctx context.Context, p deviceops.Principal, command deviceops.Command) (deviceops.Command, error) {
	var stored deviceops.Command
	err := c.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		var created bool
		var err error
		if stored, created, err = tx.CreateCommand(ctx, command); err != nil || !created {
			return err
		}
		return tx.AppendAudit(ctx, c.entry(p, change{
			account: command.Account, action: "command.create", target: "device:" + command.Device, reason: command.Reason,
			evidence: map[string]any{"command": command.ID, "name": command.Name, "args": command.Args},
		}))
	})
	return stored, err
}

// await gives the command once it has ended, or as it is after the given time.
func (c commandService) await(ctx context.Context, id string, limit time.Duration) (deviceops.Command, error) {
	expired := time.After(limit)
	tick := time.NewTicker(answerPoll)
	defer tick.Stop()
	for {
		command, err := c.Store.FindCommand(ctx, id)
		if err != nil || command.Status.Terminal() || limit == 0 {
			return command, err
		}
		select {
		case <-ctx.Done():
			return command, ctx.Err()
		case <-expired:
			return command, nil
		case <-tick.C:
		}
	}
}

type commandList struct {
	DevicePath
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func (c commandService) list(ctx context.Context, p deviceops.Principal, in *commandList) (page[deviceops.Command], error) {
	if _, err := c.device(ctx, p, in.ID); err != nil {
		return page[deviceops.Command]{}, err
	}
	rows, err := c.Store.ListCommands(ctx, in.ID, in.Limit)
	return page[deviceops.Command]{Items: orEmpty(rows)}, err
}

type commandID struct {
	ID string `path:"id" maxLength:"256"`
}

func (c commandService) get(ctx context.Context, p deviceops.Principal, in *commandID) (deviceops.Command, error) {
	command, err := c.Store.FindCommand(ctx, in.ID)
	if err != nil {
		return deviceops.Command{}, err
	}
	return command, visible(p, command.Account, "command", in.ID)
}
