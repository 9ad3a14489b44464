package serve

import (
	"context"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/codec"
	"github.com/deviceops/deviceops/vault"
)

// checkSecrets gives EINVALID for settings of secrets that contradict each other.
func (c Config) checkSecrets() error {
	if c.Vault.Address != "" && c.SecretsFile != "" {
		return deviceops.Errorf(deviceops.EINVALID, "--vault-address and --secrets-file are both set; secrets come from one of them")
	}
	if c.Vault.Address != "" {
		if err := c.Vault.Check(); err != nil {
			return err
		}
	}
	if c.PayloadKeys == "" {
		return nil
	}
	if c.Vault.Address == "" && c.SecretsFile == "" {
		return deviceops.Errorf(deviceops.EINVALID, "--payload-keys needs a provider of secrets: set --vault-address, or --secrets-file for development")
	}
	ref, err := deviceops.ParseSecretRef(c.PayloadKeys)
	if err == nil && !ref.OfEngine() {
		err = deviceops.Errorf(deviceops.EINVALID, "--payload-keys %s: documents could refer to it; keep the keys below temporal/, as in %s", c.PayloadKeys, DefaultPayloadKeys)
	}
	return err
}

// openSecrets opens the provider of secrets, if there is one. EUNAVAILABLE while
// Vault is sealed or away.
func (s *Server) openSecrets(ctx context.Context) error {
	switch {
	case s.config.Vault.Address != "":
		client, err := vault.Dial(ctx, s.config.Vault)
		if err != nil {
			return err
		}
		s.secrets = client
		if s.config.holds(RoleWorker) { // the other roles go on without
			s.checks["vault"] = client.Ready
		}
	case s.config.SecretsFile != "":
		file, err := vault.OpenFile(s.config.SecretsFile)
		if err != nil {
			return err
		}
		s.secrets = file
	}
	return nil
}

// openCodec reads the keys that encrypt payloads, if they are to be encrypted. In
// a file for development the first start makes them.
func (s *Server) openCodec(ctx context.Context) error {
	if s.config.PayloadKeys == "" {
		return nil
	}
	if file, ok := s.secrets.(*vault.File); ok {
		if err := file.Ensure(s.config.PayloadKeys, codec.GenerateKeys); err != nil {
			return err
		}
	}
	keys, err := codec.OpenKeyring(ctx, codec.Config{Secrets: s.secrets, Reference: s.config.PayloadKeys, Log: s.config.Log})
	if err != nil {
		return err
	}
	s.keys, s.codec = keys, codec.New(keys)
	return nil
}

// closeSecrets ends the login at Vault.
func (s *Server) closeSecrets() {
	if client, ok := s.secrets.(*vault.Client); ok {
		client.Close()
	}
}
