package activities

import (
	"context"
	"fmt"
	"time"

	"github.com/deviceops/deviceops"
)

// served is what came of one look at a ring.
type served struct {
	sent  int  // devices for which something began
	again bool // there may be more to do at once
}

// serve claims devices of a ring that are due, sends up to room of them the
// change and stores why the others wait.
func (p *pump) serve(ctx context.Context, ring, room int, now time.Time) (served, error) {
	var c *claim
	err := p.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) (err error) {
		c = &claim{pump: p, tx: tx, now: now, room: room}
		return c.run(ctx, ring)
	})
	if err != nil {
		return served{}, err
	}
	p.rollout.PumpedAt = now
	if len(c.commands) > 0 {
		if err := p.publish(ctx, c.commands, now); err != nil {
			return served{}, err
		}
	}
	learned, err := p.change.learn(ctx)
	sent := len(c.commands) + len(c.runs)
	return served{sent: sent, again: learned || sent+len(c.moves)+len(c.held) > 0}, err
}

// claim is one transaction of a pump.
type claim struct {
	*pump
	tx   deviceops.Tx
	now  time.Time
	room int

	held     []deviceops.RolloutDevice
	leased   []deviceops.RolloutDevice
	commands []deviceops.Command
	moves    []deviceops.RolloutMove
	desired  map[string]deviceops.Desired
	runs     []deviceops.Run
}

func (c *claim) run(ctx context.Context, ring int) error {
	found, err := c.tx.ClaimRollout(ctx, c.query(ring))
	if err != nil || len(found) == 0 {
		return err
	}
	if err := c.change.load(ctx, c.tx, found); err != nil {
		return err
	}
	if err := c.decide(ctx, found); err != nil {
		return err
	}
	return c.save(ctx)
}

// query looks at some more devices than there is room for: most that wait, wait
// for something of their own.
func (c *claim) query(ring int) deviceops.RolloutClaim {
	q := deviceops.RolloutClaim{
		Rollout: c.rollout.ID, Ring: ring, Epoch: c.rollout.Epoch, Now: c.now, Limit: min(claimMost, c.room+c.room/4+10), Seen: c.rollout.PumpedAt,
		Exclusive: c.change.exclusive(), Conflict: true, Targets: c.spec.Targets.Filter,
		Lean: c.lean(), Metrics: c.spec.Ready != nil || c.spec.Targets.Judge != nil && c.spec.Targets.Filter == nil,
	}
	if c.spec.Budget != nil {
		q.Budget, q.BudgetOf = true, c.spec.Budget.Per
	}
	return q
}

// lean reports whether neither the change nor a condition that is evaluated here
// looks at more of a device than how it is connected.
func (c *claim) lean() bool {
	kind, targets := c.spec.Change.Kind, c.spec.Targets
	return (kind == deviceops.ChangeCommand || kind == deviceops.ChangeWorkflow) && c.spec.Ready == nil && (targets.Judge == nil || targets.Filter != nil)
}

// decide sorts candidates into those that are sent the change, those that wait
// and those that are done without it.
func (c *claim) decide(ctx context.Context, found []deviceops.Candidate) (err error) {
	admitter := deviceops.NewAdmitter(c.spec, deviceops.AdmitFacts{Blackouts: c.facts.blackouts}, c.now)
	c.leased, c.commands = make([]deviceops.RolloutDevice, 0, len(found)), make([]deviceops.Command, 0, len(found))
	lean := c.lean()
	freezes := freezesBelow{tx: c.tx, account: c.rollout.Account, known: map[string]*deviceops.Freeze{}}
	for i := range found {
		candidate := &found[i]
		if lean && candidate.Meets == deviceops.Unknown {
			candidate.Meets = deviceops.Yes // what the store cannot tell, nobody can: it stays
		}
		if len(c.commands)+len(c.runs) == c.room {
			return nil // the rest stays due
		}
		if cause := admitter.Excuse(candidate); cause != nil {
			c.end(candidate, deviceops.DeviceExcused, cause)
			continue
		}
		if candidate.Freeze, err = freezes.of(ctx, candidate.Row.Account); err != nil {
			return err
		}
		c.admit(admitter, candidate)
	}
	return nil
}

