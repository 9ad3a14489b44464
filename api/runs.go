package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/workflows"
)

type runService struct{ *core }

func (s *server) runRoutes(r runService) {
	handle(s, route{
		id: "start-run", method: http.MethodPost, path: "/v1/runs", role: deviceops.RoleOperator,
		summary: "Run a workflow",
		about:   "The version is resolved now and pinned. Inputs are checked against the workflow and given their types.",
	}, r.start)
	handle(s, route{
		id: "list-runs", method: http.MethodGet, path: "/v1/runs", role: deviceops.RoleViewer,
		summary: "List runs, newest first, without steps",
	}, r.list)
	handle(s, route{
		id: "get-run", method: http.MethodGet, path: "/v1/runs/{id}", role: deviceops.RoleViewer,
		summary: "Show a run with its steps",
		about:   "Large parts of outputs, which lists and streams show as {\"$stored\": {ref, sha256, size, type}}, are given whole, up to 32 MiB of them.",
	}, r.get)
	s.controlRoutes(r)
	handle(s, route{
		id: "rerun-run", method: http.MethodPost, path: "/v1/runs/{id}/rerun", role: deviceops.RoleOperator,
		summary: "Run again from the step that failed",
		about: "A new run of the same definition with the same inputs, which copies the steps that succeeded before instead of executing them again. " +
			"409 when the run has not ended; 422 says what cannot be copied, and at which step to begin instead.",
	}, r.rerun)
	stream(s, route{
		id: "stream-run", method: http.MethodGet, path: "/v1/runs/{id}/stream", role: deviceops.RoleViewer,
		summary: "Follow a run", about: "An event `run` whenever it changed; the stream ends with the run.",
	}, r.watch)
}

type startInput struct {
	Reasoned
	Key  string `header:"Idempotency-Key" maxLength:"128" doc:"The same key starts one run"`
	Body deviceops.RunRequest
}

func (r runService) start(ctx context.Context, p deviceops.Principal, in *startInput) (deviceops.Run, error) {
	run, err := r.plan(ctx, p, in.Body)
	if err != nil {
		return deviceops.Run{}, err
	}
	run.ID, run.Reason = keyed(p, "run", in.Key), in.because(in.Body.Reason)
	return r.launch(ctx, p, run)
}

// launch starts a run, unless there is one of its id: then that is given.
func (r runService) launch(ctx context.Context, p deviceops.Principal, run deviceops.Run) (deviceops.Run, error) {
	created, err := r.store(ctx, p, run)
	if err != nil {
		return deviceops.Run{}, err
	}
	if created {
		r.startNow(ctx, workflows.RunStart(run))
		return run, nil
	}
	return r.find(ctx, p, run.ID)
}

// evidence is what the audit log says of a run that is started.
func evidence(run deviceops.Run) map[string]any {
	said := map[string]any{"workflow": run.Workflow, "version": run.Version, "hash": run.Hash, "device": run.Device, "inputs": run.Inputs}
	if o := run.RerunOf; o != nil {
		said["rerun_of"], said["from"], said["copied"] = o.Run, o.Step, len(run.Steps)
	}
	return said
}

// store keeps the run, the request to start it and the audit entry together.
func (r runService) store(ctx context.Context, p deviceops.Principal, run deviceops.Run) (bool, error) {
	var created bool
	action := "run.start"
	if run.RerunOf != nil {
		action = "run.rerun"
	}
	err := r.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		var err error
		if created, err = tx.CreateRun(ctx, run); err != nil || !created {
			return err
		}
		if o := run.RerunOf; o != nil {
			if err := tx.CopyOutputs(ctx, o.Run, run.ID); err != nil {
				return err
			}
		}
		if err := tx.RequestStarts(ctx, []deviceops.Start{workflows.RunStart(run)}, r.Now()); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, r.entry(p, change{
			account: run.Account, action: action, target: "run:" + run.ID, reason: run.Reason, evidence: evidence(run),
		}))
	})
	return created, err
}

type runFilter struct {
	Paged
	Account  string `query:"account" doc:"This account and all below it"`
	Workflow string `query:"workflow"`
	Device   string `query:"device"`
	Status   string `query:"status" enum:"pending,running,waiting,paused,succeeded,failed,canceled"`
}

func (r runService) list(ctx context.Context, p deviceops.Principal, in *runFilter) (page[deviceops.Run], error) {
	account, err := scope(p, in.Account)
	if err != nil {
		return page[deviceops.Run]{}, err
	}
	after, err := in.after()
	if err != nil {
		return page[deviceops.Run]{}, err
	}
	rows, err := r.Store.ListRuns(ctx, deviceops.RunFilter{
		Account: account, Workflow: in.Workflow, Device: in.Device, Status: deviceops.RunStatus(in.Status), After: after, Limit: in.Limit + 1,
	})
	return pageOf(rows, in.Limit, func(r deviceops.Run) string { return r.ID }), err
}

// RunPath is the part of an input that names a run.
type RunPath struct {
	ID string `path:"id" maxLength:"512"`
}

func (r runService) get(ctx context.Context, p deviceops.Principal, in *RunPath) (deviceops.Run, error) {
	run, err := r.find(ctx, p, in.ID)
	if err == nil {
		r.complete(ctx, &run)
	}
	return run, err
}

// find gives a run. An open one is asked for its steps, which reach the store
// only now and then; without an answer the store's view is given.
func (r runService) find(ctx context.Context, p deviceops.Principal, id string) (deviceops.Run, error) {
	run, err := r.Store.FindRun(ctx, id)
	if err != nil {
		return deviceops.Run{}, err
	}
	if err := visible(p, run.Account, "run", id); err != nil || run.Status.Ended() {
		return run, err
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var live deviceops.Run
	if err := r.Orchestrator.Query(ctx, id, workflows.QueryRun, &live); err != nil {
		return run, nil
	}
	// What was said at the start is as the store has it.
	live.ID, live.Account, live.StartedBy, live.Reason = run.ID, run.Account, run.StartedBy, run.Reason
	if live.StartedAt.IsZero() {
		live.StartedAt = run.StartedAt
	}
	live.Steps = mergeSteps(run.Steps, live.Steps)
	r.tellWaits(ctx, &live)
	return live, nil
}

// mergeSteps gives the live rows of a run with those that only the store has: a
// run that went on in a new execution knows no older ones.
func mergeSteps(stored, live []deviceops.RunStep) []deviceops.RunStep {
	known := make(map[int]bool, len(live))
	for _, row := range live {
		known[row.Index] = true
	}
	merged := slices.DeleteFunc(slices.Clone(stored), func(row deviceops.RunStep) bool { return known[row.Index] })
	merged = append(merged, live...)
	slices.SortStableFunc(merged, func(a, b deviceops.RunStep) int { return cmp.Compare(a.Index, b.Index) })
	return merged
}

// watch sends a run at once and then whenever it changed, until it has ended.
func (r runService) watch(ctx context.Context, p deviceops.Principal, in *RunPath) (source, error) {
	if _, err := r.find(ctx, p, in.ID); err != nil {
		return nil, err
	}
	var last []byte
	return func(ctx context.Context) ([]message, bool, error) {
		run, err := r.find(ctx, p, in.ID)
		if err != nil {
			return nil, true, err
		}
		seen, err := json.Marshal(run)
		if err != nil || bytes.Equal(seen, last) {
			return nil, run.Status.Ended(), err
		}
		last = seen
		return []message{{event: "run", data: run}}, run.Status.Ended(), nil
	}, nil
}
