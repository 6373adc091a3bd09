package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"towpath.example/interop/relay"
)

const (
	startPatience   = 30 * time.Second
	commandPatience = 40 * time.Second
	stopPatience    = 15 * time.Second
	pollEvery       = 20 * time.Millisecond
)

// headscale is a Headscale server with one user.
type headscale struct {
	t       *testing.T
	dir     string
	url     string
	process *relay.Process
}

const headscaleConfig = `server_url: %[1]s
listen_addr: %[2]s
metrics_listen_addr: 127.0.0.1:%[3]d
grpc_listen_addr: 127.0.0.1:%[4]d
noise: { private_key_path: %[5]s/noise.key }
prefixes: { v4: 100.64.0.0/10, v6: fd7a:115c:a1e0::/48 }
derp:
  server: { enabled: false }
  urls: []
  paths: [%[5]s/derp.yaml]
  auto_update_enabled: false
database: { type: sqlite, sqlite: { path: %[5]s/db.sqlite } }
dns: { magic_dns: false, base_domain: hs.internal, override_local_dns: false, nameservers: { global: [] } }
unix_socket: %[5]s/hs.sock
policy: { mode: file, path: "" }
disable_check_updates: true
logtail: { enabled: false }
`

const derpMap = `regions:
  900:
    regionid: 900
    regioncode: own
    regionname: Own relay
    nodes:
      - { name: 900a, regionid: 900, hostname: 127.0.0.1, ipv4: 127.0.0.1, ipv6: none, derpport: %d, stunport: %d, stuntestip: 127.0.0.1, certname: "%s" }
`

// startHeadscale runs a server that sends its nodes to the relay r.
func startHeadscale(t *testing.T, r *towpath) *headscale {
	t.Helper()
	binary := os.Getenv("HEADSCALE")
	if binary == "" {
		t.Skip("HEADSCALE is not set; use test/interop/admission/run.sh")
	}
	h := &headscale{t: t, dir: shortDir(t)}
	address := "127.0.0.1:" + strconv.Itoa(freePort(t))
	h.url = "http://" + address
	write(t, filepath.Join(h.dir, "config.yaml"), fmt.Sprintf(headscaleConfig, h.url, address, freePort(t), freePort(t), h.dir))
	write(t, filepath.Join(h.dir, "derp.yaml"), fmt.Sprintf(derpMap, r.port, r.stunPort, r.certificate.Pin()))
	var err error
	argv := []string{binary, "-c", filepath.Join(h.dir, "config.yaml"), "serve"}
	if h.process, err = relay.StartProcess("headscale", argv, nil, filepath.Join(h.dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, h.process) })
	await(t, startPatience, "Headscale answers", func() bool {
		response, err := http.Get(h.url + "/health")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	h.run("users", "create", "u")
	return h
}

func (h *headscale) run(arguments ...string) string {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandPatience)
	defer cancel()
	command := exec.CommandContext(ctx, os.Getenv("HEADSCALE"), append([]string{"-c", filepath.Join(h.dir, "config.yaml")}, arguments...)...)
	output, err := command.Output()
	if err != nil {
		h.t.Fatalf("headscale %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
	return strings.TrimSpace(string(output))
}

func lastLine(text string) string { return text[strings.LastIndex(text, "\n")+1:] }

// authKey returns a key with which any number of nodes can register.
func (h *headscale) authKey() string {
	return lastLine(h.run("preauthkeys", "create", "-u", "1", "--reusable"))
}

// apiKey is for the API mode.
func (h *headscale) apiKey() string { return lastLine(h.run("apikeys", "create")) }

type listedNode struct {
	ID      json.Number `json:"id"`
	Name    string      `json:"given_name"`
	NodeKey string      `json:"node_key"`
}

// node returns what the server knows of a node.
func (h *headscale) node(name string) listedNode {
	h.t.Helper()
	var nodes []listedNode
	text := h.run("nodes", "list", "-o", "json")
	if err := json.Unmarshal([]byte(text), &nodes); err != nil {
		h.t.Fatalf("%v: %s", err, text)
	}
	for _, node := range nodes {
		if node.Name == name {
			return node
		}
	}
	h.t.Fatalf("Headscale has no node %s: %s", name, text)
	return listedNode{}
}

func (h *headscale) remove(node listedNode) {
	h.t.Helper()
	h.run("nodes", "delete", "-i", node.ID.String(), "--force")
}

// shortDir is not t.TempDir because a socket's path may have 108 bytes at most.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ad-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := relay.FreePort("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func stop(t *testing.T, process *relay.Process) {
	if t.Failed() {
		t.Logf("last lines:\n%s", process.LogTail(30))
	}
	if err := process.Stop(stopPatience); err != nil {
		t.Error(err)
	}
}

// await polls other processes, because they do not announce their state.
func await(t *testing.T, patience time.Duration, what string, condition func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !condition() {
		if time.Since(start) > patience {
			t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(pollEvery)
	}
	return time.Since(start)
}

func hostPort(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
