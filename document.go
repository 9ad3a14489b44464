package deviceops

import (
	"context"
	"time"
)

// Kinds of documents that can be published.
const (
	KindProfile    = "profile"
	KindWorkflow   = "workflow"
	KindAutomation = "automation"
	KindTest       = "test"
	KindRelease    = "release" // never published: a release is created, see ReleaseRequest
	KindRollout    = "rollout" // never published: a rollout is created, see RolloutRequest
	KindCalendar   = "calendar"
	KindChannel    = "channel"
	KindRoute      = "route"
)

// Document is a published YAML document. A version is immutable.
type Document struct {
	Account     string    `json:"account"`
	Kind        string    `json:"kind"`
	Name        string    `json:"name"`
	Version     int       `json:"version"`          // from 1
	Hash        string    `json:"hash"`             // hex SHA-256 of Source
	Source      string    `json:"source,omitempty"` // the YAML of this one document
	PublishedAt time.Time `json:"published_at"`
	PublishedBy string    `json:"published_by"`
	Reason      string    `json:"reason,omitempty"`
}

// Documents keeps what authors publish.
type Documents interface {
	// PublishDocument stores d and gives it as stored. With Version 0 the next
	// number is given; when the newest version has the same hash nothing is
	// stored and created is false, and so when the given Version exists with
	// the same hash. A document that was retired shows again. ECONFLICT if the
	// version exists with another hash, or is not above the newest.
	PublishDocument(ctx context.Context, d Document) (stored Document, created bool, err error)

	// FindDocument looks name up in account, then in the accounts above it.
	// Version 0 means the newest; another version is found in the nearest
	// account that has it, retired or not. ENOTFOUND if there is none.
	FindDocument(ctx context.Context, account, kind, name string, version int) (Document, error)

	// ReadDocuments gives documents that were listed, with their sources, in any
	// order. ENOTFOUND if one is not there.
	ReadDocuments(ctx context.Context, listed []Document) ([]Document, error)

	// ListDocuments gives the newest version of each document visible from
	// account, without sources, by kind and name. An empty kind means all.
	ListDocuments(ctx context.Context, account, kind string) ([]Document, error)

	// NewestDocuments gives the newest version of each document of a kind in
	// every account, without sources, by account and name.
	NewestDocuments(ctx context.Context, kind string) ([]Document, error)

	// DocumentVersions gives all versions of a document, newest first, without
	// sources. ENOTFOUND if there is none.
	DocumentVersions(ctx context.Context, account, kind, name string) ([]Document, error)

	// RetireDocument hides a document of this very account from lookups that
	// name no version; runs that use it go on. ENOTFOUND if there is none.
	RetireDocument(ctx context.Context, account, kind, name string) error
}

// Catalog gives compiled documents.
type Catalog interface {
	// Profile gives the newest version of a profile as seen from account.
	// ENOTFOUND if there is none, EINVALID if it no longer compiles.
	Profile(ctx context.Context, account, name string) (*Profile, error)

	// Rollout gives the manifest of a rollout, by its Source, as it holds for that
	// very rollout: see RolloutSpec.Of. EINVALID if it no longer compiles.
	Rollout(ctx context.Context, r Rollout) (*RolloutSpec, error)

	// ReadManifest gives the manifest that a draft makes, and its YAML, checked
	// against what store and catalog show to account. EINVALID says what is wrong,
	// and where.
	ReadManifest(ctx context.Context, store Store, account string, d ManifestDraft) (spec *RolloutSpec, source string, err error)

	// Calendar gives the newest version of a calendar as seen from account.
	// Errors are those of Profile.
	Calendar(ctx context.Context, account, name string) (*Calendar, error)

	// Automations gives the newest versions of the automations that account can
	// see, by name. They are read from docs, so that this can be done within a
	// transaction.
	Automations(ctx context.Context, docs Documents, account string) ([]*Automation, error)

	// Scheduled gives the newest versions of the automations of all accounts that
	// have a schedule.
	Scheduled(ctx context.Context, docs Documents) ([]*Automation, error)

	// PlanRun gives a version of a workflow as seen from account, read from docs;
	// version 0 means the newest. Errors are those of Profile.
	PlanRun(ctx context.Context, docs Documents, account, workflow string, version int) (RunPlan, error)

	// Occasion gives an event and a device as the expressions of automations see
	// them. A nil device is not known.
	Occasion(e Event, d *Device) Occasion
}

// Verdict is the outcome of a predicate over values that may be missing.
type Verdict int

// Verdicts. Unknown is the zero value: what cannot be judged never passes.
const (
	Unknown Verdict = iota
	No
	Yes
)

// String gives "unknown", "no" or "yes".
func (v Verdict) String() string {
	return [...]string{"unknown", "no", "yes"}[v]
}

// DevicePredicate judges a device. It gives Unknown when a value that it needs
// is missing, and an error only when the predicate itself is at fault.
type DevicePredicate func(d *Device) (Verdict, error)
