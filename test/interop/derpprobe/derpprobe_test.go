package derpprobe

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"tailscale.com/tailcfg"
	"towpath.example/interop/relay"
)

// patience is how long the prober may take for what it is asked; it needs a few seconds.
const patience = 60 * time.Second

// scene is a relay and what the prober has to know about it.
type scene struct {
	certificate *relay.Certificate
	mapURL      string
	// dualStack says that the relay listens on both loopback addresses.
	dualStack bool
}

func start(t *testing.T) scene {
	t.Helper()
	target, err := relay.TargetFromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := relay.Issued(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	options := relay.Options{Certificate: certificate}
	// derper listens on one address or on all of them, towpath on both of the loopback.
	if target == relay.Towpath {
		options.SecondHost = "::1"
	}
	r, err := relay.Start(target, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("last lines of %s:\n%s", target, r.LogTail(30))
		}
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	})
	return scene{certificate, "file://" + writeMap(t, r, options.SecondHost), options.SecondHost != ""}
}

// writeMap writes a DERP map that names the relay by a host name, because that is what the prober checks in TLS.
func writeMap(t *testing.T, r *relay.Relay, secondHost string) string {
	t.Helper()
	region := r.Region()
	node := region.Nodes[0]
	// The prober ignores pins, and leaves out the address family that has no address.
	node.HostName, node.CertName, node.STUNTestIP, node.IPv6 = "localhost", "", "", secondHost
	text, err := json.Marshal(tailcfg.DERPMap{Regions: map[int]*tailcfg.DERPRegion{region.RegionID: region}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "map.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// environment makes the prober trust the certificate's authority as if it were one of the system's.
func (s scene) environment() []string {
	return []string{"SSL_CERT_FILE=" + s.certificate.AuthorityFile}
}

func TestProbesAreGood(t *testing.T) {
	s := start(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, relay.Binary("derpprobe"), "-once", "-derp-map", s.mapURL,
		"-bw-interval", "5s", "-bw-probe-size-bytes", "2000000")
	command.Env = append(os.Environ(), s.environment()...)
	output, err := command.CombinedOutput()
	t.Logf("%s", output)
	if err != nil {
		t.Errorf("the prober is not content: %v", err)
	}
	probes := []string{"tls", "udp", "mesh", "bw"}
	if s.dualStack {
		probes = append(probes, "udp6")
	}
	for _, probe := range probes {
		if !regexp.MustCompile(`(?m) good: derp/.*/` + probe + `: `).Match(output) {
			t.Errorf("the prober does not call the probe %s good", probe)
		}
	}
}

// TestQueueingDelayIsMeasured runs the prober as a service: its delay probe never ends, and shows in its metrics only.
func TestQueueingDelayIsMeasured(t *testing.T) {
	s := start(t)
	port, err := relay.FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	prober, err := relay.StartProcess("derpprobe", []string{
		relay.Binary("derpprobe"), "-derp-map", s.mapURL, "-listen", address, "-spread=false",
		"-qd-packets-per-second", "100",
	}, s.environment(), filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("last lines of the prober:\n%s", prober.LogTail(30))
		}
		if err := prober.Stop(patience); err != nil {
			t.Error(err)
		}
	})

	const enough = 200
	deadline := time.Now().Add(patience)
	for {
		arrived, dropped, err := delays(address)
		if err == nil && dropped > 0 {
			t.Fatalf("%v of %v packets were lost", dropped, arrived+dropped)
		}
		if err == nil && arrived >= enough {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("only %v packets were measured: %v", arrived, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

var (
	arrivedLine = regexp.MustCompile(`(?m)^derpprobe_derp_qd_probe_delays_seconds_count\{.*\} (\S+)$`)
	droppedLine = regexp.MustCompile(`(?m)^derpprobe_derp_qd_probe_dropped_packets\{.*\} (\S+)$`)
)

// delays reads how many packets of the delay probe arrived and how many did not.
func delays(address string) (arrived, dropped float64, err error) {
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get("http://" + address + "/debug/varz")
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, 0, err
	}
	for line, number := range map[*regexp.Regexp]*float64{arrivedLine: &arrived, droppedLine: &dropped} {
		match := line.FindSubmatch(text)
		if match == nil {
			return 0, 0, fmt.Errorf("the prober publishes nothing like %v", line)
		}
		if *number, err = strconv.ParseFloat(string(match[1]), 64); err != nil {
			return 0, 0, err
		}
	}
	return arrived, dropped, nil
}
