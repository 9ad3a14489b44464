package api

import (
	"context"
	"net/http"

	"github.com/deviceops/deviceops"
)

func (s *server) releaseKeyRoutes(r releaseService) {
	handle(s, route{
		id: "add-release-key", method: http.MethodPost, path: "/v1/release-keys", role: deviceops.RoleAdmin,
		summary: "Register a public key that signs releases",
		about:   "From then on the account, and those below it, take signed releases only. Registering a key again changes nothing.",
	}, r.addKey)
	handle(s, route{
		id: "list-release-keys", method: http.MethodGet, path: "/v1/release-keys", role: deviceops.RoleViewer,
		summary: "List the keys of an account and of those above it",
	}, r.keys)
	handle(s, route{
		id: "remove-release-key", method: http.MethodDelete, path: "/v1/release-keys/{id}", role: deviceops.RoleAdmin,
		summary: "Remove a key", about: "Releases that it signed stay and are installed no more; no new one that it signs is taken.",
	}, r.removeKey)
}

type releaseKeyInput struct {
	Reasoned
	Account string `query:"account" doc:"Whose key it is. Default: the caller's account"`
	Body    deviceops.ReleaseKeyRequest
}

func (r releaseService) addKey(ctx context.Context, p deviceops.Principal, in *releaseKeyInput) (report deviceops.ReleaseKeyReport, err error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return report, err
	}
	if !deviceops.ValidID(in.Body.Name) {
		return report, deviceops.Errorf(deviceops.EINVALID, "name %q: say in letters, digits and ._:- whose key it is", in.Body.Name)
	}
	key, err := deviceops.ParseReleaseKey(in.Body.PEM)
	if err != nil {
		return report, err
	}
	key.Account, key.Name, key.AddedBy, key.AddedAt = account, in.Body.Name, p.Name, r.Now()
	err = r.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) (err error) {
		if report.ReleaseKey, report.Created, err = tx.AddReleaseKey(ctx, key); err != nil || !report.Created {
			return err
		}
		return tx.AppendAudit(ctx, r.entry(p, change{
			account: account, action: "release_key.add", target: "release_key:" + key.ID, reason: in.because(in.Body.Reason),
			evidence: map[string]any{"name": key.Name, "pem": key.PEM},
		}))
	})
	return report, err
}

type releaseKeyList struct {
	Account string `query:"account" doc:"Whose view. Default: the caller's account"`
}

func (r releaseService) keys(ctx context.Context, p deviceops.Principal, in *releaseKeyList) (page[deviceops.ReleaseKey], error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return page[deviceops.ReleaseKey]{}, err
	}
	rows, err := r.Store.ListReleaseKeys(ctx, account)
	return page[deviceops.ReleaseKey]{Items: orEmpty(rows)}, err
}

type releaseKeyPath struct {
	Reasoned
	Account string `query:"account" doc:"Whose key it is. Default: the caller's account"`
	ID      string `path:"id" maxLength:"128"`
}

// removeKey answers with the keys that are left.
func (r releaseService) removeKey(ctx context.Context, p deviceops.Principal, in *releaseKeyPath) (page[deviceops.ReleaseKey], error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return page[deviceops.ReleaseKey]{}, err
	}
	err = r.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		if err := tx.RemoveReleaseKey(ctx, account, in.ID); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, r.entry(p, change{account: account, action: "release_key.remove", target: "release_key:" + in.ID, reason: in.Reason}))
	})
	if err != nil {
		return page[deviceops.ReleaseKey]{}, err
	}
	return r.keys(ctx, p, &releaseKeyList{Account: account})
}
