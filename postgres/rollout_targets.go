package postgres

import (
	"context"
	"strconv"
	"strings"

	"github.com/deviceops/deviceops"
)

// targetPage is how many devices are read at a time. The statement says it as a
// constant: of a parameter the planner would assume a tenth of all devices, and
// sort them for each page.
const targetPage = 1000

// TargetDevices implements deviceops.Rollouts.
func (t tx) TargetDevices(ctx context.Context, account string, f *deviceops.Filter, each func(*deviceops.Device) error) error {
	return t.eachDevice(ctx, each, func(where *filter) error { return where.targets(account, f) })
}

// JoiningDevices implements deviceops.Rollouts.
func (t tx) JoiningDevices(ctx context.Context, account, rollout string, f *deviceops.Filter, each func(*deviceops.Device) error) error {
	return t.eachDevice(ctx, each, func(where *filter) error {
		where.conditions = append(where.conditions, "d.state in ('active', 'maintenance')")
		where.add(`not exists (select from rollout_devices r where r.rollout = ? and r.device = d.id and not (`+mayRejoin+`))`, rollout)
		return where.targets(account, f)
	})
}

// LeavingDevices implements deviceops.Rollouts.
func (t tx) LeavingDevices(ctx context.Context, account, rollout string, f *deviceops.Filter, each func(*deviceops.Device) error) error {
	return t.eachDevice(ctx, each, func(where *filter) error {
		where.add(`exists (select from rollout_devices r where r.rollout = ? and r.device = d.id and r.status = 'pending' and r.attempt = 0)`, rollout)
		if f == nil {
			return nil
		}
		n := len(where.conditions)
		err := where.targets(account, f)
		where.conditions = append(where.conditions[:n], "("+strings.Join(where.conditions[n:], " and ")+") is not true")
		return err
	})
}

// targets keeps to devices of an account and below that meet f.
func (f *filter) targets(account string, tree *deviceops.Filter) error {
	f.within("d.account", account)
	if tree == nil {
		return nil
	}
	return f.meets(*tree)
}

// eachDevice gives the devices that choose selects to each. They come in pages, so
// that neither a result of any size nor its connection is held while each works, which
// may use the same transaction.
func (t tx) eachDevice(ctx context.Context, each func(*deviceops.Device) error, choose func(*filter) error) error {
	for after := ""; ; {
		var where filter
		if err := choose(&where); err != nil {
			return err
		}
		// Each table says where the page begins: the planner concludes nothing about the
		// others, and would merge them from their beginning.
		where.add("d.id > ? and t.device > ? and s.device > ?", after)
		page, err := list(ctx, t, "find targeted devices", scanDevice(true), `
			select `+deviceColumns+`, (select jsonb_object_agg(m.name, m.value) from device_metrics m where m.device = d.id)
			from `+deviceTables+where.where()+` order by d.id limit `+strconv.Itoa(targetPage), where.args...)
		if err != nil {
			return err
		}
		for i := range page {
			if err := each(&page[i]); err != nil {
				return err
			}
		}
		if len(page) < targetPage {
			return nil
		}
		after = page[len(page)-1].ID
	}
}
