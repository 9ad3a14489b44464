package artifact_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/artifact"
	"github.com/deviceops/deviceops/codec"
)

// records are deviceops.ArtifactRecords in memory.
type records struct {
	mu    sync.Mutex
	known map[string]deviceops.Artifact // by account and hash
	finds int
	err   error
}

func (r *records) SaveArtifact(_ context.Context, a deviceops.Artifact) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[string]deviceops.Artifact{}
	}
	r.known[a.Account+" "+a.SHA256] = a
	return r.err
}

func (r *records) FindArtifact(_ context.Context, account, sha256 string) (deviceops.Artifact, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finds++
	for _, owner := range deviceops.AccountLine(account) {
		if a, ok := r.known[owner+" "+sha256]; ok {
			return a, nil
		}
	}
	return deviceops.Artifact{}, deviceops.Errorf(deviceops.ENOTFOUND, "there is no content %s", sha256)
}

// secret is a provider of one secret.
type secret struct{ text string }

func (s *secret) Secret(context.Context, string, string) (string, error) { return s.text, nil }

// keys gives a document with keys of these names, the first of which is current.
func keys(t testing.TB, names ...string) string {
	t.Helper()
	all := map[string]string{}
	for _, name := range names {
		sum := sha256.Sum256([]byte(name))
		all[name] = base64.StdEncoding.EncodeToString(sum[:])
	}
	text, err := json.Marshal(map[string]any{"current": names[0], "keys": all})
	require.NoError(t, err)
	return string(text)
}

// world is a store in a folder.
type world struct {
	*artifact.Store
	records *records
	dir     string
}

func newWorld(t testing.TB, dir string, r *records, keyNames ...string) world {
	t.Helper()
	ring, err := codec.OpenKeyring(t.Context(), codec.Config{Secrets: &secret{keys(t, keyNames...)}, Reference: "engine/artifact-keys"})
	require.NoError(t, err)
	store, err := artifact.Open(t.Context(), artifact.Config{URL: "file://" + dir, Keys: ring, Records: r})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return world{store, r, dir}
}

func fresh(t testing.TB) world {
	return newWorld(t, filepath.Join(t.TempDir(), "store"), &records{}, "k1")
}

func hashOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// noise gives n bytes that do not repeat.
func noise(n int) []byte {
	content := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(content)
	return content
}

func (w world) put(t testing.TB, account string, content []byte) deviceops.Artifact {
	t.Helper()
	a, created, err := w.Put(t.Context(), deviceops.Artifact{Account: account, SHA256: hashOf(content), CreatedBy: "user:maria"}, bytes.NewReader(content))
	require.NoError(t, err)
	require.True(t, created)
	return a
}

func (w world) read(t testing.TB, account, sum string) ([]byte, error) {
	t.Helper()
	content, _, err := w.Content(t.Context(), account, sum)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return io.ReadAll(content)
}

// files gives the files of the bucket.
func (w world) files(t testing.TB) (paths []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, path)
		}
		return err
	}))
	return paths
}

func TestContentComesBackAsItWas(t *testing.T) {
	t.Parallel()
	const chunk = artifact.ChunkSize
	for _, size := range []int{0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 5*chunk + 17} {
		w := fresh(t)
		content := noise(size)
		a := w.put(t, "acme/emea", content)
		require.EqualValues(t, size, a.Size)
		back, err := w.read(t, "acme/emea/shops", a.SHA256)
		require.NoError(t, err)
		require.Equal(t, a.SHA256, hashOf(back), "%d bytes", size)
	}
}

func TestContentIsReadFromAnywhere(t *testing.T) {
	t.Parallel()
	w := fresh(t)
	want := noise(3*artifact.ChunkSize + 100)
	a := w.put(t, "acme", want)
	got, found, err := w.Content(t.Context(), "acme", a.SHA256)
	require.NoError(t, err)
	defer got.Close()
	require.Equal(t, a, found)
	require.NoError(t, iotest.TestReader(got, want))
	dice := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		from := dice.IntN(len(want))
		length := dice.IntN(min(len(want)-from, 100_000)) + 1
		at, err := got.Seek(int64(from), io.SeekStart)
		require.NoError(t, err)
		require.EqualValues(t, from, at)
		part := make([]byte, length)
		_, err = io.ReadFull(got, part)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want[from:from+length], part), "%d bytes from %d", length, from)
	}
	_, err = got.Seek(-1, io.SeekStart)
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
}

