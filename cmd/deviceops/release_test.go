//go:build !lean

package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// keyPair writes a key pair into the home and gives the files.
func (h home) keyPair(name string) (private, public string) {
	pub, key, err := ed25519.GenerateKey(nil)
	require.NoError(h.t, err)
	write := func(suffix, kind string, der []byte, err error) string {
		require.NoError(h.t, err)
		path := filepath.Join(h.dir, name+suffix)
		require.NoError(h.t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	private = write(".key", "PRIVATE KEY", der, err)
	der, err = x509.MarshalPKIXPublicKey(pub)
	return private, write(".pub", "PUBLIC KEY", der, err)
}

// image writes a file of n bytes that do not repeat, and gives its path.
func (h home) image(n int) (path string, content []byte) {
	content = make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(content)
	path = filepath.Join(h.dir, "os.img")
	require.NoError(h.t, os.WriteFile(path, content, 0o600))
	return path, content
}

func TestARelease_IsSignedStoredEncryptedAndInstalledByItsURL(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.startStack("--artifact-ttl", "3s")
	file, image := h.image(20 << 20)
	private, public := h.keyPair("ci")
	h.must("apply", "-f", "../../examples/kiosk.yaml")
	h.must("release", "keys", "add", "ci", public, "--reason", "releases come from CI")
	require.Contains(t, h.must("release", "create", "kiosk-os@2.4.0", "--file", "os="+file, "--key", private), "kiosk-os@2.4.0 is created (1 component, 20.0 MiB)")
	require.Contains(t, h.must("release", "create", "kiosk-os@2.4.0", "--file", "os="+file, "--key", private), "is unchanged")
	require.Contains(t, h.must("release", "show", "kiosk-os@2.4.0"), "by ci (ed25519, key ")
	r, err := h.client().Release(t.Context(), "", deviceops.ReleaseRef{Project: "kiosk-os", Version: "2.4.0"})
	require.NoError(t, err)

	h.requireRefusals(r, image)
	h.requireNoPlainText(image)
	h.requireInstalledInRanges(r, public)
	h.requireRenewal(r, image)
}

// requireRefusals shows what the server does not take.
func (h home) requireRefusals(r deviceops.Release, image []byte) {
	tampered := bytes.Clone(image)
	tampered[10<<20] ^= 1
	_, err := h.client().PutArtifact(h.t.Context(), "", r.Components[0].SHA256, bytes.NewReader(tampered), int64(len(tampered)), "")
	require.Equal(h.t, deviceops.EINVALID, deviceops.ErrorCode(err))
	require.ErrorContains(h.t, err, "nothing was stored")
	other, _ := h.keyPair("other")
	for key, want := range map[string]string{"": "takes signed releases only", other: "is not registered"} {
		args := []string{"release", "create", "kiosk-os@2.5.0", "--file", "os=" + filepath.Join(h.dir, "os.img")}
		if key != "" {
			args = append(args, "--key", key)
		}
		out, code := h.run(args...)
		require.Equal(h.t, 1, code, out)
		require.Contains(h.t, out, want)
	}
	forged := r.Request()
	forged.Version = "2.5.0"
	_, err = h.client().CreateRelease(h.t.Context(), "", forged)
	require.Equal(h.t, deviceops.EFORBIDDEN, deviceops.ErrorCode(err), "a signature is of one version")
}

// requireNoPlainText looks for the image in everything that the stack keeps.
func (h home) requireNoPlainText(image []byte) {
	var kept int64
	require.NoError(h.t, filepath.WalkDir(filepath.Join(h.data, "artifacts"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		stored, err := os.ReadFile(path)
		kept += int64(len(stored))
		for at := 0; at < len(image); at += 1 << 20 {
			require.False(h.t, bytes.Contains(stored, image[at:at+32]), "%s holds what was uploaded, in clear", path)
		}
		return err
	}))
	require.Greater(h.t, kept, int64(len(image)))
}

// requireInstalledInRanges lets a virtual device install the release.
func (h home) requireInstalledInRanges(r deviceops.Release, public string) {
	flags := []string{"--devices", "1", "--prefix", "kiosk", "--seed", "5"}
	rows := filepath.Join(h.dir, "fleet.ndjson")
	h.must(append([]string{"simulate", "--registrations", rows}, flags...)...)
	h.must("devices", "import", rows)
	fleet := h.start(append([]string{"simulate", "--broker", h.broker(), "--download", "--trust-key", public}, flags...)...)
	d := h.awaitState("kiosk-00001", deviceops.Active, time.Minute)
	require.Equal(h.t, deviceops.FitOK, r.Fits(&d).Outcome)
	c, err := h.client().SendCommand(h.t.Context(), d.ID, deviceops.CommandRequest{
		Name: deviceops.CommandInstall, Args: r.InstallArgs(d.Twin.Reported.Software), Reason: "test",
	}, time.Minute, "")
	require.NoError(h.t, err)
	require.Equal(h.t, deviceops.CommandSucceeded, c.Status, "%+v", c.Error)
	stored, err := json.Marshal(c.Args)
	require.NoError(h.t, err)
	require.NotContains(h.t, string(stored), "/v1/artifacts/", "no URL is stored")
	d = h.awaitDevice(d.ID, time.Minute, func(d deviceops.Device) bool { return d.Twin.Reported.Software["os"] == "2.4.0" })
	require.Equal(h.t, deviceops.FitAlready, r.Fits(&d).Outcome)
	require.Zero(h.t, fleet.interrupt(10*time.Second))
	require.Contains(h.t, fleet.output(), "20.0 MiB in 5 requests")
}

// mute is a device that lets itself be configured and does not answer to installs.
type mute struct {
	t        *testing.T
	id       string
	broker   string
	topics   protocol.Topics
	installs chan protocol.Command
}

// connect says hello on a new connection.
func (m *mute) connect(n int) {
	options := mqtt.NewClientOptions().AddBroker(m.broker).SetClientID(fmt.Sprint(m.id, n)).SetAutoReconnect(false).SetOrderMatters(false)
	c := mqtt.NewClient(options)
	wait := func(token mqtt.Token) {
		require.True(m.t, token.WaitTimeout(10*time.Second))
		require.NoError(m.t, token.Error())
	}
	wait(c.Connect())
	m.t.Cleanup(func() { c.Disconnect(0) })
	wait(c.Subscribe(m.topics.Down(m.id, protocol.LeafCommand), 1, m.hear))
	hello := fmt.Sprintf(`{"boot":"b1","connection":"c%d","profile":"kiosk","serial":%q,"claim":"claim","software":{"os":"2.3.0"}}`, n, m.id)
	wait(c.Publish(m.topics.Up(m.id, protocol.LeafHello), 1, false, hello))
}

func (m *mute) hear(c mqtt.Client, message mqtt.Message) {
	var command protocol.Command
	if err := json.Unmarshal(message.Payload(), &command); err != nil || command.Name == deviceops.CommandInstall {
		m.installs <- command
		return
	}
	say := func(leaf protocol.Leaf, text string) { c.Publish(m.topics.Up(m.id, leaf), 1, false, text).Wait() }
	say(protocol.LeafReported, fmt.Sprintf(`{"config_version":%v}`, command.Args["version"]))
	say(protocol.LeafHeartbeat, `{"uptime_s":1}`)
	say(protocol.LeafResult, fmt.Sprintf(`{"seq":1,"boot":"b1","id":%q,"attempt":%d,"status":"succeeded"}`, command.ID, command.Attempt))
}

// install waits for the delivery of an install and gives the URL in it.
func (m *mute) install() (id string, attempt int, url string) {
	select {
	case c := <-m.installs:
		component := c.Args["components"].([]any)[0].(map[string]any)
		return c.ID, c.Attempt, component["url"].(string)
	case <-time.After(time.Minute):
		require.FailNow(m.t, "no install came")
		return "", 0, ""
	}
}

// requireRenewal shows that a URL ends, and that the same attempt of the same
// command brings a new one when it is delivered again.
func (h home) requireRenewal(r deviceops.Release, image []byte) {
	h.must("devices", "register", "mute-1", "--profile", "kiosk", "--claim", "claim")
	m := &mute{t: h.t, id: "mute-1", broker: h.broker(), installs: make(chan protocol.Command, 100)}
	m.connect(1)
	h.awaitState(m.id, deviceops.Active, time.Minute)
	_, err := h.client().SendCommand(h.t.Context(), m.id, deviceops.CommandRequest{Name: deviceops.CommandInstall, Args: r.InstallArgs(nil)}, 0, "")
	require.NoError(h.t, err)
	id, attempt, first := m.install()
	status, part := fetch(h.t, first)
	require.Equal(h.t, http.StatusPartialContent, status)
	require.Equal(h.t, sha(image[1<<20:2<<20]), sha(part))
	require.Eventually(h.t, func() bool { status, part = fetch(h.t, first); return status == http.StatusForbidden }, 20*time.Second, 200*time.Millisecond)
	require.Contains(h.t, string(part), "has expired")

	m.connect(2)
	again, same, second := m.install()
	require.Equal(h.t, id, again)
	require.Equal(h.t, attempt, same)
	require.NotEqual(h.t, first, second)
	status, part = fetch(h.t, second)
	require.Equal(h.t, http.StatusPartialContent, status)
	require.Equal(h.t, sha(image[1<<20:2<<20]), sha(part))
	status, _ = fetch(h.t, strings.Replace(second, "account=root", "account=other", 1))
	require.Equal(h.t, http.StatusForbidden, status)
}

// fetch asks for the second MiB behind a URL.
func fetch(t *testing.T, url string) (status int, body []byte) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	request.Header.Set("Range", "bytes=1048576-2097151")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, body
}

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
