package deviceops

import (
	"slices"
	"strconv"
	"strings"
)

// SecretScheme begins a reference to a secret in documents and settings.
const SecretScheme = "secret:"

// DefaultSecretField is the field of a secret that a reference means when it
// names none.
const DefaultSecretField = "value"

// engineSecrets begin the paths of what the engine keeps for itself, such as the
// keys that protect Temporal payloads and stored artifacts.
var engineSecrets = []string{"temporal/", "engine/"}

// SecretRef is a reference to one field of a secret. Its text is
//
//	path[@version][#field]
//
// such as ticketing/api-token, ticketing/jira#password or ticketing/jira@3#password.
type SecretRef struct {
	Path    string
	Field   string // default: DefaultSecretField
	Version int    // 0: the newest
}

// ParseSecretRef reads a reference, with or without SecretScheme before it.
// EINVALID says what is wrong with it.
func ParseSecretRef(text string) (SecretRef, error) {
	rest, field, named := strings.Cut(strings.TrimPrefix(text, SecretScheme), "#")
	path, version, pinned := strings.Cut(rest, "@")
	ref := SecretRef{Path: path, Field: field}
	if !named {
		ref.Field = DefaultSecretField
	}
	if !ValidID(ref.Field) {
		return SecretRef{}, Errorf(EINVALID, "secret %q: after # comes the name of a field, such as ticketing/jira#password", text)
	}
	if !validSecretPath(path) {
		return SecretRef{}, Errorf(EINVALID, "secret %q: a path is names of letters, digits, _, - and dots, joined by /, such as ticketing/api-token", text)
	}
	if pinned {
		n, err := strconv.Atoi(version)
		if err != nil || n < 1 {
			return SecretRef{}, Errorf(EINVALID, "secret %q: after @ comes the number of a version, such as ticketing/api-token@3", text)
		}
		ref.Version = n
	}
	return ref, nil
}

// validSecretPath refuses what a provider could read as another place: . and ..
// above all.
func validSecretPath(path string) bool {
	if len(path) > 2*MaxIDLength {
		return false
	}
	for part := range strings.SplitSeq(path, "/") {
		if !ValidID(part) || strings.Trim(part, ".") == "" || strings.Contains(part, ":") {
			return false
		}
	}
	return true
}

// String gives the reference as it is written, without SecretScheme.
func (r SecretRef) String() string {
	text := r.Path
	if r.Version > 0 {
		text += "@" + strconv.Itoa(r.Version)
	}
	if r.Field != DefaultSecretField && r.Field != "" {
		text += "#" + r.Field
	}
	return text
}

// Authorize gives EFORBIDDEN when the reference is to a secret that the engine
// keeps for itself and account is not "", the engine. Providers ask it first: a
// document that could name those secrets could send them anywhere.
func (r SecretRef) Authorize(account string) error {
	if account != "" && r.OfEngine() {
		return Errorf(EFORBIDDEN, "secret %s: what is below %s is the engine's own; documents cannot refer to it", r, strings.Join(engineSecrets, " and "))
	}
	return nil
}

// OfEngine reports whether the engine keeps the secret for itself.
func (r SecretRef) OfEngine() bool {
	return slices.ContainsFunc(engineSecrets, func(prefix string) bool { return strings.HasPrefix(r.Path, prefix) })
}
