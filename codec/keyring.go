package codec

import (
	"cmp"
	"context"
	"crypto/cipher"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deviceops/deviceops"
)

// Config says where the keys are.
type Config struct {
	Secrets   deviceops.Secrets
	Reference string // such as temporal/payload-keys

	// Refresh is how often the keys are read again. Default: one minute.
	Refresh time.Duration

	Log *slog.Logger // default: the default logger
}

// Times of a Keyring.
const (
	defaultRefresh = time.Minute
	readTimeout    = 5 * time.Second // of one read of the keys
	searchPause    = 2 * time.Second // between reads for the sake of ids that are not known
)

// Keyring holds the payload keys of an installation. It reads them again from
// time to time, and at once when a payload names a key that it does not hold:
// then another process already encrypts with the next one. When the keys cannot
// be read it goes on with those it has.
type Keyring struct {
	config Config
	set    atomic.Pointer[keySet]

	mu       sync.Mutex
	searched time.Time // when keys were last read for the sake of an unknown id
	failure  error     // of that read
}

// OpenKeyring reads the keys. EINVALID when they are malformed; else the codes of
// deviceops.Secrets.
func OpenKeyring(ctx context.Context, config Config) (*Keyring, error) {
	config.Refresh = cmp.Or(config.Refresh, defaultRefresh)
	config.Log = cmp.Or(config.Log, slog.Default())
	k := &Keyring{config: config}
	return k, k.read(ctx)
}

// Run reads the keys again every Config.Refresh until ctx ends. It gives nil.
func (k *Keyring) Run(ctx context.Context) error {
	ticker := time.NewTicker(k.config.Refresh)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		if err := k.read(ctx); err != nil && ctx.Err() == nil {
			k.config.Log.Warn("the payload keys could not be read again; the ones in memory stay in use", "error", err)
		}
	}
}

func (k *Keyring) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	text, err := k.config.Secrets.Secret(ctx, "", k.config.Reference)
	if err != nil {
		return err
	}
	next, err := parseKeys(text)
	if err != nil {
		return err
	}
	if last := k.set.Swap(next); last != nil && last.current != next.current {
		k.config.Log.Info("payloads are encrypted with another key now", "key", next.current, "before", last.current)
	}
	return nil
}

// current gives the key that encrypts, and its id.
func (k *Keyring) current() (string, cipher.AEAD) {
	set := k.set.Load()
	return set.current, set.keys[set.current]
}

// find gives the key of an id.
func (k *Keyring) find(id string) (cipher.AEAD, error) {
	if key := k.set.Load().keys[id]; key != nil {
		return key, nil
	}
	err := k.search()
	set := k.set.Load()
	if key := set.keys[id]; key != nil {
		return key, nil
	}
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EUNAVAILABLE, "a payload is encrypted with key %q, and the payload keys could not be read to look for it: %w", id, err)
	}
	return nil, deviceops.Errorf(deviceops.ENOTFOUND, "a payload is encrypted with key %q, which secret %s does not hold (it has %v): put that key back to read what it protects", id, k.config.Reference, set.ids())
}

// search reads the keys again, but not more often than searchPause: a history
// full of payloads whose key is gone must not become as many reads.
func (k *Keyring) search() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.searched) >= searchPause {
		k.failure = k.read(context.Background())
		k.searched = time.Now()
	}
	return k.failure
}
