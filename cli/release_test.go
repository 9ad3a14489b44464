package cli_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/artifact"
	"github.com/deviceops/deviceops/cli"
	"github.com/deviceops/deviceops/codec"
)

// keyDocument is a provider of secrets that knows one, fresh keys.
type keyDocument struct{ text string }

func (k keyDocument) Secret(context.Context, string, string) (string, error) { return k.text, nil }

func openArtifacts(t *testing.T, records deviceops.ArtifactRecords) *artifact.Store {
	t.Helper()
	keys, err := codec.GenerateKeys()
	require.NoError(t, err)
	ring, err := codec.OpenKeyring(t.Context(), codec.Config{Secrets: keyDocument{keys}, Reference: "engine/artifact-keys"})
	require.NoError(t, err)
	store, err := artifact.Open(t.Context(), artifact.Config{URL: "file://" + t.TempDir(), Keys: ring, Records: records})
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// keyFiles makes a key pair and gives the files of its parts.
func (m *terminal) keyFiles(name string) (private, public string) {
	m.Helper()
	pub, key, err := ed25519.GenerateKey(nil)
	require.NoError(m, err)
	write := func(suffix, kind string, der []byte, err error) string {
		require.NoError(m, err)
		m.file(name+suffix, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
		return filepath.Join(m.dir, name+suffix)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	private = write(".key", "PRIVATE KEY", der, err)
	der, err = x509.MarshalPKIXPublicKey(pub)
	return private, write(".pub", "PUBLIC KEY", der, err)
}

func TestReleaseCreate(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	image := strings.Repeat("image", 300_000)
	m.file("os.img", image)
	m.file("player.tar", "player")
	m.file("kiosk.yaml", "brightness: 80\nratio: 1.0\n")
	m.file("NOTES.md", "quieter fans\n")
	create := []string{"release", "create", "kiosk-os@2.4.0", "--file", "os=" + filepath.Join(m.dir, "os.img"), "--file", "player=" + filepath.Join(m.dir, "player.tar"),
		"--component", "maps=https://cdn.example.com/maps#sha256=" + strings.Repeat("AB", 32) + "&size=12", "--kind", "maps=model", "--version-of", "player=7.1",
		"--group", "system=os,player", "--requires", "boot=>=3", "--from", ">=2.2 <3", "--config", filepath.Join(m.dir, "kiosk.yaml"), "--irreversible",
		"--notes", "@" + filepath.Join(m.dir, "NOTES.md"), "--reason", "June"}

	require.Equal(t, "kiosk-os@2.4.0 is created (3 components, 1.4 MiB)\n", m.run(create...).done())
	require.Equal(t, "kiosk-os@2.4.0 is unchanged (3 components, 1.4 MiB)\n", m.run(create...).done())
	report := decoded[deviceops.ReleaseReport](m.run(append(create, "-o", "json")...))
	sum := sha256.Sum256([]byte(image))
	require.Equal(t, []deviceops.Component{
		{Name: "os", Kind: "os", Version: "2.4.0", SHA256: hex.EncodeToString(sum[:]), Size: 1_500_000, Group: "system"},
		{Name: "player", Kind: "app", Version: "7.1", SHA256: report.Release.Components[1].SHA256, Size: 6, Group: "system"},
		{Name: "maps", Kind: "model", Version: "2.4.0", URL: "https://cdn.example.com/maps", SHA256: strings.Repeat("ab", 32), Size: 12},
	}, report.Release.Components, "in the order of the flags")
	require.Equal(t, map[string]any{"brightness": 80.0, "ratio": 1.0}, report.Release.Configuration)
	require.Equal(t, map[string]deviceops.Constraint{"boot": ">=3"}, report.Release.Requires)
	require.Equal(t, []any{deviceops.Constraint(">=2.2 <3"), false, "quieter fans"}, []any{report.Release.From, report.Release.Reversible, report.Release.Notes})

	m.file("os.img", image+"!")
	refused := m.run(create...).failed(cli.ExitFailed)
	require.Contains(t, refused, "kiosk-os@2.4.0 exists with other content: sha256 of component os is "+hex.EncodeToString(sum[:])+", yours is ")
	sum = sha256.Sum256([]byte(image + "!"))
	_, err := m.store.FindArtifact(t.Context(), deviceops.RootAccount, hex.EncodeToString(sum[:]))
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err), "it is told before anything is uploaded")
}

func TestReleaseListAndShow(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	m.file("os.img", "an image")
	file := "os=" + filepath.Join(m.dir, "os.img")
	m.run("release", "create", "kiosk-os@2.3.0", "--file", file).done()
	m.run("release", "create", "kiosk-os@2.4.0", "--file", file, "--requires", "boot=>=3").done()
	m.run("release", "create", "other@1", "--file", file).done()

	require.Regexp(t, `(?s)RELEASE +ACCOUNT .*other@1 .*kiosk-os@2\.4\.0 +root +1 +8 B +no +.*kiosk-os@2\.3\.0`, m.run("release", "list").done())
	require.NotContains(t, m.run("release", "list", "kiosk-os").done(), "other@1")
	first := m.run("release", "list", "kiosk-os", "--limit", "1")
	require.NotContains(t, first.done(), "2.3.0")
	shown := m.run("release", "show", "kiosk-os@2.4.0").done()
	require.Regexp(t, `(?s)signed +no.*requires +boot >=3.*reversible +yes.*os +os +2\.4\.0 +8 B +- +[0-9a-f]{64} +stored here`, shown)
	require.Equal(t, "2.4.0", decoded[deviceops.Release](m.run("release", "show", "kiosk-os@2.4.0", "-o", "json")).Version)
	m.run("release", "show", "kiosk-os@9").failed(cli.ExitFailed)
	m.run("release", "show", "kiosk-os").failed(cli.ExitUsage)
}

func TestReleaseSignatures(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	m.file("os.img", "an image")
	file := "os=" + filepath.Join(m.dir, "os.img")
	private, public := m.keyFiles("ci")
	other, _ := m.keyFiles("other")
	m.run("release", "create", "kiosk-os@1", "--file", file).done()
	added := m.run("release", "keys", "add", "ci", public, "--reason", "policy").done()
	require.Regexp(t, `^key [0-9a-f]{16} is registered: account root takes signed releases only\n$`, added)
	id := strings.Fields(added)[1]
	require.Contains(t, m.run("release", "keys", "add", "twice", public).done(), "is registered already, as ci")
	require.Regexp(t, id+` +ci +ed25519 +root`, m.run("release", "keys", "list").done())

	unsigned := m.run("release", "create", "kiosk-os@2", "--file", file).failed(cli.ExitFailed)
	require.Contains(t, unsigned, "takes signed releases only")
	require.NotContains(t, unsigned, "use a token", "another token does not help")
	require.Contains(t, m.run("release", "create", "kiosk-os@2", "--file", file, "--key", other).failed(cli.ExitFailed), "is not registered for account root")
	require.Contains(t, m.run("release", "create", "kiosk-os@2", "--file", file, "--key", public).failed(cli.ExitFailed), "give an unencrypted PRIVATE KEY")
	require.Contains(t, m.run("release", "create", "kiosk-os@2", "--file", file, "--key", private).done(), "kiosk-os@2 is created")
	require.Contains(t, m.run("release", "create", "kiosk-os@1", "--file", file, "--key", private).done(), "kiosk-os@1 is signed")
	require.Regexp(t, `signed +by ci \(ed25519, key `+id, m.run("release", "show", "kiosk-os@2").done())

	require.Contains(t, m.run("release", "keys", "remove", id, "--reason", "leaked").done(), "No key is left")
	require.Contains(t, m.run("release", "show", "kiosk-os@2").done(), "by key "+id+", which is not registered any more")
	require.Contains(t, m.run("release", "keys", "add", "ci", private).failed(cli.ExitFailed), "give the public key")
}

func TestReleaseCreateUsedWrongly(t *testing.T) {
	t.Parallel()
	m := newTerminal(t)
	m.file("os.img", "an image")
	file := "os=" + filepath.Join(m.dir, "os.img")
	for want, args := range map[string][]string{
		"write project@version":              {"kiosk-os", "--file", file},
		"a release of nothing":               {"kiosk-os@1"},
		"write NAME=FILE":                    {"kiosk-os@1", "--file", "os.img"},
		"write NAME=URL":                     {"kiosk-os@1", "--component", "os"},
		"say what has to come":               {"kiosk-os@1", "--component", "os=https://example.com/os"},
		`size "big" is no number`:            {"kiosk-os@1", "--component", "os=https://example.com/os#sha256=" + strings.Repeat("a", 64) + "&size=big"},
		`--kind names "app", and no --file`:  {"kiosk-os@1", "--file", file, "--kind", "app=model"},
		`--group names "app", and no --file`: {"kiosk-os@1", "--file", file, "--group", "g=os,app"},
		"--group: write GROUP=NAME,NAME":     {"kiosk-os@1", "--file", file, "--group", "os"},
		"write key=value":                    {"kiosk-os@1", "--file", file, "--requires", "boot"},
	} {
		require.Contains(t, m.run(append([]string{"release", "create"}, args...)...).failed(cli.ExitUsage), want)
	}
	for want, args := range map[string][]string{
		"no such file":       {"kiosk-os@1", "--file", "os=" + filepath.Join(m.dir, "missing")},
		"is no file":         {"kiosk-os@1", "--file", "os=" + m.dir},
		"version constraint": {"kiosk-os@1", "--file", file, "--from", "^2"},
		`of kind "disk"`:     {"kiosk-os@1", "--file", file, "--kind", "os=disk"},
	} {
		require.Contains(t, m.run(append([]string{"release", "create"}, args...)...).failed(cli.ExitFailed), want)
	}
	var none bytes.Buffer
	require.NoError(t, os.WriteFile(filepath.Join(m.dir, "config.yaml"), none.Bytes(), 0o600))
	m.run("release", "create", "kiosk-os@1", "--config", filepath.Join(m.dir, "config.yaml")).failed(cli.ExitFailed)
}
