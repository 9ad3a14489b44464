package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/cli"
)

const kioskYAML = `profile: kiosk
attributes: { ram_mb: integer }
commands:
  diagnostics: { result: { uptime_s: integer } }
  health: { result: { online: boolean } }
`

const checkYAML = `workflow: check
version: 1
inputs:
  device: device kiosk
  battery: number 0..100
device: ${{ inputs.device }}
steps:
  - id: diagnostics
    command: diagnostics
`

func TestDocuments(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	m.file("fleet/a-check.yaml", checkYAML)
	m.file("fleet/kiosk.yml", kioskYAML)
	dir := filepath.Join(m.dir, "fleet")

	m.run("validate", dir).done()
	require.Contains(t, m.run("apply", "-f", dir, "--dry-run").done(), "Dry run: nothing was published.")
	out := m.run("apply", "-f", dir, "--reason", "first").done()
	require.Regexp(t, `a-check\.yaml +workflow +check +1 +created\n.*kiosk\.yml +profile +kiosk +1 +created\n`, out)
	require.Contains(t, m.runWith(kioskYAML, "apply", "-f", "-").done(), "unchanged")

	refused := m.runWith(strings.Replace(checkYAML, "command: diagnostics", "command: health", 1), "apply", "-f", "-")
	require.Contains(t, refused.failed(cli.ExitFailed), "1 of 1 documents were refused")
	require.Contains(t, refused.out, "-     command: diagnostics\n  +     command: health")

	require.Regexp(t, `workflow +check +1 +root +\w+( ago)? +user:maria +first`, m.run("get", "workflow").done())
	require.Contains(t, m.run("get", "workflow", "check").done(), "VERSION")
	require.Equal(t, strings.TrimSpace(checkYAML), strings.TrimSpace(m.run("get", "workflow", "check", "-o", "yaml").done()))
	require.Equal(t, 1, decoded[deviceops.Document](m.run("get", "workflow", "check", "-o", "json")).Version)
	require.Contains(t, m.run("delete", "workflow", "check", "--reason", "old").done(), "workflow check is retired")
	require.Contains(t, m.run("get", "workflow", "check").failed(cli.ExitFailed), "→ see what there is")
}

func TestValidate(t *testing.T) {
	t.Parallel()
	m := &terminal{T: t, dir: t.TempDir()}
	good, bad := m.file("good.yaml", kioskYAML), m.file("bad.yaml", "workflow: broken\nsteps:\n  - comand: reboot\n")
	ok := m.run("validate", good)
	require.Empty(t, ok.done())
	require.Equal(t, "1 document in 1 file: no errors\n", ok.err)

	broken := m.run("validate", filepath.Join(m.dir, "*.yaml"))
	require.Contains(t, broken.failed(cli.ExitFailed), "in 2 files")
	require.Contains(t, broken.out, "bad.yaml:3:")
	require.Contains(t, m.run("validate", bad, "--format", "github").out, "::error file=")
	require.True(t, strings.HasPrefix(m.run("validate", bad, "-o", "json").out, "[\n"))
	m.run("validate", filepath.Join(m.dir, "none.yaml")).failed(cli.ExitFailed)
	m.run("validate", good, "--format", "xml").failed(cli.ExitUsage)
	require.Contains(t, m.run("schema").done(), `"$schema"`)
}

// A workflow is checked against the profiles of the other files.
func TestValidateKnowsTheOtherFiles(t *testing.T) {
	t.Parallel()
	m := &terminal{T: t, dir: t.TempDir()}
	wrong := m.file("w.yaml", strings.Replace(checkYAML, "command: diagnostics", "command: dance", 1))
	m.run("validate", wrong).done()
	m.run("validate", wrong, m.file("p.yaml", kioskYAML)).failed(cli.ExitFailed)
}

