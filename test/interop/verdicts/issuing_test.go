package verdicts

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"sync/atomic"
	"testing"
	"time"
)

// issuer is a certificate with its key. A nil issuer makes a certificate that signs itself.
type issuer struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

var serials atomic.Int64

// issue makes a certificate of template, signed by parent.
func issue(t *testing.T, template *x509.Certificate, parent *issuer, key crypto.Signer) *issuer {
	t.Helper()
	template.SerialNumber = big.NewInt(serials.Add(1))
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(30 * 24 * time.Hour)
	}
	signer, above := key, template
	if parent != nil {
		signer, above = parent.key, parent.certificate
	}
	der, err := x509.CreateCertificate(rand.Reader, template, above, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{certificate, key}
}

// authority makes a certificate that may issue others; change alters the template.
func authority(t *testing.T, name string, parent *issuer, change func(*x509.Certificate)) *issuer {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if change != nil {
		change(template)
	}
	return issue(t, template, parent, p256(t))
}

// leaf makes the certificate of a relay for hostName; change alters the template.
func leaf(t *testing.T, parent *issuer, key crypto.Signer, change func(*x509.Certificate)) *issuer {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: hostName}, DNSNames: []string{hostName},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	return issue(t, template, parent, key)
}

func p256(t *testing.T) crypto.Signer { return ecdsaKey(t, elliptic.P256()) }

func ecdsaKey(t *testing.T, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ed25519Key(t *testing.T) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T, bits int) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// presented is what a server presents: the first one with its key, the others behind it.
func presented(first *issuer, others ...*issuer) *tls.Certificate {
	chain := &tls.Certificate{Certificate: [][]byte{first.certificate.Raw}, PrivateKey: first.key}
	for _, other := range others {
		chain.Certificate = append(chain.Certificate, other.certificate.Raw)
	}
	return chain
}

// pin is the CertName that pins a certificate.
func pin(of *issuer) string {
	sum := sha256.Sum256(of.certificate.Raw)
	return "sha256-raw:" + hex.EncodeToString(sum[:])
}
