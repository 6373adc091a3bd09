// Command benchtailscale moves data between two stock tailscaled through one running relay, measures what that costs
// the relay, and prints JSON. Direct connections are forbidden, so every packet goes over DERP.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
	"towpath.example/interop/relay"
)

const (
	commandPatience = 40 * time.Second
	pingPatience    = 30 * time.Second
)

// options is the command line.
type options struct {
	port, stunPort, pid, megabytes int
	pin                            string
}

// transferResult is one transfer in one direction.
type transferResult struct {
	Direction     string  `json:"direction"`
	Megabytes     float64 `json:"megabytes"`
	Seconds       float64 `json:"seconds"`
	ServerSeconds float64 `json:"serverSeconds"`
	MbitPerSecond float64 `json:"mbitPerSecond"`
	ServerMsPerMB float64 `json:"serverMsPerMb"`
}

type result struct {
	Transfers []transferResult `json:"transfers"`
	Ping      string           `json:"ping"`
}

func main() {
	var o options
	flag.IntVar(&o.port, "port", 0, "port of the relay on 127.0.0.1")
	flag.IntVar(&o.stunPort, "stun-port", -1, "its STUN port")
	flag.IntVar(&o.pid, "pid", 0, "its process id")
	flag.IntVar(&o.megabytes, "megabytes", 50, "megabytes to move each way")
	flag.StringVar(&o.pin, "pin", "", "its certificate as sha256-raw:HEX")
	flag.Parse()
	r, err := run(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchtailscale:", err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		os.Exit(1)
	}
}

func run(o options) (r *result, err error) {
	control, stop, err := startControl(derpMap(o))
	if err != nil {
		return nil, err
	}
	defer stop()
	var nodes [2]*node
	for i, name := range []string{"a", "b"} {
		if nodes[i], err = startNode(name, control); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, nodes[i].stop()) }()
	}
	a, b := nodes[0], nodes[1]
	r = &result{}
	if r.Ping, err = a.ping(b); err != nil {
		return nil, err
	}
	for _, way := range []struct {
		name     string
		from, to *node
	}{{"a to b", a, b}, {"b to a", b, a}} {
		moved, err := transfer(o, way.from, way.to)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", way.name, err)
		}
		moved.Direction = way.name
		r.Transfers = append(r.Transfers, *moved)
	}
	return r, nil
}

func derpMap(o options) *tailcfg.DERPMap {
	return &tailcfg.DERPMap{
		OmitDefaultRegions: true,
		Regions: map[int]*tailcfg.DERPRegion{900: {
			RegionID: 900, RegionCode: "own", RegionName: "Own relay",
			Nodes: []*tailcfg.DERPNode{{
				Name: "900a", RegionID: 900, HostName: "127.0.0.1", IPv4: "127.0.0.1", IPv6: "none",
				CertName: o.pin, DERPPort: o.port, STUNPort: o.stunPort, STUNTestIP: "127.0.0.1",
			}},
		}},
	}
}

func startControl(derpMap *tailcfg.DERPMap) (url string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	url = "http://" + listener.Addr().String()
	server := &http.Server{ReadHeaderTimeout: commandPatience, Handler: &testcontrol.Server{
		Logf: func(string, ...any) {}, DERPMap: derpMap, AllNodesSameUser: true, ExplicitBaseURL: url,
	}}
	go server.Serve(listener)
	return url, func() { server.Close() }, nil
}

// node is a tailscaled in userspace mode.
type node struct {
	name, dir, address string
	env                []string
	process            *relay.Process
}

func startNode(name, control string) (*node, error) {
	// A short path: a socket's may have 108 bytes at most.
	dir, err := os.MkdirTemp("", "ts-")
	if err != nil {
		return nil, err
	}
	n := &node{name: name, dir: dir, env: []string{
		"HOME=" + dir,
		"TS_DEBUG_NEVER_DIRECT_UDP=1", "TS_DISABLE_PORTMAPPER=1", "TS_PANIC_IF_HIT_MAIN_CONTROL=1",
		"TS_NETCHECK_GENERATE_204_URL=http://127.0.0.1:1/",
	}}
	argv := []string{
		relay.Binary("tailscaled"), "--tun=userspace-networking", "--statedir=" + dir,
		"--state=" + filepath.Join(dir, "state"), "--socket=" + filepath.Join(dir, "s"), "--port=0", "--no-logs-no-support",
	}
	if n.process, err = relay.StartProcess(name, argv, n.env, filepath.Join(dir, "log")); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	_, err = n.tailscale("up", "--login-server="+control, "--hostname="+name, "--accept-dns=false")
	if err == nil {
		n.address, err = n.tailscale("ip", "-4")
	}
	if err != nil {
		return nil, errors.Join(err, n.stop())
	}
	return n, nil
}

func (n *node) stop() error {
	err := n.process.Stop(15 * time.Second)
	os.RemoveAll(n.dir)
	return err
}

func (n *node) command(ctx context.Context, arguments ...string) *exec.Cmd {
	arguments = append([]string{"--socket=" + filepath.Join(n.dir, "s")}, arguments...)
	command := exec.CommandContext(ctx, relay.Binary("tailscale"), arguments...)
	command.Env = append(os.Environ(), n.env...)
	return command
}

func (n *node) tailscale(arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandPatience)
	defer cancel()
	output, err := n.command(ctx, arguments...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: tailscale %s: %w\n%s", n.name, strings.Join(arguments, " "), err, output)
	}
	return strings.TrimSpace(string(output)), err
}

// ping repeats until an answer came over the relay.
func (n *node) ping(to *node) (string, error) {
	deadline := time.Now().Add(pingPatience)
	for {
		output, err := n.tailscale("ping", "-c=1", "--until-direct=false", "--timeout=1s", to.address)
		if err == nil && !strings.Contains(output, "via DERP(own)") {
			return "", fmt.Errorf("the ping did not go over the relay: %s", output)
		}
		if err == nil || time.Now().After(deadline) {
			return output, err
		}
	}
}
