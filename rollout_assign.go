package deviceops

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// NoRing is the ring of a device that no ring takes.
const NoRing = -1

// AssignDevice is what has to be known of a targeted device to give it a ring.
// It is small, since all devices of a rollout are assigned at once.
type AssignDevice struct {
	ID    string
	Hash  uint64 // its place among the others, by rollout and device
	Rings uint64 // bit i: it meets the condition of ring i; manifests have fewer than 64
	Maybe uint64 // bit i: whether it does cannot be told, since a value is missing
}

// NewAssignDevice judges a targeted device by the conditions of all rings.
func NewAssignDevice(rollout string, spec *RolloutSpec, d *Device) (AssignDevice, error) {
	a := AssignDevice{ID: d.ID, Hash: stableHash(rollout, d.ID)}
	for i, ring := range spec.Rings {
		verdict := Yes
		if ring.Where != nil {
			var err error
			if verdict, err = ring.Where.Judge(d); err != nil {
				return AssignDevice{}, Errorf(EINVALID, "where of ring %s (%s): %w", ring.Name, ring.Where.Source, err)
			}
		}
		switch verdict {
		case Yes:
			a.Rings |= 1 << i
		case Unknown:
			a.Maybe |= 1 << i
		}
	}
	return a, nil
}

// Assignment says which ring each device belongs to.
type Assignment struct {
	Rings  []int    // by the place of the device in what was assigned; NoRing: none takes it
	Counts []int    // devices by ring
	Notes  []string // what a person should know of it
}

// AssignRings gives every device the first ring whose condition it meets and that
// has room. The order of devices follows from the hash of rollout and device: the
// same whoever asks and in which order they are given, and another one in the
// next rollout, so that not the same devices always go first.
func AssignRings(spec *RolloutSpec, all []AssignDevice) Assignment {
	order := make([]int32, len(all))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(all[a].Hash, all[b].Hash), cmp.Compare(all[a].ID, all[b].ID))
	})
	a := Assignment{Rings: make([]int, len(all)), Counts: make([]int, len(spec.Rings))}
	for i := range a.Rings {
		a.Rings[i] = NoRing
	}
	for ring := range spec.Rings {
		a.fill(ring, spec.Rings[ring].room(len(all)), order, all)
		a.note(spec.Rings[ring], ring, all)
	}
	if left := countOf(a.Rings, NoRing); left > 0 {
		a.Notes = append(a.Notes, fmt.Sprintf("no ring takes %s: add one without take and where for the rest", devices(left)))
	}
	return a
}

// room is how many devices a ring takes at most, of so many targeted.
func (r RingSpec) room(targeted int) int {
	switch {
	case r.Rest():
		return targeted
	case r.Percent > 0:
		return min(targeted, int(math.Ceil(r.Percent*float64(targeted)/100-tokenSlack)))
	default:
		return r.Take
	}
}

// fill gives a ring as many of the devices that are left, in their order, as it
// has room for.
func (a *Assignment) fill(ring, room int, order []int32, all []AssignDevice) {
	for _, i := range order {
		if a.Counts[ring] == room {
			return
		}
		if a.Rings[i] == NoRing && all[i].Rings&(1<<ring) != 0 {
			a.Rings[i] = ring
			a.Counts[ring]++
		}
	}
}

// note tells where a ring is not what its words promise.
func (a *Assignment) note(spec RingSpec, ring int, all []AssignDevice) {
	took, room, maybe := a.Counts[ring], spec.room(len(all)), 0
	for i := range all {
		if a.Rings[i] == NoRing && all[i].Maybe&(1<<ring) != 0 {
			maybe++
		}
	}
	text := ""
	switch {
	case took == 0:
		text = fmt.Sprintf("ring %s is empty", spec.Name)
	case !spec.Rest() && took < room:
		text = fmt.Sprintf("ring %s takes %d, not %d: no more match", spec.Name, took, room)
	}
	if maybe > 0 && (text != "" || spec.Rest()) {
		if text == "" {
			text = "ring " + spec.Name + " takes " + devices(took)
		}
		text += fmt.Sprintf("; of %s it cannot be told, since a value is missing: %s", devices(maybe), spec.Where.Source)
	}
	if text != "" {
		a.Notes = append(a.Notes, text)
	}
}

func countOf(list []int, v int) (n int) {
	for _, x := range list {
		if x == v {
			n++
		}
	}
	return n
}
