package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/deviceops/deviceops"
)

// core is what all services share.
type core struct{ Config }

// outside is the answer about what lies beyond the caller's account: the same
// as for what does not exist.
func outside(kind, id string) error {
	return deviceops.Errorf(deviceops.ENOTFOUND, "there is no %s %s", kind, id)
}

// visible gives ENOTFOUND unless the thing of the given account lies in the
// caller's subtree. All checks of accounts are here and in scope.
func visible(p deviceops.Principal, account, kind, id string) error {
	if !deviceops.AccountWithin(account, p.Account) {
		return outside(kind, id)
	}
	return nil
}

// scope gives the account to list or act in: the one asked for, else the
// caller's own. ENOTFOUND if it lies beyond the caller's.
func scope(p deviceops.Principal, asked string) (string, error) {
	if asked == "" {
		return p.Account, nil
	}
	return asked, visible(p, asked, "account", asked)
}

// device gives a device of the caller's subtree.
func (c *core) device(ctx context.Context, p deviceops.Principal, id string) (deviceops.Device, error) {
	d, err := c.Store.FindDevice(ctx, id)
	if err != nil {
		return deviceops.Device{}, err
	}
	return d, visible(p, d.Account, "device", id)
}

// change describes a mutation for the audit log.
type change struct {
	account  string
	action   string
	target   string
	reason   string
	evidence map[string]any
}

func (c *core) entry(p deviceops.Principal, ch change) deviceops.AuditEntry {
	return deviceops.AuditEntry{
		At: c.Now(), Account: ch.account, Actor: p.Name, Action: ch.action, Target: ch.target, Reason: ch.reason, Evidence: ch.evidence,
	}
}

// startTimeout bounds the attempt to start what a transaction asked for; when
// it fails the sweeper does it later.
const startTimeout = 5 * time.Second

// startNow starts workflows that a committed transaction requested. A failure
// is no error of the request: it is stored, and the sweeper carries it out.
func (c *core) startNow(ctx context.Context, start deviceops.Start) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	if _, err := c.Orchestrator.Start(ctx, start); err != nil {
		c.Log.WarnContext(ctx, "a workflow could not be started yet", "workflow", start.WorkflowID, "error", err)
		return
	}
	if err := c.Store.DoneStarts(ctx, []string{start.WorkflowID}); err != nil {
		c.Log.WarnContext(ctx, "a start stays in the outbox", "workflow", start.WorkflowID, "error", err)
	}
}

// keyed makes the id of a new thing: the same for the same principal, kind and
// key, or random without a key.
func keyed(p deviceops.Principal, kind, key string) string {
	if key == "" {
		return kind + "-" + hex.EncodeToString(random(12))
	}
	return kind + "-" + deviceops.ShortHash(12, p.Account, p.Name, kind, key)
}

// keyedOn is keyed for what is done to a thing: the same key is another one for
// another thing.
func keyedOn(p deviceops.Principal, kind, id, key string) string {
	if key != "" {
		key = id + "\x00" + key
	}
	return keyed(p, kind, key)
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return b
}
