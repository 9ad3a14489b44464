package deviceops

import "slices"

// State is where a device is in its life.
type State string

// States of a device.
const (
	Escrow       State = "escrow"       // registered, never admitted
	Discovered   State = "discovered"   // seen, not registered
	Provisioning State = "provisioning" //
	Active       State = "active"       //
	Maintenance  State = "maintenance"  //
	Quarantined  State = "quarantined"  //
	Retired      State = "retired"      //
)

// States gives all states, in the order of a device's life.
func States() []State {
	return []State{Escrow, Discovered, Provisioning, Active, Maintenance, Quarantined, Retired}
}

// ValidState reports whether s is one of States.
func ValidState(s State) bool { return slices.Contains(States(), s) }

// edges are the transitions that exist besides those into quarantined and
// retired, which are open from any state but retired.
var edges = map[State][]State{
	Escrow:       {Provisioning},
	Discovered:   {Escrow, Provisioning}, // escrow: somebody registered it
	Provisioning: {Active, Escrow},
	Active:       {Maintenance},
	Maintenance:  {Active},
	Quarantined:  {Provisioning},
}

// NextStates gives the states that a device may go to from s.
func NextStates(s State) []State {
	if s == Retired {
		return nil
	}
	next := slices.Clone(edges[s])
	if s != Quarantined {
		next = append(next, Quarantined)
	}
	return append(next, Retired)
}

// CheckTransition tells whether d may go to the state to: the edge must exist
// and the profile's guard, if any, must say yes. p may be nil when the device
// has no profile yet. ECONFLICT says why not and what is possible.
func CheckTransition(d *Device, p *Profile, to State) error {
	if !ValidState(to) {
		return Errorf(EINVALID, "there is no state %q; states are %v", to, States())
	}
	if !slices.Contains(NextStates(d.State), to) {
		return Errorf(ECONFLICT, "device %s cannot go from %s to %s; from %s it may go to %v", d.ID, d.State, to, d.State, NextStates(d.State))
	}
	if p == nil || p.Guards[to] == nil {
		return nil
	}
	verdict, err := p.Guards[to](d)
	if err != nil {
		return Errorf(EINVALID, "guard of profile %s for %s (%s): %w", p.Name, to, p.GuardSources[to], err)
	}
	if verdict != Yes {
		return Errorf(ECONFLICT, "profile %s lets no device become %s unless %s; for %s that is %s", p.Name, to, p.GuardSources[to], d.ID, verdict)
	}
	return nil
}
