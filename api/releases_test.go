package api_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/artifact"
	"github.com/deviceops/deviceops/codec"
)

// keyDocument is a provider of secrets that knows one, fresh keys.
type keyDocument struct{ text string }

func (k keyDocument) Secret(context.Context, string, string) (string, error) { return k.text, nil }

// openArtifacts gives an artifact store in a folder.
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

func sumOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// upload puts content as Anna and gives its hash.
func (r *rig) upload(content string) string {
	r.Helper()
	var report deviceops.ArtifactReport
	r.as(anna, http.MethodPut, "/v1/artifacts/"+sumOf(content), content, "X-Reason", "new image").into(&report)
	require.EqualValues(r, len(content), report.Size)
	return report.SHA256
}

// kioskRelease asks for kiosk-os@version out of uploaded content.
func kioskRelease(version, sum string) deviceops.ReleaseRequest {
	return deviceops.ReleaseRequest{Project: "kiosk-os", Version: version, Components: []deviceops.ComponentRequest{{Name: "os", SHA256: sum}}}
}

func TestUploads(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	content := strings.Repeat("the image of the kiosk", 10_000)
	path := "/v1/artifacts/" + sumOf(content)
	r.as(anna, http.MethodGet, path, nil).refused(404, deviceops.ENOTFOUND)
	require.Contains(t, r.as(anna, http.MethodPut, path, content+"tampered").refused(422, deviceops.EINVALID), "nothing was stored")
	r.as(olga, http.MethodPut, path, content).refused(403, deviceops.EFORBIDDEN)
	r.as(anna, http.MethodPut, path+"?account=globex", content).refused(404, deviceops.ENOTFOUND)

	r.upload(content)
	entry := r.audited("artifact:" + sumOf(content))
	require.Equal(t, "artifact.upload", entry.Action)
	require.Equal(t, "new image", entry.Reason)
	var again deviceops.ArtifactReport
	r.as(anna, http.MethodPut, path, content).into(&again)
	require.False(t, again.Created)
	var found deviceops.Artifact
	r.as(victor, http.MethodGet, path, nil).into(&found)
	require.Equal(t, deviceops.Artifact{Account: "acme", SHA256: sumOf(content), Size: int64(len(content)), CreatedBy: "user:anna", CreatedAt: now}, found)
	r.as(stranger, http.MethodGet, path, nil).refused(404, deviceops.ENOTFOUND)
}

func TestDownloads(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	content := strings.Repeat("0123456789abcdef", 10_000)
	sum := r.upload(content)
	signed, err := r.signer.SignedURL(t.Context(), "acme/emea", sum, time.Minute)
	require.NoError(t, err)
	path := strings.TrimPrefix(signed, "https://devices.example.com")

	whole := r.as("", http.MethodGet, path, nil)
	require.Equal(t, 200, whole.status)
	require.Equal(t, sum, sumOf(whole.body))
	tag := whole.header.Get("ETag")
	part := r.as("", http.MethodGet, path, nil, "Range", "bytes=70000-70015", "If-Range", tag)
	require.Equal(t, 206, part.status)
	require.Equal(t, content[70000:70016], part.body)
	require.Equal(t, "bytes 70000-70015/160000", part.header.Get("Content-Range"))
	require.Equal(t, 416, r.as("", http.MethodGet, path, nil, "Range", "bytes=160000-").status)
	require.Equal(t, "160000", r.as("", http.MethodHead, path, nil).header.Get("Content-Length"))

	require.Contains(t, r.as("", http.MethodGet, strings.Replace(path, "account=acme", "account=globex", 1), nil).refused(403, deviceops.EFORBIDDEN), "was not signed")
	require.Contains(t, r.as(root, http.MethodGet, "/v1/artifacts/"+sum+"/content", nil).refused(403, deviceops.EFORBIDDEN), "was not signed")
	r.clock.Store(int64(2 * time.Minute))
	require.Contains(t, r.as("", http.MethodGet, path, nil).refused(403, deviceops.EFORBIDDEN), "has expired")
}

