package deviceops

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// ExplainFacts is what is known about a device when somebody asks what it
// waits for.
type ExplainFacts struct {
	Device       Device
	HasProfile   bool   // its profile is published
	ProfileFault string // why the profile cannot be used; "" if it can
	Provision    *ProvisionPhase
	Approvals    []Approval // open ones that concern the device
	Commands     []Command  // not ended, oldest first
	FamilyBy     string     // its gateway, or a device behind it, that a rollout is at; "": none
	// Rollouts have not ended, and something more happens to the device in them;
	// newest first.
	Rollouts []ExplainRolloutFacts
}

// ProvisionPhase is where the provisioning of a device stands.
type ProvisionPhase struct {
	Phase    string
	WaitsFor string // in words
}

// Explanation says in plain words what a device waits for.
type Explanation struct {
	Device       string       `json:"device"`
	State        State        `json:"state"`
	Connectivity Connectivity `json:"connectivity"`
	Summary      string       `json:"summary"` // one sentence
	Waits        []Wait       `json:"waits"`   // the most important first; empty: for nothing
}

// Wait is one thing that a device waits for.
type Wait struct {
	For   string    `json:"for"`            // hello, admission, claim, profile, connection, wake, recovery, calm, provisioning, approval, command, rollout, configuration, software, release
	Text  string    `json:"text"`           // what is waited for
	Do    string    `json:"do,omitempty"`   // what a person can do about it
	Since time.Time `json:"since,omitzero"` // when the waiting began, if that is known
	Until time.Time `json:"until,omitzero"` // when it ends by itself, if it does
}

// ExplainDevice tells what a device waits for at now, and what to do.
func ExplainDevice(f ExplainFacts, now time.Time) Explanation {
	x := Explanation{Device: f.Device.ID, State: f.Device.State, Connectivity: f.Device.Session.Connectivity, Waits: []Wait{}}
	for _, explain := range []func(ExplainFacts, time.Time) []Wait{
		explainState, explainProfile, explainApprovals, explainProvision, explainConnection, explainWellness, explainCommands, explainRollouts, explainDrift,
	} {
		x.Waits = append(x.Waits, explain(f, now)...)
	}
	x.Summary = f.Device.ID + " is " + string(f.Device.State) + " and waits for nothing."
	if len(x.Waits) > 0 {
		x.Summary = f.Device.ID + " is " + string(f.Device.State) + ": " + x.Waits[0].Text + "."
	}
	return x
}

// explainState tells what the state itself waits for.
func explainState(f ExplainFacts, _ time.Time) []Wait {
	d := f.Device
	switch d.State {
	case Escrow:
		return []Wait{explainEscrow(d)}
	case Discovered:
		return []Wait{{
			For: "admission", Since: d.StateSince, Text: "nobody registered it; " + presented(d.Session.Presented),
			Do: fmt.Sprintf("register it: deviceops devices register %s --profile PROFILE; or retire it", d.ID),
		}}
	case Quarantined:
		return []Wait{{
			For: "admission", Since: d.StateSince, Text: "it was quarantined" + because(d.StateReason),
			Do: fmt.Sprintf("find out why; then readmit it: deviceops devices transition %s provisioning --reason ..., or retire it", d.ID),
		}}
	case Maintenance:
		return []Wait{{
			For: "release", Since: d.StateSince, Text: "it is in maintenance" + because(d.StateReason),
			Do: fmt.Sprintf("when the work is done: deviceops devices transition %s active", d.ID),
		}}
	default:
		return nil
	}
}

func explainEscrow(d Device) Wait {
	switch {
	case d.StateReason != "" && !d.Session.HelloAt.IsZero():
		return Wait{
			For: "admission", Since: d.StateSince, Text: "it is not admitted" + because(d.StateReason),
			Do: fmt.Sprintf("correct what the reason names; provisioning begins again at its next hello, or at once: deviceops devices transition %s provisioning", d.ID),
		}
	case d.Session.HelloAt.IsZero() && d.ClaimHash != "":
		return Wait{
			For: "hello", Since: d.CreatedAt, Text: "it waits for its first hello, with the claim that was registered",
			Do: fmt.Sprintf("switch it on; it has to say hello on deviceops/v1/%s/up/hello with its claim (docs/device-protocol.md)", d.ID),
		}
	case d.Session.HelloAt.IsZero():
		return Wait{
			For: "hello", Since: d.CreatedAt, Text: "it waits for its first hello; no claim was registered for it",
			Do: fmt.Sprintf("register a claim for it, or admit it by hand: deviceops devices transition %s provisioning", d.ID),
		}
	default:
		return Wait{
			For: "claim", Since: d.Session.HelloAt, Text: "it said hello and is not admitted yet",
			Do: fmt.Sprintf("if this lasts, see deviceops devices timeline %s; admit it by hand: deviceops devices transition %s provisioning", d.ID, d.ID),
		}
	}
}

