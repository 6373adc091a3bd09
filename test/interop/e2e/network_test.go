package e2e

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
	"strings"
	"testing"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"towpath.example/interop/relay"
)

// commandPatience is how long one run of the tailscale command may take.
const commandPatience = 40 * time.Second

// transcript is what a reader may want to see of a run: on the test's output, and at the end of the file
// E2E_TRANSCRIPT.
type transcript struct {
	t    *testing.T
	file io.Writer
}

func newTranscript(t *testing.T) *transcript {
	t.Helper()
	path := os.Getenv("E2E_TRANSCRIPT")
	if path == "" {
		return &transcript{t: t, file: io.Discard}
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return &transcript{t: t, file: file}
}

func (tr *transcript) note(format string, values ...any) {
	tr.t.Helper()
	line := fmt.Sprintf(format, values...)
	tr.t.Log(line)
	fmt.Fprintln(tr.file, line)
}

// startControl serves an in-memory control server that accepts every node, and returns its address.
func startControl(t *testing.T, derpMap *tailcfg.DERPMap) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	control := &testcontrol.Server{
		Logf: func(string, ...any) {}, DERPMap: derpMap, AllNodesSameUser: true, ExplicitBaseURL: url,
	}
	server := &http.Server{Handler: control, ReadHeaderTimeout: commandPatience}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return url
}

// node is a tailscaled in userspace mode with its command line.
type node struct {
	t       *testing.T
	name    string
	dir     string
	env     []string
	process *relay.Process
	address string
}

// nodeOptions say how a node differs between the ways of connecting.
type nodeOptions struct {
	// program is the name of the daemon in the cache.
	program string
	env     []string
}

func startNode(t *testing.T, name, control string, options nodeOptions) *node {
	t.Helper()
	// Not t.TempDir: a socket's path may have 108 bytes at most.
	dir, err := os.MkdirTemp("", "ts-")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, name: name, dir: dir, env: append([]string{
		"HOME=" + dir,
		"TS_DEBUG_NEVER_DIRECT_UDP=1", "TS_DISABLE_PORTMAPPER=1", "TS_PANIC_IF_HIT_MAIN_CONTROL=1",
		"TS_NETCHECK_GENERATE_204_URL=http://127.0.0.1:1/",
	}, options.env...)}
	argv := []string{
		relay.Binary(options.program), "--tun=userspace-networking", "--statedir=" + dir, "--state=" + filepath.Join(dir, "state"),
		"--socket=" + n.socket(), "--port=0", "--no-logs-no-support",
	}
	if n.process, err = relay.StartProcess(name, argv, n.env, n.logPath()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("last lines of node %s:\n%s", name, n.process.LogTail(30))
		}
		if err := n.process.Stop(15 * time.Second); err != nil {
			t.Error(err)
		}
		os.RemoveAll(dir)
	})
	n.must("up", "--login-server="+control, "--hostname="+name, "--accept-dns=false")
	n.address = strings.TrimSpace(n.must("ip", "-4"))
	return n
}

func (n *node) socket() string { return filepath.Join(n.dir, "s") }

func (n *node) logPath() string { return filepath.Join(n.dir, "log") }

// log is all that the daemon printed.
func (n *node) log() string {
	text, err := os.ReadFile(n.logPath())
	if err != nil {
		n.t.Error(err)
	}
	return string(text)
}

func (n *node) command(ctx context.Context, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, relay.Binary("tailscale"), append([]string{"--socket=" + n.socket()}, arguments...)...)
	command.Env = append(os.Environ(), n.env...)
	return command
}

// try runs the tailscale command and returns what it printed.
func (n *node) try(arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandPatience)
	defer cancel()
	output, err := n.command(ctx, arguments...).CombinedOutput()
	return string(output), err
}

func (n *node) must(arguments ...string) string {
	n.t.Helper()
	output, err := n.try(arguments...)
	if err != nil {
		n.t.Fatalf("%s: tailscale %s: %v\n%s", n.name, strings.Join(arguments, " "), err, output)
	}
	return output
}

// ping pings another node until it answers, and returns the line that says so.
func (n *node) ping(to *node, patience time.Duration) string {
	n.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		output, err := n.try("ping", "-c=1", "--until-direct=false", "--timeout=1s", to.address)
		if err == nil {
			return strings.TrimSpace(output)
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("%s gets no pong from %s within %v: %s", n.name, to.name, patience, output)
		}
	}
}

// netcheck is the part of a netcheck report that a relay has to do with.
type netcheck struct {
	UDP           bool
	PreferredDERP int
	RegionLatency map[int]time.Duration
}

func (n *node) netcheck() netcheck {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandPatience)
	defer cancel()
	output, err := n.command(ctx, "netcheck", "--format=json").Output()
	if err != nil {
		n.t.Fatalf("%s: netcheck: %v", n.name, err)
	}
	var report netcheck
	if err := json.Unmarshal(output, &report); err != nil {
		n.t.Fatalf("%s: netcheck printed %s: %v", n.name, output, err)
	}
	return report
}
