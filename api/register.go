package api

import (
	"context"
	"fmt"

	"github.com/deviceops/deviceops"
)

// registrar gives a function that checks one request and makes the registration
// of it, with what it needs to know read once.
func (c *core) registrar(ctx context.Context, p deviceops.Principal) (func(deviceops.RegisterRequest) (deviceops.Registration, error), error) {
	accounts, err := c.Store.ListAccounts(ctx, p.Account)
	if err != nil {
		return nil, err
	}
	r := rowChecker{catalog: c.Catalog, account: p.Account, accounts: map[string]bool{}, zones: map[string]bool{"": true}, profiles: map[string]*deviceops.Profile{}}
	for _, a := range accounts {
		r.accounts[a.Path] = true
	}
	return func(q deviceops.RegisterRequest) (deviceops.Registration, error) { return r.check(ctx, q) }, nil
}

// rowChecker checks registrations against what is published, remembering it
// from row to row.
type rowChecker struct {
	catalog  deviceops.Catalog
	account  string
	accounts map[string]bool
	zones    map[string]bool
	profiles map[string]*deviceops.Profile // by account and name; nil: not published
}

func (r *rowChecker) check(ctx context.Context, q deviceops.RegisterRequest) (deviceops.Registration, error) {
	row, err := q.Registration(r.account)
	switch {
	case err != nil:
		return row, err
	case !r.accounts[row.Account]:
		return row, deviceops.Errorf(deviceops.ENOTFOUND, "there is no account %s; make it first: deviceops accounts create %s", row.Account, row.Account)
	case !r.zone(row.Zone):
		return row, deviceops.Errorf(deviceops.EINVALID, "zone %q is no IANA time zone such as Europe/Berlin", row.Zone)
	}
	profile, err := r.profile(ctx, row.Account, row.Profile)
	if err != nil || profile == nil || len(row.Attributes) == 0 {
		return row, err
	}
	row.Attributes, err = profile.TypedAttributes(row.Attributes)
	return row, err
}

func (r *rowChecker) zone(name string) bool {
	good, known := r.zones[name]
	if !known {
		_, err := deviceops.LoadZone(name)
		good = err == nil
		r.zones[name] = good
	}
	return good
}

// profile gives nil for a profile that is not published yet: devices may be
// registered before it is.
func (r *rowChecker) profile(ctx context.Context, account, name string) (*deviceops.Profile, error) {
	key := account + "\x00" + name
	if profile, known := r.profiles[key]; known {
		return profile, nil
	}
	profile, err := r.catalog.Profile(ctx, account, name)
	switch deviceops.ErrorCode(err) {
	case "":
	case deviceops.ENOTFOUND, deviceops.EINVALID:
		profile = nil
	default:
		return nil, err
	}
	r.profiles[key] = profile
	return profile, nil
}

// registerRows stores registrations and their audit entries in one transaction.
func (c *core) registerRows(ctx context.Context, p deviceops.Principal, rows []deviceops.Registration, reason string) ([]deviceops.RegisterOutcome, error) {
	var outcomes []deviceops.RegisterOutcome
	err := c.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		var err error
		if outcomes, err = tx.RegisterDevices(ctx, rows, c.Now()); err != nil {
			return err
		}
		var entries []deviceops.AuditEntry
		for i, outcome := range outcomes {
			if outcome == deviceops.Conflict || outcome == deviceops.Unchanged {
				continue
			}
			entries = append(entries, c.entry(p, change{
				account: rows[i].Account, action: "device.register", target: "device:" + rows[i].ID, reason: reason,
				evidence: map[string]any{"outcome": string(outcome), "profile": rows[i].Profile, "serial": rows[i].Serial},
			}))
		}
		if len(entries) == 0 {
			return nil
		}
		return tx.AppendAudit(ctx, entries...)
	})
	return outcomes, err
}

// conflictReason names nobody: the id or serial may be held by an account that
// the caller may not know of.
func conflictReason(row deviceops.Registration) string {
	return fmt.Sprintf("the id %s, or the serial %s of profile %s, is taken; nothing was changed", row.ID, row.Serial, row.Profile)
}
