package vault

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/hashicorp/vault/api"
)

// Waits between logins that fail.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// session is a login at Vault that stays alive: the token is renewed for as long
// as Vault lets it, and then a new login takes its place.
type session struct {
	config Config
	client *api.Client // carries the token of the newest login
	stop   context.CancelFunc
	ended  chan struct{}
	moved  chan struct{} // a login by renew has replaced the one that is watched

	mu     sync.Mutex
	auth   *api.Secret
	failed time.Time // when the last login failed
	err    error     // how
}

// openSession logs in and keeps the login alive until close.
func openSession(ctx context.Context, config Config) (*session, error) {
	client, err := config.connect()
	if err != nil {
		return nil, err
	}
	s := &session{config: config, client: client, ended: make(chan struct{}), moved: make(chan struct{}, 1)}
	if err := s.renew(ctx, ""); err != nil {
		return nil, refusal(err, config)
	}
	watching, stop := context.WithCancel(context.Background())
	s.stop = stop
	go s.watch(watching)
	return s, nil
}

// refusal tells a login that Vault refuses, which waiting does not mend, from a
// Vault that can't be asked.
func refusal(err error, config Config) error {
	code := deviceops.EUNAVAILABLE
	var own *deviceops.Error
	switch status := statusOf(err); {
	case errors.As(err, &own):
		return err
	case status == http.StatusForbidden, status == http.StatusBadRequest, status == http.StatusUnauthorized:
		code = deviceops.EFORBIDDEN
	}
	return deviceops.Errorf(code, "log in at Vault %s by %s: %s", config.Address, config.Auth, explain(err))
}

// alive reports whether Vault still takes the token.
func (s *session) alive(ctx context.Context) bool {
	_, err := s.client.Auth().Token().LookupSelfWithContext(ctx)
	return statusOf(err) != http.StatusForbidden
}

// renew logs in unless another has done so since the caller saw its token. Right
// after a failure it gives the same error again: a thousand activities that wait
// for a secret must not become a thousand logins.
func (s *session) renew(ctx context.Context, token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client.Token() != token {
		return nil
	}
	if s.err != nil && time.Since(s.failed) < firstRetry {
		return s.err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	auth, err := s.config.login(ctx)
	if err == nil && (auth == nil || auth.Auth == nil || auth.Auth.ClientToken == "") {
		err = errors.New("the login gave no token")
	}
	if s.err = err; err != nil {
		s.failed = time.Now()
		return err
	}
	if s.auth != nil && auth.Auth.ClientToken != token {
		s.config.Log.Info("logged in at Vault again", "address", s.config.Address, "auth", s.config.Auth)
	}
	s.auth = auth
	s.client.SetToken(auth.Auth.ClientToken)
	select {
	case s.moved <- struct{}{}:
	default:
	}
	return nil
}

// watch keeps the login alive until ctx ends.
func (s *session) watch(ctx context.Context) {
	defer close(s.ended)
	for ctx.Err() == nil {
		if auth := s.current(); s.keep(ctx, auth) {
			s.again(ctx, auth.Auth.ClientToken)
		}
	}
}

// current gives the newest login, which is then the one that is watched.
func (s *session) current() *api.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.moved:
	default:
	}
	return s.auth
}

// keep renews a login for as long as Vault lets it. It gives true when a new
// login is needed, and false when ctx ended or another login has taken over. A
// token without an end, such as a root token, needs nothing.
func (s *session) keep(ctx context.Context, auth *api.Secret) bool {
	var done <-chan error
	if auth.Auth.LeaseDuration > 0 {
		watcher, err := s.client.NewLifetimeWatcher(&api.LifetimeWatcherInput{Secret: auth})
		if err != nil {
			return true
		}
		go watcher.Start()
		defer watcher.Stop()
		done = watcher.DoneCh()
	}
	select {
	case <-done:
		return true
	case <-s.moved:
		return false
	case <-ctx.Done():
		return false
	}
}

// again logs in until the login is another one than that of token. A token file
// may hold the old token for some time yet.
func (s *session) again(ctx context.Context, token string) {
	log := s.config.Log.With("address", s.config.Address, "auth", s.config.Auth)
	for wait, told := firstRetry, false; ctx.Err() == nil; wait = min(2*wait, lastRetry) {
		err := s.renew(ctx, token)
		switch {
		case err != nil:
			log.Warn("no new login at Vault; trying again", "in", wait, "error", explain(err))
		case s.client.Token() != token:
			return
		case !told:
			log.Warn("the token for Vault is about to end, and its file holds no other", "file", s.config.TokenFile)
			told = true
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// close ends the session. A token that was given for it alone is revoked.
func (s *session) close() {
	s.stop()
	<-s.ended
	if s.config.Auth == AuthToken {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = s.client.Auth().Token().RevokeSelfWithContext(ctx, "") // it ends by itself if this fails
}
