package client

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/deviceops/deviceops"
)

// Artifact tells of content that account sees; account "" is the caller's.
// ENOTFOUND.
func (c *Client) Artifact(ctx context.Context, account, sha256 string) (deviceops.Artifact, error) {
	return get[deviceops.Artifact](ctx, c, "/v1/artifacts/"+url.PathEscape(sha256), query("account", account))
}

// PutArtifact uploads content of a hash and size, streaming. EINVALID when the
// server finds another hash.
func (c *Client) PutArtifact(ctx context.Context, account, sha256 string, content io.Reader, size int64, reason string) (deviceops.ArtifactReport, error) {
	return do[deviceops.ArtifactReport](ctx, c, call{
		method: http.MethodPut, path: "/v1/artifacts/" + url.PathEscape(sha256), query: query("account", account),
		raw: content, size: size, contentType: "application/octet-stream", reason: reason,
	})
}

// CreateRelease creates a release of account. EINVALID, ECONFLICT when its
// version exists with other content, EFORBIDDEN when it is not signed as the
// account demands.
func (c *Client) CreateRelease(ctx context.Context, account string, r deviceops.ReleaseRequest) (deviceops.ReleaseReport, error) {
	return do[deviceops.ReleaseReport](ctx, c, call{method: http.MethodPost, path: "/v1/releases", query: query("account", account), body: r})
}

// ListReleases gives releases, newest first. f.After is not used; cursor is.
func (c *Client) ListReleases(ctx context.Context, f deviceops.ReleaseFilter, cursor string) (Page[deviceops.Release], error) {
	return get[Page[deviceops.Release]](ctx, c, "/v1/releases", query("account", f.Account, "project", f.Project, "limit", f.Limit, "cursor", cursor))
}

// Release gives a release that account sees. ENOTFOUND.
func (c *Client) Release(ctx context.Context, account string, ref deviceops.ReleaseRef) (deviceops.Release, error) {
	return get[deviceops.Release](ctx, c, "/v1/releases/"+url.PathEscape(ref.Project)+"/"+url.PathEscape(ref.Version), query("account", account))
}

// AddReleaseKey registers a public key that signs releases of account. EINVALID.
func (c *Client) AddReleaseKey(ctx context.Context, account string, r deviceops.ReleaseKeyRequest) (deviceops.ReleaseKeyReport, error) {
	return do[deviceops.ReleaseKeyReport](ctx, c, call{method: http.MethodPost, path: "/v1/release-keys", query: query("account", account), body: r})
}

// ListReleaseKeys gives the keys of account and of those above it.
func (c *Client) ListReleaseKeys(ctx context.Context, account string) (Page[deviceops.ReleaseKey], error) {
	return get[Page[deviceops.ReleaseKey]](ctx, c, "/v1/release-keys", query("account", account))
}

// RemoveReleaseKey removes a key and gives those that are left. ENOTFOUND.
func (c *Client) RemoveReleaseKey(ctx context.Context, account, id, reason string) (Page[deviceops.ReleaseKey], error) {
	return do[Page[deviceops.ReleaseKey]](ctx, c, call{
		method: http.MethodDelete, path: "/v1/release-keys/" + url.PathEscape(id), query: query("account", account), reason: reason,
	})
}
