package activities

import (
	"fmt"

	"github.com/deviceops/deviceops"
)

// Outcome is what became of a request to provision a device.
type Outcome string

// Outcomes of BeginProvision.
const (
	OutcomeProvision Outcome = "provision" // it is in state provisioning; go on
	OutcomeRefused   Outcome = "refused"   // it lied and is quarantined
	OutcomeHeld      Outcome = "held"      // something is missing; it waits in escrow with the reason
	OutcomeIgnored   Outcome = "ignored"   // its state leaves nothing to do
)

// admit decides whether a device may be provisioned, and if not, why. admittedBy
// is the person who let it in, which replaces the proof by claim; by the profile
// its topics may be proof enough.
func admit(d deviceops.Device, admittedBy, byProfile string) (Outcome, string) {
	switch d.State {
	case deviceops.Provisioning:
		return OutcomeProvision, "" // it was admitted before
	case deviceops.Escrow:
		if admittedBy != "" {
			return OutcomeProvision, ""
		}
		return proof(d, byProfile)
	case deviceops.Discovered, deviceops.Quarantined:
		if admittedBy != "" {
			return OutcomeProvision, ""
		}
		return OutcomeIgnored, fmt.Sprintf("it is %s, and only a person can admit it", d.State)
	default:
		return OutcomeIgnored, fmt.Sprintf("it is %s", d.State)
	}
}

// proof judges what a registered device presented at its hello. A device that
// was registered without a claim can prove nothing, which is no lie.
func proof(d deviceops.Device, byProfile string) (Outcome, string) {
	if byProfile == deviceops.ProofTopic && d.ClaimHash == "" {
		return identity(d)
	}
	switch {
	case d.Session.HelloAt.IsZero():
		return OutcomeHeld, "it has not said hello yet"
	case d.ClaimHash == "":
		return OutcomeHeld, "no claim was registered for it; register one, or admit the device by hand"
	case d.Session.ClaimHash == "":
		return OutcomeRefused, "it presented no claim, and one is registered"
	case !deviceops.SameHash(d.ClaimHash, d.Session.ClaimHash):
		return OutcomeRefused, "the claim that it presented is not the one that was registered"
	default:
		return identity(d)
	}
}

// identity compares what a device says it is with what was registered.
func identity(d deviceops.Device) (Outcome, string) {
	presented := d.Session.Presented
	switch {
	case d.Session.HelloAt.IsZero():
		return OutcomeHeld, "it has not said hello yet"
	case presented.Profile != "" && presented.Profile != d.Profile:
		return OutcomeRefused, fmt.Sprintf("it says that it is a %s, and it is registered as a %s", presented.Profile, d.Profile)
	case presented.Serial != "" && presented.Serial != d.Serial:
		return OutcomeRefused, fmt.Sprintf("it says that its serial is %s, and %s is registered", presented.Serial, d.Serial)
	default:
		return OutcomeProvision, ""
	}
}
