package starter

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/workflows"
)

// RegisterAttributes makes sure that a namespace ("": default) knows the
// attributes by which workflows are found. EFORBIDDEN says how to register those
// that are missing, when this client may not.
func RegisterAttributes(ctx context.Context, c client.Client, namespace string) error {
	if namespace == "" {
		namespace = client.DefaultNamespace
	}
	ctx, cancel := bounded(ctx, updateTimeout)
	defer cancel()
	missing, err := missingAttributes(ctx, c, namespace)
	if err != nil || len(missing) == 0 {
		return err
	}
	_, err = c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: missing})
	if err != nil {
		return unregistered(namespace, missing, err)
	}
	return nil
}

func missingAttributes(ctx context.Context, c client.Client, namespace string) (map[string]enums.IndexedValueType, error) {
	missing := map[string]enums.IndexedValueType{}
	for _, a := range workflows.Attributes() {
		missing[a.GetName()] = a.GetValueType()
	}
	known, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return missing, unregistered(namespace, missing, err)
	}
	for name := range known.GetCustomAttributes() {
		delete(missing, name)
	}
	return missing, nil
}

// unregistered says what whoever runs Temporal has to do.
func unregistered(namespace string, missing map[string]enums.IndexedValueType, err error) error {
	var b strings.Builder
	for _, a := range workflows.Attributes() {
		if kind, ok := missing[a.GetName()]; ok {
			fmt.Fprintf(&b, " --name %s --type %s", a.GetName(), kind)
		}
	}
	return deviceops.Errorf(deviceops.EFORBIDDEN,
		"Temporal does not let this process register search attributes; have it done by: temporal operator search-attribute create --namespace %s%s: %w", namespace, b.String(), err)
}

// attributes gives what a workflow is found by.
func attributes(start deviceops.Start) temporal.SearchAttributes {
	if start.Type == workflows.TypeProvision {
		return temporal.NewSearchAttributes(workflows.AttributeDevice.ValueSet(start.Device))
	}
	var in struct{ Run deviceops.Run }
	data, err := json.Marshal(start.Input) // in the outbox it is JSON already
	if err != nil || json.Unmarshal(data, &in) != nil || in.Run.ID == "" {
		return temporal.SearchAttributes{}
	}
	return workflows.RunAttributes(in.Run)
}
