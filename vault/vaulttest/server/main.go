// Command server is a Vault server for tests: the real one, in memory, on a
// loopback port of its own. It is initialized and unsealed when it prints one
// line of JSON,
//
//	{"address": "http://127.0.0.1:40123", "root_token": "hvs...", "unseal_key": "base64"}
//
// and it ends when its standard input does, so that none is left behind by a test
// that was killed. It has KV v2 at secret/ by the help of package vaulttest, and
// AppRole and Kubernetes logins.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "vault server for tests:", err)
		os.Exit(1)
	}
}

// ready is what the server prints when it can be used.
type ready struct {
	Address   string `json:"address"`
	RootToken string `json:"root_token"`
	UnsealKey string `json:"unseal_key"`
}

func run(until io.Reader, out io.Writer) error {
	core, err := newCore()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: vaulthttp.Handler.Handler(&vault.HandlerProperties{
		Core: core,
		// Vault's handler reads it without asking whether there is one.
		ListenerConfig: &configutil.Listener{Address: listener.Addr().String(), MaxRequestDuration: vault.DefaultMaxRequestDuration},
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	state, err := unseal(core)
	if err != nil {
		return err
	}
	state.Address = "http://" + listener.Addr().String()
	if err := json.NewEncoder(out).Encode(state); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, until)
		served <- nil
	}()
	return <-served
}

func newCore() (*vault.Core, error) {
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: os.Stderr})
	storage, err := inmem.NewInmem(nil, logger)
	if err != nil {
		return nil, err
	}
	return vault.NewCore(&vault.CoreConfig{
		Physical: storage, DisableMlock: true, Logger: logger,
		LogicalBackends: secretEngines, CredentialBackends: logins, BuiltinRegistry: registry{},
	})
}

// unseal initializes the core with one key and mounts KV v2 at secret/.
func unseal(core *vault.Core) (ready, error) {
	ctx := context.Background()
	result, err := core.Initialize(ctx, &vault.InitParams{
		BarrierConfig:  &vault.SealConfig{SecretShares: 1, SecretThreshold: 1},
		RecoveryConfig: &vault.SealConfig{SecretShares: 1, SecretThreshold: 1},
	})
	if err != nil {
		return ready{}, fmt.Errorf("initialize: %w", err)
	}
	key := result.SecretShares[0]
	if unsealed, err := core.Unseal(key); err != nil || !unsealed {
		return ready{}, fmt.Errorf("unseal: unsealed=%v: %w", unsealed, err)
	}
	return ready{RootToken: result.RootToken, UnsealKey: base64.StdEncoding.EncodeToString(key)}, nil
}
