package activities

import (
	"context"
	"maps"
	"reflect"
	"slices"

	"github.com/deviceops/deviceops"
)

var _ = addAction(NewAction(About{
	Name: "device.update", Summary: "changes tags, labels and attributes of the device", Device: true, Idempotent: true, Quick: true,
	Description: "Labels and attributes that are not named stay; `null` removes one. Attributes have to be declared in the profile and be of the type declared there.",
	Example: `
- action: device.update
  with:
    tags: { add: [inspected], remove: [suspect] }
    labels: { technician: maria, spare: null }
    attributes: { ram_mb: 4096 }`,
}, updateDevice))

type deviceChange struct {
	Tags       tagChange      `json:"tags" doc:"tags to add and to remove"`
	Labels     map[string]any `json:"labels" doc:"labels to set, each a text; null removes one"`
	Attributes map[string]any `json:"attributes" doc:"attributes to set; null removes one"`
}

type tagChange struct {
	Add    []string `json:"add" max:"100" doc:"tags that the device is to have"`
	Remove []string `json:"remove" max:"100" doc:"tags that it is not to have"`
}

type updateOutput struct {
	Changed bool `json:"changed" doc:"whether anything was different before"`
}

func updateDevice(ctx context.Context, c *Call, change deviceChange) (out updateOutput, err error) {
	device, err := c.Device(ctx)
	if err != nil {
		return out, err
	}
	profile, err := deviceops.ProfileOf(ctx, c.deps.Catalog, &device)
	if err != nil {
		return out, err
	}
	err = c.deps.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		current, err := lockDevice(ctx, tx, device.ID)
		if err != nil {
			return err
		}
		before := *current
		if err := change.apply(current, profile); err != nil {
			return err
		}
		if out.Changed = !sameFacts(before, *current); !out.Changed {
			return nil
		}
		current.UpdatedAt = c.Now()
		if err := tx.SaveDevice(ctx, current); err != nil {
			return err
		}
		return c.audit(ctx, tx, current.Account, "device.update", "device:"+current.ID, "", map[string]any{
			"tags": current.Tags, "labels": current.Labels, "attributes": current.Attributes,
		})
	})
	return out, err
}

// apply makes the change on copies: what the device had before stays as it was.
func (ch deviceChange) apply(d *deviceops.Device, profile *deviceops.Profile) error {
	d.Tags = ch.Tags.apply(d.Tags)
	labels, err := applyLabels(d.Labels, ch.Labels)
	if err != nil {
		return err
	}
	attributes, err := applyAttributes(d.Attributes, ch.Attributes, profile)
	if err != nil {
		return err
	}
	d.Labels, d.Attributes = labels, attributes
	return nil
}

func (ch tagChange) apply(tags []string) []string {
	all := append(slices.Clone(tags), ch.Add...)
	all = slices.DeleteFunc(all, func(tag string) bool { return tag == "" || slices.Contains(ch.Remove, tag) })
	slices.Sort(all)
	return slices.Compact(all)
}

func applyLabels(labels map[string]string, change map[string]any) (map[string]string, error) {
	all := maps.Clone(labels)
	if all == nil {
		all = map[string]string{}
	}
	for name, v := range change {
		text, isText := v.(string)
		switch {
		case v == nil:
			delete(all, name)
		case !isText:
			return nil, deviceops.Errorf(deviceops.EINVALID, "the label %s must be text, and this is %v; write string(...)", name, v)
		default:
			all[name] = text
		}
	}
	return all, nil
}

// applyAttributes checks the given attributes if the profile is known: what it
// does not declare is refused.
func applyAttributes(attributes, change map[string]any, profile *deviceops.Profile) (map[string]any, error) {
	all := maps.Clone(attributes)
	if all == nil {
		all = map[string]any{}
	}
	given := map[string]any{}
	for name, v := range change {
		if v == nil {
			delete(all, name)
			continue
		}
		given[name] = v
	}
	if profile != nil {
		typed, err := profile.TypedAttributes(given)
		if err != nil {
			return nil, err
		}
		given = typed
	}
	maps.Copy(all, given)
	return all, nil
}

func sameFacts(a, b deviceops.Device) bool {
	return slices.Equal(a.Tags, b.Tags) && maps.Equal(a.Labels, b.Labels) && reflect.DeepEqual(plain(a.Attributes), plain(b.Attributes))
}
