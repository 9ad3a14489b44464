package deviceops

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"
)

// ExplainRolloutFacts is what is known when somebody asks what a device waits for
// in a rollout, or what became of it there.
type ExplainRolloutFacts struct {
	Rollout   Rollout        // with its rings
	Spec      *RolloutSpec   // nil: its manifest no longer compiles
	Row       *RolloutDevice // nil: the rollout has none for the device
	Device    Device         // with its session
	Approvals []Approval     // open ones of the rollout
	Freeze    *Freeze        // of its account or one above; nil: none
}

// explainer gathers what a device waits for in a rollout.
type explainer struct {
	ExplainRolloutFacts
	now time.Time
}

// ExplainRollout tells what a device waits for in a rollout at now, since when,
// when it is due next, and what a person can do; or how it ended. What holds the
// whole rollout up comes first, then its ring, then the device itself: as it was
// found when the engine last looked at it.
func ExplainRollout(f ExplainRolloutFacts, now time.Time) Explanation {
	e := explainer{f, now}
	x := Explanation{Device: f.Device.ID, State: f.Device.State, Connectivity: f.Device.Session.Connectivity, Waits: []Wait{}}
	if f.Row == nil {
		x.Summary = fmt.Sprintf("%s is not part of rollout %s%s.", f.Device.ID, f.Rollout.Name, e.outside())
		return x
	}
	x.Waits = append(x.Waits, e.waits()...)
	x.Summary = fmt.Sprintf("%s %s.", f.Device.ID, e.fate())
	if len(x.Waits) > 0 {
		x.Summary = fmt.Sprintf("%s %s: %s.", f.Device.ID, e.fate(), x.Waits[0].Text)
	}
	return x
}

// outside says why a rollout has no row for a device.
func (e explainer) outside() string {
	if e.Rollout.Status == RolloutPlanning {
		return " so far: its devices are still being assigned to rings"
	}
	if e.Spec == nil || e.Spec.Targets.Judge == nil {
		return ""
	}
	verdict, err := e.Spec.Targets.Judge(&e.Device)
	switch {
	case err != nil:
		return ": whether it is targeted cannot be judged: " + ErrorMessage(err)
	case verdict == No:
		return ": it does not meet the targets, " + e.Spec.Targets.Source
	case verdict == Unknown:
		return ": whether it meets the targets cannot be told, since a value is missing: " + e.Spec.Targets.Source
	case e.Rollout.Status.Ended():
		return ": it meets the targets, and came after the rollout had ended"
	default:
		return " so far: it meets the targets, and joins the last ring within a minute"
	}
}

func (e explainer) ring() Ring {
	if e.Row.Ring < 0 || e.Row.Ring >= len(e.Rollout.Rings) {
		return Ring{}
	}
	return e.Rollout.Rings[e.Row.Ring]
}

// fate says how far the device is: "is pending in ring early of rollout r".
func (e explainer) fate() string {
	place := fmt.Sprintf("in ring %s of rollout %s", e.ring().Name, e.Rollout.Name)
	row := e.Row
	switch row.Status {
	case DeviceSucceeded:
		return "succeeded " + place + e.when(row.EndedAt) + e.health()
	case DeviceFailed:
		return fmt.Sprintf("failed %s%s at attempt %d%s; no re-try is left%s", place, e.when(row.EndedAt), row.Attempt, e.cause(), e.askAgain())
	case DeviceRejected:
		return fmt.Sprintf("rejected the change %s%s%s; it is not asked again", place, e.when(row.EndedAt), e.cause())
	case DeviceTimedOut:
		return fmt.Sprintf("timed out %s%s%s; what it did is not known%s", place, e.when(row.EndedAt), e.cause(), e.askAgain())
	case DeviceExcused:
		return "is excused " + place + e.when(row.EndedAt) + e.cause() + e.comesBack()
	case DeviceCanceled:
		return "got nothing " + place + ": its turn had not come when that was called off" + e.when(row.EndedAt) + e.cause()
	case DeviceReverting:
		return "is being taken back " + place + fmt.Sprintf("; see: deviceops explain rollout %s %s", cmp.Or(e.Rollout.Rollback, "ROLLBACK"), row.Device)
	case DeviceReverted:
		return "was taken back " + place + e.when(row.EndedAt) + e.origin()
	case DeviceRevertFailed:
		return "could not be taken back " + place + e.when(row.EndedAt) + e.cause()
	default:
		return "is " + string(row.Status) + " " + place
	}
}

func (e explainer) when(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return " " + agoText(at, e.now)
}

func (e explainer) cause() string {
	c := e.Row.Error
	switch {
	case c == nil:
		return ""
	case c.Message == "":
		return ": " + c.Code
	default:
		return ": " + c.Code + ", " + c.Message
	}
}

func (e explainer) health() string {
	switch {
	case e.Spec != nil && e.Spec.Health == nil || e.Row.Health == Yes:
		return ""
	case e.Row.Health == No:
		return ", and is unhealthy since"
	default:
		return "; whether it is well is not known yet"
	}
}

