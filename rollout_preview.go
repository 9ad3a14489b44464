package deviceops

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// previewDeviceTime is how long a device is thought to be at a change, where
// nobody says better.
const previewDeviceTime = 2 * time.Minute

// previewExamples is how many devices of a ring are named.
const previewExamples = 3

// PreviewFacts is what is known when somebody asks what a rollout would do.
type PreviewFacts struct {
	Account    string
	Hash       string        // of the manifest
	Release    *Release      // of a change to a release
	Blackouts  []Blackout    // of the calendars that bind it
	Freeze     *Freeze       // of the account or one above; nil: none
	Now        time.Time     //
	DeviceTime time.Duration // how long a device is at the change; 0: two minutes
}

// Previewer tells what a rollout would do to the devices that are added. It keeps
// little of each, so that they may be many.
type Previewer struct {
	spec     *RolloutSpec
	facts    PreviewFacts
	admitter *Admitter
	devices  []AssignDevice
	details  []previewDetail // of devices
	excused  map[string]*Excuse
	targeted int
	already  Excuse // devices that run the release
	held     Excuse // devices that other rollouts hold
}

// previewDetail is what is kept of a device besides.
type previewDetail struct {
	zone, group string
	online      bool
	already     bool
}

// NewPreviewer begins a preview.
func NewPreviewer(spec *RolloutSpec, facts PreviewFacts) *Previewer {
	facts.DeviceTime = cmp.Or(facts.DeviceTime, previewDeviceTime)
	return &Previewer{
		spec: spec, facts: facts, excused: map[string]*Excuse{},
		admitter: NewAdmitter(spec, AdmitFacts{Blackouts: facts.Blackouts}, facts.Now),
	}
}

// Add takes a device that meets the targets; heldBy is the rollout that holds it,
// if one does. EINVALID for a manifest that cannot judge it.
func (p *Previewer) Add(d *Device, heldBy string) error {
	p.targeted++
	if reason := p.excuse(d); reason != "" {
		if p.excused[reason] == nil {
			p.excused[reason] = &Excuse{Reason: reason}
		}
		p.excused[reason].add(d.ID)
		return nil
	}
	a, err := NewAssignDevice(RolloutID(p.facts.Account, p.spec.Name), p.spec, d)
	if err != nil {
		return err
	}
	detail := previewDetail{zone: d.Zone, online: d.Session.Connectivity == Online}
	if p.facts.Release != nil && p.facts.Release.Fits(d).Outcome == FitAlready {
		detail.already = true
		p.already.add(d.ID)
	}
	if heldBy != "" {
		p.held.Reason = cmp.Or(p.held.Reason, heldBy) // that of the example
		p.held.add(d.ID)
	}
	if b := p.spec.Budget; b != nil {
		value, _ := fieldOf(d, b.Per)
		detail.group = fmt.Sprint(value)
	}
	p.devices, p.details = append(p.devices, a), append(p.details, detail)
	return nil
}

// Holders says which rollouts hold devices, of an Excuse that is RolloutPreview.Held.
func (x *Excuse) Holders() string {
	return fmt.Sprintf("%s held by other rollouts, such as %s by %s", are(x.Devices, "device"), x.Example, x.Reason)
}

func (x *Excuse) add(device string) {
	x.Devices++
	x.Example = cmp.Or(x.Example, device)
}

// excuse says why a device would get no change; "": it would.
func (p *Previewer) excuse(d *Device) string {
	if d.State != Active && !(d.State == Maintenance && p.admitter.maintenance) {
		return "its state is " + string(d.State)
	}
	if p.facts.Release == nil {
		return ""
	}
	if fit := p.facts.Release.Fits(d); fit.Outcome == FitRefused {
		return fit.Text
	}
	return ""
}

// Preview tells what the rollout would do. Times are those of a rollout in which
// all devices are online, do as they are told in DeviceTime, and people approve
// at once; they are zero from the first ring on of which nobody can tell.
func (p *Previewer) Preview() RolloutPreview {
	assigned := AssignRings(p.spec, p.devices)
	out := RolloutPreview{
		Name: p.spec.Name, Kind: p.spec.Change.Kind, Change: p.spec.Change.String(), Hash: p.facts.Hash, Targeted: p.targeted,
		Begins: later(p.facts.Now, p.spec.Start), Excused: p.excuses(),
	}
	if p.held.Devices > 0 {
		out.Held = &p.held
	}
	e := newEstimate(p, out.Begins)
	at, offline := out.Begins, 0
	for i := range p.spec.Rings {
		load := p.load(i, assigned)
		ring := p.ring(i, load)
		offline += load.devices - load.online
		if !at.IsZero() {
			ring.Begins = at
			ring.Ends = e.ring(load, at)
			if !ring.Ends.IsZero() {
				ring.Ends = ring.Ends.Add(ring.Soak)
			}
			at = ring.Ends
		}
		out.Rings = append(out.Rings, ring)
	}
	out.Ends = at
	out.Notes = append(assigned.Notes, p.notes(offline, out)...)
	return out
}

