package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"towpath.example/interop/relay"
)

const (
	// slowBytes take some half a minute over the slow link.
	slowBytes = 1_000_000
	// slowBytesVariable says how many bytes there are instead.
	slowBytesVariable = "E2E_SLOW_BYTES"
	slowKilobits      = 256
	// insideVariable tells this program that it runs in a network of its own, which it may make slow.
	insideVariable = "E2E_INSIDE_OWN_NETWORK"
)

// TestSlowLink downloads through the relay over a link that is much slower than the sender: the reader is slow, not dead,
// and neither end may have to connect again. It runs in a network namespace of its own, whose loopback slows down all that the
// relay sends, and so needs root, tc and unshare.
func TestSlowLink(t *testing.T) {
	if os.Getenv(insideVariable) == "" {
		runInside(t)
		return
	}
	shell(t, "ip", "link", "set", "lo", "up", "mtu", "1500")
	// A daemon waits until there is a way out. Nothing goes there.
	shell(t, "ip", "link", "add", "out", "type", "veth", "peer", "name", "far")
	shell(t, "ip", "link", "set", "far", "up")
	shell(t, "ip", "link", "set", "out", "up")
	shell(t, "ip", "address", "add", "192.0.2.2/24", "dev", "out")
	shell(t, "ip", "route", "add", "default", "via", "192.0.2.1")
	r := startRelay(t, relay.Options{})
	tr := newTranscript(t)
	tr.note("== %s over a link of %d kbit/s ==", r.Target, slowKilobits)
	derpMap := derpMapOf(t, r, true)
	control := startControl(t, derpMap)
	a, b := startNode(t, "a", control, nodeOptions{program: "tailscaled"}), startNode(t, "b", control, nodeOptions{program: "tailscaled"})
	pings(t, tr, region(t, derpMap), []*node{a, b}, firstPing)

	shell(t, "tc", "qdisc", "add", "dev", "lo", "root", "handle", "1:", "htb", "default", "1")
	shell(t, "tc", "class", "add", "dev", "lo", "parent", "1:", "classid", "1:1", "htb", "rate", "10gbit")
	shell(t, "tc", "class", "add", "dev", "lo", "parent", "1:", "classid", "1:2", "htb", "rate", fmt.Sprintf("%dkbit", slowKilobits))
	// What comes from the relay; what goes to it stays fast.
	shell(t, "tc", "filter", "add", "dev", "lo", "parent", "1:", "protocol", "ip", "prio", "1", "u32",
		"match", "ip", "sport", strconv.Itoa(r.Port), "0xffff", "flowid", "1:2")
	bytes := slowTransfer(t)
	// A daemon connects again by its own choice when it believes that its routes have changed; it says so.
	closings := func() int { return strings.Count(a.log()+b.log(), "closing connection to derp-") }
	accepts, own := number(t, r, relay.Accepts), closings()
	start := time.Now()
	sent, received, err := transfer(a, b, "slow", bytes, slowPatience(bytes))
	if err != nil {
		t.Fatal(err)
	}
	seconds := time.Since(start).Seconds()
	reconnects, cut := number(t, r, relay.Accepts)-accepts, number(t, r, relay.WriteTimeouts)
	own = closings() - own
	tr.note("a → b: %d bytes in %.1f s (%.0f kbit/s), %v reconnects, connections closed by a daemon %d, cut off %v",
		bytes, seconds, float64(bytes)*8/seconds/1000, reconnects, own, cut)
	if sent != received {
		t.Errorf("sent %s, received %s", sent, received)
	}
	if r.Target != relay.Towpath {
		return
	}
	if cut > 0 {
		t.Errorf("%v connections were cut off", cut)
	}
	// On such a link, a daemon needs several attempts after a close.
	if own == 0 && reconnects > 0 {
		t.Errorf("%v connections were made anew, and no daemon had closed one", reconnects)
	}
}

// slowTransfer is how many bytes are downloaded.
func slowTransfer(t *testing.T) int64 {
	t.Helper()
	text := os.Getenv(slowBytesVariable)
	if text == "" {
		return slowBytes
	}
	bytes, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", slowBytesVariable, err)
	}
	return bytes
}

// slowPatience is twice what the bytes take over the slow link, and a minute.
func slowPatience(bytes int64) time.Duration {
	return time.Minute + 2*time.Duration(bytes*8/slowKilobits)*time.Millisecond
}

func runInside(t *testing.T) {
	if output, err := exec.Command("unshare", "--net", "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Skipf("no network namespace can be made here: %v: %s", err, output)
	}
	limit := slowPatience(slowTransfer(t)) + 2*time.Minute
	command := exec.Command("unshare", "--net", os.Args[0], "-test.run=^TestSlowLink$", "-test.v", "-test.timeout="+limit.String())
	command.Env = append(os.Environ(), insideVariable+"=1")
	output, err := command.CombinedOutput()
	t.Logf("%s", output)
	if err != nil {
		t.Error(err)
	}
}

func shell(t *testing.T, name string, arguments ...string) {
	t.Helper()
	if output, err := exec.Command(name, arguments...).CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("%s %v: %w: %s", name, arguments, err, output))
	}
}

func number(t *testing.T, r *relay.Relay, metric relay.Metric) float64 {
	t.Helper()
	value, err := r.Metric(context.Background(), metric)
	if err != nil {
		t.Fatal(err)
	}
	return value
}
