package deploy

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/cluster/porttest"
)

const patience = 15 * time.Second

// broker is a Mosquitto that runs with the files of this folder.
type broker struct {
	dir                       string
	passwordPort, certificate int
}

// startMosquitto lays the files out as the container has them and starts the
// broker there. Only the ports differ.
func startMosquitto(t *testing.T) broker {
	t.Helper()
	b := broker{dir: t.TempDir(), passwordPort: porttest.Free(t), certificate: porttest.Free(t)}
	require.NoError(t, os.Chmod(filepath.Dir(b.dir), 0o711))
	for _, name := range []string{"config", "secrets", "data", "certs"} {
		require.NoError(t, os.MkdirAll(b.path(name), 0o755))
	}
	config := read(t, "mosquitto/mosquitto.conf")
	config = replaceOnce(t, config, "listener 8883\n", fmt.Sprintf("listener %d 127.0.0.1\n", b.passwordPort))
	config = replaceOnce(t, config, "listener 8884\n", fmt.Sprintf("listener %d 127.0.0.1\n", b.certificate))
	require.NoError(t, os.WriteFile(b.path("config", "mosquitto.conf"), []byte(config), 0o644))
	require.NoError(t, os.WriteFile(b.path("config", "acl"), []byte(read(t, "mosquitto/acl")), 0o644))
	run(t, nil, "mosquitto/certificates.sh", b.path("certs"), "carol")
	run(t, []string{"ENGINE_PASSWORD=engine's own", "FLEET_PASSWORD=fleet's"}, "mosquitto/passwords.sh", b.path("secrets", "passwords"), "kiosk", "2")
	b.run(t)
	return b
}

func (b broker) path(elem ...string) string {
	return filepath.Join(append([]string{b.dir, "mosquitto"}, elem...)...)
}

// run starts the broker as a user that is not root, and ends it with the test.
func (b broker) run(t *testing.T) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command("mosquitto", "-c", "mosquitto/config/mosquitto.conf")
	cmd.Dir, cmd.Stdout, cmd.Stderr = b.dir, &log, &log
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: nobody(t, b.dir)}
	}
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Log(log.String())
		}
	})
	require.Eventually(t, func() bool {
		select {
		case <-ended:
			require.Fail(t, "mosquitto ended", log.String())
		default:
		}
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(b.certificate)))
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, patience, 10*time.Millisecond)
}

// nobody gives dir to the user nobody.
func nobody(t *testing.T, dir string) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup("nobody")
	require.NoError(t, err)
	uid, err := strconv.Atoi(u.Uid)
	require.NoError(t, err)
	gid, err := strconv.Atoi(u.Gid)
	require.NoError(t, err)
	run(t, nil, "chown", "-R", fmt.Sprintf("%d:%d", uid, gid), dir)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func replaceOnce(t *testing.T, text, old, new string) string {
	t.Helper()
	require.Equal(t, 1, strings.Count(text, old), old)
	return strings.Replace(text, old, new, 1)
}

func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", name, out)
	return string(out)
}

func (b broker) tls(t *testing.T, device string) *tls.Config {
	t.Helper()
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM([]byte(read(t, b.path("certs", "ca.crt")))))
	config := &tls.Config{RootCAs: roots, ServerName: "mosquitto"}
	if device != "" {
		pair, err := tls.LoadX509KeyPair(b.path("certs", device+".crt"), b.path("certs", device+".key"))
		require.NoError(t, err)
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

// dial connects with a password, or with the certificate of user when there is
// no password.
func (b broker) dial(t *testing.T, user, password string) (*client, error) {
	t.Helper()
	port, options := b.passwordPort, paho.NewClientOptions().SetClientID(t.Name()+user+password)
	if password == "" {
		port = b.certificate
		options.SetTLSConfig(b.tls(t, user))
	} else {
		options.SetUsername(user).SetPassword(password).SetTLSConfig(b.tls(t, ""))
	}
	c := &client{messages: make(chan string, 16)}
	options.AddBroker(fmt.Sprintf("ssl://127.0.0.1:%d", port)).SetAutoReconnect(false).
		SetConnectTimeout(patience).
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { c.messages <- m.Topic() + " " + string(m.Payload()) })
	c.Client = paho.NewClient(options)
	token := c.Connect()
	require.True(t, token.WaitTimeout(patience))
	t.Cleanup(func() { c.Disconnect(0) })
	return c, token.Error()
}

func (b broker) connect(t *testing.T, user, password string) *client {
	t.Helper()
	c, err := b.dial(t, user, password)
	require.NoError(t, err)
	return c
}

type client struct {
	paho.Client
	messages chan string
}

func (c *client) publish(t *testing.T, topic, payload string) {
	t.Helper()
	token := c.Publish(topic, 1, false, payload)
	require.True(t, token.WaitTimeout(patience))
	require.NoError(t, token.Error())
}

// forge publishes what alice may not, on a connection of its own: Mosquitto
// either ends the connection or confirms and discards, by version.
func (b broker) forge(t *testing.T, id, topic string) {
	t.Helper()
	c := paho.NewClient(paho.NewClientOptions().AddBroker(fmt.Sprintf("ssl://127.0.0.1:%d", b.passwordPort)).
		SetTLSConfig(b.tls(t, "")).SetUsername("kiosk-00001").SetPassword("fleet's").SetClientID(id).SetAutoReconnect(false))
	require.True(t, c.Connect().WaitTimeout(patience))
	require.True(t, c.Publish(topic, 1, false, "forged").WaitTimeout(patience))
	c.Disconnect(0)
}

