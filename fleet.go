package deviceops

import (
	"context"
	"time"
)

// FleetQuery selects devices and says how they are grouped.
type FleetQuery struct {
	By     Grouping
	Filter DeviceFilter // its page is ignored
}

// FleetHealth sums up how devices do. Retired devices are counted by state alone.
type FleetHealth struct {
	At       time.Time      `json:"at"`
	By       string         `json:"by,omitempty"`
	ByState  map[State]int  `json:"by_state"`
	All      FleetCounts    `json:"all"`
	Groups   []FleetGroup   `json:"groups"`   // the largest first, up to 100; none without By
	More     int            `json:"more"`     // groups beyond those
	Troubles []FleetTrouble `json:"troubles"` // the most frequent first, up to 20
	Versions []FleetVersion `json:"versions"` // by component, the most frequent first, up to 10 of each
	Silent   []SilentDevice `json:"silent"`   // offline and unreachable devices, the longest silent first, up to 10
}

// FleetCounts counts devices that are not retired.
type FleetCounts struct {
	Devices        int                    `json:"devices"`
	ByConnectivity map[Connectivity]int   `json:"by_connectivity"`
	ByWellness     map[WellnessStatus]int `json:"by_wellness"`
}

// FleetGroup is how the devices of one group do.
type FleetGroup struct {
	Key string `json:"key"` // "": devices without the value
	FleetCounts
}

// FleetTrouble is something that is wrong with some devices. A device may have
// several.
type FleetTrouble struct {
	Kind    string `json:"kind"`             // degraded, flapping, offline, unreachable, quarantined, clock, configuration, software
	Detail  string `json:"detail,omitempty"` // the reason of degraded or quarantined, the component of software
	Devices int    `json:"devices"`
}

// FleetVersion is how many devices reported a version of a component.
type FleetVersion struct {
	Component string `json:"component"`
	Version   string `json:"version"`
	Devices   int    `json:"devices"`
}

// SilentDevice is a device that does not speak.
type SilentDevice struct {
	ID           string       `json:"id"`
	Account      string       `json:"account"`
	Profile      string       `json:"profile"`
	Connectivity Connectivity `json:"connectivity"`
	LastSeen     time.Time    `json:"last_seen"`
}

// Fleet sums devices up.
type Fleet interface {
	// FleetHealth tells how devices do, with a few queries however many they are.
	// At and By are left to the caller.
	FleetHealth(ctx context.Context, q FleetQuery) (FleetHealth, error)
}

// Add counts n devices more.
func (c *FleetCounts) Add(connectivity Connectivity, wellness WellnessStatus, n int) {
	if c.ByConnectivity == nil {
		c.ByConnectivity, c.ByWellness = map[Connectivity]int{}, map[WellnessStatus]int{}
	}
	c.Devices += n
	c.ByConnectivity[connectivity] += n
	c.ByWellness[wellness] += n
}
