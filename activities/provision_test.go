package activities_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/activities"
)

func (w *world) begin(t *testing.T, by string) activities.BeginOutput {
	t.Helper()
	out, err := do[activities.BeginOutput](w, activities.NameBeginProvision, activities.BeginInput{Device: "k1", AdmittedBy: by})
	require.NoError(t, err)
	return out
}

func TestBeginAdmitsAnHonestDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Escrow)
	out := w.begin(t, "")
	require.Equal(t, activities.OutcomeProvision, out.Outcome)
	require.Equal(t, "acme", out.Account)
	require.Equal(t, noon, out.Since.UTC())
	require.Equal(t, deviceops.DefaultProvisionTimeout, out.Timeout)
	require.Equal(t, map[string]any{
		"version": 1.0, "configuration": map[string]any{"brightness": 80.0},
		"heartbeat": map[string]any{"every": 30.0, "offline_after": 3.0},
	}, out.Configure)

	d := w.find(t, "k1")
	require.Equal(t, deviceops.Provisioning, d.State)
	require.EqualValues(t, 1, d.Twin.Desired.Version)
	require.Equal(t, 30*time.Second, d.Twin.Desired.Heartbeat.Every)

	w.now = noon.Add(time.Minute)
	require.Equal(t, out, w.begin(t, ""), "repeated, it says the same")
	require.EqualValues(t, 1, w.find(t, "k1").Twin.Desired.Version)
	require.Len(t, w.events(t, "k1", deviceops.EventDeviceState), 1)
}

func TestBeginTurnsAway(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state   deviceops.State
		lie     func(*deviceops.Session)
		outcome activities.Outcome
		left    deviceops.State
		reason  string
	}{
		"a wrong claim": {
			deviceops.Escrow, func(s *deviceops.Session) { s.ClaimHash = deviceops.HashClaim("k1", "guess") },
			activities.OutcomeRefused, deviceops.Quarantined, "the claim that it presented is not the one that was registered",
		},
		"no claim": {
			deviceops.Escrow, func(s *deviceops.Session) { s.ClaimHash = "" },
			activities.OutcomeRefused, deviceops.Quarantined, "it presented no claim, and one is registered",
		},
		"another profile": {
			deviceops.Escrow, func(s *deviceops.Session) { s.Presented.Profile = "drone" },
			activities.OutcomeRefused, deviceops.Quarantined, "it says that it is a drone, and it is registered as a kiosk",
		},
		"another serial": {
			deviceops.Escrow, func(s *deviceops.Session) { s.Presented.Serial = "sn-9" },
			activities.OutcomeRefused, deviceops.Quarantined, "it says that its serial is sn-9, and sn-k1 is registered",
		},
		"a device that is silent so far": {
			deviceops.Escrow, func(s *deviceops.Session) { s.HelloAt = time.Time{} },
			activities.OutcomeHeld, deviceops.Escrow, "it has not said hello yet",
		},
		"a quarantined device": {
			deviceops.Quarantined, func(*deviceops.Session) {},
			activities.OutcomeIgnored, deviceops.Quarantined, "it is quarantined, and only a person can admit it",
		},
		"an active device": {
			deviceops.Active, func(*deviceops.Session) {}, activities.OutcomeIgnored, deviceops.Active, "it is active",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.device(t, "k1", c.state)
			w.session(t, "k1", c.lie)
			out := w.begin(t, "")
			require.Equal(t, c.outcome, out.Outcome)
			require.Equal(t, c.reason, out.Reason)
			d := w.find(t, "k1")
			require.Equal(t, c.left, d.State)
			if c.outcome == activities.OutcomeIgnored {
				return
			}
			require.Equal(t, c.reason, d.StateReason)
			notes := w.events(t, "k1", deviceops.EventProvision)
			require.Len(t, notes, 1, "the reason is on the timeline")
			require.Equal(t, c.reason, notes[0].Data["text"])
		})
	}
}

func TestBeginHoldsWithoutARegisteredClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.device(t, "k1", deviceops.Escrow)
	d.ClaimHash = ""
	require.NoError(t, w.store.SaveDevice(t.Context(), &d))
	require.Equal(t, activities.OutcomeHeld, w.begin(t, "").Outcome)
	require.Equal(t, activities.OutcomeProvision, w.begin(t, "user:maria").Outcome, "a person's word replaces the claim")
}

func TestBeginReadmitsForAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.catalog.profile.Provision.Approve = true
	w.device(t, "k1", deviceops.Quarantined)
	out := w.begin(t, "user:maria")
	require.Equal(t, activities.OutcomeProvision, out.Outcome)
	require.Nil(t, out.ApproveBy, "a person has said yes already")
	require.Equal(t, "admitted by user:maria", w.find(t, "k1").StateReason)
}

