package deviceops

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Normalize fills in what a release leaves to defaults, and its Hash.
func (r *Release) Normalize() {
	components := slices.Clone(r.Components)
	for i := range components {
		c := &components[i]
		if c.Kind == "" {
			c.Kind = ComponentApp
			if slices.Contains(ComponentKinds(), c.Name) {
				c.Kind = c.Name
			}
		}
		if c.Version == "" {
			c.Version = r.Version
		}
		c.SHA256 = strings.ToLower(c.SHA256)
	}
	r.Components = components
	r.Hash = r.ContentHash()
}

// Check gives EINVALID for a release that no device could follow. It takes one
// that is normalized.
func (r *Release) Check() error {
	if _, err := ParseReleaseRef(r.Ref().String()); err != nil {
		return err
	}
	if n := len(r.Components); n == 0 && len(r.Configuration) == 0 || n > MaxComponents {
		return Errorf(EINVALID, "release %s has %d components: it needs one, or a configuration, and may have %d", r.Ref(), n, MaxComponents)
	}
	seen := map[string]bool{}
	for _, c := range r.Components {
		if seen[c.Name] {
			return Errorf(EINVALID, "release %s names component %s twice", r.Ref(), c.Name)
		}
		seen[c.Name] = true
		if err := c.check(); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Requires)) {
		if !ValidID(name) {
			return Errorf(EINVALID, "requires: %q is no name of a component", name)
		}
		if err := r.Requires[name].Check(); err != nil {
			return Errorf(EINVALID, "requires %s: %s", name, ErrorMessage(err))
		}
	}
	if strings.ContainsRune(r.Notes, 0) {
		return Errorf(EINVALID, "the notes hold a character that text cannot have, NUL")
	}
	if err := r.From.Check(); err != nil {
		return Errorf(EINVALID, "from: %s", ErrorMessage(err))
	}
	return nil
}

func (c *Component) check() error {
	switch {
	case !ValidID(c.Name):
		return Errorf(EINVALID, "component %q: a name is letters, digits and ._:-", c.Name)
	case !slices.Contains(ComponentKinds(), c.Kind):
		return Errorf(EINVALID, "component %s is of kind %q: kinds are %s", c.Name, c.Kind, strings.Join(ComponentKinds(), ", "))
	case !validVersion(c.Version):
		return Errorf(EINVALID, "component %s: %q is no version", c.Name, c.Version)
	case !ValidSHA256(c.SHA256):
		return Errorf(EINVALID, "component %s: sha256 is the hash of its content, 64 hexadecimal digits", c.Name)
	case c.Size < 0:
		return Errorf(EINVALID, "component %s has size %d", c.Name, c.Size)
	case c.URL != "" && !strings.HasPrefix(c.URL, "https://") && !strings.HasPrefix(c.URL, "http://"):
		return Errorf(EINVALID, "component %s: %q is no http:// or https:// URL", c.Name, c.URL)
	case c.Group != "" && !ValidID(c.Group):
		return Errorf(EINVALID, "component %s: %q is no name of a group", c.Name, c.Group)
	}
	return nil
}

// ValidSHA256 reports whether s is a SHA-256 in lower-case hex.
func ValidSHA256(s string) bool {
	return len(s) == hex.EncodedLen(sha256.Size) && strings.Trim(s, "0123456789abcdef") == ""
}

// releaseContent is what counts of a release.
type releaseContent struct {
	Project       string                `json:"project"`
	Version       string                `json:"version"`
	Notes         string                `json:"notes,omitempty"`
	Components    []Component           `json:"components,omitempty"`
	Configuration map[string]any        `json:"configuration,omitempty"`
	Requires      map[string]Constraint `json:"requires,omitempty"`
	From          Constraint            `json:"from,omitempty"`
	Reversible    bool                  `json:"reversible"`
	Downgrade     bool                  `json:"downgrade"`
}

// ContentHash gives the SHA-256, in hex, of what a release is: all of it but
// its account, its signatures, and who created it when. The same content has
// the same hash wherever it is computed: its JSON is read and written again, so
// that keys are sorted and every number is written in one way.
func (r *Release) ContentHash() string {
	content := releaseContent{
		Project: r.Project, Version: r.Version, Notes: r.Notes, Components: slices.Clone(r.Components), Configuration: r.Configuration,
		Requires: r.Requires, From: r.From, Reversible: r.Reversible, Downgrade: r.Downgrade,
	}
	for i := range content.Components {
		content.Components[i].Signature = ""
	}
	var canonical any
	data, err := json.Marshal(content)
	if err == nil {
		err = json.Unmarshal(data, &canonical)
	}
	if err == nil {
		data, err = json.Marshal(canonical)
	}
	if err != nil {
		return "" // a configuration that is no JSON does not get as far as here
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// OtherContent is the ECONFLICT between the release and another one of its name
// with another hash.
func (r *Release) OtherContent(other *Release) error {
	return Errorf(ECONFLICT, "%s exists with other content: %s. Give the change a new version", r.Ref(), strings.Join(r.Differences(other), "; "))
}

// Differences says in words how the content of a release differs from another's
// under the same name; none when it does not.
func (r *Release) Differences(other *Release) []string {
	found := componentDifferences(r.Components, other.Components)
	for _, field := range []struct {
		name string
		a, b any
	}{
		{"configuration", plainJSON(r.Configuration), plainJSON(other.Configuration)},
		{"requires", plainJSON(r.Requires), plainJSON(other.Requires)},
		{"from", string(r.From), string(other.From)},
		{"reversible", r.Reversible, other.Reversible},
		{"downgrade", r.Downgrade, other.Downgrade},
		{"notes", r.Notes, other.Notes},
	} {
		if field.a != field.b {
			found = append(found, fmt.Sprintf("%s is %v, yours is %v", field.name, show(field.a), show(field.b)))
		}
	}
	return found
}

func componentDifferences(a, b []Component) []string {
	var found []string
	others := map[string]Component{}
	for _, c := range b {
		others[c.Name] = c
	}
	for _, c := range a {
		other, ok := others[c.Name]
		if !ok {
			found = append(found, fmt.Sprintf("component %s is not in yours", c.Name))
			continue
		}
		delete(others, c.Name)
		found = append(found, c.differences(other)...)
	}
	for _, name := range slices.Sorted(maps.Keys(others)) {
		found = append(found, fmt.Sprintf("component %s is only in yours", name))
	}
	if len(found) == 0 && !slices.EqualFunc(a, b, func(x, y Component) bool { return x.Name == y.Name }) {
		found = append(found, "its components are in another order")
	}
	return found
}

// differences compares two components of one name by their fields.
func (c Component) differences(other Component) []string {
	var found []string
	c.Signature, other.Signature = "", ""
	a, b := reflect.ValueOf(c), reflect.ValueOf(other)
	for i := range a.NumField() {
		if x, y := a.Field(i).Interface(), b.Field(i).Interface(); x != y {
			name := strings.ToLower(a.Type().Field(i).Name)
			found = append(found, fmt.Sprintf("%s of component %s is %v, yours is %v", name, c.Name, show(x), show(y)))
		}
	}
	return found
}

func plainJSON(v any) string {
	if reflect.ValueOf(v).Len() == 0 {
		return ""
	}
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v) // it was read as JSON or YAML
	return strings.TrimSpace(text.String())
}

// show gives a value as a message shows it, cut where it is long.
func show(v any) any {
	text, ok := v.(string)
	switch {
	case !ok:
		return v
	case text == "":
		return "not set"
	case len(text) > 80:
		return strings.ToValidUTF8(text[:80], "") + "…"
	default:
		return text
	}
}
