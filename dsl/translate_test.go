package dsl

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// compileTranslation compiles a profile that has rules.
func compileTranslation(t testing.TB, source string) deviceops.Translation {
	t.Helper()
	p, found := CompileProfile(source)
	require.NoError(t, found.Err())
	require.NotNil(t, p.Translation)
	return p.Translation
}

// sensor is the profile of the example.
func sensor(t testing.TB) deviceops.Translation {
	t.Helper()
	text, err := os.ReadFile("../examples/translated-sensor.yaml")
	require.NoError(t, err)
	docs, found := CheckFile("translated-sensor.yaml", string(text), Options{})
	require.Empty(t, found)
	return docs[0].Profile.Translation
}

// heard gives what was heard as JSON, or the error.
func heard(tr deviceops.Translation, topic, payload string) string {
	h, err := tr.Up(deviceops.Message{Topic: topic, Payload: []byte(payload)}, nil)
	if err != nil {
		return deviceops.ErrorCode(err) + ": " + deviceops.ErrorMessage(err)
	}
	data, _ := json.Marshal(h)
	return string(data)
}

func TestSensorIsUnderstood(t *testing.T) {
	t.Parallel()
	tr := sensor(t)
	require.Equal(t, []string{
		"acme/+/ack", "acme/+/compact", "acme/+/debug/#", "acme/+/door", "acme/+/info", "acme/+/interval", "acme/+/state", "acme/+/telemetry",
	}, tr.Filters())
	binary, _ := hex.DecodeString("00d75781")
	for _, c := range []struct{ name, topic, payload, want string }{
		{"the last will", "acme/s1/state", "down", `{"said":[{"leaf":"status","body":{"status":"offline"}}]}`},
		{"what it is", "acme/s1/info", `{"sn":4711,"boot":"b7","fw":"1.9"}`,
			`{"said":[{"leaf":"hello","body":{"boot":"b7","serial":"4711","software":{"os":"1.9"}}}]}`},
		{"units", "acme/s1/telemetry", `{"ts":1767225600,"n":7,"temp_f":70.7,"bat":0.873}`,
			`{"said":[{"leaf":"telemetry","body":{"metrics":{"battery_pct":87,"temp_c":21.5},"time":1767225600000}}],"dedupe":"7"}`},
		{"another firmware, a list", "acme/s1/telemetry", `{"v":2,"bat":0.5,"readings":[{"ts":1767225600,"t":215,"h":40},{"ts":1767225660,"t":216}]}`,
			`{"said":[{"leaf":"telemetry","body":{"metrics":{"battery_pct":50,"humidity_pct":40,"temp_c":21.5},"time":1767225600000}},` +
				`{"leaf":"telemetry","body":{"metrics":{"battery_pct":50,"temp_c":21.6},"time":1767225660000}}],"missing":["metrics.humidity_pct"]}`},
		{"bytes and bits", "acme/s1/compact", string(binary),
			`{"said":[{"leaf":"telemetry","body":{"metrics":{"battery_pct":87,"temp_c":21.5}}},{"leaf":"event","body":{"data":{"open":true},"severity":"warning","type":"device.door"}}]}`},
		{"an event", "acme/s1/door", `{"open":false}`,
			`{"said":[{"leaf":"event","body":{"data":{"door":1,"open":false},"severity":"info","type":"device.door"}}]}`},
		{"noise", "acme/s1/debug/wifi", "rssi -70", `{"ignored":true}`},
		{"a reply", "acme/s1/ack", `{"ref":"c1","rc":0}`, `{"replies":[{"command":"reboot","id":"c1","body":{"status":"succeeded"}}]}`},
		{"a failure", "acme/s1/ack", `{"ref":"c1","rc":7}`,
			`{"replies":[{"command":"reboot","id":"c1","body":{"error":{"code":"rc_7","message":"7","retryable":true},"status":"failed"}}]}`},
		{"a reply without id", "acme/s1/interval", "60", `{"replies":[{"command":"set_interval","body":{"output":{"seconds":60},"status":"succeeded"}}]}`},

		{"no JSON", "acme/s1/telemetry", `{"ts":`, "invalid: malformed JSON: unexpected EOF"},
		{"too short", "acme/s1/compact", "\x00", "invalid: the payload has 1 bytes, and its field temp ends at byte 2"},
		{"nothing in it", "acme/s1/telemetry", `{"n":1}`, "invalid: it says nothing: time, metrics.temp_c, metrics.battery_pct is missing"},
		{"a wrong type", "acme/s1/telemetry", `{"n":1,"temp_f":"warm"}`, "invalid: metrics.temp_c: `(payload.temp_f - 32) / 1.8`: invalid operation: string - int"},
		{"a wrong unit", "acme/s1/telemetry", `{"n":1,"ts":1e15,"temp_f":1}`, "invalid: time: the number is no time between 1970 and 9999: is it another unit?"},
		{"nobody's topic", "acme/s1/other", `{}`, "not_found: no rule of the profile takes it: for each on its topic, when does not hold"},
	} {
		require.Equal(t, c.want, heard(tr, c.topic, c.payload), c.name)
	}
}

