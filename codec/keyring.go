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

// Keyring holds the keys of an installation for one purpose, such as payloads. It reads them again from
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
			k.config.Log.Warn("keys could not be read again; the ones in memory stay in use", "secret", k.config.Reference, "error", err)
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
		k.config.Log.Info("there is another key to encrypt with now", "secret", k.config.Reference, "key", next.current, "before", last.current)
	}
	return nil
}

// Wrap encrypts a small secret, such as a key of its own for some content, and
// gives the id of the key that did. about is authenticated with it: what was
// wrapped for one thing cannot be unwrapped for another.
func (k *Keyring) Wrap(secret, about []byte) (id string, wrapped []byte) {
	id, key := k.current()
	return id, key.Seal(nil, nil, secret, about)
}

// Unwrap gives what Wrap encrypted. ENOTFOUND when the key of that id is not
// held any more, EUNAVAILABLE when that could not be asked, EINVALID for what
// was changed or wrapped for something else.
func (k *Keyring) Unwrap(id string, wrapped, about []byte) ([]byte, error) {
	key, err := k.find(id)
	if err != nil {
		return nil, err
	}
	secret, err := key.Open(nil, nil, wrapped, about)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "what key %q wrapped was changed, or belongs to something else: %w", id, err)
	}
	return secret, nil
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
		return nil, deviceops.Errorf(deviceops.EUNAVAILABLE, "what is encrypted with key %q cannot be read, since the keys could not be read to look for it: %w", id, err)
	}
	return nil, deviceops.Errorf(deviceops.ENOTFOUND, "what is encrypted with key %q cannot be read: secret %s does not hold that key (it has %v); put it back to read what it protects", id, k.config.Reference, set.ids())
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
