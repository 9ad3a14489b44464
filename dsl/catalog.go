package dsl

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/deviceops/deviceops"
)

// Catalog gives compiled documents. Looking up the document is a read of the
// store each time, since a newer version may have been published; compiling is
// done once per content.
//
// It is safe for concurrent use.
type Catalog struct {
	Documents deviceops.Documents

	profiles  memo[deviceops.Profile]
	programs  memo[Program]
	calendars memo[deviceops.Calendar]
	rollouts  memo[deviceops.RolloutSpec]

	automations memo[Automation]
	channels    memo[Channel]
}

var _ deviceops.Catalog = (*Catalog)(nil)

// Profile gives the newest version of a profile as seen from account. ENOTFOUND
// if there is none, EINVALID if this version of the engine cannot compile it.
func (c *Catalog) Profile(ctx context.Context, account, name string) (*deviceops.Profile, error) {
	d, err := c.Documents.FindDocument(ctx, account, deviceops.KindProfile, name, 0)
	if err != nil {
		return nil, err
	}
	compiled, err := c.profiles.get(d, CompileProfile)
	if err != nil {
		return nil, err
	}
	p := *compiled // accounts may hold equal documents under their own versions
	p.Account, p.Version = d.Account, d.Version
	return &p, nil
}

// Program gives a version of a workflow as seen from account; version 0 means
// the newest. Errors are those of Profile.
func (c *Catalog) Program(ctx context.Context, account, name string, version int) (*Program, error) {
	d, err := c.Documents.FindDocument(ctx, account, deviceops.KindWorkflow, name, version)
	if err != nil {
		return nil, err
	}
	compiled, err := c.programs.get(d, Compile)
	if err != nil {
		return nil, err
	}
	p := *compiled
	p.Version = d.Version
	return &p, nil
}

// Calendar implements deviceops.Catalog.
func (c *Catalog) Calendar(ctx context.Context, account, name string) (*deviceops.Calendar, error) {
	d, err := c.Documents.FindDocument(ctx, account, deviceops.KindCalendar, name, 0)
	if err != nil {
		return nil, err
	}
	compiled, err := c.calendars.get(d, CompileCalendar)
	if err != nil {
		return nil, err
	}
	calendar := *compiled
	calendar.Account, calendar.Version = d.Account, d.Version
	return &calendar, nil
}

// Channel gives the newest version of a channel as seen from account. Errors are
// those of Profile.
func (c *Catalog) Channel(ctx context.Context, account, name string) (*Channel, error) {
	d, err := c.Documents.FindDocument(ctx, account, deviceops.KindChannel, name, 0)
	if err != nil {
		return nil, err
	}
	compiled, err := c.channels.get(d, CompileChannel)
	if err != nil {
		return nil, err
	}
	channel := *compiled
	channel.Account, channel.Version = d.Account, d.Version
	return &channel, nil
}

// Rollout implements deviceops.Catalog. The result is shared: it must not be
// changed.
func (c *Catalog) Rollout(_ context.Context, r deviceops.Rollout) (*deviceops.RolloutSpec, error) {
	hash := r.Hash
	if found := c.rollouts.find(hash); found != nil {
		return found.Of(&r), nil
	}
	spec, diagnostics := CompileRollout(r.Name+".yaml", r.Source, Options{})
	if err := diagnostics.Err(); err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "the manifest of the rollout %s cannot be used by this version of the engine: %w", r.Name, err)
	}
	c.rollouts.keep(hash, spec)
	return spec.Of(&r), nil
}

// Automations implements deviceops.Catalog. Sources are read of those that are new.
func (c *Catalog) Automations(ctx context.Context, docs deviceops.Documents, account string) ([]*deviceops.Automation, error) {
	heads, err := docs.ListDocuments(ctx, account, deviceops.KindAutomation)
	if err != nil {
		return nil, err
	}
	return c.rules(ctx, docs, heads)
}

// Scheduled implements deviceops.Catalog.
func (c *Catalog) Scheduled(ctx context.Context, docs deviceops.Documents) ([]*deviceops.Automation, error) {
	heads, err := docs.NewestDocuments(ctx, deviceops.KindAutomation)
	if err != nil {
		return nil, err
	}
	all, err := c.rules(ctx, docs, heads)
	return slices.DeleteFunc(all, func(a *deviceops.Automation) bool { return a.Schedule == nil }), err
}

