package channel

import (
	"sync"
	"time"

	"github.com/deviceops/deviceops"
)

// longestPause bounds how long a system may ask to be left alone.
const longestPause = time.Hour

// pauses are the channels whose systems asked to be left alone, by credentialsKey.
type pauses struct {
	now   func() time.Time
	mu    sync.Mutex
	until map[string]time.Time
}

// begin leaves a channel alone for a time, or for what is left of an earlier pause
// if that is more.
func (p *pauses) begin(key string, lasts time.Duration) {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for other, until := range p.until { // few: each is a system that is busy
		if !now.Before(until) {
			delete(p.until, other)
		}
	}
	if until := now.Add(lasts); until.After(p.until[key]) {
		p.until[key] = until
	}
}

// left gives how much of the pause of a channel is left, in whole seconds rounded up;
// 0: there is none.
func (p *pauses) left(key string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := p.until[key].Sub(p.now())
	if left <= 0 {
		return 0
	}
	return (left + time.Second - 1).Truncate(time.Second)
}

// resting refuses a call while the system of its channel is left alone, without
// asking it. Accounts that share a channel share its credentials, by which systems
// count; a channel that is published anew may have others, and is asked at once.
func (e *exchange) resting() error {
	left := e.pauses.left(e.credentialsKey())
	if left == 0 {
		return nil
	}
	return deviceops.Errorf(deviceops.EUNAVAILABLE, "channel %s: the system was busy; %w", e.channel.Name, deviceops.Later{After: left, Unasked: true})
}
