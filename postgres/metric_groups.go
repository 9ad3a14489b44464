package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/deviceops/deviceops"
)

// maxGroups bounds the groups of one answer; the largest are kept.
const maxGroups = 100

// grouped gives the key of a device's group, over devices d and sessions s, and
// what has to be joined for it.
func grouped(where *filter, g deviceops.Grouping) (key, join string) {
	switch g.Kind {
	case deviceops.GroupProfile:
		return `d.profile`, ``
	case deviceops.GroupAccount:
		return `d.account`, ``
	case deviceops.GroupTag:
		return `coalesce(tag.name, '')`, ` left join lateral unnest(d.tags) as tag(name) on true`
	case deviceops.GroupLabel:
		return `coalesce(d.labels ->> ` + where.arg(g.Label) + `, '')`, ``
	case deviceops.GroupPlace:
		cell := where.arg(g.Cell) + `::float8`
		return fmt.Sprintf(`coalesce(round((floor(d.latitude / %[1]s) * %[1]s)::numeric, 3)::float8 || ',' ||
			round((floor(d.longitude / %[1]s) * %[1]s)::numeric, 3)::float8, '')`, cell), ``
	default:
		return `''`, ``
	}
}

// GroupMetric implements deviceops.MetricHistory.
func (t tx) GroupMetric(ctx context.Context, q deviceops.MetricQuery) (groups []deviceops.MetricGroup, more int, err error) {
	groups, all, err := t.latestByGroup(ctx, q)
	if err != nil || len(groups) == 0 {
		return groups, 0, err
	}
	byKey := make(map[string]*deviceops.MetricGroup, len(groups))
	keys := make([]string, len(groups))
	for i := range groups {
		keys[i], byKey[groups[i].Key] = groups[i].Key, &groups[i]
	}
	points, err := t.historyByGroup(ctx, q, keys)
	for _, p := range points {
		byKey[p.key].Points = append(byKey[p.key].Points, p.MetricPoint)
	}
	return groups, all - len(groups), err
}

// latestByGroup gives the largest groups, and how many there are in all.
func (t tx) latestByGroup(ctx context.Context, q deviceops.MetricQuery) (groups []deviceops.MetricGroup, all int, err error) {
	where := deviceFilter(q.Filter)
	where.add("m.name = ?", q.Name)
	where.add("m.at >= ?", q.Window.Since)
	key, join := grouped(where, q.By)
	scan := func(row pgx.CollectableRow) (g deviceops.MetricGroup, err error) {
		g.Points = []deviceops.MetricPoint{}
		err = row.Scan(&all, &g.Key, &g.Count, &g.Min, &g.Avg, &g.Max, &g.P50, &g.P95)
		return g, err
	}
	groups, err = list(ctx, t, "sum up a metric", scan, `
		select count(*) over (), key, count(*), min(v), avg(v), max(v),
			percentile_cont(0.5) within group (order by v), percentile_cont(0.95) within group (order by v)
		from (
			select `+key+` as key, case jsonb_typeof(m.value) when 'number' then m.value::float8
				when 'boolean' then m.value::boolean::int::float8 end as v
			from device_metrics m join devices d on d.id = m.device join sessions s on s.device = d.id`+join+where.where()+`) latest
		where abs(v) <= `+where.arg(deviceops.MaxSample)+`::float8 group by key order by count(*) desc, key limit `+where.arg(maxGroups), where.args...)
	return groups, all, err
}

// groupPoint is a point of one group.
type groupPoint struct {
	key string
	deviceops.MetricPoint
}

func (t tx) historyByGroup(ctx context.Context, q deviceops.MetricQuery, keys []string) ([]groupPoint, error) {
	where := deviceFilter(q.Filter)
	where.add("b.name = ?", q.Name)
	where.add("b.bucket >= ?", q.Window.Since.Truncate(q.Window.Source.Width()))
	where.add("b.bucket < ?", q.Window.Until)
	key, join := grouped(where, q.By)
	where.add(key+" = any(?)", keys)
	return list(ctx, t, "read the history of groups", scanGroupPoint, `
		select `+key+` as key, date_bin(`+where.arg(q.Window.Step)+`, b.bucket, `+bucketOrigin+`) as step, `+pointColumns+`
		from `+bucketsOf(q.Window.Source)+` join devices d on d.id = b.device join sessions s on s.device = d.id`+join+where.where()+`
		group by 1, step order by 1, step`, where.args...)
}

func scanGroupPoint(row pgx.CollectableRow) (p groupPoint, err error) {
	err = row.Scan(&p.key, moment{&p.At}, &p.Count, &p.Min, &p.Avg, &p.Max, &p.Last)
	return p, err
}
