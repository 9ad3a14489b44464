package deviceops

import (
	"context"
	"strings"
	"time"
)

// RunStatus is how far a run or one of its steps is.
type RunStatus string

// Statuses of runs and steps.
const (
	RunPending   RunStatus = "pending"
	RunRunning   RunStatus = "running"
	RunWaiting   RunStatus = "waiting" // for a person, a device or a time
	RunPaused    RunStatus = "paused"  // runs only: no step begins until somebody resumes it
	RunSucceeded RunStatus = "succeeded"
	RunFailed    RunStatus = "failed"
	RunCanceled  RunStatus = "canceled"
	RunSkipped   RunStatus = "skipped" // steps only
)

// Ended reports whether nothing more happens.
func (s RunStatus) Ended() bool {
	switch s {
	case RunSucceeded, RunFailed, RunCanceled, RunSkipped:
		return true
	default:
		return false
	}
}

// Run is one execution of one version of a workflow.
type Run struct {
	ID         string         `json:"id"` // also the Temporal workflow id
	Account    string         `json:"account"`
	Workflow   string         `json:"workflow"`
	Version    int            `json:"version"`
	Hash       string         `json:"hash"`
	Device     string         `json:"device,omitempty"` // the default device, if there is one
	Inputs     map[string]any `json:"inputs,omitempty"`
	Status     RunStatus      `json:"status"`
	Paused     *RunPause      `json:"paused,omitempty"` // nil: it is not paused
	Outputs    map[string]any `json:"outputs,omitempty"`
	Error      *RunError      `json:"error,omitempty"`
	StartedBy  string         `json:"started_by"`
	Reason     string         `json:"reason,omitempty"`
	RerunOf    *RunOrigin     `json:"rerun_of,omitempty"` // the run that it goes on with; nil: none
	StartedAt  time.Time      `json:"started_at,omitzero"`
	FinishedAt time.Time      `json:"finished_at,omitzero"`
	Steps      []RunStep      `json:"steps,omitempty"`
}

// RunError is why a run or step failed; expressions see it as `error`.
type RunError struct {
	Code      string         `json:"code"`
	Message   string         `json:"message"`
	Retryable bool           `json:"retryable"`
	Step      string         `json:"step,omitempty"`
	Data      map[string]any `json:"data,omitempty"`
}

// RunStep is one row of a run's timeline.
type RunStep struct {
	Index      int       `json:"index"` // order of start, from 0
	Step       string    `json:"step"`  // id, or a path such as steps.2; in a foreach with the item: ask[3]
	Verb       string    `json:"verb"`
	Status     RunStatus `json:"status"`
	Attempts   int       `json:"attempts"`
	StartedAt  time.Time `json:"started_at,omitzero"`
	FinishedAt time.Time `json:"finished_at,omitzero"`
	Input      any       `json:"input,omitempty"`
	Output     any       `json:"output,omitempty"`
	Error      *RunError `json:"error,omitempty"`
	WaitsFor   string    `json:"waits_for,omitempty"`

	// Vars are the variables that a step of the run's own list set, or what is in
	// it, with what they were when it had succeeded.
	Vars map[string]any `json:"vars,omitempty"`
	// Copied says that the step was not executed here: the row is that of the run
	// that this one goes on with.
	Copied bool `json:"copied,omitempty"`

	// What whoever follows the run is told of a step that waits. It is looked up
	// when it is asked for, and no part of the row.
	Progress string    `json:"progress,omitempty"` // "installing, 40 %"
	Until    time.Time `json:"until,omitzero"`     // the wait is over then at the latest; zero: not known
}

// StepID gives the id of the step without the items that the row is about.
func (s RunStep) StepID() string {
	id, _, _ := strings.Cut(s.Step, "[")
	return id
}

// RunPlan is a published workflow as runs of it are started.
type RunPlan struct {
	Version int
	Hash    string
	// Coerce checks inputs and gives them their types. EINVALID.
	Coerce  func(inputs map[string]any) (map[string]any, error)
	Devices []DeviceInput
}

// DeviceInput is an input that is a device, of a profile if that is not "".
type DeviceInput struct{ Name, Profile string }

// CheckDevices sees that the devices among inputs are of the profiles that are asked
// for. EINVALID, and what profileOf gives.
func CheckDevices(asked []DeviceInput, inputs map[string]any, profileOf func(asked DeviceInput, device string) (string, error)) error {
	for _, d := range asked {
		id, _ := inputs[d.Name].(string)
		if id == "" {
			continue
		}
		profile, err := profileOf(d, id)
		if err != nil {
			return err
		}
		if d.Profile != "" && profile != d.Profile {
			return Errorf(EINVALID, "the input %q: device %s is of profile %s, not %s", d.Name, id, profile, d.Profile)
		}
	}
	return nil
}

// RunFilter selects runs. Zero fields select all.
type RunFilter struct {
	Account  string // this account and all below it
	Workflow string
	Device   string
	Status   RunStatus
	After    string // id after which to go on (newest first)
	Limit    int    // 0: 100
}

// Runs keeps runs and their timelines.
type Runs interface {
	// CreateRun stores r, or changes nothing if its id exists; created tells
	// which.
	CreateRun(ctx context.Context, r Run) (created bool, err error)

	// CreateRuns stores runs that have no steps, in bulk; those whose ids exist
	// are left as they are.
	CreateRuns(ctx context.Context, runs []Run) error

	// FindRun gives a run with its steps. ENOTFOUND.
	FindRun(ctx context.Context, id string) (Run, error)

	// ListRuns gives runs without steps, newest first.
	ListRuns(ctx context.Context, f RunFilter) ([]Run, error)

	// UncheckedRuns gives up to limit open runs, without steps, of which nobody
	// has asked Temporal since before, those first that were left alone longest,
	// and counts them as asked about at now. Runs whose start waits in the outbox
	// are left out.
	UncheckedRuns(ctx context.Context, before, now time.Time, limit int) ([]Run, error)

	// SaveRun writes status, outputs, error and finish of a run and upserts
	// the given steps by index. A run that has ended stays as it is; one that
	// ends is paused no longer, and whether an open one is paused is for PauseRun
	// to say. ENOTFOUND.
	SaveRun(ctx context.Context, r Run) error

	PausedRuns
}

// RunStart asks for a run. Its input is that of package workflows.
func RunStart(r Run) Start {
	type input struct {
		Run Run `json:"run"`
	}
	return Start{WorkflowID: r.ID, Type: r.Workflow, Input: input{r}, Device: r.Device}
}
