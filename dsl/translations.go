package dsl

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/deviceops/deviceops"
)

// translationsFor is for how long what was read of the published profiles is
// believed. Gateways ask every two seconds: what is published is heard within five.
const translationsFor = 2 * time.Second

// Translations is the directory of the profiles that translate. It reads which
// profiles are published every few seconds, and compiles what is new.
//
// It is safe for concurrent use.
type Translations struct {
	Documents deviceops.Documents
	Now       func() time.Time // default: time.Now

	profiles memo[deviceops.Profile]

	mu       sync.Mutex
	until    time.Time
	filters  []string
	all      []*deviceops.Profile          // that translate
	accounts map[string]map[string]shelved // by account and name: all profiles
}

// shelved is a profile as it is published; nil without translation.
type shelved struct {
	hash    string
	profile *deviceops.Profile
}

var _ deviceops.Translations = (*Translations)(nil)

// Filters implements deviceops.Translations.
func (t *Translations) Filters(ctx context.Context) ([]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.load(ctx)
	return t.filters, err
}

// Hearing implements deviceops.Translations.
func (t *Translations) Hearing(ctx context.Context, topic string) ([]*deviceops.Profile, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.load(ctx); err != nil {
		return nil, err
	}
	var hearing []*deviceops.Profile
	for _, p := range t.all {
		if p.Translation.Hears(topic) {
			hearing = append(hearing, p)
		}
	}
	return hearing, nil
}

// OfDevices implements deviceops.Translations.
func (t *Translations) OfDevices(ctx context.Context, topic string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.load(ctx); err != nil {
		return "", err
	}
	for _, p := range t.all {
		if p.Translation.Hears(topic) || p.Translation.Tells(topic) {
			return p.Name, nil
		}
	}
	return "", nil
}

// Translating implements deviceops.Translations.
func (t *Translations) Translating(ctx context.Context, account, profile string) (*deviceops.Profile, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.load(ctx); err != nil {
		return nil, err
	}
	for _, above := range deviceops.AccountLine(account) {
		if found, ok := t.accounts[above][profile]; ok {
			return found.profile, nil
		}
	}
	return nil, nil
}

// Refresh implements deviceops.Translations.
func (t *Translations) Refresh() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.until = time.Time{}
}

// load reads what is published, unless that was done a moment ago. While the
// store does not answer, what was read before is believed.
func (t *Translations) load(ctx context.Context) error {
	now := time.Now
	if t.Now != nil {
		now = t.Now
	}
	if now().Before(t.until) {
		return nil
	}
	heads, err := t.Documents.NewestDocuments(ctx, deviceops.KindProfile)
	if err != nil {
		if t.accounts != nil && deviceops.ErrorCode(err) == deviceops.EUNAVAILABLE {
			return nil
		}
		return err
	}
	accounts := map[string]map[string]shelved{}
	for _, head := range heads {
		if accounts[head.Account] == nil {
			accounts[head.Account] = map[string]shelved{}
		}
		found, err := t.published(ctx, head)
		if err != nil {
			return err
		}
		accounts[head.Account][head.Name] = found
	}
	t.accounts = accounts
	t.index()
	t.until = now().Add(translationsFor)
	return nil
}

// published gives a profile, compiled. One that this version of the engine
// cannot compile translates nothing.
func (t *Translations) published(ctx context.Context, head deviceops.Document) (shelved, error) {
	if known := t.accounts[head.Account][head.Name]; known.hash == head.Hash {
		return known, nil
	}
	d, err := t.Documents.FindDocument(ctx, head.Account, head.Kind, head.Name, head.Version)
	if err != nil {
		return shelved{}, err
	}
	compiled, err := t.profiles.get(d, CompileProfile)
	if err != nil || compiled.Translation == nil {
		return shelved{hash: head.Hash}, nil
	}
	p := *compiled
	p.Account, p.Version = d.Account, d.Version
	return shelved{head.Hash, &p}, nil
}

// index lists what translates, in the order of accounts and names.
func (t *Translations) index() {
	t.all, t.filters = nil, nil
	for _, account := range sortedKeys(t.accounts) {
		for _, name := range sortedKeys(t.accounts[account]) {
			if p := t.accounts[account][name].profile; p != nil {
				t.all = append(t.all, p)
				t.filters = append(t.filters, p.Translation.Filters()...)
			}
		}
	}
	slices.Sort(t.filters)
	t.filters = slices.Compact(t.filters)
}
