package protocol

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// block is a fenced block of docs/device-protocol.md: kind is what follows the
// fence, such as "sh" or "json hello".
type block struct{ kind, body string }

func readPage(t *testing.T) []block {
	t.Helper()
	raw, err := os.ReadFile("../docs/device-protocol.md")
	require.NoError(t, err)
	var blocks []block
	for _, m := range regexp.MustCompile("(?ms)^```([a-z ]*)\n(.*?)^```$").FindAllStringSubmatch(string(raw), -1) {
		blocks = append(blocks, block{m[1], m[2]})
	}
	return blocks
}

// requireExample reads payload as a message on leaf, strictly: it has no field
// that the code doesn't know.
func requireExample(t *testing.T, leaf Leaf, payload string) {
	t.Helper()
	if known(Down, leaf) {
		m, err := decodeDown(leaf, []byte(payload), true)
		require.NoError(t, err, payload)
		requireArguments(t, m)
		return
	}
	messages, _, err := decodeUp(leaf, []byte(payload), true)
	require.NoError(t, err, payload)
	for _, m := range messages {
		if bad, ok := m.(*Invalid); ok {
			require.NoError(t, bad.Err, payload)
		}
	}
}

func requireArguments(t *testing.T, m DownMessage) {
	t.Helper()
	command, ok := m.(*Command)
	if !ok {
		return
	}
	switch command.Name {
	case deviceops.CommandInstall:
		var args Install
		require.NoError(t, command.Args.Into(&args))
		require.NoError(t, args.Check())
	case deviceops.CommandConfigure:
		var args Configure
		require.NoError(t, command.Args.Into(&args))
		require.NoError(t, args.Check())
	}
}

func TestPageShowsValidMessages(t *testing.T) {
	t.Parallel()
	shown := map[Leaf]int{}
	for _, b := range readPage(t) {
		if leaf, ok := strings.CutPrefix(b.kind, "json "); ok {
			requireExample(t, Leaf(leaf), b.body)
			shown[Leaf(leaf)]++
		}
	}
	for _, leaf := range append(UpLeaves(), DownLeaves()...) {
		require.Positive(t, shown[leaf], "the page shows no %s", leaf)
	}
}

func TestPageSaysValidMessages(t *testing.T) {
	t.Parallel()
	said := regexp.MustCompile(`(?ms)^say (\w+) <<END\n(.*?)^END$`)
	variable := regexp.MustCompile(`\$\{?[A-Z]+(:-\})?`)
	count := 0
	for _, b := range readPage(t) {
		if b.kind != "sh" {
			continue
		}
		for _, m := range said.FindAllStringSubmatch(b.body, -1) {
			requireExample(t, Leaf(m[1]), variable.ReplaceAllString(m[2], "1"))
			count++
		}
	}
	require.Greater(t, count, 10)
}

func TestPageComputesTheDigest(t *testing.T) {
	t.Parallel()
	hello := &Hello{Profile: "kiosk", Serial: "SN-1", Software: map[string]string{"os": "2.3.0", "app": "1.0"}, ConfigVersion: 3, MaxPayload: 2048}
	for _, b := range readPage(t) {
		if b.kind == "sh digest" {
			out, err := exec.Command("sh", "-c", b.body).Output()
			require.NoError(t, err)
			require.Equal(t, hello.DescriptionDigest(), strings.Fields(string(out))[0])
			return
		}
	}
	require.Fail(t, "the page has no sh digest block")
}

func TestPageNamesEveryLimitAndStatus(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../docs/device-protocol.md")
	require.NoError(t, err)
	for _, word := range []string{"131072", "16 levels", "1000 objects", "256 bytes", "at most 64", "at least 1024",
		ResultAccepted, ResultProgress, ResultSucceeded, ResultFailed, ResultRejected, ResultDeferred, ResultCanceled, ResultCancelRefused,
		ErrorInterrupted, ErrorExpired, ErrorUnknownCommand, ErrorInvalidArgs,
		PhaseDownloading, PhaseDownloaded, PhaseInstalling, PhaseRebooting, PhaseConfirming} {
		require.Contains(t, string(raw), word)
	}
}
