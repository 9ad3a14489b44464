package deviceops

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// FitOutcome says whether a device should get a release.
type FitOutcome string

// Outcomes of Release.Fits.
const (
	FitOK      FitOutcome = "ok"      // it should
	FitAlready FitOutcome = "already" // it runs the release
	FitRefused FitOutcome = "refused" // it must not; see Code
)

// Codes of what keeps a device from a release.
const (
	FitRequires  = "requires"  // a component that the release needs is missing or of another version
	FitFrom      = "from"      // the release does not start from the version that the device runs
	FitDowngrade = "downgrade" // the device runs a higher version, and the release does not allow to go back
)

// Fit is what Release.Fits found.
type Fit struct {
	Outcome FitOutcome `json:"outcome"`
	Code    string     `json:"code,omitempty"` // of FitRefused
	Text    string     `json:"text"`           // in words, with both versions
}

// Fits judges whether a device should get the release by the software that it
// reported: nothing is to be done when it names every component's version.
// Then requires, from and the ban of downgrades are held against it. From is
// compared with what runs of the components that carry the release's own
// version, or of all components where none does; a device that reports none of
// these comes from nowhere, which only an empty From allows. A component that
// the device does not report yet is no downgrade. Whoever takes devices back on
// purpose sets Downgrade in a copy.
func (r *Release) Fits(d *Device) Fit {
	software := d.Twin.Reported.Software
	if r.runsOn(software) {
		return Fit{FitAlready, "", fmt.Sprintf("it runs %s", r.Ref())}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Requires)) {
		if want := r.Requires[name]; !want.Allows(software[name]) {
			return Fit{FitRefused, FitRequires, fmt.Sprintf("%s requires %s %s; it runs %s", r.Ref(), name, want, orNone(software[name]))}
		}
	}
	if fit, ok := r.comesFrom(software); !ok {
		return fit
	}
	for _, c := range r.Components {
		if now := software[c.Name]; !r.Downgrade && now != "" && CompareVersions(now, c.Version) > 0 {
			return Fit{FitRefused, FitDowngrade, fmt.Sprintf("it runs %s %s, which is above %s of %s, and the release does not say downgrade: allow",
				c.Name, now, c.Version, r.Ref())}
		}
	}
	return Fit{FitOK, "", fmt.Sprintf("it should get %s", r.Ref())}
}

// runsOn reports whether software names every component of the release. A
// release of a configuration alone is known by its configuration, not by this.
func (r *Release) runsOn(software map[string]string) bool {
	for _, c := range r.Components {
		if software[c.Name] != c.Version {
			return false
		}
	}
	return len(r.Components) > 0
}

func (r *Release) comesFrom(software map[string]string) (Fit, bool) {
	if r.From == "" {
		return Fit{}, true
	}
	known := ""
	for _, c := range r.carriers() {
		now := software[c.Name]
		if now != "" && !r.From.Allows(now) {
			return Fit{FitRefused, FitFrom, fmt.Sprintf("%s starts from %s; it runs %s %s", r.Ref(), r.From, c.Name, now)}, false
		}
		known = cmp.Or(known, now)
	}
	if known == "" {
		return Fit{FitRefused, FitFrom, fmt.Sprintf("%s starts from %s; it has not said what it runs", r.Ref(), r.From)}, false
	}
	return Fit{}, true
}

// carriers gives the components that stand for the release's version.
func (r *Release) carriers() []Component {
	own := slices.DeleteFunc(slices.Clone(r.Components), func(c Component) bool { return c.Version != r.Version })
	if len(own) == 0 {
		return r.Components
	}
	return own
}

func orNone(version string) string { return cmp.Or(version, "none") }

// InstallArgs gives the arguments of the reserved command install that takes a
// device from what it reported to the release:
//
//	{release, components [{name, kind, from, to, sha256, size, signature, order, group, url}]}
//
// Components that the device has are left out, but for those of a group of
// which it lacks another, since a group activates as one; all are in when it
// has all. There is a url only for what lies outside the installation: for the
// others, whoever publishes the command adds a signed one (see
// ArtifactGateway).
func (r *Release) InstallArgs(software map[string]string) map[string]any {
	lacking := func(c Component) bool { return software[c.Name] != c.Version }
	groups := map[string]bool{}
	for _, c := range r.Components {
		if c.Group != "" && lacking(c) {
			groups[c.Group] = true
		}
	}
	list, whole := []any{}, []any{}
	for _, c := range r.Components {
		args := c.installArgs(software[c.Name])
		whole = append(whole, args)
		if lacking(c) || groups[c.Group] {
			list = append(list, args)
		}
	}
	if len(list) == 0 {
		list = whole
	}
	return map[string]any{"release": r.Ref().String(), "components": list}
}

func (c Component) installArgs(from string) map[string]any {
	args := map[string]any{"name": c.Name, "kind": c.Kind, "to": c.Version, "sha256": c.SHA256}
	for name, text := range map[string]string{"from": from, "url": c.URL, "signature": c.Signature, "group": c.Group} {
		if text != "" {
			args[name] = text
		}
	}
	if c.Size > 0 {
		args["size"] = c.Size
	}
	if c.Order != 0 {
		args["order"] = int64(c.Order)
	}
	return args
}