// admit sends a device the change, unless it needs none or has to wait.
func (c *claim) admit(admitter *deviceops.Admitter, candidate *deviceops.Candidate) {
	plan, known := c.change.plan(candidate)
	switch {
	case !known: // it stays due until more is learned
		return
	case plan.end != "":
		c.end(candidate, plan.end, plan.cause)
		return
	case !plan.exclusive:
		candidate.LockedBy = ""
	}
	if wait := admitter.Admit(candidate); wait != nil {
		c.hold(candidate, wait)
		return
	}
	if plan.desired != nil {
		if c.desired == nil {
			c.desired = map[string]deviceops.Desired{}
		}
		c.desired[candidate.Row.Device] = *plan.desired
	}
	row := candidate.Row
	row.Attempt, row.From = candidate.Attempt, plan.from
	if plan.run != nil {
		c.runs = append(c.runs, *plan.run)
		c.begin(candidate)
		return
	}
	c.leased = append(c.leased, row)
	c.commands = append(c.commands, c.command(candidate, plan, admitter))
}

// command is the command by which a device is changed. It expires when the phases
// of the change have had all their time.
func (c *claim) command(candidate *deviceops.Candidate, plan plan, admitter *deviceops.Admitter) deviceops.Command {
	args := plan.args
	if plan.name == deviceops.CommandInstall {
		args = admitter.Timed(candidate, args)
	}
	lasts := c.spec.AnswerWithin + c.spec.Phases.Install.Timeout
	if c.spec.Change.Kind == deviceops.ChangeRelease {
		lasts += c.spec.Phases.Download.Timeout
	}
	command := deviceops.Command{
		ID: deviceops.RolloutCommandID(c.rollout.ID, candidate.Row.Device), Account: candidate.Device.Account, Device: candidate.Row.Device,
		Name: plan.name, Args: args, Attempt: candidate.Attempt, Exclusive: plan.exclusive, Status: deviceops.CommandPending,
		By: "rollout:" + c.rollout.ID, Reason: c.rollout.Reason, CreatedAt: c.now, DueAt: c.now, LeasedUntil: c.now.Add(deviceops.PublishLease),
		Rollout: c.rollout.ID, Ring: candidate.Row.Ring, Boot: candidate.Route.Boot, Route: candidate.Route,
	}
	if lasts > 0 {
		command.ExpiresAt = c.now.Add(lasts)
	}
	return command
}

func (c *claim) hold(candidate *deviceops.Candidate, wait *deviceops.RolloutWait) {
	row := candidate.Row
	row.Wait, row.DueAt = wait, wait.Until
	c.held = append(c.held, row)
}

// end ends the row of a device that is sent nothing.
func (c *claim) end(candidate *deviceops.Candidate, status deviceops.RolloutDeviceStatus, cause *deviceops.CommandError) {
	c.moves = append(c.moves, deviceops.RolloutMove{
		Rollout: c.rollout.ID, Device: candidate.Row.Device, From: unsent, To: status, At: c.now, Error: cause,
	})
}

// begin notes that a run for a device was asked for.
func (c *claim) begin(candidate *deviceops.Candidate) {
	c.moves = append(c.moves, deviceops.RolloutMove{
		Rollout: c.rollout.ID, Device: candidate.Row.Device, From: unsent, To: deviceops.DeviceSent, At: c.now, Attempt: candidate.Attempt,
	})
}

var unsent = []deviceops.RolloutDeviceStatus{deviceops.DevicePending, deviceops.DeviceDeferred}

// save writes what was decided. Counters come last.
func (c *claim) save(ctx context.Context) error {
	if len(c.desired) > 0 {
		if err := c.tx.SaveDesired(ctx, c.desired); err != nil {
			return err
		}
	}
	if err := c.saveRuns(ctx); err != nil {
		return err
	}
	if err := c.tx.HoldRollout(ctx, c.held); err != nil {
		return err
	}
	refused, err := c.tx.LeaseRollout(ctx, c.leased, c.commands, c.now)
	if err != nil {
		return err
	}
	c.refuse(refused)
	if err := c.tx.WakeRollout(ctx, c.done(), c.now); err != nil {
		return err
	}
	_, err = c.tx.AdvanceRollout(ctx, c.moves)
	return err
}

// done gives the devices whose rows end, for which other rollouts may wait.
func (c *claim) done() (devices []string) {
	for _, m := range c.moves {
		if !m.To.Open() {
			devices = append(devices, m.Device)
		}
	}
	return devices
}

// refuse ends rows whose command has ended in a way after which nothing is asked
// again.
func (c *claim) refuse(devices []string) {
	if len(devices) == 0 {
		return
	}
	refused := map[string]bool{}
	for _, device := range devices {
		refused[device] = true
	}
	kept := c.commands[:0]
	for _, command := range c.commands {
		if !refused[command.Device] {
			kept = append(kept, command)
			continue
		}
		cause := &deviceops.CommandError{Code: "refused", Message: fmt.Sprintf("its command %s has ended and cannot be asked again: see its record", command.ID)}
		c.moves = append(c.moves, deviceops.RolloutMove{
			Rollout: c.rollout.ID, Device: command.Device, From: unsent, To: deviceops.DeviceFailed, At: c.now, Error: cause,
		})
	}
	c.commands = kept
}

