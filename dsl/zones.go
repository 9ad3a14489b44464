package dsl

import (
	_ "embed"
	"strings"
	"sync"
	_ "time/tzdata" // zones are the same on every machine

	"go.yaml.in/yaml/v4"
)

// zoneList holds the names of the time zones that Go knows. Whether a document
// is right must not depend on the machine that reads it.
//
//go:embed zones.txt
var zoneList string

var zoneNames = sync.OnceValue(func() []string { return strings.Fields(zoneList) })

// zone reads the name of a time zone.
func (c *checker) zone(n *yaml.Node) string {
	s, ok := c.text(n, "a zone")
	if !ok || contains(zoneNames(), s) {
		return s
	}
	c.report(n, "bad-zone", orElse(fixWrite("", closest(s, zoneNames())), "write an IANA name such as Europe/Berlin"),
		"there is no time zone %s%s", quoteShort(s), didYouMean(s, zoneNames()))
	return s
}
