package ingest

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

func ptr[T any](v T) *T { return &v }

func TestDecodeRejects(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		topic, payload string
		code, device   string
	}{
		"another prefix":    {"other/k1/up/hello", "{}", codeTopic, ""},
		"too few levels":    {"deviceops/v1/k1", "{}", codeTopic, ""},
		"wildcard id":       {"deviceops/v1/+/up/hello", "{}", codeDeviceID, "+"},
		"empty id":          {"deviceops/v1//up/hello", "{}", codeTopic, ""},
		"NUL in id":         {"deviceops/v1/k\x00/up/hello", "{}", codeDeviceID, "k\uFFFD"},
		"unknown leaf":      {"deviceops/v1/k1/up/gossip", "{}", codeLeaf, "k1"},
		"speaks for engine": {"deviceops/v1/k1/down/command", "{}", codeLeaf, "k1"},
		"too large":         {"deviceops/v1/k1/up/event", strings.Repeat(" ", 1<<20), codeTooLarge, "k1"},
		"no JSON":           {"deviceops/v1/k1/up/event", "{", codeMalformed, "k1"},
		"no UTF-8":          {"deviceops/v1/k1/up/event", "\xff", codeMalformed, "k1"},
		"array of hellos":   {"deviceops/v1/k1/up/hello", "[]", codeMalformed, "k1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			items, rejected := decode(protocol.Topics{}, deviceops.Message{Topic: test.topic, Payload: []byte(test.payload), ReceivedAt: noon})
			require.Empty(t, items)
			require.Equal(t, test.code, rejected.Code)
			require.Equal(t, test.device, rejected.Device)
			require.Equal(t, len(test.payload), rejected.Size)
			require.LessOrEqual(t, len(rejected.Payload), deviceops.RejectedPayload)
			require.NotEmpty(t, rejected.Reason)
		})
	}
}

func TestDecodeKeepsNoClaim(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{`{"claim":"s3cret"`, `{"claim":5,"x":"s3cret"}`, `{"pad":"` + strings.Repeat("x", 2030) + `","claim":"s3cret"}`} {
		items, rejected := decode(protocol.Topics{}, deviceops.Message{Topic: "deviceops/v1/k1/up/hello", Payload: []byte(payload)})
		for _, i := range items {
			r := i.reject(codeMalformed, "")
			rejected = &r
		}
		require.NotContains(t, string(rejected.Payload), "s3cret")
		require.NotContains(t, string(rejected.Payload), "s3c")
	}
}

func FuzzDecode(f *testing.F) {
	for _, leaf := range protocol.UpLeaves() {
		f.Add(protocol.Topics{}.Up("k1", leaf), []byte(`{"seq":1,"boot":"b","child":"c"}`))
	}
	f.Add("deviceops/v1/+/up/#", []byte("[{}]"))
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		items, rejected := decode(protocol.Topics{}, deviceops.Message{Topic: topic, Payload: payload, ReceivedAt: noon})
		require.True(t, rejected == nil || len(items) == 0)
		l := ledgerOf(&deviceops.Device{ID: "k1", State: deviceops.Active}, &deviceops.Device{ID: "c", Parent: "k1", State: deviceops.Active})
		for _, i := range items {
			require.True(t, deviceops.ValidID(i.origin) && deviceops.ValidID(i.subject))
			if code, _ := l.admit(i); code == "" {
				l.apply(i)
			}
		}
	})
}

func ledgerOf(devices ...*deviceops.Device) *ledger {
	l := newLedger(noon, func(*deviceops.Device) *deviceops.Profile { return nil })
	for _, d := range devices {
		l.devices[d.ID] = d
	}
	return l
}

