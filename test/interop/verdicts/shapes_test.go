package verdicts

import (
	"crypto"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"strings"
	"testing"
	"time"

	"tailscale.com/tailcfg"
)

// hostName is the name of the relays. It is not in DNS.
const hostName = "relay.verdict.test"

// shape is a relay as one map entry describes it.
type shape struct {
	name string
	// connects says whether the official client is known to connect.
	connects    bool
	certificate *tls.Certificate
	// change alters the entry, which is otherwise hostName at 127.0.0.1 without IPv6.
	change func(*tailcfg.DERPNode)
	// maxVersion of TLS; 0 is the newest.
	maxVersion uint16
}

// world holds the authorities of the table.
type world struct {
	*testing.T
	root, intermediate, constrained, expired, narrow, hidden *issuer
}

// trusted lists what both clients trust.
func (w world) trusted() []*issuer { return []*issuer{w.root, w.hidden} }

func newWorld(t *testing.T) world {
	root := authority(t, "verdict root", nil, nil)
	hiddenRoot := authority(t, "root that nobody has", nil, nil)
	return world{
		T: t, root: root,
		intermediate: authority(t, "intermediate", root, nil),
		constrained: authority(t, "for another domain", root, func(c *x509.Certificate) {
			c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"other.test"}, true
		}),
		expired: authority(t, "expired intermediate", root, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)
		}),
		narrow: authority(t, "of no further authority", root, func(c *x509.Certificate) { c.MaxPathLenZero = true }),
		// Trusted itself, without the root that has issued it.
		hidden: authority(t, "trusted intermediate", hiddenRoot, nil),
	}
}

// of makes a leaf of the intermediate and presents both.
func (w world) of(change func(*x509.Certificate)) *tls.Certificate {
	return presented(leaf(w.T, w.intermediate, p256(w.T), change), w.intermediate)
}

// withKey is of with a key of another kind.
func (w world) withKey(key crypto.Signer) *tls.Certificate {
	return presented(leaf(w.T, w.intermediate, key, nil), w.intermediate)
}

func (w world) selfSigned(change func(*x509.Certificate)) *issuer {
	return leaf(w.T, nil, p256(w.T), change)
}

func names(dns ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames = dns }
}

func ips(addresses ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.DNSNames = nil
		for _, address := range addresses {
			c.IPAddresses = append(c.IPAddresses, net.ParseIP(address))
		}
	}
}

func valid(from, to time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(to) }
}

func certName(text string) func(*tailcfg.DERPNode) {
	return func(n *tailcfg.DERPNode) { n.CertName = text }
}

func host(name string) func(*tailcfg.DERPNode) {
	return func(n *tailcfg.DERPNode) { n.HostName = name }
}

func insecure(name string) func(*tailcfg.DERPNode) {
	return func(n *tailcfg.DERPNode) { n.CertName, n.InsecureForTests = name, true }
}

const (
	day  = 24 * time.Hour
	yes  = true
	no   = false
	ipv4 = "127.0.0.1"
)

func shapes(w world) []shape {
	all := append(namesAndAuthorities(w), chainsAndKeys(w)...)
	return append(all, append(pins(w), entries(w)...)...)
}

