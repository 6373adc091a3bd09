package admission

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"tailscale.com/types/key"
	"towpath.example/interop/relay"
)

// node is a stock tailscaled in userspace mode.
type node struct {
	t       *testing.T
	name    string
	dir     string
	env     []string
	process *relay.Process
	address string
}

func startNode(t *testing.T, name string, h *headscale, authKey string) *node {
	t.Helper()
	dir := shortDir(t)
	n := &node{t: t, name: name, dir: dir, env: []string{
		"HOME=" + dir, "TS_DEBUG_NEVER_DIRECT_UDP=1", "TS_DISABLE_PORTMAPPER=1", "TS_PANIC_IF_HIT_MAIN_CONTROL=1",
		"TS_NETCHECK_GENERATE_204_URL=http://127.0.0.1:1/",
	}}
	argv := []string{
		relay.Binary("tailscaled"), "--tun=userspace-networking", "--statedir=" + dir, "--state=" + filepath.Join(dir, "state"),
		"--socket=" + n.socket(), "--port=0", "--no-logs-no-support",
	}
	var err error
	if n.process, err = relay.StartProcess(name, argv, n.env, filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, n.process) })
	n.must("up", "--login-server="+h.url, "--authkey="+authKey, "--hostname="+name, "--accept-dns=false")
	n.address = strings.TrimSpace(n.must("ip", "-4"))
	return n
}

func (n *node) socket() string { return filepath.Join(n.dir, "s") }

func (n *node) try(arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandPatience)
	defer cancel()
	command := exec.CommandContext(ctx, relay.Binary("tailscale"), append([]string{"--socket=" + n.socket()}, arguments...)...)
	command.Env = append(os.Environ(), n.env...)
	output, err := command.CombinedOutput()
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

// ping pings until an answer comes, and returns the line that says so.
func (n *node) ping(to *node, patience time.Duration) string {
	n.t.Helper()
	var line string
	await(n.t, patience, n.name+" pings "+to.name, func() bool {
		output, err := n.try("ping", "-c=1", "--until-direct=false", "--timeout=1s", to.address)
		line = strings.TrimSpace(output)
		return err == nil
	})
	return line
}

var privateNodeKey = regexp.MustCompile(`"PrivateNodeKey": ?"(privkey:[0-9a-f]{64})"`)

// privateKey reads the node's key out of its state file.
func (n *node) privateKey() (key.NodePrivate, error) {
	text, err := os.ReadFile(filepath.Join(n.dir, "state"))
	if err != nil {
		return key.NodePrivate{}, err
	}
	var state map[string][]byte
	if err := json.Unmarshal(text, &state); err != nil {
		return key.NodePrivate{}, err
	}
	for _, value := range state {
		if match := privateNodeKey.FindSubmatch(value); match != nil {
			var private key.NodePrivate
			return private, private.UnmarshalText(match[1])
		}
	}
	return key.NodePrivate{}, errors.New("no node key in the state file")
}
