package client_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

func pemOf(t *testing.T, kind string, der []byte, err error) []byte {
	t.Helper()
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func publicOf(t *testing.T, public any) deviceops.ReleaseKey {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	key, err := deviceops.ParseReleaseKey(string(pemOf(t, "PUBLIC KEY", der, err)))
	require.NoError(t, err)
	return key
}

func TestSignersSignWhatServersCheck(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	pkcs8 := func(key any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return pemOf(t, "PRIVATE KEY", der, err)
	}
	sec1, err := x509.MarshalECPrivateKey(curve)
	parameters := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 0}})
	for name, c := range map[string]struct {
		private []byte
		public  deviceops.ReleaseKey
	}{
		"ed25519":       {pkcs8(private), publicOf(t, public)},
		"ecdsa":         {pkcs8(curve), publicOf(t, curve.Public())},
		"ecdsa, SEC 1":  {pemOf(t, "EC PRIVATE KEY", sec1, err), publicOf(t, curve.Public())},
		"ecdsa, params": {append(parameters, pemOf(t, "EC PRIVATE KEY", sec1, err)...), publicOf(t, curve.Public())},
	} {
		signer, err := client.NewSigner(c.private)
		require.NoError(t, err, name)
		require.Equal(t, c.public.ID, signer.ID())
		r := deviceops.ReleaseRequest{Project: "kiosk-os", Version: "2", Components: []deviceops.ComponentRequest{{Name: "os", SHA256: strings.Repeat("a", 64), Size: 3}}}.Release()
		require.NoError(t, signer.Sign(&r))
		require.NoError(t, r.CheckSignature([]deviceops.ReleaseKey{c.public}), name)
	}
}

func TestKeysThatCannotSign(t *testing.T) {
	t.Parallel()
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(long)
	for text, want := range map[string]string{
		"canary": "is not PEM",
		string(pemOf(t, "ENCRYPTED PRIVATE KEY", []byte("canary"), nil)): "give an unencrypted PRIVATE KEY",
		string(pemOf(t, "PRIVATE KEY", []byte("canary"), nil)):           "cannot be read",
		string(pemOf(t, "PRIVATE KEY", der, err)):                        "releases are signed by ed25519 or ECDSA on P-256",
	} {
		_, err := client.NewSigner([]byte(text))
		require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "canary")
	}
}
