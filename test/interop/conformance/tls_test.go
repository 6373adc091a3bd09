package conformance

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"tailscale.com/types/key"
	"towpath.example/interop/relay"
)

// presented returns the certificates that a relay shows in a handshake.
func presented(r *relay.Relay, config *tls.Config) ([]*x509.Certificate, error) {
	config.InsecureSkipVerify = true
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", r.Address())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates, nil
}

func (s *scene) presented(config *tls.Config) []*x509.Certificate {
	s.Helper()
	chain, err := presented(s.relay, config)
	if err != nil {
		s.Fatal(err)
	}
	return chain
}

func TestS65_MetaCertificate(t *testing.T) {
	statement(t, 65, []string{overTLS}, func(s *scene) {
		chain := s.presented(&tls.Config{})
		meta := chain[len(chain)-1]
		want := "derpkey" + s.relay.PublicKey().UntypedHexString()
		if meta.Subject.CommonName != want || meta.Issuer.CommonName != want {
			s.Errorf("names are %v and %v", meta.Subject, meta.Issuer)
		}
		if !bytes.Equal(meta.RawSubject, meta.RawIssuer) || len(meta.Subject.Names) != 1 {
			s.Errorf("subject is %v, issuer %v", meta.Subject, meta.Issuer)
		}
		if meta.Version != 3 || meta.SerialNumber.Cmp(big.NewInt(2)) != 0 {
			s.Errorf("version %d, serial %v", meta.Version, meta.SerialNumber)
		}
		if len(meta.Extensions) != 1 || !meta.Extensions[0].Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 19}) {
			s.Errorf("extensions are %v", meta.Extensions)
		}
		if !meta.BasicConstraintsValid || meta.IsCA {
			s.Errorf("basic constraints: valid %v, CA %v", meta.BasicConstraintsValid, meta.IsCA)
		}
		if meta.SignatureAlgorithm != x509.PureEd25519 {
			s.Errorf("signed with %v", meta.SignatureAlgorithm)
		}
		if err := meta.CheckSignature(meta.SignatureAlgorithm, meta.RawTBSCertificate, meta.Signature); err != nil {
			s.Error(err)
		}
		if now := time.Now(); now.Before(meta.NotBefore) || now.After(meta.NotAfter) {
			s.Errorf("valid from %v to %v", meta.NotBefore, meta.NotAfter)
		}
	})
}

func TestS66_ChainIsTheConfiguredOneAndTheMetaCertificate(t *testing.T) {
	statement(t, 66, []string{overTLS}, func(s *scene) {
		certificate, err := relay.Issued(s.TempDir())
		if err != nil {
			s.Fatal(err)
		}
		s.own(relay.Options{Certificate: certificate})
		check := func(config *tls.Config) error {
			chain, err := presented(s.relay, config)
			if err != nil {
				return err
			}
			if len(chain) != len(certificate.Chain)+1 {
				return fmt.Errorf("%d certificates were presented", len(chain))
			}
			for index, want := range certificate.Chain {
				if !chain[index].Equal(want) {
					return fmt.Errorf("certificate %d is %v", index, chain[index].Subject)
				}
			}
			if last := chain[len(chain)-1].Subject.CommonName; !strings.HasPrefix(last, "derpkey") {
				return fmt.Errorf("the last certificate is %s", last)
			}
			return nil
		}
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			if err := check(&tls.Config{MinVersion: version, MaxVersion: version}); err != nil {
				s.Errorf("%s: %v", tls.VersionName(version), err)
			}
		}
		if err := check(&tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
			s.Error("TLS 1.1 was accepted")
		}
		// Handshakes at the same time must not add to each other's chain.
		var handshakes sync.WaitGroup
		for range 30 {
			handshakes.Go(func() {
				if err := check(&tls.Config{}); err != nil {
					s.Error(err)
				}
			})
		}
		handshakes.Wait()
	})
}

func TestS67_CertificateOfAnIPHostIsServedWithoutSNI(t *testing.T) {
	statement(t, 67, []string{overTLS}, func(s *scene) {
		for _, name := range []string{"", "127.0.0.1", "relay.example", "localhost"} {
			if chain := s.presented(&tls.Config{ServerName: name}); !chain[0].Equal(s.relay.Certificate.Chain[0]) {
				s.Errorf("with the server name %q the leaf is %v", name, chain[0].Subject)
			}
		}
	})
}

func TestS68_PinnedClientConnects(t *testing.T) {
	statement(t, 68, []string{overTLS}, func(s *scene) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		pin := s.relay.Certificate.Pin()
		right := regionClient(s.relay, key.NewNode(), pin)
		defer right.Close()
		if err := right.Connect(ctx); err != nil {
			s.Errorf("with the right pin: %v", err)
		}
		wrong := regionClient(s.relay, key.NewNode(), pin[:len(pin)-4]+"0000")
		defer wrong.Close()
		if err := wrong.Connect(ctx); err == nil {
			s.Error("a client with another pin connected")
		}
	})
}

func TestS71_FastStartHasNoHTTPResponse(t *testing.T) {
	statement(t, 71, []string{overTLS}, func(s *scene) {
		conn, err := dialTLS(s.relay)
		if err != nil {
			s.Fatal(err)
		}
		client := s.peer(conn)
		client.write([]byte(upgradeRequest(s.relay, "DERP", "Derp-Fast-Start: 1")))
		client.expectServerKey()
		client.introduce("{}")
		client.expectServerInfo()
		client.expectNothing()
	})
}

func TestS102_OtherFastStartValuesGetA101(t *testing.T) {
	statement(t, 102, []string{overTLS}, func(s *scene) {
		for _, value := range []string{"true", "0", "01", "yes", "1, 1"} {
			s.expectPlainUpgrade("DERP", "Derp-Fast-Start: "+value)
		}
	})
}

// expectPlainUpgrade upgrades on TLS and checks the response and the raw frames behind it.
func (s *scene) expectPlainUpgrade(upgrade string, headers ...string) {
	s.Helper()
	conn, err := dialTLS(s.relay)
	if err != nil {
		s.Fatal(err)
	}
	client := s.peer(conn)
	response, err := conn.upgrade(upgradeRequest(s.relay, upgrade, headers...))
	if err != nil {
		s.Fatalf("%v: %v", headers, err)
	}
	for name, want := range map[string]string{
		"Upgrade": "DERP", "Connection": "Upgrade", "Derp-Version": "2",
		"Derp-Public-Key": s.relay.PublicKey().UntypedHexString(),
	} {
		if got := response.Header.Get(name); got != want {
			s.Errorf("%v: %s is %q, not %q", headers, name, got, want)
		}
	}
	client.expectServerKey()
	client.introduce("{}")
	client.expectServerInfo()
	client.expectNothing()
}
