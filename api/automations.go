package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
)

type automationService struct{ *core }

func (s *server) automationRoutes(a automationService) {
	handle(s, route{
		id: "list-automations", method: http.MethodGet, path: "/v1/automations", role: deviceops.RoleViewer,
		summary: "List the automations that the account's events are heard by, with their status",
	}, a.list)
	handle(s, route{
		id: "get-automation", method: http.MethodGet, path: "/v1/automations/{name}", role: deviceops.RoleViewer,
		summary: "Show an automation with what it remembers and decided lately",
	}, a.get)
	handle(s, route{
		id: "enable-automation", method: http.MethodPost, path: "/v1/automations/{name}/enable", role: deviceops.RoleOperator,
		summary: "Let an automation start runs again",
		about:   "Also after its brake has stopped it: it then counts anew. What was refused meanwhile is not made up for.",
	}, a.enable)
	handle(s, route{
		id: "disable-automation", method: http.MethodPost, path: "/v1/automations/{name}/disable", role: deviceops.RoleOperator,
		summary: "Let an automation start nothing until it is enabled", about: "Runs that go on, and tickets that it opened, are left alone: open_tickets counts these.",
	}, a.disable)
	handle(s, route{
		id: "run-automation", method: http.MethodPost, path: "/v1/automations/{name}/run", role: deviceops.RoleOperator,
		summary: "Call an automation whose trigger is manual",
		about: "It hears an event with what is given as event.data, the device if one is named, and event.by and event.reason. " +
			"Its condition, windows, concurrency and brake decide as for any other event; the answer says what they did.",
	}, a.run)
	handle(s, route{
		id: "replay-automation", method: http.MethodPost, path: "/v1/automations/{name}/replay", role: deviceops.RoleViewer,
		summary: "Tell what an automation would have started by the events that are stored, or the times of its schedule",
		about: "Nothing is started. Windows and the brake decide as in earnest, by the times of the events; devices are taken to be as they are now, " +
			"and runs to end at once. A schedule is replayed by the times that it says now, whether they were heard or not.",
	}, a.replay)
	handle(s, route{
		id: "explain-event", method: http.MethodGet, path: "/v1/events/{id}/explain", role: deviceops.RoleViewer,
		summary: "Tell why an event did, or did not, start runs", about: "Decisions are kept for 7 days.",
	}, a.explain)
}

// AutomationPath is the part of an input that names an automation.
type AutomationPath struct {
	Account string `query:"account" doc:"Whose view. Default: the caller's account"`
	Name    string `path:"name" maxLength:"128"`
}

type automationList struct {
	Account string `query:"account" doc:"Whose view. Default: the caller's account"`
}

func (a automationService) list(ctx context.Context, p deviceops.Principal, in *automationList) (page[deviceops.AutomationView], error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return page[deviceops.AutomationView]{}, err
	}
	all, states, err := a.all(ctx, account)
	views := make([]deviceops.AutomationView, 0, len(all))
	for _, automation := range all {
		views = append(views, automation.View(states[automation.Ref()]))
	}
	return page[deviceops.AutomationView]{Items: views}, err
}

// all gives the automations that an account can see, with their states.
func (a automationService) all(ctx context.Context, account string) ([]*deviceops.Automation, map[deviceops.AutomationRef]deviceops.AutomationState, error) {
	all, err := a.Catalog.Automations(ctx, a.Store, account)
	if err != nil {
		return nil, nil, err
	}
	states, err := a.Store.ListAutomationStates(ctx, account)
	byRef := make(map[deviceops.AutomationRef]deviceops.AutomationState, len(states))
	for _, s := range states {
		byRef[s.AutomationRef] = s
	}
	return all, byRef, err
}

// find gives one automation that the caller's account can see.
func (a automationService) find(ctx context.Context, p deviceops.Principal, in AutomationPath) (*deviceops.Automation, deviceops.AutomationState, error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return nil, deviceops.AutomationState{}, err
	}
	all, states, err := a.all(ctx, account)
	if err != nil {
		return nil, deviceops.AutomationState{}, err
	}
	i := slices.IndexFunc(all, func(one *deviceops.Automation) bool { return one.Name == in.Name })
	if i < 0 {
		return nil, deviceops.AutomationState{}, deviceops.Errorf(deviceops.ENOTFOUND, "there is no automation %s for account %s", in.Name, account)
	}
	return all[i], states[all[i].Ref()], nil
}

// What one look at an automation shows.
const (
	shownKeys      = 20
	shownDecisions = 20
)

