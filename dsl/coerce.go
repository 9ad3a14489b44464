package dsl

import (
	"fmt"
	"math"
	"strings"

	"github.com/deviceops/deviceops"
)

// DeviceInputs gives the inputs that are devices.
func (p *Program) DeviceInputs() (devices []deviceops.DeviceInput) {
	for _, in := range p.Inputs {
		if in.Type.Kind == TypeDevice {
			devices = append(devices, deviceops.DeviceInput{Name: in.Name, Profile: in.Type.Profile})
		}
	}
	return devices
}

// CoerceInputs checks what a run is started with against the declared inputs
// and gives all of them in canonical form, defaults filled in. EINVALID names
// the input that is missing, unknown or of the wrong type.
func (p *Program) CoerceInputs(given map[string]any) (map[string]any, error) {
	inputs := make(map[string]any, len(p.Inputs))
	for _, in := range p.Inputs {
		v, ok := given[in.Name]
		if !ok || v == nil {
			if in.Required {
				return nil, deviceops.Errorf(deviceops.EINVALID, "the input %q is missing: workflow %s needs %s", in.Name, p.Name, in.Type)
			}
			inputs[in.Name] = copyTree(in.Default)
			continue
		}
		coerced, err := in.Type.Coerce(v)
		if err != nil {
			return nil, deviceops.Errorf(deviceops.EINVALID, "the input %q: %w", in.Name, err)
		}
		inputs[in.Name] = coerced
	}
	return inputs, p.refuseUnknown(given)
}

func (p *Program) refuseUnknown(given map[string]any) error {
	for _, name := range sortedKeys(given) {
		if !p.hasInput(name) {
			return deviceops.Errorf(deviceops.EINVALID, "workflow %s has no input %q%s", p.Name, name, didYouMean(name, p.inputNames()))
		}
	}
	return nil
}

func (p *Program) hasInput(name string) bool {
	for _, in := range p.Inputs {
		if in.Name == name {
			return true
		}
	}
	return false
}

func (p *Program) inputNames() []string {
	names := make([]string, len(p.Inputs))
	for i, in := range p.Inputs {
		names[i] = in.Name
	}
	return names
}

// EvalOutputs gives the declared outputs in env; nil when none are declared.
func (p *Program) EvalOutputs(env Env) (map[string]any, error) {
	if len(p.Outputs) == 0 {
		return nil, nil
	}
	out := make(map[string]any, len(p.Outputs))
	for _, o := range p.Outputs {
		v, err := o.Value.Eval(env)
		if err != nil {
			return nil, deviceops.Errorf(deviceops.ErrorCode(err), "the output %q: %w", o.Name, err)
		}
		out[o.Name] = v
	}
	return out, nil
}

// Coerce checks that v is of the type and gives its canonical form: numbers as
// numbers even when they were typed as text, durations as text. EINVALID says
// what is needed.
func (t Type) Coerce(v any) (any, error) {
	v = Canonical(v)
	if s, ok := v.(stored); ok && s.fits(t.Kind) {
		return v, nil
	}
	switch t.Kind {
	case TypeString:
		return t.coerceText(v, nil)
	case TypeDevice:
		return t.coerceText(v, func(s string) bool { return deviceops.ValidID(s) })
	case TypeDuration:
		return t.coerceText(v, func(s string) bool { _, err := ParseDuration(s); return err == nil })
	case TypeBoolean:
		return t.coerceBoolean(v)
	case TypeNumber, TypeInteger:
		return t.coerceNumber(v)
	case TypeEnum:
		return t.coerceEnum(v)
	case TypeMap, TypeList:
		return t.coerceTree(v)
	}
	return v, nil
}

func (t Type) coerceText(v any, valid func(string) bool) (any, error) {
	s, ok := v.(string)
	if !ok || valid != nil && !valid(s) {
		return nil, t.mismatch(v)
	}
	return s, nil
}

func (t Type) coerceBoolean(v any) (any, error) {
	switch v {
	case true, "true":
		return true, nil
	case false, "false":
		return false, nil
	}
	return nil, t.mismatch(v)
}

func (t Type) coerceNumber(v any) (any, error) {
	n := v
	if s, ok := v.(string); ok { // as a command line or a form gives it
		parsed, err := DecodeJSON([]byte(s))
		if err != nil {
			return nil, t.mismatch(v)
		}
		n = parsed
	}
	f, ok := toFloat(n)
	_, whole := n.(int64)
	if !ok || t.Kind == TypeInteger && !whole || !t.within(f) {
		return nil, t.mismatch(v)
	}
	return n, nil
}

func (t Type) within(f float64) bool {
	return (t.Min == nil || f >= *t.Min) && (t.Max == nil || f <= *t.Max)
}

func (t Type) coerceEnum(v any) (any, error) {
	for _, allowed := range t.Enum {
		if v == allowed || Format(v) == Format(allowed) {
			return allowed, nil
		}
	}
	return nil, t.mismatch(v)
}

func (t Type) coerceTree(v any) (any, error) {
	tree := v
	if s, ok := v.(string); ok { // as a command line or a form gives it
		parsed, err := DecodeJSON([]byte(s))
		if err != nil {
			return nil, t.mismatch(v)
		}
		tree = parsed
	}
	_, isMap := tree.(map[string]any)
	_, isList := tree.([]any)
	if t.Kind == TypeMap && !isMap || t.Kind == TypeList && !isList {
		return nil, t.mismatch(v)
	}
	return tree, nil
}

func (t Type) mismatch(v any) error {
	return deviceops.Errorf(deviceops.EINVALID, "%s is given where %s is needed", describe(v), t)
}

// String names the type for messages: "a number 0..100".
func (t Type) String() string {
	switch t.Kind {
	case TypeDevice:
		if t.Profile != "" {
			return "the id of a device of profile " + t.Profile
		}
		return "the id of a device"
	case TypeEnum:
		return "one of " + joinValues(t.Enum)
	case TypeInteger:
		return "an integer" + t.bounds()
	case TypeDuration:
		return "a duration such as 30s or 10m"
	}
	return "a " + string(t.Kind) + t.bounds()
}

func (t Type) bounds() string {
	if t.Min == nil && t.Max == nil {
		return ""
	}
	low, high := "", ""
	if t.Min != nil {
		low = formatFloat(*t.Min)
	}
	if t.Max != nil {
		high = formatFloat(*t.Max)
	}
	return fmt.Sprintf(" %s..%s", low, high)
}

func joinValues(values []any) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = Format(v)
	}
	return strings.Join(texts, ", ")
}

func toFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, !math.IsNaN(v)
	}
	return 0, false
}
