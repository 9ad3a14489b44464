package dsl

import (
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"go.yaml.in/yaml/v4"

	"github.com/deviceops/deviceops"
)

var rateKeys = []fieldSpec{
	{"start", rateTextSchema("devices per s, m or h that are sent the change at first")},
	{"factor", schema{"type": "number", "minimum": 1, "description": "what the rate grows by after each period without a failing gate; left out: it stays"}},
	{"every", durationSchema("the period")},
	{"max", rateTextSchema("up to which it grows; left out: without end")},
}

var budgetKeys = []fieldSpec{
	{"per", textSchema("a field of the device whose value makes a group, such as device.labels.site; left out: the rollout is one group")},
	{"max_unavailable", amountSchema("so many devices of a group, or so many percent of it, rounded down, and one at least")},
}

var phaseKeys = []fieldSpec{
	{"download", objectSchema("of a release; has timeout and window", nil, phaseLimitKeys)},
	{"install", objectSchema("of a release; of any other change, all of it; has timeout and window", nil, phaseLimitKeys)},
}

var phaseLimitKeys = []fieldSpec{
	{"timeout", durationSchema("left out: 12h for download, 30m for install")},
	{"window", schema{"enum": words(windowWords), "description": "keep: only inside the window; any: also outside of it; left out: keep"}},
}

var rolloutRetryKeys = []fieldSpec{
	{"times", schema{"type": "integer", "minimum": 0, "maximum": MaxRetries, "description": "re-tries; 3 means up to four attempts"}},
	{"delay", schema{"type": "string", "description": "pause before a re-try: 1m, or 1m..1h, which doubles from the first to the second; left out: 1m..1h"}},
	{"if", expressionSchema("over error, which has code, message and retryable; left out: as the device says")},
}

var deferralKeys = []fieldSpec{
	{"max", integerSchema("left out: 5", 0)},
	{"then", schema{"enum": words(deferralActions), "description": "ask: the rollout pauses with the question; fail: it counts as failed; excuse: it counts no more; wait: for ever; left out: ask"}},
}

var stragglerKeys = []fieldSpec{
	{"after", durationSchema("since their ring began; a device that sleeps counts from the wake that it promised")},
	{"then", schema{"enum": words(stragglerActions), "description": "excuse: it counts no more, and gets the change when it comes back; fail: it counts as timed out; wait: the ring stays open; left out: excuse"}},
}

// Words of what is read here.
var (
	windowWords      = []string{"keep", "any"}
	deferralActions  = []string{"ask", "fail", "excuse", "wait"}
	stragglerActions = []string{"excuse", "fail", "wait"}
)

// Pause before a device that failed is tried again where the manifest says
// nothing.
const (
	defaultMinPause = time.Minute
	defaultMaxPause = time.Hour
)

func rateTextSchema(description string) schema {
	return schema{"type": "string", "pattern": `^\d+(\.\d+)? */ *[smh]$`, "description": description}
}

func rateSchema() schema {
	return schema{"description": "how many devices are sent the change per minute; left out: no limit", "anyOf": []any{
		rateTextSchema(""), objectSchema("", []string{"start"}, rateKeys),
	}}
}

// readPace reads what bounds how fast, and how often, devices are asked.
func (m *manifest) readPace(key string, n *yaml.Node) {
	spec := m.spec
	switch key {
	case "rate":
		spec.Limits.Rate = m.rate(n)
	case "in_flight":
		spec.Limits.InFlight = m.integer(n, key, 1, maxInFlight)
	case "budget":
		spec.Budget = m.budget(n)
	case "phases":
		m.phases(n)
	case "answer_within":
		spec.AnswerWithin = m.positive(n, key)
	case "retry":
		m.retry(n)
	case "deferrals":
		m.deferrals(n)
	case "stragglers":
		m.stragglers(n)
	}
}

