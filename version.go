package deviceops

import (
	"cmp"
	"strconv"
	"strings"
)

// CompareVersions orders two software versions: dotted parts from left to
// right, numbers by value and before words, a missing part below any other
// ("2.4" < "2.4.1"), except that a part after "-" is a pre-release and below
// its absence ("2.4.0-rc1" < "2.4.0"), as in Semantic Versioning 2.0 §11.
// Build data after "+" does not count. It gives -1, 0 or 1.
func CompareVersions(a, b string) int {
	aCore, aPre := splitVersion(a)
	bCore, bPre := splitVersion(b)
	if c := compareParts(aCore, bCore); c != 0 {
		return c
	}
	switch {
	case aPre == bPre:
		return 0
	case aPre == "":
		return 1
	case bPre == "":
		return -1
	default:
		return compareParts(aPre, bPre)
	}
}

func splitVersion(v string) (core, pre string) {
	v, _, _ = strings.Cut(strings.TrimPrefix(v, "v"), "+")
	core, pre, _ = strings.Cut(v, "-")
	return core, pre
}

func compareParts(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		if c := comparePart(as[i], bs[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(as), len(bs))
}

func comparePart(a, b string) int {
	an, aErr := strconv.ParseUint(a, 10, 64)
	bn, bErr := strconv.ParseUint(b, 10, 64)
	switch {
	case aErr == nil && bErr == nil:
		return cmp.Compare(an, bn)
	case aErr == nil:
		return -1
	case bErr == nil:
		return 1
	default:
		return cmp.Compare(a, b)
	}
}

// Constraint is a condition on a version: ">=2.3.0", "<3", "=1.2.0", "1.2.0"
// (the same as "="), several joined by spaces (all must hold), or "" (any).
type Constraint string

// Check reports EINVALID when the constraint cannot be read.
func (c Constraint) Check() error {
	for _, term := range strings.Fields(string(c)) {
		op, version := splitTerm(term)
		if version == "" || strings.ContainsAny(version, "<>=!~^*") {
			return Errorf(EINVALID, "version constraint %q: write terms such as >=2.3.0, <3 or 2.4.1, not %q", c, op+version)
		}
	}
	return nil
}

// Allows reports whether version meets the constraint. No version ("") meets
// only the empty constraint.
func (c Constraint) Allows(version string) bool {
	for _, term := range strings.Fields(string(c)) {
		op, bound := splitTerm(term)
		if version == "" || !holds(op, CompareVersions(version, bound)) {
			return false
		}
	}
	return true
}

func splitTerm(term string) (op, version string) {
	for _, op := range []string{">=", "<=", "!=", ">", "<", "="} {
		if rest, ok := strings.CutPrefix(term, op); ok {
			return op, rest
		}
	}
	return "=", term
}

func holds(op string, order int) bool {
	switch op {
	case ">=":
		return order >= 0
	case "<=":
		return order <= 0
	case "!=":
		return order != 0
	case ">":
		return order > 0
	case "<":
		return order < 0
	default:
		return order == 0
	}
}
