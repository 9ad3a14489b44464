package deviceops_test

import (
	"testing"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/stretchr/testify/require"
)

var planNoon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// planView gives the view of a rollout with two rings of ten devices, of which
// the first is open.
func planView(change ...func(*deviceops.RolloutView)) deviceops.RolloutView {
	v := deviceops.RolloutView{
		Now:  planNoon,
		Spec: &deviceops.RolloutSpec{Name: "r", Rings: []deviceops.RingSpec{{Name: "canary", Take: 10}, {Name: "rest"}}},
		Rollout: deviceops.Rollout{
			Name: "r", Hash: "h1", Status: deviceops.RolloutRunning, StartedAt: planNoon.Add(-time.Hour),
			Rings: []deviceops.Ring{
				{Index: 0, Name: "canary", Status: deviceops.RingRunning, OpenedAt: planNoon.Add(-time.Hour), Counts: deviceops.Counts{Targeted: 10, Pending: 10}},
				{Index: 1, Name: "rest", Status: deviceops.RingPending, Counts: deviceops.Counts{Targeted: 10, Pending: 10}},
			},
		},
	}
	for _, c := range change {
		c(&v)
	}
	return v
}

// done has all devices of a ring succeed but for so many that failed.
func done(ring, failed int) func(*deviceops.RolloutView) {
	return func(v *deviceops.RolloutView) {
		v.Rollout.Rings[ring].Counts = deviceops.Counts{Targeted: 10, Succeeded: 10 - failed, Failed: failed, Healthy: 10 - failed}
	}
}

func ringIs(ring int, status deviceops.RingStatus) func(*deviceops.RolloutView) {
	return func(v *deviceops.RolloutView) { v.Rollout.Rings[ring].Status = status }
}

func statusIs(s deviceops.RolloutStatus) func(*deviceops.RolloutView) {
	return func(v *deviceops.RolloutView) { v.Rollout.Status = s }
}

// fresh has nothing begun.
func fresh(v *deviceops.RolloutView) {
	v.Rollout.Status, v.Rollout.StartedAt = deviceops.RolloutPlanning, time.Time{}
	v.Rollout.Rings[0].Status, v.Rollout.Rings[0].OpenedAt = deviceops.RingPending, time.Time{}
}

func answered(question string, status deviceops.ApprovalStatus) func(*deviceops.RolloutView) {
	return func(v *deviceops.RolloutView) {
		v.Answer(deviceops.RolloutAnswer{Question: question, Status: status, By: "user:maria", Comment: "so it is", Hash: "h1"})
	}
}

func spec(change func(*deviceops.RolloutSpec)) func(*deviceops.RolloutView) {
	return func(v *deviceops.RolloutView) { change(v.Spec) }
}

// failsAt is a gate that fails once so many devices of the ring failed.
func failsAt(n int) *deviceops.GateCondition {
	return &deviceops.GateCondition{Source: "ring.failed >= n", Judge: func(f deviceops.GateFacts) (deviceops.Verdict, error) {
		if f.Ring.Failed >= n {
			return deviceops.Yes, nil
		}
		return deviceops.No, nil
	}}
}

var (
	askPlan = spec(func(s *deviceops.RolloutSpec) { s.Approve = &deviceops.ApproveSpec{By: []string{"role:operator"}} })
	askRest = spec(func(s *deviceops.RolloutSpec) {
		s.Rings[1].Approve = &deviceops.ApproveSpec{By: []string{"role:operator"}}
	})
	urgent   = spec(func(s *deviceops.RolloutSpec) { s.Urgent = "it burns" })
	soaks    = spec(func(s *deviceops.RolloutSpec) { s.Rings[0].Soak = time.Hour })
	keepOpen = spec(func(s *deviceops.RolloutSpec) { s.KeepOpen = 24 * time.Hour })
	strict   = spec(func(s *deviceops.RolloutSpec) { s.Gate.Fail = failsAt(2) })
)

