package forward

import (
	"context"
	"errors"
	"net"
	"net/url"
	"sync"
	"time"

	"gocloud.dev/gcerrors"
	"gocloud.dev/pubsub"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/outbound"
)

// messageTimeout is how long messages may take to be taken.
const messageTimeout = 20 * time.Second

// pubSubSink sends messages to a topic of a message system.
type pubSubSink struct {
	*dsl.PubSubTarget
	account string
	guard   *outbound.Guard
	secrets *secrets

	mu   sync.Mutex
	open *openTopic // nil: it is not
}

// openTopic is a topic with a connection to its system.
type openTopic struct {
	*pubsub.Topic
	flush   func(ctx context.Context) error // returns when what was sent is taken; nil: Send does
	refuses func(err error) bool            // reports an error that is about the message; nil: none is
	close   func()                          // ends the connection; nil: Shutdown does
}

// opener connects to the topic of an address.
type opener func(ctx context.Context, s *pubSubSink, address *url.URL) (*openTopic, error)

// openers are those of this build, by scheme. Files with build tags add theirs.
var openers = map[string]opener{}

func (s *pubSubSink) most() int { return dsl.MaxRouteBatch }

func (s *pubSubSink) close() { s.shut(nil) }

// shut closes the topic if it is the given one, or any if that is nil.
func (s *pubSubSink) shut(topic *openTopic) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil || topic != nil && s.open != topic {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.open.Shutdown(ctx) // what it took was confirmed
	if s.open.close != nil {
		s.open.close()
	}
	s.open = nil
}

// send sends one message after the other, so that they stay in order, and
// returns when the system has them.
func (s *pubSubSink) send(ctx context.Context, records []*record) error {
	ctx, cancel := context.WithTimeout(ctx, messageTimeout)
	defer cancel()
	topic, err := s.topic(ctx)
	if err != nil {
		return s.failure(err)
	}
	for i := 0; err == nil && i < len(records); i++ {
		err = topic.Send(ctx, message(records[i]))
	}
	if err == nil && topic.flush != nil {
		err = topic.flush(ctx)
	}
	switch {
	case err == nil:
		return nil
	case gcerrors.Code(err) == gcerrors.InvalidArgument, topic.refuses != nil && topic.refuses(err):
		return &refused{err.Error()}
	}
	s.shut(topic)
	return s.failure(err)
}

func (s *pubSubSink) failure(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
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

// topic gives the topic, opened.
func (s *pubSubSink) topic(ctx context.Context) (*openTopic, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open != nil {
		return s.open, nil
	}
	address, err := url.Parse(s.URL)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "%s is no address", s.URL)
	}
	open := openers[address.Scheme]
	if open == nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "this program was built without %s://; see docs/routes.md for the build tags", address.Scheme)
	}
	s.open, err = open(ctx, s, address)
	return s.open, err
}

// guardDialer lets a client connect by the guard.
type guardDialer struct{ guard *outbound.Guard }

// Dial connects within messageTimeout.
func (d guardDialer) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), messageTimeout)
	defer cancel()
	return d.guard.DialContext(ctx, network, address)
}
