package artifact_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/artifact"
	"github.com/deviceops/deviceops/codec"
)

// bucket answers as S3 does to what a store asks: it holds one bucket, path style,
// of single and multipart uploads, conditional writes and ranged reads.
type bucket struct {
	mu      sync.Mutex
	objects map[string][]byte
	parts   map[string][]byte // by upload and number
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	key, q := strings.TrimPrefix(r.URL.Path, "/releases/"), r.URL.Query()
	object, exists := b.objects[key]
	number := func(n string) string { return q.Get("uploadId") + "/" + n }
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", "u1")
	case r.Method == http.MethodPut && q.Has("partNumber"):
		b.parts[number(q.Get("partNumber"))] = body
		w.Header().Set("ETag", `"part"`)
	case (r.Method == http.MethodPut || r.Method == http.MethodPost) && exists && r.Header.Get("If-None-Match") == "*":
		w.WriteHeader(http.StatusPreconditionFailed)
		fmt.Fprint(w, "<Error><Code>PreconditionFailed</Code></Error>")
	case r.Method == http.MethodPost:
		var list struct{ Part []struct{ PartNumber string } }
		_ = xml.Unmarshal(body, &list)
		for _, p := range list.Part {
			b.objects[key] = append(b.objects[key], b.parts[number(p.PartNumber)]...)
		}
		fmt.Fprint(w, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
	case r.Method == http.MethodPut:
		b.objects[key] = body
	case exists:
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(object))
	case q.Has("list-type"):
		fmt.Fprint(w, "<ListBucketResult></ListBucketResult>")
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, "<Error><Code>NoSuchKey</Code></Error>")
	}
}

func TestContentMayLieInS3(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "canary")
	b := &bucket{objects: map[string][]byte{}, parts: map[string][]byte{}}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	ring, err := codec.OpenKeyring(t.Context(), codec.Config{Secrets: &secret{keys(t, "k1")}, Reference: "engine/artifact-keys"})
	require.NoError(t, err)
	store, err := artifact.Open(t.Context(), artifact.Config{
		URL: "s3://releases?region=us-east-1&use_path_style=true&endpoint=" + server.URL, Keys: ring, Records: &records{},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	w := world{Store: store}

	for _, size := range []int{100_000, 12 << 20} { // in one piece, and in several
		content := noise(size)
		a := w.put(t, "acme/emea", content)
		back, err := w.read(t, "acme/emea/shops", a.SHA256)
		require.NoError(t, err)
		require.Equal(t, a.SHA256, hashOf(back))
		got, _, err := store.Content(t.Context(), "acme/emea", a.SHA256)
		require.NoError(t, err)
		_, err = got.Seek(int64(size)-1000, io.SeekStart)
		require.NoError(t, err)
		end, err := io.ReadAll(got)
		require.NoError(t, err)
		require.Equal(t, content[size-1000:], end)
		require.NoError(t, got.Close())
		require.False(t, bytes.Contains(b.objects["acme+emea/"+a.SHA256[:2]+"/"+a.SHA256], content[:16]))
	}

	held := len(b.objects)
	tampered := sha256.Sum256([]byte("something else"))
	_, _, err = store.Put(t.Context(), deviceops.Artifact{Account: "acme", SHA256: fmt.Sprintf("%x", tampered)}, bytes.NewReader(noise(12<<20)))
	require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
	require.Len(t, b.objects, held, "an upload that is given up leaves no object")
}
