package vault_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/vault"
	"github.com/deviceops/deviceops/vault/vaulttest"
)

// readers may read what DeviceOps needs, and nothing below forbidden.
const readers = `
path "secret/data/*" { capabilities = ["read"] }
path "acme/emea/data/*" { capabilities = ["read"] }
path "secret/data/forbidden/*" { capabilities = ["deny"] }
`

// journal is a log that tests read while it is written.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// Contains reports whether a line with text was written.
func (j *journal) Contains(text string) bool { return strings.Contains(j.String(), text) }

// start starts Vault with the policy readers and gives a config to reach it by
// AppRole. Tokens live for ttl, and four times that with renewals.
func start(t *testing.T, ttl time.Duration) (*vaulttest.Server, vault.Config, *journal) {
	t.Helper()
	server := vaulttest.Start(t)
	server.Policy(t, "readers", readers)
	roleID, file := server.AppRole(t, ttl, "readers")
	log := &journal{}
	return server, vault.Config{
		Address: server.Address, Auth: vault.AuthAppRole, RoleID: roleID, SecretIDFile: file, Log: slog.New(slog.NewTextHandler(log, nil)),
	}, log
}

func dial(t *testing.T, config vault.Config) *vault.Client {
	t.Helper()
	client, err := vault.Dial(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func requireSecret(t *testing.T, want string, client *vault.Client, account, reference string) {
	t.Helper()
	value, err := client.Secret(t.Context(), account, reference)
	require.NoError(t, err)
	require.Equal(t, want, value)
}

func TestClient_Secret(t *testing.T) {
	t.Parallel()
	server, config, log := start(t, time.Hour)
	server.Put(t, "ticketing/jira", map[string]any{"user": "bot", "password": "canary-1"})
	server.Put(t, "ticketing/jira", map[string]any{"user": "bot", "password": "canary-2"})
	server.Put(t, "ticketing/api-token", map[string]any{"value": "canary-3"})
	server.Put(t, "odd", map[string]any{"number": 7, "tree": map[string]any{"a": true}})
	server.Put(t, "forbidden/token", map[string]any{"value": "canary-4"})
	server.Put(t, "deleted", map[string]any{"value": "canary-5"})
	require.NoError(t, server.Root().KVv2("secret").Delete(t.Context(), "deleted"))
	client := dial(t, config)

	for reference, want := range map[string]string{
		"secret:ticketing/api-token":         "canary-3",
		"ticketing/jira#password":            "canary-2",
		"secret:ticketing/jira@1#password":   "canary-1",
		"secret:ticketing/jira@2#user":       "bot",
		"odd#number":                         "7",
		"odd#tree":                           `{"a":true}`,
		"secret:ticketing/api-token@1#value": "canary-3",
	} {
		requireSecret(t, want, client, "acme", reference)
	}
	for reference, want := range map[string]struct{ code, says string }{
		"ticketing/jirra":           {deviceops.ENOTFOUND, "there is no secret secret/ticketing/jirra in Vault"},
		"ticketing/jira":            {deviceops.ENOTFOUND, `has no field "value"; it has [password user]: name one, as in ticketing/jira#field`},
		"ticketing/jira@9#password": {deviceops.ENOTFOUND, "there is no secret secret/ticketing/jira@9 in Vault"},
		"deleted":                   {deviceops.ENOTFOUND, "was deleted"},
		"forbidden/token":           {deviceops.EFORBIDDEN, "capability read on secret/data/forbidden/token"},
		"temporal/payload-keys":     {deviceops.EFORBIDDEN, "the engine's own"},
		"../sys/mounts":             {deviceops.EINVALID, "a path is"},
	} {
		_, err := client.Secret(t.Context(), "acme", reference)
		require.Equal(t, want.code, deviceops.ErrorCode(err), reference)
		require.ErrorContains(t, err, want.says)
		require.NotContains(t, err.Error(), "canary")
	}
	require.NoError(t, client.Ready(t.Context()))
	require.NotContains(t, log.String(), "canary")
	require.Equal(t, 1, server.Logins(t), "what is forbidden is no reason to log in again")
}

func TestClient_AMountOrFolderPerAccount(t *testing.T) {
	t.Parallel()
	server, config, _ := start(t, time.Hour)
	server.MountKV(t, "acme/emea")
	server.PutAt(t, "acme/emea", "token", map[string]any{"value": "of the mount"})
	server.Put(t, "fleet/acme/emea/token", map[string]any{"value": "of the folder"})
	server.Put(t, "fleet/root/temporal/payload-keys", map[string]any{"value": "of the engine"})

	mounts, folders := config, config
	mounts.Mount = "{account}"
	folders.Folder = "fleet/{account}/"
	requireSecret(t, "of the mount", dial(t, mounts), "acme/emea", "token")
	client := dial(t, folders)
	requireSecret(t, "of the folder", client, "acme/emea", "token")
	requireSecret(t, "of the engine", client, "", "temporal/payload-keys")
	_, err := client.Secret(t.Context(), "acme", "token")
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err), "an account does not see what another one has")
	_, err = client.Secret(t.Context(), "acme/../root", "token")
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
}

func TestClient_SealedThenUnsealed(t *testing.T) {
	t.Parallel()
	server, config, _ := start(t, time.Hour)
	server.Put(t, "a", map[string]any{"value": "1"})
	client := dial(t, config)

	server.Seal(t)
	_, err := client.Secret(t.Context(), "acme", "a")
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(err))
	require.ErrorContains(t, err, "sealed")
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(client.Ready(t.Context())))
	_, err = vault.Dial(t.Context(), config)
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(err), "whoever starts now waits")

	server.Unseal(t)
	requireSecret(t, "1", client, "acme", "a")
	require.NoError(t, client.Ready(t.Context()))
}

