package gateway

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// Config says how to reach the broker. Broker is required; every other field
// has a default that serves.
type Config struct {
	// Broker is a URL: tcp:// or mqtt:// in clear, mqtts:// (also ssl://, tls://)
	// with TLS, ws:// and wss:// for WebSocket.
	Broker string

	// Username and Password authenticate the engine; a user in the URL wins.
	Username string
	Password string

	// TLS names files for TLS; without them the system's authorities are
	// trusted and no client certificate is shown.
	TLS TLSFiles

	// Prefix is where topics begin. Default protocol.DefaultPrefix.
	Prefix string

	// Timeout bounds one publication, from the call to the broker's
	// acknowledgement, and one attempt to connect. Default 5 s.
	Timeout time.Duration

	// Log receives a line for each change of a connection. Default slog.Default.
	Log *slog.Logger

	// Registerer takes the metrics deviceops_gateway_*. Default: none are kept.
	Registerer prometheus.Registerer
}

// TLSFiles are paths of PEM files.
type TLSFiles struct {
	CA         string // authorities to trust instead of the system's
	Cert, Key  string // client certificate; both or neither
	ServerName string // name expected in the broker's certificate, if not the URL's host
}

// DefaultTimeout is how long a publication or an attempt to connect may take.
const DefaultTimeout = 5 * time.Second

const keepAlive = 30 * time.Second

var schemes = []string{"tcp", "mqtt", "mqtts", "ssl", "tls", "ws", "wss"}

func (c Config) withDefaults() Config {
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.Log = cmp.Or(c.Log, slog.Default())
	return c
}

// options gives the MQTT client's options. Reconnecting is left to link, and
// nothing is stored by the client: see the package comment. Returns EINVALID for
// a URL or files that can't be used.
func (c Config) options(clientID string, clean bool) (*mqtt.ClientOptions, error) {
	broker, err := url.Parse(c.Broker)
	if err != nil || broker.Host == "" || !slices.Contains(schemes, broker.Scheme) {
		return nil, deviceops.Errorf(deviceops.EINVALID, "broker %q is no usable URL: write tcp://host:1883, mqtts://host:8883 or wss://host/mqtt",
			redactURL(broker, c.Broker))
	}
	tlsConfig, err := c.TLS.load()
	if err != nil {
		return nil, err
	}
	return mqtt.NewClientOptions().AddBroker(broker.String()).
		SetClientID(clientID).SetCleanSession(clean).
		SetUsername(c.Username).SetPassword(c.Password).SetTLSConfig(tlsConfig).
		SetAutoReconnect(false).SetConnectRetry(false).SetResumeSubs(false).SetStore(forgetful{}).
		SetKeepAlive(keepAlive).SetPingTimeout(keepAlive / 2).
		SetConnectTimeout(c.Timeout).SetCustomOpenConnectionFn(c.open).
		SetOrderMatters(true).SetProtocolVersion(4), nil
}

func redactURL(u *url.URL, raw string) string {
	if u == nil {
		return strings.ToValidUTF8(raw, "")
	}
	return u.Redacted()
}

func (f TLSFiles) load() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.ServerName}
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, deviceops.Errorf(deviceops.EINVALID, "broker's CA file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, deviceops.Errorf(deviceops.EINVALID, "broker's CA file %s holds no PEM certificate", f.CA)
		}
	}
	if f.Cert == "" && f.Key == "" {
		return config, nil
	}
	cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "client certificate for the broker (%s, %s): %w", f.Cert, f.Key, err)
	}
	config.Certificates = []tls.Certificate{cert}
	return config, nil
}

func (c Config) topics() (protocol.Topics, error) { return protocol.NewTopics(c.Prefix) }

func randomID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// forgetful is a store of an MQTT client that keeps nothing. A publication that
// was not acknowledged is reported as such, and repeated by whoever decides
// that; a message that came in is kept by the broker until it is acknowledged.
type forgetful struct{}

func (forgetful) Open()                             {}
func (forgetful) Put(string, packets.ControlPacket) {}
func (forgetful) Get(string) packets.ControlPacket  { return nil }
func (forgetful) All() []string                     { return nil }
func (forgetful) Del(string)                        {}
func (forgetful) Close()                            {}
func (forgetful) Reset()                            {}
