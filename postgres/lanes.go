package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// lane is one row: who holds it, and whether that still counts.
type lane struct {
	Number int
	Holder string
	Lapsed bool
}

// HoldLanes implements deviceops.Lanes. Calls take turns.
func (t tx) HoldLanes(ctx context.Context, holder string, total int, now time.Time, ttl time.Duration) (held []int, err error) {
	err = t.atomically(ctx, func(t tx) error {
		if err := t.lock(ctx, "lanes"); err != nil {
			return err
		}
		live, err := t.renewHolder(ctx, holder, now, ttl)
		if err != nil {
			return err
		}
		lanes, err := list(ctx, t, "read lanes", pgx.RowToStructByPos[lane],
			`select lane, holder, held_until <= $1 from lanes where lane < $2`, now, total)
		if err != nil {
			return err
		}
		held = share(lanes, holder, total, live)
		return t.writeLanes(ctx, holder, held, now.Add(ttl))
	})
	return held, err
}

// renewHolder notes that holder lives and gives the number of those that do.
func (t tx) renewHolder(ctx context.Context, holder string, now time.Time, ttl time.Duration) (live int, err error) {
	live, _, err = first(ctx, t, "renew holder", pgx.RowTo[int], `
		with gone as (
			delete from lane_holders where alive_until <= $2 and holder <> $1),
		renewed as (
			insert into lane_holders (holder, alive_until) values ($1, $3)
			on conflict (holder) do update set alive_until = excluded.alive_until)
		select 1 + count(*)::int from lane_holders where holder <> $1 and alive_until > $2`, holder, now, now.Add(ttl))
	return live, err
}

// share gives the lanes that holder has from now on: of its own as many as are
// fair, then free and lapsed ones.
func share(lanes []lane, holder string, total, live int) []int {
	fair := (total + live - 1) / live
	own, free := []int{}, []int{}
	taken := map[int]bool{}
	for _, l := range lanes {
		switch {
		case l.Holder == holder:
			own = append(own, l.Number)
		case !l.Lapsed:
			taken[l.Number] = true
		}
	}
	for n := range total {
		if !taken[n] && !slices.Contains(own, n) {
			free = append(free, n)
		}
	}
	slices.Sort(own)
	held := append(own, free...)
	held = held[:min(fair, len(held))]
	slices.Sort(held)
	return held
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
