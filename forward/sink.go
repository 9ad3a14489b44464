package forward

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// sink delivers to one target. It is safe for concurrent use.
type sink interface {
	// send delivers records, at most most() of them, all or none as far as that
	// can be known, and returns when they are safe there. A *refused means that
	// trying again is of no use, at least not with all of them together. Any
	// other error may pass.
	send(ctx context.Context, records []*record) error

	// most is how many records one delivery carries.
	most() int

	close()
}

// refused is the error of a delivery that the target will never take.
type refused struct{ reason string }

// Error implements error.
func (r *refused) Error() string { return r.reason }

// unavailable is the error of a delivery that the target may take later; after
// is how long it asks to be left alone.
type unavailable struct {
	cause error
	after time.Duration
}

// Error implements error.
func (u *unavailable) Error() string { return u.cause.Error() }

// Unwrap gives the error of the domain.
func (u *unavailable) Unwrap() error { return u.cause }

// newSink makes the sink of a target. It connects when there is something to
// deliver.
func newSink(c Config, account string, t *dsl.RouteTarget) sink {
	secrets := &secrets{provider: c.Secrets, account: account, now: c.Now}
	switch {
	case t.HTTP != nil:
		return &httpSink{HTTPTarget: t.HTTP, guard: c.Guard, secrets: secrets, now: c.Now}
	case t.MQTT != nil:
		return mqttSink{c.Broker}
	case t.Postgres != nil:
		return &postgresSink{PostgresTarget: t.Postgres, guard: c.Guard, secrets: secrets, parallel: t.Parallel}
	case t.File != nil:
		return &fileSink{FileTarget: t.File, folder: c.Folder, account: account, now: c.Now}
	default:
		return &pubSubSink{PubSubTarget: t.PubSub, account: account, guard: c.Guard, secrets: secrets}
	}
}

// secretFor is how long a secret is remembered.
const secretFor = time.Minute

// secrets gives the secrets of a target. A route asks for one with every
// delivery; its provider is asked once a minute.
type secrets struct {
	provider deviceops.Secrets
	account  string
	now      func() time.Time

	mu    sync.Mutex
	known map[string]knownSecret
}

type knownSecret struct {
	value string
	until time.Time
}

func (s *secrets) get(ctx context.Context, reference string) (string, error) {
	if s.provider == nil {
		return "", deviceops.Errorf(deviceops.EUNAVAILABLE, "this installation has no provider of secrets, and the target needs %s", reference)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.known[reference]; ok && s.now().Before(k.until) {
		return k.value, nil
	}
	value, err := s.provider.Secret(ctx, s.account, reference)
	if err != nil {
		return "", err
	}
	if s.known == nil {
		s.known = map[string]knownSecret{}
	}
	s.known[reference] = knownSecret{value, s.now().Add(secretFor)}
	return value, nil
}

// forget makes secrets be asked for again: the target did not like them.
func (s *secrets) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = nil
}

// mqttSink publishes on the installation's broker.
type mqttSink struct{ broker deviceops.Broker }

func (mqttSink) most() int { return 1 }

func (mqttSink) close() {}

func (s mqttSink) send(ctx context.Context, records []*record) error {
	if s.broker == nil {
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "this process has no connection to a broker")
	}
	for _, r := range records {
		err := s.broker.PublishMessage(ctx, r.topic, r.body, false)
		switch deviceops.ErrorCode(err) {
		case deviceops.EINVALID, deviceops.EFORBIDDEN, deviceops.EEXHAUSTED:
			return &refused{deviceops.ErrorMessage(err)}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// networkFailure makes an error of the domain out of one of a connection. What
// such errors say of addresses is of use; they hold no credentials.
func networkFailure(what string, err error) error {
	var own *deviceops.Error
	if errors.As(err, &own) {
		return own
	}
	return deviceops.Errorf(deviceops.EUNAVAILABLE, "%s: %w", what, err)
}