// ringLoad is what a ring has to do.
type ringLoad struct {
	devices, online int
	zones           map[string]int // devices that get a message, by zone
	groups          map[string]int // the same by group of the budget
	examples        []string
}

func (p *Previewer) load(ring int, a Assignment) ringLoad {
	l := ringLoad{zones: map[string]int{}, groups: map[string]int{}}
	var first []AssignDevice
	for i, r := range a.Rings {
		if r != ring {
			continue
		}
		l.devices++
		first = append(first, p.devices[i])
		if p.details[i].online {
			l.online++
		}
		if !p.details[i].already {
			l.zones[p.details[i].zone]++
			l.groups[p.details[i].group]++
		}
	}
	slices.SortFunc(first, func(a, b AssignDevice) int { return cmp.Or(cmp.Compare(a.Hash, b.Hash), strings.Compare(a.ID, b.ID)) })
	for _, d := range first[:min(len(first), previewExamples)] {
		l.examples = append(l.examples, d.ID)
	}
	return l
}

func (p *Previewer) ring(i int, l ringLoad) RingPreview {
	spec, gate := p.spec.Rings[i], p.spec.GateOf(i)
	r := RingPreview{Name: spec.Name, Devices: l.devices, Online: l.online, Examples: l.examples}
	if p.spec.Urgent == "" && l.devices > 0 {
		r.Soak = spec.Soak
	}
	if spec.Approve != nil {
		r.Asks = spec.Approve.By
	}
	if gate.Pass != nil {
		r.Pass = gate.Pass.Source
	}
	if gate.Fail != nil {
		r.Fail, r.OnFail = gate.Fail.Source, cmp.Or(p.spec.OnFail, FailPause)
	}
	return r
}

func (p *Previewer) excuses() []Excuse {
	var list []Excuse
	for _, reason := range slices.Sorted(maps.Keys(p.excused)) {
		list = append(list, *p.excused[reason])
	}
	slices.SortStableFunc(list, func(a, b Excuse) int { return b.Devices - a.Devices })
	return list
}

// notes are what a person should know before it begins.
func (p *Previewer) notes(offline int, out RolloutPreview) []string {
	var notes []string
	add := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if f := p.facts.Freeze; f != nil {
		add("%s", f.Text())
	}
	if p.spec.Approve != nil {
		add("the plan has to be approved first, by %s", strings.Join(p.spec.Approve.By, ", "))
	}
	if n := len(p.excuses()); n > 0 && len(p.devices) == 0 {
		add("no device gets the change: all that meet the targets are left out")
	}
	if p.already.Devices > 0 {
		add("%s run the release already, such as %s, and succeed without a message", devices(p.already.Devices), p.already.Example)
	}
	if p.held.Devices > 0 {
		add("%s", p.heldText())
	}
	if offline > 0 {
		add("%s are not online now: their ring stays open until they come back%s", devices(offline), p.stragglers())
	}
	if out.Ends.IsZero() {
		add("nobody can tell when it ends: see that its window has room for the %s that a device may take, and its limits", p.spec.Takes())
	} else if d := p.spec.Deadline; !d.IsZero() && out.Ends.After(d) {
		add("it is expected to end after its deadline, %s: it would fail", stamp(d))
	}
	return notes
}

func (p *Previewer) heldText() string {
	text := p.held.Holders()
	switch p.spec.Conflict {
	case ConflictRefuse:
		return text + ": it would be refused"
	case ConflictSupersede:
		return text + ", which gives them up where it has not begun"
	default:
		return text + ": they wait until it lets them go"
	}
}

func (p *Previewer) stragglers() string {
	s := p.spec.Stragglers
	if s.After == 0 || s.Then == StragglerWait {
		return ""
	}
	return fmt.Sprintf(", for %s at most (stragglers: %s)", lasts(s.After), s.Then)
}
