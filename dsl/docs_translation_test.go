package dsl

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

const translationPage = "../docs/translation.md"

// TestTranslationPage holds that docs/translation.md has all keys that the
// reader knows.
func TestTranslationPage(t *testing.T) {
	written, err := os.ReadFile(translationPage)
	require.NoError(t, err)
	page := between(t, string(written), "rules", keyTable("", translateKeys))
	page = between(t, page, "layout", keyTable("", layoutKeys))
	page = between(t, page, "send", keyTable("send.", sendKeys)+keyRows("reply.", replyKeys))
	if *update {
		require.NoError(t, os.WriteFile(translationPage, []byte(page), 0o644))
	} else {
		require.Equal(t, page, string(written), "run: go test ./dsl -run TestTranslationPage -update")
	}
}

func keyTable(around string, keys []fieldSpec) string {
	return "| key | says |\n|---|---|\n" + keyRows(around, keys)
}

func keyRows(around string, keys []fieldSpec) string {
	var b strings.Builder
	for _, key := range keys {
		says, _ := key.schema["description"].(string)
		b.WriteString("| `" + around + key.name + "` | " + says + " |\n")
	}
	return b.String()
}

// TestTranslationPageIsTrue executes what the page shows.
func TestTranslationPageIsTrue(t *testing.T) {
	t.Parallel()
	written, err := os.ReadFile(translationPage)
	require.NoError(t, err)
	source := yamlBlock.FindStringSubmatch(string(written))[1]
	require.Empty(t, schemaErrors(t, compiledSchema(t), source))
	p, found := CompileProfile(source)
	require.Empty(t, found)
	const payload = `{"ts":1767225600,"temp_f":70.7,"bat":0.87}`
	require.Contains(t, string(written), payload)
	h, err := p.Translation.Up(deviceops.Message{Topic: "acme/s1/telemetry", Payload: []byte(payload)}, nil)
	require.NoError(t, err)
	require.Contains(t, string(written), "telemetry  "+formatJSON(h.Said[0].Body)+"\n")
	out, err := p.Translation.Down(deviceops.Command{ID: "command-1", Name: "reboot", Device: "s1"}, zeroTime)
	require.NoError(t, err)
	require.Contains(t, string(written), "topic    "+out.Topic+"\npayload  "+string(out.Payload)+"\n")
}

// TestTranslateKeysAreRead holds that the tables name no key which the reader
// does not know: one with a value of the wrong kind is noticed.
func TestTranslateKeysAreRead(t *testing.T) {
	t.Parallel()
	for _, key := range translateKeys {
		_, found := CheckFile("p.yaml", "profile: p\ntranslate:\n  - on: 'a/{device}'\n    "+key.name+": { nonsense: [] }\n", Options{})
		require.NotEmpty(t, codesAt(found, 4), key.name)
	}
	for _, key := range append(replyKeys[1:], sendKeys...) {
		place := "reply"
		if strings.Contains(keyRows("", sendKeys), "`"+key.name+"`") {
			place = "send"
		}
		other := map[string]string{"send": "reply: { on: 'a/{device}/r', ok: 'true' }", "reply": "send: { topic: 'a/{device}/c' }"}[place]
		rest := map[string]string{"send": "topic: 'a/{device}/c'", "reply": "on: 'a/{device}/r'"}[place]
		if key.name == "topic" {
			rest = "encode: json"
		}
		_, found := CheckFile("p.yaml", "profile: p\ntranslate: [ { on: 'a/{device}', heartbeat: true } ]\ncommands:\n  c:\n    exclusive: true\n    "+
			other+"\n    "+place+":\n      "+rest+"\n      "+key.name+": { nonsense: [] }\n", Options{})
		if key.name == "payload" { // which may be anything
			require.Empty(t, found)
			continue
		}
		require.NotEmpty(t, codesAt(found, 9), key.name)
	}
}
