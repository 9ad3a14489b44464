package gateway

import (
	"context"
	"errors"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/deviceops/deviceops"
)

var _ deviceops.Gateway = (*Publisher)(nil)

// RouteFunc gives how a device is reached. ENOTFOUND.
type RouteFunc func(ctx context.Context, device string) (deviceops.Route, error)

// Publisher implements deviceops.Gateway on a connection of its own, with a
// clean session and a random client id: any number of processes may have one.
type Publisher struct {
	// Route finds the gateway of a device for PublishCancel, which is told only
	// ids. Nil: every device has topics of its own.
	Route RouteFunc

	// Own gives the translations of devices that know only topics of their own.
	// Nil: all speak the device protocol.
	Own deviceops.Translations

	encoder encoder
	link    *link
	timeout time.Duration
	metrics *metrics
}

// NewPublisher makes a Publisher; it connects when Run is called. EINVALID for
// a configuration that can't be used.
func NewPublisher(c Config) (*Publisher, error) {
	c = c.withDefaults()
	topics, err := c.topics()
	if err != nil {
		return nil, err
	}
	options, err := c.options("deviceops-publisher-"+randomID(), true)
	if err != nil {
		return nil, err
	}
	return &Publisher{
		encoder: encoder{topics: topics}, timeout: c.Timeout, metrics: newMetrics(c.Registerer),
		link: newLink(options, nil, c.Timeout, c.Log),
	}, nil
}

// Run keeps the connection up until ctx ends.
func (p *Publisher) Run(ctx context.Context) error {
	p.link.run(ctx)
	return nil
}

// Ready gives nil while the broker is connected. EUNAVAILABLE.
func (p *Publisher) Ready() error { return p.link.ready() }

// PublishCommands implements deviceops.Gateway. Besides EUNAVAILABLE it gives
// EINVALID for an id that can't be in a topic, EEXHAUSTED for a command that
// is larger than its device takes and ETIMEOUT for one that has expired; the
// others of the batch are published all the same. Devices that know only topics
// of their own are told there, in their own words, and no attempt twice unless
// the command is idempotent: they keep no journal of what they have done.
func (p *Publisher) PublishCommands(ctx context.Context, commands []deviceops.Command, now time.Time) ([]deviceops.Sent, error) {
	b := p.batch(len(commands))
	for _, c := range commands {
		b.add(p.command(ctx, c, now))
	}
	errs := b.publish(ctx)
	var sent []deviceops.Sent
	for i, c := range commands {
		if errs[i] == nil {
			sent = append(sent, deviceops.Sent{ID: c.ID, Attempt: c.Attempt, Boot: c.Route.Boot})
		}
	}
	return sent, joined(errs)
}

// command gives what to publish for c.
func (p *Publisher) command(ctx context.Context, c deviceops.Command, now time.Time) (publication, error) {
	if p.Own == nil || c.Route.Profile == "" {
		return p.encoder.command(c, now)
	}
	profile, err := p.Own.Translating(ctx, c.Account, c.Route.Profile)
	if err != nil {
		return publication{}, err
	}
	if profile == nil {
		return p.encoder.command(c, now)
	}
	return p.ownCommand(profile.Translation, c, now)
}

// PublishCancel implements deviceops.Gateway. A device that knows only topics of
// its own cannot be asked: what is published is for nobody then.
func (p *Publisher) PublishCancel(ctx context.Context, device, commandID string) error {
	var route deviceops.Route
	if p.Route != nil {
		var err error
		if route, err = p.Route(ctx, device); err != nil {
			return err
		}
	}
	b := p.batch(1)
	b.add(p.encoder.cancel(device, commandID, route))
	return joined(b.publish(ctx))
}

// PublishWelcomes implements deviceops.Gateway.
func (p *Publisher) PublishWelcomes(ctx context.Context, welcomes []deviceops.Welcome, now time.Time) error {
	b := p.batch(len(welcomes))
	for _, w := range welcomes {
		b.add(p.encoder.welcome(w, now))
	}
	return joined(b.publish(ctx))
}

// PublishAcks implements deviceops.Gateway.
func (p *Publisher) PublishAcks(ctx context.Context, acks []deviceops.SeqKey) error {
	b := p.batch(len(acks))
	for _, a := range acks {
		b.add(p.encoder.ack(a))
	}
	return joined(b.publish(ctx))
}

// batch is a number of publications that are made at once.
type batch struct {
	*Publisher
	publications []publication
	errs         []error // by publication; what could not be encoded has one from the start
}

func (p *Publisher) batch(size int) *batch {
	return &batch{Publisher: p, publications: make([]publication, 0, size), errs: make([]error, 0, size)}
}

func (b *batch) add(p publication, err error) {
	b.publications = append(b.publications, p)
	b.errs = append(b.errs, err)
}

// publish hands everything to the client before it waits for the first
// acknowledgement, so that a batch takes one round trip and not one each.
func (b *batch) publish(ctx context.Context) []error {
	if len(b.publications) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	begin := time.Now()
	if err := b.link.wait(ctx); err != nil {
		b.failRest(err)
	} else {
		b.await(ctx, b.hand(ctx))
	}
	b.metrics.published(b.errs, time.Since(begin))
	return b.errs
}

func (b *batch) failRest(err error) {
	for i := range b.errs {
		if b.errs[i] == nil {
			b.errs[i] = err
		}
	}
}

func (b *batch) hand(ctx context.Context) []mqtt.Token {
	tokens := make([]mqtt.Token, len(b.publications))
	for i, p := range b.publications {
		switch {
		case b.errs[i] != nil, p.done:
		case ctx.Err() != nil:
			b.errs[i] = deviceops.Errorf(deviceops.EUNAVAILABLE, "the broker takes no messages: %w", ctx.Err())
		default:
			tokens[i] = b.link.client.Publish(p.topic, 1, p.retain, p.payload)
		}
	}
	return tokens
}

func (b *batch) await(ctx context.Context, tokens []mqtt.Token) {
	for i, token := range tokens {
		if token == nil {
			continue
		}
		if err := await(ctx, token); err != nil {
			b.errs[i] = deviceops.Errorf(deviceops.EUNAVAILABLE, "the broker did not acknowledge: %w", err)
		}
	}
}

// joined gives the first error of each code, so that a batch that fails for one
// reason says it once. It is an *deviceops.Error with the code of the first.
func joined(errs []error) error {
	var first error
	seen := map[string]bool{}
	var all []error
	for _, err := range errs {
		code := deviceops.ErrorCode(err)
		if err == nil || seen[code] {
			continue
		}
		seen[code] = true
		all = append(all, err)
		if first == nil {
			first = err
		}
	}
	if len(all) < 2 {
		return first
	}
	return deviceops.Errorf(deviceops.ErrorCode(first), "%w", errors.Join(all...))
}
