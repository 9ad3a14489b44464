package gateway

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/url"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/net/proxy"
)

// Sizes of what is read from and written to the broker at once. Writers wait
// while more than writeBuffer is under way.
const (
	readBuffer  = 32 << 10
	writeBuffer = 64 << 10
)

// closeGrace is how long what was written before a Close may take to go out.
const closeGrace = time.Second

// conn is a connection that reads and writes in large pieces. The MQTT client
// makes three reads of each packet and up to two writes; with thousands of
// packets a second most of its time would go into the kernel.
//
// What is written goes out at once, unless a piece before it is still going out:
// then all that has come meanwhile follows in one. A piece that takes longer than
// timeout ends the connection.
type conn struct {
	net.Conn
	in      *bufio.Reader
	timeout time.Duration

	mu      sync.Mutex
	changed *sync.Cond // any of what follows
	pending []byte     // to be written
	err     error      // of the last write
	closed  bool

	flushed chan struct{} // closed when nothing will be written any more
}

func newConn(raw net.Conn, timeout time.Duration) *conn {
	c := &conn{Conn: raw, in: bufio.NewReaderSize(raw, readBuffer), timeout: timeout, flushed: make(chan struct{})}
	c.changed = sync.NewCond(&c.mu)
	go c.flush()
	return c
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) { return c.in.Read(p) }

// Write implements net.Conn. An error may be that of what was written before.
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pending) > writeBuffer && c.err == nil && !c.closed {
		c.changed.Wait()
	}
	switch {
	case c.err != nil:
		return 0, c.err
	case c.closed:
		return 0, net.ErrClosed
	}
	c.pending = append(c.pending, p...)
	c.changed.Broadcast()
	return len(p), nil
}

// flush writes what is pending until the connection ends.
func (c *conn) flush() {
	defer close(c.flushed)
	var piece []byte
	for {
		if piece = c.next(piece[:0]); len(piece) == 0 {
			return
		}
		_, err := c.Conn.Write(piece)
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// next waits for something to write and swaps it for an empty buffer. Nothing:
// the connection was closed.
func (c *conn) next(empty []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pending) == 0 && !c.closed {
		c.changed.Wait()
	}
	piece := c.pending
	c.pending = empty
	c.changed.Broadcast()
	if !c.closed { // else Close has set the last one
		_ = c.Conn.SetWriteDeadline(time.Now().Add(c.timeout)) // a connection that is gone says so at the write
	}
	return piece
}

// fail ends the connection for readers, too.
func (c *conn) fail(err error) {
	c.mu.Lock()
	c.err = err
	c.changed.Broadcast()
	c.mu.Unlock()
	_ = c.Conn.Close()
}

// Close implements net.Conn. What was written goes out first.
func (c *conn) Close() error {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		_ = c.Conn.SetWriteDeadline(time.Now().Add(closeGrace))
		c.changed.Broadcast()
	}
	c.mu.Unlock()
	<-c.flushed
	return c.Conn.Close()
}

// SetDeadline implements net.Conn for reading: see conn for writing.
func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn and changes nothing: see conn.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// open connects to a broker.
func (c Config) open(broker *url.URL, o mqtt.ClientOptions) (net.Conn, error) {
	raw, err := dial(broker, o)
	if err != nil {
		return nil, err
	}
	return newConn(raw, c.Timeout), nil
}

func dial(broker *url.URL, o mqtt.ClientOptions) (net.Conn, error) {
	switch broker.Scheme {
	case "ws", "wss":
		anonymous := *broker
		anonymous.User = nil
		return mqtt.NewWebsocket(anonymous.String(), o.TLSConfig, o.ConnectTimeout, o.HTTPHeaders, o.WebsocketOptions)
	}
	raw, err := proxy.FromEnvironmentUsing(o.Dialer).Dial("tcp", broker.Host)
	if err != nil || broker.Scheme == "tcp" || broker.Scheme == "mqtt" {
		return raw, err
	}
	return encrypt(raw, broker.Hostname(), o)
}

func encrypt(raw net.Conn, host string, o mqtt.ClientOptions) (net.Conn, error) {
	config := o.TLSConfig.Clone()
	if config.ServerName == "" {
		config.ServerName = host
	}
	secure := tls.Client(raw, config)
	_ = raw.SetDeadline(time.Now().Add(o.ConnectTimeout)) // a connection that is gone says so in the handshake
	if err := secure.Handshake(); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return secure, raw.SetDeadline(time.Time{})
}
