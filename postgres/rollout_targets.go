package postgres

import (
	"context"

	"github.com/deviceops/deviceops"
)

// targetPage is how many devices are read at a time.
const targetPage = 1000

// TargetDevices implements deviceops.Rollouts.
func (t tx) TargetDevices(ctx context.Context, account string, f *deviceops.Filter, each func(*deviceops.Device) error) error {
	if f != nil {
		return deviceops.Errorf(deviceops.EINVALID, "devices cannot be selected by this filter in the store")
	}
	for after := ""; ; {
		var where filter
		where.within("d.account", account)
		where.add("d.id > ?", after)
		page, err := list(ctx, t, "find targeted devices", scanDevice(true), `
			select `+deviceColumns+`, (select jsonb_object_agg(m.name, m.value) from device_metrics m where m.device = d.id)
			from `+deviceTables+where.where()+` order by d.id limit `+where.arg(targetPage), where.args...)
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
