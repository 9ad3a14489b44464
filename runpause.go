package deviceops

import (
	"context"
	"time"
)

// RunPause is since when a run begins no new steps, and who wants it so.
type RunPause struct {
	Since  time.Time `json:"since,omitzero"`
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
}

// RunControl asks to pause a run, or to let it go on.
type RunControl struct {
	ID     string `json:"id"` // names the request: asking again under the same one changes nothing
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
}

// CheckPause says why the run cannot be paused: it has ended, or is paused
// already. ECONFLICT.
func (r Run) CheckPause() error {
	switch {
	case r.Status.Ended():
		return r.over()
	case r.Paused != nil:
		return Errorf(ECONFLICT, "run %s is paused already, by %s since %s%s", r.ID, r.Paused.By, r.Paused.Since.UTC().Format(time.RFC3339), tellReason(r.Paused.Reason))
	}
	return nil
}

// CheckResume says why the run cannot be resumed: it has ended, or is not
// paused. ECONFLICT.
func (r Run) CheckResume() error {
	switch {
	case r.Status.Ended():
		return r.over()
	case r.Paused == nil:
		return Errorf(ECONFLICT, "run %s is not paused", r.ID)
	}
	return nil
}

func (r Run) over() error {
	return Errorf(ECONFLICT, "run %s has ended already: %s", r.ID, r.Status)
}

// PausedRuns keeps which runs are paused.
type PausedRuns interface {
	// PauseRun writes pause and status of r, unless r has ended. changed is false
	// when its pause is stored so already, or it has ended.
	PauseRun(ctx context.Context, r Run) (changed bool, err error)
}
