package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/auth/approle"
	"github.com/hashicorp/vault/api/auth/kubernetes"
)

// login asks Vault for a token. The credentials are read anew each time, since
// whoever provides them replaces them.
func (c Config) login(ctx context.Context) (*api.Secret, error) {
	client, err := c.connect()
	if err != nil {
		return nil, err
	}
	switch c.Auth {
	case AuthAppRole:
		method, err := approle.NewAppRoleAuth(c.RoleID, &approle.SecretID{FromFile: c.SecretIDFile}, approle.WithMountPath(c.AuthMount))
		if err != nil {
			return nil, err
		}
		return method.Login(ctx, client)
	case AuthKubernetes:
		method, err := c.kubernetes()
		if err != nil {
			return nil, err
		}
		return method.Login(ctx, client)
	default:
		return c.adopt(ctx, client)
	}
}

func (c Config) kubernetes() (*kubernetes.KubernetesAuth, error) {
	options := []kubernetes.LoginOption{kubernetes.WithMountPath(c.AuthMount)}
	if c.KubernetesTokenFile != "" {
		options = append(options, kubernetes.WithServiceAccountTokenPath(c.KubernetesTokenFile))
	}
	return kubernetes.NewKubernetesAuth(c.KubernetesRole, options...)
}

// adopt takes the token in the file as if a login had given it.
func (c Config) adopt(ctx context.Context, client *api.Client) (*api.Secret, error) {
	text, err := os.ReadFile(c.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("token file: %w", err)
	}
	token := strings.TrimSpace(string(text))
	client.SetToken(token)
	self, err := client.Auth().Token().LookupSelfWithContext(ctx)
	if err != nil {
		return nil, err
	}
	ttl, _ := self.Data["ttl"].(json.Number)
	seconds, _ := ttl.Int64()
	renewable, _ := self.Data["renewable"].(bool)
	return &api.Secret{Auth: &api.SecretAuth{ClientToken: token, LeaseDuration: int(seconds), Renewable: renewable}}, nil
}