func TestTheBucketHoldsNoPlainText(t *testing.T) {
	t.Parallel()
	w := fresh(t)
	canary := []byte("the firmware of the kiosk, in clear")
	w.put(t, "acme", bytes.Repeat(canary, 10_000))
	paths := w.files(t)
	require.Len(t, paths, 1, "an object and nothing beside it")
	stored, err := os.ReadFile(paths[0])
	require.NoError(t, err)
	require.Greater(t, len(stored), 350_000)
	require.False(t, bytes.Contains(stored, canary[:8]))
	info, err := os.Stat(filepath.Dir(paths[0]))
	require.NoError(t, err)
	require.EqualValues(t, 0o700, info.Mode().Perm())
}

func TestOtherContentThanAnnouncedIsRefused(t *testing.T) {
	t.Parallel()
	w := fresh(t)
	content := noise(300_000)
	tampered := bytes.Clone(content)
	tampered[200_000] ^= 1
	_, _, err := w.Put(t.Context(), deviceops.Artifact{Account: "acme", SHA256: hashOf(content)}, bytes.NewReader(tampered))
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
	require.ErrorContains(t, err, "the content has SHA-256 "+hashOf(tampered)+", not "+hashOf(content))
	require.Empty(t, w.files(t), "nothing is left behind")
	_, err = w.read(t, "acme", hashOf(content))
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))

	w.put(t, "acme", content)
	_, _, err = w.Put(t.Context(), deviceops.Artifact{Account: "acme", SHA256: hashOf(content)}, bytes.NewReader(tampered))
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err), "though the right content is there")
	_, _, err = w.Put(t.Context(), deviceops.Artifact{Account: "acme", SHA256: "../../etc"}, bytes.NewReader(content))
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
}

func TestAnUploadThatBreaksOffLeavesNothing(t *testing.T) {
	t.Parallel()
	w := fresh(t)
	broken := io.MultiReader(bytes.NewReader(noise(200_000)), iotest.ErrReader(errors.New("connection reset")))
	_, _, err := w.Put(t.Context(), deviceops.Artifact{Account: "acme", SHA256: strings.Repeat("a", 64)}, broken)
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(err))
	require.Empty(t, w.files(t))
}

func TestContentIsStoredOnce(t *testing.T) {
	t.Parallel()
	w := fresh(t)
	content := noise(100_000)
	w.put(t, "acme", content)
	_, created, err := w.Put(t.Context(), deviceops.Artifact{Account: "acme", SHA256: hashOf(content)}, bytes.NewReader(content))
	require.NoError(t, err)
	require.False(t, created)
	w.put(t, "other", content) // whoever uploads what another account has learns nothing of it
	require.Len(t, w.files(t), 2)

	clear(w.records.known) // as if the process had died before it wrote the record
	w.put(t, "acme", content)
	back, err := w.read(t, "acme", hashOf(content))
	require.NoError(t, err)
	require.Equal(t, hashOf(content), hashOf(back))
}

func TestDamageIsNoticed(t *testing.T) {
	t.Parallel()
	content := noise(3 * artifact.ChunkSize)
	const sealed = artifact.ChunkSize + 16
	for name, spoil := range map[string]func(stored []byte) []byte{
		"a bit of a chunk": func(b []byte) []byte { b[len(b)-sealed-5] ^= 1; return b },
		"cut off":          func(b []byte) []byte { return b[:len(b)-1] },
		"a chunk less":     func(b []byte) []byte { return b[:len(b)-sealed] },
		"chunks swapped": func(b []byte) []byte {
			first, second := b[len(b)-3*sealed:len(b)-2*sealed], b[len(b)-2*sealed:len(b)-sealed]
			swapped := bytes.Clone(first)
			copy(first, second)
			copy(second, swapped)
			return b
		},
		"no header":    func(b []byte) []byte { return bytes.Repeat([]byte{0}, len(b)) },
		"short header": func(b []byte) []byte { return b[:20] },
		"odd header":   func(b []byte) []byte { b[12] = '['; return b },
		"data key":     func(b []byte) []byte { b[60] ^= 1; return b },
	} {
		w := fresh(t)
		a := w.put(t, "acme", content)
		path := w.files(t)[0]
		stored, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, spoil(stored), 0o600))
		_, err = w.read(t, "acme", a.SHA256)
		require.Contains(t, []string{deviceops.EINTERNAL, deviceops.EINVALID}, deviceops.ErrorCode(err), name)
	}
}

