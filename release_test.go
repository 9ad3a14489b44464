package deviceops_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

var (
	sumA = strings.Repeat("a", 64)
	sumB = strings.Repeat("b", 64)
)

// kiosk gives kiosk-os@2.4.0, changed.
func kiosk(change ...func(*deviceops.Release)) *deviceops.Release {
	r := &deviceops.Release{
		Account: "acme", Project: "kiosk-os", Version: "2.4.0", Reversible: true,
		Components: []deviceops.Component{
			{Name: "os", SHA256: sumA, Size: 20},
			{Name: "player", Version: "7.1", SHA256: sumB, Size: 4, Order: 2, Signature: "c2ln", URL: "https://cdn.example.com/player"},
		},
	}
	for _, f := range change {
		f(r)
	}
	r.Normalize()
	return r
}

func TestReleaseRefs(t *testing.T) {
	t.Parallel()
	ref, err := deviceops.ParseReleaseRef("kiosk-os@2.4.0+build.7")
	require.NoError(t, err)
	require.Equal(t, deviceops.ReleaseRef{Project: "kiosk-os", Version: "2.4.0+build.7"}, ref)
	require.Equal(t, "kiosk-os@2.4.0+build.7", ref.String())
	for _, bad := range []string{"", "kiosk-os", "@2", "kiosk@", "a b@1", "kiosk@2@3", "kiosk/os@1"} {
		_, err := deviceops.ParseReleaseRef(bad)
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err), bad)
	}
}

func TestNormalizedReleases(t *testing.T) {
	t.Parallel()
	r := kiosk(func(r *deviceops.Release) { r.Components[0].SHA256 = strings.ToUpper(sumA) })
	require.NoError(t, r.Check())
	require.Equal(t, deviceops.Component{Name: "os", Kind: "os", Version: "2.4.0", SHA256: sumA, Size: 20}, r.Components[0])
	require.Equal(t, "app", r.Components[1].Kind)
	require.Equal(t, map[string]string{"os": "2.4.0", "player": "7.1"}, r.Versions())
	require.EqualValues(t, 24, r.Size())
}

func TestReleasesThatNoDeviceCouldFollow(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*deviceops.Release){
		"write project@version":            func(r *deviceops.Release) { r.Version = "2 4" },
		"has 0 components":                 func(r *deviceops.Release) { r.Components = nil },
		"has 65 components":                func(r *deviceops.Release) { r.Components = make([]deviceops.Component, 65) },
		"names component os twice":         func(r *deviceops.Release) { r.Components[1].Name = "os" },
		`component "o s": a name`:          func(r *deviceops.Release) { r.Components[0].Name = "o s" },
		`is of kind "disk"`:                func(r *deviceops.Release) { r.Components[0].Kind = "disk" },
		`"2/4" is no version`:              func(r *deviceops.Release) { r.Components[0].Version = "2/4" },
		"sha256 is the hash":               func(r *deviceops.Release) { r.Components[0].SHA256 = "abc" },
		"has size -1":                      func(r *deviceops.Release) { r.Components[0].Size = -1 },
		"is no http:// or https:// URL":    func(r *deviceops.Release) { r.Components[0].URL = "file:///etc/passwd" },
		"is no name of a group":            func(r *deviceops.Release) { r.Components[0].Group = "a/b" },
		"requires boot: version":           func(r *deviceops.Release) { r.Requires = map[string]deviceops.Constraint{"boot": "~2"} },
		`requires: "b t" is no name`:       func(r *deviceops.Release) { r.Requires = map[string]deviceops.Constraint{"b t": "2"} },
		"from: version constraint":         func(r *deviceops.Release) { r.From = "^2" },
		"notes hold a character that text": func(r *deviceops.Release) { r.Notes = "a\x00" },
	} {
		err := kiosk(change).Check()
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err), want)
		require.ErrorContains(t, err, want)
	}
	only := kiosk(func(r *deviceops.Release) { r.Components, r.Configuration = nil, map[string]any{"a": 1} })
	require.NoError(t, only.Check(), "a release may be a configuration alone")
}