func TestMomentOf(t *testing.T) {
	t.Parallel()
	stamp := func(at time.Time) protocol.Timestamp { return protocol.Timestamp{Time: at} }
	y2099, y1970 := time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(0, 0).UTC()
	for name, test := range map[string]struct {
		head protocol.Header
		want moment
	}{
		"no time":   {protocol.Header{}, moment{at: noon}},
		"a minute":  {protocol.Header{Time: stamp(noon.Add(-time.Minute))}, moment{at: noon.Add(-time.Minute), told: true}},
		"2099":      {protocol.Header{Time: stamp(y2099)}, moment{at: noon, fixed: true, told: true, claimed: "2099-01-01T00:00:00Z"}},
		"1970":      {protocol.Header{Time: stamp(y1970)}, moment{at: noon, fixed: true, told: true, claimed: "1970-01-01T00:00:00Z"}},
		"an age":    {protocol.Header{AgeMS: ptr(int64(1500))}, moment{at: noon.Add(-1500 * time.Millisecond)}},
		"age wins":  {protocol.Header{AgeMS: ptr(int64(0)), Time: stamp(y2099)}, moment{at: noon}},
		"absurd":    {protocol.Header{AgeMS: ptr(int64(1) << 62)}, moment{at: noon, fixed: true, claimed: "age_ms=4611686018427387904"}},
		"too long":  {protocol.Header{AgeMS: ptr((31 * 24 * time.Hour).Milliseconds())}, moment{at: noon, fixed: true, claimed: "age_ms=2678400000"}},
		"yesterday": {protocol.Header{AgeMS: ptr((24 * time.Hour).Milliseconds())}, moment{at: noon.Add(-24 * time.Hour)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, momentOf(test.head, noon))
		})
	}
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	profile := &deviceops.Profile{Metrics: map[string]deviceops.MetricSpec{
		"battery_pct": {Type: "number", Min: ptr(0.0), Max: ptr(100.0)}, "crashes": {Type: "integer"}, "in_use": {Type: "boolean"},
	}}
	for name, test := range map[string]struct {
		profile *deviceops.Profile
		metrics protocol.Object
		kept    map[string]any
		latest  map[string]any
		wrong   []string
	}{
		"as declared": {profile, protocol.Object{"battery_pct": 80.5, "crashes": 3.0, "in_use": true},
			map[string]any{"battery_pct": 80.5, "crashes": int64(3), "in_use": true}, map[string]any{"battery_pct": 80.5, "crashes": int64(3), "in_use": true}, nil},
		"undeclared stays in the event": {profile, protocol.Object{"extra": int64(1)}, map[string]any{"extra": int64(1)}, map[string]any{}, nil},
		"wrong types": {profile, protocol.Object{"battery_pct": "full", "crashes": 1.5, "in_use": int64(1)}, map[string]any{}, map[string]any{}, []string{
			`metric battery_pct is "full": send a number`, `metric crashes is 1.5: send a whole number`, `metric in_use is 1: send true or false`}},
		"out of range": {profile, protocol.Object{"battery_pct": int64(101)}, map[string]any{}, map[string]any{}, []string{
			"metric battery_pct is 101, outside of 0..100, which its profile allows"}},
		"no profile": {nil, protocol.Object{"a": true, "b": nil, "c d": int64(1)}, map[string]any{"a": true}, map[string]any{"a": true}, []string{
			"metric b is null: send a number, true or false", `metric "c d": names use A-Z a-z 0-9 . _ : -`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kept, latest, wrong := measure(test.profile, test.metrics)
			require.Equal(t, test.kept, kept)
			require.Equal(t, test.latest, latest)
			require.Equal(t, test.wrong, wrong)
		})
	}
}

func TestMeasureBoundsWhatNobodyDeclared(t *testing.T) {
	t.Parallel()
	many := protocol.Object{}
	for n := range 500 {
		many["m"+strings.Repeat("x", n%100)+string(rune('a'+n%26))] = int64(n)
	}
	kept, latest, _ := measure(nil, many)
	require.Len(t, kept, len(many))
	require.Len(t, latest, maxMetrics)
}

func TestMerge(t *testing.T) {
	t.Parallel()
	before := deviceops.Reported{
		ConfigVersion: 3, Software: map[string]string{"os": "1", "app": "1"}, Attributes: map[string]any{"panel": "x", "ram": int64(1)}, At: noon,
	}
	at := noon.Add(time.Minute)
	for name, test := range map[string]struct {
		message protocol.Reported
		at      time.Time
		want    deviceops.Reported
	}{
		"config alone": {protocol.Reported{ConfigVersion: ptr(int64(4))}, at,
			deviceops.Reported{ConfigVersion: 4, Software: before.Software, Attributes: before.Attributes, At: at}},
		"one component": {protocol.Reported{Software: map[string]string{"os": "2"}}, at,
			deviceops.Reported{ConfigVersion: 3, Software: map[string]string{"os": "2", "app": "1"}, Attributes: before.Attributes, At: at}},
		"an attribute goes": {protocol.Reported{Attributes: protocol.Object{"panel": nil}}, at,
			deviceops.Reported{ConfigVersion: 3, Software: before.Software, Attributes: map[string]any{"ram": int64(1)}, At: at}},
		"overtaken a little": {protocol.Reported{ConfigVersion: ptr(int64(4))}, noon.Add(-time.Second),
			deviceops.Reported{ConfigVersion: 4, Software: before.Software, Attributes: before.Attributes, At: noon}},
		"old": {protocol.Reported{ConfigVersion: ptr(int64(4))}, noon.Add(-time.Minute), before},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, merge(before, &test.message, test.at))
		})
	}
}

