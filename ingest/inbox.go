package ingest

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

var _ deviceops.Inbox = (*Inbox)(nil)

// Config gives an Inbox what it works with. Store, Gateway, Orchestrator and
// Catalog are required; the other fields have defaults that serve.
type Config struct {
	Store        deviceops.Store
	Gateway      deviceops.Gateway
	Orchestrator deviceops.Orchestrator
	Catalog      deviceops.Catalog

	// Translations understands devices that know only topics of their own. Nil:
	// there are none.
	Translations deviceops.Translations

	// Prefix is where topics begin. Default protocol.DefaultPrefix.
	Prefix string

	// MaxDiscovered bounds the devices that wait for a person because nobody
	// registered them. Default 1000.
	MaxDiscovered int

	// Now is the clock. Default time.Now.
	Now func() time.Time

	// Log receives what goes wrong. Default slog.Default.
	Log *slog.Logger

	// Registerer takes the metrics deviceops_ingest_*. Default: none are kept.
	Registerer prometheus.Registerer
}

// DefaultMaxDiscovered is the bound of Config.MaxDiscovered.
const DefaultMaxDiscovered = 1000

// maxItems bounds what one transaction applies: a batch of backlogs may hold
// far more than a batch of single messages.
const maxItems = 2000

// Inbox implements deviceops.Inbox.
type Inbox struct {
	config    Config
	topics    protocol.Topics
	profiles  *profiles
	gathering *gathering
	effects   *effects
	acker     *acker
	nudger    *nudger
	metrics   *metrics
}

// New makes an Inbox and starts what carries out effects; Close ends that.
// EINVALID for a prefix that can't be used.
func New(c Config) (*Inbox, error) {
	topics, err := protocol.NewTopics(c.Prefix)
	if err != nil {
		return nil, err
	}
	c.MaxDiscovered = cmp.Or(c.MaxDiscovered, DefaultMaxDiscovered)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	b := &Inbox{config: c, topics: topics, profiles: newProfiles(c.Catalog, c.Now), metrics: newMetrics(c.Registerer)}
	b.gathering = newGathering(b.take)
	b.effects = newEffects(c, b.metrics)
	b.acker = newAcker(b.acknowledge, c.Now)
	b.nudger = newNudger(b.effects.nudge, c.Now)
	return b, nil
}

// Close ends the effects: those that wait are carried out until ctx ends; the
// rest is left to the sweeper. Stop delivering first.
func (b *Inbox) Close(ctx context.Context) error {
	b.acker.close()
	b.nudger.close()
	return b.effects.close(ctx)
}