// gate stands between a client and Vault, counts the reads of secrets and can be
// closed.
type gate struct {
	*httptest.Server
	reads     atomic.Int64
	closed    atomic.Bool
	namespace atomic.Value
}

func newGate(t *testing.T, address string) *gate {
	t.Helper()
	target, err := url.Parse(address)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	g := &gate{}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.namespace.Store(r.Header.Get("X-Vault-Namespace"))
		if g.closed.Load() {
			panic(http.ErrAbortHandler)
		}
		if strings.Contains(r.URL.Path, "/data/") {
			g.reads.Add(1)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(g.Close)
	return g
}

func TestClient_Cache(t *testing.T) {
	t.Parallel()
	server, config, _ := start(t, time.Hour)
	g := newGate(t, server.Address)
	config.Address = g.URL
	server.Put(t, "a", map[string]any{"value": "1", "other": "2"})
	server.Put(t, "temporal/payload-keys", map[string]any{"value": "k1"})
	client := dial(t, config)

	t.Run("many who ask at once ask Vault once", func(t *testing.T) {
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { requireSecret(t, "1", client, "acme", "a") })
		}
		all.Wait()
		requireSecret(t, "2", client, "acme", "a#other")
		require.EqualValues(t, 1, g.reads.Load())
	})
	t.Run("what is pinned is another secret", func(t *testing.T) {
		requireSecret(t, "1", client, "acme", "a@1")
		require.EqualValues(t, 2, g.reads.Load())
	})
	t.Run("what failed is asked for again", func(t *testing.T) {
		for range 2 {
			_, err := client.Secret(t.Context(), "acme", "none")
			require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))
		}
		require.EqualValues(t, 4, g.reads.Load())
	})
	t.Run("the engine's own are always fresh", func(t *testing.T) {
		requireSecret(t, "k1", client, "", "temporal/payload-keys")
		server.Put(t, "temporal/payload-keys", map[string]any{"value": "k2"})
		requireSecret(t, "k2", client, "", "temporal/payload-keys")
	})
	t.Run("it bridges a short absence of Vault", func(t *testing.T) {
		g.closed.Store(true)
		defer g.closed.Store(false)
		requireSecret(t, "1", client, "acme", "a")
		_, err := client.Secret(t.Context(), "acme", "b")
		require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(err))
	})
}

func TestClient_SendsTheNamespace(t *testing.T) {
	t.Parallel()
	server, config, _ := start(t, time.Hour)
	g := newGate(t, server.Address)
	config.Address, config.Namespace = g.URL, "fleet/emea"
	dial(t, config) // only Vault Enterprise has namespaces; this one takes no notice
	require.Equal(t, "fleet/emea", g.namespace.Load())
}

func TestDial_Refuses(t *testing.T) {
	t.Parallel()
	_, config, log := start(t, time.Hour)
	for name, c := range map[string]struct {
		change     func(*vault.Config)
		code, says string
	}{
		"no address":       {func(c *vault.Config) { c.Address = "" }, deviceops.EINVALID, "--vault-address missing"},
		"an unknown login": {func(c *vault.Config) { c.Auth = "ldap" }, deviceops.EINVALID, "use token, approle or kubernetes"},
		"no role": {func(c *vault.Config) { c.RoleID, c.SecretIDFile = "", "" }, deviceops.EINVALID,
			"--vault-role-id and --vault-secret-id-file missing"},
		"no role in Kubernetes": {func(c *vault.Config) { c.Auth = vault.AuthKubernetes }, deviceops.EINVALID, "--vault-kubernetes-role missing"},
		"no token file":         {func(c *vault.Config) { c.Auth = "" }, deviceops.EINVALID, "--vault-token-file missing"},
		"a CA that is none":     {func(c *vault.Config) { c.CA = "none.pem" }, deviceops.EINVALID, "--vault-ca none.pem"},
		"another role":          {func(c *vault.Config) { c.RoleID = "nobody" }, deviceops.EFORBIDDEN, "invalid role"},
		"another secret id": {func(c *vault.Config) { c.SecretIDFile = vaulttest.File(t, "canary") }, deviceops.EFORBIDDEN,
			"invalid role or secret ID"},
		"another token": {func(c *vault.Config) { c.Auth, c.TokenFile = vault.AuthToken, vaulttest.File(t, "canary") }, deviceops.EFORBIDDEN,
			"permission denied"},
		"nobody there": {func(c *vault.Config) { c.Address = "http://127.0.0.1:1" }, deviceops.EUNAVAILABLE, "refused"},
	} {
		changed := config
		c.change(&changed)
		_, err := vault.Dial(t.Context(), changed)
		require.Equal(t, c.code, deviceops.ErrorCode(err), "%s: %v", name, err)
		require.ErrorContains(t, err, c.says, name)
		require.NotContains(t, err.Error(), "canary", name)
	}
	require.NotContains(t, log.String(), "canary")
}

func BenchmarkClient_Secret(b *testing.B) {
	server := vaulttest.Start(b)
	server.Put(b, "a", map[string]any{"value": "1"})
	for name, reference := range map[string]string{"cached": "a", "fresh": "temporal/a"} {
		server.Put(b, reference, map[string]any{"value": "1"})
		client, err := vault.Dial(b.Context(), vault.Config{Address: server.Address, TokenFile: vaulttest.File(b, server.RootToken)})
		require.NoError(b, err)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := client.Secret(b.Context(), "", reference); err != nil {
					b.Fatal(err)
				}
			}
		})
		client.Close()
	}
}

func ExampleClient() {
	fmt.Println(deviceops.ParseSecretRef("secret:ticketing/jira@3#password"))
	// Output: ticketing/jira@3#password <nil>
}