func TestDevices(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	m.runWith(kioskYAML, "apply", "-f", "-").done()
	require.Equal(t, "k1 registered: kiosk, escrow\n",
		m.run("devices", "register", "k1", "--profile", "kiosk", "--claim", "x", "--tag", "lab", "--label", "site=berlin", "--attribute", "ram_mb=4096").done())
	fleet := m.file("fleet.csv", "id,profile,tags\nk2,kiosk,a;b\nk/3,kiosk,\n")
	imported := m.run("devices", "import", fleet, "--reason", "delivery")
	require.Contains(t, imported.failed(cli.ExitFailed), "1 of 2 rows were not taken")
	require.Contains(t, imported.out, "2 rows: 1 registered, 1 not taken")
	require.Regexp(t, `(?m)^3 +k/3 +id "k/3"`, imported.out)

	require.Regexp(t, `k1 +kiosk +escrow +never`, m.run("devices", "list").done())
	limited := m.run("devices", "list", "--limit", "1")
	require.Contains(t, limited.err, "there is more: add --cursor ")
	cursor := strings.Fields(limited.err[strings.Index(limited.err, "--cursor ")+9:])[0]
	require.Contains(t, m.run("devices", "list", "--cursor", strings.TrimSuffix(cursor, ",")).done(), "k2")

	require.Equal(t, "k1 has the tags: critical\n", m.run("devices", "tag", "k1", "--add", "critical", "--remove", "lab").done())
	require.Contains(t, m.run("devices", "show", "k1").done(), "labels        site=berlin")
	require.Contains(t, m.run("devices", "show", "k1", "-o", "yaml").done(), "id: k1\n")
	require.Contains(t, m.run("explain", "device", "k1").done(), "k1 is escrow: it waits for its first hello, with the claim that was registered.")
	require.Equal(t, "k1 is provisioning\n", m.run("devices", "transition", "k1", "provisioning", "--reason", "seen").done())
	require.Equal(t, []string{"provision/k1"}, m.engine.starts)
	require.Contains(t, m.run("devices", "timeline", "k1").done(), "escrow → provisioning by user:maria: seen")
	require.Regexp(t, `(?m)^total +2$`, m.run("devices", "stats").done())
	require.Contains(t, m.run("audit", "list", "--target", "device:k1").done(), "device.tag")
	require.Contains(t, m.run("events", "tail", "--device", "k1").done(), "device.state_changed")
	require.Contains(t, m.run("events", "rejected").done(), "No rejected message is kept.")
}

func TestDeviceCommand(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	m.runWith(kioskYAML, "apply", "-f", "-").done()
	m.run("devices", "register", "k1", "--profile", "kiosk").done()
	require.Contains(t, m.run("devices", "command", "k1", "diagnostics").failed(cli.ExitFailed), "takes no commands")
	m.online("k1")
	require.Contains(t, m.run("devices", "command", "k1", "diagnostics").done(), `{"uptime_s":5}`)
	m.engine.fails = true
	require.Contains(t, m.run("devices", "command", "k1", "diagnostics").failed(cli.ExitFailed), "diagnostics failed: in use (busy)")
}

func TestRuns(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	m.runWith(kioskYAML+"---\n"+checkYAML, "apply", "-f", "-").done()
	m.run("devices", "register", "k1", "--profile", "kiosk").done()
	m.online("k1")
	out := m.run("run", "check@1", "--device", "k1", "-i", "battery=18", "--wait").done()
	require.Contains(t, out, "diagnostics")
	require.Contains(t, out, "check@1 succeeded after")
	m.engine.fails = true
	failed := m.run("run", "check", "--device", "k1", "-i", "battery=18", "--wait", "-o", "json")
	require.Contains(t, failed.failed(cli.ExitFailed), "failed: in use (busy, at step diagnostics)")
	run := decoded[deviceops.Run](failed)
	require.Equal(t, deviceops.RunFailed, run.Status)

	require.Regexp(t, run.ID+` +check@1 +k1 +failed`, m.run("runs", "list").done())
	require.Contains(t, m.run("runs", "show", run.ID).done(), "failure   in use")
	require.Contains(t, m.run("runs", "cancel", run.ID).failed(cli.ExitFailed), "ended already")
	require.Contains(t, m.run("run", "check", "-i", "battery").failed(cli.ExitUsage), "write key=value")
	require.Contains(t, m.run("run", "check", "-i", "battery=200", "--device", "k1").failed(cli.ExitFailed), "battery")
}

func TestAccountsAndDoctor(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	require.Equal(t, "account acme is there\n", m.run("accounts", "create", "acme", "--name", "Acme").done())
	require.Regexp(t, `acme +Acme`, m.run("accounts", "list").done())
	require.Regexp(t, `token +ok +user:maria in account root: admin`, m.run("doctor").done())
	require.Equal(t, "deviceops 1.2.3\n", m.run("version").done())
	m.env["DEVICEOPS_TOKEN"] = "wrong"
	ill := m.run("doctor")
	require.Equal(t, cli.ExitFailed, ill.code)
	require.Regexp(t, `token +failed +this token is not known here`, ill.out)
}

