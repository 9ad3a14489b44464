package deviceops

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"time"
)

// Next says whether a device that failed is tried again, and how long after. The
// attempt is the one that failed, from 1. A device that rejected the change, or
// fell silent, is never tried again: do not ask.
//
// The delay lies between Min and Max: before the first re-try between Min and
// twice that, each further time twice as much, and at the cap in its upper half.
// Where in between follows from the device and the attempt, so that devices that
// failed together do not come back together, and that it is the same whoever
// asks.
func (r RetrySpec) Next(e CommandError, attempt int, device string) (delay time.Duration, again bool) {
	if attempt > r.Times || !r.wants(e) {
		return 0, false
	}
	low, high := r.between(attempt)
	return low + time.Duration(spread(device, strconv.Itoa(attempt))*float64(high-low)), true
}

// wants judges the error by If; what that cannot tell is as the device said.
func (r RetrySpec) wants(e CommandError) bool {
	if r.If == nil {
		return e.Retryable
	}
	verdict, err := r.If(e)
	if err != nil || verdict == Unknown {
		return e.Retryable
	}
	return verdict == Yes
}

func (r RetrySpec) between(attempt int) (low, high time.Duration) {
	low, most := r.Min, max(r.Min, r.Max)
	for range attempt - 1 {
		low = min(2*low, most)
	}
	if low == most {
		return max(r.Min, most/2), most
	}
	return low, min(2*low, most)
}

// spread gives a number in [0, 1) that follows from words, evenly spread.
func spread(words ...string) float64 { return float64(stableHash(words...)>>11) / (1 << 53) }

// stableHash gives a number that follows from words, the same for ever and
// everywhere.
func stableHash(words ...string) uint64 {
	var text []byte
	for _, w := range words {
		text = append(append(text, w...), 0)
	}
	sum := sha256.Sum256(text)
	return binary.BigEndian.Uint64(sum[:8])
}
