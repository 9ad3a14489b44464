package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// forwardingService answers for routes of events, which have nothing to do with
// routes of this API.
type forwardingService struct{ *core }

func (s *server) forwardingRoutes(f forwardingService) {
	handle(s, route{
		id: "list-routes", method: http.MethodGet, path: "/v1/routes", role: deviceops.RoleViewer,
		summary: "List routes with how far their targets have come",
		about:   "Lag counts up to 10000 events that the route selects by type, whatever its where says.",
	}, f.list)
	handle(s, route{
		id: "get-route", method: http.MethodGet, path: "/v1/routes/{name}", role: deviceops.RoleViewer,
		summary: "Show a route with how far its targets have come",
	}, f.get)
	handle(s, route{
		id: "pause-route", method: http.MethodPost, path: "/v1/routes/{name}/pause", role: deviceops.RoleOperator,
		summary: "Stop forwarding to a route's targets, or to one of them", about: "Their places in the stream are kept.",
	}, f.pause(true))
	handle(s, route{
		id: "resume-route", method: http.MethodPost, path: "/v1/routes/{name}/resume", role: deviceops.RoleOperator,
		summary: "Let a paused route go on from where it was",
	}, f.pause(false))
	handle(s, route{
		id: "list-dead-letters", method: http.MethodGet, path: "/v1/routes/{name}/dead-letters", role: deviceops.RoleViewer,
		summary: "List the events that targets of a route would not take",
	}, f.letters)
	handle(s, route{
		id: "replay-dead-letters", method: http.MethodPost, path: "/v1/routes/{name}/replay", role: deviceops.RoleOperator,
		summary: "Try dead letters of a route again", about: "By the version of the route that holds then. What is taken is no dead letter any more.",
	}, f.lettersChange("route.replay", deviceops.Tx.ReplayDeadLetters))
	handle(s, route{
		id: "discard-dead-letters", method: http.MethodPost, path: "/v1/routes/{name}/discard", role: deviceops.RoleOperator,
		summary: "Forget dead letters of a route", about: "Also those of targets that the route has no longer. Their events stay where they are.",
	}, f.lettersChange("route.discard", deviceops.Tx.DiscardDeadLetters))
}

// openRoute makes the targets of a route that is published have a place in the
// stream. Those that were there keep theirs.
func (a *application) openRoute(ctx context.Context, tx deviceops.Tx, d checkedDocument) error {
	if d.Route == nil {
		return nil
	}
	targets := make([]string, len(d.Route.Targets))
	for i, t := range d.Route.Targets {
		targets[i] = t.Name
	}
	cursor := int64(-1)
	if d.Route.Beginning {
		cursor = 0
	}
	return tx.OpenRoute(ctx, a.account, d.Name, targets, cursor)
}

type routeList struct {
	Account string `query:"account" doc:"This account and all below it. Default: the caller's account"`
}

func (f forwardingService) list(ctx context.Context, p deviceops.Principal, in *routeList) (page[deviceops.RouteStatus], error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return page[deviceops.RouteStatus]{}, err
	}
	rows, err := f.Store.ListTargets(ctx, account, "")
	if err != nil {
		return page[deviceops.RouteStatus]{}, err
	}
	found := []deviceops.RouteStatus{}
	for i, row := range rows {
		if i > 0 && rows[i-1].Account == row.Account && rows[i-1].Route == row.Route {
			continue
		}
		d, err := f.Store.FindDocument(ctx, row.Account, deviceops.KindRoute, row.Route, 0)
		if deviceops.ErrorCode(err) == deviceops.ENOTFOUND || err == nil && d.Account != row.Account {
			continue // it was retired
		}
		if err != nil {
			return page[deviceops.RouteStatus]{}, err
		}
		status, err := f.status(ctx, d)
		if err != nil {
			return page[deviceops.RouteStatus]{}, err
		}
		found = append(found, status)
	}
	return page[deviceops.RouteStatus]{Items: found}, nil
}

// RoutePath is the part of an input that names a route.
type RoutePath struct {
	Account string `query:"account" doc:"Whose route. Default: the caller's account"`
	Name    string `path:"name" maxLength:"128"`
}

// document finds the newest version of a route.
func (f forwardingService) document(ctx context.Context, p deviceops.Principal, in RoutePath) (deviceops.Document, error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return deviceops.Document{}, err
	}
	d, err := f.Store.FindDocument(ctx, account, deviceops.KindRoute, in.Name, 0)
	if err != nil {
		return d, err
	}
	return d, visible(p, d.Account, deviceops.KindRoute, in.Name)
}

func (f forwardingService) get(ctx context.Context, p deviceops.Principal, in *RoutePath) (deviceops.RouteStatus, error) {
	d, err := f.document(ctx, p, *in)
	if err != nil {
		return deviceops.RouteStatus{}, err
	}
	return f.status(ctx, d)
}

// status tells how far the targets of a route have come.
func (f forwardingService) status(ctx context.Context, d deviceops.Document) (deviceops.RouteStatus, error) {
	status := deviceops.RouteStatus{Account: d.Account, Name: d.Name, Version: d.Version, Targets: []deviceops.RouteTarget{}}
	compiled, found := dsl.CompileRoute(d.Source)
	if compiled == nil {
		status.Error = found.Err().Error()
		return status, nil
	}
	status.Types = compiled.Types
	horizon, err := f.Store.EventHorizon(ctx, deviceops.Horizon{})
	if err != nil {
		return status, err
	}
	rows, err := f.Store.ListTargets(ctx, d.Account, d.Name)
	if err != nil {
		return status, err
	}
	for _, row := range rows {
		if row.Account != d.Account {
			continue // of a route of the same name in an account below
		}
		if err := f.lag(ctx, &row, compiled.Types, horizon.Mark); err != nil {
			return status, err
		}
		status.Targets = append(status.Targets, row)
	}
	return status, nil
}

