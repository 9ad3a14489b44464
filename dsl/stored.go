package dsl

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/deviceops/deviceops"
)

// stored is a part of an output that was too large for the history of its run,
// as expressions see it: it can be passed on, and nothing in it can be read. It
// is a function so that the machine finds neither field nor item in it, whatever
// an expression asks for.
type stored func() deviceops.Stored

func newStored(s deviceops.Stored) stored { return func() deviceops.Stored { return s } }

// storedTypeName is what the machine calls it in its errors.
var storedTypeName = reflect.TypeFor[stored]().String()

// Stored gives the reference, for activities that get the value itself.
func (s stored) Stored() deviceops.Stored { return s() }

// MarshalJSON implements json.Marshaler: it is carried on as a reference.
func (s stored) MarshalJSON() ([]byte, error) { return s().MarshalJSON() }

func (s stored) describe() string {
	return fmt.Sprintf("a %s of %d bytes that is stored outside the run", s().Type, s().Size)
}

// fits reports whether an input of a kind takes it unread.
func (s stored) fits(k TypeKind) bool {
	switch k {
	case TypeString:
		return s().Type == "string"
	case TypeDevice, TypeDuration, TypeBoolean, TypeNumber, TypeInteger, TypeEnum:
		return false
	}
	return true
}

// holdsStored reports whether there is a stored part in a canonical value.
func holdsStored(v any) bool {
	switch v := v.(type) {
	case stored:
		return true
	case []any:
		return slices.ContainsFunc(v, holdsStored)
	case map[string]any:
		for _, item := range v {
			if holdsStored(item) {
				return true
			}
		}
	}
	return false
}

// errStored says why something cannot be read, and what to do.
func errStored() *deviceops.Error {
	return deviceops.Errorf(deviceops.EEXHAUSTED,
		"this is part of an output of more than %d KiB and too large to be read here: pass it on whole with a lone ${{ }}, or have the step give less",
		deviceops.MaxInlineOutput>>10)
}

// unreadable is the error of an expression that reads a stored part.
func (e *Expression) unreadable() error { return e.failed(errStored()) }

// readable refuses a result of which text is to be made, if it is stored.
func (e *Expression) readable(result any) error {
	if e == nil || !holdsStored(result) {
		return nil
	}
	return e.unreadable()
}
