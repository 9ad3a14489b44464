package vault_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/vault"
	"github.com/deviceops/deviceops/vault/vaulttest"
)

// patience is how long anything here may take on a busy machine.
const patience = 30 * time.Second

func TestSession_LogsInAgainWhenItsTokenWasRevoked(t *testing.T) {
	t.Parallel()
	server, config, _ := start(t, time.Hour)
	server.Put(t, "a", map[string]any{"value": "1"})
	server.Put(t, "b", map[string]any{"value": "2"})
	client := dial(t, config)
	requireSecret(t, "1", client, "acme", "a")

	server.RevokeLogins(t)
	require.Zero(t, server.Logins(t))
	requireSecret(t, "2", client, "acme", "b")
	require.Equal(t, 1, server.Logins(t))
}

func TestSession_OutlivesItsTokens(t *testing.T) {
	t.Parallel()
	server, config, log := start(t, time.Second) // renewed up to four seconds
	server.Put(t, "a", map[string]any{"value": "1"})
	config.KeepFor = time.Nanosecond
	client := dial(t, config)
	require.Eventually(t, func() bool {
		requireSecret(t, "1", client, "acme", "a")
		return log.Contains("logged in at Vault again")
	}, patience, 50*time.Millisecond)
	requireSecret(t, "1", client, "acme", "a")
}

func TestSession_ARefusedLoginMendsItself(t *testing.T) {
	t.Parallel()
	server, config, log := start(t, time.Hour)
	server.Put(t, "a", map[string]any{"value": "canary"})
	client := dial(t, config)
	valid, err := os.ReadFile(config.SecretIDFile)
	require.NoError(t, err)

	require.NoError(t, os.WriteFile(config.SecretIDFile, []byte("an old one"), 0o600))
	server.RevokeLogins(t)
	for range 3 {
		_, err = client.Secret(t.Context(), "acme", "a")
		require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(err), "a run waits for this")
		require.ErrorContains(t, err, "logging in again failed")
	}

	require.NoError(t, os.WriteFile(config.SecretIDFile, valid, 0o600))
	require.Eventually(t, func() bool {
		value, err := client.Secret(t.Context(), "acme", "a")
		return err == nil && value == "canary"
	}, patience, 50*time.Millisecond)
	require.NotContains(t, log.String(), "canary")
}

func TestSession_TakesTheNextTokenFromItsFile(t *testing.T) {
	t.Parallel()
	server, config, log := start(t, time.Hour)
	server.Put(t, "a", map[string]any{"value": "1"})
	first := server.Token(t, 2*time.Second, "readers")
	file := vaulttest.File(t, first)
	client := dial(t, vault.Config{Address: server.Address, TokenFile: file, KeepFor: time.Nanosecond, Log: config.Log})
	requireSecret(t, "1", client, "acme", "a")

	require.Eventually(t, func() bool { return log.Contains("its file holds no other") }, patience, 50*time.Millisecond)
	require.NoError(t, os.WriteFile(file, []byte(server.Token(t, time.Hour, "readers")), 0o600))
	require.Eventually(t, func() bool { return log.Contains("logged in at Vault again") }, patience, 50*time.Millisecond)
	require.NoError(t, server.Root().Auth().Token().RevokeTree(first))
	requireSecret(t, "1", client, "acme", "a")
}

func TestSession_ARootTokenNeedsNoRenewal(t *testing.T) {
	t.Parallel()
	server := vaulttest.Start(t)
	server.Put(t, "a", map[string]any{"value": "1"})
	client := dial(t, vault.Config{Address: server.Address, TokenFile: vaulttest.File(t, server.RootToken)})
	requireSecret(t, "1", client, "acme", "a")
	client.Close()
	_, err := server.Root().Auth().Token().LookupSelf()
	require.NoError(t, err, "a token that somebody else made outlives the client")
}

func TestSession_RevokesItsTokenAtTheEnd(t *testing.T) {
	t.Parallel()
	server, config, _ := start(t, time.Hour)
	client, err := vault.Dial(t.Context(), config)
	require.NoError(t, err)
	require.Equal(t, 1, server.Logins(t))
	client.Close()
	require.Zero(t, server.Logins(t))
}

// kubernetes is what of Kubernetes' API a login needs: it knows one service
// account.
func kubernetes(t *testing.T, token string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct{ Spec struct{ Token string } }
		_ = json.NewDecoder(r.Body).Decode(&review)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{
			"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
			"status": map[string]any{"authenticated": review.Spec.Token == token, "user": map[string]any{
				"username": "system:serviceaccount:fleet:deviceops", "uid": "u1", "groups": []string{"system:serviceaccounts"},
			}},
		})
	}))
	t.Cleanup(server.Close)
	return server
}

// serviceAccountToken gives a JWT of the account deviceops in the namespace
// fleet. Kubernetes, not Vault, looks at its signature.
func serviceAccountToken() string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg": "RS256"}`)) + "." + encode([]byte(`{"iss": "kubernetes/serviceaccount", "iat": 1767225600, "nbf": 1767225600, "exp": 4102444800,
		"sub": "system:serviceaccount:fleet:deviceops",
		"kubernetes.io": {"namespace": "fleet", "serviceaccount": {"name": "deviceops", "uid": "u1"}}}`)) + "." + encode([]byte("signature"))
}

func TestSession_Kubernetes(t *testing.T) {
	t.Parallel()
	server := vaulttest.Start(t)
	server.Policy(t, "readers", readers)
	server.Put(t, "a", map[string]any{"value": "1"})
	token := serviceAccountToken()
	require.NoError(t, server.Root().Sys().EnableAuthWithOptions("kubernetes", &api.EnableAuthOptions{Type: "kubernetes"}))
	for path, data := range map[string]map[string]any{
		"auth/kubernetes/config": {"kubernetes_host": kubernetes(t, token).URL, "token_reviewer_jwt": token, "disable_local_ca_jwt": true},
		"auth/kubernetes/role/deviceops": {"bound_service_account_names": "deviceops", "bound_service_account_namespaces": "fleet",
			"token_policies": "readers", "token_ttl": "1h"},
	} {
		_, err := server.Root().Logical().Write(path, data)
		require.NoError(t, err)
	}
	config := vault.Config{
		Address: server.Address, Auth: vault.AuthKubernetes, KubernetesRole: "deviceops", KubernetesTokenFile: vaulttest.File(t, token),
	}
	requireSecret(t, "1", dial(t, config), "acme", "a")

	config.KubernetesRole = "somebody"
	_, err := vault.Dial(t.Context(), config)
	require.Equal(t, deviceops.EFORBIDDEN, deviceops.ErrorCode(err))
}