func TestRecognized(t *testing.T) {
	t.Parallel()
	full := &protocol.Hello{Profile: "kiosk", Serial: "s", MaxPayload: 2048, ConfigVersion: 2, Software: map[string]string{"os": "1"}}
	d := &deviceops.Device{}
	d.Session, _ = greet(d.Session, "k1", full, noon)
	d.Twin.Reported = describe(deviceops.Reported{}, full, noon)
	require.True(t, recognized(d, full.DescriptionDigest()))

	d.Twin.Reported = merge(d.Twin.Reported, &protocol.Reported{ConfigVersion: ptr(int64(3))}, noon)
	require.False(t, recognized(d, full.DescriptionDigest()), "the device went back to what it said before")
	full.ConfigVersion = 3
	require.True(t, recognized(d, full.DescriptionDigest()), "what it reported since is known")
	require.False(t, recognized(&deviceops.Device{}, (&protocol.Hello{}).DescriptionDigest()))
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	before := deviceops.Reported{ConfigVersion: 3, Software: map[string]string{"os": "1", "app": "1"}, At: noon}
	hello := &protocol.Hello{ConfigVersion: 2, Software: map[string]string{"os": "2"}}
	for name, test := range map[string]struct {
		at   time.Time
		want deviceops.Reported
	}{
		"a hello says all there is": {noon.Add(1), deviceops.Reported{ConfigVersion: 2, Software: hello.Software, At: noon.Add(1)}},
		"of the same moment":        {noon, deviceops.Reported{ConfigVersion: 2, Software: hello.Software, At: noon}},
		"overtaken by a report":     {noon.Add(-1), deviceops.Reported{ConfigVersion: 3, Software: hello.Software, At: noon}},
	} {
		require.Equal(t, test.want, describe(before, hello, test.at), name)
	}
}

func installOf(status deviceops.CommandStatus) *deviceops.Command {
	return &deviceops.Command{
		ID: "i1", Device: "k1", Name: deviceops.CommandInstall, Attempt: 1, Status: status, Boot: "b1",
		Args: map[string]any{"components": []any{map[string]any{"name": "os", "to": "2"}}},
	}
}

func TestAnswerOfAnInstall(t *testing.T) {
	t.Parallel()
	done := &protocol.Result{ID: "i1", Attempt: 1, Status: "succeeded", Output: protocol.Object{"x": int64(1)}}
	for name, test := range map[string]struct {
		before   deviceops.CommandStatus
		software map[string]string
		want     deviceops.CommandStatus
	}{
		"reported":                        {deviceops.CommandAccepted, map[string]string{"os": "2"}, deviceops.CommandSucceeded},
		"reported, publication not noted": {deviceops.CommandPending, map[string]string{"os": "2"}, deviceops.CommandSucceeded},
		"not reported yet":                {deviceops.CommandAccepted, map[string]string{"os": "1"}, deviceops.CommandAccepted},
		"nothing reported":                {deviceops.CommandSent, nil, deviceops.CommandAccepted},
		"over already":                    {deviceops.CommandFailed, nil, deviceops.CommandFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := installOf(test.before)
			changed := answer(c, done, deviceops.Reported{Software: test.software}, noon)
			require.Equal(t, !test.before.Terminal(), changed)
			require.Equal(t, test.want, c.Status)
			if test.want == deviceops.CommandAccepted {
				require.Equal(t, protocol.PhaseConfirming, c.Phase)
			}
			if changed {
				require.Equal(t, map[string]any{"x": int64(1)}, c.Output)
			}
		})
	}
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	configure := func(s deviceops.CommandStatus) *deviceops.Command {
		return &deviceops.Command{Name: deviceops.CommandConfigure, Status: s, Boot: "b1", Args: map[string]any{"version": 4.0}}
	}
	confirming, confirmingOld := installOf(deviceops.CommandAccepted), installOf(deviceops.CommandAccepted)
	confirming.Phase, confirmingOld.Phase = deviceops.PhaseConfirming, deviceops.PhaseConfirming
	for name, test := range map[string]struct {
		command *deviceops.Command
		boot    string
		version int64
		os      string
		byHello bool
		want    bool
	}{
		"configure by report":              {configure(deviceops.CommandSent), "b1", 4, "", false, true},
		"configure by hello":               {configure(deviceops.CommandAccepted), "b1", 4, "", true, true},
		"configure, older version":         {configure(deviceops.CommandSent), "b1", 3, "", false, false},
		"configure that was not sent":      {configure(deviceops.CommandPending), "b1", 4, "", false, false},
		"install by hello in a new boot":   {installOf(deviceops.CommandAccepted), "b2", 0, "2", true, true},
		"install by hello in its boot":     {installOf(deviceops.CommandAccepted), "b1", 0, "2", true, false},
		"install that is said to be done":  {confirming, "b1", 0, "2", true, true},
		"install that is not what it says": {confirmingOld, "b1", 0, "1", true, false},
		"install by report in its boot":    {installOf(deviceops.CommandAccepted), "b1", 0, "2", false, true},
		"install that went back":           {installOf(deviceops.CommandAccepted), "b2", 0, "1", true, false},
		"another command":                  {&deviceops.Command{Name: "reboot", Status: deviceops.CommandSent}, "b2", 9, "2", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &deviceops.Device{Session: deviceops.Session{Boot: test.boot}}
			d.Twin.Reported = deviceops.Reported{ConfigVersion: test.version, Software: map[string]string{"os": test.os}}
			require.Equal(t, test.want, confirm(test.command, d, test.byHello, noon))
			require.Equal(t, test.want, test.command.Status == deviceops.CommandSucceeded)
		})
	}
}
