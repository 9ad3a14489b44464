package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/gateway"
)

func TestConfigSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for name, test := range map[string]struct {
		config gateway.Config
		want   string
	}{
		"no URL":           {gateway.Config{}, `broker "" is no usable URL`},
		"unknown scheme":   {gateway.Config{Broker: "http://b:1883"}, "is no usable URL"},
		"no host":          {gateway.Config{Broker: "tcp:1883"}, "is no usable URL"},
		"password in URL":  {gateway.Config{Broker: "http://u:secret@b"}, "u:xxxxx@b"},
		"prefix":           {gateway.Config{Broker: "tcp://b:1883", Prefix: "a/#"}, "wildcard"},
		"missing CA":       {gateway.Config{Broker: "mqtts://b", TLS: gateway.TLSFiles{CA: "/none"}}, "CA file"},
		"empty CA":         {gateway.Config{Broker: "mqtts://b", TLS: gateway.TLSFiles{CA: empty}}, "no PEM certificate"},
		"cert without key": {gateway.Config{Broker: "mqtts://b", TLS: gateway.TLSFiles{Cert: empty}}, "client certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := gateway.NewPublisher(test.config)
			require.Equal(t, deviceops.EINVALID, deviceops.ErrorCode(err))
			require.ErrorContains(t, err, test.want)
			_, err = gateway.NewLanes(gateway.LanesConfig{Config: test.config}, nil, nil)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestConnectsOverTLSAndWebSocket(t *testing.T) {
	t.Parallel()
	files, server := certificates(t)
	for scheme, config := range map[string]*tls.Config{"mqtts": server, "wss": server, "ws": nil, "tcp": nil} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			b := startMochi(t, scheme, config)
			readyPublisher(t, gateway.Config{Broker: b.URL(), TLS: files})
		})
	}
}

func TestRefusesABrokerThatItDoesNotTrust(t *testing.T) {
	t.Parallel()
	files, server := certificates(t)
	b := startMochi(t, "mqtts", server)
	p := startPublisher(t, gateway.Config{Broker: b.URL(), TLS: gateway.TLSFiles{Cert: files.Cert, Key: files.Key}})
	require.Eventually(t, func() bool { return p.Ready() != nil && containsUnknownAuthority(p.Ready()) }, soon, tick)
}

func containsUnknownAuthority(err error) bool {
	var unknown x509.UnknownAuthorityError
	var verify *tls.CertificateVerificationError
	return errors.As(err, &unknown) || errors.As(err, &verify)
}

// certificates makes an authority that is also the certificate of the broker
// and the client; the broker demands it.
func certificates(t *testing.T) (gateway.TLSFiles, *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	dir := t.TempDir()
	files := gateway.TLSFiles{CA: filepath.Join(dir, "cert.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	require.NoError(t, os.WriteFile(files.Cert, certPEM, 0o600))
	require.NoError(t, os.WriteFile(files.Key, keyPEM, 0o600))
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return files, &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
}