// rules gives what automations compile to.
func (c *Catalog) rules(ctx context.Context, docs deviceops.Documents, heads []deviceops.Document) ([]*deviceops.Automation, error) {
	compiled, faults, err := c.compiledRules(ctx, docs, heads)
	if err != nil {
		return nil, err
	}
	all := make([]*deviceops.Automation, 0, len(heads))
	for _, d := range heads {
		rules := deviceops.Automation{Name: d.Name, Hash: d.Hash}
		if fault := faults[d.Hash]; fault == nil {
			rules = compiled[d.Hash].Rules()
		} else {
			rules.Fault = deviceops.ErrorMessage(fault)
		}
		rules.Account, rules.Version = d.Account, d.Version
		all = append(all, &rules)
	}
	return all, nil
}

// compiledRules gives automations by the hash of their documents. The sources of
// those that are new are read all at once.
func (c *Catalog) compiledRules(ctx context.Context, docs deviceops.Documents, heads []deviceops.Document) (map[string]*Automation, map[string]error, error) {
	compiled, faults := make(map[string]*Automation, len(heads)), map[string]error{}
	var unknown []deviceops.Document
	for _, d := range heads {
		if known := c.automations.find(d.Hash); known != nil {
			compiled[d.Hash] = known
		} else {
			unknown = append(unknown, d)
		}
	}
	if len(unknown) == 0 {
		return compiled, faults, nil
	}
	read, err := docs.ReadDocuments(ctx, unknown)
	if err != nil {
		return nil, nil, err
	}
	c.automations.atMost(maxCachedAutomations)
	for _, d := range read {
		if compiled[d.Hash], err = c.automations.get(d, CompileAutomation); err != nil {
			faults[d.Hash] = err
		}
	}
	return compiled, faults, nil
}

// PlanRun implements deviceops.Catalog.
func (c *Catalog) PlanRun(ctx context.Context, docs deviceops.Documents, account, workflow string, version int) (deviceops.RunPlan, error) {
	d, err := docs.FindDocument(ctx, account, deviceops.KindWorkflow, workflow, version)
	if err != nil {
		return deviceops.RunPlan{}, err
	}
	program, err := c.programs.get(d, Compile)
	if err != nil {
		return deviceops.RunPlan{}, err
	}
	return deviceops.RunPlan{Version: d.Version, Hash: d.Hash, Coerce: program.CoerceInputs, Devices: program.DeviceInputs()}, nil
}

// Occasion implements deviceops.Catalog.
func (c *Catalog) Occasion(e deviceops.Event, d *deviceops.Device) deviceops.Occasion {
	o := deviceops.Occasion{Event: EventFacts(e)}
	if d != nil {
		o.Device = DeviceFacts(d)
	}
	o.Screen = newScreen(o)
	return o
}

// Bounds of a memo; a full one is emptied. Automations are read all at once, so
// that a bound below their number would compile them again each time.
const (
	maxCached            = 1000
	maxCachedAutomations = 20_000
)

// memo keeps what documents compile to, by their hash.
type memo[T any] struct {
	mu     sync.Mutex
	byHash map[string]*T
	most   int // 0: maxCached
}

func (m *memo[T]) find(hash string) *T {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byHash[hash]
}

func (m *memo[T]) keep(hash string, compiled *T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byHash == nil || len(m.byHash) >= cmp.Or(m.most, maxCached) {
		m.byHash = map[string]*T{}
	}
	m.byHash[hash] = compiled
}

// atMost sets another bound.
func (m *memo[T]) atMost(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.most = n
}

// get gives what d compiles to. It compiles without the lock: twice the same
// work now and then is better than everybody waiting.
func (m *memo[T]) get(d deviceops.Document, compile func(string) (*T, Diagnostics)) (*T, error) {
	if found := m.find(d.Hash); found != nil {
		return found, nil
	}
	compiled, diagnostics := compile(d.Source)
	if err := diagnostics.Err(); err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "the %s %s@%d cannot be used by this version of the engine: %w", d.Kind, d.Name, d.Version, err)
	}
	m.keep(d.Hash, compiled)
	return compiled, nil
}
