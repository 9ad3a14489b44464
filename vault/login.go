package vault

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/auth/approle"
	"github.com/hashicorp/vault/api/auth/kubernetes"
)

// serviceAccountFile is where Kubernetes puts the token of a pod.
const serviceAccountFile = "/var/run/secrets/kubernetes.io/serviceaccount/token"

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
	token, err := readToken(cmp.Or(c.KubernetesTokenFile, serviceAccountFile))
	if err != nil {
		return nil, err
	}
	return kubernetes.NewKubernetesAuth(c.KubernetesRole, kubernetes.WithMountPath(c.AuthMount), kubernetes.WithServiceAccountToken(token))
}

// adopt takes the token in the file as if a login had given it.
func (c Config) adopt(ctx context.Context, client *api.Client) (*api.Secret, error) {
	token, err := readToken(c.TokenFile)
	if err != nil {
		return nil, err
	}
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

// readToken reads a file that may end with a line break, which is not part of
// the token.
func readToken(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
