package dsl

import "github.com/deviceops/deviceops"

// gateCount is a number that gates see of a ring, and of the rollout.
type gateCount struct {
	name string
	of   func(deviceops.Counts) int
	made []fate // what devices that it counts came to
	says string
}

// fate is what a device came to. Every device of a ring has one.
type fate int

const (
	fatePending fate = iota
	fateInFlight
	fateDeferred
	fateUnjudged // succeeded, and nobody knows its health yet
	fateHealthy
	fateUnhealthy
	fateFailed
	fateRejected
	fateTimedOut
	fateReverted // or is on its way back
	fateCanceled
	fateExcused
	fates // how many there are
)

var (
	succeededFates = []fate{fateUnjudged, fateHealthy, fateUnhealthy}
	failedFates    = []fate{fateFailed, fateRejected, fateTimedOut}
	finishedFates  = append(append([]fate{fateReverted}, succeededFates...), failedFates...)
	reachedFates   = append([]fate{fateInFlight, fateDeferred}, finishedFates...)
	targetedFates  = append([]fate{fatePending, fateCanceled}, reachedFates...)
)

// gateCounts are all numbers that gates see.
var gateCounts = []gateCount{
	{"targeted", func(c deviceops.Counts) int { return c.Targeted }, targetedFates, "all devices but the excused ones"},
	{"reached", deviceops.Counts.Reached, reachedFates, "were sent the change, or had it already"},
	{"finished", deviceops.Counts.Finished, finishedFates, "came to an end, well or not"},
	{"pending", func(c deviceops.Counts) int { return c.Pending }, []fate{fatePending}, "nothing has left for them"},
	{"in_flight", deviceops.Counts.InFlight, []fate{fateInFlight}, "are at it"},
	{"deferred", func(c deviceops.Counts) int { return c.Deferred }, []fate{fateDeferred}, "asked to be asked later"},
	{"succeeded", func(c deviceops.Counts) int { return c.Succeeded }, succeededFates, "have the change"},
	{"healthy", func(c deviceops.Counts) int { return c.Healthy }, []fate{fateHealthy}, "have it, and `health` holds; all that succeeded where there is no `health`"},
	{"unhealthy", func(c deviceops.Counts) int { return c.Unhealthy }, []fate{fateUnhealthy}, "have it, and `health` does not hold"},
	{"failed", func(c deviceops.Counts) int { return c.Failed + c.Rejected + c.TimedOut }, failedFates, "did not make it: failed, rejected or timed out"},
	{"rejected", func(c deviceops.Counts) int { return c.Rejected }, []fate{fateRejected}, "of the failed: will never do it"},
	{"timed_out", func(c deviceops.Counts) int { return c.TimedOut }, []fate{fateTimedOut}, "of the failed: gave no sign of life, or did not come to an end, in time"},
	{"excused", func(c deviceops.Counts) int { return c.Excused }, []fate{fateExcused}, "count no more: they left, or do not fit"},
	{"canceled", func(c deviceops.Counts) int { return c.Canceled }, []fate{fateCanceled}, "were called off before their turn"},
}