func TestReleases(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sum := r.upload("an image")
	request := kioskRelease("2.4.0", sum)
	request.Components = append(request.Components, deviceops.ComponentRequest{Name: "player", Version: "7", URL: "https://cdn.example.com/p", SHA256: sumOf("p")})
	request.Requires, request.From, request.Irreversible = map[string]deviceops.Constraint{"boot": ">=3"}, ">=2", true

	var report deviceops.ReleaseReport
	r.as(anna, http.MethodPost, "/v1/releases", request, "X-Reason", "quieter").into(&report)
	require.Equal(t, deviceops.ReleaseCreated, report.Outcome)
	require.Equal(t, deviceops.Component{Name: "os", Kind: "os", Version: "2.4.0", SHA256: sum, Size: 8}, report.Release.Components[0])
	require.Equal(t, "user:anna", report.Release.CreatedBy)
	require.False(t, report.Release.Reversible)
	entry := r.audited("release:kiosk-os@2.4.0")
	require.Equal(t, []any{"release.create", "quieter", report.Release.Hash}, []any{entry.Action, entry.Reason, entry.Evidence["hash"]})

	r.as(anna, http.MethodPost, "/v1/releases", request).into(&report)
	require.Equal(t, deviceops.ReleaseUnchanged, report.Outcome)
	request.From = ">=2.2"
	require.Contains(t, r.as(anna, http.MethodPost, "/v1/releases", request).refused(409, deviceops.ECONFLICT), "from is >=2, yours is >=2.2")

	var found deviceops.Release
	r.as(victor, http.MethodGet, "/v1/releases/kiosk-os/2.4.0", nil).into(&found)
	require.Equal(t, report.Release, found)
	r.as(stranger, http.MethodGet, "/v1/releases/kiosk-os/2.4.0", nil).refused(404, deviceops.ENOTFOUND)
}

func TestReleasesThatAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sum := r.upload("an image")
	missing := r.as(anna, http.MethodPost, "/v1/releases", kioskRelease("1", sumOf("never sent"))).refused(422, deviceops.EINVALID)
	require.Contains(t, missing, "component os: account acme has no content of SHA-256 "+sumOf("never sent"))
	request := kioskRelease("1", sum)
	request.Components[0].Size = 9
	require.Contains(t, r.as(anna, http.MethodPost, "/v1/releases", request).refused(422, deviceops.EINVALID), "its size is 9, and what was uploaded has 8 bytes")
	r.as(anna, http.MethodPost, "/v1/releases", kioskRelease("1 2", sum)).refused(422, deviceops.EINVALID)
	r.as(olga, http.MethodPost, "/v1/releases", kioskRelease("1", sum)).refused(403, deviceops.EFORBIDDEN)
	r.as(anna, http.MethodPost, "/v1/releases?account=globex", kioskRelease("1", sum)).refused(404, deviceops.ENOTFOUND)
}

func TestReleasesAreListedInPages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sum := r.upload("an image")
	for _, version := range []string{"1", "2", "3+build", "4"} {
		r.as(anna, http.MethodPost, "/v1/releases", kioskRelease(version, sum)).into(&deviceops.ReleaseReport{})
	}
	var versions []string
	for next, pages := "", 0; pages == 0 || next != ""; pages++ {
		var page struct {
			Items []deviceops.Release
			Next  string
		}
		r.as(victor, http.MethodGet, "/v1/releases?project=kiosk-os&limit=3&cursor="+next, nil).into(&page)
		for _, release := range page.Items {
			versions = append(versions, release.Version)
		}
		next = page.Next
	}
	require.Equal(t, []string{"4", "3+build", "2", "1"}, versions)
}