func TestSensorIsTold(t *testing.T) {
	t.Parallel()
	tr := sensor(t)
	c := deviceops.Command{ID: "r1.steps.0", Name: "reboot", Device: "s1", Attempt: 1}
	out, err := tr.Down(c, time.Time{})
	require.NoError(t, err)
	require.Equal(t, deviceops.Outgoing{Topic: "acme/s1/cmd", Payload: []byte(`{"op":"reboot","ref":"r1.steps.0"}`)}, out)
	c.Name, c.Args = "set_interval", map[string]any{"seconds": int64(60)}
	out, err = tr.Down(c, time.Time{})
	require.NoError(t, err)
	require.Equal(t, deviceops.Outgoing{Topic: "acme/s1/set/interval", Payload: []byte("60"), Again: true}, out)
	c.Name = deviceops.CommandInstall
	_, err = tr.Down(c, time.Time{})
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
}

func TestDeviceOfAMessage(t *testing.T) {
	t.Parallel()
	tr := compileTranslation(t, `profile: p
translate:
  - on: acme/{device}/data
    heartbeat: true
  - on: lora/+/up
    device: '"eui-" + lower(payload.eui)'
    heartbeat: true
`)
	for _, c := range []struct{ topic, payload, id, err string }{
		{"acme/s1/data", "", "s1", ""},
		{"lora/7/up", `{"eui":"A1B2"}`, "eui-a1b2", ""},
		{"lora/7/up", `{}`, "", "lower"},
		{"acme/a b/data", "", "", `"a b" is no id of a device`},
		{"elsewhere", "", "", "no rule of the profile tells whose topic elsewhere is"},
	} {
		id, err := tr.Device(deviceops.Message{Topic: c.topic, Payload: []byte(c.payload)})
		require.Equal(t, c.id, id)
		if c.err != "" {
			require.ErrorContains(t, err, c.err)
		}
	}
	require.True(t, tr.Hears("lora/7/up"))
	require.False(t, tr.Hears("lora/7/down"))
}

func TestRetainedMessagesAreNoNews(t *testing.T) {
	t.Parallel()
	tr := compileTranslation(t, `profile: p
translate:
  - { on: "a/{device}/x", metrics: { v: payload } }
  - { on: "a/{device}/kept", retained: true, metrics: { v: payload } }
`)
	h, err := tr.Up(deviceops.Message{Topic: "a/s1/x", Payload: []byte("1"), Retained: true}, nil)
	require.NoError(t, err)
	require.True(t, h.Ignored)
	h, err = tr.Up(deviceops.Message{Topic: "a/s1/kept", Payload: []byte("1"), Retained: true}, nil)
	require.NoError(t, err)
	require.Len(t, h.Said, 1)
}

func TestRulesSeeWhatIsKnownOfTheDevice(t *testing.T) {
	t.Parallel()
	tr := compileTranslation(t, `profile: p
translate:
  - { on: "a/{device}/x", when: device.reported.software.os startsWith "2.", metrics: { v: payload.new } }
  - { on: "a/{device}/x", metrics: { v: payload.old } }
`)
	d := &deviceops.Device{ID: "s1"}
	m := deviceops.Message{Topic: "a/s1/x", Payload: []byte(`{"new":2,"old":1}`)}
	for version, want := range map[string]any{"": int64(1), "1.9": int64(1), "2.0": int64(2)} {
		d.Twin.Reported.Software = map[string]string{"os": version}
		if version == "" {
			d.Twin.Reported.Software = nil
		}
		h, err := tr.Up(m, d)
		require.NoError(t, err)
		require.Equal(t, map[string]any{"v": want}, h.Said[0].Body["metrics"], version)
	}
}