func (c *claim) saveRuns(ctx context.Context) error {
	starts := make([]deviceops.Start, len(c.runs))
	for i, r := range c.runs {
		if _, err := c.tx.CreateRun(ctx, r); err != nil {
			return err
		}
		starts[i] = deviceops.RunStart(r)
	}
	if len(starts) == 0 {
		return nil
	}
	return c.tx.RequestStarts(ctx, starts, c.now)
}

// freezesBelow finds freezes of accounts below that of a rollout.
type freezesBelow struct {
	tx      deviceops.Tx
	account string
	known   map[string]*deviceops.Freeze
}

func (f *freezesBelow) of(ctx context.Context, account string) (*deviceops.Freeze, error) {
	if freeze, ok := f.known[account]; ok {
		return freeze, nil
	}
	freezes, err := f.tx.Freezes(ctx, account)
	if err != nil {
		return nil, err
	}
	f.known[account] = nil
	if len(freezes) > 0 {
		f.known[account] = &freezes[0]
	}
	return f.known[account], nil
}

// publish sends commands while the pump goes on, as long as the broker keeps up.
func (p *pump) publish(ctx context.Context, commands []deviceops.Command, now time.Time) error {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	go func() {
		defer func() { <-p.slots }()
		// What was leased is sent, even when the pump is asked to stop.
		ctx := context.WithoutCancel(ctx)
		sent, err := p.deps.Gateway.PublishCommands(ctx, commands, now)
		if err != nil {
			sent = append(sent, p.sift(ctx, commands, sent, now, err)...)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.unmarked = append(p.unmarked, mark{since: time.Now(), sentAt: p.deps.now(), sent: sent})
	}()
	return nil
}

// sift deals with commands that the broker did not take. Unless it is out of
// reach they are tried one by one, since some may be impossible to send: those
// fail for good. The others are tried again when their lease has lapsed.
func (p *pump) sift(ctx context.Context, commands []deviceops.Command, sent []deviceops.Sent, now time.Time, cause error) (late []deviceops.Sent) {
	taken := map[string]bool{}
	for _, s := range sent {
		taken[s.ID] = true
	}
	p.deps.log().WarnContext(ctx, "commands of a rollout could not be published", "rollout", p.id, "commands", len(commands)-len(sent), "err", cause)
	for _, c := range commands {
		if taken[c.ID] || deviceops.ErrorCode(cause) == deviceops.EUNAVAILABLE {
			continue
		}
		one, err := p.deps.Gateway.PublishCommands(ctx, []deviceops.Command{c}, now)
		late = append(late, one...)
		if code := deviceops.ErrorCode(err); code == deviceops.EEXHAUSTED || code == deviceops.EINVALID {
			err = p.giveUp(ctx, c, &deviceops.CommandError{Code: code, Message: deviceops.ErrorMessage(err)})
		}
		if err != nil {
			p.deps.log().WarnContext(ctx, "a command of a rollout will be tried again", "rollout", p.id, "command", c.ID, "err", err)
		}
	}
	return late
}

// giveUp ends a row whose command cannot be sent.
func (p *pump) giveUp(ctx context.Context, c deviceops.Command, cause *deviceops.CommandError) error {
	return p.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		locked, err := lockCommand(ctx, tx, c.ID)
		if err != nil {
			return err
		}
		now := p.deps.now()
		if !locked.Finish(deviceops.CommandFailed, cause, now) {
			return nil
		}
		if err := tx.SaveCommands(ctx, []deviceops.Command{*locked}); err != nil {
			return err
		}
		_, err = tx.AdvanceRollout(ctx, []deviceops.RolloutMove{{
			Rollout: p.id, Device: c.Device, From: unsent, To: deviceops.DeviceFailed, At: now, Error: cause,
		}})
		return err
	})
}

// mark records what was sent for at least so long.
func (p *pump) mark(ctx context.Context, age time.Duration) error {
	p.mu.Lock()
	var due, younger []mark
	for _, m := range p.unmarked {
		if time.Since(m.since) < age {
			younger = append(younger, m)
		} else {
			due = append(due, m)
		}
	}
	p.unmarked = younger
	p.mu.Unlock()
	for _, m := range due {
		if err := p.deps.Store.MarkRolloutSent(ctx, p.id, m.sent, m.sentAt); err != nil {
			return err
		}
	}
	return nil
}
