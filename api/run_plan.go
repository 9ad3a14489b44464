package api

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

// plan resolves what is asked for: the version of the workflow, the types of
// the inputs, the device.
func (r runService) plan(ctx context.Context, p deviceops.Principal, q deviceops.RunRequest) (deviceops.Run, error) {
	account, err := r.runAccount(ctx, p, q)
	if err != nil {
		return deviceops.Run{}, err
	}
	document, program, err := r.program(ctx, account, q.Workflow)
	if err != nil {
		return deviceops.Run{}, err
	}
	inputs, err := program.CoerceInputs(withDevice(program, q))
	if err != nil {
		return deviceops.Run{}, err
	}
	if err := r.checkDevices(ctx, p, program, inputs); err != nil {
		return deviceops.Run{}, err
	}
	device, err := r.defaultDevice(ctx, p, program, inputs, q.Device)
	return deviceops.Run{
		Account: account, Workflow: document.Name, Version: document.Version, Hash: document.Hash, Device: device, Inputs: inputs,
		Status: deviceops.RunPending, StartedBy: p.Name, StartedAt: r.Now(),
	}, err
}

// runAccount is where the workflow is looked up and the run belongs.
func (r runService) runAccount(ctx context.Context, p deviceops.Principal, q deviceops.RunRequest) (string, error) {
	if q.Account != "" || q.Device == "" {
		return scope(p, q.Account)
	}
	device, err := r.device(ctx, p, q.Device)
	return device.Account, err
}

// program gives the published workflow that "name" or "name@version" means.
func (r runService) program(ctx context.Context, account, reference string) (deviceops.Document, *dsl.Program, error) {
	name, version, err := splitReference(reference)
	if err != nil {
		return deviceops.Document{}, nil, err
	}
	document, err := r.Store.FindDocument(ctx, account, deviceops.KindWorkflow, name, version)
	if err != nil {
		return deviceops.Document{}, nil, err
	}
	program, found := dsl.Compile(document.Source)
	return document, program, found.Err()
}

func splitReference(reference string) (name string, version int, err error) {
	name, number, pinned := strings.Cut(reference, "@")
	if !pinned || number == "latest" {
		return name, 0, nil
	}
	version, err = strconv.Atoi(number)
	if err != nil || version < 1 {
		return "", 0, deviceops.Errorf(deviceops.EINVALID, "workflow %q: write name, or name@version with a number from 1", reference)
	}
	return name, version, nil
}

// withDevice gives the inputs with the default device as the input of that
// name, where the workflow has one and the caller did not give it.
func withDevice(program *dsl.Program, q deviceops.RunRequest) map[string]any {
	_, given := q.Inputs["device"]
	if q.Device == "" || given || !hasDeviceInput(program) {
		return q.Inputs
	}
	inputs := map[string]any{"device": q.Device}
	maps.Copy(inputs, q.Inputs)
	return inputs
}

func hasDeviceInput(program *dsl.Program) bool {
	return slices.ContainsFunc(program.DeviceInputs(), func(d deviceops.DeviceInput) bool { return d.Name == "device" })
}

// checkDevices sees that the devices among the inputs are the caller's and of
// the profile that the workflow asks for.
func (r runService) checkDevices(ctx context.Context, p deviceops.Principal, program *dsl.Program, inputs map[string]any) error {
	return deviceops.CheckDevices(program.DeviceInputs(), inputs, func(_ deviceops.DeviceInput, id string) (string, error) {
		device, err := r.device(ctx, p, id)
		return device.Profile, err
	})
}

// defaultDevice is the one asked for, else the one that the workflow names in
// terms of its inputs. What cannot be known before the run begins is "".
func (r runService) defaultDevice(ctx context.Context, p deviceops.Principal, program *dsl.Program, inputs map[string]any, asked string) (string, error) {
	if asked == "" {
		v, err := program.Device.Eval(dsl.Env{Inputs: inputs})
		if id, ok := v.(string); ok && err == nil {
			asked = id
		}
	}
	if asked == "" {
		return "", nil
	}
	_, err := r.device(ctx, p, asked)
	return asked, err
}
