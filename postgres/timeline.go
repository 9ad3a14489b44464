package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/deviceops/deviceops"
)

// DeviceTimeline implements deviceops.Timeline. The newest of each kind hold
// the newest of all.
func (t tx) DeviceTimeline(ctx context.Context, device string, limit int) ([]deviceops.TimelineEntry, error) {
	limit = limitOf(limit)
	var all []deviceops.TimelineEntry
	for _, source := range []func(context.Context, string, int) ([]deviceops.TimelineEntry, error){
		t.eventEntries, t.commandEntries, t.auditEntries, t.approvalEntries, t.runEntries,
	} {
		entries, err := source(ctx, device, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
	}
	slices.SortStableFunc(all, func(a, b deviceops.TimelineEntry) int { return b.At.Compare(a.At) })
	return all[:min(limit, len(all))], nil
}

func (t tx) eventEntries(ctx context.Context, device string, limit int) ([]deviceops.TimelineEntry, error) {
	events, err := list(ctx, t, "find events", scanEvent, `
		select `+eventColumns+` from events where device = $1 and type <> all($2) order by id desc limit $3`,
		device, []string{deviceops.EventTelemetry, deviceops.EventPlace}, limit)
	return entries(events, func(e deviceops.Event) []deviceops.TimelineEntry {
		return []deviceops.TimelineEntry{{At: e.At, Kind: "event", Subject: e.Type, Text: e.Tell(), Data: e.Data}}
	}), err
}

func (t tx) commandEntries(ctx context.Context, device string, limit int) ([]deviceops.TimelineEntry, error) {
	commands, err := t.ListCommands(ctx, device, limit)
	return entries(commands, func(c deviceops.Command) []deviceops.TimelineEntry {
		text := fmt.Sprintf("%s asked for by %s, now %s", c.Name, c.By, c.Status)
		if c.Error != nil {
			text += " (" + c.Error.Code + ": " + c.Error.Message + ")"
		}
		return []deviceops.TimelineEntry{{At: c.CreatedAt, Kind: "command", Subject: c.ID, Text: text, Data: c.Args}}
	}), err
}

func (t tx) auditEntries(ctx context.Context, device string, limit int) ([]deviceops.TimelineEntry, error) {
	lines, err := t.ListAudit(ctx, deviceops.AuditFilter{Target: "device:" + device, Limit: limit})
	return entries(lines, func(e deviceops.AuditEntry) []deviceops.TimelineEntry {
		if e.Action == "device.transition" { // its event tells as much
			return nil
		}
		text := e.Action + " by " + e.Actor
		if e.Reason != "" {
			text += ": " + e.Reason
		}
		return []deviceops.TimelineEntry{{At: e.At, Kind: "audit", Subject: e.Target, Text: text, Data: e.Evidence}}
	}), err
}

// approvalEntries tells when people were asked and when they decided.
func (t tx) approvalEntries(ctx context.Context, device string, limit int) ([]deviceops.TimelineEntry, error) {
	approvals, err := t.ListApprovals(ctx, "", "", device, limit)
	return entries(approvals, func(a deviceops.Approval) []deviceops.TimelineEntry {
		asked := deviceops.TimelineEntry{At: a.OpenedAt, Kind: "approval", Subject: a.ID, Text: "asked: " + a.Question}
		if a.DecidedAt.IsZero() {
			return []deviceops.TimelineEntry{asked}
		}
		text := string(a.Status) + " by " + a.DecidedBy
		if a.Comment != "" {
			text += ": " + a.Comment
		}
		return []deviceops.TimelineEntry{{At: a.DecidedAt, Kind: "approval", Subject: a.ID, Text: text, Data: a.Form}, asked}
	}), err
}

func (t tx) runEntries(ctx context.Context, device string, limit int) ([]deviceops.TimelineEntry, error) {
	runs, err := t.ListRuns(ctx, deviceops.RunFilter{Device: device, Limit: limit})
	return entries(runs, func(r deviceops.Run) []deviceops.TimelineEntry {
		text := fmt.Sprintf("%s@%d by %s: %s", r.Workflow, r.Version, r.StartedBy, r.Status)
		if r.RerunOf != nil {
			text += ", goes on with " + r.RerunOf.Run + " from " + r.RerunOf.Step
		}
		if r.Error != nil {
			text += " (" + r.Error.Code + ": " + r.Error.Message + ")"
		}
		return []deviceops.TimelineEntry{{At: r.StartedAt, Kind: "run", Subject: r.ID, Text: text}}
	}), err
}

func entries[T any](found []T, tell func(T) []deviceops.TimelineEntry) []deviceops.TimelineEntry {
	var all []deviceops.TimelineEntry
	for _, f := range found {
		all = append(all, tell(f)...)
	}
	return all
}
