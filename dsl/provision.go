package dsl

import (
	"math"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// Bounds of heartbeat.every.
const (
	minHeartbeat = time.Second
	maxHeartbeat = 24 * time.Hour
)

var provisionKeys = []fieldSpec{
	{"configuration", mapOf("desired configuration of a new device", valueSchema(""))},
	{"software", mapOf("versions that a new device may run, by component", schema{"anyOf": []any{
		schema{"type": "string"}, objectSchema("which version, and how to get there", []string{"want"}, softwareKeys),
	}})},
	{"approve", schema{"anyOf": []any{
		schema{"type": "boolean"}, objectSchema("who admits a new device", []string{"by"}, []fieldSpec{{"by", refTo("people")}}),
	}, "description": "a person admits each new device"}},
	{"proof", schema{"enum": []any{deviceops.ProofClaim, deviceops.ProofTopic}, "description": "how a device proves that it is the one that was registered: by its claim, or by its topics, which the broker keeps for it"}},
	{"workflow", schema{"type": "string", "description": "a workflow to run before activation: NAME@VERSION or NAME@latest, with an input device"}},
	{"timeout", durationSchema("for the whole of it; 1h when left out")},
	{"retries", integerSchema("re-tries of a failed command", 0)},
}

var softwareKeys = []fieldSpec{
	{"want", textSchema("versions that are right, such as >=2.3.0")},
	{"install", objectSchema("what to install when another version is reported", []string{"to", "url"}, installKeys)},
}

var installKeys = []fieldSpec{
	{"to", textSchema("the version that this installs")},
	{"url", textSchema("where the device gets it")},
	{"size", integerSchema("bytes", 0)},
	{"sha256", schema{"type": "string", "pattern": "^[0-9a-f]{64}$"}},
	{"signature", textSchema("checked by the device")},
	{"order", integerSchema("lower ones first", 0)},
	{"group", textSchema("components of a group activate and revert together")},
}

func (c *checker) provision(n *yaml.Node, p *deviceops.Profile) {
	o := c.object(n, "provision", fieldNames(provisionKeys)...)
	if o == nil {
		return
	}
	spec := &p.Provision
	if v := o.get("configuration"); v != nil && c.entries(v, "configuration") != nil {
		spec.Configuration, _ = c.constant(v).(map[string]any)
	}
	if v := o.get("software"); v != nil {
		spec.Software = c.software(v)
	}
	if v := o.get("proof"); v != nil {
		spec.Proof = c.proof(v)
	}
	if v := o.get("approve"); v != nil {
		spec.Approve, spec.ApproveBy = c.admission(v)
	}
	if v := o.get("workflow"); v != nil {
		spec.Workflow = c.provisionWorkflow(v)
	}
	if v := o.get("timeout"); v != nil {
		spec.Timeout = c.duration(v, "timeout")
	}
	if v := o.get("retries"); v != nil {
		spec.Retries = c.integer(v, "retries", 0, MaxRetries)
	}
}

// admission reads approve: true, or { by: [role:operator] }.
func (c *checker) admission(n *yaml.Node) (bool, []string) {
	if n.Kind != yaml.MappingNode {
		return c.boolean(n, "approve"), nil
	}
	o := c.object(n, "approve", "by")
	if o == nil || !o.has("by") {
		c.report(n, "missing-key", "write approve: true, or approve: { by: [role:operator] }", "it is not said who admits new devices")
		return true, nil
	}
	return true, c.people(o.get("by"))
}

func (c *checker) provisionWorkflow(n *yaml.Node) string {
	text, ok := c.text(n, "workflow")
	if !ok {
		return ""
	}
	if name, version := c.workflowReference(n, text); name != "" {
		c.opts.calls = append(c.opts.calls, call{c, n, nil, name, version, "give it a default, since provisioning gives the device only"})
	}
	return text
}

func (c *checker) software(n *yaml.Node) map[string]deviceops.SoftwareSpec {
	o := c.entries(n, "software")
	if o == nil {
		return nil
	}
	all := map[string]deviceops.SoftwareSpec{}
	for _, component := range o.order {
		c.word(o.keys[component], "the name of a component")
		all[component] = c.component(component, o.get(component))
	}
	return all
}

func (c *checker) component(name string, n *yaml.Node) deviceops.SoftwareSpec {
	if n.Kind != yaml.MappingNode {
		return deviceops.SoftwareSpec{Want: c.constraint(n, "the version of "+name)}
	}
	var spec deviceops.SoftwareSpec
	o := c.object(n, "the component "+name, fieldNames(softwareKeys)...)
	if !o.has("want") {
		c.report(n, "missing-key", `write want: ">=2.3.0"`, "it is not said which version of %s is right", name)
		return spec
	}
	spec.Want = c.constraint(o.get("want"), "want")
	if v := o.get("install"); v != nil {
		spec.Install = c.install(name, v)
		c.checkTarget(v, spec)
	}
	return spec
}

// checkTarget reports an installation that would not lead to a right version.
func (c *checker) checkTarget(n *yaml.Node, spec deviceops.SoftwareSpec) {
	if spec.Install == nil || spec.Install.To == "" || spec.Want.Check() != nil || spec.Want.Allows(spec.Install.To) {
		return
	}
	c.report(n, "bad-version", "install a version that is "+string(spec.Want), "this installs %s, which is not %s", spec.Install.To, spec.Want)
}

func (c *checker) constraint(n *yaml.Node, what string) deviceops.Constraint {
	text, ok := c.text(n, what)
	if !ok {
		return ""
	}
	constraint := deviceops.Constraint(text)
	if err := constraint.Check(); err != nil {
		c.report(n, "bad-version", `write it as ">=2.3.0"`, "%s: %s", what, err)
	}
	return constraint
}

func (c *checker) install(name string, n *yaml.Node) *deviceops.ComponentChange {
	o := c.object(n, "install", fieldNames(installKeys)...)
	if o == nil {
		return nil
	}
	component := &deviceops.ComponentChange{Name: name}
	texts := map[string]*string{
		"to": &component.To, "url": &component.URL, "sha256": &component.SHA256,
		"signature": &component.Signature, "group": &component.Group,
	}
	for _, key := range o.order {
		if to := texts[key]; to != nil {
			*to, _ = c.text(o.get(key), key)
		}
	}
	for _, key := range []string{"to", "url"} {
		if !o.has(key) {
			c.report(n, "missing-key", "add "+key+":", "install needs %s", key)
		}
	}
	if v := o.get("size"); v != nil {
		component.Size = int64(c.integer(v, "size", 1, math.MaxInt))
	}
	if v := o.get("order"); v != nil {
		component.Order = c.integer(v, "order", 0, 1000)
	}
	c.checkContent(o, component.URL, component.SHA256)
	return component
}

// checkContent checks where content lies and what it is, as far as that is said.
func (c *checker) checkContent(o *object, url, sha256 string) {
	if n := o.get("url"); n != nil && url != "" && !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://") {
		c.report(n, "bad-url", "begin with https://", "%s is no address that a device can load from", quoteShort(url))
	}
	if n := o.get("sha256"); n != nil && sha256 != "" && !deviceops.ValidSHA256(sha256) {
		c.report(n, "bad-digest", "write the 64 hexadecimal digits that sha256sum prints", "this is not a SHA-256 digest")
	}
}
