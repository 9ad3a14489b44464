package deviceops

// Filter is a condition over devices as a tree, which stores can turn into a
// query. It judges like the expression that it was compiled from: a missing
// value makes what needs it Unknown, and Unknown makes whatever is built on it
// Unknown, except where the expression stopped before it came to that
// (false && x is No, true || x is Yes). A value of another kind is not equal to
// Value; to put them in order, or to look for a prefix, is Unknown.
type Filter struct {
	Op    FilterOp
	Args  []Filter // of and, or: two or more; of not: one
	Field string   // of the others: state, profile, labels.site, metrics.battery_pct, reported.software.os, tags ...
	Value any      // string, float64, int64, bool; for FilterIn []any
}

// FilterOp is what a node of a Filter does.
type FilterOp string

// Operators of a Filter.
const (
	FilterAll     FilterOp = "all" // every device
	FilterAnd     FilterOp = "and"
	FilterOr      FilterOp = "or"
	FilterNot     FilterOp = "not"
	FilterEq      FilterOp = "=="
	FilterNe      FilterOp = "!="
	FilterLt      FilterOp = "<"
	FilterLe      FilterOp = "<="
	FilterGt      FilterOp = ">"
	FilterGe      FilterOp = ">="
	FilterIn      FilterOp = "in"      // the field's value is one of Value
	FilterHas     FilterOp = "has"     // the field is a set that holds Value
	FilterPresent FilterOp = "present" // the field is not nil; never Unknown
	FilterPrefix  FilterOp = "prefix"  // the field's text begins with Value
	FilterTrue    FilterOp = "true"    // the field is true; Unknown if it is no boolean
)

// Condition is an expression over a device, compiled.
type Condition struct {
	Source string          // as written
	Judge  DevicePredicate //
	// Filter says the same for stores, where it can be said; nil where only Judge
	// can tell.
	Filter *Filter
	// Narrow lets every device pass to which Judge says Yes, and few others where
	// that can be said, so that a store leaves most out before they are judged.
	// Nil: nothing can be said. Where there is a Filter it is the same.
	Narrow *Filter
}

// Let reports whether a device that a store let pass by Narrow meets the condition.
// It is judged only where the store could not tell.
func (c *Condition) Let(d *Device) (bool, error) {
	if c.Filter != nil {
		return true, nil
	}
	verdict, err := c.Judge(d)
	return verdict == Yes, err
}
