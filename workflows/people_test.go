package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/workflows"
)

const asked = `
workflow: w
device: k1
steps:
  - id: decision
    approve: Reboot?
    show: { battery: 12 }
    by: [role:operator]
    expires: 2h
  - return: { by: "${{ steps.decision.output.by }}", comment: "${{ steps.decision.output.comment }}", at: "${{ steps.decision.output.at }}" }
`

func TestApproveWaitsForAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.at(30*time.Minute, func() {
		value, err := w.QueryWorkflow(workflows.QueryRun)
		require.NoError(t, err)
		var run deviceops.Run
		require.NoError(t, value.Get(&run))
		require.Equal(t, deviceops.RunWaiting, run.Status)
		require.Len(t, run.Steps, 1)
		require.Equal(t, "a decision by role:operator", run.Steps[0].WaitsFor)
	})
	w.at(time.Hour, func() {
		w.decide(deviceops.Decision{Approval: "r1/decision", Approve: true, By: maria, Comment: "go"}, func(a deviceops.Approval, err error) {
			require.NoError(t, err)
			require.Equal(t, deviceops.ApprovalApproved, a.Status)
			require.Len(t, w.approvals, 2, "the decision is stored before it is confirmed")
		})
	})
	run := execute(t, w, asked, nil)
	require.Equal(t, map[string]any{"by": "user:maria", "comment": "go", "at": "2026-05-01T13:00:00Z"}, run.Outputs)

	opened := w.approvals[0]
	require.Equal(t, "r1/decision", opened.ID)
	require.Equal(t, "Reboot?", opened.Question)
	require.Equal(t, map[string]any{"battery": int64(12)}, opened.Show)
	require.Equal(t, "k1", opened.Device)
	require.Equal(t, noon.Add(2*time.Hour), opened.ExpiresAt.UTC())
}

func TestApprovalsThatFailTheirStep(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		act     func(t *testing.T, w *world)
		code    string
		message string
		status  deviceops.ApprovalStatus
	}{
		"rejected": {
			act: func(t *testing.T, w *world) {
				w.at(time.Minute, func() {
					w.mustDecide(t, deviceops.Decision{Approval: "r1/decision", By: maria, Comment: "not now"})
				})
			},
			code: "approval.rejected", message: "user:maria rejected it: not now", status: deviceops.ApprovalRejected,
		},
		"expired": {
			act:  func(*testing.T, *world) {},
			code: "approval.expired", message: "nobody decided in time", status: deviceops.ApprovalExpired,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.act(t, w)
			run := execute(t, w, asked, nil)
			require.Equal(t, c.code, run.Error.Code)
			require.Equal(t, c.message, run.Error.Message)
			require.Equal(t, c.status, w.approvals[1].Status)
		})
	}
}

func TestALateDecisionIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.at(3*time.Hour, func() {
		w.decide(deviceops.Decision{Approval: "r1/decision", Approve: true, By: maria}, func(_ deviceops.Approval, err error) {
			require.Equal(t, deviceops.ECONFLICT, deviceops.ErrorCode(err))
			require.Equal(t, "r1/decision is expired already", deviceops.ErrorMessage(err))
		})
	})
	run := execute(t, w, `
workflow: w
device: k1
steps:
  - try:
      - id: decision
        approve: Reboot?
        by: [role:operator]
        expires: 2h
    catch:
      - wait: 2h
`, nil)
	require.Equal(t, deviceops.RunSucceeded, run.Status)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		source  string
		command func(activities.CommandInput) (activities.CommandOutput, error)
		check   func(t *testing.T, w *world)
	}{
		"withdraws the question": {
			source: asked,
			check: func(t *testing.T, w *world) {
				require.Equal(t, deviceops.ApprovalCanceled, w.approvals[1].Status)
			},
		},
		"calls the command off": {
			source: "workflow: w\ndevice: k1\nsteps:\n  - command: reboot\n    timeout: 1h\n",
			command: func(activities.CommandInput) (activities.CommandOutput, error) {
				return activities.CommandOutput{}, errPending
			},
			check: func(t *testing.T, w *world) {
				require.Equal(t, []activities.CloseInput{{ID: "r1.steps.0.0", Status: deviceops.CommandCanceled, Reason: "the run was canceled"}}, w.closed)
			},
		},
		"calls off what is left open between two tries": {
			source: "workflow: w\ndevice: k1\nsteps:\n  - command: reboot\n    timeout: 1h\n    attempt_timeout: 1m\n    retry: { times: 3, delay: 30m }\n",
			command: func(activities.CommandInput) (activities.CommandOutput, error) {
				return activities.CommandOutput{}, errSilence
			},
			check: func(t *testing.T, w *world) {
				require.Len(t, w.closed, 1)
				require.Equal(t, deviceops.CommandCanceled, w.closed[0].Status)
			},
		},
		"ends a wait": {
			source: "workflow: w\nsteps:\n  - wait: 1d\n",
			check:  func(*testing.T, *world) {},
		},
		"ends the child run": {
			source: "workflow: w\nsteps:\n  - run: other@1\n",
			check: func(t *testing.T, w *world) {
				require.Equal(t, "r1.steps.0.0.1", w.saved[len(w.saved)-2].ID)
				require.Equal(t, deviceops.RunCanceled, w.saved[len(w.saved)-2].Status)
			},
		},
		"is not caught": {
			source: "workflow: w\nsteps:\n  - try:\n      - wait: 1d\n    catch:\n      - set: { never: 1 }\n",
			check: func(t *testing.T, w *world) {
				require.Equal(t, []string{"steps.0 canceled", "steps.0.try.0 canceled"}, statuses(deviceops.Run{Steps: w.rows()}))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.sources["other"] = "workflow: other\nsteps:\n  - wait: 1d\n"
			if c.command != nil {
				w.command = c.command
			}
			w.at(10*time.Minute, w.CancelWorkflow)
			run := execute(t, w, c.source, nil)
			require.Equal(t, deviceops.RunCanceled, run.Status)
			require.Equal(t, deviceops.ECANCELED, run.Error.Code)
			require.Equal(t, noon.Add(10*time.Minute), run.FinishedAt.UTC())
			c.check(t, w)
		})
	}
}

func TestRunsRunOtherWorkflows(t *testing.T) {
	t.Parallel()
	const parent = `
workflow: w
device: k1
steps:
  - id: sub
    run: other@3
    with: { n: 4 }
  - return: ${{ steps.sub.output }}
`
	t.Run("and get their outputs", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.sources["other"] = "workflow: other\ninputs: { n: integer, device: device }\noutputs: { twice: \"${{ inputs.n * 2 }}\", device: \"${{ inputs.device }}\" }\nsteps:\n  - wait: 1m\n"
		run := execute(t, w, parent, nil)
		require.Equal(t, map[string]any{"twice": int64(8), "device": "k1"}, run.Outputs)
	})
	t.Run("and fail with them", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.sources["other"] = "workflow: other\ninputs: { n: integer }\nsteps:\n  - id: x\n    fail: { code: odd, message: strange, data: { n: 7 } }\n"
		run := execute(t, w, parent, nil)
		require.Equal(t, "odd", run.Error.Code)
		require.Equal(t, "strange", run.Error.Message)
		require.Equal(t, "x", run.Error.Step)
	})
	t.Run("for a limited time", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.sources["other"] = "workflow: other\nsteps:\n  - wait: 1d\n"
		run := execute(t, w, "workflow: w\nsteps:\n  - run: other@1\n    timeout: 1h\n", nil)
		require.Equal(t, deviceops.ETIMEOUT, run.Error.Code)
		require.Equal(t, "the run r1.steps.0.0.1 took too long and was canceled", run.Error.Message)
		require.Equal(t, noon.Add(time.Hour), run.FinishedAt.UTC())
	})
	t.Run("but not without end", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.sources["other"] = "workflow: other\nsteps:\n  - run: w@1\n"
		run := execute(t, w, "workflow: w\nsteps:\n  - run: other@1\n", nil)
		require.Equal(t, deviceops.EEXHAUSTED, run.Error.Code)
	})
	t.Run("that have to exist", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		run := execute(t, w, "workflow: w\nsteps:\n  - run: nowhere@1\n", nil)
		require.Equal(t, deviceops.ENOTFOUND, run.Error.Code)
		require.Equal(t, "there is no workflow nowhere", run.Error.Message)
	})
}
