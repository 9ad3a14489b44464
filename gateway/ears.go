package gateway

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/deviceops/deviceops"
)

// sharedFilter makes a filter one of the lanes' shared subscription.
func sharedFilter(filter string) string { return "$share/" + group + "/" + filter }

// filters are what lanes subscribe to: the topics of the device protocol, and
// those of devices' own.
type filters struct {
	protocol string

	mu  sync.Mutex
	own []string
}

func newFilters(protocol string) *filters { return &filters{protocol: protocol} }

// set makes own the devices' own topics and reports whether they changed.
func (f *filters) set(own []string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.Equal(f.own, own) {
		return false
	}
	f.own = own
	return true
}

func (f *filters) get() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.own
}

// ears hold the subscriptions of one lane. Its session outlives connections, so
// that a process that takes a lane over may inherit subscriptions; those of the
// topics that are no longer translated bring messages that are rejected.
type ears struct {
	filters *filters
	timeout time.Duration
	log     *slog.Logger

	mu    sync.Mutex
	heard map[string]bool // own topics that the present connection subscribed to
}

// open renews all subscriptions at each connect, since the broker may have lost
// the session. A broker that refuses that of the protocol ends the connection.
func (e *ears) open(client mqtt.Client) error {
	e.mu.Lock()
	e.heard = map[string]bool{}
	e.mu.Unlock()
	if err := subscribe(client, e.filters.protocol, e.timeout); err != nil {
		return err
	}
	e.listen(client)
	return nil
}

// listen subscribes to own topics that are new and gives up those that are gone.
// What the broker refuses or does not answer is told, and tried again at the
// next connect or change; it keeps nothing else from being heard.
func (e *ears) listen(client mqtt.Client) {
	e.mu.Lock()
	defer e.mu.Unlock()
	own := e.filters.get()
	for filter := range e.heard {
		if !slices.Contains(own, filter) && e.note(filter, unsubscribe(client, filter, e.timeout)) {
			delete(e.heard, filter)
		}
	}
	for _, filter := range own {
		if !e.heard[filter] && e.note(filter, subscribe(client, filter, e.timeout)) {
			e.heard[filter] = true
		}
	}
}

func (e *ears) note(filter string, err error) bool {
	if err != nil {
		e.log.Error("a topic of devices' own is not heard", "filter", filter, "error", err)
	}
	return err == nil
}

// subscribe asks for a filter. A broker that refuses it says so in the return
// code.
func subscribe(client mqtt.Client, filter string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	token := client.Subscribe(filter, 1, nil)
	if err := await(ctx, token); err != nil {
		return err
	}
	const refused = 0x80
	if t, ok := token.(*mqtt.SubscribeToken); ok && t.Result()[filter] == refused {
		return deviceops.Errorf(deviceops.EFORBIDDEN, "the broker refuses the subscription to %s: check its access rules", filter)
	}
	return nil
}

func unsubscribe(client mqtt.Client, filter string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return await(ctx, client.Unsubscribe(filter))
}