func (e explainer) askAgain() string {
	if e.Rollout.Status != RolloutRunning && e.Rollout.Status != RolloutPaused {
		return ""
	}
	return "; to try it again: deviceops rollout retry " + e.Rollout.Name
}

// comesBack says that a straggler is not forgotten.
func (e explainer) comesBack() string {
	if e.Row.Error == nil || e.Row.Error.Code != CodeStraggler {
		return ""
	}
	switch e.Rollout.Status {
	case RolloutRunning, RolloutPaused, RolloutWaiting, RolloutSucceeded:
		return "; it gets the change when it says hello, in the last ring"
	default:
		return "; the rollout is " + string(e.Rollout.Status) + ", so that it gets nothing when it comes back"
	}
}

func (e explainer) origin() string {
	if e.Row.From.Release == "" {
		return ""
	}
	return " to " + e.Row.From.Release
}

// waits gives what a device waits for that something more happens to.
func (e explainer) waits() []Wait {
	switch {
	case e.Row.Status.InFlight():
		return []Wait{e.answer()}
	case !e.Row.Status.Open():
		return nil
	}
	var waits []Wait
	for _, explain := range []func() *Wait{e.planning, e.approval, e.start, e.paused, e.frozen, e.turn, e.later, e.found, e.limits} {
		if w := explain(); w != nil {
			waits = append(waits, *w)
		}
	}
	if len(waits) == 0 {
		waits = []Wait{{For: "send", Text: "it is about to be sent the change"}}
	}
	return waits
}

// answer is what a device that is in flight owes.
func (e explainer) answer() Wait {
	w := Wait{For: "answer", Since: e.Row.SentAt}
	if e.Row.Status == DeviceAccepted {
		w.Text = "it is at it"
		if e.Row.Phase != "" {
			w.Text += fmt.Sprintf(": %s, %d %%", e.Row.Phase, e.Row.Percent)
		}
		w.Do = "deviceops devices timeline " + e.Row.Device
		return w
	}
	w.Text = "it was sent the change " + agoText(e.Row.SentAt, e.now) + " and is silent since"
	w.Do = "it is asked again, for the same attempt; deviceops explain device " + e.Row.Device
	if e.Spec != nil && e.Spec.AnswerWithin > 0 && !e.Row.SentAt.IsZero() {
		w.Until = e.Row.SentAt.Add(e.Spec.AnswerWithin)
	}
	return w
}

func (e explainer) planning() *Wait {
	if e.Rollout.Status != RolloutPlanning {
		return nil
	}
	return &Wait{For: string(WaitStart), Since: e.Rollout.CreatedAt, Text: "devices are being assigned to rings", Do: "if this lasts, see that a worker runs (deviceops doctor)"}
}

func (e explainer) approval() *Wait {
	if len(e.Approvals) == 0 {
		return nil
	}
	a := e.Approvals[0]
	return &Wait{
		For: string(WaitApproval), Since: a.OpenedAt, Until: a.ExpiresAt,
		Text: fmt.Sprintf("a person has to decide: %s (may decide: %s)", a.Question, strings.Join(a.By, ", ")),
		Do:   fmt.Sprintf("deviceops approvals approve %s, or reject", a.ID),
	}
}

func (e explainer) start() *Wait {
	if e.Spec == nil || !e.Spec.Start.After(e.now) || !e.Rollout.StartedAt.IsZero() {
		return nil
	}
	return &Wait{For: string(WaitStart), Since: e.Rollout.CreatedAt, Until: e.Spec.Start, Text: "the rollout begins at " + stamp(e.Spec.Start)}
}

func (e explainer) paused() *Wait {
	switch r := &e.Rollout; {
	case r.Status == RolloutPaused:
		return &Wait{
			For: string(WaitPaused), Since: r.StatusSince, Text: "the rollout was paused by " + cmp.Or(r.StatusBy, Engine.Name) + because(r.StatusReason),
			Do: fmt.Sprintf("deviceops rollout resume %s, or cancel, or rollback", r.Name),
		}
	case r.Status == RolloutReverting:
		return &Wait{
			For: string(WaitPaused), Since: r.StatusSince, Text: "the rollout is being taken back" + because(r.StatusReason),
			Do: "deviceops rollout watch " + cmp.Or(r.Rollback, r.Name),
		}
	default:
		return nil
	}
}

func (e explainer) frozen() *Wait {
	f := e.Freeze
	if f == nil {
		return nil
	}
	return &Wait{
		For: string(WaitFreeze), Since: f.At, Text: fmt.Sprintf("account %s was frozen by %s%s", f.Account, f.By, because(f.Reason)),
		Do: "deviceops thaw --account " + f.Account,
	}
}