func (a automationService) get(ctx context.Context, p deviceops.Principal, in *AutomationPath) (deviceops.AutomationDetail, error) {
	automation, state, err := a.find(ctx, p, *in)
	if err != nil {
		return deviceops.AutomationDetail{}, err
	}
	detail := deviceops.AutomationDetail{AutomationView: automation.View(state), Keys: []deviceops.AutomationKeyView{}, Decisions: []deviceops.AutomationDecision{}}
	if !deviceops.AccountWithin(automation.Account, p.Account) {
		return detail, nil // what it decided is about devices of others too
	}
	if detail.AutomationView, err = a.view(ctx, automation, state); err != nil {
		return detail, err
	}
	keys, err := a.Store.FindAutomationKeys(ctx, deviceops.AutomationSlot{AutomationRef: automation.Ref()}, shownKeys)
	if err != nil {
		return detail, err
	}
	for slot, k := range keys {
		detail.Keys = append(detail.Keys, k.View(slot.Key))
	}
	slices.SortFunc(detail.Keys, func(x, y deviceops.AutomationKeyView) int { return strings.Compare(x.Key, y.Key) })
	decisions, err := a.Store.ListAutomationDecisions(ctx, deviceops.AutomationDecisionFilter{AutomationRef: automation.Ref(), Limit: shownDecisions})
	detail.Decisions = orEmpty(decisions)
	if err != nil {
		return detail, err
	}
	detail.Next, err = a.nextTimes(ctx, automation)
	return detail, err
}

type automationSwitch struct {
	Reasoned
	AutomationPath
}

func (a automationService) enable(ctx context.Context, p deviceops.Principal, in *automationSwitch) (deviceops.AutomationView, error) {
	return a.change(ctx, p, in, "enable", func(s *deviceops.AutomationState, l deviceops.Limit) { s.Disabled, s.Brake = false, l.Resume() })
}

func (a automationService) disable(ctx context.Context, p deviceops.Principal, in *automationSwitch) (deviceops.AutomationView, error) {
	return a.change(ctx, p, in, "disable", func(s *deviceops.AutomationState, _ deviceops.Limit) { s.Disabled = true })
}

// change writes what a person decided about an automation, with its audit entry.
// One that is so already is left alone.
func (a automationService) change(ctx context.Context, p deviceops.Principal, in *automationSwitch, what string, change func(*deviceops.AutomationState, deviceops.Limit)) (deviceops.AutomationView, error) {
	automation, _, err := a.find(ctx, p, in.AutomationPath)
	if err != nil {
		return deviceops.AutomationView{}, err
	}
	ref := automation.Ref()
	if !deviceops.AccountWithin(ref.Account, p.Account) {
		return deviceops.AutomationView{}, deviceops.Errorf(deviceops.EFORBIDDEN, "automation %s belongs to an account above yours", ref.Name)
	}
	var after deviceops.AutomationState
	err = a.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		locked, err := tx.LockAutomationStates(ctx, []deviceops.AutomationRef{ref})
		if err != nil {
			return err
		}
		state := locked[ref]
		evidence := map[string]any{"was": automation.View(*state).Status, "refused": state.Brake.Refused}
		change(state, automation.Limit)
		if after = *state; automation.View(after).Status == evidence["was"] {
			return nil
		}
		after.ChangedAt, after.ChangedBy, after.Reason = a.Now(), p.Name, in.Reason
		if err := tx.SaveAutomationStates(ctx, []deviceops.AutomationState{after}); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, a.entry(p, switched(ref, what, in.Reason, evidence)))
	})
	if err != nil {
		return deviceops.AutomationView{}, err
	}
	if automation.Schedule != nil {
		a.settle(ctx, automation, after.Disabled)
	}
	return a.view(ctx, automation, after)
}

// view shows an automation with the tickets that it has to close yet.
func (a automationService) view(ctx context.Context, automation *deviceops.Automation, state deviceops.AutomationState) (deviceops.AutomationView, error) {
	view := automation.View(state)
	if !automation.OpensTicket {
		return view, nil
	}
	var err error
	view.OpenTickets, err = a.Store.OpenAutomationTickets(ctx, automation.Ref())
	return view, err
}

func switched(ref deviceops.AutomationRef, what, reason string, evidence map[string]any) change {
	return change{account: ref.Account, action: "automation." + what, target: "automation:" + ref.Name, reason: reason, evidence: evidence}
}

type replayInput struct {
	AutomationPath
	Body deviceops.ReplayRequest
}

// Bounds of a replay.
const (
	replayDefault = 24 * time.Hour
	replayEvents  = 100_000
	replayPage    = 1000
)

func (a automationService) replay(ctx context.Context, p deviceops.Principal, in *replayInput) (deviceops.AutomationReplayed, error) {
	automation, _, err := a.find(ctx, p, in.AutomationPath)
	switch {
	case err != nil:
		return deviceops.AutomationReplayed{}, err
	case automation.Fault != "":
		return deviceops.AutomationReplayed{}, deviceops.Errorf(deviceops.EINVALID, "%s", automation.Fault)
	}
	account, err := scope(p, in.Account)
	if err != nil {
		return deviceops.AutomationReplayed{}, err
	}
	since := in.Body.Since
	if since.IsZero() {
		since = a.Now().Add(-replayDefault)
	}
	r := deviceops.NewAutomationReplay(automation, a.Catalog, a.planFor(ctx, automation), since)
	if automation.Schedule != nil {
		return a.playTimes(ctx, automation, r, since)
	}
	return a.play(ctx, r, deviceops.EventFilter{Account: account, Type: automation.Event, Call: automation.CalledBy(), Since: since, After: -1, Limit: replayPage})
}

