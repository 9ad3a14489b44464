package gateway

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/deviceops/deviceops"
)

// LanesConfig says how a process takes part in reading what devices say.
type LanesConfig struct {
	Config

	// Lanes is the number of members of the shared subscription, the same in
	// every process of the installation. Default 4.
	Lanes int

	// Holder names this process in leases. Default: a random id.
	Holder string

	// TTL is how long a lease lasts, Renew how often it is renewed. Default
	// 15 s and a third of TTL.
	TTL, Renew time.Duration

	// Own gives the MQTT filters of devices with topics of their own, which are
	// read by the same lanes. It is asked at every renewal. Nil: there are none.
	Own func(ctx context.Context) ([]string, error)
}

// Defaults of LanesConfig.
const (
	DefaultLanes = 4
	DefaultTTL   = 15 * time.Second
)

// group is the name of the shared subscription at the broker.
const group = "deviceops"

// Lanes reads what devices publish and delivers it to an inbox, by as many
// lanes as the store leases to this process.
type Lanes struct {
	config  LanesConfig
	filters *filters
	leases  deviceops.Lanes
	inbox   deviceops.Inbox
	metrics *metrics

	mu      sync.Mutex
	held    map[int]*lane
	renewed time.Time // when the leases that are held were last renewed
	err     error     // why they could not be
}

// NewLanes makes Lanes; Run connects them. EINVALID for a configuration that
// can't be used.
func NewLanes(c LanesConfig, leases deviceops.Lanes, inbox deviceops.Inbox) (*Lanes, error) {
	c.Config = c.Config.withDefaults()
	c.Lanes = cmp.Or(c.Lanes, DefaultLanes)
	c.Holder = cmp.Or(c.Holder, "gateway-"+randomID())
	c.TTL = cmp.Or(c.TTL, DefaultTTL)
	c.Renew = cmp.Or(c.Renew, c.TTL/3)
	topics, err := c.topics()
	if err != nil {
		return nil, err
	}
	filter, err := topics.Shared(group, topics.UpFilter())
	if err != nil {
		return nil, err
	}
	if _, err := c.options(ClientID(0), false); err != nil {
		return nil, err
	}
	return &Lanes{
		config: c, filters: newFilters(filter), leases: leases, inbox: inbox, metrics: newMetrics(c.Registerer), held: map[int]*lane{},
		err: deviceops.Errorf(deviceops.EUNAVAILABLE, "no lanes were asked for yet"),
	}, nil
}

// listenEvery is how often it is looked which topics devices have of their own:
// what they say on one is lost until somebody listens.
const listenEvery = 2 * time.Second

// Run takes, keeps and serves lanes until ctx ends. Then it lets the deliveries
// that are under way end, disconnects and releases its leases, in this order,
// so that the next holder finds the session free.
func (l *Lanes) Run(ctx context.Context) error {
	defer l.release(context.WithoutCancel(ctx))
	renewing, listening := time.NewTicker(l.config.Renew), time.NewTicker(min(listenEvery, l.config.Renew))
	defer renewing.Stop()
	defer listening.Stop()
	l.listen(ctx)
	l.renew(ctx)
	for {
		select {
		case <-listening.C:
			l.listen(ctx)
		case <-renewing.C:
			l.renew(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// renew asks for leases and connects and disconnects accordingly. When the
// store does not answer, lanes are served for two thirds of what their leases
// last: the rest is for disconnecting before somebody else may hold them.
func (l *Lanes) renew(ctx context.Context) {
	begin := time.Now()
	asking, cancel := context.WithTimeout(ctx, l.config.TTL/3)
	defer cancel()
	lanes, err := l.leases.HoldLanes(asking, l.config.Holder, l.config.Lanes, begin, l.config.TTL)
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		err = l.serve(lanes)
		l.renewed = begin
	} else if time.Since(l.renewed) >= l.config.TTL*2/3 {
		_ = l.serve(nil)
	}
	l.tell(err)
}

func (l *Lanes) tell(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && l.err == nil {
		l.config.Log.Error("leases of lanes cannot be renewed", "error", err)
	}
	l.err = err
}

// listen makes the lanes read what Own says. While that cannot be told, they go
// on as they are.
func (l *Lanes) listen(ctx context.Context) {
	if l.config.Own == nil {
		return
	}
	asking, cancel := context.WithTimeout(ctx, l.config.TTL/3)
	defer cancel()
	own, err := l.config.Own(asking)
	if err != nil {
		if ctx.Err() == nil {
			l.config.Log.Warn("the topics of devices' own cannot be told", "error", err)
		}
		return
	}
	shared := make([]string, len(own))
	for i, filter := range own {
		shared[i] = sharedFilter(filter)
	}
	if !l.filters.set(shared) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, lane := range l.held {
		lane.listen()
	}
}

// serve makes lanes the ones that are connected.
func (l *Lanes) serve(lanes []int) error {
	wanted := make(map[int]bool, len(lanes))
	for _, n := range lanes {
		wanted[n] = true
	}
	l.drop(func(n int) bool { return !wanted[n] })
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range lanes {
		if l.held[n] != nil {
			continue
		}
		started, err := startLane(l.config.Config, n, l.filters, l.inbox, l.metrics)
		if err != nil {
			return err
		}
		l.held[n] = started
	}
	l.metrics.lanes.Set(float64(len(l.held)))
	return nil
}

// drop stops the lanes that f selects and returns when they are disconnected.
func (l *Lanes) drop(f func(n int) bool) {
	l.mu.Lock()
	var leaving []*lane
	for n, lane := range l.held {
		if f(n) {
			lane.stop()
			leaving = append(leaving, lane)
			delete(l.held, n)
		}
	}
	l.mu.Unlock()
	for _, lane := range leaving {
		<-lane.stopped
	}
}

func (l *Lanes) release(ctx context.Context) {
	_ = l.serve(nil)
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	if err := l.leases.ReleaseLanes(ctx, l.config.Holder); err != nil {
		l.config.Log.Warn("lanes could not be released; their leases lapse", "error", err, "after", l.config.TTL)
	}
}

// Held gives the number of lanes that this process serves.
func (l *Lanes) Held() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held)
}

// Ready gives nil while leases are renewed, every lane that is held is
// connected and the inbox takes what they bring. A process may be ready with no
// lane: others hold them all. EUNAVAILABLE.
func (l *Lanes) Ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "lanes: %w", l.err)
	}
	for _, lane := range l.held {
		if err := lane.ready(); err != nil {
			return err
		}
	}
	return nil
}
