package relay

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certificate is what a relay presents, as files and parsed.
type Certificate struct {
	// Chain is the leaf and, when there is one, its issuer.
	Chain []*x509.Certificate
	// CertificateFile holds the chain, KeyFile the leaf's key; both are PEM.
	CertificateFile, KeyFile string
	// AuthorityFile holds the issuer of a leaf that is not self-signed.
	AuthorityFile string
}

// Pin returns the DERP map's CertName text that pins the leaf.
func (c *Certificate) Pin() string {
	sum := sha256.Sum256(c.Chain[0].Raw)
	return "sha256-raw:" + hex.EncodeToString(sum[:])
}

// SelfSigned writes a P-256 certificate for the loopback addresses into dir.
func SelfSigned(dir string) (*Certificate, error) {
	template := leafTemplate()
	return issue(dir, template, template, nil, nil)
}

// Issued writes a certificate for localhost and the loopback addresses that a private authority has signed.
// The chain file holds the leaf and the authority, so that a server has two certificates to present.
func Issued(dir string) (*Certificate, error) {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "towpath interop authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true, SubjectKeyId: []byte("authority"),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, authorityKey.Public(), authorityKey)
	if err != nil {
		return nil, err
	}
	authority, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return issue(dir, leafTemplate(), authority, authorityKey, authority)
}

func leafTemplate() *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "127.0.0.1"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
}

// issue signs template by parent; a nil parentKey makes it self-signed.
func issue(dir string, template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey, authority *x509.Certificate) (*Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	signer := parentKey
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}

	// derper looks for <hostname>.crt and <hostname>.key, and hostname is 127.0.0.1 in every run.
	result := &Certificate{
		Chain:           []*x509.Certificate{leaf},
		CertificateFile: filepath.Join(dir, "127.0.0.1.crt"),
		KeyFile:         filepath.Join(dir, "127.0.0.1.key"),
	}
	chainPEM := encode("CERTIFICATE", leaf.Raw)
	if authority != nil {
		result.Chain = append(result.Chain, authority)
		result.AuthorityFile = filepath.Join(dir, "authority.pem")
		authorityPEM := encode("CERTIFICATE", authority.Raw)
		chainPEM = append(chainPEM, authorityPEM...)
		if err := os.WriteFile(result.AuthorityFile, authorityPEM, 0o600); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(result.CertificateFile, chainPEM, 0o600); err != nil {
		return nil, err
	}
	return result, os.WriteFile(result.KeyFile, encode("PRIVATE KEY", keyDER), 0o600)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
