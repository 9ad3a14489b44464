package deviceops

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// ManifestDraft is a manifest as a program gives it.
type ManifestDraft struct {
	Manifest json.RawMessage // a text, which is YAML, or an object with the keys of a manifest
	Name     string          // of the rollout; "": as the manifest says
	Unnamed  string          // its name where neither says one
	Release  string          // PROJECT@VERSION, what is rolled out; "": as the manifest says
}

// ManifestHash gives the hash of the YAML of a manifest: hex SHA-256.
func ManifestHash(source string) string {
	sum := sha256.Sum256([]byte(source))
	return hex.EncodeToString(sum[:])
}

// RolloutStart asks for the workflow of a rollout. Its input is that of package
// workflows.
func RolloutStart(rollout string) Start {
	type input struct {
		Rollout string `json:"rollout"`
	}
	return Start{WorkflowID: RolloutWorkflowID(rollout), Type: RolloutWorkflow, Input: input{rollout}}
}

// NewRollout gives the rollout that begins by a manifest: source is its YAML,
// hash the hex SHA-256 of that.
func (s *RolloutSpec) NewRollout(account, source, hash, by, reason string, now time.Time) Rollout {
	r := Rollout{
		ID: RolloutID(account, s.Name), Account: account, Name: s.Name, Kind: s.Change.Kind, Source: source, Hash: hash,
		Status: RolloutPlanning, StatusBy: by, StatusSince: now, Limits: s.Limits, CreatedBy: by, Reason: reason, CreatedAt: now,
		HealthBySuccess: s.Health == nil,
	}
	for i, ring := range s.Rings {
		r.Rings = append(r.Rings, Ring{Index: i, Name: ring.Name, Status: RingPending})
	}
	return r
}
