package forward

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"gocloud.dev/gcerrors"
	"gocloud.dev/pubsub"
	"gocloud.dev/pubsub/natspubsub"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/outbound"
)

// messageTimeout is how long a message may take to be taken.
const messageTimeout = 20 * time.Second

// pubSubSink sends messages to a topic of a message system.
type pubSubSink struct {
	*dsl.PubSubTarget
	guard   *outbound.Guard
	secrets *secrets

	mu    sync.Mutex
	topic *pubsub.Topic // nil: not opened
	nats  *nats.Conn    // of NATS
}

func (s *pubSubSink) most() int { return dsl.MaxRouteBatch }

func (s *pubSubSink) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut()
}

func (s *pubSubSink) shut() {
	if s.topic != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.topic.Shutdown(ctx) // what it took was confirmed
		s.topic = nil
	}
	if s.nats != nil {
		s.nats.Close()
		s.nats = nil
	}
}

// send sends one message after the other, so that they stay in order, and
// returns when the system has them.
func (s *pubSubSink) send(ctx context.Context, records []*record) error {
	ctx, cancel := context.WithTimeout(ctx, messageTimeout)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.open(ctx)
	for i := 0; err == nil && i < len(records); i++ {
		err = s.topic.Send(ctx, message(records[i]))
	}
	if err == nil && s.nats != nil {
		err = s.nats.FlushWithContext(ctx)
	}
	if err == nil {
		return nil
	}
	s.shut()
	switch {
	case gcerrors.Code(err) == gcerrors.InvalidArgument, errors.Is(err, nats.ErrMaxPayload):
		return &refused{err.Error()}
	case errors.Is(err, context.DeadlineExceeded):
		return deviceops.Errorf(deviceops.ETIMEOUT, "the message system did not take the messages in time")
	}
	s.secrets.forget()
	return networkFailure("the message system cannot be used", err)
}

// message carries the key of a value as id, and what consumers filter by.
func message(r *record) *pubsub.Message {
	return &pubsub.Message{Body: r.body, Metadata: map[string]string{
		"id": r.key, "type": r.event.Type, "device": r.event.Device, "account": r.event.Account,
	}}
}

func (s *pubSubSink) open(ctx context.Context) error {
	if s.topic != nil {
		return nil
	}
	address, err := url.Parse(s.URL)
	if err != nil {
		return deviceops.Errorf(deviceops.EINVALID, "%s is no address", s.URL)
	}
	if address.Scheme == "nats" || address.Scheme == "tls" {
		return s.openNATS(ctx, address)
	}
	if !pubsub.DefaultURLMux().ValidTopicScheme(address.Scheme) {
		return deviceops.Errorf(deviceops.EINVALID, "this program was built without %s://; see docs/routes.md for the build tags", address.Scheme)
	}
	s.topic, err = pubsub.DefaultURLMux().OpenTopicURL(ctx, address)
	return err
}

// openNATS connects to the server of an address, and to the others of its
// cluster, by the guard alone. The subject is the path.
func (s *pubSubSink) openNATS(ctx context.Context, address *url.URL) error {
	options := []nats.Option{nats.Name("DeviceOps"), nats.SetCustomDialer(guardDialer{ctx, s.guard}), nats.NoReconnect(), nats.Timeout(messageTimeout)}
	if s.Auth != nil {
		secret, err := s.secrets.get(ctx, s.Auth.Secret)
		switch {
		case err != nil:
			return err
		case s.Auth.Kind == "basic":
			options = append(options, nats.UserInfo(s.Auth.Name, secret))
		default:
			options = append(options, nats.Token(secret))
		}
	}
	server := url.URL{Scheme: address.Scheme, Host: address.Host}
	connection, err := nats.Connect(server.String(), options...)
	if err != nil {
		return err
	}
	topic, err := natspubsub.OpenTopicV2(connection, strings.TrimPrefix(address.Path, "/"), nil)
	if err != nil {
		connection.Close()
		return err
	}
	s.nats, s.topic = connection, topic
	return nil
}

// guardDialer lets a client connect by the guard.
type guardDialer struct {
	ctx   context.Context // bounds the connection's making
	guard *outbound.Guard
}

// Dial implements nats.CustomDialer.
func (d guardDialer) Dial(network, address string) (net.Conn, error) {
	return d.guard.DialContext(d.ctx, network, address)
}