func namesAndAuthorities(w world) []shape {
	usage := func(usages ...x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtKeyUsage = usages }
	}
	return []shape{
		{"name right", yes, w.of(nil), nil, 0},
		{"expired", no, w.of(valid(-2*day, -time.Hour)), nil, 0},
		{"not yet valid", no, w.of(valid(time.Hour, day)), nil, 0},
		{"wrong name", no, w.of(names("other.verdict.test")), nil, 0},
		{"several names", yes, w.of(names("a.test", hostName)), nil, 0},
		{"name in capitals", yes, w.of(names(strings.ToUpper(hostName))), nil, 0},
		{"HostName in capitals", yes, w.of(nil), host(strings.ToUpper(hostName)), 0},
		{"HostName with a final dot", yes, w.of(nil), host(hostName + "."), 0},
		{"name with a final dot", no, w.of(names(hostName + ".")), nil, 0},
		{"CN only", no, w.of(names()), nil, 0},
		{"IP SAN and DNS HostName", no, w.of(ips(ipv4)), nil, 0},
		{"CN right, SAN wrong", no, w.of(names("other.test")), nil, 0},
		{"wildcard", yes, w.of(names("*.verdict.test")), nil, 0},
		{"wildcard of two labels", no, w.of(names("*.test")), nil, 0},
		{"wildcard of a top level", yes, w.of(names("*.test")), host("relay.test"), 0},
		{"wildcard in part of a label", no, w.of(names("rel*.verdict.test")), nil, 0},
		{"wildcard in a later label", no, w.of(names("relay.*.test")), nil, 0},
		{"wildcard for the domain itself", no, w.of(names("*.verdict.test")), host("verdict.test"), 0},
		{"wildcard and an IDN", yes, w.of(names("*.verdict.test")), host("xn--bcher-kva.verdict.test"), 0},
		{"underscore", yes, w.of(names("my_relay.verdict.test")), host("my_relay.verdict.test"), 0},
		{"IP SAN and IP HostName", yes, w.of(ips(ipv4)), host(ipv4), 0},
		{"no IP SAN and IP HostName", yes, w.of(nil), host(ipv4), 0},
		{"CN only and IP HostName", yes, w.of(names()), host(ipv4), 0},
		{"no serverAuth", no, w.of(usage(x509.ExtKeyUsageClientAuth)), nil, 0},
		{"any usage", yes, w.of(usage(x509.ExtKeyUsageAny)), nil, 0},
		{"no extended usage", yes, w.of(usage()), nil, 0},
		{"CertSign as only usage", yes, w.of(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign }), nil, 0},
		{"leaf that is an authority", yes, w.of(func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
		}), nil, 0},
		{"critical extension that nobody knows", no, w.of(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}), nil, 0},
		{"CertName right", yes, w.of(names("front.test")), certName("front.test"), 0},
		{"CertName wrong", no, w.of(nil), certName("front.test"), 0},
		{"CertName in capitals", yes, w.of(nil), certName(strings.ToUpper(hostName)), 0},
		{"CertName an IP in SAN", yes, w.of(ips(ipv4)), certName(ipv4), 0},
		{"CertName an IP not in SAN", no, w.of(nil), certName(ipv4), 0},
		{"CertName and CN only", no, w.of(names()), certName("front.test"), 0},
		{"CertName and IP HostName", no, w.of(nil), func(n *tailcfg.DERPNode) { n.HostName, n.CertName = ipv4, "front.test" }, 0},
		{"CertName the IP HostName", yes, w.of(nil), func(n *tailcfg.DERPNode) { n.HostName, n.CertName = ipv4, ipv4 }, 0},
	}
}

func chainsAndKeys(w world) []shape {
	of := func(parent *issuer, others ...*issuer) *tls.Certificate {
		return presented(leaf(w.T, parent, p256(w.T), nil), others...)
	}
	below := authority(w.T, "below", w.intermediate, nil)
	tooLong := authority(w.T, "one too many", w.narrow, nil)
	noAuthority := authority(w.T, "no authority", w.root, func(c *x509.Certificate) { c.IsCA = false })
	unrelated := w.selfSigned(names("unrelated.test"))
	rsa := rsaKey(w.T, 2048)
	return []shape{
		{"issued by the root", yes, of(w.root), nil, 0},
		{"missing intermediate", no, of(w.intermediate), nil, 0},
		{"root in the chain", yes, of(w.intermediate, w.intermediate, w.root), nil, 0},
		{"two intermediates", yes, of(below, below, w.intermediate), nil, 0},
		{"two intermediates in the wrong order", yes, of(below, w.intermediate, below), nil, 0},
		{"unrelated certificate behind", yes, of(w.intermediate, w.intermediate, unrelated), nil, 0},
		{"unrelated certificate between", yes, of(w.intermediate, unrelated, w.intermediate), nil, 0},
		{"intermediate twice", yes, of(w.intermediate, w.intermediate, w.intermediate), nil, 0},
		{"expired intermediate", no, of(w.expired, w.expired), nil, 0},
		{"name constraints violated", no, of(w.constrained, w.constrained), nil, 0},
		{"chain too long for its path length", no, of(tooLong, tooLong, w.narrow), nil, 0},
		{"issued by no authority", no, of(noAuthority, noAuthority), nil, 0},
		{"trusted intermediate alone", yes, of(w.hidden), nil, 0},
		{"unknown authority", no, of(authority(w.T, "unknown", nil, nil)), nil, 0},
		{"RSA 1024", yes, w.withKey(rsaKey(w.T, 1024)), nil, 0},
		{"RSA 2048", yes, w.withKey(rsa), nil, 0},
		{"ECDSA P-384", yes, w.withKey(ecdsaKey(w.T, elliptic.P384())), nil, 0},
		{"ECDSA P-521", yes, w.withKey(ecdsaKey(w.T, elliptic.P521())), nil, 0},
		{"Ed25519", yes, w.withKey(ed25519Key(w.T)), nil, 0},
		{"TLS 1.2", yes, w.of(nil), nil, tls.VersionTLS12},
		{"TLS 1.2 with RSA", yes, w.withKey(rsa), nil, tls.VersionTLS12},
		{"TLS 1.1", no, w.of(nil), nil, tls.VersionTLS11},
	}
}

