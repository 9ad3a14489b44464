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

var claimField = regexp.MustCompile(`(?i)("claim"\s*:\s*)"(?:[^"\\]|\\.)*"`)

// Redact gives a payload as it may be stored with a rejection: a hello without
// its claim, anything else as it is. Where a hello speaks of a claim in a way
// that isn't understood, nothing of it is kept.
func Redact(leaf Leaf, payload []byte) []byte {
	if leaf != LeafHello {
		return payload
	}
	redacted := claimField.ReplaceAll(payload, []byte(`$1""`))
	rest := strings.ToLower(string(claimField.ReplaceAll(payload, nil)))
	if strings.Contains(rest, "claim") || strings.Contains(rest, `\u`) {
		return []byte(`{"redacted":true}`)
	}
	return redacted
}
