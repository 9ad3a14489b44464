package deviceops

import (
	"context"
	"strings"
	"time"
)

// ReleaseRef names one release: a version of a project.
type ReleaseRef struct {
	Project string
	Version string
}

// ParseReleaseRef reads project@version, such as kiosk-os@2.4.0. EINVALID.
func ParseReleaseRef(text string) (ReleaseRef, error) {
	project, version, _ := strings.Cut(text, "@")
	ref := ReleaseRef{Project: project, Version: version}
	if !ValidID(project) || !validVersion(version) {
		return ReleaseRef{}, Errorf(EINVALID, "release %q: write project@version, such as kiosk-os@2.4.0", text)
	}
	return ref, nil
}

// String gives project@version.
func (r ReleaseRef) String() string { return r.Project + "@" + r.Version }

// validVersion reports whether v may be a version: as an id, and with "+" for
// build data.
func validVersion(v string) bool { return ValidID(strings.ReplaceAll(v, "+", ".")) }

// Kinds of components.
const (
	ComponentOS       = "os"
	ComponentFirmware = "firmware"
	ComponentApp      = "app"
	ComponentConfig   = "config"
	ComponentModel    = "model"
)

// ComponentKinds gives all kinds of components.
func ComponentKinds() []string {
	return []string{ComponentOS, ComponentFirmware, ComponentApp, ComponentConfig, ComponentModel}
}

// MaxComponents is how many components a release has at most: a device names no
// more.
const MaxComponents = 64

// Component is a part of a release: what runs on a device under a name.
type Component struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`          // default: its name if that is a kind, else app
	Version string `json:"version"`       // default: the release's
	URL     string `json:"url,omitempty"` // where it lies outside the installation; "": in the artifact store
	SHA256  string `json:"sha256"`        // of the content, lower-case hex
	Size    int64  `json:"size"`          // bytes; 0 only for what lies outside: not known

	// Signature is the author's, over Release.ComponentStatement, base64; a
	// device can check it without knowing the release.
	Signature string `json:"signature,omitempty"`

	Order int    `json:"order,omitempty"` // lower ones are installed first
	Group string `json:"group,omitempty"` // components of a group activate and revert together
}

// Release is a version of a project. Once created it never changes, but that an
// unsigned one may be signed.
type Release struct {
	Account       string         `json:"account"`
	Project       string         `json:"project"`
	Version       string         `json:"version"`
	Notes         string         `json:"notes,omitempty"`
	Components    []Component    `json:"components"`
	Configuration map[string]any `json:"configuration,omitempty"`

	// Requires holds, by component, what a device must run before. From is what
	// it may come from: see Fits.
	Requires map[string]Constraint `json:"requires,omitempty"`
	From     Constraint            `json:"from,omitempty"`

	Reversible bool `json:"reversible"` // a device can go back to what it came from
	Downgrade  bool `json:"downgrade"`  // it may take devices to lower versions

	Signature string `json:"signature,omitempty"` // the author's, over Statement, base64; "": it is not signed
	Signer    string `json:"signer,omitempty"`    // id of the ReleaseKey that the signature was made for

	CreatedBy string    `json:"created_by"`
	CreatedAt time.Time `json:"created_at"`
	Hash      string    `json:"hash"` // see ContentHash
}

// Ref names the release.
func (r *Release) Ref() ReleaseRef { return ReleaseRef{Project: r.Project, Version: r.Version} }

// Versions gives the version of every component: what a device reports that
// runs the release.
func (r *Release) Versions() map[string]string {
	versions := make(map[string]string, len(r.Components))
	for _, c := range r.Components {
		versions[c.Name] = c.Version
	}
	return versions
}

// Size is how much a device downloads for all of it, in bytes, as far as that
// is known.
func (r *Release) Size() int64 {
	var sum int64
	for _, c := range r.Components {
		sum += c.Size
	}
	return sum
}

// ReleaseFilter selects releases. Zero fields select all.
type ReleaseFilter struct {
	Account string // those that it sees: its own, those of accounts above, and those of accounts below
	Project string
	After   ReleaseCursor // after which to go on (newest first)
	Limit   int           // 0: 100
}

// ReleaseCursor is a place in a list of releases.
type ReleaseCursor struct {
	Account string
	ReleaseRef
}

// Releases keeps releases and the keys of their authors.
type Releases interface {
	// CreateRelease stores r and gives it as stored. When the account has a
	// release of this project and version with the same Hash nothing is stored,
	// except that signatures are added to one that had none; the report's
	// outcome tells. ECONFLICT says what differs if there is one with another
	// hash.
	CreateRelease(ctx context.Context, r Release) (ReleaseReport, error)

	// FindRelease looks a release up in account, then in the accounts above it.
	// ENOTFOUND.
	FindRelease(ctx context.Context, account string, ref ReleaseRef) (Release, error)

	// ListReleases gives releases, newest first.
	ListReleases(ctx context.Context, f ReleaseFilter) ([]Release, error)

	// AddReleaseKey stores a key; created is false when the account has it
	// already, whatever its name.
	AddReleaseKey(ctx context.Context, k ReleaseKey) (stored ReleaseKey, created bool, err error)

	// RemoveReleaseKey takes a key from this very account. ENOTFOUND.
	RemoveReleaseKey(ctx context.Context, account, id string) error

	// ListReleaseKeys gives the keys of account and of the accounts above it,
	// by account and name.
	ListReleaseKeys(ctx context.Context, account string) ([]ReleaseKey, error)
}
