package api

import (
	"cmp"
	"context"

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
	if m, err = r.weigh(ctx, m); err != nil || m.spec == nil {
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

// weigh holds a manifest against the devices that there are, where that matters: a
// canary of one device cannot fail a gate that bears with one, and conflict: refuse
// bears with no device that another rollout holds. A rollout that was created before
// is not judged again. ECONFLICT.
func (r rolloutService) weigh(ctx context.Context, m manifest) (manifest, error) {
	if !m.spec.Gated() && m.spec.Conflict != deviceops.ConflictRefuse {
		return m, nil
	}
	_, err := r.Store.FindRollout(ctx, deviceops.RolloutID(m.account, m.spec.Name))
	if deviceops.ErrorCode(err) != deviceops.ENOTFOUND {
		return m, err
	}
	preview, found, err := r.foresee(ctx, m)
	if err != nil {
		return m, err
	}
	if preview.Held != nil && m.spec.Conflict == deviceops.ConflictRefuse {
		return m, deviceops.Errorf(deviceops.ECONFLICT, "rollout %s is not created: %s, and the manifest says conflict: refuse", m.spec.Name, preview.Held.Holders())
	}
	m.found = append(m.found, texts(found)...)
	if found.HasErrors() {
		m.spec = nil
	}
	return m, nil
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
	published := &dsl.Published{Catalog: r.Catalog, Store: r.Store, Account: account, Actions: r.Actions}
	file := cmp.Or(q.File, "rollout.yaml")
	spec, found := dsl.CompileRollout(file, q.Source, published.Options(ctx))
	return manifest{account: account, file: file, source: q.Source, hash: deviceops.ManifestHash(q.Source), spec: spec, found: texts(found)}, published.Failed()
}
