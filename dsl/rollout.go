package dsl

import (
	"time"

	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

// rolloutKeys are the keys of a rollout, in the order in which they are read:
// what comes later is checked against what comes before.
var rolloutKeys = []fieldSpec{
	{"rollout", textSchema("the name of the rollout, one of its kind in the account")},
	{"description", textSchema("what the rollout is for")},
	{"change", changeSchema()},
	{"targets", expressionSchema("a condition over device: who gets the change")},
	{"rings", ringsSchema()},
	{"rate", rateSchema()},
	{"in_flight", integerSchema("how many devices are at it at once; left out: 500", 1)},
	{"budget", objectSchema("how many devices of a group may be unavailable at once", []string{"max_unavailable"}, budgetKeys)},
	{"ready", expressionSchema("a condition over device; while it does not hold, the device waits")},
	{"phases", objectSchema("how long the parts of the change may take", nil, phaseKeys)},
	{"window", objectSchema("the times of day at which the change may begin", []string{"from", "to"}, windowKeys)},
	{"answer_within", durationSchema("from sending to the first sign of life; left out: 10m")},
	{"retry", objectSchema("when and how often a device that failed is tried again; left out: never", []string{"times"}, rolloutRetryKeys)},
	{"deferrals", objectSchema("how often a device may put the change off", nil, deferralKeys)},
	{"stragglers", objectSchema("what becomes of devices that are not through so long after their ring began; left out: the ring waits for them", []string{"after"}, stragglerKeys)},
	{"health", expressionSchema("a condition over device and release, of devices that have the change; metrics count since then. Left out: success is health")},
	{"gate", described(gateSchema(), "what decides on a ring that has no gate of its own")},
	{"on_fail", schema{"enum": words(failActions), "description": "when a gate fails: pause; stop; rollback: the devices of this ring are taken back; rollback-all: all that were reached are; left out: pause"}},
	{"rollback", objectSchema("how a rollback goes", nil, rollbackKeys)},
	{"conflict", schema{"enum": words(conflictActions), "description": "when another rollout holds a device: wait; refuse: the rollout is not created; supersede: the other one gives up what it has not begun; left out: wait"}},
	{"approve", described(planApprovalSchema(), "who agrees to the plan before the first ring begins")},
	{"start", timeSchema("when the first ring begins; left out: at once")},
	{"deadline", timeSchema("what is open then is canceled, and the rollout fails")},
	{"blackout", blackoutSchema()},
	{"calendars", schema{"type": "array", "items": textSchema(""), "description": "names of calendars that bind the rollout besides those of its account"}},
	{"urgent", schema{"const": true, "description": "skips soaks and windows; needs a reason, and somebody who agrees"}},
	{"reason", textSchema("why the rollout is urgent")},
	{"keep_open", durationSchema("how long the last ring takes devices that join later, after it passed; left out: not at all")},
}

func rolloutSchema() schema {
	return objectSchema("a change that is taken to many devices ring by ring", []string{"rollout", "change", "targets"}, rolloutKeys)
}

// What holds where a manifest says nothing.
const (
	defaultInFlight     = 500
	defaultAnswerWithin = 10 * time.Minute
	defaultDownload     = 12 * time.Hour
	defaultInstall      = 30 * time.Minute
	defaultDeferrals    = 5
)

// Limits of a manifest.
const (
	MaxRings    = 50
	maxInFlight = 1_000_000
)

func defaultRollout() *deviceops.RolloutSpec {
	return &deviceops.RolloutSpec{
		Rings:  []deviceops.RingSpec{{Name: "all"}},
		Limits: deviceops.Limits{InFlight: defaultInFlight},
		Phases: deviceops.PhaseSpec{
			Download: deviceops.PhaseLimit{Timeout: defaultDownload}, Install: deviceops.PhaseLimit{Timeout: defaultInstall},
		},
		AnswerWithin: defaultAnswerWithin,
		Deferrals:    deviceops.DeferralSpec{Max: defaultDeferrals, Then: deviceops.DeferralAsk},
		Gate:         deviceops.Gate{Otherwise: deviceops.OtherwiseAsk},
		OnFail:       deviceops.FailPause,
		Rollback:     deviceops.RollbackSpec{IgnoreWindow: true, MaxRate: true},
		Conflict:     deviceops.ConflictWait,
	}
}

// manifest reads a rollout.
type manifest struct {
	*checker
	o    *object
	spec *deviceops.RolloutSpec

	profile *deviceops.Profile // of all targets; nil: not known
	facts   map[string]any     // what conditions see besides the device
	gates   []readGate         // judged when sizes of rings are known
}

func readRollout(c *checker, out *Compiled) {
	o := c.object(c.doc.root, "a rollout", fieldNames(rolloutKeys)...)
	if o == nil {
		return
	}
	m := &manifest{checker: c, o: o, spec: defaultRollout(), facts: map[string]any{}}
	m.spec.Name = c.name(o.get("rollout"), "the name of a rollout")
	out.Name, out.Rollout = m.spec.Name, m.spec
	m.required("change", "add change: { release: PROJECT@VERSION }", "it is not said what is rolled out")
	m.required("targets", `add targets: device.profile == "PROFILE"`, "it is not said which devices get the change")
	for _, key := range fieldNames(rolloutKeys) {
		if n := o.get(key); n != nil {
			m.read(key, n)
		}
	}
	m.crossCheck()
}

func (m *manifest) required(key, fix, message string) {
	if !m.o.has(key) {
		m.report(m.o.keys["rollout"], "missing-key", fix, "%s", message)
	}
}

// read reads the value of one key.
func (m *manifest) read(key string, n *yaml.Node) {
	spec := m.spec
	switch key {
	case "description":
		m.text(n, "a description")
	case "change":
		m.change(n)
	case "targets":
		m.targets(n)
	case "rings":
		m.rings(n)
	case "ready":
		spec.Ready = m.deviceCondition(n, key)
	case "health":
		spec.Health = m.healthCondition(n)
	case "gate":
		m.rolloutGate(n)
	case "on_fail":
		spec.OnFail = deviceops.FailAction(m.choice(n, key, failActions...))
	case "rollback":
		m.rollback(n)
	case "conflict":
		spec.Conflict = deviceops.ConflictAction(m.choice(n, key, conflictActions...))
	case "approve":
		spec.Approve = m.planApproval(n)
	default:
		m.readPace(key, n)
		m.readTimes(key, n)
	}
}

// Words of a manifest.
var (
	failActions     = []string{"pause", "stop", "rollback", "rollback-all"}
	conflictActions = []string{"wait", "refuse", "supersede"}
)

// words gives a list of words as a schema holds it.
func words(list []string) []any {
	out := make([]any, len(list))
	for i, word := range list {
		out[i] = word
	}
	return out
}

// targets reads whom the rollout is for. The profile that it names is what later
// conditions and commands are checked against.
func (m *manifest) targets(n *yaml.Node) {
	if source, ok := n.Value, n.Kind == yaml.ScalarNode; ok {
		m.profile = m.targetedProfile(source)
	}
	if condition := m.deviceCondition(n, "targets"); condition != nil {
		m.spec.Targets = *condition
	}
}

// deviceCondition compiles a condition over device.
func (m *manifest) deviceCondition(n *yaml.Node, what string) *deviceops.Condition {
	return m.condition(n, what, newScope(types.Map{"device": deviceType(m.profile)}))
}

// healthCondition compiles a condition over device and, if one is rolled out,
// release.
func (m *manifest) healthCondition(n *yaml.Node) *deviceops.Condition {
	env := types.Map{"device": deviceType(m.profile)}
	if m.spec.Change.Kind == deviceops.ChangeRelease {
		env["release"] = types.Map{"project": types.String, "version": types.String}
	}
	return m.condition(n, "health", newScope(env))
}

// condition compiles a condition over a device; one that cannot hold is
// reported. It gives nil when something is wrong.
func (m *manifest) condition(n *yaml.Node, what string, sc *scope) *deviceops.Condition {
	e := m.expression(n, what, sc, wantPredicate)
	switch {
	case e.program == nil:
		return nil
	case e.always(false):
		m.report(n, "never-holds", "write a condition over device, or remove it", "%s never holds", what)
		return nil
	}
	return m.conditionOf(e)
}

// conditionOf makes a condition over a device out of an expression. A value that
// cannot be compared, since the device says something odd, is as good as missing:
// one such device must not keep all others from being judged.
func (m *manifest) conditionOf(e *Expression) *deviceops.Condition {
	facts := m.facts
	judge := func(d *deviceops.Device) (deviceops.Verdict, error) {
		variables := map[string]any{"device": DeviceFacts(d)}
		for name, v := range facts {
			variables[name] = v
		}
		v, err := e.verdict(variables)
		if deviceops.ErrorCode(err) == deviceops.EINVALID {
			return deviceops.Unknown, nil
		}
		return v, err
	}
	exact, narrow := filterOf(e.Source, facts)
	return &deviceops.Condition{Source: e.Source, Judge: judge, Filter: exact, Narrow: narrow}
}

// CompileRollout compiles a manifest. file is its name in diagnostics. Without
// options it depends on source alone, so that a workflow may call it with source
// that its history has pinned; with them, what the manifest names is looked up.
// With errors there is no spec.
func CompileRollout(file, source string, opts Options) (*deviceops.RolloutSpec, Diagnostics) {
	compiled, found := compileOneOf(file, source, deviceops.KindRollout, opts)
	return compiled.Rollout, found
}
