package simulator

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

const (
	atLeastOnce    = 1 // QoS
	brokerPatience = 20 * time.Second
	goodbye        = 250 // milliseconds that a connection has to send what is under way
)

// link brings a device to the broker. Its methods are called by the device's
// worker and don't block; the outcome arrives in the device's mailbox, as
// connected or disconnected.
type link interface {
	attach(d *device)
	// detach takes the device off. Abrupt means as if its cable was cut.
	detach(d *device, abrupt bool)
	// lost is called after a connection ended unasked.
	lost(d *device)
}

// conn is one MQTT connection.
type conn struct {
	client mqtt.Client
	shared bool
	id     string // of the connection, where it belongs to one device
	over   chan struct{}
	once   sync.Once
	open   *sync.Map // the fleet's; see Simulator
	mu     sync.Mutex
	socket net.Conn
	latest mqtt.Token // of the message published last
	heard  atomic.Bool
}

// publish hands a message over. It blocks while the broker takes no more. What
// fails is repeated later: nothing is forgotten before the engine's ack.
func (c *conn) publish(topic string, payload []byte) {
	token := c.client.Publish(topic, atLeastOnce, false, payload)
	c.mu.Lock()
	c.latest = token
	c.mu.Unlock()
}

// close ends the connection in good order: the broker has what was said, and
// publishes no will.
func (c *conn) close() {
	c.mu.Lock()
	latest := c.latest
	c.mu.Unlock()
	if latest != nil {
		latest.WaitTimeout(time.Second)
	}
	c.client.Disconnect(goodbye)
	c.ended()
}

// cut ends the connection without a word, as power loss does.
func (c *conn) cut() {
	c.mu.Lock()
	socket := c.socket
	c.mu.Unlock()
	if socket == nil { // a WebSocket can't be cut, only closed
		c.client.Disconnect(0)
		c.ended()
		return
	}
	_ = socket.Close()
}

func (c *conn) ended() {
	c.once.Do(func() {
		c.open.Delete(c)
		close(c.over)
	})
}

// options are those of every connection. There is one handler for all messages,
// and it only sorts them into mailboxes: so it may be called in order, which a
// device needs, and never holds the connection up.
func (s *Simulator) options(clientID, username string, c *conn) *mqtt.ClientOptions {
	o := mqtt.NewClientOptions().AddBroker(s.cfg.Broker).SetClientID(clientID).SetCleanSession(true).
		SetUsername(username).SetPassword(s.cfg.Password).SetOrderMatters(true).
		SetAutoReconnect(false).SetConnectTimeout(brokerPatience).SetKeepAlive(30 * time.Second).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
			c.heard.Store(true)
			s.receive(m)
		}).
		SetConnectionLostHandler(func(mqtt.Client, error) { c.ended() })
	if s.cfg.TLS != nil {
		o.SetTLSConfig(s.cfg.TLS)
	}
	if !strings.HasPrefix(s.cfg.Broker, "ws") {
		o.SetCustomOpenConnectionFn(c.dial)
	}
	return o
}

// dial opens the socket and keeps it, so that it can be cut.
func (c *conn) dial(uri *url.URL, o mqtt.ClientOptions) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: o.ConnectTimeout}
	var socket net.Conn
	var err error
	switch uri.Scheme {
	case "ssl", "tls", "mqtts", "tcps":
		socket, err = tls.DialWithDialer(dialer, "tcp", uri.Host, o.TLSConfig)
	default:
		socket, err = dialer.Dial("tcp", uri.Host)
	}
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.socket = socket
	return socket, nil
}

// receive sorts a message into the mailbox of its device.
func (s *Simulator) receive(m mqtt.Message) {
	address, err := s.cfg.Topics.Parse(m.Topic())
	d, ok := s.byID[address.Device]
	if err != nil || !ok {
		s.count(func(st *Stats) { st.BadInbound++ })
		return
	}
	payload := m.Payload()
	d.post(func() { d.receive(address.Leaf, payload) })
}

// await gives the outcome of an MQTT operation.
func await(token mqtt.Token) error {
	if !token.WaitTimeout(brokerPatience) {
		return deviceops.Errorf(deviceops.ETIMEOUT, "the broker did not answer within %v", brokerPatience)
	}
	return token.Error()
}

// connect opens the connection and subscribes to filters.
func connect(c *conn, o *mqtt.ClientOptions, filters []string) error {
	c.client = mqtt.NewClient(o)
	if err := await(c.client.Connect()); err != nil {
		return err
	}
	c.open.Store(c, nil)
	const atOnce = 200 // filters in one packet
	for len(filters) > 0 {
		n := min(atOnce, len(filters))
		batch := make(map[string]byte, n)
		for _, f := range filters[:n] {
			batch[f] = atLeastOnce
		}
		if err := await(c.client.SubscribeMultiple(batch, nil)); err != nil {
			c.close()
			return err
		}
		filters = filters[n:]
	}
	return nil
}