func TestContentHashes(t *testing.T) {
	t.Parallel()
	configured := func(v any) *deviceops.Release {
		return kiosk(func(r *deviceops.Release) { r.Configuration = map[string]any{"brightness": v} })
	}
	require.Equal(t, configured(80).Hash, configured(80.0).Hash, "JSON writes them alike")
	same := kiosk(func(r *deviceops.Release) {
		r.Account, r.CreatedBy, r.CreatedAt, r.Signature, r.Signer = "other", "user:ben", time.Now(), "x", "y"
		r.Components[0].Signature = "z"
	})
	require.Equal(t, kiosk().Hash, same.Hash)
	require.Empty(t, kiosk().Differences(same))
	for want, change := range map[string]func(*deviceops.Release){
		"sha256 of component os is " + sumA + ", yours is " + sumB: func(r *deviceops.Release) { r.Components[0].SHA256 = sumB },
		"component player is not in yours":                         func(r *deviceops.Release) { r.Components = r.Components[:1] },
		"component extra is only in yours": func(r *deviceops.Release) {
			r.Components = append(r.Components, deviceops.Component{Name: "extra"})
		},
		"its components are in another order":                   func(r *deviceops.Release) { r.Components[0], r.Components[1] = r.Components[1], r.Components[0] },
		`configuration is not set, yours is {"a":1}`:            func(r *deviceops.Release) { r.Configuration = map[string]any{"a": 1} },
		`requires is not set, yours is {"boot":">=3"}`:          func(r *deviceops.Release) { r.Requires = map[string]deviceops.Constraint{"boot": ">=3"} },
		"from is not set, yours is >=2":                         func(r *deviceops.Release) { r.From = ">=2" },
		"reversible is true, yours is false":                    func(r *deviceops.Release) { r.Reversible = false },
		"downgrade is false, yours is true":                     func(r *deviceops.Release) { r.Downgrade = true },
		"notes is not set, yours is " + strings.Repeat("n", 80): func(r *deviceops.Release) { r.Notes = strings.Repeat("n", 100) },
	} {
		other := kiosk(change)
		require.NotEqual(t, kiosk().Hash, other.Hash, want)
		found := kiosk().Differences(other)
		require.Len(t, found, 1, want)
		require.Equal(t, want, strings.TrimSuffix(found[0], "…"))
	}
}

func TestFits(t *testing.T) {
	t.Parallel()
	type software = map[string]string
	requires := func(r *deviceops.Release) {
		r.Requires = map[string]deviceops.Constraint{"boot": ">=3", "player": ">=6"}
	}
	from := func(r *deviceops.Release) { r.From = ">=2.2 <2.4" }
	downgrade := func(r *deviceops.Release) { r.Downgrade = true }
	config := func(r *deviceops.Release) { r.Components, r.Configuration = nil, map[string]any{"a": 1} }
	ownVersions := func(r *deviceops.Release) { r.Components[0].Version, r.From = "5", ">=4" }
	for name, c := range map[string]struct {
		change func(*deviceops.Release)
		runs   software
		want   deviceops.Fit
	}{
		"older":            {nil, software{"os": "2.3.0", "player": "7.0"}, deviceops.Fit{"ok", "", "it should get kiosk-os@2.4.0"}},
		"nothing reported": {nil, nil, deviceops.Fit{"ok", "", "it should get kiosk-os@2.4.0"}},
		"already":          {requires, software{"os": "2.4.0", "player": "7.1", "other": "1"}, deviceops.Fit{"already", "", "it runs kiosk-os@2.4.0"}},
		"one is missing":   {nil, software{"os": "2.4.0"}, deviceops.Fit{"ok", "", "it should get kiosk-os@2.4.0"}},
		"configuration":    {config, software{"os": "2.4.0"}, deviceops.Fit{"ok", "", "it should get kiosk-os@2.4.0"}},
		"requires":         {requires, software{"os": "2.3.0", "boot": "2.9", "player": "7"}, deviceops.Fit{"refused", "requires", "kiosk-os@2.4.0 requires boot >=3; it runs 2.9"}},
		"requires more":    {requires, software{"os": "2.3.0", "boot": "3"}, deviceops.Fit{"refused", "requires", "kiosk-os@2.4.0 requires player >=6; it runs none"}},
		"from":             {from, software{"os": "2.3.9", "player": "1"}, deviceops.Fit{"ok", "", "it should get kiosk-os@2.4.0"}},
		"from too old":     {from, software{"os": "2.1"}, deviceops.Fit{"refused", "from", "kiosk-os@2.4.0 starts from >=2.2 <2.4; it runs os 2.1"}},
		"from nowhere":     {from, software{"player": "7"}, deviceops.Fit{"refused", "from", "kiosk-os@2.4.0 starts from >=2.2 <2.4; it has not said what it runs"}},
		"from all": {ownVersions, software{"os": "4.2", "player": "3"},
			deviceops.Fit{"refused", "from", "kiosk-os@2.4.0 starts from >=4; it runs player 3"}},
		"downgrade": {nil, software{"os": "2.3.0", "player": "7.2"}, deviceops.Fit{"refused", "downgrade",
			"it runs player 7.2, which is above 7.1 of kiosk-os@2.4.0, and the release does not say downgrade: allow"}},
		"pre-release":       {nil, software{"os": "2.4.0-rc1", "player": "7.1"}, deviceops.Fit{"ok", "", "it should get kiosk-os@2.4.0"}},
		"downgrade allowed": {downgrade, software{"os": "3", "player": "7.2"}, deviceops.Fit{"ok", "", "it should get kiosk-os@2.4.0"}},
	} {
		r := kiosk()
		if c.change != nil {
			r = kiosk(c.change)
		}
		d := deviceops.Device{Twin: deviceops.Twin{Reported: deviceops.Reported{Software: c.runs}}}
		require.Equal(t, c.want, r.Fits(&d), name)
	}
}

