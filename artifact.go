package deviceops

import (
	"context"
	"maps"
	"time"
)

// Artifact is the content of a component in the artifact store, by its hash.
type Artifact struct {
	Account   string    `json:"account"` // whose it is; accounts below may use it
	SHA256    string    `json:"sha256"`  // lower-case hex
	Size      int64     `json:"size"`    // bytes
	CreatedBy string    `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`
}

// ArtifactRecords keeps what is in the artifact store.
type ArtifactRecords interface {
	// SaveArtifact records content that is stored; one that is known stays as
	// it is.
	SaveArtifact(ctx context.Context, a Artifact) error

	// FindArtifact looks content up in account, then in the accounts above it.
	// ENOTFOUND.
	FindArtifact(ctx context.Context, account, sha256 string) (Artifact, error)
}

// Artifacts makes what is stored reachable for devices.
type Artifacts interface {
	// SignedURL gives a URL by which the content that account sees under a
	// SHA-256 can be downloaded, in ranges too, for ttl from now on; 0 is the
	// installation's usual time. ENOTFOUND.
	SignedURL(ctx context.Context, account, sha256 string, ttl time.Duration) (string, error)
}

// ArtifactGateway is a Gateway that puts signed URLs into install commands at
// the moment at which they are published: every delivery has a fresh one, and
// none is ever stored. All who publish commands do it through this.
type ArtifactGateway struct {
	Gateway
	Artifacts Artifacts
}

// PublishCommands implements Gateway. A command whose content is not there is
// left out and told as an error; the others are published.
func (g ArtifactGateway) PublishCommands(ctx context.Context, commands []Command, now time.Time) ([]Sent, error) {
	ready := make([]Command, 0, len(commands))
	var failed error
	for _, c := range commands {
		if c.Name == CommandInstall {
			args, err := g.withURLs(ctx, c.Account, c.Args)
			if err != nil {
				failed = Errorf(ErrorCode(err), "command %s: %w", c.ID, err)
				continue
			}
			c.Args = args
		}
		ready = append(ready, c)
	}
	if len(ready) == 0 {
		return nil, failed
	}
	sent, err := g.Gateway.PublishCommands(ctx, ready, now)
	if err == nil {
		err = failed
	}
	return sent, err
}

// withURLs gives a copy of the arguments of an install in which every component
// has a URL.
func (g ArtifactGateway) withURLs(ctx context.Context, account string, args map[string]any) (map[string]any, error) {
	components, ok := args["components"].([]any)
	if !ok {
		return args, nil
	}
	renewed := make([]any, len(components))
	for i, item := range components {
		component, ok := item.(map[string]any)
		sum, _ := component["sha256"].(string)
		if url, _ := component["url"].(string); !ok || url != "" || sum == "" {
			renewed[i] = item
			continue
		}
		url, err := g.Artifacts.SignedURL(ctx, account, sum, 0)
		if err != nil {
			return nil, err
		}
		component = maps.Clone(component)
		component["url"] = url
		renewed[i] = component
	}
	args = maps.Clone(args)
	args["components"] = renewed
	return args, nil
}