// What a payload lacks says nothing: no comparison with it gives a value, and what
// it belongs to is told without it.
func TestWhatIsMissingIsLeftOut(t *testing.T) {
	t.Parallel()
	tr := compileTranslation(t, `profile: p
translate:
  - on: a/{device}/up
    metrics: { open: payload.door == "open", cold: payload.t < 5, low: '(payload.bat ?? 100) < 20' }
    event:
      - { if: payload.alarm != nil, type: "alarm.${{ payload.alarm }}", severity: '${{ payload.level > 3 ? "error" : "warning" }}',
          data: { t: "${{ payload.t * 2 }}", at: { row: "${{ payload.row }}", fixed: 1 }, text: "t is ${{ payload.t }}" } }
      - { type: "${{ payload.kind }}", data: "${{ payload.all }}" }
  - on: a/{device}/status
    status: 'payload.s == "up" ? "online" : "offline"'
commands:
  c:
    exclusive: true
    send: { topic: "a/{device}/cmd" }
    reply: { on: "a/{device}/r", status: 'payload.rc == 0 ? "succeeded" : "failed"', output: { full: payload.level == 10 }, error: { code: "rc_${{ payload.rc + 1 }}", message: "${{ payload.a + payload.b }}" } }
`)
	for _, c := range []struct{ topic, payload, want string }{
		{"a/d/up", `{"door":"shut","t":3,"bat":90}`, `{"said":[{"leaf":"telemetry","body":{"metrics":{"cold":true,"low":false,"open":false}}}],"missing":["event.type"]}`},
		{"a/d/up", `{}`, `{"said":[{"leaf":"telemetry","body":{"metrics":{"low":false}}}],"missing":["metrics.open","metrics.cold","event.type"]}`},
		{"a/d/up", `{"alarm":"door","kind":"x","all":{"n":null,"m":[1]}}`, `{"said":[{"leaf":"telemetry","body":{"metrics":{"low":false}}},` +
			`{"leaf":"event","body":{"data":{"at":{"fixed":1},"text":"t is "},"type":"alarm.door"}},{"leaf":"event","body":{"data":{"m":[1],"n":null},"type":"x"}}],` +
			`"missing":["metrics.open","metrics.cold","event.severity","event.data.t","event.data.at.row"]}`},
		{"a/d/up", `{"kind":"x","all":7}`, "invalid: event.data: ${{ payload.all }} gives the number 7, where a map is needed"},
		{"a/d/status", `{"s":"down"}`, `{"said":[{"leaf":"status","body":{"status":"offline"}}]}`},
		{"a/d/status", `{"rssi":-70}`, "invalid: it says nothing: status is missing"},
		{"a/d/r", `{"rc":1,"a":"b"}`, `{"replies":[{"command":"c","body":{"error":{"code":"rc_2","message":""},"status":"failed"}}],"missing":["output.full","error.message"]}`},
		{"a/d/r", `{"a":"b"}`, "invalid: as a reply to c: `payload.rc == 0 ? \"succeeded\" : \"failed\"`: a value that is needed is missing"},
	} {
		require.Equal(t, c.want, heard(tr, c.topic, c.payload), c.payload)
	}
}

func TestTopicsOnWhichDevicesAreTold(t *testing.T) {
	t.Parallel()
	for topic, told := range map[string][2]string{
		"a/{device}/cmd":                 {"a/k1/cmd", "a/k1/other"},
		"a/x.${{ device.serial }}/cmd/1": {"a/x.k1/cmd/1", "a/x-k1/cmd/1"},
		"{device}/cmd":                   {"", "k1/cmd"}, // or it would be the topic of everybody
	} {
		tr := compileTranslation(t, `profile: p
translate: [ { on: "a/{device}/up", heartbeat: true } ]
commands:
  c:
    exclusive: true
    send: { topic: "`+topic+`" }
    reply: { on: "a/{device}/r", ok: payload.ok }
`)
		require.Equal(t, told[0] != "", tr.Tells(told[0]), topic)
		require.False(t, tr.Tells(told[1]), topic)
	}
}