// rate reads 60/m, or a map.
func (m *manifest) rate(n *yaml.Node) (r deviceops.RateSpec) {
	if n.Kind != yaml.MappingNode {
		r.Start = m.perMinute(n, "rate")
		return r
	}
	o := m.object(n, "rate", fieldNames(rateKeys)...)
	if o == nil {
		return r
	}
	if !o.has("start") {
		m.report(n, "missing-key", "write rate: { start: 60/m }", "it is not said at which rate it starts")
	}
	if v := o.get("start"); v != nil {
		r.Start = m.perMinute(v, "start")
	}
	if v := o.get("max"); v != nil {
		if r.Max = m.perMinute(v, "max"); r.Max > 0 && r.Max < r.Start {
			m.report(v, "out-of-range", "write "+o.get("start").Value+" or more", "max is below start")
		}
	}
	if v := o.get("every"); v != nil {
		r.Every = m.positive(v, "every")
	}
	m.growth(o, &r)
	return r
}

// growth reads what the rate grows by.
func (m *manifest) growth(o *object, r *deviceops.RateSpec) {
	n := o.get("factor")
	if n != nil {
		factor, ok := toFloat(scalar(n))
		switch {
		case n.Kind != yaml.ScalarNode || isText(n) || !ok:
			m.report(n, "wrong-type", "write factor: 2", "factor must be a number, and this is %s", kindOf(n))
		case factor < 1:
			m.report(n, "out-of-range", "write 1 or more; people can set a lower rate at any time", "a rate does not shrink by itself")
		}
		r.Factor = factor
	}
	switch {
	case n != nil && !o.has("every"):
		m.report(o.keys["factor"], "missing-key", "add every: 5m", "it is not said after which time the rate grows")
	case n == nil && o.has("every"):
		m.report(o.keys["every"], "missing-key", "add factor: 2", "it is not said what the rate grows by")
	case n == nil && o.has("max"):
		m.report(o.keys["max"], "no-meaning", "add factor: 2 and every: 5m, or remove it", "the rate does not grow, so it has no upper end")
	}
}

// perMinute reads a rate such as 60/m.
func (c *checker) perMinute(n *yaml.Node, what string) float64 {
	if isText(n) {
		if rate, err := deviceops.ParseRate(n.Value); err == nil {
			return rate
		}
	}
	fix := "write a number per s, m or h, such as 60/m"
	if n.Kind == yaml.ScalarNode && n.Tag == "!!int" {
		fix = "say per what: " + n.Value + "/m"
	}
	c.report(n, "bad-rate", fix, "%s must be a rate, and this is %s", what, c.shown(n))
	return 0
}

func (m *manifest) budget(n *yaml.Node) *deviceops.BudgetSpec {
	b := &deviceops.BudgetSpec{}
	o := m.object(n, "budget", fieldNames(budgetKeys)...)
	if o == nil {
		return b
	}
	if v := o.get("per"); v != nil {
		b.Per = m.groupField(v)
	}
	v := o.get("max_unavailable")
	switch {
	case v == nil:
		m.report(n, "missing-key", "add max_unavailable: 1, or a share such as 10%", "it is not said how many may be unavailable")
	case v.Kind == yaml.ScalarNode && v.Tag == "!!int":
		b.MaxUnavailable = m.integer(v, "max_unavailable", 1, maxInFlight)
	default:
		b.MaxPercent, _ = m.percentOf(v, "max_unavailable")
	}
	return b
}

// groupRoots are the fields of a device, or the maps of fields, whose values
// make groups.
var groupRoots = []string{"account", "profile", "parent", "zone", "labels", "attributes"}

// groupField reads a field of the device, such as device.labels.site.
func (m *manifest) groupField(n *yaml.Node) string {
	const fix = "write a field such as device.labels.site"
	e := m.expression(n, "per", newScope(types.Map{"device": deviceType(m.profile)}), wantAny)
	if e.program == nil {
		return ""
	}
	tree, err := parser.ParseWithConfig(e.Source, baseConfig)
	if err != nil {
		return ""
	}
	path, ok := devicePath(tree.Node)
	switch {
	case !ok || len(path) == 0:
		m.report(n, "bad-argument", fix, "per must be one field of the device")
	case !contains(groupRoots, path[0]), (len(path) == 2) != (path[0] == "labels" || path[0] == "attributes"):
		m.report(n, "bad-argument", fix, "%s makes no groups: take an entry of labels or attributes, or account, profile, parent or zone", e.Source)
	default:
		return strings.Join(path, ".")
	}
	return ""
}

