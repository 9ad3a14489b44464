package vault

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/hashicorp/vault/api"
)

// Ways to log in.
const (
	AuthToken      = "token"      // a token that somebody else made, such as Vault Agent's
	AuthAppRole    = "approle"    // a role id and a secret id
	AuthKubernetes = "kubernetes" // the service account of the pod
)

// Config says where Vault is, how to log in and where the secrets lie.
type Config struct {
	Address   string // https://vault:8200
	CA        string // PEM file with the authorities to trust; default: the system's
	Namespace string // Vault Enterprise only; default: none

	Auth         string // default: AuthToken
	AuthMount    string // where AppRole or Kubernetes login is mounted; default: its name
	TokenFile    string // read again at every login
	RoleID       string
	SecretIDFile string // read again at every login

	KubernetesRole      string
	KubernetesTokenFile string // default: where Kubernetes puts it

	// Mount is where the KV engine (version 2) of an account is mounted, and
	// Folder where its secrets begin inside it. {account} in either stands for
	// the account's path. Default: secret, and no folder. The engine's own
	// secrets are those of the root account.
	Mount, Folder string

	// KeepFor is how long a secret is kept in memory. Default: DefaultKeepFor.
	KeepFor time.Duration

	Log *slog.Logger // default: the default logger
}

// DefaultKeepFor is how long a secret is kept in memory: long enough for a
// thousand devices in a rollout to ask Vault once, short enough that a rotated
// secret is soon used.
const DefaultKeepFor = 30 * time.Second

const (
	accountMark  = "{account}"
	defaultMount = "secret"
)

// requestTimeout bounds one request. Vault answers in milliseconds, or is in
// trouble; whoever asks tries again.
const requestTimeout = 10 * time.Second

func (c Config) withDefaults() Config {
	c.Auth = cmp.Or(c.Auth, AuthToken)
	c.AuthMount = cmp.Or(c.AuthMount, c.Auth)
	c.Mount = strings.Trim(cmp.Or(c.Mount, defaultMount), "/")
	c.Folder = strings.Trim(c.Folder, "/")
	c.KeepFor = cmp.Or(c.KeepFor, DefaultKeepFor)
	c.Log = cmp.Or(c.Log, slog.Default())
	return c
}

// Check gives EINVALID for what is missing, by the name of its setting.
func (c Config) Check() error {
	c = c.withDefaults()
	needed := map[string]string{"vault-address": c.Address}
	switch c.Auth {
	case AuthToken:
		needed["vault-token-file"] = c.TokenFile
	case AuthAppRole:
		needed["vault-role-id"], needed["vault-secret-id-file"] = c.RoleID, c.SecretIDFile
	case AuthKubernetes:
		needed["vault-kubernetes-role"] = c.KubernetesRole
	default:
		return deviceops.Errorf(deviceops.EINVALID, "--vault-auth %s: use %s, %s or %s", c.Auth, AuthToken, AuthAppRole, AuthKubernetes)
	}
	var missing []string
	for setting, value := range needed {
		if value == "" {
			missing = append(missing, "--"+setting)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return deviceops.Errorf(deviceops.EINVALID, "%s missing, which a login at Vault by %s needs", strings.Join(missing, " and "), c.Auth)
	}
	return nil
}

// connect makes a client without a token. What VAULT_TOKEN and VAULT_NAMESPACE
// say is left aside: the settings are the ones of DeviceOps.
func (c Config) connect() (*api.Client, error) {
	settings := api.DefaultConfig()
	if settings.Error != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "the environment variables of Vault: %w", settings.Error)
	}
	settings.Address, settings.AgentAddress = c.Address, ""
	settings.MaxRetries, settings.Timeout = 0, requestTimeout
	if c.CA != "" {
		if err := settings.ConfigureTLS(&api.TLSConfig{CACert: c.CA}); err != nil {
			return nil, deviceops.Errorf(deviceops.EINVALID, "--vault-ca %s: %w", c.CA, err)
		}
	}
	client, err := api.NewClient(settings)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "--vault-address %s: %w", c.Address, err)
	}
	client.ClearToken()
	client.ClearNamespace()
	if c.Namespace != "" {
		client.SetNamespace(c.Namespace)
	}
	return client, nil
}

// locate gives the place of an account's secret.
func (c Config) locate(account string, ref deviceops.SecretRef) (place, error) {
	account = cmp.Or(account, deviceops.RootAccount)
	if !deviceops.ValidAccount(account) || hasDots(account) {
		return place{}, deviceops.Errorf(deviceops.EINVALID, "%q is no account that secrets can be kept for", account)
	}
	p := place{mount: strings.ReplaceAll(c.Mount, accountMark, account), path: ref.Path, version: ref.Version}
	if c.Folder != "" {
		p.path = strings.ReplaceAll(c.Folder, accountMark, account) + "/" + p.path
	}
	return p, nil
}

// hasDots reports whether a part of a path is . or .., which would lead out of
// the account's place.
func hasDots(path string) bool {
	return slices.ContainsFunc(strings.Split(path, "/"), func(part string) bool { return strings.Trim(part, ".") == "" })
}
