package api

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/deviceops/deviceops"
)

// ArtifactStore keeps what is uploaded.
type ArtifactStore interface {
	// Put stores content that must have the hash a.SHA256; created is false
	// when it was there. EINVALID when it has another hash.
	Put(ctx context.Context, a deviceops.Artifact, from io.Reader) (stored deviceops.Artifact, created bool, err error)

	// Content gives what account sees under a hash; the caller closes it.
	// ENOTFOUND.
	Content(ctx context.Context, account, sha256 string) (io.ReadSeekCloser, deviceops.Artifact, error)
}

// Downloads checks the URLs by which devices download.
type Downloads interface {
	// CheckURL gives EFORBIDDEN unless the values of a URL were signed for this
	// content, and their time is not over.
	CheckURL(account, sha256, expires, signature string) error
}

type artifactService struct{ *core }

func (s *server) artifactRoutes(mux *http.ServeMux, a artifactService) {
	r := route{
		id: "put-artifact", method: http.MethodPut, path: "/v1/artifacts/{sha256}", role: deviceops.RoleAuthor,
		summary: "Upload the content of a component",
		about: "The body is the content, whose SHA-256 is named by the path. It is stored only when the hash is right; content that is there already is not stored again. " +
			"Devices download it, in ranges too, by URLs that are signed at the delivery of each command: GET /v1/artifacts/{sha256}/content.",
	}
	op := r.operation()
	binary := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/octet-stream": binary}}
	register(s, op, a.put)
	handle(s, route{
		id: "get-artifact", method: http.MethodGet, path: "/v1/artifacts/{sha256}", role: deviceops.RoleViewer,
		summary: "Tell whether the account sees content of a hash",
	}, a.get)
	mux.HandleFunc("GET /v1/artifacts/{sha256}/content", a.content)
}

// ArtifactPath is the part of an input that names content.
type ArtifactPath struct {
	Account string `query:"account" doc:"Whose content it is. Default: the caller's account"`
	SHA256  string `path:"sha256" pattern:"^[0-9a-f]{64}$"`
}

// artifactInput keeps the body a stream.
type artifactInput struct {
	Reasoned
	ArtifactPath
	body io.Reader
}

// Resolve implements huma.Resolver.
func (in *artifactInput) Resolve(ctx huma.Context) []error {
	_ = ctx.SetReadDeadline(time.Time{}) // a large file over a thin line takes its time
	in.body = ctx.BodyReader()
	return nil
}

func (a artifactService) put(ctx context.Context, p deviceops.Principal, in *artifactInput) (report deviceops.ArtifactReport, err error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return report, err
	}
	if a.Artifacts == nil {
		return report, errNoArtifacts()
	}
	if !deviceops.ValidAccount(account) {
		return report, outside("account", account)
	}
	wanted := deviceops.Artifact{Account: account, SHA256: in.SHA256, CreatedBy: p.Name, CreatedAt: a.Now()}
	if report.Artifact, report.Created, err = a.Artifacts.Put(ctx, wanted, in.body); err != nil || !report.Created {
		return report, err
	}
	return report, a.Store.AppendAudit(ctx, a.entry(p, change{
		account: account, action: "artifact.upload", target: "artifact:" + in.SHA256, reason: in.Reason, evidence: map[string]any{"size": report.Size},
	}))
}

func errNoArtifacts() error {
	return deviceops.Errorf(deviceops.EUNAVAILABLE, "this installation stores no artifacts: set --artifact-store, or let components lie elsewhere, by their url")
}

func (a artifactService) get(ctx context.Context, p deviceops.Principal, in *ArtifactPath) (deviceops.Artifact, error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return deviceops.Artifact{}, err
	}
	return a.Store.FindArtifact(ctx, account, in.SHA256)
}

// content answers a signed URL. Whoever has one needs no token.
func (a artifactService) content(w http.ResponseWriter, r *http.Request) {
	if err := a.serve(w, r); err != nil {
		w.Header().Set("Cache-Control", "no-store")
		writeProblem(w, a.problem(r.Context(), err))
	}
}

// serve gives an error as long as nothing was answered.
func (a artifactService) serve(w http.ResponseWriter, r *http.Request) error {
	if a.Artifacts == nil || a.Downloads == nil {
		return errNoArtifacts()
	}
	sha256, q := r.PathValue("sha256"), r.URL.Query()
	if err := a.Downloads.CheckURL(q.Get("account"), sha256, q.Get("expires"), q.Get("signature")); err != nil {
		return err
	}
	content, artifact, err := a.Artifacts.Content(r.Context(), q.Get("account"), sha256)
	if err != nil {
		return err
	}
	defer content.Close()
	watched := &watchedContent{ReadSeeker: content}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("ETag", `"`+sha256+`"`) // so that a download goes on with If-Range
	http.ServeContent(w, r, "", artifact.CreatedAt, watched)
	if watched.failed != nil && r.Context().Err() == nil {
		a.Log.ErrorContext(r.Context(), "a download broke off", "sha256", sha256, "error", watched.failed)
	}
	return nil
}

// watchedContent notes why reading failed, which http.ServeContent does not tell.
type watchedContent struct {
	io.ReadSeeker
	failed error
}

func (c *watchedContent) Read(p []byte) (int, error) {
	n, err := c.ReadSeeker.Read(p)
	if err != nil && err != io.EOF {
		c.failed = err
	}
	return n, err
}
