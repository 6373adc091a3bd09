package mesh

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"towpath.example/interop/relay"
)

// meshKey is the mesh key of all regions here.
const meshKey = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// kind is a program that can be a member of a region.
type kind string

const (
	towpathNode kind = "towpath on node"
	towpathBun  kind = "towpath on bun"
	derperOld   kind = "derper 1.102.5"
	derperNew   kind = "derper 1.104.5"
)

// member is one relay of a region.
type member struct {
	kind    kind
	address string
	dir     string
	argv    []string
	env     []string
	process *relay.Process
}

// certificate is presented by all relays. The official client reads the trusted authorities once in a process.
var certificate *relay.Certificate

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "mesh-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		if certificate, err = relay.Issued(dir); err != nil {
			panic(err)
		}
		os.Setenv("SSL_CERT_FILE", certificate.AuthorityFile)
		return m.Run()
	}())
}

// region starts a relay of each kind, each configured to link to all others, and waits until all accept connections.
func region(t *testing.T, kinds ...kind) []*member {
	t.Helper()
	dir, err := os.MkdirTemp("", "mesh-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	keyFile := filepath.Join(dir, "mesh.key")
	if err := os.WriteFile(keyFile, []byte(meshKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	members := make([]*member, len(kinds))
	for i, kind := range kinds {
		port, err := relay.FreePort("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		members[i] = &member{kind: kind, address: fmt.Sprintf("127.0.0.1:%d", port), dir: filepath.Join(dir, fmt.Sprint(i))}
		if err := os.Mkdir(members[i].dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range members {
		var others []string
		for j, other := range members {
			if i != j {
				others = append(others, other.address)
			}
		}
		m.prepare(keyFile, strings.Join(others, ","))
		m.start(t)
	}
	for _, m := range members {
		m.waitUp(t)
	}
	t.Cleanup(func() {
		for _, m := range members {
			m.process.Kill()
			if t.Failed() {
				log, _ := os.ReadFile(m.logFile())
				t.Logf("%s at %s:\n%s", m.kind, m.address, log)
			}
		}
	})
	return members
}

func (m *member) logFile() string { return filepath.Join(m.dir, "log") }

func (m *member) prepare(keyFile, others string) {
	m.env = []string{"SSL_CERT_FILE=" + certificate.AuthorityFile}
	privateKey := filepath.Join(m.dir, "derper.key")
	switch m.kind {
	case derperOld, derperNew:
		program := relay.Binary("derper")
		if m.kind == derperNew {
			program = relay.NewerBinary("derper")
		}
		m.argv = []string{
			program, "-a", m.address, "-certmode", "manual", "-hostname", "127.0.0.1",
			"-certdir", filepath.Dir(certificate.CertificateFile), "-c", privateKey,
			"-http-port", "-1", "-stun=false", "-mesh-psk-file", keyFile,
		}
		if others != "" {
			m.argv = append(m.argv, "-mesh-with", others)
		}
	default:
		runtime := "node"
		if m.kind == towpathBun {
			runtime = "bun"
		}
		m.argv = append(relay.TowpathCommandOn(runtime), "serve",
			"--listen", m.address, "--http", "off", "--stun", "off", "--admin", "off", "--no-self-test",
			"--certificate-file", certificate.CertificateFile, "--certificate-key-file", certificate.KeyFile,
			"--key-file", privateKey, "--mesh-key-file", keyFile, "--mesh-ca-file", certificate.AuthorityFile)
		if others != "" {
			m.argv = append(m.argv, "--mesh-with", others)
		}
	}
}

func (m *member) start(t *testing.T) {
	t.Helper()
	process, err := relay.StartProcess(string(m.kind), m.argv, m.env, m.logFile())
	if err != nil {
		t.Fatal(err)
	}
	m.process = process
}

// kill ends the relay at once, as a crash would.
func (m *member) kill() { m.process.Kill() }

func (m *member) waitUp(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", m.address, time.Second)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(m.logFile())
			t.Fatalf("%s does not accept connections: %v\n%s", m.kind, err, log)
		}
	}
}
