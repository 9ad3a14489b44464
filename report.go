package deviceops

// Outcomes of one document of an apply.
const (
	DocumentCreated   = "created"   // a new version is published
	DocumentUnchanged = "unchanged" // this content is published already
	DocumentRefused   = "refused"   // see diagnostics
	DocumentHeld      = "held"      // good, and not published because another document of the request was refused
	DocumentSkipped   = "skipped"   // good, and of a kind that is never published: see diagnostics
)

// ApplyReport says what became of the documents of an apply. They are
// published together or not at all.
type ApplyReport struct {
	DryRun    bool             `json:"dry_run"`
	Refused   bool             `json:"refused"` // at least one was refused, so nothing was published
	Documents []DocumentReport `json:"documents"`
}

// DocumentReport says what became of one document.
type DocumentReport struct {
	File        string           `json:"file"`
	Kind        string           `json:"kind,omitempty"`
	Name        string           `json:"name,omitempty"`
	Version     int              `json:"version,omitempty"`
	Outcome     string           `json:"outcome"`
	Diagnostics []DiagnosticText `json:"diagnostics,omitempty"`
	Diff        string           `json:"diff,omitempty"` // published → given, when the version exists with other content
}

// DiagnosticText is a finding about a document, ready to be shown.
type DiagnosticText struct {
	File     string `json:"file,omitempty"`
	Line     int    `json:"line"`   // from 1
	Column   int    `json:"column"` // from 1
	Severity string `json:"severity"`
	Code     string `json:"code"`
	Message  string `json:"message"`
	Text     string `json:"text"` // several lines: position, message, snippet with caret, what to write instead
}

// ImportReport says what became of the rows of an import.
type ImportReport struct {
	Total    int                     `json:"total"` // rows read, the bad ones included
	Outcomes map[RegisterOutcome]int `json:"outcomes"`
	Bad      []BadRow                `json:"bad"` // in the order of lines
}

// BadRow is a row of an import that was not taken.
type BadRow struct {
	Line   int    `json:"line"` // in the file, from 1
	ID     string `json:"id,omitempty"`
	Reason string `json:"reason"`
}

// RegisterReport says what became of one registration.
type RegisterReport struct {
	Outcome RegisterOutcome `json:"outcome"`
	Device  Device          `json:"device"`
}

// FleetStats counts devices.
type FleetStats struct {
	Total          int                  `json:"total"`
	ByState        map[State]int        `json:"by_state"`
	ByConnectivity map[Connectivity]int `json:"by_connectivity"`
}

// RejectedReport lists messages that were not taken.
type RejectedReport struct {
	Counts map[string]int64 `json:"counts"` // by code, of all that were ever rejected
	Items  []Rejected       `json:"items"`  // the newest
}

// Outcomes of the creation of a release.
const (
	ReleaseCreated   = "created"   // it is new
	ReleaseUnchanged = "unchanged" // it exists with this content
	ReleaseSigned    = "signed"    // it existed with this content, and was not signed before
)

// ReleaseReport says what became of the creation of a release.
type ReleaseReport struct {
	Outcome string  `json:"outcome"`
	Release Release `json:"release"`
}

// ArtifactReport says what became of an upload.
type ArtifactReport struct {
	Created bool `json:"created"` // false: it was there already
	Artifact
}

// ReleaseKeyReport says what became of the registration of a key.
type ReleaseKeyReport struct {
	Created bool `json:"created"` // false: it was there already
	ReleaseKey
}
