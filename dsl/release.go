package dsl

import (
	"math"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

var releaseKeys = []fieldSpec{
	{"release", textSchema("PROJECT@VERSION")},
	{"notes", textSchema("what is new")},
	{"components", mapOf("what runs on a device, by name, in the order of installation", objectSchema("a component", []string{"sha256"}, componentKeys))},
	{"configuration", mapOf("configuration that belongs to the release", valueSchema(""))},
	{"requires", mapOf("what a device must run before, by component", textSchema("versions, such as >=3"))},
	{"from", textSchema("versions that a device may come from, such as >=2.2 <3")},
	{"reversible", booleanSchema("a device can go back to what it came from; left out: true")},
	{"downgrade", schema{"enum": words(downgrades), "description": "whether it may take devices to lower versions; left out: refuse"}},
	{"signature", textSchema("the author's signature over the release, base64")},
	{"signer", textSchema("id of the release key that made the signatures")},
}

var componentKeys = []fieldSpec{
	{"kind", schema{"enum": words(deviceops.ComponentKinds()), "description": "left out: the name if it is one of these, else app"}},
	{"version", textSchema("left out: the release's")},
	{"url", textSchema("where it lies outside the installation; left out: it was uploaded")},
	{"sha256", schema{"type": "string", "pattern": "^[0-9a-f]{64}$"}},
	{"size", integerSchema("bytes; left out: of what was uploaded", 1)},
	{"group", textSchema("components of a group activate and revert together")},
	{"order", integerSchema("lower ones first; equal ones as written", 0)},
	{"signature", textSchema("the author's signature over the component, base64")},
}

var downgrades = []string{"allow", "refuse"}

func releaseSchema() schema {
	return objectSchema("a version of what devices run", []string{"release"}, releaseKeys)
}

// readRelease reads a release whose content was uploaded or lies elsewhere.
func readRelease(c *checker, out *Compiled) {
	o := c.object(c.doc.root, "a release", fieldNames(releaseKeys)...)
	if o == nil {
		return
	}
	r := &deviceops.ReleaseRequest{}
	c.releaseName(o.get("release"), r)
	out.Name, out.Release = r.Project+"@"+r.Version, r
	readers := map[string]func(*yaml.Node, *deviceops.ReleaseRequest){
		"notes":         func(n *yaml.Node, r *deviceops.ReleaseRequest) { r.Notes, _ = c.text(n, "notes") },
		"components":    c.releaseComponents,
		"configuration": func(n *yaml.Node, r *deviceops.ReleaseRequest) { r.Configuration = c.constantMap(n, "configuration") },
		"requires":      c.requires,
		"from":          func(n *yaml.Node, r *deviceops.ReleaseRequest) { r.From = c.constraint(n, "from") },
		"reversible":    func(n *yaml.Node, r *deviceops.ReleaseRequest) { r.Irreversible = !c.boolean(n, "reversible") },
		"downgrade": func(n *yaml.Node, r *deviceops.ReleaseRequest) {
			r.Downgrade = c.choice(n, "downgrade", downgrades...) == "allow"
		},
		"signature": func(n *yaml.Node, r *deviceops.ReleaseRequest) { r.Signature, _ = c.text(n, "a signature") },
		"signer":    func(n *yaml.Node, r *deviceops.ReleaseRequest) { r.Signer, _ = c.text(n, "a signer") },
	}
	for _, key := range o.order {
		if read := readers[key]; read != nil {
			read(o.get(key), r)
		}
	}
	c.wholeRelease(o, r)
}

func (c *checker) releaseName(n *yaml.Node, r *deviceops.ReleaseRequest) {
	text, ok := c.text(n, "the name of a release")
	if !ok {
		return
	}
	ref, err := deviceops.ParseReleaseRef(text)
	if err != nil {
		c.report(n, "bad-name", "write PROJECT@VERSION, such as kiosk-os@2.4.0", "%s names no version of a project", quoteShort(text))
	}
	r.Project, r.Version = ref.Project, ref.Version
}

// wholeRelease reports what is missing, and signatures without their other half.
func (c *checker) wholeRelease(o *object, r *deviceops.ReleaseRequest) {
	name := o.keys["release"]
	if len(r.Components) == 0 && len(r.Configuration) == 0 {
		c.report(name, "missing-key", "add components: or configuration:", "this release is of nothing")
	}
	if o.has("signature") != o.has("signer") {
		c.report(name, "missing-key", "add signature: and signer:, or neither; deviceops release create --key signs", "a signature needs the id of the key that made it, and the other way round")
	}
}

func (c *checker) releaseComponents(n *yaml.Node, r *deviceops.ReleaseRequest) {
	o := c.entries(n, "components")
	if o == nil {
		return
	}
	if len(o.order) > deviceops.MaxComponents {
		c.report(n, "too-large", "make two releases", "there are %d components; at most %d are allowed", len(o.order), deviceops.MaxComponents)
		return
	}
	for _, name := range o.order {
		if !deviceops.ValidID(name) {
			c.report(o.keys[name], "bad-name", "write a name such as os", "the name of a component may have letters, digits and ._:-")
			continue
		}
		r.Components = append(r.Components, c.releaseComponent(name, o.get(name)))
	}
}

func (c *checker) releaseComponent(name string, n *yaml.Node) deviceops.ComponentRequest {
	component := deviceops.ComponentRequest{Name: name}
	o := c.object(n, "the component "+name, fieldNames(componentKeys)...)
	if o == nil {
		return component
	}
	texts := map[string]*string{
		"version": &component.Version, "url": &component.URL, "sha256": &component.SHA256, "group": &component.Group, "signature": &component.Signature,
	}
	for _, key := range o.order {
		switch v := o.get(key); key {
		case "kind":
			component.Kind = c.choice(v, "kind", deviceops.ComponentKinds()...)
		case "size":
			component.Size = int64(c.integer(v, "size", 1, math.MaxInt))
		case "order":
			component.Order = c.integer(v, "order", 0, 1000)
		default:
			*texts[key], _ = c.text(v, key)
		}
	}
	if !o.has("sha256") {
		c.report(n, "missing-key", "add sha256:, which sha256sum prints", "it is not said what the content of %s is", name)
	}
	c.checkContent(o, component.URL, component.SHA256)
	return component
}

func (c *checker) requires(n *yaml.Node, r *deviceops.ReleaseRequest) {
	o := c.entries(n, "requires")
	if o == nil {
		return
	}
	r.Requires = map[string]deviceops.Constraint{}
	for _, name := range o.order {
		if !deviceops.ValidID(name) {
			c.report(o.keys[name], "bad-name", "write a name such as bootloader", "the name of a component may have letters, digits and ._:-")
			continue
		}
		r.Requires[name] = c.constraint(o.get(name), "the version of "+name)
	}
}
