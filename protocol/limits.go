package protocol

import (
	"unicode/utf8"

	"github.com/deviceops/deviceops"
)

// Limits of a payload. A message beyond them is kept as rejected.
const (
	MaxPayload    = 128 << 10 // bytes, unless the device's hello names a smaller max_payload for what it receives
	MinPayload    = 1 << 10   // bytes; the smallest max_payload that a device may name
	MaxDepth      = 16        // objects and arrays inside one another
	MaxElements   = 1000      // objects in an array of heartbeats, telemetry or events
	MaxComponents = 64        // entries of software
	MaxRunning    = 64        // ids in running: as many as a device's journal keeps
	MaxText       = 256       // bytes of a serial, version, claim, reason or event type
)

// scan walks a payload once, before it is parsed, and refuses what would make
// parsing costly or storing impossible: too large, too deep, not UTF-8, or with
// a NUL character, which PostgreSQL can't hold.
func scan(payload []byte, maxBytes int) error {
	if len(payload) > maxBytes {
		return deviceops.Errorf(deviceops.EINVALID,
			"payload has %d bytes, %d are allowed: upload what is large and send {url, size, sha256}", len(payload), maxBytes)
	}
	if !utf8.Valid(payload) {
		return deviceops.Errorf(deviceops.EINVALID, "payload is not UTF-8 text: send JSON encoded as UTF-8")
	}
	var s scanner
	for _, c := range payload {
		if err := s.next(c); err != nil {
			return err
		}
	}
	return nil
}

// scanner follows strings and nesting; whether the rest is JSON is for the
// parser to say.
type scanner struct {
	depth    int
	inString bool
	escaped  bool
	nul      int // how much of \u0000 has been seen: 0 none, 1 the u, 2-5 its digits
}

func (s *scanner) next(c byte) error {
	if s.inString {
		return s.inside(c)
	}
	switch c {
	case '"':
		s.inString = true
	case '{', '[':
		s.depth++
		if s.depth > MaxDepth {
			return deviceops.Errorf(deviceops.EINVALID, "payload nests deeper than %d levels: flatten it", MaxDepth)
		}
	case '}', ']':
		s.depth--
	}
	return nil
}

func (s *scanner) inside(c byte) error {
	switch {
	case s.escaped:
		s.escaped = false
		s.nul = 0
		if c == 'u' {
			s.nul = 1
		}
	case s.nul > 0 && c == '0':
		s.nul++
		if s.nul == 5 {
			return deviceops.Errorf(deviceops.EINVALID, `payload holds the character \u0000, which cannot be stored: leave it out`)
		}
	case c == '\\':
		s.escaped, s.nul = true, 0
	case c == '"':
		s.inString, s.nul = false, 0
	default:
		s.nul = 0
	}
	return nil
}

// clip shortens what a device sent before it is quoted in a message.
func clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
