package gateway_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	mqttserver "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/cluster"
	"github.com/deviceops/deviceops/cluster/porttest"
	"github.com/deviceops/deviceops/dev/mochi"
	"github.com/deviceops/deviceops/protocol"
)

func TestMain(m *testing.M) { os.Exit(cluster.RunTests(m)) }

// Bounds of waiting in tests: long for what must happen.
const (
	soon = 20 * time.Second
	tick = 5 * time.Millisecond
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// broker is one under test.
type broker interface {
	URL() string
}

// brokers are the two that the product is run with.
func brokers() map[string]func(t testing.TB) broker {
	return map[string]func(t testing.TB) broker{
		"mochi":     func(t testing.TB) broker { return startMochi(t, "tcp", nil) },
		"mosquitto": func(t testing.TB) broker { return startMosquitto(t) },
	}
}

type mochiBroker struct{ url string }

func (b mochiBroker) URL() string { return b.url }

// startMochi starts the embedded broker; scheme is tcp, mqtts, ws or wss.
func startMochi(t testing.TB, scheme string, config *tls.Config) broker {
	t.Helper()
	server := mqttserver.New(&mqttserver.Options{Logger: quiet})
	require.NoError(t, server.AddHook(new(auth.AllowHook), nil))
	c := listeners.Config{ID: "test", Address: "127.0.0.1:0", TLSConfig: config}
	var listener listeners.Listener = listeners.NewTCP(c)
	if scheme == "ws" || scheme == "wss" {
		c.Address = fmt.Sprintf("127.0.0.1:%d", porttest.Free(t)) // it can't tell which one it took
		listener = listeners.NewWebsocket(c)
	}
	require.NoError(t, server.AddListener(mochi.Closing(listener, server)))
	require.NoError(t, server.Serve())
	t.Cleanup(func() { _ = server.Close() })
	return mochiBroker{url: scheme + "://" + listener.Address()}
}

// mosquitto is Debian's, with persistence.
type mosquitto struct {
	t       testing.TB
	program string
	port    int
	config  string

	mu      sync.Mutex
	command *exec.Cmd
}

func startMosquitto(t testing.TB) *mosquitto {
	t.Helper()
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		program = "/usr/sbin/mosquitto"
	}
	_, err = os.Stat(program)
	require.NoError(t, err, "these tests need the mosquitto broker: apt-get install mosquitto")
	b := &mosquitto{t: t, program: program, port: porttest.Free(t)}
	b.config = filepath.Join(t.TempDir(), "mosquitto.conf")
	require.NoError(t, os.WriteFile(b.config, []byte(fmt.Sprintf(
		"listener %d 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\npersistence_location %s/\n"+
			"max_queued_messages 0\nmax_inflight_messages 200\nlog_type none\n", b.port, filepath.Dir(b.config))), 0o600))
	b.start()
	t.Cleanup(b.stop)
	return b
}

func (b *mosquitto) URL() string { return fmt.Sprintf("tcp://127.0.0.1:%d", b.port) }

func (b *mosquitto) start() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.command = exec.Command(b.program, "-c", b.config)
	require.NoError(b.t, b.command.Start())
	require.Eventually(b.t, func() bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", b.port))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, soon, tick)
}

// stop ends the broker in good order: it writes its sessions down. It is asked
// again until it ends: Mosquitto forgets what it is told while it starts.
func (b *mosquitto) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.command == nil {
		return
	}
	ended := make(chan struct{})
	go func() {
		_ = b.command.Wait()
		close(ended)
	}()
	for ask := time.NewTicker(500 * time.Millisecond); ; {
		_ = b.command.Process.Signal(syscall.SIGTERM)
		select {
		case <-ask.C:
		case <-ended:
			ask.Stop()
			b.command = nil
			return
		}
	}
}

// device is an MQTT client that plays one.
type device struct {
	t      testing.TB
	id     string
	client mqtt.Client
	heard  chan mqtt.Message
}

func connectDevice(t testing.TB, url, id string) *device {
	t.Helper()
	d := &device{t: t, id: id, heard: make(chan mqtt.Message, 100)}
	options := mqtt.NewClientOptions().AddBroker(url).SetClientID(id).SetCleanSession(true).
		SetTLSConfig(&tls.Config{InsecureSkipVerify: true}).
		SetConnectRetry(true).SetConnectRetryInterval(50 * time.Millisecond).SetMaxReconnectInterval(100 * time.Millisecond)
	d.client = mqtt.NewClient(options)
	d.must(d.client.Connect())
	t.Cleanup(func() { d.client.Disconnect(0) })
	return d
}

func (d *device) must(token mqtt.Token) {
	d.t.Helper()
	require.True(d.t, token.WaitTimeout(soon), "the broker did not answer")
	require.NoError(d.t, token.Error())
}

func (d *device) listen() {
	d.t.Helper()
	d.must(d.client.Subscribe(protocol.Topics{}.DownFilter(d.id), 1, func(_ mqtt.Client, m mqtt.Message) { d.heard <- m }))
}

func (d *device) say(leaf protocol.Leaf, payload string) {
	d.t.Helper()
	d.must(d.client.Publish(protocol.Topics{}.Up(d.id, leaf), 1, false, payload))
}

// next gives the next message to the device.
func (d *device) next() (protocol.Leaf, protocol.DownMessage) {
	d.t.Helper()
	select {
	case m := <-d.heard:
		address, err := protocol.Topics{}.Parse(m.Topic())
		require.NoError(d.t, err)
		require.Equal(d.t, d.id, address.Device)
		message, err := protocol.DecodeDown(address.Leaf, m.Payload())
		require.NoError(d.t, err)
		return address.Leaf, message
	case <-time.After(soon):
		require.FailNow(d.t, "nothing was published to "+d.id)
		return "", nil
	}
}

// run runs f until the test, or what it returns, ends it.
func run(t testing.TB, f func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = f(ctx)
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}
