package client

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"

	"github.com/deviceops/deviceops"
)

// Signer signs releases as their author. The key never leaves the process.
type Signer struct {
	id   string // of the ReleaseKey that belongs to it
	key  crypto.Signer
	hash crypto.Hash // 0: the statement itself is signed
}

// NewSigner reads a private key in PEM: PKCS #8 ("PRIVATE KEY"), or for ECDSA
// also SEC 1 ("EC PRIVATE KEY"). EINVALID for one that is neither ed25519 nor
// ECDSA on P-256, or that is encrypted.
func NewSigner(text []byte) (*Signer, error) {
	key, err := privateKey(text)
	if err != nil {
		return nil, err
	}
	s := &Signer{}
	switch key := key.(type) {
	case ed25519.PrivateKey:
		s.key = key
	case *ecdsa.PrivateKey:
		if key.Curve == elliptic.P256() {
			s.key, s.hash = key, crypto.SHA256
		}
	}
	if s.key == nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "the key is a %T; releases are signed by ed25519 or ECDSA on P-256, made by: openssl genpkey -algorithm ed25519", key)
	}
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "the public part of the key: %w", err)
	}
	s.id = deviceops.KeyID(der)
	return s, nil
}

func privateKey(text []byte) (any, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "EC PARAMETERS": // openssl ecparam writes them before the key
			continue
		default:
			return nil, deviceops.Errorf(deviceops.EINVALID, "the PEM holds a %s; give an unencrypted PRIVATE KEY", block.Type)
		}
		if err != nil {
			return nil, deviceops.Errorf(deviceops.EINVALID, "the private key cannot be read") // err may show parts of it
		}
		return key, nil
	}
	return nil, deviceops.Errorf(deviceops.EINVALID, "the key is not PEM: it begins with -----BEGIN PRIVATE KEY-----")
}

// ID gives the id under which the public key is registered.
func (s *Signer) ID() string { return s.id }

// Sign signs a release, normalized, and each of its components, whose hashes and
// sizes have to be those of the content.
func (s *Signer) Sign(r *deviceops.Release) error {
	var err error
	r.Signer = s.id
	if r.Signature, err = s.sign(r.Statement()); err != nil {
		return err
	}
	for i, c := range r.Components {
		if r.Components[i].Signature, err = s.sign(r.ComponentStatement(c)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Signer) sign(statement []byte) (string, error) {
	if s.hash == crypto.SHA256 {
		sum := sha256.Sum256(statement)
		statement = sum[:]
	}
	signature, err := s.key.Sign(rand.Reader, statement, s.hash)
	if err != nil {
		return "", deviceops.Errorf(deviceops.EINTERNAL, "sign: %w", err)
	}
	return base64.StdEncoding.EncodeToString(signature), nil
}
