package ingest

import (
	"maps"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// describe gives what a device reports after a full hello, which says all there
// is to say of software and configuration. Attributes come by reported alone. When
// a reported message has overtaken the hello, a higher version of the
// configuration that it named stands.
func describe(r deviceops.Reported, h *protocol.Hello, at time.Time) deviceops.Reported {
	if h.Software != nil {
		r.Software = h.Software
	}
	if r.At.After(at) {
		r.ConfigVersion = max(r.ConfigVersion, h.ConfigVersion)
		return r
	}
	r.ConfigVersion, r.At = h.ConfigVersion, at
	return r
}

// merge gives what a device reports after a reported message: what that leaves
// out has not changed, a null attribute is gone. A message that is older than
// what is known by more than messages overtake one another changes nothing.
func merge(r deviceops.Reported, m *protocol.Reported, at time.Time) deviceops.Reported {
	if at.Before(r.At.Add(-settle)) {
		return r
	}
	if m.ConfigVersion != nil {
		r.ConfigVersion = *m.ConfigVersion
	}
	if len(m.Software) > 0 {
		r.Software = overlay(r.Software, m.Software)
	}
	if len(m.Attributes) > 0 {
		r.Attributes = overlay(r.Attributes, m.Attributes)
		maps.DeleteFunc(r.Attributes, func(_ string, v any) bool { return v == nil })
	}
	r.At = later(r.At, at)
	return r
}

func overlay[V any](under, over map[string]V) map[string]V {
	all := make(map[string]V, len(under)+len(over))
	maps.Copy(all, under)
	maps.Copy(all, over)
	return all
}

// recognized reports whether the digest of a short hello stands for what is
// known about the device now.
func recognized(d *deviceops.Device, digest string) bool {
	known := protocol.Hello{
		Profile: d.Session.Presented.Profile, Serial: d.Session.Presented.Serial, MaxPayload: d.Session.MaxPayload,
		Software: d.Twin.Reported.Software, ConfigVersion: d.Twin.Reported.ConfigVersion,
	}
	return known.Profile != "" && known.DescriptionDigest() == digest
}

// sameReport compares what devices report, apart from when.
func sameReport(a, b deviceops.Reported) bool {
	return a.ConfigVersion == b.ConfigVersion && maps.Equal(a.Software, b.Software) && sameJSON(a.Attributes, b.Attributes)
}
