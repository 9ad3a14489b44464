package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// HoldLanes implements deviceops.Lanes. Calls take turns.
func (t tx) HoldLanes(ctx context.Context, holder string, total int, now time.Time, ttl time.Duration) (held []int, err error) {
	err = t.atomically(ctx, func(t tx) error {
		if err := t.lock(ctx, "lanes"); err != nil {
			return err
		}
		live, err := t.renewHolder(ctx, laneHolders, holder, now, ttl)
		if err != nil {
			return err
		}
		lanes, err := t.lanes(ctx, total, now)
		if err != nil {
			return err
		}
		held = fairShare(lanes, holder, live)
		slices.Sort(held)
		return t.writeLanes(ctx, holder, held, now.Add(ttl))
	})
	return held, err
}

// lanes gives all lanes. Those that nobody holds have no row.
func (t tx) lanes(ctx context.Context, total int, now time.Time) ([]holding[int], error) {
	all := make([]holding[int], total)
	for n := range all {
		all[n].what = n
	}
	held, err := list(ctx, t, "read lanes", func(row pgx.CollectableRow) (h holding[int], err error) {
		err = row.Scan(&h.what, &h.holder, &h.lapsed)
		return h, err
	}, `select lane, holder, held_until <= $1 from lanes where lane >= 0 and lane < $2`, now, total)
	for _, h := range held {
		all[h.what] = h
	}
	return all, err
}

func (t tx) writeLanes(ctx context.Context, holder string, held []int, until time.Time) error {
	_, err := t.exec(ctx, "write lanes", `
		with given_up as (
			delete from lanes where holder = $1 and lane <> all($2))
		insert into lanes (lane, holder, held_until) select unnest($2::bigint[]), $1, $3
		on conflict (lane) do update set holder = excluded.holder, held_until = excluded.held_until`,
		holder, held, until)
	return err
}

// ReleaseLanes implements deviceops.Lanes.
func (t tx) ReleaseLanes(ctx context.Context, holder string) error {
	_, err := t.exec(ctx, "release lanes", `
		with gone as (delete from lane_holders where holder = $1)
		delete from lanes where holder = $1`, holder)
	return err
}
