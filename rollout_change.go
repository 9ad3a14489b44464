package deviceops

// EventRollout begins the types of the events of rollouts. After it comes the
// status that a rollout took, or ring_ and the one that a ring took:
// rollout.paused, rollout.ring_passed. Their data are {rollout, name, status,
// reason, by}, and of a ring {ring, index, counts} too.
const EventRollout = "rollout."

// RolloutChange is a status that a rollout, or one of its rings, took.
type RolloutChange struct {
	Event    string // type: EventRollout and more
	Severity string
	Ring     int // index; -1: it is the rollout's own
	Status   string
	Reason   string
	By       string
}

// RolloutChanges gives what by changed from one state of a rollout to the next:
// its rings in order, then the rollout.
func RolloutChanges(before, after *Rollout, by string) (changes []RolloutChange) {
	for i, ring := range after.Rings {
		if i < len(before.Rings) && before.Rings[i].Status == ring.Status {
			continue
		}
		changes = append(changes, RolloutChange{
			Event: EventRollout + "ring_" + string(ring.Status), Severity: ringSeverity(ring.Status), Ring: i,
			Status: string(ring.Status), Reason: ring.Reason, By: by,
		})
	}
	if before.Status != after.Status {
		changes = append(changes, RolloutChange{
			Event: EventRollout + string(after.Status), Severity: rolloutSeverity(after.Status), Ring: -1,
			Status: string(after.Status), Reason: after.StatusReason, By: by,
		})
	}
	return changes
}

func ringSeverity(s RingStatus) string {
	if s == RingFailed {
		return "error"
	}
	return "info"
}

func rolloutSeverity(s RolloutStatus) string {
	switch s {
	case RolloutFailed, RolloutReverting:
		return "error"
	case RolloutPaused, RolloutCanceled, RolloutReverted:
		return "warning"
	default:
		return "info"
	}
}