func (m *manifest) phases(n *yaml.Node) {
	o := m.object(n, "phases", fieldNames(phaseKeys)...)
	if o == nil {
		return
	}
	for key, limit := range map[string]*deviceops.PhaseLimit{"download": &m.spec.Phases.Download, "install": &m.spec.Phases.Install} {
		if v := o.get(key); v != nil {
			m.phase(v, key, limit)
		}
	}
	if kind := m.spec.Change.Kind; o.has("download") && kind != deviceops.ChangeRelease && kind != "" {
		m.report(o.keys["download"], "no-meaning", "remove it", "nothing is downloaded for a %s", kind)
	}
}

func (m *manifest) phase(n *yaml.Node, what string, limit *deviceops.PhaseLimit) {
	o := m.object(n, what, fieldNames(phaseLimitKeys)...)
	if o == nil {
		return
	}
	if v := o.get("timeout"); v != nil {
		limit.Timeout = m.positive(v, "timeout")
	}
	if v := o.get("window"); v != nil {
		limit.AnyWindow = m.choice(v, "window", windowWords...) == "any"
	}
}

var retryErrorType = types.Map{"code": types.String, "message": types.String, "retryable": types.Bool}

// retry reads when a device that failed is tried again.
func (m *manifest) retry(n *yaml.Node) {
	r := &m.spec.Retry
	if n.Kind == yaml.ScalarNode && n.Tag == "!!int" {
		m.report(n, "wrong-type", "write retry: { times: "+n.Value+" }", "retry must be a map, and this is %s", kindOf(n))
		return
	}
	o := m.object(n, "retry", fieldNames(rolloutRetryKeys)...)
	if o == nil {
		return
	}
	if v := o.get("times"); v != nil {
		r.Times = m.integer(v, "times", 0, MaxRetries)
	} else {
		m.report(n, "missing-key", "write retry: { times: 3 }", "retry needs times")
	}
	r.Min, r.Max = defaultMinPause, defaultMaxPause
	if v := o.get("delay"); v != nil {
		r.Min, r.Max = m.delay(v)
	}
	if v := o.get("if"); v != nil {
		m.retryIf(v)
	}
}

func (m *manifest) retryIf(n *yaml.Node) {
	e := m.expression(n, "retry.if", newScope(types.Map{"error": retryErrorType}), wantPredicate)
	if e.program == nil {
		return
	}
	m.spec.Retry.Source = e.Source
	m.spec.Retry.If = func(cause deviceops.CommandError) (deviceops.Verdict, error) {
		return e.verdict(map[string]any{"error": map[string]any{
			"code": cause.Code, "message": cause.Message, "retryable": cause.Retryable,
		}})
	}
}

func (m *manifest) deferrals(n *yaml.Node) {
	o := m.object(n, "deferrals", fieldNames(deferralKeys)...)
	if o == nil {
		return
	}
	if v := o.get("max"); v != nil {
		m.spec.Deferrals.Max = m.integer(v, "max", 0, 1000)
	}
	if v := o.get("then"); v != nil {
		m.spec.Deferrals.Then = deviceops.DeferralAction(m.choice(v, "then", deferralActions...))
	}
}

func (m *manifest) stragglers(n *yaml.Node) {
	s := &m.spec.Stragglers
	o := m.object(n, "stragglers", fieldNames(stragglerKeys)...)
	if o == nil {
		return
	}
	s.Then = deviceops.StragglerExcuse
	if v := o.get("then"); v != nil {
		s.Then = deviceops.StragglerAction(m.choice(v, "then", stragglerActions...))
	}
	v := o.get("after")
	if v == nil {
		m.report(n, "missing-key", "add after: 7d", "it is not said after which time a device is a straggler")
		return
	}
	s.After = m.positive(v, "after")
	if within := m.spec.AnswerWithin; s.After > 0 && s.After < within {
		m.report(v, "bad-order", "write "+FormatDuration(within)+" or more, or a shorter answer_within",
			"a device has %s to answer and would be a straggler before that", FormatDuration(within))
	}
}

// sprintCount writes a number of devices.
func sprintCount(n int) string {
	if n == 1 {
		return "1 device"
	}
	return strconv.Itoa(n) + " devices"
}
