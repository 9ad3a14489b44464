package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/deviceops/deviceops"
)

type releaseService struct{ *core }

func (s *server) releaseRoutes(r releaseService) {
	handle(s, route{
		id: "create-release", method: http.MethodPost, path: "/v1/releases", role: deviceops.RoleAuthor,
		summary: "Create a release",
		about: "Its components were uploaded before, or lie elsewhere. The same content again changes nothing; other content under the same version is refused with what differs. " +
			"An account that has release keys, or has them above it, takes releases only that one of these keys signed.",
	}, r.create)
	handle(s, route{
		id: "list-releases", method: http.MethodGet, path: "/v1/releases", role: deviceops.RoleViewer,
		summary: "List the releases that the account sees, newest first",
	}, r.list)
	handle(s, route{
		id: "get-release", method: http.MethodGet, path: "/v1/releases/{project}/{version}", role: deviceops.RoleViewer,
		summary: "Show a release",
	}, r.get)
	s.releaseKeyRoutes(r)
}

type releaseInput struct {
	Reasoned
	Account string `query:"account" doc:"Whose release it is. Default: the caller's account"`
	Body    deviceops.ReleaseRequest
}

func (r releaseService) create(ctx context.Context, p deviceops.Principal, in *releaseInput) (deviceops.ReleaseReport, error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return deviceops.ReleaseReport{}, err
	}
	var report deviceops.ReleaseReport
	err = r.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		var err error
		report, err = r.createIn(ctx, tx, p, account, in.Body, in.because(in.Body.Reason))
		return err
	})
	return report, err
}

// createIn creates a release in a transaction, unless it breaks a rule.
func (c *core) createIn(ctx context.Context, tx deviceops.Tx, p deviceops.Principal, account string, request deviceops.ReleaseRequest, reason string) (deviceops.ReleaseReport, error) {
	release, err := c.release(ctx, tx, account, request)
	if err != nil {
		return deviceops.ReleaseReport{}, err
	}
	release.CreatedBy, release.CreatedAt = p.Name, c.Now()
	report, err := tx.CreateRelease(ctx, release)
	if err != nil || report.Outcome == deviceops.ReleaseUnchanged {
		return report, err
	}
	action := map[string]string{deviceops.ReleaseCreated: "release.create", deviceops.ReleaseSigned: "release.sign"}[report.Outcome]
	return report, tx.AppendAudit(ctx, c.entry(p, change{
		account: account, action: action, target: "release:" + release.Ref().String(), reason: reason,
		evidence: map[string]any{"hash": release.Hash, "signer": release.Signer},
	}))
}

// release gives the release that is asked for, with the sizes of what was
// uploaded. EINVALID, EFORBIDDEN when it is not signed as the account demands.
func (c *core) release(ctx context.Context, tx deviceops.Tx, account string, request deviceops.ReleaseRequest) (deviceops.Release, error) {
	release := request.Release()
	release.Account = account
	if err := release.Check(); err != nil {
		return release, err
	}
	for i := range release.Components {
		if err := uploaded(ctx, tx, account, &release.Components[i]); err != nil {
			return release, err
		}
	}
	release.Normalize()
	keys, err := tx.ListReleaseKeys(ctx, account)
	if err != nil {
		return release, err
	}
	return release, release.CheckSignature(keys)
}

// uploaded holds a component against what is in the artifact store, unless it
// lies elsewhere.
func uploaded(ctx context.Context, tx deviceops.Tx, account string, c *deviceops.Component) error {
	if c.URL != "" {
		return nil
	}
	stored, err := tx.FindArtifact(ctx, account, c.SHA256)
	switch {
	case deviceops.ErrorCode(err) == deviceops.ENOTFOUND:
		return deviceops.Errorf(deviceops.EINVALID, "component %s: %s, or give its url", c.Name, deviceops.ErrorMessage(err))
	case err != nil:
		return err
	case c.Size != 0 && c.Size != stored.Size:
		return deviceops.Errorf(deviceops.EINVALID, "component %s: its size is %d, and what was uploaded has %d bytes", c.Name, c.Size, stored.Size)
	}
	c.Size = stored.Size
	return nil
}

type releaseList struct {
	Paged
	Account string `query:"account" doc:"Whose view. Default: the caller's account"`
	Project string `query:"project"`
}

func (r releaseService) list(ctx context.Context, p deviceops.Principal, in *releaseList) (page[deviceops.Release], error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return page[deviceops.Release]{}, err
	}
	after, err := in.after()
	if err != nil {
		return page[deviceops.Release]{}, err
	}
	f := deviceops.ReleaseFilter{Account: account, Project: in.Project, Limit: in.Limit + 1}
	if owner, ref, ok := strings.Cut(after, " "); ok {
		f.After.Account = owner
		if f.After.ReleaseRef, err = deviceops.ParseReleaseRef(ref); err != nil {
			return page[deviceops.Release]{}, err
		}
	}
	rows, err := r.Store.ListReleases(ctx, f)
	return pageOf(rows, in.Limit, func(r deviceops.Release) string { return r.Account + " " + r.Ref().String() }), err
}

type releasePath struct {
	Account string `query:"account" doc:"Whose view. Default: the caller's account"`
	Project string `path:"project" maxLength:"128"`
	Version string `path:"version" maxLength:"128"`
}

func (r releaseService) get(ctx context.Context, p deviceops.Principal, in *releasePath) (deviceops.Release, error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return deviceops.Release{}, err
	}
	return r.Store.FindRelease(ctx, account, deviceops.ReleaseRef{Project: in.Project, Version: in.Version})
}
