package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/deviceops/deviceops"
)

// ApplyOptions say how to publish.
type ApplyOptions struct {
	Account string // default: the caller's own
	DryRun  bool
	Reason  string
}

// Apply publishes the documents of one YAML source, all together or none. A
// refusal is no error: the report tells of it.
func (c *Client) Apply(ctx context.Context, source string, o ApplyOptions) (deviceops.ApplyReport, error) {
	return c.ApplyFiles(ctx, []deviceops.ApplyFile{{Name: "documents.yaml", Source: source}}, o)
}

// ApplyFiles is Apply for several files, which may use each other's profiles.
func (c *Client) ApplyFiles(ctx context.Context, files []deviceops.ApplyFile, o ApplyOptions) (deviceops.ApplyReport, error) {
	return do[deviceops.ApplyReport](ctx, c, call{
		method: http.MethodPost, path: "/v1/documents:apply", query: query("account", o.Account, "dry_run", o.DryRun),
		body: deviceops.ApplyRequest{Files: files}, reason: o.Reason,
	})
}

// ListDocuments gives the newest version of each document, without sources.
func (c *Client) ListDocuments(ctx context.Context, account, kind string) (Page[deviceops.Document], error) {
	return get[Page[deviceops.Document]](ctx, c, "/v1/documents", query("account", account, "kind", kind))
}

func documentPath(kind, name string) string {
	return "/v1/documents/" + url.PathEscape(kind) + "/" + url.PathEscape(name)
}

// Document gives a document with its source; version 0 means the newest.
// ENOTFOUND.
func (c *Client) Document(ctx context.Context, account, kind, name string, version int) (deviceops.Document, error) {
	return get[deviceops.Document](ctx, c, documentPath(kind, name), query("account", account, "version", version))
}

// DocumentVersions gives the versions of a document, newest first. ENOTFOUND.
func (c *Client) DocumentVersions(ctx context.Context, account, kind, name string) (Page[deviceops.Document], error) {
	return get[Page[deviceops.Document]](ctx, c, documentPath(kind, name)+"/versions", query("account", account))
}

// WorkflowGraph draws a workflow as "svg" or "text"; version 0 means the newest.
// ENOTFOUND.
func (c *Client) WorkflowGraph(ctx context.Context, account, name string, version int, format string) (string, error) {
	return c.text(ctx, documentPath(deviceops.KindWorkflow, name)+"/graph", query("account", account, "version", version, "format", format))
}

// RetireDocument hides a document from lookups. ENOTFOUND.
func (c *Client) RetireDocument(ctx context.Context, account, kind, name, reason string) (deviceops.Document, error) {
	return do[deviceops.Document](ctx, c, call{
		method: http.MethodDelete, path: documentPath(kind, name), query: query("account", account), reason: reason,
	})
}
