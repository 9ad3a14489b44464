package dsl

// ActionSpec describes an action of the engine to the checker.
type ActionSpec struct {
	Summary string
	Args    []ArgSpec
	Device  bool // the action works on the step's device
}

// ArgSpec describes an argument of an action.
type ArgSpec struct {
	Name     string
	Kind     ArgKind
	Enum     []string // ArgText: the values allowed; empty means any
	Required bool
	Summary  string
}

// ArgKind is what an argument takes.
type ArgKind string

// Kinds of arguments.
const (
	ArgText    ArgKind = "text"
	ArgMap     ArgKind = "map"
	ArgBoolean ArgKind = "boolean"
	ArgAny     ArgKind = "any"
	ArgSecret  ArgKind = "secret" // a reference: secret:path
)

// Names of the actions that every installation has.
const (
	ActionTransition = "device.transition"
	ActionGet        = "device.get"
	ActionConfigure  = "device.configure"
	ActionLog        = "log"
)

// CoreActions are the actions that every installation has.
var CoreActions = map[string]ActionSpec{
	ActionTransition: {
		Summary: "brings the device into another state; gives {state, previous}",
		Device:  true,
		Args: []ArgSpec{
			{Name: "to", Kind: ArgText, Required: true, Enum: stateNames(), Summary: "the state"},
			{Name: "reason", Kind: ArgText, Summary: "shown on the timeline of the device and in the audit log"},
		},
	},
	ActionGet: {
		Summary: "reads the device as it is now; gives the same fields as `device` in expressions",
		Device:  true,
	},
	ActionConfigure: {
		Summary: "changes the desired configuration and waits until the device confirms it; gives {version}",
		Device:  true,
		Args: []ArgSpec{
			{Name: "configuration", Kind: ArgMap, Required: true, Summary: "settings to change; null removes one"},
		},
	},
	ActionLog: {
		Summary: "puts a line on the timeline of the run",
		Args: []ArgSpec{
			{Name: "message", Kind: ArgText, Required: true, Summary: "the line"},
			{Name: "level", Kind: ArgText, Enum: []string{"info", "warning", "error"}, Summary: "info when left out"},
		},
	},
}

func (s ActionSpec) argNames() []string {
	names := make([]string, len(s.Args))
	for i, a := range s.Args {
		names[i] = a.Name
	}
	return names
}
