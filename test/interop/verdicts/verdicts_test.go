package verdicts

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tailscale.com/derp/derphttp"
	"tailscale.com/derp/derpserver"
	"tailscale.com/net/netmon"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
	"towpath.example/interop/relay"
)

// patience is how long a run over the whole table may take; it needs about ten seconds.
const patience = 2 * time.Minute

// leastShapes is the least size of the table, so that no shape is lost unnoticed.
const leastShapes = 90

// stricter lists what the probe refuses and the official client takes, by runtime, and why it stays so: whether a
// certificate is good is left to the runtime's own library, which asks more than Go. In each of them the probe says what
// to change, and no public authority issues such a certificate.
var stricter = map[string]map[string]string{
	"node": {
		"any usage":              "OpenSSL wants serverAuth itself",
		"CertSign as only usage": "OpenSSL wants a key usage that TLS needs",
	},
	"bun": {
		"any usage":                  "BoringSSL wants serverAuth itself",
		"CertSign as only usage":     "BoringSSL wants a key usage that TLS needs",
		"trusted intermediate alone": "Bun cannot be told to end a chain at an authority that did not issue itself",
	},
}

// verdict is the decision of one client about a shape, with the reason of a refusal.
type verdict struct {
	good bool
	why  string
}

func TestProbeSaysWhatTheOfficialClientDoes(t *testing.T) {
	w := newWorld(t)
	table := shapes(w)
	if len(table) < leastShapes {
		t.Fatalf("the table has only %d shapes", len(table))
	}
	server := derpserver.New(key.NewNode(), logger.Discard)
	t.Cleanup(func() { server.Close() })
	regions := map[int]*tailcfg.DERPRegion{}
	for i, s := range table {
		regions[i+1] = region(i+1, s, serve(t, server, s))
	}
	authorities := authorityFile(t, w.trusted())
	// They become the authorities of this machine, which are read once: a CertName is not compared with those of TLSConfig.
	t.Setenv("SSL_CERT_FILE", authorities)
	t.Setenv("SSL_CERT_DIR", t.TempDir())
	official := officialVerdicts(regions)
	for i, s := range table {
		if official[i].good != s.connects {
			t.Errorf("%s: the table says that the official client connects: %v; it says %v %s", s.name, s.connects, official[i].good, official[i].why)
		}
	}
	for _, runtime := range []string{"node", "bun"} {
		t.Run(runtime, func(t *testing.T) {
			for i, said := range probeVerdicts(t, runtime, regions, authorities) {
				name, does := table[i].name, official[i]
				if reason := stricter[runtime][name]; reason != "" {
					if said.good || !does.good || said.why == "" {
						t.Errorf("%s: no longer stricter (%s): probe says good: %v", name, reason, said.good)
					}
					continue
				}
				if said.good != does.good {
					t.Errorf("%s: probe says good: %v (%s); the official client connects: %v (%s)", name, said.good, said.why, does.good, does.why)
				}
				t.Logf("%-50s connects %-5v  probe: %s  official: %s", name, does.good, said.why, does.why)
			}
		})
	}
}

// serve lets the server answer on a port of its own in the way of the shape.
func serve(t *testing.T, server *derpserver.Server, s shape) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate, nil },
		MaxVersion:     s.maxVersion,
		MinVersion:     tls.VersionTLS10,
	}
	server.ModifyTLSConfigToAddMetaCert(config)
	// Without a protocol of its own: DERP takes the connection over.
	web := &http.Server{Handler: derpserver.Handler(server), ErrorLog: log.New(io.Discard, "", 0)}
	go web.Serve(tls.NewListener(listener, config))
	t.Cleanup(func() { web.Close() })
	return listener.Addr().(*net.TCPAddr).Port
}

func region(id int, s shape, port int) *tailcfg.DERPRegion {
	node := &tailcfg.DERPNode{
		Name: s.name, RegionID: id, HostName: hostName, IPv4: ipv4, IPv6: "none", DERPPort: port, STUNPort: -1,
	}
	if s.change != nil {
		s.change(node)
	}
	return &tailcfg.DERPRegion{RegionID: id, RegionCode: "verdict", Nodes: []*tailcfg.DERPNode{node}}
}

func officialVerdicts(regions map[int]*tailcfg.DERPRegion) []verdict {
	results := make([]verdict, len(regions))
	var group sync.WaitGroup
	for id, region := range regions {
		group.Go(func() {
			client := derphttp.NewRegionClient(key.NewNode(), logger.Discard, netmon.NewStatic(), func() *tailcfg.DERPRegion { return region })
			defer client.Close()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := client.Connect(ctx); err != nil {
				results[id-1] = verdict{false, err.Error()}
				return
			}
			results[id-1] = verdict{true, ""}
		})
	}
	group.Wait()
	return results
}

func authorityFile(t *testing.T, trusted []*issuer) string {
	t.Helper()
	var text bytes.Buffer
	for _, each := range trusted {
		if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: each.certificate.Raw}); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "authorities.pem")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// probeVerdicts runs one probe over the whole map.
func probeVerdicts(t *testing.T, runtime string, regions map[int]*tailcfg.DERPRegion, authorities string) []verdict {
	t.Helper()
	text, err := json.Marshal(tailcfg.DERPMap{Regions: regions})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "map.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	t.Setenv("TOWPATH_INTEROP_RUNTIME", runtime)
	argv := append(relay.TowpathCommand(), "probe", path, "--ca", authorities, "--packets", "1", "--json")
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var complaints strings.Builder
	command.Stderr = &complaints
	output, _ := command.Output()
	var report struct {
		Relays []struct {
			Name  string
			OK    bool
			Steps []struct{ Step, Status, Text, Fix string }
		}
	}
	if err := json.Unmarshal(output, &report); err != nil {
		t.Fatalf("probe printed %s: %v\n%s", output, err, complaints.String())
	}
	if len(report.Relays) != len(regions) {
		t.Fatalf("probe has looked at %d relays", len(report.Relays))
	}
	results := make([]verdict, len(regions))
	for i, found := range report.Relays {
		if want := regions[i+1].Nodes[0].Name; found.Name != want {
			t.Fatalf("relay %d is %q, not %q", i, found.Name, want)
		}
		results[i].good = found.OK
		for _, step := range found.Steps {
			if step.Status == "failed" {
				results[i].why += step.Step + ": " + step.Text + " → " + step.Fix
			}
		}
	}
	return results
}
