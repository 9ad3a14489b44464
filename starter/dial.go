package starter

import (
	"context"
	"crypto/tls"
	"log/slog"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"

	"github.com/deviceops/deviceops"
)

// Config says how to reach Temporal.
type Config struct {
	Address   string      // host:port; default: localhost:7233
	Namespace string      // default: default
	Identity  string      // as which this process shows in histories; default: pid@host
	TLS       *tls.Config // nil: none
	APIKey    string      // for Temporal Cloud; "": none

	// Codec encrypts what Temporal keeps; nil: nothing is encrypted.
	Codec converter.PayloadCodec

	Log *slog.Logger // nil: the default logger
}

// Dial connects to Temporal with the data converter that workflows need. Close
// the client when done. EUNAVAILABLE when Temporal does not answer.
func Dial(ctx context.Context, cfg Config) (client.Client, error) {
	c, err := client.DialContext(ctx, cfg.options())
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EUNAVAILABLE, "Temporal at %s does not answer: %w", cfg.options().HostPort, err)
	}
	return c, nil
}

func (cfg Config) options() client.Options {
	logger := cfg.Log
	if logger == nil {
		logger = slog.Default()
	}
	o := client.Options{
		HostPort: cfg.Address, Namespace: cfg.Namespace, Identity: cfg.Identity,
		DataConverter: DataConverter(),
		Logger:        log.NewStructuredLogger(logger),
		// What is large is compressed before it is encrypted; what is encrypted
		// cannot be, and the rest is small.
		ConnectionOptions: client.ConnectionOptions{TLS: cfg.TLS, GrpcCompression: &client.GrpcCompressionNone{}},
	}
	if cfg.Codec != nil {
		o.DataConverter, o.FailureConverter = Encrypted(cfg.Codec)
	}
	if o.HostPort == "" {
		o.HostPort = client.DefaultHostPort
	}
	if o.Namespace == "" {
		o.Namespace = client.DefaultNamespace
	}
	if cfg.APIKey != "" {
		o.Credentials = client.NewAPIKeyStaticCredentials(cfg.APIKey)
	}
	return o
}