func TestBeginAsksWhomTheProfileNames(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ by, want []string }{
		"nobody in particular": {nil, []string{"role:operator"}},
		"somebody":             {[]string{"user:maria"}, []string{"user:maria"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.catalog.profile.Provision.Approve, w.catalog.profile.Provision.ApproveBy = true, c.by
			w.device(t, "k1", deviceops.Escrow)
			require.Equal(t, c.want, w.begin(t, "").ApproveBy)
		})
	}
}

func TestBeginNeedsAProfileItCanUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Escrow)
	w.catalog.err = deviceops.Errorf(deviceops.ENOTFOUND, "there is no profile kiosk")
	out := w.begin(t, "")
	require.Equal(t, activities.OutcomeHeld, out.Outcome)
	require.Equal(t, "its profile cannot be used: there is no profile kiosk", w.find(t, "k1").StateReason)

	w.catalog.err = deviceops.Errorf(deviceops.EUNAVAILABLE, "the store is out of reach")
	_, err := do[activities.BeginOutput](w, activities.NameBeginProvision, activities.BeginInput{Device: "k1"})
	requireCode(t, deviceops.EUNAVAILABLE, err)
}

func TestBeginHoldsWhatItCannotInstall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.catalog.profile.Provision.Software = map[string]deviceops.SoftwareSpec{"os": {Want: ">=2"}}
	w.device(t, "k1", deviceops.Escrow)
	out := w.begin(t, "")
	require.Equal(t, activities.OutcomeHeld, out.Outcome)
	require.Equal(t, "its os is at no version, the profile wants >=2 and names nothing to install", out.Reason)
}

// provisioned brings k1 to where only its own word is missing.
func (w *world) provisioned(t *testing.T) activities.VerifyInput {
	t.Helper()
	w.device(t, "k1", deviceops.Escrow)
	out := w.begin(t, "")
	return activities.VerifyInput{Device: "k1", Since: out.Since, Want: out.Want, Activate: true}
}

func (w *world) reported(t *testing.T, version int64, os string) {
	t.Helper()
	require.NoError(t, w.store.SaveReported(t.Context(), map[string]deviceops.Reported{"k1": {
		ConfigVersion: version, Software: map[string]string{"os": os}, At: w.now,
	}}))
}

func (w *world) heartbeat(t *testing.T) {
	t.Helper()
	w.session(t, "k1", func(s *deviceops.Session) { s.LastHeartbeat = w.now })
}

func TestVerifyActivatesWhenAllIsShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := w.provisioned(t)
	in.Want = map[string]deviceops.Constraint{"os": ">=2.3"}
	verify := func() activities.VerifyOutput {
		out, err := do[activities.VerifyOutput](w, activities.NameVerifyProvision, in)
		require.NoError(t, err)
		return out
	}
	require.Equal(t, "a report of configuration version 1 (it reported 0), a report of os >=2.3 (it reported no version), a heartbeat", verify().WaitsFor)
	w.reported(t, 1, "2.2")
	w.heartbeat(t)
	require.Equal(t, "a report of os >=2.3 (it reported 2.2)", verify().WaitsFor)
	w.reported(t, 1, "2.3")
	require.True(t, verify().Done)
	d := w.find(t, "k1")
	require.Equal(t, deviceops.Active, d.State)
	require.Empty(t, d.ClaimHash, "the claim has served")
	require.True(t, verify().Done, "repeated, it says the same")
}

func TestVerifyBelievesAHeartbeatThatCameWithTheHello(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		connectivity deviceops.Connectivity
		beat         time.Duration // after the hello
		done         bool
	}{
		"sent after the hello":      {deviceops.Online, time.Millisecond, true},
		"sent before it":            {deviceops.Online, -time.Millisecond, false},
		"of a device that has gone": {deviceops.Offline, time.Millisecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			in := w.provisioned(t)
			w.reported(t, 1, "2.3")
			w.session(t, "k1", func(s *deviceops.Session) {
				s.Connectivity, s.HelloAt = c.connectivity, noon.Add(-time.Second)
				s.LastHeartbeat = s.HelloAt.Add(c.beat)
			})
			out, err := do[activities.VerifyOutput](w, activities.NameVerifyProvision, in)
			require.NoError(t, err)
			require.Equal(t, c.done, out.Done, out.WaitsFor)
		})
	}
}

func TestVerifyInsists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := w.provisioned(t)
	in.Insist = true
	_, err := do[activities.VerifyOutput](w, activities.NameVerifyProvision, in)
	cause := requireCode(t, deviceops.EUNAVAILABLE, err)
	require.True(t, cause.Retryable, "Temporal tries it again")
}

func TestVerifyWaitsForTheProfilesGuard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.catalog.profile.Guards = map[deviceops.State]deviceops.DevicePredicate{
		deviceops.Active: func(d *deviceops.Device) (deviceops.Verdict, error) {
			if len(d.Tags) > 0 {
				return deviceops.Yes, nil
			}
			return deviceops.No, nil
		},
	}
	w.catalog.profile.GuardSources = map[deviceops.State]string{deviceops.Active: "device.tags != []"}
	in := w.provisioned(t)
	w.reported(t, 1, "2.3")
	w.heartbeat(t)
	out, err := do[activities.VerifyOutput](w, activities.NameVerifyProvision, in)
	require.NoError(t, err)
	require.False(t, out.Done)
	require.Contains(t, out.WaitsFor, "unless device.tags != []")
}

