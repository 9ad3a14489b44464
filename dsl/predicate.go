package dsl

import (
	"errors"

	"github.com/deviceops/deviceops"
)

// devicePredicate makes a judgement of a device out of an expression.
func devicePredicate(e *Expression) deviceops.DevicePredicate {
	return func(d *deviceops.Device) (deviceops.Verdict, error) {
		return e.verdict(map[string]any{"device": DeviceFacts(d)})
	}
}

// verdict evaluates a condition over values that may be missing: a missing one
// gives Unknown unless the condition asks for it (x == nil, x ?? 0).
func (e *Expression) verdict(variables map[string]any) (deviceops.Verdict, error) {
	return e.judge(e.run(variables))
}

// judge makes a verdict of what the evaluation of a condition gave.
func (e *Expression) judge(v any, err error) (deviceops.Verdict, error) {
	switch {
	case err != nil && isMissing(err):
		return deviceops.Unknown, nil
	case err != nil:
		return deviceops.Unknown, err
	case v == nil:
		return deviceops.Unknown, nil
	}
	b, ok := v.(bool)
	switch {
	case !ok:
		return deviceops.Unknown, invalid("the condition `%s` gives %s, not true or false", e.Source, describe(v))
	case b:
		return deviceops.Yes, nil
	default:
		return deviceops.No, nil
	}
}

// isMissing reports whether an evaluation ended because a value was not there:
// an operand was nil, or something was asked of nil.
func isMissing(err error) bool { return errors.Is(err, errMissing) }