func TestAnObjectInThePlaceOfAnotherIsNoticed(t *testing.T) {
	t.Parallel()
	w := fresh(t)
	a := w.put(t, "acme", noise(1000))
	first := w.files(t)[0]
	b := w.put(t, "acme", noise(1001)[1:])
	for _, path := range w.files(t) {
		if path != first {
			stored, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(first, stored, 0o600))
		}
	}
	_, err := w.read(t, "acme", b.SHA256)
	require.NoError(t, err)
	_, err = w.read(t, "acme", a.SHA256)
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
}

func TestKeysRotate(t *testing.T) {
	t.Parallel()
	dir, r := filepath.Join(t.TempDir(), "store"), &records{}
	before := newWorld(t, dir, r, "k1").put(t, "acme", noise(1000))
	rotated := newWorld(t, dir, r, "k2", "k1")
	after := rotated.put(t, "acme", noise(2000))
	for _, a := range []deviceops.Artifact{before, after} {
		_, err := rotated.read(t, "acme", a.SHA256)
		require.NoError(t, err)
	}
	forgetful := newWorld(t, dir, r, "k2")
	_, err := forgetful.read(t, "acme", after.SHA256)
	require.NoError(t, err)
	_, err = forgetful.read(t, "acme", before.SHA256)
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))
	require.ErrorContains(t, err, `"k1"`)
}

func TestBucketsThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"/var/lib/artifacts":                          "is no URL",
		"ftp://host/folder":                           "the artifact store ftp://host/folder cannot be opened",
		"odd://user:canary@host/folder?secret=canary": "the artifact store odd://host/folder cannot be opened",
	} {
		_, err := artifact.Open(t.Context(), artifact.Config{URL: url})
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err), url)
		require.ErrorContains(t, err, want)
	}
}

// endless gives n bytes without holding them.
type endless struct{ left int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), e.left)
	clear(p[:n])
	e.left -= n
	return int(n), nil
}

// peak gives how far the live heap rose while f ran, in bytes.
func peak(f func()) uint64 {
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	done, highest := make(chan struct{}), uint64(0)
	var watch sync.WaitGroup
	watch.Go(func() {
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-tick.C:
				runtime.GC()
				runtime.ReadMemStats(&now)
				highest = max(highest, now.HeapAlloc)
			case <-done:
				return
			}
		}
	})
	f()
	close(done)
	watch.Wait()
	return highest - min(highest, before.HeapAlloc)
}

func TestMemoryStaysFlat(t *testing.T) { // not parallel: it measures the process
	const size = 200 << 20
	w := fresh(t)
	sum := sha256.New()
	_, err := io.Copy(sum, &endless{size})
	require.NoError(t, err)
	a := deviceops.Artifact{Account: "acme", SHA256: hex.EncodeToString(sum.Sum(nil))}
	rose := peak(func() { _, _, err = w.Put(t.Context(), a, &endless{size}) })
	require.NoError(t, err)
	require.Less(t, rose, uint64(8<<20))
	content, _, err := w.Content(t.Context(), "acme", a.SHA256)
	require.NoError(t, err)
	defer content.Close()
	read := peak(func() { _, err = io.Copy(io.Discard, content) })
	require.NoError(t, err)
	require.Less(t, read, uint64(8<<20))
	t.Logf("200 MiB: the live heap rose by %d KiB to store, %d KiB to read", rose>>10, read>>10)
}