func (c *client) subscribe(t *testing.T, filters ...string) {
	t.Helper()
	for _, filter := range filters {
		require.True(t, c.Subscribe(filter, 1, nil).WaitTimeout(patience))
	}
}

func (c *client) requireNext(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-c.messages:
		require.Equal(t, want, got)
	case <-time.After(patience):
		require.Fail(t, "nothing arrived", want)
	}
}

func TestMosquitto_KeepsDevicesApart(t *testing.T) {
	t.Parallel()
	b := startMosquitto(t)
	engine := b.connect(t, "engine", "engine's own")
	alice := b.connect(t, "kiosk-00001", "fleet's")
	bob := b.connect(t, "kiosk-00002", "fleet's")
	carol := b.connect(t, "carol", "") // by certificate

	engine.subscribe(t, "$share/lanes/deviceops/v1/+/up/+")
	everything := []string{"deviceops/v1/+/down/+", "deviceops/v1/kiosk-00002/down/+", "deviceops/v1/kiosk-00002/up/+", "#"}
	alice.subscribe(t, append(everything, "deviceops/v1/kiosk-00001/down/+")...)
	bob.subscribe(t, "deviceops/v1/kiosk-00002/down/+")
	carol.subscribe(t, "deviceops/v1/carol/down/+")

	for n, topic := range []string{"kiosk-00002/up/event", "kiosk-00002/down/command", "kiosk-00001/down/command"} {
		b.forge(t, fmt.Sprint("forger-", n), "deviceops/v1/"+topic)
	}
	alice.publish(t, "deviceops/v1/kiosk-00001/up/event", "alice's own")
	engine.requireNext(t, "deviceops/v1/kiosk-00001/up/event alice's own")
	carol.publish(t, "deviceops/v1/carol/up/hello", "by certificate")
	engine.requireNext(t, "deviceops/v1/carol/up/hello by certificate")

	engine.publish(t, "deviceops/v1/kiosk-00002/down/command", "for bob")
	engine.publish(t, "deviceops/v1/carol/down/command", "for carol")
	bob.requireNext(t, "deviceops/v1/kiosk-00002/down/command for bob")
	carol.requireNext(t, "deviceops/v1/carol/down/command for carol")
	engine.publish(t, "deviceops/v1/kiosk-00001/down/command", "for alice")
	alice.requireNext(t, "deviceops/v1/kiosk-00001/down/command for alice")
	require.Empty(t, bob.messages)
}

func TestMosquitto_RefusesStrangers(t *testing.T) {
	t.Parallel()
	b := startMosquitto(t)
	for name, try := range map[string]struct{ user, password string }{
		"wrong password": {"engine", "guessed"},
		"unknown user":   {"mallory", "x"},
		"no certificate": {"", ""},
	} {
		_, err := b.dial(t, try.user, try.password)
		require.Error(t, err, name)
	}
}

func TestMosquitto_KeepsWhatTheEngineHasNotTaken(t *testing.T) {
	t.Parallel()
	const backlog = 3000 // three times Mosquitto's own limit for a queue
	b := startMosquitto(t)
	options := func() *paho.ClientOptions {
		return paho.NewClientOptions().AddBroker(fmt.Sprintf("ssl://127.0.0.1:%d", b.passwordPort)).
			SetTLSConfig(b.tls(t, "")).SetUsername("engine").SetPassword("engine's own").
			SetClientID("lane-1").SetCleanSession(false).SetAutoReconnect(false)
	}
	lane := &client{Client: paho.NewClient(options())}
	require.True(t, lane.Connect().WaitTimeout(patience))
	lane.subscribe(t, "$share/lanes/deviceops/v1/+/up/+")
	lane.Disconnect(0)

	device := b.connect(t, "kiosk-00001", "fleet's")
	for n := range backlog {
		device.publish(t, "deviceops/v1/kiosk-00001/up/event", strconv.Itoa(n))
	}

	got := make(chan string, backlog)
	lane.Client = paho.NewClient(options().SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { got <- string(m.Payload()) }))
	require.True(t, lane.Connect().WaitTimeout(patience))
	defer lane.Disconnect(0)
	for n := range backlog {
		select {
		case payload := <-got:
			require.Equal(t, strconv.Itoa(n), payload)
		case <-time.After(patience):
			require.Failf(t, "messages are missing", "%d of %d", n, backlog)
		}
	}
}

func TestMosquitto_EndsConnectionThatSendsTooMuch(t *testing.T) {
	t.Parallel()
	b := startMosquitto(t)
	device := b.connect(t, "kiosk-00001", "fleet's")
	device.Publish("deviceops/v1/kiosk-00001/up/event", 1, false, make([]byte, 1<<20))
	require.Eventually(t, func() bool { return !device.IsConnectionOpen() }, patience, 10*time.Millisecond)
}

func TestCertificates_KeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, nil, "mosquitto/certificates.sh", dir, "alice")
	ca, alice := read(t, filepath.Join(dir, "ca.crt")), read(t, filepath.Join(dir, "alice.crt"))
	run(t, nil, "mosquitto/certificates.sh", dir, "alice", "bob")
	require.Equal(t, ca, read(t, filepath.Join(dir, "ca.crt")))
	require.Equal(t, alice, read(t, filepath.Join(dir, "alice.crt")))
	require.FileExists(t, filepath.Join(dir, "bob.key"))
	info, err := os.Stat(filepath.Join(dir, "bob.key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}
