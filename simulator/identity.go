package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"
)

// Lies that a device may tell at its hello.
const (
	BadClaim     = "bad_claim"
	WrongProfile = "wrong_profile"
)

// Identity is what an owner of the fleet knows of a device, and would register.
type Identity struct {
	ID      string
	Serial  string
	Profile string // the true one
	Claim   string // the true one
	Lie     string // BadClaim, WrongProfile, or "" for an honest device
}

// Claim gives the claim of the device id in a fleet with that seed: the first
// 32 digits of hex SHA-256 over "deviceops-simulator", a NUL, the seed in
// decimal, a NUL, and the id. So a fleet can be registered by who knows its
// seed.
func Claim(seed uint64, id string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "deviceops-simulator\x00%d\x00%s", seed, id))
	return hex.EncodeToString(sum[:16])
}

// Identities gives the devices of a fleet in the order of their ids, without
// connecting anything. The fleet's liars are spread over it by its seed.
func Identities(cfg Config) []Identity {
	cfg = cfg.withDefaults()
	all := make([]Identity, cfg.Devices)
	for i := range all {
		id := identify(cfg, cfg.First+i)
		all[i] = Identity{ID: id, Serial: "SN-" + id, Profile: cfg.Profile, Claim: Claim(cfg.Seed, id)}
	}
	order := rand.New(rand.NewPCG(cfg.Seed, hash("liars"))).Perm(cfg.Devices)
	for i, at := range order[:min(len(order), cfg.Behavior.BadClaims+cfg.Behavior.WrongProfiles)] {
		all[at].Lie = BadClaim
		if i >= cfg.Behavior.BadClaims {
			all[at].Lie = WrongProfile
		}
	}
	return all
}

func identify(cfg Config, number int) string { return fmt.Sprintf("%s-%05d", cfg.Prefix, number) }

// presented gives what the device says of itself, which for a liar is not so.
func (i Identity) presented() (profile, claim string) {
	switch i.Lie {
	case BadClaim:
		return i.Profile, Claim(^uint64(0), i.ID)
	case WrongProfile:
		return i.Profile + "-forged", i.Claim
	}
	return i.Profile, i.Claim
}

func hash(parts ...string) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		_, _ = h.Write([]byte(p))
		_, _ = h.Write([]byte{0})
	}
	return h.Sum64()
}

// chance is the randomness of one device or one command.
type chance struct{ *rand.Rand }

func chanceOf(seed uint64, parts ...string) chance {
	return chance{rand.New(rand.NewPCG(seed, hash(parts...)))}
}

// happens is true with probability p.
func (c chance) happens(p float64) bool { return p > 0 && c.Float64() < p }

// between gives a duration from low to high.
func (c chance) between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(c.Int64N(int64(high-low)))
}

// around gives a duration from half of d to one and a half.
func (c chance) around(d time.Duration) time.Duration { return c.between(d/2, d+d/2) }

// latency draws from the distribution, at most ten times its 99th percentile.
func (c chance) latency(l Latency) time.Duration {
	const z99 = 2.3263 // the 99th percentile of the standard normal distribution
	sigma := math.Log(float64(l.P99)/float64(l.Median)) / z99
	drawn := float64(l.Median) * math.Exp(sigma*c.NormFloat64())
	return time.Duration(min(drawn, 10*float64(l.P99)))
}
