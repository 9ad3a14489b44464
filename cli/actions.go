package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deviceops/deviceops"
)

// isActionKind tells what `get` shows without a server: actions are no documents.
func isActionKind(kind string) bool { return kind == "actions" || kind == "action" }

// offlineActions lets a command show actions by itself and leaves everything else
// to next.
func (a *app) offlineActions(next func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if isActionKind(args[0]) {
			return a.getActions(args[1:])
		}
		return next(cmd, args)
	}
}

// getActions shows all actions, or the one that is named.
func (a *app) getActions(names []string) error {
	if len(names) == 0 {
		return a.show(a.Actions, func(w *screen) {
			rows := make([][]string, len(a.Actions))
			for i, spec := range a.Actions {
				rows[i] = []string{spec.Name, spec.Summary}
			}
			w.table([]string{"NAME", "SUMMARY"}, rows)
		})
	}
	i := slices.IndexFunc(a.Actions, func(spec deviceops.ActionSpec) bool { return spec.Name == names[0] })
	if i < 0 {
		return deviceops.Errorf(deviceops.ENOTFOUND, "there is no action %q; deviceops get actions lists them", names[0])
	}
	return a.show(a.Actions[i], func(w *screen) { w.action(a.Actions[i]) })
}

func (w *screen) action(spec deviceops.ActionSpec) {
	w.line("%s %s.", spec.Name, spec.Summary)
	if spec.Description != "" {
		w.line("\n%s", spec.Description)
	}
	w.line("")
	w.fields("works on the step's device", yesNo(spec.Device), "harmless to repeat", yesNo(spec.Idempotent))
	w.line("\nARGUMENTS")
	w.members(members(spec.Args, ""))
	w.line("\nOUTPUT")
	w.members(members(spec.Output, ""))
	w.line("\nEXAMPLE\n%s", indent(spec.Example, "  "))
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// member is one line about a schema: an argument, or a field of an output.
type member struct{ path, kind, notes, about string }

func (w *screen) members(all []member) {
	if len(all) == 0 {
		w.line("  none")
		return
	}
	rows := make([][]string, len(all))
	for i, m := range all {
		rows[i] = []string{"  " + m.path, m.kind, dash(m.notes), m.about}
	}
	w.table([]string{"  NAME", "TYPE", "NOTES", "WHAT"}, rows)
}

// property is what is shown of a schema.
type property struct {
	Type        string
	Format      string
	Description string
	Enum        []string
	Default     any
	Minimum     *float64
	Maximum     *float64
	Items       *property
	Properties  map[string]json.RawMessage
	Required    []string
}

// members lists the fields of an object and those inside them, the required ones
// first.
func members(raw json.RawMessage, below string) (all []member) {
	var s property
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil {
		return nil
	}
	if s.Format == deviceops.FormatDevice {
		return []member{{below + "*", "any", "", "the fields of `device` in expressions"}}
	}
	names := slices.Sorted(maps.Keys(s.Properties))
	slices.SortStableFunc(names, func(x, y string) int { return rank(s.Required, x) - rank(s.Required, y) })
	for _, name := range names {
		var p property
		if json.Unmarshal(s.Properties[name], &p) == nil {
			all = append(all, member{below + name, p.kind(), p.notes(slices.Contains(s.Required, name)), p.Description})
			all = append(all, members(s.Properties[name], below+name+".")...)
		}
	}
	return all
}

func rank(required []string, name string) int {
	if slices.Contains(required, name) {
		return 0
	}
	return 1
}

func (p property) kind() string {
	switch {
	case p.Format == deviceops.FormatSecret, p.Format == deviceops.FormatDuration:
		return p.Format
	case p.Type == "":
		return "any"
	case p.Type == "object":
		return "map"
	case p.Type == "array" && p.Items != nil:
		return "[" + p.Items.kind() + "]"
	default:
		return p.Type
	}
}

func (p property) notes(required bool) string {
	var notes []string
	if required {
		notes = append(notes, "required")
	}
	if p.Default != nil {
		notes = append(notes, fmt.Sprintf("default %v", p.Default))
	}
	if p.Minimum != nil && p.Maximum != nil {
		notes = append(notes, fmt.Sprintf("%.0f..%.0f", *p.Minimum, *p.Maximum))
	}
	if len(p.Enum) > 0 {
		notes = append(notes, strings.Join(p.Enum, "|"))
	}
	return strings.Join(notes, ", ")
}