// turn tells which ring comes before its own.
func (e explainer) turn() *Wait {
	present := e.Rollout.Present()
	if e.Rollout.Status.Ended() || present < 0 || present >= e.Row.Ring || e.Rollout.Status == RolloutPlanning {
		return nil
	}
	before := e.Rollout.Rings[present]
	w := &Wait{
		For: string(WaitRing), Since: e.Rollout.CreatedAt,
		Text: fmt.Sprintf("the turn of its ring has not come: ring %s is %s, %d of %s are done%s",
			before.Name, before.Status, before.Counts.Finished(), devices(before.Counts.Targeted), because(before.Reason)),
		Do: "deviceops rollout show " + e.Rollout.Name,
	}
	if e.Spec != nil && before.Status == RingSoaking && present+1 == e.Row.Ring && present < len(e.Spec.Rings) {
		w.Until = before.SoakAt.Add(e.Spec.Rings[present].Soak)
	}
	return w
}

// later tells of a re-try or a deferral that is not due yet.
func (e explainer) later() *Wait {
	row := e.Row
	switch {
	case !row.DueAt.After(e.now):
		return nil
	case row.Status == DeviceDeferred:
		w := &Wait{
			For: string(WaitDeferred), Until: row.DueAt, Since: row.AnswerAt, Text: fmt.Sprintf("it asked to be asked again at %s", stamp(row.DueAt)),
			Do: "it says why on its timeline: deviceops devices timeline " + row.Device,
		}
		if row.Wait != nil && row.Wait.Kind == WaitDeferred {
			w.Text, w.Since = row.Wait.Text, row.Wait.Since
		}
		if e.Spec != nil {
			w.Text += fmt.Sprintf(" (%d of %d times)", row.Deferrals, e.Spec.Deferrals.Max)
		}
		return w
	case row.Attempt > 0 && row.Error != nil:
		return &Wait{
			For: string(WaitRetry), Until: row.DueAt, Since: row.EndedAt,
			Text: fmt.Sprintf("attempt %d failed%s; it is tried again at %s", row.Attempt, e.cause(), stamp(row.DueAt)),
		}
	default:
		return nil
	}
}

// waitHelp says what a person can do about what was found of a device. %s is the
// device.
var waitHelp = map[WaitKind]string{
	WaitOffline:  "see that it has power and network; it is served as soon as it says hello: deviceops explain device %s",
	WaitSleep:    "it is served when it wakes: deviceops explain device %s",
	WaitLock:     "deviceops explain device %s",
	WaitFamily:   "it is served when that is done; deviceops explain device %s",
	WaitReady:    "deviceops devices show %s",
	WaitConflict: "it is served when that rollout lets it go, see deviceops rollout list; or cancel that one",
	WaitBudget:   "see which devices are unavailable: deviceops rollout devices ROLLOUT; or wait until they are back",
	WaitWindow:   "urgent: in a new manifest skips windows",
}

// found is what held the device back when it was last looked at. Reasons that
// are told live are left out.
func (e explainer) found() *Wait {
	w := e.Row.Wait
	if w == nil {
		return nil
	}
	switch w.Kind {
	case WaitOffline, WaitSleep, WaitWindow, WaitBudget, WaitReady, WaitLock, WaitConflict, WaitFamily:
	default:
		return nil
	}
	do := strings.ReplaceAll(waitHelp[w.Kind], "ROLLOUT", e.Rollout.Name)
	if strings.Contains(do, "%s") {
		do = fmt.Sprintf(do, e.Row.Device)
	}
	return &Wait{For: string(w.Kind), Text: w.Text, Since: w.Since, Until: w.Until, Do: do}
}

// limits tells how fast a rollout goes, to a device that only waits for its
// place in the row.
func (e explainer) limits() *Wait {
	present := e.Rollout.Present()
	waits := e.Row.Wait != nil && e.Row.Wait.Kind != WaitRate && e.Row.Wait.Kind != WaitInFlight
	if e.Rollout.Status != RolloutRunning || waits || e.Row.DueAt.After(e.now) || present >= 0 && present < e.Row.Ring || len(e.Approvals) > 0 || e.Freeze != nil {
		return nil
	}
	l, total := e.Rollout.Limits, e.Rollout.Total()
	if l.InFlight > 0 && total.InFlight() >= l.InFlight {
		return &Wait{
			For: string(WaitInFlight), Since: e.ring().OpenedAt, Text: fmt.Sprintf("%s at it, and no more than %d may be", are(total.InFlight(), "device"), l.InFlight),
			Do: fmt.Sprintf("deviceops rollout set %s --in-flight N", e.Rollout.Name),
		}
	}
	rate := l.Rate.PerMinute(e.Rollout.PacedSince(), e.now)
	if math.IsInf(rate, 1) {
		return nil
	}
	return &Wait{
		For: string(WaitRate), Since: e.ring().OpenedAt,
		Text: fmt.Sprintf("%s pending in its ring, and %s may begin per minute", are(e.ring().Counts.Pending, "device"), number(&rate)),
		Do:   fmt.Sprintf("deviceops rollout set %s --rate N/m", e.Rollout.Name),
	}
}
