package deviceops

import (
	"math"
	"time"
)

// simClaim is how many devices a pump claims at once.
const simClaim = 1000

// pump sends the change to devices of a ring that are due, as limits and
// admission allow, and tells when to look again; zero: when something happens.
func (s *simulation) pump(ring int) time.Time {
	now, limits := s.view.Now, s.view.Rollout.Limits
	rate := limits.Rate.PerMinute(s.view.Rollout.StartedAt, now)
	bucket, allowed := s.bucket.Fill(rate, now)
	free := math.MaxInt
	if limits.InFlight > 0 {
		free = limits.InFlight - s.view.Rollout.Total().InFlight()
	}
	left := min(allowed, free, simClaim)
	admitter := NewAdmitter(s.spec, AdmitFacts{Blackouts: s.options.Blackouts}, now)
	for left > 0 {
		e, due := s.due[ring].next(now)
		if !due {
			break
		}
		if s.look(admitter, e.who) {
			bucket, left = bucket.Take(1), left-1
		}
	}
	s.bucket = bucket
	switch {
	case len(s.due[ring]) == 0:
		return time.Time{}
	case left > 0:
		return s.due[ring][0].time
	case allowed <= free:
		return later(bucket.Next(rate, now), s.due[ring][0].time)
	default:
		return time.Time{}
	}
}

// look admits a device or leaves it alone, and reports whether it was sent the
// change. Rows in the queue may be out of date.
func (s *simulation) look(a *Admitter, i int) bool {
	x := &s.devices[i]
	if x.row.Status != DevicePending {
		return false
	}
	c := s.candidate(x)
	wait := a.Admit(&c)
	if wait == nil {
		installs, _ := a.InstallTimes(&c)
		s.send(i, installs)
		return true
	}
	x.row.Wait = wait
	switch {
	case wait.Kind == WaitBudget:
		x.group.waiting = append(x.group.waiting, i)
	case !wait.Until.IsZero():
		s.due[x.row.Ring].at(wait.Until, x.hash, i, simLook)
	}
	return false
}

func (s *simulation) candidate(x *simDevice) Candidate {
	c := Candidate{Row: x.row, Device: x.Device, Group: x.name}
	if x.group != nil {
		c.GroupSize, c.GroupUnavailable = x.group.size, x.group.unavailable
		if x.counted {
			c.GroupUnavailable--
		}
	}
	if p, known := s.index[x.Parent]; known && s.devices[p].row.Status.InFlight() {
		c.FamilyBy = x.Parent
	}
	if s.children[x.ID] > 0 {
		c.FamilyBy = "a device"
	}
	return c
}

// send draws what an attempt comes to. One that downloads ahead of its window
// installs, which is the last quarter of its work, once that opens.
func (s *simulation) send(i int, installs time.Time) {
	x, o := &s.devices[i], &s.options
	x.row.Attempt++
	x.row.SentAt = s.view.Now
	s.move(i, DeviceSent)
	r := s.chance(i, "attempt", x.row.Attempt)
	took := max(simTick, logNormal(r, o.AnswerMedian, o.AnswerP99))
	took = max(took, installs.Add(took/4).Sub(s.view.Now))
	most := s.spec.Phases.Install.Timeout
	if s.spec.Change.Kind == ChangeRelease {
		most += s.spec.Phases.Download.Timeout
	}
	switch silent := r.Float64() < o.SilentRate; {
	case silent && s.spec.AnswerWithin > 0:
		s.happens.at(s.view.Now.Add(s.spec.AnswerWithin), x.hash, i, simSilent)
	case most > 0 && (silent || took > most):
		s.happens.at(s.view.Now.Add(most), x.hash, i, simSilent)
	case !silent:
		s.happens.at(s.view.Now.Add(took), x.hash, i, simDone)
	}
}

// happen lets everything happen that is due.
func (s *simulation) happen() {
	for {
		e, due := s.happens.next(s.view.Now)
		if !due {
			return
		}
		switch e.kind {
		case simHello:
			s.hello(e.who)
		case simDone:
			s.answered(e.who)
		case simSilent:
			s.move(e.who, DeviceTimedOut)
		case simUnwell:
			s.judged(e.who, No)
		case simStragglers:
			s.stragglers(e.who)
		}
	}
}

// hello has a device that came back be looked at; a straggler that was excused
// gets its turn in the last ring.
func (s *simulation) hello(i int) {
	x := &s.devices[i]
	x.Session.Connectivity, x.away = Online, false
	if x.expelled && x.row.Status == DeviceExcused {
		s.count(i, -1)
		x.row.Ring, x.row.Status = len(s.view.Rollout.Rings)-1, DevicePending
		s.count(i, 1)
	}
	s.due[x.row.Ring].at(s.view.Now, x.hash, i, simLook)
}

