package deviceops

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MessageProof says how a message of another system proves where it comes from: by
// an HMAC over its body, or by a token that only the system knows.
type MessageProof struct {
	Header    string
	Secrets   []string      // references; any of them will do, as while keys are changed
	Token     bool          // the header holds the secret itself
	Prefix    string        // before the signature, as sha256=
	Algorithm string        // sha256, sha1 or sha512
	Encoding  string        // hex or base64
	Timestamp string        // the header whose text is signed before the body; "": none
	Separator string        // between the two
	MaxAge    time.Duration // of the timestamp, in both directions; 0: any
}

// Headers of the messages that webhooks take where they do not say otherwise.
const (
	SignatureHeader = "X-DeviceOps-Signature" // sha256= and the HMAC, in hex, of TimestampHeader, a dot and the body
	TimestampHeader = "X-DeviceOps-Timestamp" // Unix seconds, or RFC 3339
)

// DefaultProof gives the proof of webhooks that do not say otherwise.
func DefaultProof(secrets ...string) MessageProof {
	return MessageProof{
		Header: SignatureHeader, Secrets: secrets, Prefix: "sha256=", Algorithm: "sha256", Encoding: "hex",
		Timestamp: TimestampHeader, Separator: ".", MaxAge: 5 * time.Minute,
	}
}

var hashes = map[string]func() hash.Hash{"sha256": sha256.New, "sha1": sha1.New, "sha512": sha512.New}

// Verify checks where a message to something comes from; secret gives the value
// behind a reference. EUNAUTHENTICATED for one that lies says nothing about what
// would be right. Where a secret cannot be had, and no other proves the message,
// the error says so.
func (p MessageProof) Verify(to string, h http.Header, body []byte, now time.Time, secret func(reference string) (string, error)) error {
	if !p.fresh(h, now) {
		return Errorf(EUNAUTHENTICATED, "the message to the %s has no time, or one that is more than %s from now", to, p.MaxAge)
	}
	var missing error
	for _, reference := range p.Secrets {
		value, err := secret(reference)
		if err == nil && p.proves(h, body, value) {
			return nil
		}
		missing = cmp.Or(missing, err)
	}
	if missing != nil {
		return missing
	}
	return Errorf(EUNAUTHENTICATED, "the message to the %s is not signed by whom it trusts", to)
}

func (p MessageProof) fresh(h http.Header, now time.Time) bool {
	if p.Token || p.MaxAge == 0 {
		return true
	}
	at, err := parseTimestamp(h.Get(p.Timestamp))
	return err == nil && now.Sub(at).Abs() <= p.MaxAge
}

// proves takes as long for a signature that is nearly right as for any other. An
// empty secret proves nothing.
func (p MessageProof) proves(h http.Header, body []byte, secret string) bool {
	given := h.Get(p.Header)
	switch {
	case secret == "" || given == "":
		return false
	case p.Token:
		return subtle.ConstantTimeCompare([]byte(given), []byte(secret)) == 1
	}
	want := []byte(p.Prefix + p.signature(h, body, secret))
	proved := 0
	for one := range strings.SplitSeq(given, ",") { // several while keys are changed
		proved |= subtle.ConstantTimeCompare([]byte(strings.TrimSpace(one)), want)
	}
	return proved == 1
}

func (p MessageProof) signature(h http.Header, body []byte, secret string) string {
	mac := hmac.New(hashes[p.Algorithm], []byte(secret))
	if p.Timestamp != "" {
		mac.Write([]byte(h.Get(p.Timestamp) + p.Separator))
	}
	mac.Write(body)
	if p.Encoding == "base64" {
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// parseTimestamp reads RFC 3339 or Unix seconds.
func parseTimestamp(text string) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	return time.Unix(seconds, 0), err
}
