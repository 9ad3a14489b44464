package api

import (
	"context"
	"net/http"

	"github.com/deviceops/deviceops"
)

type documentService struct{ *core }

func (s *server) documentRoutes(d documentService) {
	s.applyRoute(d)
	handle(s, route{
		id: "list-documents", method: http.MethodGet, path: "/v1/documents", role: deviceops.RoleViewer,
		summary: "List the newest version of each document that the account sees, without sources",
	}, d.list)
	handle(s, route{
		id: "get-document", method: http.MethodGet, path: "/v1/documents/{kind}/{name}", role: deviceops.RoleViewer,
		summary: "Show a document with its source",
	}, d.get)
	handle(s, route{
		id: "list-document-versions", method: http.MethodGet, path: "/v1/documents/{kind}/{name}/versions", role: deviceops.RoleViewer,
		summary: "List the versions of a document, newest first, without sources",
	}, d.versions)
	handle(s, route{
		id: "retire-document", method: http.MethodDelete, path: "/v1/documents/{kind}/{name}", role: deviceops.RoleAuthor,
		summary: "Retire a document", about: "It is no longer found; runs that use it go on.",
	}, d.retire)
}

type documentList struct {
	Account string `query:"account" doc:"Whose view. Default: the caller's account"`
	Kind    string `query:"kind" enum:"profile,workflow,automation,test,calendar,channel,route"`
}

func (d documentService) list(ctx context.Context, p deviceops.Principal, in *documentList) (page[deviceops.Document], error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return page[deviceops.Document]{}, err
	}
	rows, err := d.Store.ListDocuments(ctx, account, in.Kind)
	return page[deviceops.Document]{Items: orEmpty(rows)}, err
}

// DocumentPath is the part of an input that names a document.
type DocumentPath struct {
	Account string `query:"account" doc:"Whose view. Default: the caller's account"`
	Kind    string `path:"kind" enum:"profile,workflow,automation,test,calendar,channel,route"`
	Name    string `path:"name" maxLength:"128"`
}

type documentInput struct {
	DocumentPath
	Version int `query:"version" minimum:"0" doc:"0: the newest"`
}

func (d documentService) get(ctx context.Context, p deviceops.Principal, in *documentInput) (deviceops.Document, error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return deviceops.Document{}, err
	}
	return d.Store.FindDocument(ctx, account, in.Kind, in.Name, in.Version)
}

func (d documentService) versions(ctx context.Context, p deviceops.Principal, in *DocumentPath) (page[deviceops.Document], error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return page[deviceops.Document]{}, err
	}
	rows, err := d.Store.DocumentVersions(ctx, account, in.Kind, in.Name)
	return page[deviceops.Document]{Items: orEmpty(rows)}, err
}

type retireInput struct {
	Reasoned
	DocumentPath
}

func (d documentService) retire(ctx context.Context, p deviceops.Principal, in *retireInput) (deviceops.Document, error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return deviceops.Document{}, err
	}
	var found deviceops.Document
	err = d.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		var err error
		if found, err = tx.FindDocument(ctx, account, in.Kind, in.Name, 0); err != nil {
			return err
		}
		if !deviceops.AccountWithin(found.Account, p.Account) {
			return deviceops.Errorf(deviceops.EFORBIDDEN, "%s %s belongs to an account above yours", in.Kind, in.Name)
		}
		if err := tx.RetireDocument(ctx, found.Account, in.Kind, in.Name); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, d.entry(p, change{account: found.Account, action: "document.retire", target: in.Kind + ":" + in.Name, reason: in.Reason}))
	})
	return found, err
}
