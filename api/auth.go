package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/deviceops/deviceops"
)

type principalKey struct{}

func principalOf(ctx context.Context) deviceops.Principal {
	p, _ := ctx.Value(principalKey{}).(deviceops.Principal)
	return p
}

// guard lets a request pass whose token names a principal with the role of the
// route.
func (s *server) guard(ctx huma.Context, next func(huma.Context)) {
	role, _ := ctx.Operation().Metadata[roleKey].(string)
	p, err := s.authenticate(ctx.Context(), ctx.Header("Authorization"))
	if err == nil && !p.Has(role) {
		err = deviceops.Errorf(deviceops.EFORBIDDEN, "%s has the roles %v; this needs %s", p.Name, p.Roles, role)
	}
	if err != nil {
		s.refuse(ctx, err)
		return
	}
	next(huma.WithValue(ctx, principalKey{}, p))
}

func (s *server) refuse(ctx huma.Context, err error) {
	p := s.problem(ctx.Context(), err)
	if p.Status == http.StatusUnauthorized {
		ctx.SetHeader("WWW-Authenticate", `Bearer realm="deviceops"`)
	}
	ctx.SetHeader("Content-Type", p.ContentType(""))
	ctx.SetStatus(p.Status)
	_ = json.NewEncoder(ctx.BodyWriter()).Encode(p) // the caller may be gone
}

// authenticate gives the principal of an Authorization header. The token is
// looked up by its hash, so that no comparison depends on its secret bytes; the
// hash found is compared once more in constant time.
func (c *core) authenticate(ctx context.Context, header string) (deviceops.Principal, error) {
	scheme, token, _ := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "bearer") || token == "" {
		return deviceops.Principal{}, deviceops.Errorf(deviceops.EUNAUTHENTICATED, "send a token: Authorization: Bearer TOKEN")
	}
	hash := deviceops.HashToken(token)
	found, err := c.Store.FindToken(ctx, hash)
	switch {
	case deviceops.ErrorCode(err) == deviceops.ENOTFOUND, err == nil && !deviceops.SameHash(found.Hash, hash):
		return deviceops.Principal{}, deviceops.Errorf(deviceops.EUNAUTHENTICATED, "this token is not known here")
	case err != nil:
		return deviceops.Principal{}, err
	case !found.ExpiresAt.IsZero() && !found.ExpiresAt.After(c.Now()):
		return deviceops.Principal{}, deviceops.Errorf(deviceops.EUNAUTHENTICATED, "this token has expired")
	}
	return found.Principal, nil
}
