package dsl

import (
	"bytes"
	"context"
	"encoding/json"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// ReadManifest implements deviceops.Catalog.
func (c *Catalog) ReadManifest(ctx context.Context, store deviceops.Store, account string, d deviceops.ManifestDraft) (*deviceops.RolloutSpec, string, error) {
	source, err := draftSource(d)
	if err != nil {
		return nil, "", err
	}
	published := &Published{Catalog: c, Store: store, Account: account}
	spec, found := CompileRollout("manifest", source, published.Options(ctx))
	if err := published.Failed(); err != nil {
		return nil, "", err
	}
	if err := found.Err(); err != nil {
		return nil, "", deviceops.Errorf(deviceops.EINVALID, "the manifest cannot be used: %w", err)
	}
	return spec, source, nil
}

// draftSource gives the YAML of a draft: what was written, if that is YAML and
// nothing is filled in.
func draftSource(d deviceops.ManifestDraft) (string, error) {
	var text string
	written := json.Unmarshal(d.Manifest, &text) == nil
	if !written {
		text = string(d.Manifest) // JSON is YAML
	}
	var manifest map[string]any
	if err := yaml.Unmarshal([]byte(text), &manifest); err != nil || manifest == nil {
		return "", deviceops.Errorf(deviceops.EINVALID, "manifest: it is no YAML with the keys of a rollout")
	}
	name, _ := manifest["rollout"].(string)
	switch {
	case d.Name != "":
		name = d.Name
	case name == "":
		name = d.Unnamed
	}
	if written && name == manifest["rollout"] && d.Release == "" {
		return text, nil
	}
	delete(manifest, "rollout")
	if d.Release != "" {
		manifest["change"] = map[string]any{"release": d.Release}
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	err := encoder.Encode(manifest)
	head, _ := json.Marshal(name) // the first key names the kind
	return "rollout: " + string(head) + "\n" + out.String(), err
}
