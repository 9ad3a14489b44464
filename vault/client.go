package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/deviceops/deviceops"
	"github.com/hashicorp/vault/api"
	"golang.org/x/sync/singleflight"
)

// Client gives secrets out of the KV engine (version 2) of HashiCorp Vault. It
// implements deviceops.Secrets. It keeps its login alive until Close.
type Client struct {
	config  Config
	session *session
	cache   *cache
	reads   singleflight.Group // many activities that want one secret ask once
}

var (
	_ deviceops.Secrets = (*Client)(nil)
	_ deviceops.Secrets = (*File)(nil)
)

// place is where a secret lies.
type place struct {
	mount, path string
	version     int // 0: the newest
}

func (p place) String() string {
	if p.version == 0 {
		return p.mount + "/" + p.path
	}
	return fmt.Sprintf("%s/%s@%d", p.mount, p.path, p.version)
}

// Dial logs in at Vault. EINVALID for a configuration that can't be used,
// EFORBIDDEN when Vault refuses the login, EUNAVAILABLE when it is sealed or
// does not answer.
func Dial(ctx context.Context, config Config) (*Client, error) {
	config = config.withDefaults()
	if err := config.Check(); err != nil {
		return nil, err
	}
	session, err := openSession(ctx, config)
	if err != nil {
		return nil, err
	}
	return &Client{config: config, session: session, cache: newCache(config.KeepFor)}, nil
}

// Close ends the login; a token that the login made is revoked.
func (c *Client) Close() { c.session.close() }

// Ready gives nil when Vault is unsealed and takes the login, else EUNAVAILABLE.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.session.client.Auth().Token().LookupSelfWithContext(ctx)
	if err != nil {
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "Vault at %s: %s", c.config.Address, explain(err))
	}
	return nil
}

// Secret implements deviceops.Secrets.
func (c *Client) Secret(ctx context.Context, account, reference string) (string, error) {
	ref, err := deviceops.ParseSecretRef(reference)
	if err != nil {
		return "", err
	}
	if err := ref.Authorize(account); err != nil {
		return "", err
	}
	p, err := c.config.locate(account, ref)
	if err != nil {
		return "", err
	}
	fields, err := c.fields(ctx, p, ref.OfEngine())
	if err != nil {
		return "", err
	}
	return field(fields, ref, p)
}

// fields gives all fields of a secret. The engine's own secrets are not cached:
// whoever asks for a key that another process already uses needs the newest.
func (c *Client) fields(ctx context.Context, p place, fresh bool) (map[string]any, error) {
	if fields, ok := c.cache.get(p); ok && !fresh {
		return fields, nil
	}
	// The read serves all who wait for it, so it does not end with the first.
	result := c.reads.DoChan(p.String(), func() (any, error) {
		reading, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*requestTimeout)
		defer cancel()
		fields, err := c.read(reading, p)
		if err == nil {
			c.cache.put(p, fields)
		}
		return fields, err
	})
	select {
	case r := <-result:
		fields, _ := r.Val.(map[string]any)
		return fields, r.Err
	case <-ctx.Done():
		return nil, deviceops.Errorf(deviceops.EUNAVAILABLE, "secret %s: Vault did not answer in time: %w", p, ctx.Err())
	}
}

// read asks Vault, and a second time after a new login if the token had ended.
// Vault says of a dead token what it says of a path that the policy forbids.
func (c *Client) read(ctx context.Context, p place) (map[string]any, error) {
	token := c.session.client.Token()
	fields, err := c.get(ctx, p)
	if statusOf(err) != http.StatusForbidden || c.session.alive(ctx) {
		return fields, c.domain(err, p)
	}
	if err := c.session.renew(ctx, token); err != nil {
		return nil, deviceops.Errorf(deviceops.EUNAVAILABLE, "secret %s: the login at Vault ended, and logging in again failed: %s", p, explain(err))
	}
	fields, err = c.get(ctx, p)
	return fields, c.domain(err, p)
}

func (c *Client) get(ctx context.Context, p place) (map[string]any, error) {
	kv := c.session.client.KVv2(p.mount)
	var secret *api.KVSecret
	var err error
	if p.version == 0 {
		secret, err = kv.Get(ctx, p.path)
	} else {
		secret, err = kv.GetVersion(ctx, p.path, p.version)
	}
	if err != nil {
		return nil, err
	}
	if secret.Data == nil {
		return nil, deviceops.Errorf(deviceops.ENOTFOUND, "secret %s: this version was deleted", p)
	}
	return secret.Data, nil
}

// domain gives what went wrong with a read the codes of the domain.
func (c *Client) domain(err error, p place) error {
	var own *deviceops.Error
	switch status := statusOf(err); {
	case err == nil || errors.As(err, &own):
		return err
	case errors.Is(err, api.ErrSecretNotFound):
		return deviceops.Errorf(deviceops.ENOTFOUND, "there is no secret %s in Vault (KV version 2 mounted at %s); write it with: vault kv put -mount=%s %s value=...", p, p.mount, p.mount, p.path)
	case status == http.StatusForbidden:
		return deviceops.Errorf(deviceops.EFORBIDDEN, "Vault's policy does not let DeviceOps read secret %s; it needs the capability read on %s/data/%s", p, p.mount, p.path)
	case status >= 400 && status < 500 && !passing(status):
		return deviceops.Errorf(deviceops.EINVALID, "secret %s: Vault says: %s", p, explain(err))
	default:
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "secret %s: Vault at %s: %s", p, c.config.Address, explain(err))
	}
}

// passing reports whether a refusal ends by itself: rate limits, and nodes that
// are not up to date or not in charge.
func passing(status int) bool {
	return slices.Contains([]int{http.StatusPreconditionFailed, http.StatusTooManyRequests, http.StatusRequestTimeout, 472, 473}, status)
}

func statusOf(err error) int {
	var response *api.ResponseError
	if errors.As(err, &response) {
		return response.StatusCode
	}
	return 0
}

// explain gives the short form of what Vault's client says in many lines.
func explain(err error) string {
	var response *api.ResponseError
	if !errors.As(err, &response) {
		return err.Error()
	}
	if len(response.Errors) == 0 {
		return http.StatusText(response.StatusCode)
	}
	return strings.Join(response.Errors, "; ")
}

// field gives one field as text. What is no text in Vault comes as JSON.
func field(fields map[string]any, ref deviceops.SecretRef, p place) (string, error) {
	value, ok := fields[ref.Field]
	if !ok {
		return "", deviceops.Errorf(deviceops.ENOTFOUND, "secret %s has no field %q; it has %v: name one, as in %s#field", p, ref.Field, slices.Sorted(maps.Keys(fields)), ref.Path)
	}
	if text, ok := value.(string); ok {
		return text, nil
	}
	data, err := json.Marshal(value)
	if err != nil {
		return "", deviceops.Errorf(deviceops.EINVALID, "secret %s: field %s is no text", p, ref.Field)
	}
	return string(data), nil
}
