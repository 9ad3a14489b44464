package protocol

import (
	"strings"

	"github.com/deviceops/deviceops"
)

// These rules hold for every message whatever its device or profile. What
// depends on those is for the engine to judge.

func invalid(format string, args ...any) error {
	return deviceops.Errorf(deviceops.EINVALID, format, args...)
}

// firstOf gives the first error, so that a check reads as a list.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func checkID(field, id string) error {
	if !deviceops.ValidID(id) {
		return invalid("%s %q is not an id: use A-Z a-z 0-9 . _ : - and 1 to %d characters", field, clip(id), deviceops.MaxIDLength)
	}
	return nil
}

func optionalID(field, id string) error {
	if id == "" {
		return nil
	}
	return checkID(field, id)
}

// checkText holds texts that go into the digest and onto people's screens to
// one line of bounded length.
func checkText(field, text string) error {
	if len(text) > MaxText {
		return invalid("%s has %d bytes, %d are allowed", field, len(text), MaxText)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return invalid("%s holds a control character: leave it out", field)
	}
	return nil
}

func checkOneOf(field, value string, allowed ...string) error {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return invalid("%s is %q: use one of %s", field, clip(value), strings.Join(allowed, ", "))
}

func checkSeconds(field string, s Seconds) error {
	if !finite(float64(s)) || s < 0 || s > MaxSeconds {
		return invalid("%s is %v: use seconds between 0 and %d", field, float64(s), int64(MaxSeconds))
	}
	return nil
}

func checkSoftware(software map[string]string) error {
	if len(software) > MaxComponents {
		return invalid("software has %d components, %d are allowed", len(software), MaxComponents)
	}
	for component, version := range software {
		if version == "" {
			return invalid("software.%s is empty: name its version or leave the component out", clip(component))
		}
		if err := firstOf(checkID("software component", component), checkText("software."+clip(component), version)); err != nil {
			return err
		}
	}
	return nil
}

func (h Header) check() error {
	if h.Seq < 0 {
		return invalid("seq is %d: count from 1 in each boot", h.Seq)
	}
	if h.AgeMS != nil && *h.AgeMS < 0 {
		return invalid("age_ms is %d: it is how long ago, so not below 0", *h.AgeMS)
	}
	return firstOf(optionalID("boot", h.Boot), optionalID("child", h.Child))
}

func (h *Hello) check() error {
	if err := firstOf(h.Header.check(), checkID("boot", h.Boot), optionalID("connection", h.Connection), h.checkRunning()); err != nil {
		return err
	}
	if h.Oldest < 0 {
		return invalid("oldest is %d: it is the lowest seq still held, so not below 1", h.Oldest)
	}
	if h.Short() {
		return h.checkShort()
	}
	return h.checkFull()
}

func (h *Hello) checkRunning() error {
	if len(h.Running) > MaxRunning {
		return invalid("running has %d ids, %d are allowed", len(h.Running), MaxRunning)
	}
	for _, id := range h.Running {
		if err := checkID("running", id); err != nil {
			return err
		}
	}
	return nil
}

func (h *Hello) checkShort() error {
	if h.Profile != "" || h.Serial != "" || h.Claim != "" || h.Software != nil || h.ConfigVersion != 0 || h.MaxPayload != 0 {
		return invalid("hello has digest and description: send either the short form or the full one")
	}
	if len(h.Digest) != 64 || strings.Trim(h.Digest, "0123456789abcdef") != "" {
		return invalid("digest %q is not a SHA-256 in lower-case hex", clip(h.Digest))
	}
	return nil
}

func (h *Hello) checkFull() error {
	if h.MaxPayload != 0 && h.MaxPayload < MinPayload {
		return invalid("max_payload is %d: at least %d are needed", h.MaxPayload, MinPayload)
	}
	if h.ConfigVersion < 0 {
		return invalid("config_version is %d: leave it out for none", h.ConfigVersion)
	}
	return firstOf(checkID("profile", h.Profile), checkText("serial", h.Serial),
		checkText("claim", h.Claim), checkSoftware(h.Software))
}

func (s *Status) check() error {
	return firstOf(s.Header.check(), optionalID("connection", s.Connection),
		checkOneOf("status", s.Status, StatusOnline, StatusOffline, StatusSleeping), checkSeconds("wake_in", s.WakeIn))
}

func (h *Heartbeat) check() error {
	if h.UptimeS < 0 {
		return invalid("uptime_s is %d: it is seconds since the boot", h.UptimeS)
	}
	return h.Header.check()
}

func (t *Telemetry) check() error {
	if len(t.Metrics) == 0 {
		return invalid(`metrics is missing or empty: send {"metrics": {"battery_pct": 80}}`)
	}
	return t.Header.check()
}

func (e *Event) check() error {
	if e.Severity != "" {
		if err := checkOneOf("severity", e.Severity, SeverityInfo, SeverityWarning, SeverityError, SeverityCritical); err != nil {
			return err
		}
	}
	return firstOf(e.Header.check(), checkID("type", e.Type))
}

func (r *Result) check() error {
	if r.Attempt < 1 {
		return invalid("attempt is %d: repeat the attempt of the command, which counts from 1", r.Attempt)
	}
	if r.Percent != nil && (*r.Percent < 0 || *r.Percent > 100) {
		return invalid("percent is %v: use 0 to 100", *r.Percent)
	}
	return firstOf(r.Header.check(), checkID("id", r.ID),
		checkOneOf("status", r.Status, ResultAccepted, ResultProgress, ResultSucceeded, ResultFailed,
			ResultRejected, ResultDeferred, ResultCanceled, ResultCancelRefused),
		optionalID("component", r.Component), optionalID("phase", r.Phase),
		checkSeconds("retry_in", r.RetryIn), checkText("reason", r.Reason), r.checkError())
}

func (r *Result) checkError() error {
	if r.Error == nil {
		if r.Status == ResultFailed || r.Status == ResultRejected {
			return invalid("error is missing: a command that %s says why, as {code, message, retryable}", r.Status)
		}
		return nil
	}
	return checkID("error.code", r.Error.Code)
}

func (r *Reported) check() error {
	if r.ConfigVersion != nil && *r.ConfigVersion < 0 {
		return invalid("config_version is %d: leave it out for none", *r.ConfigVersion)
	}
	return firstOf(r.Header.check(), checkSoftware(r.Software))
}

// check implements Message; an Invalid has been judged already.
func (m *Invalid) check() error { return m.Err }