func (f forwardingService) lag(ctx context.Context, row *deviceops.RouteTarget, types []string, upTo int64) error {
	events, oldest, err := f.Store.CountRouteEvents(ctx, deviceops.EventSelection{
		Account: row.Account, Types: types, After: row.Cursor, UpTo: upTo, Limit: deviceops.MaxLag,
	})
	if err == nil && events > 0 {
		row.LagEvents, row.LagSeconds = events, max(0, f.Now().Sub(oldest).Seconds())
	}
	return err
}

type routeChange struct {
	Reasoned
	RoutePath
	Body deviceops.RouteRequest
}

func (f forwardingService) pause(paused bool) func(context.Context, deviceops.Principal, *routeChange) (deviceops.RouteStatus, error) {
	action := map[bool]string{true: "route.pause", false: "route.resume"}[paused]
	return func(ctx context.Context, p deviceops.Principal, in *routeChange) (deviceops.RouteStatus, error) {
		d, err := f.document(ctx, p, in.RoutePath)
		if err != nil {
			return deviceops.RouteStatus{}, err
		}
		if err := f.hasTarget(ctx, d, in.Body.Target); err != nil {
			return deviceops.RouteStatus{}, err
		}
		reason := in.because(in.Body.Reason)
		err = f.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
			_, err := tx.PauseRoute(ctx, deviceops.RoutePause{
				Account: d.Account, Route: d.Name, Target: in.Body.Target, Paused: paused, By: p.Name, Reason: reason, At: f.Now(),
			})
			if err != nil {
				return err
			}
			return tx.AppendAudit(ctx, f.entry(p, change{account: d.Account, action: action, target: routeTarget(d.Name, in.Body.Target), reason: reason}))
		})
		if err != nil {
			return deviceops.RouteStatus{}, err
		}
		return f.status(ctx, d)
	}
}

// hasTarget reports a target that the route has not; "" stands for all of them.
// ENOTFOUND.
func (f forwardingService) hasTarget(ctx context.Context, d deviceops.Document, target string) error {
	if target == "" {
		return nil
	}
	rows, err := f.Store.ListTargets(ctx, d.Account, d.Name)
	if err != nil {
		return err
	}
	var names []string
	for _, row := range rows {
		if row.Account == d.Account {
			names = append(names, row.Target)
		}
	}
	if slices.Contains(names, target) {
		return nil
	}
	return deviceops.Errorf(deviceops.ENOTFOUND, "route %s has no target %s; it has %s", d.Name, target, strings.Join(names, ", "))
}

// routeTarget names a route, or one target of it, in the audit log.
func routeTarget(route, target string) string {
	if target == "" {
		return "route:" + route
	}
	return "route:" + deviceops.TargetKey{Route: route, Target: target}.String()
}

type letterList struct {
	Paged
	RoutePath
	Target string `query:"target"`
}

func (f forwardingService) letters(ctx context.Context, p deviceops.Principal, in *letterList) (page[deviceops.DeadLetter], error) {
	d, err := f.document(ctx, p, in.RoutePath)
	if err != nil {
		return page[deviceops.DeadLetter]{}, err
	}
	mark, err := in.mark()
	if err != nil {
		return page[deviceops.DeadLetter]{}, err
	}
	rows, err := f.Store.ListDeadLetters(ctx, deviceops.DeadLetterFilter{
		Account: d.Account, Exact: true, Route: d.Name, Target: in.Target, After: mark, Limit: in.Limit + 1,
	})
	return pageOf(rows, in.Limit, func(l deviceops.DeadLetter) string { return fmt.Sprintf("%d/%s", l.Event, l.Target) }), err
}

func (in *letterList) mark() (deviceops.DeadLetterMark, error) {
	key, err := in.after()
	if err != nil || key == "" {
		return deviceops.DeadLetterMark{}, err
	}
	number, target, _ := strings.Cut(key, "/")
	event, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return deviceops.DeadLetterMark{}, deviceops.Errorf(deviceops.EINVALID, "the cursor belongs to another list")
	}
	return deviceops.DeadLetterMark{Event: event, Target: target}, nil
}

// lettersChange does something with dead letters.
func (f forwardingService) lettersChange(action string, do func(deviceops.Tx, context.Context, deviceops.DeadLetterFilter) (int, error)) func(context.Context, deviceops.Principal, *routeChange) (deviceops.RouteLetters, error) {
	return func(ctx context.Context, p deviceops.Principal, in *routeChange) (done deviceops.RouteLetters, err error) {
		d, err := f.document(ctx, p, in.RoutePath)
		if err != nil {
			return done, err
		}
		filter := deviceops.DeadLetterFilter{Account: d.Account, Exact: true, Route: d.Name, Target: in.Body.Target, Events: in.Body.Events}
		err = f.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) (err error) {
			if done.DeadLetters, err = do(tx, ctx, filter); err != nil || done.DeadLetters == 0 {
				return err
			}
			return tx.AppendAudit(ctx, f.entry(p, change{
				account: d.Account, action: action, target: routeTarget(d.Name, in.Body.Target), reason: in.because(in.Body.Reason),
				evidence: map[string]any{"dead_letters": done.DeadLetters},
			}))
		})
		if err != nil || done.DeadLetters > 0 {
			return done, err
		}
		if err := f.hasTarget(ctx, d, in.Body.Target); err != nil {
			return done, err
		}
		if len(in.Body.Events) > 0 {
			return done, deviceops.Errorf(deviceops.ENOTFOUND, "route %s has no such dead letter: deviceops routes dead-letters %s lists those there are", d.Name, d.Name)
		}
		return done, nil
	}
}
