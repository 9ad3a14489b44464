package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/deviceops/deviceops"
)

type accountService struct{ *core }

func (s *server) accountRoutes(a accountService) {
	handle(s, route{
		id: "whoami", method: http.MethodGet, path: "/v1/whoami", role: deviceops.RoleViewer,
		summary: "Tell who the token names",
	}, a.whoami)
	handle(s, route{
		id: "list-accounts", method: http.MethodGet, path: "/v1/accounts", role: deviceops.RoleViewer,
		summary: "List the caller's account and those below it",
	}, a.list)
	handle(s, route{
		id: "create-account", method: http.MethodPost, path: "/v1/accounts", role: deviceops.RoleAdmin,
		summary: "Create an account", about: "Creating it again changes nothing.",
	}, a.create)
	handle(s, route{
		id: "list-audit", method: http.MethodGet, path: "/v1/audit", role: deviceops.RoleViewer,
		summary: "List who changed what and why, newest first",
	}, a.audit)
}

func (a accountService) whoami(_ context.Context, p deviceops.Principal, _ *struct{}) (deviceops.Principal, error) {
	return p, nil
}

func (a accountService) list(ctx context.Context, p deviceops.Principal, _ *struct{}) (page[deviceops.Account], error) {
	rows, err := a.Store.ListAccounts(ctx, p.Account)
	return page[deviceops.Account]{Items: orEmpty(rows)}, err
}

type accountInput struct {
	Reasoned
	Body deviceops.AccountRequest
}

func (a accountService) create(ctx context.Context, p deviceops.Principal, in *accountInput) (deviceops.Account, error) {
	path := in.Body.Path
	if !deviceops.ValidAccount(path) || path == deviceops.RootAccount || strings.HasPrefix(path, deviceops.RootAccount+"/") {
		return deviceops.Account{}, deviceops.Errorf(deviceops.EINVALID, "path %q: write ids joined by /, such as acme/emea, without %s before them", path, deviceops.RootAccount)
	}
	line := deviceops.AccountLine(path)
	parent := line[1]
	if err := visible(p, path, "account", parent); err != nil {
		return deviceops.Account{}, err
	}
	account := deviceops.Account{Path: path, Name: cmp.Or(in.Body.Name, path[strings.LastIndexByte(path, '/')+1:]), CreatedAt: a.Now()}
	err := a.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		stored, known, err := a.known(ctx, tx, parent, path)
		if err != nil || known {
			account = stored
			return err
		}
		if err := tx.EnsureAccount(ctx, account); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, a.entry(p, change{account: path, action: "account.create", target: "account:" + path, reason: in.because(in.Body.Reason)}))
	})
	return account, err
}

// known looks for path below its parent. ENOTFOUND if there is no parent.
func (a accountService) known(ctx context.Context, tx deviceops.Tx, parent, path string) (deviceops.Account, bool, error) {
	accounts, err := tx.ListAccounts(ctx, parent)
	if err != nil {
		return deviceops.Account{}, false, err
	}
	has := func(path string) int {
		return slices.IndexFunc(accounts, func(a deviceops.Account) bool { return a.Path == path })
	}
	if i := has(path); i >= 0 {
		return accounts[i], true, nil
	}
	if has(parent) < 0 {
		return deviceops.Account{}, false, deviceops.Errorf(deviceops.ENOTFOUND, "there is no account %s; create it first", parent)
	}
	return deviceops.Account{}, false, nil
}

type auditFilter struct {
	Paged
	Account string `query:"account" doc:"This account and all below it"`
	Target  string `query:"target" example:"device:kiosk-0001"`
	Actor   string `query:"actor" example:"user:maria"`
}

func (a accountService) audit(ctx context.Context, p deviceops.Principal, in *auditFilter) (page[deviceops.AuditEntry], error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return page[deviceops.AuditEntry]{}, err
	}
	before, err := in.afterNumber()
	if err != nil {
		return page[deviceops.AuditEntry]{}, err
	}
	rows, err := a.Store.ListAudit(ctx, deviceops.AuditFilter{
		Account: account, Target: in.Target, Actor: in.Actor, Before: before, Limit: in.Limit + 1,
	})
	return pageOf(rows, in.Limit, func(e deviceops.AuditEntry) string { return strconv.FormatInt(e.ID, 10) }), err
}