// Deliver implements deviceops.Inbox.
func (b *Inbox) Deliver(ctx context.Context, batch []deviceops.Message) error {
	items, rejected, err := b.read(ctx, batch)
	if err != nil {
		return err
	}
	if len(rejected) > 0 {
		if err := b.config.Store.AppendRejected(ctx, rejected); err != nil {
			return err
		}
		b.metrics.refused(rejected)
	}
	for chunk := range slices.Chunk(items, maxItems) {
		if err := b.gathering.deliver(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

// read makes items of messages, and rejections of those that say nothing that is
// understood.
func (b *Inbox) read(ctx context.Context, batch []deviceops.Message) (items []item, rejected []deviceops.Rejected, err error) {
	var own []deviceops.Message
	for _, m := range batch {
		if m.ReceivedAt.IsZero() {
			m.ReceivedAt = b.config.Now()
		}
		if b.isOwn(m.Topic) {
			own = append(own, m)
			continue
		}
		decoded, refused := decode(b.topics, m)
		items = append(items, decoded...)
		if refused != nil {
			rejected = append(rejected, *refused)
		}
	}
	translated, refused, err := b.translate(ctx, own)
	return append(items, translated...), append(rejected, refused...), err
}

// take commits items, and rejects those that the store refuses.
func (b *Inbox) take(ctx context.Context, items []item) error {
	return halve(ctx, b.metrics, items, b.commit, b.refuse)
}

// halve commits things together. When the store refuses them because of what they
// hold, it halves them until the one at fault stands alone, and refuses that. An
// error that nobody foresaw is given a second chance before a message is lost to it.
func halve[T any](
	ctx context.Context, m *metrics, things []T,
	commit func(ctx context.Context, things []T) error, refuse func(ctx context.Context, thing T, cause error) error,
) error {
	if len(things) == 0 {
		return nil
	}
	err := commit(ctx, things)
	if len(things) == 1 && deviceops.ErrorCode(err) == deviceops.EINTERNAL && ctx.Err() == nil {
		err = commit(ctx, things)
	}
	switch {
	case err == nil || ctx.Err() != nil || !atFault(err):
		return err
	case len(things) == 1:
		return refuse(ctx, things[0], err)
	}
	m.splits.Inc()
	half := len(things) / 2
	if err := halve(ctx, m, things[:half], commit, refuse); err != nil {
		return err
	}
	return halve(ctx, m, things[half:], commit, refuse)
}

// atFault reports whether err may be due to the data, as opposed to a store
// that can't be reached.
func atFault(err error) bool {
	switch deviceops.ErrorCode(err) {
	case deviceops.EUNAVAILABLE, deviceops.ETIMEOUT, deviceops.ECANCELED, deviceops.EEXHAUSTED:
		return false
	default:
		return true
	}
}

// refuse rejects an item that the store refuses by itself. Its number counts
// as committed, or the device would send it for ever.
func (b *Inbox) refuse(ctx context.Context, i item, cause error) error {
	b.config.Log.Error("a message cannot be stored and is rejected", "topic", storable(i.topic), "error", cause)
	head := i.message.Head()
	i.message = &protocol.Invalid{
		Header: protocol.Header{Boot: head.Boot, Seq: head.Seq, Child: head.Child}, On: i.message.Leaf(),
		Raw: protocol.Redact(i.payload[:min(len(i.payload), deviceops.RejectedPayload)]), Err: &unstorable{cause},
	}
	return b.commit(ctx, []item{i})
}

// unstorable is why a well-formed message was rejected after all.
type unstorable struct{ cause error }

func (u *unstorable) Error() string { return "the store refuses it: " + u.cause.Error() }
func (u *unstorable) Unwrap() error { return u.cause }

// commit applies items in one transaction and begins what follows.
func (b *Inbox) commit(ctx context.Context, items []item) error {
	return b.commitAll(ctx, items, nil)
}

// commitAll applies items in one transaction, all of which come from again unless
// there are none of these, and begins what follows.
func (b *Inbox) commitAll(ctx context.Context, items []item, again []replayed) error {
	begin := time.Now()
	attempt := func(lockAll bool) (t *transaction, err error) {
		err = b.config.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
			t = b.transaction(ctx, tx, items)
			t.again, t.lockAll = again, lockAll
			return t.run(ctx)
		})
		return t, err
	}
	t, err := attempt(false)
	if errors.Is(err, errLean) { // it has to be done with all devices locked
		b.metrics.relocks.Inc()
		t, err = attempt(true)
	}
	b.metrics.committed(items, t, err, time.Since(begin))
	if err != nil {
		return err
	}
	o := t.outcome()
	b.acker.add(o.later)
	b.nudger.add(o.nudges)
	b.effects.begin(ctx, o)
	return nil
}

func (b *Inbox) transaction(ctx context.Context, tx deviceops.Tx, items []item) *transaction {
	translated := map[string]*deviceops.Profile{} // the very versions that did, by device
	for _, i := range items {
		if i.own != nil {
			translated[i.subject] = i.own.profile
		}
	}
	lookup := func(d *deviceops.Device) *deviceops.Profile {
		if p := translated[d.ID]; p != nil {
			return p
		}
		return b.profiles.find(ctx, d.Account, d.Profile)
	}
	return &transaction{Inbox: b, tx: tx, items: items, touched: map[journal]bool{}, lean: map[string]bool{}, ledger: newLedger(b.config.Now(), lookup)}
}