func TestContexts(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	server := m.server.URL
	m.env = map[string]string{"XDG_CONFIG_HOME": m.env["XDG_CONFIG_HOME"]}
	require.Contains(t, m.run("devices", "list").failed(cli.ExitFailed), "no server is named\n  → start a stack with deviceops dev")
	require.Contains(t, m.runWith("guess\n", "login", "--server", server).failed(cli.ExitFailed), "→ log in: ")
	require.Contains(t, m.runWith(token+"\n", "login", "--server", server, "--name", "lab").done(), "as user:maria; context lab is the current one")
	m.run("devices", "list").done()
	info, err := os.Stat(filepath.Join(m.env["XDG_CONFIG_HOME"], "deviceops", "config.yaml"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	m.run("devices", "list", "--context", "none").failed(cli.ExitFailed)
	other := newTerminal(t)
	require.Contains(t, m.run("devices", "list", "--server", other.server.URL).failed(cli.ExitFailed), "send a token", "a token goes to its own server only")
	other.server.Close()
	require.Contains(t, m.run("devices", "list", "--server", other.server.URL).failed(cli.ExitFailed), "cannot reach "+other.server.URL)
}

func TestSaveContext(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	require.NoError(t, cli.SaveContext("dev", "http://127.0.0.1:1", "a"))
	require.NoError(t, cli.SaveContext("lab", "http://127.0.0.1:2", "b"))
	data, err := os.ReadFile(filepath.Join(dir, "deviceops", "config.yaml"))
	require.NoError(t, err)
	require.Equal(t, "current: lab\ncontexts:\n    dev:\n        server: http://127.0.0.1:1\n        token: a\n    lab:\n        server: http://127.0.0.1:2\n        token: b\n", string(data))
}

func TestWrongUse(t *testing.T) {
	t.Parallel()
	m := &terminal{T: t, dir: t.TempDir()}
	for _, line := range []string{
		"nonsense", "devices nonsense", "devices show", "devices list --nonsense", "devices list -o xml", "apply", "login", "simulate", "devices import fleet.txt",
	} {
		told := m.run(strings.Fields(line)...).failed(cli.ExitUsage)
		require.Contains(t, told, "--help", line)
	}
}

// Every command says what it is, and every one that does something shows how.
func TestHelp(t *testing.T) {
	t.Parallel()
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		require.NotEmpty(t, cmd.Short, cmd.CommandPath())
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
		mutating := cmd.Flags().Lookup("reason") != nil
		require.True(t, !mutating || cmd.Example != "", "%s has no example", cmd.CommandPath())
	}
	visit(cli.New(cli.Config{}))
}

func TestSimulateWritesRegistrations(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	m.runWith(kioskYAML, "apply", "-f", "-").done()
	fleet := filepath.Join(m.dir, "fleet.ndjson")
	m.run("simulate", "--devices", "3", "--registrations", fleet).done()
	require.Contains(t, m.run("devices", "import", fleet).done(), "3 rows: 3 registered, 0 not taken")
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	m.runWith(kioskYAML, "apply", "-f", "-").done()
	m.run("devices", "register", "k1", "--serial", "sn-1", "--profile", "kiosk", "--label", "site=berlin").done()
	require.Contains(t, m.run("metrics", "k1", "battery_pct").failed(cli.ExitFailed), "reported no metrics yet")

	now := time.Now()
	var samples []deviceops.MetricSample
	for i := range 60 {
		at := now.Add(-time.Duration(i+1) * time.Minute)
		samples = append(samples, deviceops.MetricSample{Account: deviceops.RootAccount, Device: "k1", Name: "battery_pct", Value: float64(20 + i), At: at, ReceivedAt: at})
	}
	require.NoError(t, m.store.AppendSamples(t.Context(), samples))
	require.NoError(t, m.store.SaveMetrics(t.Context(), []deviceops.MetricValue{{Device: "k1", Name: "battery_pct", Value: 20.0, At: now}}))

	shown := m.run("metrics", "k1", "battery_pct", "--since", "2h").done()
	require.Contains(t, shown, "battery_pct of k1, a point for 2m\n")
	require.Contains(t, shown, "min 20   avg 49.5   max 79   last 20   (samples: 60)")
	var history deviceops.DeviceMetric
	require.NoError(t, json.Unmarshal([]byte(m.run("metrics", "k1", "battery_pct", "--since", "30m", "--step", "10m", "-o", "json").done()), &history))
	require.Equal(t, int64(600), history.StepS)
	require.Equal(t, int64(29), history.All.Count)

	require.Regexp(t, `(?m)^berlin +1 +20 +20 +20 +20 +20`, m.run("metrics", "battery_pct", "--profile", "kiosk", "--by", "label:site", "--label", "site=berlin").done())
	require.Contains(t, m.run("metrics", "battery_pct", "--tag", "none").done(), "No device reported battery_pct since ")
	require.Contains(t, m.run("metrics", "k1", "batery_pct").failed(cli.ExitFailed), "device k1 reported no metric batery_pct; it reported battery_pct")
	require.Contains(t, m.run("metrics", "battery_pct", "--by", "colour").failed(cli.ExitFailed), `cannot group by "colour"`)
	require.Contains(t, m.run("metrics", "k1", "battery_pct", "--by", "tag").failed(cli.ExitUsage), "leave the device out")
	require.Contains(t, m.run("metrics", "k1", "battery_pct", "--since", "yesterday").failed(cli.ExitUsage), "write a duration")
}
