package dsl

import (
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// changeKeys are the keys of a change, of which one says what is done.
var changeKeys = []fieldSpec{
	{"release", textSchema("PROJECT@VERSION; the device gets the command install")},
	{"config", mapOf("settings that are merged into the desired configuration; null removes one", valueSchema(""))},
	{"command", objectSchema("a command of the profile", []string{"name"}, changeCommandKeys)},
	{"workflow", textSchema("NAME@VERSION or NAME@latest: a run for each device, with an input device")},
	{"inputs", mapOf("further inputs of the workflow", valueSchema(""))},
}

var changeCommandKeys = []fieldSpec{
	{"name", textSchema("the name of the command")},
	{"args", mapOf("its arguments", valueSchema(""))},
}

// changeKinds are the keys of which a change has one.
var changeKinds = []string{"release", "config", "command", "workflow"}

func changeSchema() schema {
	s := objectSchema("what each device gets", nil, changeKeys)
	var one []any
	for _, kind := range changeKinds {
		one = append(one, schema{"required": []string{kind}})
	}
	s["oneOf"] = one
	return s
}

func (m *manifest) change(n *yaml.Node) {
	o := m.object(n, "change", fieldNames(changeKeys)...)
	if o == nil {
		return
	}
	var given []string
	for _, kind := range changeKinds {
		if o.has(kind) {
			given = append(given, kind)
		}
	}
	switch {
	case len(given) == 0:
		m.report(n, "missing-key", "write change: { release: PROJECT@VERSION }, or one of "+joinNames(changeKinds), "it is not said what is rolled out")
		return
	case len(given) > 1:
		m.report(o.keys[given[1]], "two-changes", "write a rollout for each", "a rollout has one change, and this names %s", strings.Join(given, " and "))
		return
	}
	m.spec.Change.Kind = deviceops.ChangeKind(given[0])
	if o.has("inputs") && given[0] != "workflow" {
		m.report(o.keys["inputs"], "no-meaning", "remove it", "inputs has a meaning only with workflow")
	}
	m.changeValue(o, o.get(given[0]))
}

// changeValue reads what stands beside the key that names the kind.
func (m *manifest) changeValue(o *object, n *yaml.Node) {
	change := &m.spec.Change
	switch change.Kind {
	case deviceops.ChangeRelease:
		m.release(n)
	case deviceops.ChangeConfig:
		if config := m.entries(n, "config"); config != nil && len(config.order) == 0 {
			m.report(n, "empty", "write config: { brightness: 80 }", "no setting is changed")
		}
		change.Config, _ = m.constant(n).(map[string]any)
	case deviceops.ChangeCommand:
		m.changeCommand(n)
	case deviceops.ChangeWorkflow:
		m.changeWorkflow(o, n)
	}
}

// release reads which release is rolled out.
func (m *manifest) release(n *yaml.Node) {
	text, ok := m.text(n, "a release")
	if !ok {
		return
	}
	ref, err := deviceops.ParseReleaseRef(text)
	if err != nil {
		m.report(n, "bad-reference", "write PROJECT@VERSION, such as kiosk-os@2.4.0", "%s does not say which version of which project", quoteShort(text))
		return
	}
	m.spec.Change.Release = text
	m.facts["release"] = map[string]any{"project": ref.Project, "version": ref.Version}
}

// changeCommand reads name and arguments of a command. They are checked once the
// targets are known.
func (m *manifest) changeCommand(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && isText(n) {
		m.report(n, "wrong-type", "write command: { name: "+n.Value+" }", "command must be a map with name and args")
		return
	}
	o := m.object(n, "command", fieldNames(changeCommandKeys)...)
	if o == nil {
		return
	}
	if !o.has("name") {
		m.report(n, "missing-key", "write command: { name: reboot }", "it is not said which command")
		return
	}
	m.spec.Change.Command, _ = m.action(o.get("name"), "the name of a command")
	if v := o.get("args"); v != nil && m.entries(v, "args") != nil {
		m.spec.Change.Args, _ = m.constant(v).(map[string]any)
	}
}

// changeWorkflow reads which workflow is run for each device.
func (m *manifest) changeWorkflow(o *object, n *yaml.Node) {
	text, ok := m.text(n, "a workflow")
	if !ok {
		return
	}
	name, version := m.workflowReference(n, text)
	if name == "" {
		return
	}
	m.spec.Change.Workflow = strings.TrimSuffix(text, "@latest")
	inputs := o.get("inputs")
	if inputs != nil && m.entries(inputs, "inputs") != nil {
		m.spec.Change.Inputs, _ = m.constant(inputs).(map[string]any)
	}
	m.opts.calls = append(m.opts.calls, call{m.checker, n, inputs, name, version, "add it below inputs:"})
}

// targetedProfile gives the profile that targets ask for, nil if they do not, or
// if it is not known.
func (m *manifest) targetedProfile(targets string) *deviceops.Profile {
	tree, err := parser.ParseWithConfig(targets, baseConfig)
	if err != nil {
		return nil
	}
	for _, part := range conjunctsOf(tree.Node) {
		equal, ok := part.(*ast.BinaryNode)
		if !ok || equal.Operator != "==" {
			continue
		}
		for _, sides := range [][2]ast.Node{{equal.Left, equal.Right}, {equal.Right, equal.Left}} {
			name, constant := sides[1].(*ast.StringNode)
			if constant && sides[0].String() == "device.profile" {
				p, _ := m.opts.profile(name.Value)
				return p
			}
		}
	}
	return nil
}