func onFail(a deviceops.FailAction) func(*deviceops.RolloutView) {
	return spec(func(s *deviceops.RolloutSpec) { s.OnFail = a })
}

func soakedSince(ago time.Duration) func(*deviceops.RolloutView) {
	return func(v *deviceops.RolloutView) {
		v.Rollout.Rings[0].Status, v.Rollout.Rings[0].SoakAt = deviceops.RingSoaking, planNoon.Add(-ago)
	}
}

func deadline(in time.Duration) func(*deviceops.RolloutView) {
	return spec(func(s *deviceops.RolloutSpec) { s.Deadline = planNoon.Add(in) })
}

func rollbackIs(s deviceops.RolloutStatus, reverted, failed int) func(*deviceops.RolloutView) {
	return func(v *deviceops.RolloutView) {
		v.Rollout.Status, v.Rollback = deviceops.RolloutReverting, s
		v.Rollout.Rings[0].Counts = deviceops.Counts{Targeted: 10, Reverted: reverted, RevertFailed: failed}
	}
}

func TestNextStep(t *testing.T) {
	t.Parallel()
	look := planNoon.Add(deviceops.RolloutLook)
	all := func(changes ...func(*deviceops.RolloutView)) []func(*deviceops.RolloutView) { return changes }
	bothPassed := all(done(0, 0), done(1, 0), ringIs(0, deviceops.RingPassed), ringIs(1, deviceops.RingPassed), func(v *deviceops.RolloutView) {
		v.Rollout.Rings[1].ClosedAt = planNoon.Add(-time.Hour)
	})
	for name, c := range map[string]struct {
		given  []func(*deviceops.RolloutView)
		want   deviceops.RolloutStep // Question and Reason apart
		asks   string
		reason string // a part of it
	}{
		"a rollout that was superseded everywhere ends": {
			all(ringIs(0, deviceops.RingRunning), func(v *deviceops.RolloutView) {
				v.Rollout.Rings[0].Counts, v.Rollout.Rings[1].Counts = deviceops.Counts{Targeted: 10, Canceled: 10}, deviceops.Counts{Targeted: 10, Canceled: 10, Excused: 2}
				v.Superseded = v.Rollout.Superseded()
			}), deviceops.RolloutStep{Do: deviceops.DoFinish, Ring: -1, Status: deviceops.RolloutCanceled}, "", "other rollouts have taken them over"},
		"one that was superseded in a ring asks": {
			all(ringIs(0, deviceops.RingRunning), func(v *deviceops.RolloutView) {
				v.Rollout.Rings[0].Counts = deviceops.Counts{Targeted: 10, Canceled: 10}
				v.Superseded = v.Rollout.Superseded()
			}), deviceops.RolloutStep{Do: deviceops.DoAsk, Ring: 0, Until: look}, "gate-0", "10 were canceled"},

		// Before the first ring.
		"a plan that nobody has to approve begins": {all(fresh), deviceops.RolloutStep{Do: deviceops.DoOpen, Ring: 0}, "", "its turn has come"},
		"the plan is asked for":                    {all(fresh, askPlan), deviceops.RolloutStep{Do: deviceops.DoAsk, Ring: -1}, "plan", "It reaches 20 devices in 2 rings"},
		"an urgent rollout is asked for, whatever the manifest says": {
			all(fresh, urgent), deviceops.RolloutStep{Do: deviceops.DoAsk, Ring: -1}, "plan", "skips soaks and windows since it is urgent: it burns"},
		"an approved plan begins": {
			all(fresh, askPlan, answered("plan", deviceops.ApprovalApproved)), deviceops.RolloutStep{Do: deviceops.DoOpen, Ring: 0}, "", ""},
		"an approval of another manifest is none": {
			all(fresh, askPlan, answered("plan", deviceops.ApprovalApproved), func(v *deviceops.RolloutView) { v.Rollout.Hash = "h2" }),
			deviceops.RolloutStep{Do: deviceops.DoAsk, Ring: -1}, "plan", ""},
		"a rejected plan ends it": {
			all(fresh, askPlan, answered("plan", deviceops.ApprovalRejected)),
			deviceops.RolloutStep{Do: deviceops.DoFinish, Ring: -1, Status: deviceops.RolloutCanceled}, "", "user:maria said no when asked whether it may begin: so it is"},
		"an expired plan ends it": {
			all(fresh, askPlan, answered("plan", deviceops.ApprovalExpired)),
			deviceops.RolloutStep{Do: deviceops.DoFinish, Ring: -1, Status: deviceops.RolloutCanceled}, "", "nobody decided in time whether it may begin"},
		"it waits for its start": {
			all(fresh, spec(func(s *deviceops.RolloutSpec) { s.Start = planNoon.Add(time.Hour) })),
			deviceops.RolloutStep{Do: deviceops.DoWait, Ring: -1, Until: planNoon.Add(time.Hour)}, "", "it begins at 2026-05-01T13:00:00Z"},
		"a start that has passed is no reason to wait": {
			all(fresh, spec(func(s *deviceops.RolloutSpec) { s.Start = planNoon })), deviceops.RolloutStep{Do: deviceops.DoOpen, Ring: 0}, "", ""},
		"the first ring can be asked for too": {
			all(fresh, spec(func(s *deviceops.RolloutSpec) { s.Rings[0].Approve = &deviceops.ApproveSpec{} })),
			deviceops.RolloutStep{Do: deviceops.DoAsk, Ring: 0}, "ring-0", "May ring canary of rollout r begin with 10 devices?"},

		// A ring that is open.
		"devices are at it": {all(), deviceops.RolloutStep{Do: deviceops.DoKeep, Ring: 0, Until: look}, "", "0 of 10 devices are done"},
		"a ring that is done passes": {
			all(done(0, 0)), deviceops.RolloutStep{Do: deviceops.DoPass, Ring: 0}, "", "the gate passed"},
		"a ring that is done soaks": {
			all(done(0, 0), soaks), deviceops.RolloutStep{Do: deviceops.DoSoak, Ring: 0, Until: look}, "", "it soaks for 1h0m0s"},
		"a ring goes on to soak": {
			all(done(0, 0), soaks, soakedSince(59*time.Minute+50*time.Second)),
			deviceops.RolloutStep{Do: deviceops.DoSoak, Ring: 0, Until: planNoon.Add(10 * time.Second)}, "", "it soaks until 2026-05-01T12:00:10Z"},
		"a ring that has soaked passes": {all(done(0, 0), soaks, soakedSince(time.Hour)), deviceops.RolloutStep{Do: deviceops.DoPass, Ring: 0}, "", ""},
		"an urgent ring does not soak":  {all(done(0, 0), soaks, urgent), deviceops.RolloutStep{Do: deviceops.DoPass, Ring: 0}, "", ""},
		"a device that came late is waited for": {all(done(0, 0), soaks, soakedSince(2*time.Hour), func(v *deviceops.RolloutView) {
			v.Rollout.Rings[0].Counts.Pending++
		}), deviceops.RolloutStep{Do: deviceops.DoKeep, Ring: 0, Until: look}, "", ""},
		"devices get time to show that they are well": {
			all(done(0, 0), spec(func(s *deviceops.RolloutSpec) { s.Health = &deviceops.Condition{} }), func(v *deviceops.RolloutView) { v.Rollout.Rings[0].Counts.Healthy = 9 }),
			deviceops.RolloutStep{Do: deviceops.DoSoak, Ring: 0, Until: look}, "", "it soaks for 5m0s"},
		"and a person is asked if they do not": {
			all(done(0, 0), soakedSince(deviceops.HealthPatience), spec(func(s *deviceops.RolloutSpec) { s.Health = &deviceops.Condition{} }), func(v *deviceops.RolloutView) {
				v.Rollout.Rings[0].Counts.Healthy = 9
			}),
			deviceops.RolloutStep{Do: deviceops.DoAsk, Ring: 0, Until: look}, "gate-0", "whether the gate passes is not known"},

		// Its gate.
		"a gate fails while devices are at it": {
			all(strict, func(v *deviceops.RolloutView) {
				v.Rollout.Rings[0].Counts = deviceops.Counts{Targeted: 10, Pending: 8, Failed: 2}
			}),
			deviceops.RolloutStep{Do: deviceops.DoFail, Ring: 0, Action: deviceops.FailPause}, "", "the gate failed: ring.failed >= n"},
		"a gate fails while the ring soaks": {
			all(done(0, 2), strict, soaks, soakedSince(time.Minute), onFail(deviceops.FailRollback)),
			deviceops.RolloutStep{Do: deviceops.DoFail, Ring: 0, Action: deviceops.FailRollback}, "", ""},
		"what a person let pass fails no more": {
			all(done(0, 2), strict, func(v *deviceops.RolloutView) { v.Rollout.Rings[0].Pardoned = new(2) }),
			deviceops.RolloutStep{Do: deviceops.DoAsk, Ring: 0, Until: look}, "gate-0", ""},
		"more than a person let pass fails again": {
			all(done(0, 3), strict, func(v *deviceops.RolloutView) { v.Rollout.Rings[0].Pardoned = new(2) }),
			deviceops.RolloutStep{Do: deviceops.DoFail, Ring: 0, Action: deviceops.FailPause}, "", ""},
		"a gate that neither passes nor fails asks": {
			all(done(0, 1)), deviceops.RolloutStep{Do: deviceops.DoAsk, Ring: 0, Until: look}, "gate-0", "9 of 10 devices succeeded, 1 failed"},
		"or waits, if the manifest says so": {
			all(done(0, 1), spec(func(s *deviceops.RolloutSpec) { s.Gate.Otherwise = deviceops.OtherwiseWait })),
			deviceops.RolloutStep{Do: deviceops.DoKeep, Ring: 0, Until: look}, "", "the ring is through and its gate does not pass"},
		"a person lets the ring pass": {
			all(done(0, 1), answered("gate-0", deviceops.ApprovalApproved)), deviceops.RolloutStep{Do: deviceops.DoPass, Ring: 0}, "", "user:maria let it pass"},
		"a person has the ring fail": {
			all(done(0, 1), onFail(deviceops.FailStop), answered("gate-0", deviceops.ApprovalRejected)),
			deviceops.RolloutStep{Do: deviceops.DoFail, Ring: 0, Action: deviceops.FailStop}, "", "user:maria said no when asked whether it is good enough"},
		"an empty ring is no evidence": {
			all(func(v *deviceops.RolloutView) { v.Rollout.Rings[0].Counts = deviceops.Counts{} }),
			deviceops.RolloutStep{Do: deviceops.DoAsk, Ring: 0, Until: look}, "gate-0", ""},
		"an empty ring behind which nobody waits passes": {
			all(func(v *deviceops.RolloutView) {
				v.Rollout.Rings[0].Counts, v.Rollout.Rings[1].Counts = deviceops.Counts{}, deviceops.Counts{}
			}),
			deviceops.RolloutStep{Do: deviceops.DoPass, Ring: 0}, "", ""},

		// Devices that put it off too often.
		"a person is asked about devices that put it off": {
			all(func(v *deviceops.RolloutView) { v.Deferred, v.Spec.Deferrals.Max = 1, 5 }),
			deviceops.RolloutStep{Do: deviceops.DoAsk, Ring: 0, Until: look}, "deferrals-0", "1 device of ring canary put the change off more than 5 times"},
		"an answer about them is carried out by whoever asked": {
			all(func(v *deviceops.RolloutView) { v.Deferred = 1 }, answered("deferrals-0", deviceops.ApprovalApproved)),
			deviceops.RolloutStep{Do: deviceops.DoKeep, Ring: 0, Until: look}, "", ""},

		// The next ring.
		"the next ring begins": {
			all(done(0, 0), ringIs(0, deviceops.RingPassed)), deviceops.RolloutStep{Do: deviceops.DoOpen, Ring: 1}, "", ""},
		"also after one that was skipped": {
			all(ringIs(0, deviceops.RingSkipped)), deviceops.RolloutStep{Do: deviceops.DoOpen, Ring: 1}, "", ""},
		"the next ring is asked for": {
			all(done(0, 0), ringIs(0, deviceops.RingPassed), askRest),
			deviceops.RolloutStep{Do: deviceops.DoAsk, Ring: 1, Until: look}, "ring-1", "Ring canary passed: 10 of 10 devices succeeded"},
		"a ring that is being asked for is asked for": {
			all(done(0, 0), ringIs(0, deviceops.RingPassed), ringIs(1, deviceops.RingAsking), askRest),
			deviceops.RolloutStep{Do: deviceops.DoAsk, Ring: 1, Until: look}, "ring-1", ""},
		"a ring that was approved begins": {
			all(done(0, 0), ringIs(0, deviceops.RingPassed), ringIs(1, deviceops.RingAsking), askRest, answered("ring-1", deviceops.ApprovalApproved)),
			deviceops.RolloutStep{Do: deviceops.DoOpen, Ring: 1}, "", "user:maria let it begin"},
		"a ring that was rejected pauses the rollout": {
			all(done(0, 0), ringIs(0, deviceops.RingPassed), ringIs(1, deviceops.RingAsking), askRest, answered("ring-1", deviceops.ApprovalRejected)),
			deviceops.RolloutStep{Do: deviceops.DoPause, Ring: 1}, "", "user:maria said no when asked whether ring rest may begin: so it is"},

		// The end.
		"it succeeds when all rings have passed": {
			bothPassed, deviceops.RolloutStep{Do: deviceops.DoFinish, Ring: -1, Status: deviceops.RolloutSucceeded}, "", "20 of 20 devices succeeded"},
		"it stays open for devices that join": {
			append(bothPassed[:len(bothPassed):len(bothPassed)], keepOpen), deviceops.RolloutStep{Do: deviceops.DoWait, Ring: -1, Until: look}, "", "it takes devices that join until 2026-05-02T11:00:00Z"},
		"its gate can fail by those that join": {
			append(bothPassed[:len(bothPassed):len(bothPassed)], keepOpen, strict, done(1, 2)), deviceops.RolloutStep{Do: deviceops.DoFail, Ring: 1, Action: deviceops.FailPause}, "", ""},
		"it closes": {
			append(bothPassed[:len(bothPassed):len(bothPassed)], keepOpen, func(v *deviceops.RolloutView) { v.Now = planNoon.Add(23 * time.Hour) }),
			deviceops.RolloutStep{Do: deviceops.DoFinish, Ring: -1, Status: deviceops.RolloutSucceeded}, "", ""},
		"its deadline passes": {
			all(deadline(0)), deviceops.RolloutStep{Do: deviceops.DoFinish, Ring: -1, Status: deviceops.RolloutFailed}, "", "its deadline passed: 2026-05-01T12:00:00Z"},
		"its deadline passes while it is paused": {
			all(deadline(0), statusIs(deviceops.RolloutPaused)), deviceops.RolloutStep{Do: deviceops.DoFinish, Ring: -1, Status: deviceops.RolloutFailed}, "", ""},
		"its deadline passes while a person is asked": {
			all(fresh, askPlan, deadline(0)), deviceops.RolloutStep{Do: deviceops.DoFinish, Ring: -1, Status: deviceops.RolloutFailed}, "", ""},
		"nothing waits beyond the deadline": {
			all(deadline(time.Second)), deviceops.RolloutStep{Do: deviceops.DoKeep, Ring: 0, Until: planNoon.Add(time.Second)}, "", ""},
		"not a soak": {
			all(done(0, 0), soaks, deadline(time.Second)), deviceops.RolloutStep{Do: deviceops.DoSoak, Ring: 0, Until: planNoon.Add(time.Second)}, "", ""},
		"not the start either": {
			all(fresh, deadline(time.Minute), spec(func(s *deviceops.RolloutSpec) { s.Start = planNoon.Add(time.Hour) })),
			deviceops.RolloutStep{Do: deviceops.DoWait, Ring: -1, Until: planNoon.Add(time.Minute)}, "", ""},
		"what ended waits for devices that are at it": {
			all(statusIs(deviceops.RolloutCanceled), func(v *deviceops.RolloutView) {
				v.Rollout.Rings[0].Counts = deviceops.Counts{Targeted: 10, Canceled: 8, Sent: 2}
			}),
			deviceops.RolloutStep{Do: deviceops.DoDrain, Ring: -1, Until: look}, "", "2 devices are still at it"},
		"what succeeded sees to devices that came late": {
			all(statusIs(deviceops.RolloutSucceeded), func(v *deviceops.RolloutView) { v.Rollout.Rings[1].Counts.Pending = 0 }),
			deviceops.RolloutStep{Do: deviceops.DoDrain, Ring: -1, Until: look}, "", "10 devices are still at it"},
		"a ring fails beside the present one": {
			all(ringIs(1, deviceops.RingRunning), done(1, 2), strict), deviceops.RolloutStep{Do: deviceops.DoFail, Ring: 1, Action: deviceops.FailPause}, "", ""},
		"and then it is over": {
			all(statusIs(deviceops.RolloutCanceled), done(0, 0)), deviceops.RolloutStep{Do: deviceops.DoEnd, Ring: -1}, "", ""},

		// Paused, and taken back.
		"a paused one waits": {all(statusIs(deviceops.RolloutPaused)), deviceops.RolloutStep{Do: deviceops.DoWait, Ring: -1}, "", "it is paused"},
		"a paused one looks at devices that are at it": {
			all(statusIs(deviceops.RolloutPaused), func(v *deviceops.RolloutView) { v.Rollout.Rings[0].Counts.Sent = 1 }),
			deviceops.RolloutStep{Do: deviceops.DoWait, Ring: -1, Until: look}, "", ""},
		"a rollback is waited for": {
			all(rollbackIs(deviceops.RolloutRunning, 4, 0)), deviceops.RolloutStep{Do: deviceops.DoWait, Ring: -1, Until: look}, "", "4 reverted"},
		"also beyond the deadline": {
			all(rollbackIs(deviceops.RolloutRunning, 4, 0), deadline(0)), deviceops.RolloutStep{Do: deviceops.DoWait, Ring: -1, Until: look}, "", ""},
		"what was taken back is reverted": {
			all(rollbackIs(deviceops.RolloutSucceeded, 10, 0)), deviceops.RolloutStep{Do: deviceops.DoFinish, Ring: -1, Status: deviceops.RolloutReverted}, "", "10 devices were taken back"},
		"what could not be taken back failed": {
			all(rollbackIs(deviceops.RolloutSucceeded, 8, 2)), deviceops.RolloutStep{Do: deviceops.DoFinish, Ring: -1, Status: deviceops.RolloutFailed}, "", "8 devices were taken back, 2 could not be"},
		"so did what was not taken back": {
			all(rollbackIs(deviceops.RolloutCanceled, 8, 2)), deviceops.RolloutStep{Do: deviceops.DoFinish, Ring: -1, Status: deviceops.RolloutFailed}, "", "its rollback canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step := deviceops.NextStep(planView(c.given...))
			require.Contains(t, step.Reason, c.reason)
			if c.asks == "" {
				require.Nil(t, step.Question)
			} else {
				require.NotNil(t, step.Question, step.Reason)
				require.Equal(t, c.asks, step.Question.Key())
				require.Equal(t, step.Question.Text, step.Reason)
			}
			step.Question, step.Reason = nil, ""
			require.Equal(t, c.want, step)
		})
	}
}
