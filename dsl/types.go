package dsl

// TypeKind is the kind of a declared type.
type TypeKind string

// Kinds of types.
const (
	TypeString   TypeKind = "string"
	TypeNumber   TypeKind = "number"
	TypeInteger  TypeKind = "integer"
	TypeBoolean  TypeKind = "boolean"
	TypeDuration TypeKind = "duration"
	TypeDevice   TypeKind = "device" // the id of a device
	TypeEnum     TypeKind = "enum"
)

// Type is a declared type: `number 0..100`, `device kiosk`, { enum: [a, b] }.
type Type struct {
	Kind     TypeKind
	Profile  string   // TypeDevice: the profile that the device must have; "" means any
	Min, Max *float64 // TypeNumber and TypeInteger: inclusive
	Enum     []any    // TypeEnum: the values allowed
}