// answered draws what a device answers.
func (s *simulation) answered(i int) {
	x, o := &s.devices[i], &s.options
	r := s.chance(i, "answer", x.row.Attempt)
	if s.chance(i, "reject", 0).Float64() < o.RejectRate {
		s.move(i, DeviceRejected)
		return
	}
	if r.Float64() >= o.FailureRate {
		s.done(i)
		return
	}
	failure := CommandError{Code: "failed", Retryable: r.Float64() < o.RetryableRate}
	delay, again := s.spec.Retry.Next(failure, x.row.Attempt, x.ID)
	if !again {
		s.move(i, DeviceFailed)
		return
	}
	s.move(i, DevicePending)
	s.due[x.row.Ring].at(s.view.Now.Add(delay), x.hash, i, simLook)
}

// done ends a device well, whose health shows later if it is not.
func (s *simulation) done(i int) {
	s.move(i, DeviceSucceeded)
	s.succeeded = append(s.succeeded, s.view.Now)
	s.judged(i, Yes)
	if r := s.chance(i, "health", 0); r.Float64() < s.options.UnhealthyRate {
		s.happens.at(s.view.Now.Add(exponential(r, s.options.UnhealthyMean)), s.devices[i].hash, i, simUnwell)
	}
}

func (s *simulation) judged(i int, health Verdict) {
	x := &s.devices[i]
	s.count(i, -1)
	x.row.Health = health
	s.count(i, 1)
}

// stragglers excuses the devices of a ring that are open, or has them fail.
func (s *simulation) stragglers(ring int) {
	for i := range s.devices {
		x := &s.devices[i]
		if x.row.Ring != ring || !x.row.Status.Open() {
			continue
		}
		if s.spec.Stragglers.Then == StragglerFail {
			s.move(i, DeviceTimedOut)
			continue
		}
		x.expelled = true
		s.move(i, DeviceExcused)
	}
}

// move changes the status of a device, and what is counted of it.
func (s *simulation) move(i int, to RolloutDeviceStatus) {
	x := &s.devices[i]
	was := x.row.Status.InFlight()
	s.count(i, -1)
	x.row.Status = to
	s.count(i, 1)
	if is := to.InFlight(); is != was && x.Parent != "" {
		s.children[x.Parent] += map[bool]int{true: 1, false: -1}[is]
	}
	s.available(x)
}

// available keeps how many of a device's group are unavailable, and wakes those
// that waited for one to come back.
func (s *simulation) available(x *simDevice) {
	if x.group == nil {
		return
	}
	status := x.row.Status
	unavailable := status.InFlight() || status == DeviceFailed || status == DeviceTimedOut || x.away && !x.atStart
	switch {
	case unavailable && !x.counted:
		x.group.unavailable++
	case !unavailable && x.counted:
		x.group.unavailable--
		for _, i := range x.group.waiting {
			s.due[s.devices[i].row.Ring].at(s.view.Now, s.devices[i].hash, i, simLook)
		}
		x.group.waiting = nil
	}
	x.counted = unavailable
}

// count adds a device to the numbers of its ring, or takes it out.
func (s *simulation) count(i, n int) {
	row := &s.devices[i].row
	s.view.Rollout.Rings[row.Ring].Counts.count(row.Status, row.Health, n)
}

// count adds n devices of a status and health.
func (c *Counts) count(status RolloutDeviceStatus, health Verdict, n int) {
	if status != DeviceExcused {
		c.Targeted += n
	}
	if status == DeviceSucceeded {
		switch health {
		case Yes:
			c.Healthy += n
		case No:
			c.Unhealthy += n
		}
	}
	*c.of(status) += n
}

// of gives the number of devices of a status.
func (c *Counts) of(status RolloutDeviceStatus) *int {
	switch status {
	case DeviceSent:
		return &c.Sent
	case DeviceAccepted:
		return &c.Accepted
	case DeviceDeferred:
		return &c.Deferred
	case DeviceSucceeded:
		return &c.Succeeded
	case DeviceFailed:
		return &c.Failed
	case DeviceRejected:
		return &c.Rejected
	case DeviceTimedOut:
		return &c.TimedOut
	case DeviceExcused:
		return &c.Excused
	case DeviceCanceled:
		return &c.Canceled
	case DeviceReverting:
		return &c.Reverting
	case DeviceReverted:
		return &c.Reverted
	case DeviceRevertFailed:
		return &c.RevertFailed
	default:
		return &c.Pending
	}
}
