package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Tables of the processes that share something.
const (
	laneHolders  = "lane_holders"
	routeHolders = "route_holders"
)

// renewHolder notes that holder lives and gives the number of those that do.
func (t tx) renewHolder(ctx context.Context, table, holder string, now time.Time, ttl time.Duration) (live int, err error) {
	live, _, err = first(ctx, t, "renew holder", pgx.RowTo[int], `
		with gone as (
			delete from `+table+` where alive_until <= $2 and holder <> $1),
		renewed as (
			insert into `+table+` (holder, alive_until) values ($1, $3)
			on conflict (holder) do update set alive_until = excluded.alive_until)
		select 1 + count(*)::int from `+table+` where holder <> $1 and alive_until > $2`, holder, now, now.Add(ttl))
	return live, err
}

// holding is one of the things that processes share: who holds it, and whether that
// no longer counts.
type holding[T any] struct {
	what   T
	holder string // "": nobody
	lapsed bool
}

// fairShare gives what holder has from now on: of its own as much as is fair among
// the live, then what is free or lapsed.
func fairShare[T any](all []holding[T], holder string, live int) []T {
	own, free := []T{}, []T{} // not nil, which would be NULL
	for _, h := range all {
		switch {
		case h.holder == holder:
			own = append(own, h.what)
		case h.holder == "" || h.lapsed:
			free = append(free, h.what)
		}
	}
	fair := (len(all) + live - 1) / live
	held := append(own, free...)
	return held[:min(fair, len(held))]
}
