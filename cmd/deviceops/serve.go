package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/artifact"
	"github.com/deviceops/deviceops/cli"
	"github.com/deviceops/deviceops/serve"
	"github.com/deviceops/deviceops/vault"
)

// serveFlags are the settings of serve.
type serveFlags struct {
	serve.Config
	file, listen, logLevel string
}

func serveCommand(config cli.Config) *cobra.Command {
	var f serveFlags
	f.Version = config.Version
	cmd := &cobra.Command{
		Use: "serve", Short: "Run roles of a production installation", Args: cobra.NoArgs,
		Long: `Runs the roles api, gateway and worker, or some of them, against PostgreSQL,
Temporal and an MQTT broker of your own. Each role scales out by starting more
processes with it; all state is in PostgreSQL and Temporal. The schema is
brought up to date at the start.

Every flag is also an environment variable (--database-url is
DEVICEOPS_DATABASE_URL) and a key of the YAML file that --config names
(database-url: ...). A flag wins over the environment, the environment over the
file.

/healthz, /readyz and /metrics are answered by every process.`,
		Example: `  deviceops serve --database-url postgres://deviceops@db/deviceops \
      --temporal-address temporal:7233 --mqtt-url mqtts://broker:8883
  deviceops serve --roles gateway --config /etc/deviceops.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := settle(cmd, f.settingsFile(), os.LookupEnv); err != nil {
				return cli.Usage(err)
			}
			letGarbagePile()
			return f.run(cmd.Context(), cmd.ErrOrStderr())
		},
	}
	f.register(cmd)
	return cmd
}

func (f *serveFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.file, "config", "", "YAML file with settings")
	flags.StringSliceVar(&f.Roles, "roles", serve.Roles(), "roles of this process")
	flags.StringVar(&f.listen, "listen", "127.0.0.1:8080", "address of the API, health and metrics")
	flags.StringVar(&f.DatabaseURL, "database-url", "", "PostgreSQL: postgres://user:password@host:port/database")
	flags.StringVar(&f.TemporalAddress, "temporal-address", "", "Temporal's frontend: host:port")
	flags.StringVar(&f.TemporalNamespace, "temporal-namespace", "default", "Temporal namespace")
	flags.StringVar(&f.MQTT.Broker, "mqtt-url", "", "MQTT broker: tcp://, mqtts://, ws:// or wss://host:port")
	flags.StringVar(&f.MQTT.Username, "mqtt-username", "", "user name at the broker")
	flags.StringVar(&f.MQTT.Password, "mqtt-password", "", "password at the broker")
	flags.StringVar(&f.MQTT.TLS.CA, "mqtt-ca", "", "PEM file with the authorities to trust for the broker")
	flags.StringVar(&f.MQTT.TLS.Cert, "mqtt-cert", "", "PEM file with the client certificate for the broker")
	flags.StringVar(&f.MQTT.TLS.Key, "mqtt-key", "", "PEM file with the key of --mqtt-cert")
	flags.StringVar(&f.MQTT.Prefix, "mqtt-prefix", "", "where topics begin (default: deviceops/v1)")
	flags.IntVar(&f.Lanes, "lanes", 4, "members of the engine's shared subscription, the same in every process")
	flags.StringVar(&f.AdminToken, "admin-token", "", "an API token with all rights; better set by the environment")
	f.registerSecrets(flags)
	f.registerArtifacts(flags)
	flags.StringSliceVar(&f.AllowNetworks, "allow-network", nil, "a private network that http.request and routes may reach, such as 10.1.0.0/16; repeat for more")
	flags.StringVar(&f.RouteFolder, "route-folder", "", "where routes write their files (default: they write none)")
	flags.DurationVar(&f.KeepEvents, "keep-events", serve.DefaultKeepEvents, "how long events are kept")
	f.registerMetrics(flags)
	flags.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
}

func (f *serveFlags) registerMetrics(flags *pflag.FlagSet) {
	keep := deviceops.DefaultMetricRetention
	flags.DurationVar(&f.KeepMetrics.Raw, "keep-samples", keep.Raw, "how long single samples of metrics are kept; the same in every process")
	flags.DurationVar(&f.KeepMetrics.Fives, "keep-samples-5m", keep.Fives, "how long their sums of five minutes are kept")
	flags.DurationVar(&f.KeepMetrics.Hours, "keep-samples-1h", keep.Hours, "how long their sums of hours are kept")
}

func (f *serveFlags) registerArtifacts(flags *pflag.FlagSet) {
	flags.StringVar(&f.Artifacts.Store, "artifact-store", "", "where the content of releases is kept: file:///var/lib/deviceops/artifacts, s3://bucket?region=eu-central-1")
	flags.StringVar(&f.Artifacts.Keys, "artifact-keys", serve.DefaultArtifactKeys, "keys that encrypt what is kept there")
	flags.StringVar(&f.Artifacts.URL, "artifact-url", "", "URL of the API as devices reach it, for downloads (default: that of --listen, where the API is)")
	flags.DurationVar(&f.Artifacts.TTL, "artifact-ttl", artifact.DefaultTTL, "how long the URL in an install command lets a download begin")
}

func (f *serveFlags) registerSecrets(flags *pflag.FlagSet) {
	flags.StringVar(&f.SecretsFile, "secrets-file", "", "JSON file with secrets, mode 0600; for development")
	flags.StringVar(&f.PayloadKeys, "payload-keys", "", "keys that encrypt what Temporal keeps, such as "+serve.DefaultPayloadKeys)
	flags.StringVar(&f.Vault.Address, "vault-address", "", "HashiCorp Vault, which gives the secrets: https://host:8200")
	flags.StringVar(&f.Vault.CA, "vault-ca", "", "PEM file with the authorities to trust for Vault")
	flags.StringVar(&f.Vault.Namespace, "vault-namespace", "", "namespace (Vault Enterprise)")
	flags.StringVar(&f.Vault.Auth, "vault-auth", vault.AuthToken, "how to log in: token, approle or kubernetes")
	flags.StringVar(&f.Vault.AuthMount, "vault-auth-mount", "", "where that login is mounted (default: its name)")
	flags.StringVar(&f.Vault.TokenFile, "vault-token-file", "", "file with the token, read again when the token ends")
	flags.StringVar(&f.Vault.RoleID, "vault-role-id", "", "role id for AppRole")
	flags.StringVar(&f.Vault.SecretIDFile, "vault-secret-id-file", "", "file with the secret id for AppRole, read at every login")
	flags.StringVar(&f.Vault.KubernetesRole, "vault-kubernetes-role", "", "role for Kubernetes")
	flags.StringVar(&f.Vault.Mount, "vault-mount", "secret", "where KV version 2 is mounted; {account} stands for the account's path")
	flags.StringVar(&f.Vault.Folder, "vault-folder", "", "folder of an account's secrets inside the mount, such as deviceops/{account}")
}

// settingsFile gives the file that the flag, or else the environment, names.
func (f *serveFlags) settingsFile() string {
	if f.file == "" {
		return os.Getenv(environmentName("config"))
	}
	return f.file
}

func (f *serveFlags) run(ctx context.Context, log io.Writer) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return cli.Usage(fmt.Errorf("--log-level %s: use debug, info, warn or error", f.logLevel))
	}
	f.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: level}))
	listener, err := net.Listen("tcp", f.listen)
	if err != nil {
		return deviceops.Errorf(deviceops.ECONFLICT, "listen on %s: %w", f.listen, err)
	}
	f.Listener = listener
	server, err := serve.Start(ctx, f.Config)
	if err != nil {
		return err
	}
	f.Log.Info("serving", "roles", strings.Join(f.Roles, ","), "address", server.Addr())
	select {
	case <-server.Done():
		return server.Err()
	case <-ctx.Done():
		f.Log.Info("stopping")
		return server.Close(context.WithoutCancel(ctx))
	}
}
