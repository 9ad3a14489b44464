package protocol

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// DescriptionDigest is the digest that a short hello carries for this full one:
// lower-case hex SHA-256 over lines "name=value\n", sorted by bytes, one for
// each of config_version, max_payload, profile, serial and software.<component>
// that is neither empty nor 0. Numbers are decimal, texts are as they are. What
// identifies a boot or a connection is left out, and so is the claim.
//
// It can be made by a shell: printf of the sorted lines into sha256sum.
func (h *Hello) DescriptionDigest() string {
	lines := make([]string, 0, 4+len(h.Software))
	add := func(name, value string) {
		if value != "" && value != "0" {
			lines = append(lines, name+"="+value+"\n")
		}
	}
	add("config_version", strconv.FormatInt(h.ConfigVersion, 10))
	add("max_payload", strconv.Itoa(h.MaxPayload))
	add("profile", h.Profile)
	add("serial", h.Serial)
	for component, version := range h.Software {
		lines = append(lines, "software."+component+"="+version+"\n")
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return hex.EncodeToString(sum[:])
}

// Abbreviate gives the short form of a full hello.
func (h *Hello) Abbreviate() *Hello {
	return &Hello{
		Header: h.Header, Connection: h.Connection, Running: h.Running, Oldest: h.Oldest,
		Digest: h.DescriptionDigest(),
	}
}

// Claims hide in JSON, in what is nearly JSON, and behind needless escapes:
// no encoder writes a plain letter as \u0063, so such a text means to hide one.
var (
	claimField    = regexp.MustCompile(`(?i)("claim"\s*:\s*)"(?:[^"\\]|\\.)*"`)
	claimMention  = regexp.MustCompile(`(?i)claim`)
	escapedLetter = regexp.MustCompile(`(?i)\\u00[4-7]`)
)

// Redact gives a payload, or its beginning, as it may be stored with a
// rejection: the claim is blanked. Where a payload speaks of a claim in a way
// that isn't understood, nothing of it is kept.
func Redact(payload []byte) []byte {
	rest := claimField.ReplaceAll(payload, nil)
	if claimMention.Match(rest) || escapedLetter.Match(rest) {
		return []byte(`{"redacted":true}`)
	}
	return claimField.ReplaceAll(payload, []byte(`$1""`))
}
