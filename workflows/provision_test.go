package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
	"github.com/deviceops/deviceops/workflows"
)

// provision executes the provisioning of k1 and gives its result.
func provision(t *testing.T, w *world) workflows.ProvisionResult {
	t.Helper()
	w.ExecuteWorkflow(workflows.TypeProvision, workflows.ProvisionInput{Device: "k1"})
	require.True(t, w.IsWorkflowCompleted())
	require.NoError(t, w.GetWorkflowError())
	var result workflows.ProvisionResult
	require.NoError(t, w.GetWorkflowResult(&result))
	return result
}

func TestProvisionConfiguresVerifiesAndActivates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.Equal(t, workflows.ProvisionResult{Outcome: "active", State: deviceops.Active}, provision(t, w))

	require.Len(t, w.commands, 1)
	c := w.commands[0]
	require.Equal(t, "provision.k1.1777636800000.configure.v1.0", c.ID)
	require.Equal(t, deviceops.CommandConfigure, c.Name)
	require.Equal(t, noon.Add(time.Hour), c.ExpiresAt.UTC())
	require.True(t, c.Prepared && c.Exclusive)
	require.Len(t, w.verified, 1, "what is shown at once is not asked for again")
	require.True(t, w.verified[0].Activate)
	require.Empty(t, w.notes, "nothing went wrong, so there is nothing to tell")

	value, err := w.QueryWorkflow(workflows.QueryProvision)
	require.NoError(t, err)
	var progress workflows.ProvisionProgress
	require.NoError(t, value.Get(&progress))
	require.Equal(t, "done", progress.Phase)
}

func TestProvisionLeavesTurnedAwayDevicesAlone(t *testing.T) {
	t.Parallel()
	for _, outcome := range []activities.Outcome{activities.OutcomeRefused, activities.OutcomeHeld, activities.OutcomeIgnored} {
		t.Run(string(outcome), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.begin = func(activities.BeginInput) (activities.BeginOutput, error) {
				return activities.BeginOutput{Outcome: outcome, Reason: "because"}, nil
			}
			require.Equal(t, workflows.ProvisionResult{Outcome: string(outcome), Reason: "because"}, provision(t, w))
			require.Empty(t, w.commands)
			require.Empty(t, w.ended, "BeginProvision has put it where it belongs")
		})
	}
}

func TestProvisionOfAConfiguredDeviceSendsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.begin = func(activities.BeginInput) (activities.BeginOutput, error) {
		p := plan()
		p.Configure = nil
		return p, nil
	}
	require.Equal(t, "active", provision(t, w).Outcome)
	require.Empty(t, w.commands)
}

func TestProvisionInstallsWhatDiffers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.begin = func(activities.BeginInput) (activities.BeginOutput, error) {
		p := plan()
		p.Components = []deviceops.ComponentChange{{Name: "os", From: "2.2.0", To: "2.4.0", URL: "https://example.com/os", Size: 12}}
		return p, nil
	}
	require.Equal(t, "active", provision(t, w).Outcome)
	require.Len(t, w.commands, 2)
	install := w.commands[1]
	require.Equal(t, deviceops.CommandInstall, install.Name)
	require.Equal(t, "kiosk baseline", install.Args["release"])
	require.Equal(t, []any{map[string]any{
		"name": "os", "from": "2.2.0", "to": "2.4.0", "url": "https://example.com/os", "size": int64(12),
	}}, install.Args["components"])
	require.Equal(t, "it installs os 2.4.0", w.notes[0].Text)
}

func TestProvisionTriesFailedCommandsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.command = func(in activities.CommandInput) (activities.CommandOutput, error) {
		if in.Attempt < 3 {
			return answered(in, deviceops.CommandFailed, "busy", true)
		}
		return activities.CommandOutput{}, nil
	}
	require.Equal(t, "active", provision(t, w).Outcome)
	require.Equal(t, []int{1, 2, 3}, attempts(w.commands))
	require.Equal(t, w.commands[0].ID, w.commands[2].ID, "another attempt is the same command")
	require.Len(t, w.notes, 2)
	require.Equal(t, "configure failed with busy (the device said busy); attempt 2 follows in 5s", w.notes[0].Text)
}

func attempts(commands []activities.CommandInput) (attempts []int) {
	for _, c := range commands {
		attempts = append(attempts, c.Attempt)
	}
	return attempts
}

func TestProvisionGivesUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		command  func(activities.CommandInput) (activities.CommandOutput, error)
		verify   func(activities.VerifyInput) (activities.VerifyOutput, error)
		reason   string
		attempts []int
	}{
		"after the last attempt": {
			command: func(in activities.CommandInput) (activities.CommandOutput, error) {
				return answered(in, deviceops.CommandFailed, "busy", true)
			},
			reason: "configure failed with busy after 3 attempts: the device said busy", attempts: []int{1, 2, 3},
		},
		"when trying again does not help": {
			command: func(in activities.CommandInput) (activities.CommandOutput, error) {
				return answered(in, deviceops.CommandFailed, "full", false)
			},
			reason: "configure failed with full after 1 attempts: the device said full", attempts: []int{1},
		},
		"when the device refuses": {
			command: func(in activities.CommandInput) (activities.CommandOutput, error) {
				return answered(in, deviceops.CommandRejected, "nonsense", true)
			},
			reason: "configure failed with nonsense after 1 attempts: the device said nonsense", attempts: []int{1},
		},
		"when the device is silent": {
			command: func(activities.CommandInput) (activities.CommandOutput, error) {
				return activities.CommandOutput{}, errSilence
			},
			reason: "it did not carry out configure within 1h0m0s: the device did not answer in time", attempts: []int{1},
		},
		"when the device was moved meanwhile": {
			verify: func(activities.VerifyInput) (activities.VerifyOutput, error) {
				return activities.VerifyOutput{}, deviceops.Errorf(deviceops.ECONFLICT, "device k1 was moved to retired")
			},
			reason: "it could not be verified: device k1 was moved to retired", attempts: []int{1},
		},
		"when the device never shows what is wanted": {
			verify: func(in activities.VerifyInput) (activities.VerifyOutput, error) {
				if in.Insist {
					return activities.VerifyOutput{}, deviceops.Errorf(deviceops.EUNAVAILABLE, "device k1 has yet to show a heartbeat")
				}
				return activities.VerifyOutput{WaitsFor: "a heartbeat"}, nil
			},
			reason: "within 1h0m0s it did not show what was wanted: device k1 has yet to show a heartbeat", attempts: []int{1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if c.command != nil {
				w.command = c.command
			}
			if c.verify != nil {
				w.verify = c.verify
			}
			require.Equal(t, workflows.ProvisionResult{Outcome: "failed", State: deviceops.Escrow, Reason: c.reason}, provision(t, w))
			require.Equal(t, c.attempts, attempts(w.commands))
			require.Len(t, w.ended, 1)
			require.Equal(t, deviceops.Escrow, w.ended[0].To)
		})
	}
}

func TestProvisionTakesAnAnswerOfTheLastMoment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.command = func(activities.CommandInput) (activities.CommandOutput, error) {
		return activities.CommandOutput{}, errSilence
	}
	w.closing = func(activities.CloseInput) (activities.CommandOutput, error) { return activities.CommandOutput{}, nil }
	require.Equal(t, "active", provision(t, w).Outcome)
	require.Equal(t, deviceops.CommandExpired, w.closed[0].Status)
}

func TestProvisionWaitsForWhatIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asked := 0
	w.verify = func(in activities.VerifyInput) (activities.VerifyOutput, error) {
		if asked++; asked < 4 {
			if in.Insist {
				return activities.VerifyOutput{}, deviceops.Errorf(deviceops.EUNAVAILABLE, "device k1 has yet to show a heartbeat")
			}
			return activities.VerifyOutput{WaitsFor: "a heartbeat"}, nil
		}
		return activities.VerifyOutput{Done: true}, nil
	}
	w.at(100*time.Millisecond, func() {
		value, err := w.QueryWorkflow(workflows.QueryProvision)
		require.NoError(t, err)
		var progress workflows.ProvisionProgress
		require.NoError(t, value.Get(&progress))
		require.Equal(t, workflows.ProvisionProgress{Phase: "verify", WaitsFor: "a heartbeat"}, progress)
	})
	require.Equal(t, "active", provision(t, w).Outcome)
}

// asking makes the profile ask for a person.
func asking(w *world) {
	w.begin = func(activities.BeginInput) (activities.BeginOutput, error) {
		p := plan()
		p.ApproveBy = []string{"role:operator"}
		return p, nil
	}
}

const admission = "default-test-workflow-id/admit/1777636800000"

func TestProvisionWaitsForAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asking(w)
	w.at(30*time.Hour, func() {
		w.mustDecide(t, deviceops.Decision{Approval: admission, Approve: true, By: maria, Comment: "known"})
	})
	require.Equal(t, "active", provision(t, w).Outcome, "people may take longer than the profile's timeout")
	require.Len(t, w.approvals, 2)
	require.Equal(t, deviceops.ApprovalOpen, w.approvals[0].Status)
	require.Equal(t, deviceops.ApprovalApproved, w.approvals[1].Status)
	require.Equal(t, "user:maria", w.approvals[1].DecidedBy)
	require.Equal(t, "user:maria admitted it: known", w.notes[0].Text)
	require.Equal(t, noon.Add(31*time.Hour), w.commands[0].ExpiresAt.UTC(), "the time for machines begins after the approval")
}

func TestProvisionIsRefusedByAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asking(w)
	w.at(time.Minute, func() {
		w.mustDecide(t, deviceops.Decision{Approval: admission, By: maria, Comment: "stolen"})
	})
	require.Equal(t, workflows.ProvisionResult{
		Outcome: "failed", State: deviceops.Quarantined, Reason: "user:maria did not admit it: stolen",
	}, provision(t, w))
	require.Equal(t, "user:maria", w.ended[0].By)
	require.Empty(t, w.commands)
}

func TestProvisionExpiresWithoutAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asking(w)
	result := provision(t, w)
	require.Equal(t, deviceops.Escrow, result.State)
	require.Equal(t, "nobody decided on its admission within 168h0m0s", result.Reason)
	require.Equal(t, deviceops.ApprovalExpired, w.approvals[1].Status)
}

func TestDecisionsAreRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	stranger := deviceops.Principal{Name: "user:eve", Account: "other", Roles: []string{deviceops.RoleAdmin}}
	viewer := deviceops.Principal{Name: "user:vic", Account: "acme", Roles: []string{deviceops.RoleViewer}}
	w := newWorld(t)
	asking(w)
	refuse := func(d deviceops.Decision, code, message string) {
		w.decide(d, func(_ deviceops.Approval, err error) {
			require.Equal(t, code, deviceops.ErrorCode(err))
			require.Equal(t, message, deviceops.ErrorMessage(err))
		})
	}
	w.at(time.Minute, func() {
		refuse(deviceops.Decision{Approval: "other", Approve: true, By: maria}, deviceops.ENOTFOUND, "nothing here waits for the approval other")
		refuse(deviceops.Decision{Approval: admission, Approve: true, By: stranger}, deviceops.EFORBIDDEN, "user:eve may not act in account acme")
		refuse(deviceops.Decision{Approval: admission, Approve: true, By: viewer}, deviceops.EFORBIDDEN, "user:vic may not decide this; it asks [role:operator]")
	})
	w.at(2*time.Minute, func() {
		w.mustDecide(t, deviceops.Decision{Approval: admission, Approve: true, By: maria})
		refuse(deviceops.Decision{Approval: admission, By: maria}, deviceops.ECONFLICT,
			admission+" is approved already, by user:maria at 2026-05-01T12:02:00Z")
	})
	require.Equal(t, "active", provision(t, w).Outcome)
}

func TestProvisionRunsTheProfilesWorkflowBeforeActivation(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		source  string
		outcome string
		reason  string
	}{
		"it succeeds": {source: "workflow: burn-in\nsteps:\n  - set: { done: true }\n", outcome: "active"},
		"it takes too long": {
			source: "workflow: burn-in\nsteps:\n  - wait: 1d\n", outcome: "failed",
			reason: "the workflow burn-in@2 failed: it was canceled after 1h0m0s",
		},
		"it fails": {
			source: "workflow: burn-in\nsteps:\n  - fail: panel is broken\n", outcome: "failed",
			reason: "the workflow burn-in@2 failed: panel is broken",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.sources["burn-in"] = c.source
			w.begin = func(activities.BeginInput) (activities.BeginOutput, error) {
				p := plan()
				p.Workflow = "burn-in@2"
				return p, nil
			}
			result := provision(t, w)
			require.Equal(t, c.outcome, result.Outcome)
			require.Equal(t, c.reason, result.Reason)
			require.False(t, w.verified[0].Activate, "a device becomes active after its workflow")
			require.Equal(t, "provision.k1.burn-in.1777636800000.0", w.saved[0].ID)
			require.Equal(t, "k1", w.saved[0].Device)
		})
	}
}

func TestProvisionIsCanceled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.command = func(activities.CommandInput) (activities.CommandOutput, error) {
		return activities.CommandOutput{}, errPending
	}
	w.at(time.Minute, w.CancelWorkflow)
	result := provision(t, w)
	require.Equal(t, "canceled", result.Outcome)
	require.Equal(t, deviceops.Escrow, result.State)
	require.Equal(t, deviceops.CommandCanceled, w.closed[0].Status)
}
