package protocol

import (
	"cmp"
	"slices"

	"github.com/deviceops/deviceops"
)

// Install is the arguments of the reserved command install.
type Install struct {
	Release    string                      `json:"release"`
	Components []deviceops.ComponentChange `json:"components"`
	// InstallIn is how long after the command came in installing may begin at
	// the earliest, InstallWithin at the latest; 0: it does not matter. What may
	// be downloaded is downloaded before. A device that comes too late answers
	// deferred.
	InstallIn     Seconds `json:"install_in,omitempty"`
	InstallWithin Seconds `json:"install_within,omitempty"`
	// Configure is the configuration that comes with the software: it is put in
	// force together with it, or not at all. nil: it stays.
	Configure *Configure `json:"configure,omitempty"`
}

// Check returns EINVALID for arguments that no device could follow.
func (i *Install) Check() error {
	if len(i.Components) == 0 || len(i.Components) > MaxComponents {
		return invalid("components has %d entries: use 1 to %d", len(i.Components), MaxComponents)
	}
	seen := make(map[string]bool, len(i.Components))
	for _, c := range i.Components {
		if seen[c.Name] {
			return invalid("component %s is named twice", clip(c.Name))
		}
		seen[c.Name] = true
		if err := checkComponent(c); err != nil {
			return err
		}
	}
	if i.Configure != nil {
		if err := i.Configure.Check(); err != nil {
			return err
		}
	}
	return firstOf(checkText("release", i.Release), checkSeconds("install_in", i.InstallIn), checkSeconds("install_within", i.InstallWithin))
}

func checkComponent(c deviceops.ComponentChange) error {
	if c.To == "" {
		return invalid("component %s names no version to install: set to", clip(c.Name))
	}
	if c.Size < 0 {
		return invalid("component %s has size %d", clip(c.Name), c.Size)
	}
	return firstOf(checkID("component name", c.Name), checkText("to", c.To), checkText("from", c.From), optionalID("group", c.Group))
}

// Batches gives the components in the order of their installation. Those of a
// batch activate together, and revert together when one of them fails: they are
// a group, or one component without a group. A group takes the place of its
// lowest order; equal orders keep the order of the list.
func (i *Install) Batches() [][]deviceops.ComponentChange {
	var batches [][]deviceops.ComponentChange
	at := make(map[string]int)
	for _, c := range i.Components {
		if k, ok := at[c.Group]; ok && c.Group != "" {
			batches[k] = append(batches[k], c)
			continue
		}
		at[c.Group] = len(batches)
		batches = append(batches, []deviceops.ComponentChange{c})
	}
	for _, b := range batches {
		slices.SortStableFunc(b, byOrder)
	}
	slices.SortStableFunc(batches, func(a, b []deviceops.ComponentChange) int { return byOrder(a[0], b[0]) })
	return batches
}

func byOrder(a, b deviceops.ComponentChange) int { return cmp.Compare(a.Order, b.Order) }

// Configure is the arguments of the reserved command configure.
type Configure struct {
	// Version is reported back as config_version once it is in force.
	Version       int64            `json:"version"`
	Configuration Object           `json:"configuration,omitempty"`
	Heartbeat     *HeartbeatPolicy `json:"heartbeat,omitempty"`
}

// Check returns EINVALID for arguments that no device could follow.
func (c *Configure) Check() error {
	if c.Version < 1 {
		return invalid("version is %d: versions count from 1", c.Version)
	}
	return c.Heartbeat.check()
}

// Collect is the arguments of the reserved command collect: put what is asked for behind URL
// by one HTTP PUT, and answer with a Reference as output.
type Collect struct {
	What []string `json:"what,omitempty"` // such as logs, dumps; empty for all there is
	URL  string   `json:"url"`
}

// Reference stands for a body too large for a message.
type Reference struct {
	URL    string `json:"url"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}