func TestDecoders(t *testing.T) {
	t.Parallel()
	packed, err := cbor.Marshal(map[any]any{
		"t": 21.5, 1: []any{uint64(1), -2, true, nil}, "raw": []byte{0xca, 0xfe}, "at": cbor.Tag{Number: 1, Content: uint64(1767225600)},
	})
	require.NoError(t, err)
	for _, c := range []struct{ name, decode, payload, want string }{
		{"CBOR", "cbor", string(packed), `{"1":[1,-2,true,null],"at":"2026-01-01T00:00:00Z","raw":"cafe","t":21.5}`},
		{"text", "text", "on", `"on"`},
		{"parts", `{ text: { split: ";", names: [a, b] } }`, "1; x\r\n", `{"a":"1","b":"x"}`},
		{"groups", `{ text: { pattern: '^T=(?P<t>[\d.]+)( H=(?P<h>\d+))?$' } }`, "T=21.5", `{"t":"21.5"}`},
		{"integers", `{ bytes: [ { name: a, type: u8, at: 0 }, { name: b, type: i8, at: 1 }, { name: c, type: i24le, at: 2 }, { name: d, type: u32be, at: 5 } ] }`,
			"\xff\xff\xfe\xff\xff\x00\x00\x01\x00", `{"a":255,"b":-1,"c":-2,"d":256}`},
		{"large", `{ bytes: [ { name: a, type: u64be, at: 0 }, { name: b, type: i64le, at: 0 } ] }`, "\xff\xff\xff\xff\xff\xff\xff\xff", `{"a":18446744073709552000,"b":-1}`},
		{"floats", `{ bytes: [ { name: a, type: f32be, at: 0 }, { name: b, type: f64le, at: 4 } ] }`, "\x41\xac\x00\x00\x00\x00\x00\x00\x00\x80\x35\x40", `{"a":21.5,"b":21.5}`},
		{"no number", `{ bytes: [ { name: a, type: f32be, at: 0 } ] }`, "\x7f\xc0\x00\x00", `{"a":null}`},
		{"bits", `{ bytes: [ { name: a, type: u8, at: 0, bits: 4..6 }, { name: b, type: u16le, at: 0, bits: 15 } ] }`, "\x5a\x80", `{"a":5,"b":1}`},
		{"a small scale", `{ bytes: [ { name: a, type: i32le, at: 0, scale: 0.0000001 }, { name: b, type: i32le, at: 4, scale: 1e-7 } ] }`, "\x00\x65\xcd\x1d\x00\x65\xcd\x1d", `{"a":50,"b":50}`},
		{"scale", `{ bytes: [ { name: a, type: u8, at: 0, scale: 0.5, offset: -40 } ] }`, "\xff", `{"a":87.5}`},
		{"scale without noise", `{ bytes: [ { name: a, type: i32le, at: 0, scale: 0.0000001 }, { name: b, type: u16le, at: 4, scale: 0.1, offset: -100 }, { name: c, type: u8, at: 4, scale: 0.3333333333333333 } ] }`, "\x88\x7c\xea\x1f\xd2\x04", `{"a":53.5461,"b":23.4,"c":70}`},
		{"texts", `{ bytes: [ { name: a, type: text, at: 0, size: 4 }, { name: b, type: hex, at: 4, size: 2 } ] }`, "ab\x00\x00\xca\xfe", `{"a":"ab","b":"cafe"}`},
		{"optional", `{ bytes: [ { name: a, type: u8, at: 0 }, { name: b, type: u8, at: 9, optional: true } ] }`, "\x01", `{"a":1}`},

		{"not CBOR", "cbor", "\xff", "invalid: the payload is no CBOR: "},
		{"a CBOR map with maps as keys", "cbor", "\xa1\x81\x01\x01", "invalid: the payload "},
		{"not UTF-8", "text", "\xff", "invalid: the payload holds a text with a NUL or invalid UTF-8"},
		{"NUL", "json", `{"a":"\u0000"}`, "invalid: the payload holds a text with a NUL or invalid UTF-8"},
		{"deep", "json", "[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]", "invalid: the payload nests deeper than 16 levels"},
		{"a reference", "json", `{"x":{"$stored":"a","size":1,"type":"map"}}`, ""},
		{"wrong parts", `{ text: { split: ";", names: [a, b] } }`, "1", `invalid: the payload "1" has 1 parts, where 2 are expected`},
		{"no match", `{ text: { pattern: '^(?P<t>\d+)$' } }`, "x", `invalid: the payload "x" does not match the pattern`},
	} {
		tr := compileTranslation(t, "profile: p\ntranslate:\n  - on: a/{device}\n    decode: "+c.decode+"\n    event: { type: t, data: { p: '${{ payload }}' } }\n")
		h, err := tr.Up(deviceops.Message{Topic: "a/d", Payload: []byte(c.payload)}, nil)
		if err != nil {
			require.Contains(t, deviceops.ErrorCode(err)+": "+deviceops.ErrorMessage(err), c.want, c.name)
			continue
		}
		data, err := json.Marshal(h.Said[0].Body["data"].(map[string]any)["p"])
		require.NoError(t, err, c.name)
		if c.want != "" {
			require.Equal(t, c.want, string(data), c.name)
		}
	}
}