func pins(w world) []shape {
	own := w.selfSigned(nil)
	old := w.selfSigned(valid(-2*day, -time.Hour))
	future := w.selfSigned(valid(time.Hour, day))
	other := w.selfSigned(names("other.test"))
	cnOnly := w.selfSigned(names())
	client := w.selfSigned(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	wildcard := w.selfSigned(names("*.verdict.test"))
	odd := leaf(w.T, nil, ed25519Key(w.T), nil)
	issued := leaf(w.T, w.intermediate, p256(w.T), nil)
	pinned := func(of *issuer) func(*tailcfg.DERPNode) { return certName(pin(of)) }
	pinnedAt := func(of *issuer, name string) func(*tailcfg.DERPNode) {
		return func(n *tailcfg.DERPNode) { n.HostName, n.CertName = name, pin(of) }
	}
	return []shape{
		{"self-signed without pin", no, presented(own), nil, 0},
		{"self-signed with pin", yes, presented(own), pinned(own), 0},
		{"pin of another", no, presented(own), pinned(other), 0},
		{"pin in capitals", no, presented(own), certName("sha256-raw:" + strings.ToUpper(pin(own)[11:])), 0},
		{"pin cut short", no, presented(own), certName(pin(own)[:70]), 0},
		{"pin with a blank behind", no, presented(own), certName(pin(own) + " "), 0},
		{"pin that is empty", no, presented(own), certName("sha256-raw:"), 0},
		{"pin with its prefix in capitals", no, presented(own), certName("SHA256-RAW:" + pin(own)[11:]), 0},
		{"pin and expired", no, presented(old), pinned(old), 0},
		{"pin and not yet valid", no, presented(future), pinned(future), 0},
		{"pin and wrong name", no, presented(other), pinned(other), 0},
		{"pin and wrong name at an IP", yes, presented(other), pinnedAt(other, ipv4), 0},
		{"pin and CN only", no, presented(cnOnly), pinned(cnOnly), 0},
		{"pin and CN only at an IP", yes, presented(cnOnly), pinnedAt(cnOnly, ipv4), 0},
		{"pin and no serverAuth", yes, presented(client), pinned(client), 0},
		{"pin and wildcard", yes, presented(wildcard), pinned(wildcard), 0},
		{"pin and Ed25519", yes, presented(odd), pinned(odd), 0},
		{"pin of an issued leaf alone", yes, presented(issued), pinned(issued), 0},
		{"pin of the leaf and a chain of two", no, presented(issued, w.intermediate), pinned(issued), 0},
		{"pin of the intermediate", no, presented(issued, w.intermediate), pinned(w.intermediate), 0},
		{"pin and the leaf twice", no, presented(own, own), pinned(own), 0},
		{"pin in TLS 1.2", yes, presented(own), pinned(own), tls.VersionTLS12},
		{"InsecureForTests", yes, presented(own), insecure(""), 0},
		{"InsecureForTests and expired", yes, presented(old), insecure(""), 0},
		{"InsecureForTests and wrong pin", no, presented(own), insecure(pin(other)), 0},
		{"InsecureForTests and right pin", yes, presented(own), insecure(pin(own)), 0},
		{"InsecureForTests and CertName", no, presented(own), insecure("front.test"), 0},
		{"InsecureForTests and CertName as HostName", yes, presented(other), insecure(hostName), 0},
	}
}

func entries(w world) []shape {
	return []shape{
		{"IPv4 and a name that nobody can look up", yes, w.of(nil), func(n *tailcfg.DERPNode) { n.IPv6 = "" }, 0},
		{"no address and a name that nobody can look up", no, w.of(nil), func(n *tailcfg.DERPNode) { n.IPv4, n.IPv6 = "", "" }, 0},
		{"neither family", no, w.of(nil), func(n *tailcfg.DERPNode) { n.IPv4, n.IPv6 = "none", "none" }, 0},
		{"IPv6 in the place of IPv4", no, w.of(nil), func(n *tailcfg.DERPNode) { n.IPv4 = "::1" }, 0},
		{"IPv4 answers, IPv6 does not", yes, w.of(nil), func(n *tailcfg.DERPNode) { n.IPv6 = "::1" }, 0},
		{"IPv6 answers, IPv4 does not", no, w.of(nil), func(n *tailcfg.DERPNode) { n.IPv4, n.IPv6 = "127.0.0.9", "none" }, 0},
		{"name that stands in the hosts file", yes, w.of(names("localhost")), func(n *tailcfg.DERPNode) { n.HostName, n.IPv4 = "localhost", "" }, 0},
		{"STUNOnly", no, w.of(nil), func(n *tailcfg.DERPNode) { n.STUNOnly = true }, 0},
		{"nothing listens", no, w.of(nil), func(n *tailcfg.DERPNode) { n.DERPPort = 1 }, 0},
	}
}
