package deviceops

import (
	"math"
	"time"
)

// PerMinute gives how many devices may be sent the change per minute, at a time;
// +Inf where there is no limit. since is when growth began: the opening of the
// first ring, or the last fail verdict or change of the limits.
func (r RateSpec) PerMinute(since, now time.Time) float64 {
	if r.Start <= 0 {
		return math.Inf(1)
	}
	rate := r.Start
	if r.Factor > 1 && r.Every > 0 && now.After(since) {
		rate *= math.Pow(r.Factor, float64(now.Sub(since)/r.Every))
	}
	if r.Max > 0 {
		rate = min(rate, max(r.Max, r.Start))
	}
	return rate
}

// Bucket paces what leaves. In no minute more leaves than the rate of that time,
// a part of a device rounded up: not after a pause, and not when a process
// begins anew with an empty bucket in place of one that was lost. The zero value
// is empty. It is JSON, so that a pump can carry it in its heartbeat.
//
// It is a token bucket (Turner, "New directions in communications", 1986). It
// holds one device and what a second is worth, and fills a sixtieth slower than
// the rate: who empties it when it is full and goes on as it fills gets
// 1 + rate/60 + 59/60 × rate, and less than that in less than a minute.
type Bucket struct {
	Tokens float64   `json:"tokens"`
	At     time.Time `json:"at,omitzero"` // up to when it was filled
}

// Fill gives the bucket at a time and how many devices may leave then. Rates are
// per minute; without a limit that is math.MaxInt.
func (b Bucket) Fill(perMinute float64, now time.Time) (Bucket, int) {
	if math.IsInf(perMinute, 1) {
		return Bucket{At: now}, math.MaxInt
	}
	if !b.At.IsZero() && now.After(b.At) {
		b.Tokens = min(b.Tokens+fill(perMinute)*now.Sub(b.At).Seconds(), burst(perMinute))
	}
	b.At = later(b.At, now)
	return b, int(b.Tokens + tokenSlack)
}

// Take gives the bucket after n devices have left.
func (b Bucket) Take(n int) Bucket {
	b.Tokens -= float64(n)
	return b
}

// Next gives when the next device may leave, as far as the rate goes.
func (b Bucket) Next(perMinute float64, now time.Time) time.Time {
	b, n := b.Fill(perMinute, now)
	if n > 0 {
		return now
	}
	return now.Add(time.Duration(math.Ceil((1 - b.Tokens) / fill(perMinute) * float64(time.Second))))
}

// tokenSlack makes up for what sums of fractions lose.
const tokenSlack = 1e-9

func burst(perMinute float64) float64 { return 1 + perMinute/60 }

// fill is how many tokens come per second.
func fill(perMinute float64) float64 { return perMinute * 59 / 60 / 60 }