func TestVerifyStopsWhenSomebodyMovedTheDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Retired)
	_, err := do[activities.VerifyOutput](w, activities.NameVerifyProvision, activities.VerifyInput{Device: "k1"})
	requireCode(t, deviceops.ECONFLICT, err)
}

func TestEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ is, to, left deviceops.State }{
		"a technical failure":     {deviceops.Provisioning, deviceops.Escrow, deviceops.Escrow},
		"a refusal":               {deviceops.Provisioning, deviceops.Quarantined, deviceops.Quarantined},
		"it is back already":      {deviceops.Escrow, deviceops.Escrow, deviceops.Escrow},
		"somebody retired it":     {deviceops.Retired, deviceops.Escrow, deviceops.Retired},
		"somebody quarantined it": {deviceops.Quarantined, deviceops.Escrow, deviceops.Quarantined},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.device(t, "k1", c.is)
			out, err := do[activities.EndOutput](w, activities.NameEndProvision, activities.EndInput{Device: "k1", To: c.to, Phase: "verify", Reason: "too slow"})
			require.NoError(t, err)
			require.Equal(t, c.left, out.State)
			require.Equal(t, c.left, w.find(t, "k1").State)
			notes := w.events(t, "k1", deviceops.EventProvision)
			require.Len(t, notes, 1)
			require.Equal(t, map[string]any{"phase": "verify", "text": "too slow", "state": string(c.left)}, notes[0].Data)
		})
	}
}

func TestOneConnectionIsEnough(t *testing.T) {
	t.Parallel()
	w := newNarrowWorld(t)
	in := w.provisioned(t)
	w.reported(t, 1, "2.3")
	w.heartbeat(t)
	out, err := do[activities.VerifyOutput](w, activities.NameVerifyProvision, in)
	require.NoError(t, err)
	require.True(t, out.Done)
	_, err = w.act("device.transition", map[string]any{"to": "maintenance"})
	require.NoError(t, err)
	_, err = w.act("device.configure", map[string]any{"configuration": map[string]any{"brightness": 1}})
	require.NoError(t, err)
	_, err = execute(w, ping("c1", 1))
	requirePending(t, err)
	_, err = do[activities.EndOutput](w, activities.NameEndProvision, activities.EndInput{Device: "k1", To: deviceops.Escrow})
	require.NoError(t, err)
}

func TestEndNeedsNoProfile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Provisioning)
	w.catalog.err = deviceops.Errorf(deviceops.EINVALID, "the profile no longer compiles")
	out, err := do[activities.EndOutput](w, activities.NameEndProvision, activities.EndInput{Device: "k1", To: deviceops.Escrow, Reason: "too slow"})
	require.NoError(t, err)
	require.Equal(t, deviceops.Escrow, out.State)
}

func TestNote(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.device(t, "k1", deviceops.Provisioning)
	_, err := do[any](w, activities.NameNoteProvision, activities.NoteInput{Device: "k1", Account: "acme", Phase: "install", Severity: "info", Text: "it installs os 2"})
	require.NoError(t, err)
	require.Equal(t, "it installs os 2", w.events(t, "k1", deviceops.EventProvision)[0].Data["text"])
}

// ownWords stands for a profile whose devices know only their own topics.
type ownWords struct{ deviceops.Translation }

func TestBeginTakesTheTopicsOfADeviceAsItsProof(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		proof, claim string
		outcome      activities.Outcome
	}{
		"its topics are proof":             {deviceops.ProofTopic, "", activities.OutcomeProvision},
		"a registered claim is asked for":  {deviceops.ProofTopic, "hash", activities.OutcomeRefused},
		"a claim is what profiles ask for": {"", "", activities.OutcomeHeld},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.catalog.profile.Provision = deviceops.ProvisionSpec{Proof: c.proof}
			w.catalog.profile.Translation = ownWords{}
			w.device(t, "k1", deviceops.Escrow)
			d := w.find(t, "k1")
			d.ClaimHash = c.claim
			require.NoError(t, w.store.SaveDevice(t.Context(), &d))
			out := w.begin(t, "")
			require.Equal(t, c.outcome, out.Outcome, out.Reason)
			require.Nil(t, out.Configure, "it cannot be told its configuration")
			if c.outcome == activities.OutcomeProvision {
				require.Equal(t, "its topics are its own, and its profile and serial are those that were registered", w.find(t, "k1").StateReason)
				require.Zero(t, w.find(t, "k1").Twin.Desired.Version)
				require.Equal(t, 30*time.Second, w.find(t, "k1").Twin.Desired.Heartbeat.Every)
			}
		})
	}
}
