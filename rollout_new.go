package deviceops

import "time"

// NewRollout gives the rollout that begins by a manifest: source is its YAML,
// hash the hex SHA-256 of that.
func (s *RolloutSpec) NewRollout(account, source, hash, by, reason string, now time.Time) Rollout {
	r := Rollout{
		ID: RolloutID(account, s.Name), Account: account, Name: s.Name, Kind: s.Change.Kind, Source: source, Hash: hash,
		Status: RolloutPlanning, StatusBy: by, StatusSince: now, Limits: s.Limits, CreatedBy: by, Reason: reason, CreatedAt: now,
	}
	for i, ring := range s.Rings {
		r.Rings = append(r.Rings, Ring{Index: i, Name: ring.Name, Status: RingPending})
	}
	return r
}