func TestCommandsAreWritten(t *testing.T) {
	t.Parallel()
	for encode, c := range map[string]struct{ payload, want string }{
		"json": {"{ a: '${{ args.n }}', b: [x] }", `{"a":5,"b":["x"]}`}, "text": {"'n=${{ args.n }}'", "n=5"},
		"hex": {"'0a ${{ args.raw }}'", "\x0a\xff"}, "base64": {"aGk=", "hi"}, "cbor": {"{ a: '${{ args.n }}' }", "\xa1aa\x05"},
	} {
		tr := compileTranslation(t, sprintf(`profile: p
translate: [ { on: "a/{device}", heartbeat: true } ]
commands:
  c:
    args: { n: integer, raw: string }
    exclusive: true
    send: { topic: "a/${{ device.serial }}/cmd", payload: %s, encode: %s }
    reply: { on: "a/{device}/r", ok: payload.ok }
`, c.payload, encode))
		command := deviceops.Command{Name: "c", Device: "d", Args: map[string]any{"n": 5, "raw": "ff"}, Route: deviceops.Route{Serial: "0815"}}
		out, err := tr.Down(command, time.Time{})
		require.NoError(t, err)
		require.Equal(t, c.want, string(out.Payload), encode)
		require.Equal(t, "a/0815/cmd", out.Topic)
	}
}

func TestAnswersTellMoreThanSuccess(t *testing.T) {
	t.Parallel()
	tr := compileTranslation(t, `profile: p
translate: [ { on: "a/{device}", heartbeat: true } ]
commands:
  c:
    send: { topic: "a/{device}/cmd" }
    reply:
      - { on: "a/{device}/r", when: payload.kind == "step", id: payload.id, attempt: payload.try, status: '"progress"', percent: payload.pct, phase: payload.step }
      - { on: "a/{device}/r", when: payload.kind == "end", id: payload.id, status: payload.state, retry_in: payload.wait, error: { code: "no way!", message: "${{ payload.why }}" } }
`)
	for payload, want := range map[string]string{
		`{"kind":"step","id":"c1","try":2,"pct":50,"step":"erase"}`:   `{"replies":[{"command":"c","id":"c1","attempt":2,"body":{"percent":50,"phase":"erase","status":"progress"}}]}`,
		`{"kind":"end","id":"c1","state":"deferred","wait":60}`:       `{"replies":[{"command":"c","id":"c1","body":{"retry_in":60,"status":"deferred"}}]}`,
		`{"kind":"end","id":"c1","state":"rejected","why":"too old"}`: `{"replies":[{"command":"c","id":"c1","body":{"error":{"code":"no_way","message":"too old"},"status":"rejected"}}],"missing":["retry_in"]}`,
		`{"kind":"end","state":"succeeded"}`:                          "invalid: as a reply to c: id: `payload.id` has no value",
		`{"kind":"else"}`:                                             "not_found: no rule of the profile takes it: for each on its topic, when does not hold",
	} {
		require.Equal(t, want, heard(tr, "a/d/r", payload), payload)
	}
}
