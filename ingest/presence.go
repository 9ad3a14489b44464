package ingest

import (
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// settle is by how much messages of one device may overtake one another on
// their way over the lanes.
const settle = 5 * time.Second

// greet gives the session after a hello that came in at at. A hello that came
// in before the one that made the session changes nothing; ok is then false.
func greet(s deviceops.Session, device string, h *protocol.Hello, at time.Time) (next deviceops.Session, ok bool) {
	if at.Before(s.HelloAt) {
		return s, false
	}
	if h.Boot != s.Boot {
		s.Boot, s.Seq, s.UptimeS = h.Boot, 0, 0
	}
	if h.Child == "" { // the journal of a child is its gateway's
		s.Seq = max(s.Seq, h.Oldest-1)
	}
	s.Connection, s.HelloAt = h.Connection, at
	s.LastSeen = later(s.LastSeen, at)
	if !h.Short() {
		s.Presented = deviceops.Presented{Profile: h.Profile, Serial: h.Serial}
		s.ClaimHash = deviceops.HashClaim(device, h.Claim)
		s.MaxPayload = h.MaxPayload
		s.Digest = h.DescriptionDigest()
	}
	return become(s, deviceops.Online, at), true
}

// depart gives the session after a status.
func depart(s deviceops.Session, m *protocol.Status, at time.Time) deviceops.Session {
	if at.Before(s.Since) || at.Before(s.HelloAt) {
		return s
	}
	switch m.Status {
	case protocol.StatusOnline:
		s.LastSeen = later(s.LastSeen, at)
		return become(s, deviceops.Online, at)
	case protocol.StatusSleeping:
		if m.Connection != "" && m.Connection != s.Connection {
			return s
		}
		s.LastSeen = later(s.LastSeen, at)
		s = become(s, deviceops.Sleeping, at)
		s.WakeAt = at.Add(m.WakeIn.Duration())
		return s
	default:
		return lose(s, m.Connection, at)
	}
}

// lose applies a last will. It counts only for the connection that said hello,
// and not for a device that sleeps: its promise to be back stands.
func lose(s deviceops.Session, connection string, at time.Time) deviceops.Session {
	if connection != s.Connection || s.Connectivity == deviceops.Sleeping {
		return s
	}
	return become(s, deviceops.Offline, at)
}

// alive gives the session of d after a sign of life that came by via, which is the
// device itself or its gateway. One that comes in right after the device said that
// it leaves may have been sent before.
func alive(d, via *deviceops.Device, at time.Time) deviceops.Session {
	s := d.Session
	overtaken := at.Before(s.Since.Add(settle)) && !refuted(d, via, at)
	s.LastSeen = later(s.LastSeen, at)
	if s.Connectivity == deviceops.Online || overtaken {
		return s
	}
	return become(s, deviceops.Online, at)
}

// refuted reports whether a sign of life tells that d was lost in error: for
// nothing but its silence, which this breaks, or with a gateway that is back.
func refuted(d, via *deviceops.Device, at time.Time) bool {
	s, silence := d.Session, silenceOf(d)
	switch s.Connectivity {
	case deviceops.Offline:
		missed := !s.LastSeen.Add(silence).After(s.Since)
		return missed && at.Add(silence).After(s.Since)
	case deviceops.Unreachable:
		return via.Session.Connectivity == deviceops.Online
	}
	return false
}

// strand gives the session of a device whose gateway is lost.
func strand(s deviceops.Session, at time.Time) deviceops.Session {
	if s.Connectivity != deviceops.Online {
		return s
	}
	return become(s, deviceops.Unreachable, at)
}

// silent reports whether a device has been quiet for longer than its heartbeat
// policy allows, counted from its promised wake if it sleeps.
func silent(d *deviceops.Device, outage deviceops.Outage, now time.Time) bool {
	silence := silenceOf(d)
	switch d.Session.Connectivity {
	case deviceops.Online:
		return outage.Heard(d.Session.LastSeen).Add(silence).Before(now)
	case deviceops.Sleeping:
		return outage.Heard(d.Session.WakeAt).Add(silence).Before(now)
	default:
		return false
	}
}

func silenceOf(d *deviceops.Device) time.Duration {
	if silence := d.Twin.Desired.Heartbeat.Silence(); silence > 0 {
		return silence
	}
	return deviceops.DefaultHeartbeat.Silence()
}

func become(s deviceops.Session, c deviceops.Connectivity, at time.Time) deviceops.Session {
	if s.Connectivity != c {
		s.Connectivity, s.Since = c, at
	}
	s.WakeAt = time.Time{}
	return s
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
