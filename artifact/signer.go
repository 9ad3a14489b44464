package artifact

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/deviceops/deviceops"
)

// DefaultTTL is how long a signed URL lets a download begin.
const DefaultTTL = time.Hour

// SignerConfig says how URLs are signed. All processes of an installation need
// the same Key.
type SignerConfig struct {
	Records deviceops.ArtifactRecords
	Key     []byte
	BaseURL string        // of the API as devices reach it: https://devices.example.com
	TTL     time.Duration // default: DefaultTTL
	Now     func() time.Time
}

// Signer signs URLs and checks them. It implements deviceops.Artifacts and is
// safe for concurrent use.
type Signer struct {
	config SignerConfig

	mu     sync.Mutex
	owners map[link]string // whose content is meant; artifacts are never removed
}

// link is what a URL is bound to, but for its time.
type link struct{ account, sha256 string }

// maxOwners bounds the memory of a Signer; a rollout needs as many as it has
// components, for each account.
const maxOwners = 10_000

// NewSigner makes a Signer.
func NewSigner(c SignerConfig) *Signer {
	if c.TTL <= 0 {
		c.TTL = DefaultTTL
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	return &Signer{config: c, owners: map[link]string{}}
}

// SignedURL implements deviceops.Artifacts. EUNAVAILABLE when it is not known
// where devices reach the API.
func (s *Signer) SignedURL(ctx context.Context, account, sha256 string, ttl time.Duration) (string, error) {
	if s.config.BaseURL == "" {
		return "", deviceops.Errorf(deviceops.EUNAVAILABLE, "this process does not know by which URL devices download: set --artifact-url")
	}
	owner, err := s.owner(ctx, account, sha256)
	if err != nil {
		return "", err
	}
	if ttl <= 0 {
		ttl = s.config.TTL
	}
	expires := strconv.FormatInt(s.config.Now().Add(ttl).Unix(), 10)
	q := url.Values{"account": {owner}, "expires": {expires}, "signature": {s.sign(owner, sha256, expires)}}
	return s.config.BaseURL + "/v1/artifacts/" + sha256 + "/content?" + q.Encode(), nil
}

func (s *Signer) owner(ctx context.Context, account, sha256 string) (string, error) {
	asked := link{account, sha256}
	s.mu.Lock()
	owner, known := s.owners[asked]
	s.mu.Unlock()
	if known {
		return owner, nil
	}
	a, err := s.config.Records.FindArtifact(ctx, account, sha256)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.owners) >= maxOwners {
		clear(s.owners)
	}
	s.owners[asked] = a.Account
	return a.Account, nil
}

// CheckURL gives EFORBIDDEN unless the values of a URL were signed for this
// content, and their time is not over.
func (s *Signer) CheckURL(account, sha256, expires, signature string) error {
	if !hmac.Equal([]byte(signature), []byte(s.sign(account, sha256, expires))) {
		return deviceops.Errorf(deviceops.EFORBIDDEN, "this URL was not signed by the installation, or was changed")
	}
	until, err := strconv.ParseInt(expires, 10, 64)
	if err != nil || s.config.Now().Unix() > until {
		return deviceops.Errorf(deviceops.EFORBIDDEN, "this URL has expired; the command brings a new one when it is delivered again")
	}
	return nil
}

func (s *Signer) sign(account, sha string, expires string) string {
	mac := hmac.New(sha256.New, s.config.Key)
	fmt.Fprintf(mac, "deviceops-download\x00%s\x00%s\x00%s", account, sha, expires)
	return hex.EncodeToString(mac.Sum(nil))
}
