package deviceops

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
)

// MaxIDLength is the longest id, in bytes, of a device, command or step.
const MaxIDLength = 128

// ValidID reports whether s may be the id of a device or command: 1 to 128
// characters out of A–Z, a–z, 0–9 and "._:-". Such an id is safe in an MQTT
// topic, a URL and a workflow id.
func ValidID(s string) bool {
	if s == "" || len(s) > MaxIDLength {
		return false
	}
	for i := 0; i < len(s); i++ {
		if !idByte(s[i]) {
			return false
		}
	}
	return true
}

func idByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	default:
		return strings.IndexByte("._:-", c) >= 0
	}
}

// HashClaim gives the form in which a device's claim (the secret by which it
// proves at its first hello that it is the device that was registered) is kept:
// hex SHA-256 over a label, the device's id and the claim. The id keeps equal
// claims of two devices from showing as equal. A claim is a random secret, so
// no slow hash is needed. An empty claim gives "".
func HashClaim(deviceID, claim string) string {
	if claim == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("deviceops-claim\x00" + deviceID + "\x00" + claim))
	return hex.EncodeToString(sum[:])
}

// ShortHash gives the first bytes of the SHA-256 of parts, with NUL between them, in
// hex: two digits a byte. Most ids that are made of what they are about are made by
// it. What it gives of them must never change, or what was begun before an upgrade
// would be begun again after it: they keep the lengths that they have had.
func ShortHash(bytes int, parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:bytes])
}

// SameHash compares two hashes in constant time. Two empty ones are not the
// same: nothing presented never matches nothing registered.
func SameHash(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
