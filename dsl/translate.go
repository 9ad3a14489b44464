package dsl

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/vm"

	"github.com/deviceops/deviceops"
)

var _ deviceops.Translation = (*translation)(nil)

// maxItems bounds what one message may hold.
const maxTranslated = 1000

// translation is what a profile says of devices that know only their own topics.
type translation struct {
	rules     []rule
	replies   []reply // to commands, in the order of the document
	sends     map[string]*send
	usesFacts bool // an expression asks for facts of the device
}

// origin is where messages come from and how they are read: what rules and
// replies have in common.
type origin struct {
	on       topicFilter
	decode   decoder
	device   *Expression // the id; nil: the level {device}
	when     *Expression // nil: always
	retained bool        // what the broker had kept counts, too
}

// rule says what a message of a device means.
type rule struct {
	origin
	ignore    bool
	each      *Expression // a list, of which every item is read; nil: the message is one
	time      *stamp
	dedupe    *Expression
	hello     []named
	software  []named // of hello
	status    *Expression
	wakeIn    *Expression
	uptime    *Expression
	heartbeat bool
	metrics   []named
	reported  *reportedRule
	events    []eventRule
}

// named is an expression that gives a value of that name.
type named struct {
	name string
	expr *Expression
}

// stamp says when it happened.
type stamp struct {
	expr *Expression
	unit string // rfc3339, unix, unix_ms, age_s, age_ms
}

type reportedRule struct {
	configVersion        *Expression
	software, attributes []named
}

type eventRule struct {
	when                 *Expression
	kind, severity, data *Value
}

// Filters implements deviceops.Translation.
func (t *translation) Filters() []string {
	var filters []string
	for _, o := range t.origins() {
		filters = append(filters, o.on.mqtt())
	}
	slices.Sort(filters)
	return slices.Compact(filters)
}

func (t *translation) origins() []*origin {
	all := make([]*origin, 0, len(t.rules)+len(t.replies))
	for i := range t.rules {
		all = append(all, &t.rules[i].origin)
	}
	for i := range t.replies {
		all = append(all, &t.replies[i].origin)
	}
	return all
}

// Hears implements deviceops.Translation.
func (t *translation) Hears(topic string) bool {
	levels := strings.Split(topic, "/")
	return slices.ContainsFunc(t.origins(), func(o *origin) bool { return o.on.matches(levels) })
}

// Tells implements deviceops.Translation.
func (t *translation) Tells(topic string) bool {
	for _, s := range t.sends {
		if s.told != nil && s.told.MatchString(topic) {
			return true
		}
	}
	return false
}

// Device implements deviceops.Translation: the first rule that hears the topic
// and tells a device does.
func (t *translation) Device(m deviceops.Message) (id string, err error) {
	r := newHearing(m)
	err = invalid("no rule of the profile tells whose topic %s is", m.Topic)
	for _, o := range t.origins() {
		if !o.on.matches(r.levels) {
			continue
		}
		if id, err = r.deviceBy(o); err == nil {
			return id, nil
		}
	}
	return "", err
}

// hearing is a message that is being translated.
type hearing struct {
	message deviceops.Message
	levels  []string // of the topic
	vars    map[string]any
	decoded map[decoder]decoded
	machine vm.VM
	budget  *budget // of all expressions together
	heard   deviceops.Heard
}

type decoded struct {
	value any
	err   error
}

func newHearing(m deviceops.Message) *hearing {
	levels := strings.Split(m.Topic, "/")
	topic := make([]any, len(levels))
	for i, level := range levels {
		topic[i] = level
	}
	b := newBudget()
	return &hearing{
		message: m, levels: levels, vars: map[string]any{"topic": topic, budgetName: b}, decoded: map[decoder]decoded{},
		machine: vm.VM{MemoryBudget: memoryBudget}, budget: b,
	}
}

func (r *hearing) eval(e *Expression) (any, error) { return e.runOn(&r.machine, r.vars, r.budget) }

func (r *hearing) verdict(e *Expression) (deviceops.Verdict, error) { return e.judge(r.eval(e)) }

