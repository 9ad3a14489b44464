package gateway

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/deviceops/deviceops"
)

// link keeps one client connected.
type link struct {
	client  mqtt.Client
	onOpen  func(mqtt.Client) error // called after each connect; an error closes the connection
	timeout time.Duration
	log     *slog.Logger
	lost    chan error
	last    atomic.Bool // the present connection is the last one

	mu    sync.Mutex
	open  chan struct{} // closed while the connection is usable
	up    bool
	cause error // why it is not up
}

// newLink takes over the client's OnConnectionLost.
func newLink(options *mqtt.ClientOptions, onOpen func(mqtt.Client) error, timeout time.Duration, log *slog.Logger) *link {
	l := &link{
		onOpen: onOpen, timeout: timeout, log: log.With("client", options.ClientID),
		lost: make(chan error, 1), open: make(chan struct{}),
		cause: deviceops.Errorf(deviceops.EUNAVAILABLE, "not connected to the broker yet"),
	}
	options.SetConnectionLostHandler(func(_ mqtt.Client, err error) {
		select {
		case l.lost <- err:
		default:
		}
	})
	l.client = mqtt.NewClient(options)
	return l
}

// Waits between attempts to connect grow from the first to the last.
const (
	firstWait = 200 * time.Millisecond
	lastWait  = 5 * time.Second
)

// run connects, again and again, until ctx ends or the last connection is lost;
// then it disconnects.
func (l *link) run(ctx context.Context) {
	defer l.disconnect()
	wait := firstWait
	for ctx.Err() == nil && !l.last.Load() {
		err := l.connect(ctx)
		if err == nil {
			wait = firstWait
			l.isUp()
			err = l.hold(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		l.isDown(err)
		sleep(ctx, wait/2+rand.N(wait/2)) // so that a fleet of processes doesn't come back as one
		wait = min(2*wait, lastWait)
	}
}

func (l *link) connect(ctx context.Context) error {
	select {
	case <-l.lost: // of the connection before
	default:
	}
	if err := await(ctx, l.client.Connect()); err != nil {
		return err
	}
	if l.onOpen == nil {
		return nil
	}
	if err := l.onOpen(l.client); err != nil {
		l.client.Disconnect(0)
		return err
	}
	return nil
}

func (l *link) hold(ctx context.Context) error {
	select {
	case err := <-l.lost:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// disconnect says goodbye, which lets acknowledgements that were handed to the
// client go out first.
func (l *link) disconnect() {
	l.client.Disconnect(250)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up, l.cause = false, deviceops.Errorf(deviceops.EUNAVAILABLE, "stopped")
	l.open = make(chan struct{})
}

func (l *link) isUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up, l.cause = true, nil
	close(l.open)
	l.log.Info("connected to the broker")
}

func (l *link) isDown(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := l.up || l.cause == nil || l.cause.Error() != cause.Error()
	if l.up {
		l.open = make(chan struct{})
	}
	l.up, l.cause = false, cause
	if changed {
		l.log.Warn("no connection to the broker", "error", cause)
	}
}

// ready gives nil while the connection is up. EUNAVAILABLE.
func (l *link) ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up {
		return nil
	}
	return deviceops.Errorf(deviceops.EUNAVAILABLE, "no connection to the broker: %w", l.cause)
}

// wait returns when the connection is up. EUNAVAILABLE when ctx ends first.
func (l *link) wait(ctx context.Context) error {
	l.mu.Lock()
	open := l.open
	l.mu.Unlock()
	select {
	case <-open:
		return nil
	case <-ctx.Done():
		return l.ready()
	}
}

// await waits for a token of the MQTT client. EUNAVAILABLE when ctx ends first.
func await(ctx context.Context, token mqtt.Token) error {
	select {
	case <-token.Done():
		return token.Error()
	case <-ctx.Done():
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "the broker did not answer in time: %w", ctx.Err())
	}
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
