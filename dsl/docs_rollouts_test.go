package dsl

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRolloutsPage holds that docs/rollouts.md has all keys that the reader
// knows, and all counts that gates see.
func TestRolloutsPage(t *testing.T) {
	const path = "../docs/rollouts.md"
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	page := between(t, string(written), "manifest", manifestTable())
	page = between(t, page, "counts", countTable())
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(page), 0o644))
	} else {
		require.Equal(t, page, string(written), "run: go test ./dsl -run TestRolloutsPage -update")
	}
}

// manifestTable lists the keys of a manifest, and below each those of its map.
func manifestTable() string {
	var b strings.Builder
	b.WriteString("| key | says |\n|---|---|\n")
	listKeys(&b, "", rolloutKeys)
	return b.String()
}

// innerKeys are the keys of the maps that keys of a manifest hold.
var innerKeys = map[string][]fieldSpec{
	"change": changeKeys, "change.command": changeCommandKeys, "rings[]": ringKeys, "rate": rateKeys, "budget": budgetKeys,
	"phases": phaseKeys, "phases.download": phaseLimitKeys, "window": windowKeys, "retry": rolloutRetryKeys, "deferrals": deferralKeys,
	"stragglers": stragglerKeys, "gate": gateKeys, "rollback": rollbackKeys, "approve": planApprovalKeys, "approve.escalate[]": escalateKeys,
	"blackout[]": blackoutKeys,
}

func listKeys(b *strings.Builder, around string, keys []fieldSpec) {
	for _, key := range keys {
		name := around + key.name
		says, _ := key.schema["description"].(string)
		if says == "" {
			says = map[string]string{"by": "who is asked: `role:NAME` or `user:NAME`, any of them"}[key.name]
		}
		b.WriteString("| `" + name + "` | " + says + " |\n")
		for _, suffix := range []string{"", "[]"} {
			listKeys(b, name+suffix+".", innerKeys[name+suffix])
		}
	}
}

func countTable() string {
	var b strings.Builder
	b.WriteString("| count | devices that |\n|---|---|\n")
	for _, c := range gateCounts {
		b.WriteString("| `" + c.name + "` | " + c.says + " |\n")
	}
	return b.String()
}

var refusal = regexp.MustCompile("(?s)```yaml\n([^`]*?)```\n\n```\n(.*?)```")

// TestRolloutsPageCompiles compiles all that the page shows: documents as they
// are, parts within a manifest that has the rest, and those that are refused with
// what is said of them.
func TestRolloutsPageCompiles(t *testing.T) {
	t.Parallel()
	written, err := os.ReadFile("../docs/rollouts.md")
	require.NoError(t, err)
	page := string(written)
	refused := refusal.FindAllStringSubmatch(page, -1)
	require.NotEmpty(t, refused)
	for _, m := range refused {
		_, found := CheckFile("rollouts.md", m[1], checked)
		var got strings.Builder
		require.NoError(t, WriteText(&got, found))
		require.Equal(t, m[2], got.String())
	}
	shown := 0
	for _, m := range yamlBlock.FindAllStringSubmatch(refusal.ReplaceAllString(page, ""), -1) {
		for _, source := range strings.Split(m[1], "---\n") {
			if kind, _, _ := strings.Cut(source, ":"); kind != "rollout" && kind != "calendar" && kind != "workflow" {
				source = "rollout: r\n" + source
				for key, rest := range map[string]string{"change": "{ release: kiosk-os@2.4.0 }", "targets": `device.profile == "kiosk"`} {
					if !strings.Contains(source, "\n"+key+":") {
						source += key + ": " + rest + "\n"
					}
				}
			}
			require.Empty(t, schemaErrors(t, compiledSchema(t), source), source)
			_, found := CheckFile("rollouts.md", source, checked)
			require.Empty(t, found, source)
			shown++
		}
	}
	require.Greater(t, shown, 10)
}

// TestRolloutKeysAreRead holds that the tables of the page and of editors name no
// key which the reader does not know: one with a value of the wrong kind is
// noticed.
func TestRolloutKeysAreRead(t *testing.T) {
	t.Parallel()
	for _, key := range rolloutKeys[1:] {
		_, found := CheckFile("r.yaml", "rollout: r\n"+key.name+": { nonsense: [] }\n", Options{})
		require.NotEmpty(t, codesAt(found, 2), key.name)
	}
}

// codesAt gives the codes of diagnostics about a line.
func codesAt(found Diagnostics, line int) string {
	var all []string
	for _, d := range found {
		if d.Line == line {
			all = append(all, d.Code)
		}
	}
	return strings.Join(all, " ")
}
