package serve

import (
	"cmp"
	"context"
	"net/url"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/artifact"
)

// Artifacts says where the content of releases is kept, and how devices get it.
type Artifacts struct {
	// Store is the URL of a bucket: file:///var/lib/deviceops/artifacts,
	// s3://bucket?region=eu-central-1. Default: nothing can be uploaded, and
	// releases name content that lies elsewhere.
	Store string

	// Keys refers to the keys that encrypt what is stored. Default:
	// DefaultArtifactKeys.
	Keys string

	// URL is that of the API as devices reach it. Default: that of this process,
	// where it is the API.
	URL string

	// TTL is how long the URL in an install command lets a download begin.
	// Default: an hour.
	TTL time.Duration
}

// DefaultArtifactKeys is where the keys that encrypt artifacts usually are.
const DefaultArtifactKeys = "secret:engine/artifact-keys"

func (c Config) checkArtifacts() error {
	if c.Artifacts.URL != "" {
		if u, err := url.Parse(c.Artifacts.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return deviceops.Errorf(deviceops.EINVALID, "--artifact-url %s: write the URL of the API as devices reach it, such as https://devices.example.com", c.Artifacts.URL)
		}
	}
	if c.Artifacts.Store == "" {
		return nil
	}
	return c.checkKeys("artifact-keys", c.artifactKeys(), DefaultArtifactKeys)
}

func (c Config) artifactKeys() string { return cmp.Or(c.Artifacts.Keys, DefaultArtifactKeys) }

// prepareSigner makes what puts URLs into install commands: every process
// publishes them.
func (s *Server) prepareSigner(ctx context.Context) error {
	key, err := s.sharedKey(ctx, "downloads")
	if err != nil {
		return err
	}
	base := s.config.Artifacts.URL
	if base == "" && s.config.holds(RoleAPI) {
		base = "http://" + s.config.Listener.Addr().String()
	}
	s.signer = artifact.NewSigner(artifact.SignerConfig{Records: s.Store, Key: key, BaseURL: base, TTL: s.config.Artifacts.TTL})
	return nil
}

// openArtifacts opens the bucket where the API is held. EUNAVAILABLE while it, or
// the provider of its keys, is away.
func (s *Server) openArtifacts(ctx context.Context) error {
	if s.config.Artifacts.Store == "" || !s.config.holds(RoleAPI) {
		return nil
	}
	keys, err := s.openKeyring(ctx, s.config.artifactKeys())
	if err != nil {
		return err
	}
	store, err := artifact.Open(ctx, artifact.Config{URL: s.config.Artifacts.Store, Keys: keys, Records: s.Store})
	if err != nil {
		return err
	}
	s.artifacts = store
	s.checks["artifacts"] = store.Ready
	return nil
}

func (s *Server) closeArtifacts() {
	if s.artifacts != nil {
		_ = s.artifacts.Close()
	}
}
