package workflows

import (
	"encoding/json"

	"github.com/deviceops/deviceops"
)

// show gives the evidence of a question.
func (p *rollout) show(q deviceops.RolloutQuestion) map[string]any {
	r := &p.state.Rollout
	show := map[string]any{"rollout": r.Name, "manifest_sha256": r.Hash, "change": changeText(p.spec.Change)}
	if r.Reason != "" {
		show["reason"] = r.Reason
	}
	switch {
	case q.Kind == deviceops.AskPlan:
		show["rings"], show["notes"] = p.planText(), r.Notes
		if p.spec.Urgent != "" {
			show["urgent"] = p.spec.Urgent
		}
	case q.Kind == deviceops.AskRing && q.Ring > 0:
		show["before"] = p.ringShow(q.Ring - 1)
		show["devices"] = r.Rings[q.Ring].Counts.Targeted
	case q.Kind == deviceops.AskRing:
		show["devices"] = r.Rings[q.Ring].Counts.Targeted
	default:
		show["ring"] = p.ringShow(q.Ring)
	}
	return show
}

func changeText(c deviceops.Change) string {
	switch c.Kind {
	case deviceops.ChangeRelease:
		return "release " + c.Release
	case deviceops.ChangeCommand:
		return "command " + c.Command
	case deviceops.ChangeWorkflow:
		return "workflow " + c.Workflow
	default:
		return "configuration"
	}
}

func (p *rollout) planText() []any {
	rings := []any{}
	for i, ring := range p.state.Rollout.Rings {
		line := map[string]any{"name": ring.Name, "devices": ring.Counts.Targeted, "excused": ring.Counts.Excused}
		if soak := p.spec.Rings[i].Soak; soak > 0 && p.spec.Urgent == "" {
			line["soak"] = soak.String()
		}
		rings = append(rings, line)
	}
	return rings
}

// ringShow gives how a ring fared, and what its gate makes of that.
func (p *rollout) ringShow(i int) map[string]any {
	r := &p.state.Rollout
	ring := r.Rings[i]
	show := map[string]any{"name": ring.Name, "counts": ring.Counts, "gate": gateShow(p.spec.GateOf(i).Judge(deviceops.GateFacts{Ring: ring.Counts, Rollout: r.Total()}, true))}
	var errors []deviceops.ErrorCount
	for _, e := range p.state.Errors {
		if e.Ring == i {
			errors = append(errors, e)
		}
	}
	if len(errors) > 0 {
		show["errors"] = errors
	}
	return show
}

func gateShow(v deviceops.GateVerdict) map[string]any {
	return map[string]any{"outcome": v.Outcome, "reason": v.Reason, "pass": readingShow(v.Pass), "fail": readingShow(v.Fail)}
}

// readingShow gives a condition with the values of its terms.
func readingShow(r deviceops.GateReading) map[string]any {
	terms := []string{}
	for _, t := range r.Terms {
		terms = append(terms, t.String())
	}
	return map[string]any{"condition": r.Source, "verdict": r.Verdict.String(), "terms": terms}
}

// plain gives evidence as the JSON values that it is stored as, so that its hash
// is the same wherever it is computed.
func plain(show map[string]any) (values map[string]any) {
	data, err := json.Marshal(show)
	if err == nil {
		err = json.Unmarshal(data, &values)
	}
	if err != nil {
		return map[string]any{"error": err.Error()} // counts and texts are JSON
	}
	return values
}

// evidence gives what a step was decided on, for the audit log.
func (p *rollout) evidence(before *deviceops.Rollout, step deviceops.RolloutStep) map[string]any {
	evidence := map[string]any{"manifest_sha256": before.Hash}
	if step.Ring >= 0 && (step.Do == deviceops.DoPass || step.Do == deviceops.DoFail) {
		evidence["gate"] = p.ringShow(step.Ring)["gate"]
	}
	return plain(evidence)
}
