// Package vaulttest runs real Vault servers for tests. Their program is built
// from Vault's Go module, which takes minutes the first time and is kept in the
// user's cache folder; a server is up in a second.
package vaulttest

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
)

// Server is a Vault server with a storage of its own, in memory. It has KV
// version 2 mounted at secret.
type Server struct {
	Address   string // http://127.0.0.1:port
	RootToken string

	unsealKey string
	root      *api.Client
}

// Start starts an unsealed server that ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	program, err := Build()
	require.NoError(t, err)
	ready := run(t, program)
	s := &Server{Address: ready.Address, RootToken: ready.RootToken, unsealKey: ready.UnsealKey}
	s.root = s.Client(t, s.RootToken)
	s.MountKV(t, "secret")
	return s
}

// ready is what the program prints when it serves.
type ready struct {
	Address   string `json:"address"`
	RootToken string `json:"root_token"`
	UnsealKey string `json:"unseal_key"`
}

// run starts the program and ends it, by the end of its standard input, with the
// test.
func run(t testing.TB, program string) (r ready) {
	t.Helper()
	cmd := exec.Command(program)
	cmd.Stderr = t.Output()
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		require.NoError(t, cmd.Wait())
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	require.NoError(t, err, "the Vault server did not start")
	require.NoError(t, json.Unmarshal(line, &r))
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	return r
}

// Client gives a client of Vault's own API that has a token.
func (s *Server) Client(t testing.TB, token string) *api.Client {
	t.Helper()
	config := api.DefaultConfig()
	config.Address, config.MaxRetries = s.Address, 0
	client, err := api.NewClient(config)
	require.NoError(t, err)
	client.SetToken(token)
	return client
}

// Root gives a client that may do everything.
func (s *Server) Root() *api.Client { return s.root }

// MountKV mounts KV version 2 at a path.
func (s *Server) MountKV(t testing.TB, path string) {
	t.Helper()
	require.NoError(t, s.root.Sys().Mount(path, &api.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}))
	// The engine upgrades itself from version 1 in the background, and refuses
	// requests until it has.
	require.Eventually(t, func() bool {
		_, err := s.root.KVv2(path).Put(context.Background(), "vaulttest", map[string]any{"ready": "yes"})
		return err == nil
	}, 20*time.Second, 20*time.Millisecond)
}

// Put writes fields of a secret at the mount secret, as a new version.
func (s *Server) Put(t testing.TB, path string, fields map[string]any) {
	t.Helper()
	s.PutAt(t, "secret", path, fields)
}

// PutAt writes fields of a secret at a mount, as a new version.
func (s *Server) PutAt(t testing.TB, mount, path string, fields map[string]any) {
	t.Helper()
	_, err := s.root.KVv2(mount).Put(t.Context(), path, fields)
	require.NoError(t, err)
}

// Policy writes a policy, in HCL.
func (s *Server) Policy(t testing.TB, name, rules string) {
	t.Helper()
	require.NoError(t, s.root.Sys().PutPolicy(name, rules))
}

// Token makes a token with policies that can be renewed up to four times its
// time to live.
func (s *Server) Token(t testing.TB, ttl time.Duration, policies ...string) string {
	t.Helper()
	secret, err := s.root.Auth().Token().Create(&api.TokenCreateRequest{
		Policies: policies, TTL: ttl.String(), ExplicitMaxTTL: (4 * ttl).String(), NoParent: true,
	})
	require.NoError(t, err)
	return secret.Auth.ClientToken
}

// AppRole makes a role whose logins have policies and a time to live, and gives
// its role id and the file with a secret id.
func (s *Server) AppRole(t testing.TB, ttl time.Duration, policies ...string) (roleID, secretIDFile string) {
	t.Helper()
	require.NoError(t, s.root.Sys().EnableAuthWithOptions("approle", &api.EnableAuthOptions{Type: "approle"}))
	logical := s.root.Logical()
	_, err := logical.Write("auth/approle/role/deviceops", map[string]any{"token_policies": policies, "token_ttl": ttl.String(), "token_max_ttl": (4 * ttl).String()})
	require.NoError(t, err)
	role, err := logical.Read("auth/approle/role/deviceops/role-id")
	require.NoError(t, err)
	secret, err := logical.Write("auth/approle/role/deviceops/secret-id", nil)
	require.NoError(t, err)
	return role.Data["role_id"].(string), File(t, secret.Data["secret_id"].(string))
}

// File writes a file that its owner alone may read, and gives its path.
func File(t testing.TB, text string) string {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	_, err = file.WriteString(text + "\n")
	require.NoError(t, err)
	require.NoError(t, file.Close())
	return file.Name()
}

// RevokeLogins ends every token that AppRole logins gave.
func (s *Server) RevokeLogins(t testing.TB) {
	t.Helper()
	require.NoError(t, s.root.Sys().RevokePrefix("auth/approle"))
}

// Logins gives how many tokens of AppRole or Kubernetes logins live.
func (s *Server) Logins(t testing.TB) int {
	t.Helper()
	list, err := s.root.Logical().List("auth/token/accessors")
	require.NoError(t, err)
	logins := 0
	for _, accessor := range list.Data["keys"].([]any) {
		token, err := s.root.Auth().Token().LookupAccessor(accessor.(string))
		if err != nil {
			continue // it ended since
		}
		if path, _ := token.Data["path"].(string); strings.HasSuffix(path, "/login") {
			logins++
		}
	}
	return logins
}

// Seal seals the server: it answers nothing but how to unseal it.
func (s *Server) Seal(t testing.TB) {
	t.Helper()
	require.NoError(t, s.root.Sys().Seal())
}

// Unseal unseals the server.
func (s *Server) Unseal(t testing.TB) {
	t.Helper()
	status, err := s.root.Sys().Unseal(s.unsealKey)
	require.NoError(t, err)
	require.False(t, status.Sealed)
	// It becomes active a moment after it is unsealed.
	require.Eventually(t, func() bool {
		_, err := s.root.Auth().Token().LookupSelf()
		return err == nil
	}, 20*time.Second, 20*time.Millisecond)
}
