package simulator

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// image is what devices download in these tests.
var image = func() []byte {
	content := make([]byte, 100_000)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	return content
}()

func installOf(url string, change func(map[string]any)) *protocol.Command {
	sum := sha256.Sum256(image)
	component := map[string]any{"name": "app", "kind": "app", "to": "1.1.0", "url": url, "size": int64(len(image)), "sha256": hex.EncodeToString(sum[:])}
	if change != nil {
		change(component)
	}
	return &protocol.Command{ID: "c1", Name: "install", Attempt: 1, Args: protocol.Object{"release": "app@1.1.0", "components": []any{component}}}
}

// serving gives the URL of a server of the image, or of what answer says.
func serving(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	if answer == nil {
		answer = func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(image))
		}
	}
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.URL
}

// downloading is a fleet of one that downloads.
func (e *engine) downloading(keys ...deviceops.ReleaseKey) *Simulator {
	return e.online(func(c *Config) { c.Download = Download{Enabled: true, Range: 30_000, Keys: keys} })
}

func TestDownloadsInRanges(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s := e.downloading()
	e.send(first, installOf(serving(t, nil), nil))
	e.awaitResult(first, "c1", protocol.ResultSucceeded, 1)
	require.EqualValues(t, len(image), s.Stats().Downloaded)
	require.Equal(t, 4, s.Stats().Ranges)
	require.Equal(t, "1.1.0", awaitCount[*protocol.Reported](e, first, 1, nil)[0].Software["app"])
}

func TestAFleetDownloadsNothingUnlessAsked(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s := e.online(nil)
	e.send(first, installOf("http://127.0.0.1:1/nothing", nil))
	e.awaitResult(first, "c1", protocol.ResultSucceeded, 1)
	require.Zero(t, s.Stats().Ranges)
}

func TestADownloadGoesOnWhereItBrokeOff(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s := e.downloading()
	var requests atomic.Int32
	e.send(first, installOf(serving(t, func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1)%2 == 1 { // half of the range comes
			w = &breaking{w, 15_000}
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(image))
	}), nil))
	e.awaitResult(first, "c1", protocol.ResultSucceeded, 1)
	require.EqualValues(t, len(image), s.Stats().Downloaded, "nothing comes twice")
}

// breaking cuts the connection after some bytes.
type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	n, err := b.ResponseWriter.Write(p[:min(len(p), b.left)])
	if b.left -= n; b.left == 0 {
		_ = http.NewResponseController(b.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

func TestDownloadsThatFail(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer    http.HandlerFunc
		change    func(map[string]any)
		code      string
		retryable bool
		says      string
	}{
		"expired": {code: "download_failed", retryable: true, says: "403 Forbidden this URL has expired",
			answer: func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "this URL has expired", http.StatusForbidden)
			}},
		"never there": {code: "download_failed", retryable: true,
			answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		"no URL": {code: "download_failed", retryable: true, change: func(c map[string]any) { c["url"] = "" }},
		"tampered": {code: "wrong_hash", retryable: true, says: "app has SHA-256 ", answer: func(w http.ResponseWriter, r *http.Request) {
			tampered := bytes.Clone(image)
			tampered[50_000] ^= 1
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(tampered))
		}},
		"another size": {code: "download_failed", retryable: true, change: func(c map[string]any) { c["size"] = 99_999 }, says: "not 99999"},
	} {
		e := startEngine(t)
		e.downloading()
		e.send(first, installOf(serving(t, c.answer), c.change))
		r := e.awaitResult(first, "c1", protocol.ResultFailed, 1)
		require.Equal(t, c.code, r.Error.Code, name)
		require.Equal(t, c.retryable, r.Error.Retryable, name)
		require.Contains(t, r.Error.Message, c.says, name)
		require.Equal(t, "app", r.Component)
	}
}

func TestServersWithoutRangesWillDo(t *testing.T) {
	t.Parallel()
	e := startEngine(t)
	s := e.downloading()
	e.send(first, installOf(serving(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(image) }), func(c map[string]any) { delete(c, "size") }))
	e.awaitResult(first, "c1", protocol.ResultSucceeded, 1)
	require.Equal(t, 1, s.Stats().Ranges)
}

func TestOnlyWhatATrustedAuthorSignedIsInstalled(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	key, err := deviceops.ParseReleaseKey(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	require.NoError(t, err)
	sign := func(version string) func(map[string]any) {
		return func(c map[string]any) {
			signed := deviceops.ComponentChange{Name: "app", To: version, SHA256: c["sha256"].(string), Size: c["size"].(int64)}
			c["signature"] = base64.StdEncoding.EncodeToString(ed25519.Sign(private, signed.Statement("app@1.1.0")))
		}
	}
	for want, change := range map[string]func(map[string]any){"": sign("1.1.0"), "not signed": nil, "signed as another version": sign("1.2.0")} {
		e := startEngine(t)
		s := e.downloading(key)
		e.send(first, installOf(serving(t, nil), change))
		if want == "" {
			e.awaitResult(first, "c1", protocol.ResultSucceeded, 1)
			continue
		}
		r := e.awaitResult(first, "c1", protocol.ResultFailed, 1)
		require.Equal(t, "bad_signature", r.Error.Code, want)
		require.False(t, r.Error.Retryable)
		require.Zero(t, s.Stats().Ranges, want)
	}
}
