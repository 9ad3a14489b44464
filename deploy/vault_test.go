package deploy

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"

	"github.com/deviceops/deviceops/codec"
	"github.com/deviceops/deviceops/vault"
	"github.com/deviceops/deviceops/vault/vaulttest"
)

// setUpVault runs the script of the container and logs in with what it leaves.
func setUpVault(t *testing.T, server *vaulttest.Server, folder string) *vault.Client {
	t.Helper()
	run(t, []string{"VAULT_ADDR=" + server.Address, "VAULT_TOKEN=" + server.RootToken}, "vault/setup.sh", folder, "vault/policy.hcl")
	client, err := vault.Dial(t.Context(), vault.Config{
		Address: server.Address, Auth: vault.AuthAppRole, RoleID: "deviceops", SecretIDFile: filepath.Join(folder, "secret-id"),
	})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func openCodec(t *testing.T, client *vault.Client) *codec.Codec {
	t.Helper()
	keys, err := codec.OpenKeyring(t.Context(), codec.Config{Secrets: client, Reference: "secret:temporal/payload-keys"})
	require.NoError(t, err)
	return codec.New(keys)
}

func TestVault_SetUp(t *testing.T) {
	t.Parallel()
	server, folder := vaulttest.Start(t), t.TempDir()
	client := setUpVault(t, server, folder)
	encoded, err := openCodec(t, client).Encode([]*commonpb.Payload{{Data: []byte("x")}})
	require.NoError(t, err)
	server.Put(t, "ticketing/api-token", map[string]any{"value": "1"})
	_, err = codec.OpenKeyring(t.Context(), codec.Config{Secrets: client, Reference: "secret:engine/artifact-keys"})
	require.NoError(t, err)
	value, err := client.Secret(t.Context(), "acme", "ticketing/api-token")
	require.NoError(t, err)
	require.Equal(t, "1", value)
	for _, file := range []string{"secret-id", "payload-keys", "artifact-keys"} {
		info, err := os.Stat(filepath.Join(folder, file))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), file)
	}

	t.Run("again", func(t *testing.T) {
		_, err := openCodec(t, setUpVault(t, server, folder)).Decode(encoded)
		require.NoError(t, err)
	})
	t.Run("after Vault forgot everything", func(t *testing.T) {
		_, err := openCodec(t, setUpVault(t, vaulttest.Start(t), folder)).Decode(encoded)
		require.NoError(t, err)
	})
}

func TestVault_PolicyLetsTheEngineReadSecretsOnly(t *testing.T) {
	t.Parallel()
	server, folder := vaulttest.Start(t), t.TempDir()
	setUpVault(t, server, folder)
	secretID, err := os.ReadFile(filepath.Join(folder, "secret-id"))
	require.NoError(t, err)
	login, err := server.Root().Logical().Write("auth/approle/login", map[string]any{"role_id": "deviceops", "secret_id": string(secretID[:len(secretID)-1])})
	require.NoError(t, err)
	engine := server.Client(t, login.Auth.ClientToken)
	_, err = engine.KVv2("secret").Put(t.Context(), "ticketing/api-token", map[string]any{"value": "1"})
	require.ErrorContains(t, err, "permission denied")
	_, err = engine.Logical().List("secret/metadata")
	require.ErrorContains(t, err, "permission denied")
	require.NoError(t, engine.Auth().Token().RevokeSelf(""))
}