func TestReleaseKeys(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sum := r.upload("an image")
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))

	r.as(anna, http.MethodPost, "/v1/releases", kioskRelease("1", sum)).into(&deviceops.ReleaseReport{})
	r.as(anna, http.MethodPost, "/v1/release-keys", deviceops.ReleaseKeyRequest{Name: "ci", PEM: text}).refused(403, deviceops.EFORBIDDEN)
	var key deviceops.ReleaseKeyReport
	r.as(root, http.MethodPost, "/v1/release-keys?account=acme", deviceops.ReleaseKeyRequest{Name: "ci", PEM: text, Reason: "policy"}).into(&key)
	require.True(t, key.Created)
	require.Equal(t, deviceops.Ed25519, key.Algorithm)
	require.Equal(t, "policy", r.audited("release_key:"+key.ID).Reason)

	require.Contains(t, r.as(anna, http.MethodPost, "/v1/releases", kioskRelease("2", sum)).refused(403, deviceops.EFORBIDDEN), "takes signed releases only")
	sign := func(version string) deviceops.ReleaseRequest {
		request := kioskRelease(version, sum)
		request.Components[0].Size = 8
		release := request.Release()
		release.Signer = key.ID
		release.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(private, release.Statement()))
		release.Components[0].Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(private, release.ComponentStatement(release.Components[0])))
		return release.Request()
	}
	forged := sign("2")
	forged.Notes = "something else"
	require.Contains(t, r.as(anna, http.MethodPost, "/v1/releases", forged).refused(403, deviceops.EFORBIDDEN), "over this content")
	for version, want := range map[string]string{"1": deviceops.ReleaseSigned, "2": deviceops.ReleaseCreated} {
		var report deviceops.ReleaseReport
		r.as(anna, http.MethodPost, "/v1/releases", sign(version)).into(&report)
		require.Equal(t, want, report.Outcome)
		require.Equal(t, key.ID, report.Release.Signer)
	}
	require.Equal(t, "release.sign", r.audited("release:kiosk-os@1").Action)

	var left struct{ Items []deviceops.ReleaseKey }
	r.as(victor, http.MethodGet, "/v1/release-keys", nil).into(&left)
	require.Len(t, left.Items, 1)
	r.as(root, http.MethodDelete, "/v1/release-keys/"+key.ID, nil).refused(404, deviceops.ENOTFOUND)
	r.as(root, http.MethodDelete, "/v1/release-keys/"+key.ID+"?account=acme", nil, "X-Reason", "leaked").into(&left)
	require.Empty(t, left.Items)
	require.Equal(t, "leaked", r.audited("release_key:"+key.ID).Reason)
	require.Contains(t, r.as(anna, http.MethodPost, "/v1/releases", sign("3")).refused(403, deviceops.EFORBIDDEN), "is not registered for account acme")
}

func TestReleaseDocuments(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sum := r.upload("an image")
	document := "release: kiosk-os@2.4.0\ncomponents:\n  os: { sha256: " + sum + " }\n"
	require.Equal(t, []string{"release kiosk-os@2.4.0 created"}, outcomes(r.publish(anna, "?dry_run=true", document)))
	r.as(victor, http.MethodGet, "/v1/releases/kiosk-os/2.4.0", nil).refused(404, deviceops.ENOTFOUND)
	require.Equal(t, []string{"release kiosk-os@2.4.0 created"}, outcomes(r.publish(anna, "", document)))
	require.Equal(t, []string{"release kiosk-os@2.4.0 unchanged"}, outcomes(r.publish(anna, "", document)))
	require.Equal(t, "test", r.audited("release:kiosk-os@2.4.0").Reason)
	for want, text := range map[string]string{
		"notes is not set, yours is new": document + "notes: new\n",
		"has no content of SHA-256":      strings.ReplaceAll(document, sum, sumOf("never sent")),
	} {
		report := r.publish(anna, "", text)
		require.Equal(t, []string{"release kiosk-os@2.4.0 refused"}, outcomes(report))
		require.Contains(t, report.Documents[0].Diagnostics[0].Message, want)
	}
}
