package protocol

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

func ptr[T any](v T) *T { return &v }

func stamp(t *testing.T, text string) Timestamp {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	require.NoError(t, err)
	return Timestamp{at.UTC()}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	digest := strings.Repeat("0a", 32)
	cases := []struct {
		name    string
		leaf    Leaf
		payload string
		want    []Message
	}{
		{"full hello", LeafHello,
			`{"boot":"b1","connection":"c1","profile":"kiosk","serial":"SN 1","claim":"s3","software":{"os":"2.3.0"},"config_version":4,"max_payload":2048,"running":["x"],"oldest":7}`,
			[]Message{&Hello{Header: Header{Boot: "b1"}, Connection: "c1", Profile: "kiosk", Serial: "SN 1", Claim: "s3",
				Software: map[string]string{"os": "2.3.0"}, ConfigVersion: 4, MaxPayload: 2048, Running: []string{"x"}, Oldest: 7}}},
		{"short hello", LeafHello, `{"boot":"b1","digest":"` + digest + `"}`,
			[]Message{&Hello{Header: Header{Boot: "b1"}, Digest: digest}}},
		{"hello of a child", LeafHello, `{"boot":"b9","child":"m1","profile":"meter"}`,
			[]Message{&Hello{Header: Header{Boot: "b9", Child: "m1"}, Profile: "meter"}}},
		{"sleeping", LeafStatus, `{"status":"sleeping","connection":"c1","wake_in":0.5}`,
			[]Message{&Status{Status: StatusSleeping, Connection: "c1", WakeIn: 0.5}}},
		{"one heartbeat", LeafHeartbeat, `{"uptime_s":12}`, []Message{&Heartbeat{UptimeS: 12}}},
		{"empty heartbeat", LeafHeartbeat, ` {} `, []Message{&Heartbeat{}}},
		{"backlog", LeafHeartbeat, `[{"uptime_s":1,"age_ms":9000},{"uptime_s":2}]`,
			[]Message{&Heartbeat{Header: Header{AgeMS: ptr(int64(9000))}, UptimeS: 1}, &Heartbeat{UptimeS: 2}}},
		{"empty backlog", LeafHeartbeat, `[]`, []Message{}},
		{"telemetry keeps whole numbers", LeafTelemetry, `{"seq":1,"metrics":{"n":9007199254740993,"f":1.0,"big":1e30,"deep":{"a":[1,2.5]},"b":true,"s":"x","z":null}}`,
			[]Message{&Telemetry{Header: Header{Seq: 1}, Metrics: Object{"n": int64(9007199254740993), "f": 1.0, "big": 1e30,
				"deep": map[string]any{"a": []any{int64(1), 2.5}}, "b": true, "s": "x", "z": nil}}}},
		{"event", LeafEvent, `{"boot":"b1","seq":3,"type":"device.battery","severity":"warning","data":{"battery_pct":18},"future":1}`,
			[]Message{&Event{Header: Header{Boot: "b1", Seq: 3}, Type: "device.battery", Severity: SeverityWarning, Data: Object{"battery_pct": int64(18)}}}},
		{"failed result", LeafResult, `{"id":"w:1","attempt":2,"status":"failed","error":{"code":"busy","message":"m","retryable":true}}`,
			[]Message{&Result{ID: "w:1", Attempt: 2, Status: ResultFailed, Error: &DeviceError{Code: "busy", Message: "m", Retryable: true}}}},
		{"progress", LeafResult, `{"id":"w","attempt":1,"status":"progress","component":"os","phase":"downloading","percent":0}`,
			[]Message{&Result{ID: "w", Attempt: 1, Status: ResultProgress, Component: "os", Phase: PhaseDownloading, Percent: ptr(0.0)}}},
		{"deferred", LeafResult, `{"id":"w","attempt":1,"status":"deferred","retry_in":300,"reason":"in use"}`,
			[]Message{&Result{ID: "w", Attempt: 1, Status: ResultDeferred, RetryIn: 300, Reason: "in use"}}},
		{"reported", LeafReported, `{"config_version":0,"software":{"os":"2"},"attributes":{"ram_mb":512}}`,
			[]Message{&Reported{ConfigVersion: ptr(int64(0)), Software: map[string]string{"os": "2"}, Attributes: Object{"ram_mb": int64(512)}}}},
		{"time as text", LeafHeartbeat, `{"time":"2026-05-04T10:00:00.25+02:00"}`,
			[]Message{&Heartbeat{Header: Header{Time: stamp(t, "2026-05-04T08:00:00.25Z")}}}},
		{"time as milliseconds", LeafHeartbeat, `{"time":1777881600250}`,
			[]Message{&Heartbeat{Header: Header{Time: stamp(t, "2026-05-04T08:00:00.25Z")}}}},
		{"absurd time", LeafHeartbeat, `{"time":9223372036854775807}`,
			[]Message{&Heartbeat{Header: Header{Time: Timestamp{lastMoment}}}}},
		{"null is nothing", LeafHeartbeat, `{"time":null,"seq":null,"child":null}`, []Message{&Heartbeat{}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := Decode(c.leaf, []byte(c.payload))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestDecodeRefusesPayloads(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, leaf, payload, want string
	}{
		{"empty", "hello", ``, `payload is empty: send a JSON object`},
		{"blank", "hello", "  \n", `payload is empty: send a JSON object`},
		{"text", "hello", `hi`, `payload is not JSON at byte 1: invalid character 'h' looking for beginning of value`},
		{"cut", "event", `{"type":"x"`, `payload is not JSON at byte 11: unexpected end of JSON input`},
		{"more", "event", `{"type":"x"} {}`, `payload is not JSON at byte 14: invalid character '{' after top-level value`},
		{"cut array", "event", `[{"type":"x"},`, `payload is not JSON at byte 14: unexpected end of JSON input`},
		{"number", "event", `12`, `payload is a JSON number, not an object`},
		{"null", "event", `null`, `payload is a JSON null, not an object`},
		{"array of one kind", "hello", `[{}]`, `payload is an array: hello takes one object`},
		{"down leaf", "command", `{}`, `"command" is not a message that devices publish`},
		{"deep", "event", strings.Repeat("[", 17), `payload nests deeper than 16 levels: flatten it`},
		{"NUL", "event", `{"type":"a\\\u0000"}`, `payload holds the character \u0000, which cannot be stored: leave it out`},
		{"not UTF-8", "event", "{\"type\":\"\xff\"}", `payload is not UTF-8 text: send JSON encoded as UTF-8`},
		{"large", "event", strings.Repeat(" ", MaxPayload+1), `payload has 131073 bytes, 131072 are allowed: upload what is large and send {url, size, sha256}`},
		{"many", "heartbeat", "[" + strings.Repeat("{},", MaxElements) + "{}]", `payload has 1001 elements, 1000 are allowed: send the backlog in parts`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := Decode(Leaf(c.leaf), []byte(c.payload))
			require.EqualError(t, err, c.want)
			require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
			require.Empty(t, got)
		})
	}
}

func TestScanKnowsEscapes(t *testing.T) {
	t.Parallel()
	for _, fine := range []string{`{"a":"\\u0000"}`, `{"a":"\u0001"}`, `{"a":"\u00000"}`[:11] + `1"}`, `{"a":"[[[[[[[[[[[[[[[[[[[["}`, `{"a":"\"u0000"}`} {
		require.NoError(t, scan([]byte(fine), MaxPayload), fine)
	}
	require.Error(t, scan([]byte(`{"a":"\\\u0000"}`), MaxPayload))
	require.Error(t, scan([]byte(`{"\u0000":1}`), MaxPayload))
}

func TestDecodeKeepsWhatItCannotRead(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, leaf, payload, want string
	}{
		{"string for number", "heartbeat", `{"uptime_s":"long"}`, `field uptime_s must be a whole number, got string`},
		{"fraction for whole number", "heartbeat", `{"uptime_s":1.5}`, `field uptime_s must be a whole number, got number 1.5`},
		{"header", "heartbeat", `{"boot":7}`, `field boot must be a string, got number`},
		{"nested", "result", `{"id":"a","attempt":1,"status":"failed","error":{"code":"x","retryable":"yes"}}`, `field error.retryable must be true or false, got string`},
		{"map", "reported", `{"software":{"os":2}}`, `field software must be a string, got number`},
		{"array for object", "telemetry", `{"metrics":[1]}`, `field metrics must be an object, got array`},
		{"text for time", "event", `{"type":"x","time":"yesterday"}`, `field time must be an RFC 3339 time or whole milliseconds since 1970, got string`},
		{"text for seconds", "status", `{"status":"sleeping","wake_in":"1h"}`, `field wake_in must be a number of seconds, got string`},
		{"number out of range", "telemetry", `{"metrics":{"a":[1e999]}}`, `field metrics must be an object, got number out of range`},
		{"object for list", "hello", `{"boot":"b","profile":"p","running":{}}`, `field running must be an array, got object`},
		{"no boot", "hello", `{"profile":"kiosk"}`, `boot "" is not an id: use A-Z a-z 0-9 . _ : - and 1 to 128 characters`},
		{"no profile", "hello", `{"boot":"b"}`, `profile "" is not an id: use A-Z a-z 0-9 . _ : - and 1 to 128 characters`},
		{"both forms", "hello", `{"boot":"b","digest":"x","profile":"p"}`, `hello has digest and description: send either the short form or the full one`},
		{"digest", "hello", `{"boot":"b","digest":"XYZ"}`, `digest "XYZ" is not a SHA-256 in lower-case hex`},
		{"tiny max_payload", "hello", `{"boot":"b","profile":"p","max_payload":10}`, `max_payload is 10: at least 1024 are needed`},
		{"line break in serial", "hello", `{"boot":"b","profile":"p","serial":"a\nb"}`, `serial holds a control character: leave it out`},
		{"long version", "hello", `{"boot":"b","profile":"p","software":{"os":"` + strings.Repeat("1", 257) + `"}}`, `software.os has 257 bytes, 256 are allowed`},
		{"no version", "hello", `{"boot":"b","profile":"p","software":{"os":""}}`, `software.os is empty: name its version or leave the component out`},
		{"negative oldest", "hello", `{"boot":"b","profile":"p","oldest":-1}`, `oldest is -1: it is the lowest seq still held, so not below 1`},
		{"negative config_version", "hello", `{"boot":"b","profile":"p","config_version":-1}`, `config_version is -1: leave it out for none`},
		{"wildcard running", "hello", `{"boot":"b","profile":"p","running":["+"]}`, `running "+" is not an id: use A-Z a-z 0-9 . _ : - and 1 to 128 characters`},
		{"status", "status", `{"status":"tired"}`, `status is "tired": use one of online, offline, sleeping`},
		{"wake_in", "status", `{"status":"sleeping","wake_in":-1}`, `wake_in is -1: use seconds between 0 and 315360000`},
		{"no metrics", "telemetry", `{"metric":{"a":1}}`, `metrics is missing or empty: send {"metrics": {"battery_pct": 80}}`},
		{"severity", "event", `{"type":"x","severity":"bad"}`, `severity is "bad": use one of info, warning, error, critical`},
		{"event type", "event", `{"type":"a b"}`, `type "a b" is not an id: use A-Z a-z 0-9 . _ : - and 1 to 128 characters`},
		{"negative seq", "event", `{"type":"x","seq":-1}`, `seq is -1: count from 1 in each boot`},
		{"negative age", "event", `{"type":"x","age_ms":-1}`, `age_ms is -1: it is how long ago, so not below 0`},
		{"child", "event", `{"type":"x","child":"a/b"}`, `child "a/b" is not an id: use A-Z a-z 0-9 . _ : - and 1 to 128 characters`},
		{"attempt", "result", `{"id":"a","status":"succeeded"}`, `attempt is 0: repeat the attempt of the command, which counts from 1`},
		{"result status", "result", `{"id":"a","attempt":1,"status":"ok"}`, `status is "ok": use one of accepted, progress, succeeded, failed, rejected, deferred, canceled, cancel_refused`},
		{"percent", "result", `{"id":"a","attempt":1,"status":"progress","percent":101}`, `percent is 101: use 0 to 100`},
		{"failed without error", "result", `{"id":"a","attempt":1,"status":"failed"}`, `error is missing: a command that failed says why, as {code, message, retryable}`},
		{"error without code", "result", `{"id":"a","attempt":1,"status":"failed","error":{}}`, `error.code "" is not an id: use A-Z a-z 0-9 . _ : - and 1 to 128 characters`},
		{"uptime", "heartbeat", `{"uptime_s":-1}`, `uptime_s is -1: it is seconds since the boot`},
		{"reported version", "reported", `{"config_version":-1}`, `config_version is -1: leave it out for none`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := Decode(Leaf(c.leaf), []byte(c.payload))
			require.NoError(t, err)
			require.Len(t, got, 1)
			require.IsType(t, &Invalid{}, got[0])
			require.EqualError(t, got[0].(*Invalid).Err, c.want)
			require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(got[0].(*Invalid).Err))
			require.Equal(t, Leaf(c.leaf), got[0].Leaf())
		})
	}
}

