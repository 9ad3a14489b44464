package api

import (
	"context"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

type previewRolloutInput struct {
	Body deviceops.RolloutRequest
}

// preview reads the devices that meet the targets and tells what would become of
// them.
func (r rolloutService) preview(ctx context.Context, p deviceops.Principal, in *previewRolloutInput) (deviceops.RolloutPreviewed, error) {
	m, err := r.read(ctx, p, in.Body)
	if err != nil || m.spec == nil {
		return deviceops.RolloutPreviewed{Refused: m.spec == nil, Diagnostics: m.found}, err
	}
	preview, found, err := r.foresee(ctx, m)
	if err != nil {
		return deviceops.RolloutPreviewed{}, err
	}
	return deviceops.RolloutPreviewed{Refused: found.HasErrors(), Diagnostics: append(m.found, texts(found)...), Preview: &preview}, nil
}

// foresee tells what a manifest would do to the devices that there are, and what is
// wrong with its gates for as many as that.
func (r rolloutService) foresee(ctx context.Context, m manifest) (preview deviceops.RolloutPreview, found dsl.Diagnostics, err error) {
	facts, err := r.previewFacts(ctx, m)
	if err != nil {
		return preview, nil, err
	}
	previewer := deviceops.NewPreviewer(m.spec, facts)
	if err := r.addTargets(ctx, m, previewer); err != nil {
		return preview, nil, err
	}
	preview = previewer.Preview()
	sizes := make([]int, len(preview.Rings))
	for i, ring := range preview.Rings {
		sizes[i] = ring.Devices
	}
	return preview, dsl.CheckGates(m.file, m.source, sizes), nil
}

// previewChunk is of how many devices at once it is looked up who holds them.
const previewChunk = 1000

// addTargets adds the devices that meet the targets of a manifest to its preview, with
// the rollouts that hold them.
func (r rolloutService) addTargets(ctx context.Context, m manifest, p *deviceops.Previewer) error {
	var chunk []deviceops.Device
	flush := func() error {
		ids := make([]string, len(chunk))
		for i := range chunk {
			ids[i] = chunk[i].ID
		}
		held, err := r.Store.HeldDevices(ctx, ids, deviceops.RolloutID(m.account, m.spec.Name))
		for i := range chunk {
			if err == nil {
				err = p.Add(&chunk[i], held[ids[i]])
			}
		}
		chunk = chunk[:0]
		return err
	}
	err := r.Store.TargetDevices(ctx, m.account, m.spec.Targets.Narrow, func(d *deviceops.Device) error {
		if yes, err := m.spec.Targets.Let(d); err != nil || !yes {
			return err
		}
		if chunk = append(chunk, *d); len(chunk) < previewChunk {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

func (r rolloutService) previewFacts(ctx context.Context, m manifest) (deviceops.PreviewFacts, error) {
	facts := deviceops.PreviewFacts{Account: m.account, Hash: m.hash, Blackouts: m.spec.Blackouts, Now: r.Now()}
	for _, name := range m.spec.Calendars {
		calendar, err := r.Catalog.Calendar(ctx, m.account, name)
		if err != nil {
			return facts, err
		}
		facts.Blackouts = append(facts.Blackouts, calendar.Blackouts...)
	}
	if m.spec.Change.Kind == deviceops.ChangeRelease {
		ref, err := deviceops.ParseReleaseRef(m.spec.Change.Release)
		if err != nil {
			return facts, err
		}
		release, err := r.Store.FindRelease(ctx, m.account, ref)
		if err != nil {
			return facts, err
		}
		facts.Release = &release
	}
	frozen, err := r.Store.Freezes(ctx, m.account)
	if len(frozen) > 0 {
		facts.Freeze = &frozen[0]
	}
	return facts, err
}