func TestInstallArgs(t *testing.T) {
	t.Parallel()
	r := kiosk(func(r *deviceops.Release) {
		r.Components = append(r.Components, deviceops.Component{Name: "driver", Kind: "firmware", Version: "3", SHA256: sumA, Size: 1, Group: "g"},
			deviceops.Component{Name: "codec", Version: "9", SHA256: sumB, Size: 2, Group: "g"})
	})
	system := map[string]any{"name": "os", "kind": "os", "from": "2.3.0", "to": "2.4.0", "sha256": sumA, "size": int64(20)}
	player := map[string]any{"name": "player", "kind": "app", "to": "7.1", "sha256": sumB, "size": int64(4), "order": int64(2), "signature": "c2ln",
		"url": "https://cdn.example.com/player"}
	driver := map[string]any{"name": "driver", "kind": "firmware", "from": "3", "to": "3", "sha256": sumA, "size": int64(1), "group": "g"}
	codec := map[string]any{"name": "codec", "kind": "app", "from": "8", "to": "9", "sha256": sumB, "size": int64(2), "group": "g"}
	args := func(components ...any) map[string]any {
		return map[string]any{"release": "kiosk-os@2.4.0", "components": components}
	}
	require.Equal(t, args(system, player), r.InstallArgs(map[string]string{"os": "2.3.0", "driver": "3", "codec": "9"}), "what it has is left out")
	require.Equal(t, args(system, player, driver, codec), r.InstallArgs(map[string]string{"os": "2.3.0", "driver": "3", "codec": "8"}), "a group is whole")
	require.Len(t, r.InstallArgs(r.Versions())["components"], 4, "who has all installs all again")
}

// signer makes a key and what signs by it.
func signer(t *testing.T, algorithm string) (deviceops.ReleaseKey, func(statement []byte) string) {
	t.Helper()
	var private crypto.Signer
	var err error
	switch algorithm {
	case deviceops.Ed25519:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	require.NoError(t, err)
	key, err := deviceops.ParseReleaseKey(publicPEM(t, private.Public()))
	require.NoError(t, err)
	require.Equal(t, algorithm, key.Algorithm)
	require.Len(t, key.ID, 16)
	return key, func(statement []byte) string {
		digest, hash := statement, crypto.Hash(0)
		if algorithm == deviceops.ECDSAP256 {
			sum := sha256.Sum256(statement)
			digest, hash = sum[:], crypto.SHA256
		}
		signature, err := private.Sign(rand.Reader, digest, hash)
		require.NoError(t, err)
		return base64.StdEncoding.EncodeToString(signature)
	}
}

func publicPEM(t *testing.T, public crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{deviceops.Ed25519, deviceops.ECDSAP256} {
		key, sign := signer(t, algorithm)
		other, _ := signer(t, algorithm)
		signed := func() *deviceops.Release {
			r := kiosk()
			r.Signature, r.Signer = sign(r.Statement()), key.ID
			for i, c := range r.Components {
				r.Components[i].Signature = sign(r.ComponentStatement(c))
			}
			return r
		}
		keys := []deviceops.ReleaseKey{other, key}
		require.NoError(t, signed().CheckSignature(keys))
		require.NoError(t, kiosk().CheckSignature(nil), "who has no keys needs no signatures")
		for want, spoil := range map[string]func(r *deviceops.Release){
			"kiosk-os@2.4.0 is not signed":                 func(r *deviceops.Release) { r.Signature = "" },
			"which is not registered for account acme":     func(r *deviceops.Release) { r.Signer = "0123" },
			"kiosk-os@2.4.0: the signature is not that of": func(r *deviceops.Release) { r.Notes = "more"; r.Normalize() },
			"component player of kiosk-os@2.4.0: the sig":  func(r *deviceops.Release) { r.Components[1].Signature = r.Components[0].Signature },
			"component os of kiosk-os@2.4.0: the sig":      func(r *deviceops.Release) { r.Components[0].Signature = "" },
			"of key " + other.ID:                           func(r *deviceops.Release) { r.Signer = other.ID },
		} {
			r := signed()
			spoil(r)
			err := r.CheckSignature(keys)
			require.Equal(t, deviceops.EFORBIDDEN, deviceops.ErrorCode(err), want)
			require.ErrorContains(t, err, want)
		}
		require.NoError(t, signed().Trusted(keys))
		require.NoError(t, kiosk().Trusted(keys), "it was stored before there were keys")
		for _, without := range [][]deviceops.ReleaseKey{nil, {other}} {
			err := signed().Trusted(without)
			require.Equal(t, deviceops.EFORBIDDEN, deviceops.ErrorCode(err))
			require.ErrorContains(t, err, "which was removed from account acme")
		}
		r := signed()
		r.Signature = "?"
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(r.CheckSignature(keys)))
	}
}

