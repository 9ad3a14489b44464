package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/workflows"
)

type createRolloutInput struct {
	Reasoned
	Body deviceops.RolloutRequest
}

// create stores a rollout and asks for its workflow, in one transaction.
func (r rolloutService) create(ctx context.Context, p deviceops.Principal, in *createRolloutInput) (deviceops.RolloutCreated, error) {
	m, err := r.read(ctx, p, in.Body)
	if err != nil || m.spec == nil {
		return deviceops.RolloutCreated{Refused: m.spec == nil, Diagnostics: m.found}, err
	}
	rollout, created, err := r.store(ctx, p, m, in.because(in.Body.Reason))
	if err != nil {
		return deviceops.RolloutCreated{}, err
	}
	if created {
		r.startNow(ctx, workflows.RolloutStart(workflows.RolloutInput{Rollout: rollout.ID}))
	}
	return deviceops.RolloutCreated{Created: created, Diagnostics: m.found, Rollout: &rollout}, nil
}

func (r rolloutService) store(ctx context.Context, p deviceops.Principal, m manifest, reason string) (rollout deviceops.Rollout, created bool, err error) {
	now := r.Now()
	err = r.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		rollout, created, err = tx.CreateRollout(ctx, m.spec.NewRollout(m.account, m.source, m.hash, p.Name, reason, now))
		if err != nil || !created {
			return err
		}
		if err := tx.RequestStarts(ctx, []deviceops.Start{workflows.RolloutStart(workflows.RolloutInput{Rollout: rollout.ID})}, now); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, r.entry(p, change{
			account: rollout.Account, action: "rollout.create", target: "rollout:" + rollout.Name, reason: rollout.Reason,
			evidence: map[string]any{"id": rollout.ID, "hash": rollout.Hash, "change": string(rollout.Kind)},
		}))
	})
	return rollout, created, err
}

// manifest is a manifest that was read and checked.
type manifest struct {
	account string
	file    string
	source  string
	hash    string
	spec    *deviceops.RolloutSpec // nil: it is refused
	found   []deviceops.DiagnosticText
}

// read checks a manifest against what is published in its account.
func (r rolloutService) read(ctx context.Context, p deviceops.Principal, q deviceops.RolloutRequest) (manifest, error) {
	account, err := scope(p, q.Account)
	if err != nil {
		return manifest{}, err
	}
	l := &lookup{core: r.core, ctx: ctx, account: account}
	file := cmp.Or(q.File, "rollout.yaml")
	spec, found := dsl.CompileRollout(file, q.Source, l.options())
	sum := sha256.Sum256([]byte(q.Source))
	return manifest{account: account, file: file, source: q.Source, hash: hex.EncodeToString(sum[:]), spec: spec, found: texts(found)}, l.failed
}

// lookup finds what documents name, as seen from an account. What is not found
// is for the checker to report; failed is why something could not be looked up.
type lookup struct {
	*core
	ctx     context.Context
	account string
	failed  error
}

func (l *lookup) options() dsl.Options {
	return dsl.Options{Actions: l.Actions, Profile: l.profile, Release: l.release, Workflow: l.workflow, Calendar: l.calendar}
}

// missed reports whether err means that there is nothing to be had.
func (l *lookup) missed(err error) bool {
	switch deviceops.ErrorCode(err) {
	case "":
		return false
	case deviceops.ENOTFOUND, deviceops.EINVALID:
	default:
		l.failed = err
	}
	return true
}

func (l *lookup) profile(name string) *deviceops.Profile {
	found, err := l.Catalog.Profile(l.ctx, l.account, name)
	if l.missed(err) {
		return nil
	}
	return found
}

func (l *lookup) release(ref deviceops.ReleaseRef) *deviceops.Release {
	found, err := l.Store.FindRelease(l.ctx, l.account, ref)
	if l.missed(err) {
		return nil
	}
	return &found
}

func (l *lookup) calendar(name string) *deviceops.Calendar {
	found, err := l.Catalog.Calendar(l.ctx, l.account, name)
	if l.missed(err) {
		return nil
	}
	return found
}

func (l *lookup) workflow(name string, version int) *dsl.Program {
	found, err := l.Store.FindDocument(l.ctx, l.account, deviceops.KindWorkflow, name, version)
	if l.missed(err) {
		return nil
	}
	program, _ := dsl.Compile(found.Source)
	return program
}
