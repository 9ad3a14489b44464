package artifact_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/artifact"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

var someSum = strings.Repeat("ab", 32)

// office is a Signer whose clock is set by hand.
type office struct {
	*artifact.Signer
	records *records
	now     time.Time
}

func newOffice(t *testing.T, key string) *office {
	t.Helper()
	o := &office{records: &records{}, now: noon}
	require.NoError(t, o.records.SaveArtifact(t.Context(), deviceops.Artifact{Account: "acme", SHA256: someSum}))
	o.Signer = artifact.NewSigner(artifact.SignerConfig{
		Records: o.records, Key: []byte(key), BaseURL: "https://devices.example.com/", Now: func() time.Time { return o.now },
	})
	return o
}

// check reads a signed URL as the API does.
func (o *office) check(t *testing.T, text string, change ...func(url.Values)) error {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	sum, ok := strings.CutPrefix(strings.TrimSuffix(u.Path, "/content"), "/v1/artifacts/")
	require.True(t, ok)
	q := u.Query()
	for _, f := range change {
		f(q)
	}
	if other := q.Get("sha256"); other != "" {
		sum = other
	}
	return o.CheckURL(q.Get("account"), sum, q.Get("expires"), q.Get("signature"))
}

func TestSignedURLs(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "key")
	text, err := o.SignedURL(t.Context(), "acme/shops", someSum, 0)
	require.NoError(t, err)
	require.Regexp(t, `^https://devices\.example\.com/v1/artifacts/`+someSum+`/content\?account=acme&expires=1780318800&signature=[0-9a-f]{64}$`, text)
	require.NoError(t, o.check(t, text))
	require.NoError(t, newOffice(t, "key").check(t, text), "any process of the installation checks it")
	for name, change := range map[string]func(url.Values){
		"account":   func(q url.Values) { q.Set("account", "other") },
		"content":   func(q url.Values) { q.Set("sha256", strings.Repeat("cd", 32)) },
		"time":      func(q url.Values) { q.Set("expires", strconv.FormatInt(noon.Add(48*time.Hour).Unix(), 10)) },
		"signature": func(q url.Values) { q.Del("signature") },
	} {
		err := o.check(t, text, change)
		require.Equal(t, deviceops.EFORBIDDEN, deviceops.ErrorCode(err), name)
		require.ErrorContains(t, err, "was not signed by the installation")
	}
	require.Equal(t, deviceops.EFORBIDDEN, deviceops.ErrorCode(newOffice(t, "other key").check(t, text)))
}

func TestSignedURLsExpire(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "key")
	usual, err := o.SignedURL(t.Context(), "acme", someSum, 0)
	require.NoError(t, err)
	short, err := o.SignedURL(t.Context(), "acme", someSum, time.Minute)
	require.NoError(t, err)
	o.now = noon.Add(2 * time.Minute)
	require.NoError(t, o.check(t, usual))
	err = o.check(t, short)
	require.Equal(t, deviceops.EFORBIDDEN, deviceops.ErrorCode(err))
	require.ErrorContains(t, err, "has expired")
	o.now = noon.Add(artifact.DefaultTTL + time.Second)
	require.ErrorContains(t, o.check(t, usual), "has expired")
}

func TestSigningAsksTheStoreOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "key")
	for range 100 {
		_, err := o.SignedURL(t.Context(), "acme/shops", someSum, 0)
		require.NoError(t, err)
	}
	require.Equal(t, 1, o.records.finds)
	for range 2 {
		_, err := o.SignedURL(t.Context(), "acmecorp", someSum, 0)
		require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))
	}
	require.Equal(t, 3, o.records.finds, "what is not there may come")
}

func TestSigningNeedsAnAddress(t *testing.T) {
	t.Parallel()
	s := artifact.NewSigner(artifact.SignerConfig{Records: &records{}, Key: []byte("key")})
	_, err := s.SignedURL(t.Context(), "acme", someSum, 0)
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(err))
	require.ErrorContains(t, err, "--artifact-url")
}
