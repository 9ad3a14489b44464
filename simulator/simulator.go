package simulator

import (
	"context"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// workers is how many goroutines work off mailboxes. More than processors,
// because a worker blocks while the broker takes no more.
const workers = 32

// Simulator is a fleet of virtual devices.
type Simulator struct {
	cfg     Config
	devices []*device
	byID    map[string]*device
	ledger  *Ledger
	timers  *scheduler
	ready   chan *device // devices with something in their mailbox
	dialing chan struct{}
	counter
	open    sync.Map     // the *conn that have not ended
	serial  atomic.Int64 // numbers boots and connections
	started string       // makes their ids differ from those of an earlier process

	running sync.WaitGroup
	ctx     context.Context
	stop    context.CancelCauseFunc
}

// New makes the fleet; Run switches it on. Returns EINVALID for a Config that
// can't be, and EUNAVAILABLE or EINVALID when state or ledger can't be read.
func New(cfg Config) (*Simulator, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Simulator{
		cfg: cfg, ledger: &Ledger{}, timers: newScheduler(),
		ready: make(chan *device, cfg.Devices), dialing: make(chan struct{}, 64),
		byID: make(map[string]*device, cfg.Devices), started: strconv.FormatInt(time.Now().UnixNano(), 36),
	}
	s.stats = Stats{Devices: cfg.Devices, Results: map[string]int{}, States: map[string]int{}}
	if err := s.openFiles(); err != nil {
		return nil, err
	}
	return s, s.makeDevices()
}

func (s *Simulator) openFiles() error {
	if s.cfg.StateDir != "" {
		if err := os.MkdirAll(s.cfg.StateDir, 0o700); err != nil {
			return deviceops.Errorf(deviceops.EUNAVAILABLE, "cannot make the folder for state: %w", err)
		}
	}
	if s.cfg.LedgerFile == "" {
		return nil
	}
	ledger, err := OpenLedger(s.cfg.LedgerFile)
	if err != nil {
		return err
	}
	s.ledger = ledger
	return nil
}

func (s *Simulator) makeDevices() error {
	for _, identity := range Identities(s.cfg) {
		d, err := newDevice(s, identity)
		if err != nil {
			return err
		}
		s.devices = append(s.devices, d)
		s.byID[d.ID] = d
	}
	return nil
}

// Devices gives who the fleet is: what an importer would register.
func (s *Simulator) Devices() []Identity { return Identities(s.cfg) }

// Ledger gives the effects so far. It may be read while the fleet runs.
func (s *Simulator) Ledger() *Ledger { return s.ledger }

// Stats gives the counts as they are now.
func (s *Simulator) Stats() Stats { return s.snapshot() }

// Run switches the fleet on and runs it until ctx ends, which is no error; the
// devices then say goodbye. It returns an error when ledger or state can't be
// written, since effects could no longer be told from repeats. A Simulator runs
// once.
func (s *Simulator) Run(ctx context.Context) error {
	ctx, s.stop = context.WithCancelCause(ctx)
	s.ctx = ctx
	defer s.stop(nil)
	s.spawn(func() { s.timers.run(ctx) })
	for range workers {
		s.spawn(func() { s.work(ctx) })
	}
	s.connectAll()
	s.powerOnAll()
	<-ctx.Done()
	s.running.Wait()
	s.farewell()
	if cause := context.Cause(ctx); deviceops.ErrorCode(cause) == deviceops.EUNAVAILABLE {
		return cause
	}
	return s.ledger.Close()
}

// spawn runs do in a goroutine that Run waits for.
func (s *Simulator) spawn(do func()) { s.running.Go(do) }

// connectAll gives every device its link to the broker.
func (s *Simulator) connectAll() {
	if s.cfg.Connections == 0 {
		for _, d := range s.devices {
			d.link = &ownLink{fleet: s, device: d}
		}
		return
	}
	n := min(s.cfg.Connections, len(s.devices))
	links := make([]*sharedLink, n)
	for i := range links {
		links[i] = newSharedLink(s, i)
	}
	for i, d := range s.devices {
		l := links[i%n]
		d.link = l
		l.devices = append(l.devices, d)
	}
	for _, l := range links {
		s.spawn(l.run)
	}
}

func (s *Simulator) powerOnAll() {
	for i, d := range s.devices {
		delay := s.cfg.Ramp * time.Duration(i) / time.Duration(len(s.devices))
		s.timers.after(delay, d, d.powerOn)
	}
}

// farewell ends what is still connected. No worker runs any more, so the
// devices' fields are free to use.
func (s *Simulator) farewell() {
	var all sync.WaitGroup
	for _, d := range s.devices {
		if d.conn == nil {
			continue
		}
		d.say(d.statusOf(protocol.StatusOffline, 0))
		all.Go(d.flush)
	}
	all.Wait()
	s.open.Range(func(c, _ any) bool {
		all.Go(c.(*conn).close)
		return true
	})
	all.Wait()
}

// fresh gives an id that no boot or connection had before, in this process or
// an earlier one.
func (s *Simulator) fresh(kind string) string {
	return kind + "-" + s.started + "-" + strconv.FormatInt(s.serial.Add(1), 36)
}

// fail ends the run: what must be remembered can't be.
func (s *Simulator) fail(err error) {
	s.stop(deviceops.Errorf(deviceops.EUNAVAILABLE, "the fleet cannot go on: %w", err))
}
