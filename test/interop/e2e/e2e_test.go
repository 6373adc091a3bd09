package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tailscale.com/tailcfg"
	"towpath.example/interop/relay"
)

const (
	// firstPing covers the time in which two new nodes learn of each other.
	firstPing = 30 * time.Second
	// restartPatience is how long two nodes may be apart after their relay was restarted.
	restartPatience = 15 * time.Second
)

func target(t *testing.T) relay.Target {
	t.Helper()
	target, err := relay.TargetFromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// TestOverTLS has the relay's self-signed certificate pinned in the DERP map, as a private relay would.
func TestOverTLS(t *testing.T) {
	r := startRelay(t, relay.Options{})
	connect(t, "TLS", r, derpMapOf(t, r, true), nodeOptions{program: "tailscaled"})
}

// TestOverWebSocket uses nodes that speak DERP over WebSocket. A stock daemon cannot; the same sources built with the tag
// ts_debug_websockets can. That client knows no pins, so that it is given the authority of the certificate instead.
func TestOverWebSocket(t *testing.T) {
	certificate, err := relay.Issued(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := startRelay(t, relay.Options{Certificate: certificate})
	nodes := connect(t, "WebSocket", r, derpMapOf(t, r, false), nodeOptions{
		program: "tailscaled-websocket",
		env:     []string{"TS_DEBUG_DERP_WS_CLIENT=1", "SSL_CERT_FILE=" + certificate.AuthorityFile},
	})
	for _, n := range nodes {
		log := n.log()
		if !strings.Contains(log, fmt.Sprintf("websocket: connected to https://%s/derp", r.Address())) {
			t.Errorf("node %s never connected over WebSocket", n.name)
		}
	}
}

func startRelay(t *testing.T, options relay.Options) *relay.Relay {
	t.Helper()
	r, err := relay.Start(target(t), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("last lines of %s:\n%s", r.Target, r.LogTail(30))
		}
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// connect brings two nodes up and has them do all they can through the relay.
func connect(t *testing.T, over string, r *relay.Relay, derpMap *tailcfg.DERPMap, options nodeOptions) []*node {
	t.Helper()
	tr := newTranscript(t)
	tr.note("== %s over %s ==", r.Target, over)
	control := startControl(t, derpMap)
	a, b := startNode(t, "a", control, options), startNode(t, "b", control, options)
	nodes := []*node{a, b}
	own := region(t, derpMap)

	pings(t, tr, own, nodes, firstPing)
	for _, n := range nodes {
		report := n.netcheck()
		tr.note("%s: netcheck: UDP %v, home region %d, latency measured to %d region(s)",
			n.name, report.UDP, report.PreferredDERP, len(report.RegionLatency))
		if _, measured := report.RegionLatency[own.RegionID]; !report.UDP || report.PreferredDERP != own.RegionID || !measured {
			t.Errorf("%s: netcheck says %+v", n.name, report)
		}
	}
	for _, pair := range [][2]*node{{a, b}, {b, a}} {
		start := time.Now()
		sent, received, err := transfer(pair[0], pair[1], over+pair[0].name, transferBytes, transferPatience)
		tr.note("%s → %s: %d bytes in %.1f s, SHA-256 sent %.16s…, received %.16s…",
			pair[0].name, pair[1].name, transferBytes, time.Since(start).Seconds(), sent, received)
		if err != nil {
			t.Fatal(err)
		}
		if sent != received {
			t.Errorf("sent %s, received %s", sent, received)
		}
	}
	// The nodes have found no direct path meanwhile.
	pings(t, tr, own, nodes, firstPing)

	start := time.Now()
	restart(t, tr, r)
	pings(t, tr, own, nodes, restartPatience)
	back := time.Since(start)
	tr.note("both pinged again %.1f s after the relay was told to stop", back.Seconds())
	if back > restartPatience {
		t.Errorf("the nodes needed %v after the restart of the relay", back)
	}
	return nodes
}

func pings(t *testing.T, tr *transcript, own *tailcfg.DERPRegion, nodes []*node, patience time.Duration) {
	t.Helper()
	for index, n := range nodes {
		pong := n.ping(nodes[1-index], patience)
		tr.note("%s: %s", n.name, pong)
		if !strings.Contains(pong, "via DERP("+own.RegionCode+")") {
			t.Errorf("%s got its pong another way: %s", n.name, pong)
		}
	}
}

func restart(t *testing.T, tr *transcript, r *relay.Relay) {
	t.Helper()
	start := time.Now()
	if err := r.StopKeepingFiles(); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	if err := r.Launch(); err != nil {
		t.Fatal(err)
	}
	tr.note("relay stopped in %.1f s, started in %.1f s", stopped.Sub(start).Seconds(), time.Since(stopped).Seconds())
}