// load makes the payload, read by d, what expressions see.
func (r *hearing) load(d decoder) error {
	found, ok := r.decoded[d]
	if !ok {
		found.value, found.err = d.decode(r.message.Payload)
		r.decoded[d] = found
	}
	r.vars["payload"] = found.value
	return found.err
}

func (r *hearing) deviceBy(o *origin) (string, error) {
	id := ""
	switch {
	case o.device == nil:
		id = r.levels[o.on.device]
	default:
		if err := r.load(o.decode); err != nil {
			return "", err
		}
		v, err := r.eval(o.device)
		if err != nil {
			return "", err
		}
		id = Format(v)
	}
	if !deviceops.ValidID(id) {
		return "", invalid("%s is no id of a device: use A-Z a-z 0-9 . _ : - and at most %d characters", quoteShort(id), deviceops.MaxIDLength)
	}
	return id, nil
}

// takes reports whether o is about this message.
func (r *hearing) takes(o *origin) (bool, error) {
	if !o.on.matches(r.levels) || r.message.Retained && !o.retained {
		return false, nil
	}
	if err := r.load(o.decode); err != nil {
		return false, err
	}
	if o.when == nil {
		return true, nil
	}
	verdict, err := r.verdict(o.when)
	return verdict == deviceops.Yes, err
}

// Up implements deviceops.Translation. Every reply that may be meant is given;
// of the rules the first that takes the message counts.
func (t *translation) Up(m deviceops.Message, d *deviceops.Device) (deviceops.Heard, error) {
	r := newHearing(m)
	r.vars["device"] = map[string]any{}
	if t.usesFacts && d != nil {
		r.vars["device"] = DeviceFacts(d)
	}
	failed := t.hearReplies(r)
	for i := range t.rules {
		taken, err := r.takes(&t.rules[i].origin)
		if err != nil && failed == nil {
			failed = err
		}
		if taken {
			err := r.apply(&t.rules[i])
			return r.heard, err
		}
	}
	switch {
	case len(r.heard.Replies) > 0:
		return r.heard, nil
	case failed != nil:
		return deviceops.Heard{}, failed
	case m.Retained:
		return deviceops.Heard{Ignored: true}, nil
	default:
		return deviceops.Heard{}, deviceops.Errorf(deviceops.ENOTFOUND, "no rule of the profile takes it: for each on its topic, when does not hold")
	}
}

// apply translates the message by a rule.
func (r *hearing) apply(t *rule) error {
	if t.ignore {
		r.heard.Ignored = true
		return nil
	}
	if err := r.identify(t); err != nil {
		return err
	}
	items, err := r.items(t)
	if err != nil {
		return err
	}
	for _, item := range items {
		r.vars["item"] = item
		if err := r.one(t); err != nil {
			return err
		}
	}
	if len(r.heard.Said) == 0 {
		return invalid("it says nothing: %s missing", missingWords(r.heard.Missing))
	}
	return nil
}

func missingWords(names []string) string {
	if len(names) == 0 {
		return "the list that each names is empty, or all its values are"
	}
	return strings.Join(names, ", ") + " is"
}

func (r *hearing) identify(t *rule) error {
	if t.dedupe == nil {
		return nil
	}
	v, err := r.eval(t.dedupe)
	if err == nil && v == nil {
		err = invalid("`%s`: it has nothing to be told from a repetition by", t.dedupe.Source)
	}
	r.heard.Dedupe = Format(v)
	return err
}

func (r *hearing) items(t *rule) ([]any, error) {
	if t.each == nil {
		return []any{r.vars["payload"]}, nil
	}
	v, err := r.eval(t.each)
	if err != nil {
		return nil, err
	}
	list, ok := v.([]any)
	switch {
	case !ok:
		return nil, invalid("`%s` gives %s, where a list is needed", t.each.Source, describe(v))
	case len(list) > maxTranslated:
		return nil, invalid("`%s` gives %d items; at most %d are taken", t.each.Source, len(list), maxTranslated)
	}
	return list, nil
}