func TestReleaseKeysThatAreNone(t *testing.T) {
	t.Parallel()
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	for text, want := range map[string]string{
		"hello": "the key is not PEM",
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY"})): "give the public key",
		string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY"})):  "cannot be read",
		publicPEM(t, weak.Public()):                                 "releases are signed by ed25519 or ECDSA on P-256",
		publicPEM(t, p384.Public()):                                 "releases are signed by ed25519 or ECDSA on P-256",
	} {
		_, err := deviceops.ParseReleaseKey(text)
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
		require.ErrorContains(t, err, want)
	}
}

// broker takes commands.
type broker struct {
	deviceops.Gateway
	took []deviceops.Command
	err  error
}

func (b *broker) PublishCommands(_ context.Context, commands []deviceops.Command, _ time.Time) ([]deviceops.Sent, error) {
	b.took = append(b.took, commands...)
	return make([]deviceops.Sent, len(commands)), b.err
}

// shelf signs URLs for what it has.
type shelf struct {
	has   string
	calls int
}

func (s *shelf) SignedURL(_ context.Context, account, sha256 string, _ time.Duration) (string, error) {
	if sha256 != s.has {
		return "", deviceops.Errorf(deviceops.ENOTFOUND, "there is no content %s", sha256)
	}
	s.calls++
	return "https://store/" + account + "/" + sha256 + "?" + strings.Repeat("i", s.calls), nil
}

func TestURLsAreMadeAtEveryPublication(t *testing.T) {
	t.Parallel()
	b, s := &broker{}, &shelf{has: sumA}
	g := deviceops.ArtifactGateway{Gateway: b, Artifacts: s}
	install := deviceops.Command{ID: "c1", Account: "acme", Name: "install", Args: kiosk().InstallArgs(nil)}
	reboot := deviceops.Command{ID: "c2", Account: "acme", Name: "reboot"}
	for range 2 {
		sent, err := g.PublishCommands(t.Context(), []deviceops.Command{install, reboot}, time.Now())
		require.NoError(t, err)
		require.Len(t, sent, 2)
	}
	require.Equal(t, kiosk().InstallArgs(nil), install.Args, "what is stored has none")
	url := func(command, component int) any {
		return b.took[command].Args["components"].([]any)[component].(map[string]any)["url"]
	}
	require.Equal(t, "https://store/acme/"+sumA+"?i", url(0, 0))
	require.Equal(t, "https://store/acme/"+sumA+"?ii", url(2, 0), "each delivery has its own")
	require.Equal(t, "https://cdn.example.com/player", url(2, 1))
	require.Equal(t, reboot, b.took[1])
}

func TestACommandWithoutContentHoldsNoOtherUp(t *testing.T) {
	t.Parallel()
	b := &broker{}
	g := deviceops.ArtifactGateway{Gateway: b, Artifacts: &shelf{has: sumB}}
	install := deviceops.Command{ID: "c1", Account: "acme", Name: "install", Args: kiosk().InstallArgs(nil)}
	odd := deviceops.Command{ID: "c2", Name: "install", Args: map[string]any{"components": "os"}}
	sent, err := g.PublishCommands(t.Context(), []deviceops.Command{install, odd}, time.Now())
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))
	require.ErrorContains(t, err, "command c1: there is no content")
	require.Len(t, sent, 1)
	require.Equal(t, []deviceops.Command{odd}, b.took)
	sent, err = g.PublishCommands(t.Context(), []deviceops.Command{install}, time.Now())
	require.Equal(t, deviceops.ENOTFOUND, deviceops.ErrorCode(err))
	require.Empty(t, sent)
}
