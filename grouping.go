package deviceops

import (
	"strconv"
	"strings"
)

// GroupKind is what devices are grouped by.
type GroupKind string

// Kinds of groups. A device without the value belongs to the group "".
const (
	GroupAll     GroupKind = ""        // one group
	GroupProfile GroupKind = "profile" //
	GroupAccount GroupKind = "account" //
	GroupTag     GroupKind = "tag"     // a device belongs to a group for each of its tags
	GroupLabel   GroupKind = "label"   // the value of a label
	GroupPlace   GroupKind = "place"   // a cell of a grid
)

// Grouping says how devices are grouped.
type Grouping struct {
	Kind  GroupKind
	Label string  // GroupLabel
	Cell  float64 // GroupPlace: the sides of the cells in degrees
}

// defaultCell is about 100 km at the equator.
const defaultCell = 1.0

// ParseGrouping reads profile, account, tag, label:NAME, place or
// place:DEGREES. EINVALID.
func ParseGrouping(text string) (Grouping, error) {
	kind, rest, more := strings.Cut(text, ":")
	g := Grouping{Kind: GroupKind(kind)}
	switch {
	case !more && (g.Kind == GroupAll || g.Kind == GroupProfile || g.Kind == GroupAccount || g.Kind == GroupTag):
		return g, nil
	case g.Kind == GroupLabel && rest != "":
		g.Label = rest
		return g, nil
	case g.Kind == GroupPlace && !more:
		g.Cell = defaultCell
		return g, nil
	case g.Kind == GroupPlace:
		cell, err := strconv.ParseFloat(rest, 64)
		if err == nil && cell >= 0.001 && cell <= 90 {
			g.Cell = cell
			return g, nil
		}
		return g, Errorf(EINVALID, "place:%s: write the sides of the cells in degrees, 0.001 to 90, as in place:0.5", rest)
	}
	return g, Errorf(EINVALID, "cannot group by %q: use profile, account, tag, label:NAME, place or place:DEGREES", text)
}