// planFor gives the plans of the runs that an automation starts, each read once.
func (a automationService) planFor(ctx context.Context, automation *deviceops.Automation) deviceops.PlanFor {
	type planned struct {
		plan deviceops.RunPlan
		err  error
	}
	known := map[string]planned{}
	return func(account string) (deviceops.RunPlan, error) {
		p, ok := known[account]
		if !ok {
			p.plan, p.err = a.Catalog.PlanRun(ctx, a.Store, account, automation.Workflow, automation.WorkflowVersion)
			known[account] = p
		}
		return p.plan, p.err
	}
}

// playTimes lets the times be heard that a schedule says.
func (a automationService) playTimes(ctx context.Context, automation *deviceops.Automation, r *deviceops.AutomationReplay, since time.Time) (deviceops.AutomationReplayed, error) {
	now := a.Now()
	truncated, err := a.scheduler().Replay(ctx, automation, r, since, now, replayEvents)
	switch {
	case deviceops.ErrorCode(err) == deviceops.ENOTFOUND:
		return deviceops.AutomationReplayed{}, deviceops.Errorf(deviceops.EUNAVAILABLE, "the schedule of automation %s is not in place yet: try again in half a minute", automation.Name)
	case err != nil:
		return deviceops.AutomationReplayed{}, err
	case truncated:
		return r.Finish(time.Time{}, true), nil
	}
	return r.Finish(now, false), nil
}

// play reads the events page by page, with the devices that they are about.
func (a automationService) play(ctx context.Context, r *deviceops.AutomationReplay, f deviceops.EventFilter) (deviceops.AutomationReplayed, error) {
	devices := map[string]*deviceops.Device{}
	for read := 0; read < replayEvents; {
		events, err := a.Store.ListEvents(ctx, f)
		if err != nil {
			return deviceops.AutomationReplayed{}, err
		}
		if err := a.meet(ctx, devices, events); err != nil {
			return deviceops.AutomationReplayed{}, err
		}
		for _, e := range events {
			r.Take(e, devices[e.Device])
			f.After = max(f.After, e.ID)
		}
		if read += len(events); len(events) < replayPage {
			return r.Finish(a.Now(), false), nil
		}
	}
	return r.Finish(time.Time{}, true), nil
}

// meet reads the devices of events that are not known yet.
func (a automationService) meet(ctx context.Context, devices map[string]*deviceops.Device, events []deviceops.Event) error {
	var missing []string
	for _, e := range events {
		if _, known := devices[e.Device]; !known {
			devices[e.Device] = nil
			missing = append(missing, e.Device)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	found, err := a.Store.FindDevices(ctx, missing)
	for id, d := range found {
		devices[id] = d
	}
	return err
}

func (a automationService) explain(ctx context.Context, p deviceops.Principal, in *EventPath) (deviceops.EventExplanation, error) {
	event, err := a.findEvent(ctx, p, in.ID)
	if err != nil {
		return deviceops.EventExplanation{}, err
	}
	all, states, err := a.all(ctx, event.Account)
	if err != nil {
		return deviceops.EventExplanation{}, err
	}
	decisions, err := a.Store.ListAutomationDecisions(ctx, deviceops.AutomationDecisionFilter{Event: event.ID})
	if err != nil {
		return deviceops.EventExplanation{}, err
	}
	slices.Reverse(decisions)
	then, err := a.followed(ctx, decisions)
	if err != nil {
		return deviceops.EventExplanation{}, err
	}
	devices := map[string]*deviceops.Device{}
	if err := a.meet(ctx, devices, []deviceops.Event{event}); err != nil {
		return deviceops.EventExplanation{}, err
	}
	occasion := a.Catalog.Occasion(event, devices[event.Device])
	return deviceops.ExplainEvent(event, deviceops.ExplainedBy{
		Automations: all, Decisions: decisions, Then: then,
		Rejudge: func(one *deviceops.Automation) deviceops.AutomationReason {
			return one.Rejudge(occasion, states[one.Ref()])
		},
	}), nil
}

// followed gives what decisions came to that were no more than a beginning.
func (a automationService) followed(ctx context.Context, decisions []deviceops.AutomationDecision) (map[int64]deviceops.AutomationDecision, error) {
	then := map[int64]deviceops.AutomationDecision{}
	for _, d := range decisions {
		if d.Outcome != deviceops.OutcomeHolding {
			continue
		}
		next, found, err := a.Store.FollowingAutomationDecision(ctx, d)
		if err != nil {
			return nil, err
		}
		if found {
			then[d.ID] = next
		}
	}
	return then, nil
}
