package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/deviceops/deviceops"
)

type rolloutService struct{ *core }

func (s *server) rolloutRoutes(r rolloutService) {
	handle(s, route{
		id: "create-rollout", method: http.MethodPost, path: "/v1/rollouts", role: deviceops.RoleOperator,
		summary: "Create a rollout and begin",
		about: "The manifest is checked against what is published. The name makes it one rollout of the account: the same content again changes nothing, " +
			"other content is refused. A manifest with errors is answered with refused and diagnostics.",
	}, r.create)
	handle(s, route{
		id: "preview-rollout", method: http.MethodPost, path: "/v1/rollouts:preview", role: deviceops.RoleViewer,
		summary: "Tell what a rollout would do", about: "Nothing is stored and nothing begins.",
	}, r.preview)
	handle(s, route{
		id: "list-rollouts", method: http.MethodGet, path: "/v1/rollouts", role: deviceops.RoleViewer,
		summary: "List rollouts, newest first, without rings",
	}, r.list)
	handle(s, route{
		id: "get-rollout", method: http.MethodGet, path: "/v1/rollouts/{name}", role: deviceops.RoleViewer,
		summary: "Show a rollout with rings, gates, errors and waits", about: "By name, as seen from the caller's account, or by id.",
	}, r.get)
	handle(s, route{
		id: "list-rollout-devices", method: http.MethodGet, path: "/v1/rollouts/{name}/devices", role: deviceops.RoleViewer,
		summary: "List the devices of a rollout",
	}, r.devices)
	handle(s, route{
		id: "explain-rollout", method: http.MethodGet, path: "/v1/rollouts/{name}/devices/{device}/explain", role: deviceops.RoleViewer,
		summary: "Tell what a device waits for in a rollout",
	}, r.explain)
	handle(s, route{
		id: "control-rollout", method: http.MethodPost, path: "/v1/rollouts/{name}/control", role: deviceops.RoleOperator,
		summary: "Pause, resume, cancel, skip, retry, set or roll back",
		about:   "A pause holds from the answer on: nothing more leaves. It tells how many devices were withdrawn, are at it, and are silent.",
	}, r.control)
	stream(s, route{
		id: "stream-rollout", method: http.MethodGet, path: "/v1/rollouts/{name}/stream", role: deviceops.RoleViewer,
		summary: "Follow a rollout", about: "An event `rollout` whenever it changed; the stream ends with the rollout.",
	}, r.watch)
}

type rolloutFilter struct {
	Paged
	Account string `query:"account" doc:"This account and all below it"`
	Name    string `query:"name"`
	Status  string `query:"status" enum:"planning,waiting,running,paused,reverting,succeeded,failed,canceled,reverted"`
	Open    bool   `query:"open" doc:"Only those that have not ended"`
}

func (r rolloutService) list(ctx context.Context, p deviceops.Principal, in *rolloutFilter) (page[deviceops.Rollout], error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return page[deviceops.Rollout]{}, err
	}
	after, err := in.after()
	if err != nil {
		return page[deviceops.Rollout]{}, err
	}
	rows, err := r.Store.ListRollouts(ctx, deviceops.RolloutFilter{
		Account: account, Name: in.Name, Status: deviceops.RolloutStatus(in.Status), Open: in.Open, After: after, Limit: in.Limit + 1,
	})
	return pageOf(rows, in.Limit, func(r deviceops.Rollout) string { return r.ID }), err
}

// RolloutPath is the part of an input that names a rollout.
type RolloutPath struct {
	Name string `path:"name" maxLength:"256" doc:"Its name or id"`
}

// find gives a rollout by id, or by name: that of the caller's account, else the
// newest of that name below it.
func (r rolloutService) find(ctx context.Context, p deviceops.Principal, name string) (deviceops.Rollout, error) {
	for _, id := range []string{name, deviceops.RolloutID(p.Account, name)} {
		found, err := r.Store.FindRollout(ctx, id)
		if deviceops.ErrorCode(err) == deviceops.ENOTFOUND {
			continue
		}
		if err != nil {
			return deviceops.Rollout{}, err
		}
		return found, visible(p, found.Account, "rollout", name)
	}
	named, err := r.Store.ListRollouts(ctx, deviceops.RolloutFilter{Account: p.Account, Name: name, Limit: 1})
	if err != nil {
		return deviceops.Rollout{}, err
	}
	if len(named) == 0 {
		return deviceops.Rollout{}, outside("rollout", name)
	}
	return r.Store.FindRollout(ctx, named[0].ID)
}

func (r rolloutService) get(ctx context.Context, p deviceops.Principal, in *RolloutPath) (deviceops.RolloutReport, error) {
	found, err := r.find(ctx, p, in.Name)
	if err != nil {
		return deviceops.RolloutReport{}, err
	}
	return r.report(ctx, found)
}

// watch sends a rollout at once and then whenever it changed, until it has ended.
func (r rolloutService) watch(ctx context.Context, p deviceops.Principal, in *RolloutPath) (source, error) {
	found, err := r.find(ctx, p, in.Name)
	if err != nil {
		return nil, err
	}
	var last []byte
	return func(ctx context.Context) ([]message, bool, error) {
		now, err := r.Store.FindRollout(ctx, found.ID)
		if err != nil {
			return nil, true, err
		}
		report, err := r.report(ctx, now)
		if err != nil {
			return nil, true, err
		}
		seen, err := json.Marshal(report)
		if err != nil || bytes.Equal(seen, last) {
			return nil, now.Status.Ended(), err
		}
		last = seen
		return []message{{event: "rollout", data: report}}, now.Status.Ended(), nil
	}, nil
}

type rolloutDeviceFilter struct {
	RolloutPath
	Paged
	Ring   string `query:"ring" doc:"Name of a ring, or its number from 0"`
	Status string `query:"status" enum:"pending,sent,accepted,deferred,succeeded,failed,rejected,timed_out,excused,canceled,reverting,reverted,revert_failed"`
	Wait   string `query:"wait" enum:"ring,approval,start,paused,freeze,rate,in_flight,offline,sleep,window,budget,ready,lock,conflict,family,retry,deferred"`
}

func (r rolloutService) devices(ctx context.Context, p deviceops.Principal, in *rolloutDeviceFilter) (page[deviceops.RolloutDevice], error) {
	found, err := r.find(ctx, p, in.Name)
	if err != nil {
		return page[deviceops.RolloutDevice]{}, err
	}
	ring, err := ringOf(found, in.Ring)
	if err != nil {
		return page[deviceops.RolloutDevice]{}, err
	}
	after, err := in.after()
	if err != nil {
		return page[deviceops.RolloutDevice]{}, err
	}
	rows, err := r.Store.ListRolloutDevices(ctx, deviceops.RolloutDeviceFilter{
		Rollout: found.ID, Ring: ring, Status: deviceops.RolloutDeviceStatus(in.Status), Wait: deviceops.WaitKind(in.Wait), After: after, Limit: in.Limit + 1,
	})
	return pageOf(rows, in.Limit, func(d deviceops.RolloutDevice) string { return d.Device }), err
}

// ringOf gives the index of a ring by its name or number; nil for "".
func ringOf(r deviceops.Rollout, name string) (*int, error) {
	if name == "" {
		return nil, nil
	}
	number, err := strconv.Atoi(name)
	for _, ring := range r.Rings {
		if ring.Name == name || err == nil && ring.Index == number {
			return &ring.Index, nil
		}
	}
	return nil, deviceops.Errorf(deviceops.ENOTFOUND, "rollout %s has no ring %s", r.Name, name)
}
