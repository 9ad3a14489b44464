package postgres

import (
	"context"

	"github.com/deviceops/deviceops"
)

// targetPage is how many devices are read at a time.
const targetPage = 1000

// TargetDevices implements deviceops.Rollouts. Devices come in pages, so that
// neither a result of any size nor its connection is held while each works, which
// may use the same transaction.
func (t tx) TargetDevices(ctx context.Context, account string, f *deviceops.Filter, each func(*deviceops.Device) error) error {
	for after := ""; ; {
		page, err := t.targetPage(ctx, account, f, after)
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

func (t tx) targetPage(ctx context.Context, account string, f *deviceops.Filter, after string) ([]deviceops.Device, error) {
	var where filter
	where.within("d.account", account)
	if f != nil {
		if err := where.meets(*f); err != nil {
			return nil, err
		}
	}
	where.add("d.id > ?", after)
	return list(ctx, t, "find targeted devices", scanDevice(true), `
		select `+deviceColumns+`, (select jsonb_object_agg(m.name, m.value) from device_metrics m where m.device = d.id)
		from `+deviceTables+where.where()+` order by d.id limit `+where.arg(targetPage), where.args...)
}
