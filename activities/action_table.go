package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/deviceops/deviceops"
)

// About is what is said of an action in words.
type About struct {
	Name        string // group.verb, such as crm.update
	Summary     string // one line
	Description string // whatever else an author has to know: outcomes, codes of errors, limits
	Example     string // a step, in YAML
	Device      bool   // it works on the step's device
	Idempotent  bool   // to perform it again changes nothing more
	Waits       bool   // it is performed again and again until something has happened

	// Quick says that it reaches nothing but the store. Such actions are performed
	// several at a time, and again if the worker dies before it could tell: so they
	// have to be idempotent. Taking it from an action is a change of the engine.
	Quick bool
}

// None is the output of an action that gives nothing.
type None struct{}

// Action is one kind of action: what authors, checker and editors have to know
// of it, and how it is performed.
type Action struct {
	spec    deviceops.ActionSpec
	waits   bool
	quick   bool
	perform func(ctx context.Context, c *Call) (any, error)
}

// NewAction makes an action out of a function. Its arguments are the fields of
// A, a struct; these tags of a field describe it:
//
//	json:"name"       the argument's name
//	doc:"..."         what it is
//	required:"true"   it has to be given
//	default:"30s"     its value when it is not given
//	enum:"a,b"        the texts allowed
//	min:"1" max:"9"   bounds of a number; max of a text is its length, of a list its size
//	secret:"true"     it takes a reference such as secret:crm/token, see Call.Secret
//
// Fields are texts, numbers, booleans, Duration, any, json.RawMessage, and
// lists, maps and structs of them. O is described the same way; it is None, or
// deviceops.Device, or a struct. NewAction panics if a type cannot be described.
func NewAction[A, O any](about About, perform func(ctx context.Context, c *Call, args A) (O, error)) Action {
	args, output := reflect.TypeFor[A](), reflect.TypeFor[O]()
	a := Action{waits: about.Waits, quick: about.Quick, spec: deviceops.ActionSpec{
		Name: about.Name, Summary: about.Summary, Description: strings.TrimSpace(about.Description), Example: strings.TrimSpace(about.Example),
		Device: about.Device, Idempotent: about.Idempotent, Args: schemaJSON(args), Secrets: secretPaths(args, ""),
	}}
	if output != reflect.TypeFor[None]() {
		a.spec.Output = schemaJSON(output)
	}
	a.perform = func(ctx context.Context, c *Call) (any, error) {
		var given A
		if err := decodeArguments(c.in.Args, &given); err != nil {
			return nil, deviceops.Errorf(deviceops.EINVALID, "the arguments of %s: %w", about.Name, err)
		}
		return perform(ctx, c, given)
	}
	return a
}

// Spec describes the action.
func (a Action) Spec() deviceops.ActionSpec { return a.spec }

// actionTable holds actions by name.
type actionTable map[string]Action

// core are the actions that every installation has. Each file action_NAME.go
// adds its own.
var core = actionTable{}

func addAction(a Action) bool {
	core[a.spec.Name] = a
	return true
}

// Actions describes the actions that every installation has, by name.
func Actions() []deviceops.ActionSpec { return core.specs() }

// ActionsWith describes all actions of an installation that has more of them.
func ActionsWith(more ...Action) []deviceops.ActionSpec { return core.with(more).specs() }

// Waits reports whether an action that every installation has waits for something
// and holds nothing meanwhile: it can be left and taken up again.
func Waits(action string) bool { return core[action].waits }

// Quick reports whether an action that every installation has reaches nothing but
// the store.
func Quick(action string) bool { return core[action].quick }

func (t actionTable) specs() []deviceops.ActionSpec {
	specs := make([]deviceops.ActionSpec, 0, len(t))
	for _, name := range slices.Sorted(maps.Keys(t)) {
		specs = append(specs, t[name].spec)
	}
	return specs
}

// with gives a table that has more actions; one of the same name replaces, and has
// to be quick where that was.
func (t actionTable) with(more []Action) actionTable {
	all := maps.Clone(t)
	for _, a := range more {
		all[a.spec.Name] = a
	}
	return all
}

// perform performs the action of a call. A panic is an error, since what
// Temporal would keep of it may hold a secret.
func (t actionTable) perform(ctx context.Context, c *Call) (output any, err error) {
	a, ok := t[c.in.Action]
	if !ok {
		return nil, deviceops.Errorf(deviceops.ENOTFOUND, "there is no action %q; there are %v", c.in.Action, slices.Sorted(maps.Keys(t)))
	}
	defer func() {
		if cause := recover(); cause != nil {
			err = deviceops.Errorf(deviceops.EINTERNAL, "the action %s is broken: %w", c.in.Action, fmt.Errorf("panic: %v", cause))
		}
	}()
	return a.perform(ctx, c)
}

func schemaJSON(t reflect.Type) json.RawMessage {
	data, err := json.Marshal(typeSchema(t, ""))
	if err != nil {
		panic("activities: the schema of " + t.String() + " is not JSON: " + err.Error()) // it is built from plain values
	}
	return data
}
