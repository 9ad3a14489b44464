package api

import (
	"context"
	"net/http"

	"github.com/deviceops/deviceops"
)

type deviceService struct{ *core }

func (s *server) deviceRoutes(d deviceService) {
	handle(s, route{
		id: "list-devices", method: http.MethodGet, path: "/v1/devices", role: deviceops.RoleViewer,
		summary: "List devices by id",
	}, d.list)
	handle(s, route{
		id: "register-device", method: http.MethodPost, path: "/v1/devices", role: deviceops.RoleOperator,
		summary: "Register a device", about: "Registering again changes tags, labels, attributes and place of a device that is known. An id or serial that is taken is a conflict.",
	}, d.register)
	handle(s, route{
		id: "get-device", method: http.MethodGet, path: "/v1/devices/{id}", role: deviceops.RoleViewer,
		summary: "Show a device with twin, session and latest metrics",
	}, d.get)
	handle(s, route{
		id: "tag-device", method: http.MethodPost, path: "/v1/devices/{id}/tags", role: deviceops.RoleOperator,
		summary: "Add and remove tags",
	}, d.tag)
	handle(s, route{
		id: "transition-device", method: http.MethodPost, path: "/v1/devices/{id}/transition", role: deviceops.RoleOperator,
		summary: "Move a device to another state",
		about:   "Into provisioning means to admit it without its claim: its provisioning starts at once. Into quarantined or retired withdraws its open commands.",
	}, d.transition)
	handle(s, route{
		id: "device-timeline", method: http.MethodGet, path: "/v1/devices/{id}/timeline", role: deviceops.RoleViewer,
		summary: "Tell what happened to a device, newest first",
	}, d.timeline)
	handle(s, route{
		id: "explain-device", method: http.MethodGet, path: "/v1/devices/{id}/explain", role: deviceops.RoleViewer,
		summary: "Tell what a device waits for and what to do",
	}, d.explain)
	handle(s, route{
		id: "device-stats", method: http.MethodGet, path: "/v1/devices/stats", role: deviceops.RoleViewer,
		summary: "Count devices by state and connectivity",
	}, d.stats)
	stream(s, route{
		id: "stream-device-stats", method: http.MethodGet, path: "/v1/devices/stats/stream", role: deviceops.RoleViewer,
		summary: "Follow the counts of devices", about: "An event `stats` whenever a count changed.",
	}, d.watchStats)
}

type deviceFilter struct {
	Paged
	Account      string `query:"account" doc:"This account and all below it"`
	State        string `query:"state" enum:"escrow,discovered,provisioning,active,maintenance,quarantined,retired"`
	Connectivity string `query:"connectivity" enum:"never,online,offline,sleeping,unreachable"`
	Wellness     string `query:"wellness" enum:"well,degraded,flapping"`
	Profile      string `query:"profile"`
	Tag          string `query:"tag"`
	Parent       string `query:"parent"`
	Search       string `query:"search" doc:"Part of the id or serial"`
}

func (d deviceService) list(ctx context.Context, p deviceops.Principal, in *deviceFilter) (page[deviceops.Device], error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return page[deviceops.Device]{}, err
	}
	after, err := in.after()
	if err != nil {
		return page[deviceops.Device]{}, err
	}
	rows, err := d.Store.ListDevices(ctx, deviceops.DeviceFilter{
		Account: account, State: deviceops.State(in.State), Connectivity: deviceops.Connectivity(in.Connectivity),
		Wellness: deviceops.WellnessStatus(in.Wellness), Profile: in.Profile, Tag: in.Tag, Parent: in.Parent, Search: in.Search, After: after, Limit: in.Limit + 1,
	})
	return pageOf(rows, in.Limit, func(d deviceops.Device) string { return d.ID }), err
}

// DevicePath is the part of an input that names a device.
type DevicePath struct {
	ID string `path:"id" maxLength:"128"`
}

func (d deviceService) get(ctx context.Context, p deviceops.Principal, in *DevicePath) (deviceops.Device, error) {
	return d.device(ctx, p, in.ID)
}

type registerInput struct {
	Reasoned
	Body deviceops.RegisterRequest
}

func (d deviceService) register(ctx context.Context, p deviceops.Principal, in *registerInput) (deviceops.RegisterReport, error) {
	prepare, err := d.registrar(ctx, p)
	if err != nil {
		return deviceops.RegisterReport{}, err
	}
	row, err := prepare(in.Body)
	if err != nil {
		return deviceops.RegisterReport{}, err
	}
	outcomes, err := d.registerRows(ctx, p, []deviceops.Registration{row}, in.because(in.Body.Reason))
	if err != nil {
		return deviceops.RegisterReport{}, err
	}
	if outcomes[0] == deviceops.Conflict {
		return deviceops.RegisterReport{}, deviceops.Errorf(deviceops.ECONFLICT, "%s", conflictReason(row))
	}
	device, err := d.Store.FindDevice(ctx, row.ID)
	return deviceops.RegisterReport{Outcome: outcomes[0], Device: device}, err
}

type tagInput struct {
	Reasoned
	DevicePath
	Body deviceops.TagRequest
}

func (d deviceService) tag(ctx context.Context, p deviceops.Principal, in *tagInput) (deviceops.Device, error) {
	if err := in.Body.Check(); err != nil {
		return deviceops.Device{}, err
	}
	var tagged deviceops.Device
	err := d.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		device, err := lockDevice(ctx, tx, p, in.ID)
		if err != nil {
			return err
		}
		device.Tags = deviceops.TagSet(device.Tags, in.Body.Add, in.Body.Remove)
		device.UpdatedAt = d.Now()
		if err := tx.SaveDevice(ctx, device); err != nil {
			return err
		}
		tagged = *device
		return tx.AppendAudit(ctx, d.entry(p, change{
			account: device.Account, action: "device.tag", target: "device:" + device.ID, reason: in.because(in.Body.Reason),
			evidence: map[string]any{"added": orEmpty(in.Body.Add), "removed": orEmpty(in.Body.Remove)},
		}))
	})
	return tagged, err
}

// lockDevice locks a device of the caller's subtree.
func lockDevice(ctx context.Context, tx deviceops.Tx, p deviceops.Principal, id string) (*deviceops.Device, error) {
	locked, err := tx.LockDevices(ctx, []string{id})
	if err != nil {
		return nil, err
	}
	device, ok := locked[id]
	if !ok {
		return nil, outside("device", id)
	}
	return device, visible(p, device.Account, "device", id)
}

type timelineInput struct {
	DevicePath
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func (d deviceService) timeline(ctx context.Context, p deviceops.Principal, in *timelineInput) (page[deviceops.TimelineEntry], error) {
	if _, err := d.device(ctx, p, in.ID); err != nil {
		return page[deviceops.TimelineEntry]{}, err
	}
	entries, err := d.Store.DeviceTimeline(ctx, in.ID, in.Limit)
	return page[deviceops.TimelineEntry]{Items: orEmpty(entries)}, err
}