// pause waits for d and reports whether the run goes on.
func (s *Simulator) pause(d time.Duration) bool {
	select {
	case <-s.ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// ownLink is a connection for one device, with its last will.
type ownLink struct {
	fleet  *Simulator
	device *device
}

func (l *ownLink) attach(d *device) { l.fleet.spawn(func() { l.connect(d) }) }

func (l *ownLink) detach(d *device, abrupt bool) {
	c := d.conn
	if abrupt {
		l.fleet.spawn(c.cut)
		return
	}
	l.fleet.spawn(c.close)
}

func (l *ownLink) lost(d *device) {
	d.after(d.backoff(), d.connect)
}

// connect tries until it succeeds, a few devices of the fleet at a time.
func (l *ownLink) connect(d *device) {
	s := l.fleet
	wait := chanceOf(s.cfg.Seed, d.ID, "dial")
	for {
		c, err := l.dial()
		if err == nil {
			d.post(func() { d.connected(c) })
			s.watch(c, d)
			return
		}
		s.cfg.Logger.Debug("cannot connect", "device", d.ID, "error", err)
		if !s.pause(wait.between(s.cfg.Behavior.Reconnect/10, s.cfg.Behavior.Reconnect)) {
			return
		}
	}
}

// watch tells the device when the connection has ended.
func (s *Simulator) watch(c *conn, d *device) {
	select {
	case <-c.over:
		d.post(func() { d.disconnected(c) })
	case <-s.ctx.Done():
	}
}

func (l *ownLink) dial() (*conn, error) {
	s, d := l.fleet, l.device
	select {
	case s.dialing <- struct{}{}:
	case <-s.ctx.Done():
		return nil, context.Cause(s.ctx)
	}
	defer func() { <-s.dialing }()
	c := &conn{id: s.fresh("c"), open: &s.open, over: make(chan struct{})}
	will, err := protocol.Encode(&protocol.Status{Status: protocol.StatusOffline, Connection: c.id})
	if err != nil {
		return nil, err
	}
	o := s.options(d.ID, strings.ReplaceAll(s.cfg.Username, "%d", d.ID), c)
	o.SetBinaryWill(s.cfg.Topics.Up(d.ID, protocol.LeafStatus), will, atLeastOnce, false)
	return c, connect(c, o, []string{s.cfg.Topics.DownFilter(d.ID)})
}

// sharedLink is a connection for many devices. A last will could speak for only
// one of them, so each says itself when it goes.
type sharedLink struct {
	fleet    *Simulator
	clientID string
	devices  []*device
	chance   chance

	mu       sync.Mutex
	up       *conn
	attached map[*device]bool
}

func newSharedLink(s *Simulator, number int) *sharedLink {
	name := s.fresh(s.cfg.Prefix + "-link")
	return &sharedLink{fleet: s, clientID: name, chance: chanceOf(s.cfg.Seed, "link", strconv.Itoa(number)), attached: map[*device]bool{}}
}

func (l *sharedLink) attach(d *device) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attached[d] = true
	if c := l.up; c != nil {
		d.post(func() { d.connected(c) })
	}
}

func (l *sharedLink) detach(d *device, abrupt bool) {
	if abrupt {
		d.say(d.statusOf(protocol.StatusOffline, 0))
		d.flush()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.attached, d)
}

// lost does nothing: the link makes itself anew for all its devices.
func (l *sharedLink) lost(*device) {}

func (l *sharedLink) run() {
	s := l.fleet
	for {
		c, err := l.dial()
		if err != nil {
			s.cfg.Logger.Debug("cannot connect", "link", l.clientID, "error", err)
		} else if !l.serve(c) {
			return
		}
		if !s.pause(l.chance.between(s.cfg.Behavior.Reconnect/10, s.cfg.Behavior.Reconnect)) {
			return
		}
	}
}

func (l *sharedLink) dial() (*conn, error) {
	s := l.fleet
	c := &conn{shared: true, open: &s.open, over: make(chan struct{})}
	filters := make([]string, len(l.devices))
	for i, d := range l.devices {
		filters[i] = s.cfg.Topics.DownFilter(d.ID)
	}
	return c, connect(c, s.options(l.clientID, s.cfg.Username, c), filters)
}

// serve lets the devices use c until it is lost; it reports false when the run
// ends.
func (l *sharedLink) serve(c *conn) bool {
	l.tell(c, func(d *device) { d.connected(c) })
	select {
	case <-c.over:
		l.tell(nil, func(d *device) { d.disconnected(c) })
		return true
	case <-l.fleet.ctx.Done():
		return false
	}
}

// tell makes up the connection in use and informs the attached devices.
func (l *sharedLink) tell(up *conn, what func(*device)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up = up
	for d := range l.attached {
		d.post(func() { what(d) })
	}
}
