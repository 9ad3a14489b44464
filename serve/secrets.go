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
	return c.checkKeys("payload-keys", c.PayloadKeys, DefaultPayloadKeys)
}

// checkKeys gives EINVALID for a reference to keys that is none, or that
// documents could use too.
func (c Config) checkKeys(flag, reference, example string) error {
	if c.Vault.Address == "" && c.SecretsFile == "" {
		return deviceops.Errorf(deviceops.EINVALID, "--%s needs a provider of secrets: set --vault-address, or --secrets-file for development", flag)
	}
	ref, err := deviceops.ParseSecretRef(reference)
	if err == nil && !ref.OfEngine() {
		err = deviceops.Errorf(deviceops.EINVALID, "--%s %s: documents could refer to it; keep the keys where only the engine reads, as in %s", flag, reference, example)
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

// openCodec reads the keys that encrypt payloads, if they are to be encrypted.
func (s *Server) openCodec(ctx context.Context) error {
	if s.config.PayloadKeys == "" {
		return nil
	}
	keys, err := s.openKeyring(ctx, s.config.PayloadKeys)
	if err != nil {
		return err
	}
	s.codec = codec.New(keys)
	return nil
}

// openKeyring reads keys and goes on doing so while the server runs. In a file
// for development the first start makes them.
func (s *Server) openKeyring(ctx context.Context, reference string) (*codec.Keyring, error) {
	if file, ok := s.secrets.(*vault.File); ok {
		if err := file.Ensure(reference, codec.GenerateKeys); err != nil {
			return nil, err
		}
	}
	keys, err := codec.OpenKeyring(ctx, codec.Config{Secrets: s.secrets, Reference: reference, Log: s.config.Log})
	if err != nil {
		return nil, err
	}
	s.keyrings = append(s.keyrings, keys)
	return keys, nil
}

// closeSecrets ends the login at Vault.
func (s *Server) closeSecrets() {
	if client, ok := s.secrets.(*vault.Client); ok {
		client.Close()
	}
}
