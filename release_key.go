package deviceops

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
	"time"
)

// Algorithms of release keys.
const (
	Ed25519   = "ed25519"    // RFC 8032, over the statement itself
	ECDSAP256 = "ecdsa-p256" // FIPS 186-5, ASN.1, over the statement's SHA-256
)

// ReleaseKey is the public key of somebody who signs releases. An account that
// has one, or has one above it, takes signed releases only.
type ReleaseKey struct {
	ID        string    `json:"id"` // see ParseReleaseKey
	Account   string    `json:"account"`
	Name      string    `json:"name"` // whose it is: ci, maria
	Algorithm string    `json:"algorithm"`
	PEM       string    `json:"pem"` // PKIX, "PUBLIC KEY"
	AddedBy   string    `json:"added_by"`
	AddedAt   time.Time `json:"added_at"`
}

// ParseReleaseKey reads a public key in PEM ("PUBLIC KEY", RFC 5280). Its id is
// the first 16 hexadecimal digits of the SHA-256 over its DER. EINVALID.
func ParseReleaseKey(text string) (ReleaseKey, error) {
	block, _ := pem.Decode([]byte(text))
	switch {
	case block == nil:
		return ReleaseKey{}, Errorf(EINVALID, "the key is not PEM: it begins with -----BEGIN PUBLIC KEY-----")
	case block.Type != "PUBLIC KEY":
		return ReleaseKey{}, Errorf(EINVALID, "the PEM holds a %s; give the public key, as openssl pkey -pubout writes it", block.Type)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return ReleaseKey{}, Errorf(EINVALID, "the public key cannot be read: %w", err)
	}
	key := ReleaseKey{ID: KeyID(block.Bytes), PEM: string(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes}))}
	switch public := public.(type) {
	case ed25519.PublicKey:
		key.Algorithm = Ed25519
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			key.Algorithm = ECDSAP256
		}
	}
	if key.Algorithm == "" {
		return ReleaseKey{}, Errorf(EINVALID, "the key is a %T; releases are signed by ed25519 or ECDSA on P-256", public)
	}
	return key, nil
}

// KeyID names a public key by its DER.
func KeyID(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:8])
}

// Verify gives EFORBIDDEN unless signature, base64, is this key's over a
// statement.
func (k *ReleaseKey) Verify(statement []byte, signature string) error {
	value, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return Errorf(EINVALID, "a signature is base64: %w", err)
	}
	block, _ := pem.Decode([]byte(k.PEM))
	if block == nil {
		return Errorf(EINVALID, "release key %s (%s) is no PEM", k.ID, k.Name)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return Errorf(EINVALID, "release key %s (%s) cannot be read: %w", k.ID, k.Name, err)
	}
	ok := false
	switch public := public.(type) {
	case ed25519.PublicKey:
		ok = ed25519.Verify(public, statement, value)
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(statement)
		ok = ecdsa.VerifyASN1(public, sum[:], value)
	}
	if !ok {
		return Errorf(EFORBIDDEN, "the signature is not that of key %s (%s) over this content", k.ID, k.Name)
	}
	return nil
}

// Statement is what the author of a release signs.
func (r *Release) Statement() []byte {
	return fmt.Appendf(nil, "deviceops-release-v1\n%s\n%s\n", r.Ref(), r.Hash)
}

// ComponentStatement is what the author of a release signs of a component, made
// of nothing but what a device is told by install.
func (r *Release) ComponentStatement(c Component) []byte {
	return ComponentChange{Name: c.Name, To: c.Version, SHA256: c.SHA256, Size: c.Size}.Statement(r.Ref().String())
}

// Statement is what the author of a release signed of the component.
func (c ComponentChange) Statement(release string) []byte {
	return fmt.Appendf(nil, "deviceops-component-v1\n%s\n%s\n%s\n%s\n%d\n", release, c.Name, c.To, c.SHA256, c.Size)
}

// CheckSignature holds a normalized release against the keys of its account and
// those above it. EFORBIDDEN when it has to be signed and is not, when no key of
// the account made the signature, or when that is over something else. A signed
// release signs every component.
func (r *Release) CheckSignature(keys []ReleaseKey) error {
	if r.Signature == "" {
		if len(keys) > 0 {
			return Errorf(EFORBIDDEN, "account %s takes signed releases only, and %s is not signed: create it with --key", r.Account, r.Ref())
		}
		return nil
	}
	for _, key := range keys {
		if key.ID == r.Signer {
			return r.checkSignatures(&key)
		}
	}
	return Errorf(EFORBIDDEN, "%s is signed by key %q, which is not registered for account %s: deviceops release keys add", r.Ref(), r.Signer, r.Account)
}

// Trusted gives EFORBIDDEN when the key that signed a release was removed from its
// account and those above: nobody vouches for it any more. What was stored unsigned, as
// the account had no keys then, stays trusted.
func (r *Release) Trusted(keys []ReleaseKey) error {
	if r.Signature == "" || slices.ContainsFunc(keys, func(k ReleaseKey) bool { return k.ID == r.Signer }) {
		return nil
	}
	return Errorf(EFORBIDDEN, "%s was signed by key %s, which was removed from account %s: nobody vouches for it any more", r.Ref(), r.Signer, r.Account)
}

func (r *Release) checkSignatures(key *ReleaseKey) error {
	if err := key.Verify(r.Statement(), r.Signature); err != nil {
		return Errorf(ErrorCode(err), "%s: %s", r.Ref(), ErrorMessage(err))
	}
	for _, c := range r.Components {
		if err := key.Verify(r.ComponentStatement(c), c.Signature); err != nil {
			return Errorf(ErrorCode(err), "component %s of %s: %s", c.Name, r.Ref(), ErrorMessage(err))
		}
	}
	return nil
}