func TestDecodeKeepsTheRestOfABacklog(t *testing.T) {
	t.Parallel()
	got, err := Decode(LeafTelemetry, []byte(`[
		{"seq":1,"metrics":{"a":1}},
		{"seq":2,"boot":"b0","child":"m1","metrics":"none"},
		7,
		{"seq":"3","boot":5,"metrics":{"a":1}},
		{"seq":4,"metrics":{"a":2}}]`))
	require.NoError(t, err)
	require.Len(t, got, 5)
	require.Equal(t, &Telemetry{Header: Header{Seq: 1}, Metrics: Object{"a": int64(1)}}, got[0])
	require.Equal(t, Header{Boot: "b0", Seq: 2, Child: "m1"}, got[1].Head(), "so that the seq can be acknowledged")
	require.EqualError(t, got[2].(*Invalid).Err, "payload is a JSON number, not an object")
	require.Equal(t, Header{}, got[3].Head())
	require.Equal(t, int64(4), got[4].Head().Seq)
}

func TestInvalidHelloKeepsNoClaim(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{
		`{"boot":1,"claim":"TOPSECRET"}`,
		`{"boot":1,"claim" : "TOP\"SECRET"}`,
		`{"boot":1,"claim":{"x":"TOPSECRET"}}`,
		`{"boot":1,"Claim":"TOPSECRET"}`,
		`{"boot":1,"cl\u0061im":"TOPSECRET"}`,
		`{"boot":"b","profile":"p","claim":["TOPSECRET"]}`,
	} {
		got, err := Decode(LeafHello, []byte(payload))
		require.NoError(t, err)
		bad := got[0].(*Invalid)
		require.NotContains(t, string(bad.Raw), "SECRET", payload)
		require.NotContains(t, bad.Err.Error(), "SECRET", payload)
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	const nothing = `{"redacted":true}`
	for payload, want := range map[string]string{
		`{"boot":1,"claim":"x"}`:           `{"boot":1,"claim":""}`,
		`{"boot":1,"claim":"cut of`:        nothing,
		`{boot: 1, claim: secret}`:         nothing,
		`{"c\u006caim":"secret"}`:          nothing,
		`{"type":"caf\u00e9","seq":"one"}`: `{"type":"caf\u00e9","seq":"one"}`,
		`not JSON`:                         `not JSON`,
	} {
		require.Equal(t, want, string(Redact([]byte(payload))))
	}
}