func presented(p Presented) string {
	if p.Profile == "" && p.Serial == "" {
		return "it presented no identity"
	}
	return fmt.Sprintf("it says that it is a %s with serial %s", orUnknown(p.Profile), orUnknown(p.Serial))
}

func orUnknown(s string) string {
	if s == "" {
		return "(not given)"
	}
	return s
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func explainProfile(f ExplainFacts, _ time.Time) []Wait {
	switch {
	case f.Device.State == Retired || f.Device.State == Discovered:
		return nil
	case f.ProfileFault != "":
		return []Wait{{
			For: "profile", Text: fmt.Sprintf("its profile %s cannot be used: %s", f.Device.Profile, f.ProfileFault),
			Do: "correct the profile and apply it: deviceops apply -f FILE",
		}}
	case !f.HasProfile:
		return []Wait{{
			For: "profile", Text: fmt.Sprintf("its profile %q is not published", f.Device.Profile),
			Do: "publish it: deviceops apply -f FILE",
		}}
	default:
		return nil
	}
}

func explainApprovals(f ExplainFacts, _ time.Time) []Wait {
	var waits []Wait
	for _, a := range f.Approvals {
		waits = append(waits, Wait{
			For: "approval", Since: a.OpenedAt, Until: a.ExpiresAt,
			Text: fmt.Sprintf("approval %s is open: %s (may decide: %s)", a.ID, a.Question, strings.Join(a.By, ", ")),
			Do:   fmt.Sprintf("deviceops approvals approve %s, or reject", a.ID),
		})
	}
	return waits
}

func explainProvision(f ExplainFacts, _ time.Time) []Wait {
	if f.Device.State != Provisioning {
		return nil
	}
	if f.Provision == nil {
		return []Wait{{
			For: "provisioning", Since: f.Device.StateSince, Text: "it is to be provisioned and no workflow answers for it",
			Do: "see that a worker runs (deviceops doctor); the request is kept and is carried out when one does",
		}}
	}
	text := "provisioning is at " + f.Provision.Phase
	if f.Provision.WaitsFor != "" {
		text += " and waits for " + f.Provision.WaitsFor
	}
	return []Wait{{For: "provisioning", Since: f.Device.StateSince, Text: text}}
}

func explainConnection(f ExplainFacts, now time.Time) []Wait {
	s := f.Device.Session
	if f.Device.State == Retired || s.HelloAt.IsZero() {
		return nil
	}
	switch s.Connectivity {
	case Offline:
		return []Wait{{
			For: "connection", Since: s.Since, Text: "it has been offline " + forSince(s.Since, now),
			Do: "see that it has power and network; it is served as soon as it says hello",
		}}
	case Sleeping:
		return []Wait{{For: "wake", Since: s.Since, Until: s.WakeAt, Text: "it sleeps until " + s.WakeAt.UTC().Format(time.RFC3339)}}
	case Unreachable:
		return []Wait{{
			For: "connection", Since: s.Since, Text: "it cannot be reached because its gateway " + orUnknown(f.Device.Parent) + " is lost",
			Do: "deviceops explain device " + f.Device.Parent,
		}}
	default:
		return nil
	}
}

func explainWellness(f ExplainFacts, now time.Time) []Wait {
	w, id := f.Device.Wellness, f.Device.ID
	var waits []Wait
	if !w.DegradedSince.IsZero() {
		waits = append(waits, Wait{
			For: "recovery", Since: w.DegradedSince, Text: "it has been degraded " + forSince(w.DegradedSince, now) + because(strings.Join(w.Because, ", ")),
			Do: "see what its profile says of wellness, and its metrics: deviceops devices show " + id,
		})
	}
	if !w.FlappingSince.IsZero() {
		waits = append(waits, Wait{
			For: "calm", Since: w.FlappingSince, Until: w.StableAt,
			Text: "its connection has been lost and found again and again " + forSince(w.FlappingSince, now) + "; automations are not told each time",
			Do:   "see how often: deviceops devices timeline " + id + "; look at its power, its network, and whether another device has its id",
		})
	}
	return waits
}

// forSince says how long something lasts, roughly, as people do.
func forSince(since, now time.Time) string {
	d := now.Sub(since)
	switch {
	case since.IsZero():
		return "for an unknown time"
	case d < time.Minute:
		return "for less than a minute"
	case d < time.Hour:
		return fmt.Sprintf("for %d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("for %d h", int(d.Hours()))
	default:
		return fmt.Sprintf("for %d days", int(d.Hours()/24))
	}
}

func explainCommands(f ExplainFacts, now time.Time) []Wait {
	var waits []Wait
	var holder *Command // the exclusive command that the others wait for
	for i := range f.Commands {
		c := &f.Commands[i]
		waits = append(waits, Wait{For: "command", Since: c.CreatedAt, Until: commandUntil(c), Text: explainCommand(f, c, holder, now)})
		if c.Exclusive && holder == nil {
			holder = c
		}
	}
	return waits
}

func commandUntil(c *Command) time.Time {
	if c.Status == CommandDeferred {
		return c.DueAt
	}
	return c.ExpiresAt
}

func explainCommand(f ExplainFacts, c, holder *Command, now time.Time) string {
	name := fmt.Sprintf("command %s (%s)", c.Name, c.ID)
	switch {
	case c.Status == CommandAccepted && c.Phase != "":
		return fmt.Sprintf("%s is under way: %s, %d %%", name, c.Phase, c.Percent)
	case c.Status == CommandAccepted:
		return fmt.Sprintf("%s is under way, %d %%", name, c.Percent)
	case c.Status == CommandSent:
		return name + " was sent " + agoText(c.SentAt, now) + " and is not answered yet"
	case c.Status == CommandDeferred && c.DueAt.After(now):
		return fmt.Sprintf("%s was deferred by the device until %s%s", name, c.DueAt.UTC().Format(time.RFC3339), because(c.Phase))
	case f.Device.Session.Connectivity != Online:
		return fmt.Sprintf("%s waits because the device is %s", name, f.Device.Session.Connectivity)
	case c.Exclusive && holder != nil:
		return fmt.Sprintf("%s waits behind %s (%s): neither may overlap with another", name, holder.Name, holder.ID)
	case c.Exclusive && f.FamilyBy != "" && f.FamilyBy == f.Device.Parent:
		return fmt.Sprintf("%s waits until a rollout is done with its gateway %s", name, f.FamilyBy)
	case c.Exclusive && f.FamilyBy != "":
		return fmt.Sprintf("%s waits until a rollout is done with %s, which is behind it", name, f.FamilyBy)
	case c.DueAt.After(now):
		return fmt.Sprintf("%s is not due before %s", name, c.DueAt.UTC().Format(time.RFC3339))
	default:
		return name + " is about to be sent"
	}
}

func agoText(t, now time.Time) string {
	return strings.TrimPrefix(forSince(t, now), "for ") + " ago"
}

// explainRollouts tells what rollouts the device is part of, and what it waits for in
// each.
func explainRollouts(f ExplainFacts, now time.Time) (waits []Wait) {
	for _, r := range f.Rollouts {
		w := Wait{
			For: "rollout", Text: fmt.Sprintf("rollout %s holds it", r.Rollout.Name),
			Do: fmt.Sprintf("deviceops explain rollout %s %s", r.Rollout.Name, f.Device.ID),
		}
		if inner := ExplainRollout(r, now).Waits; len(inner) > 0 {
			w.Text, w.Since, w.Until = fmt.Sprintf("rollout %s: %s", r.Rollout.Name, inner[0].Text), inner[0].Since, inner[0].Until
		}
		waits = append(waits, w)
	}
	return waits
}

// explainDrift tells what an admitted device should be and is not.
func explainDrift(f ExplainFacts, _ time.Time) []Wait {
	d := f.Device
	if d.State != Active && d.State != Maintenance {
		return nil
	}
	var waits []Wait
	if want, is := d.Twin.Desired.Version, d.Twin.Reported.ConfigVersion; want > is {
		waits = append(waits, Wait{
			For: "configuration", Since: d.Twin.Reported.At,
			Text: fmt.Sprintf("its configuration is at version %d and should be at %d", is, want),
			Do:   "it gets the new one with its next welcome; see deviceops devices timeline " + d.ID,
		})
	}
	for _, component := range slices.Sorted(maps.Keys(d.Twin.Desired.Software)) {
		want, is := d.Twin.Desired.Software[component], d.Twin.Reported.Software[component]
		if want != is {
			waits = append(waits, Wait{
				For: "software", Since: d.Twin.Reported.At,
				Text: fmt.Sprintf("its %s is at %s and should be at %s", component, orUnknown(is), want),
			})
		}
	}
	return waits
}
