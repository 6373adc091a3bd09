// Command benchload loads one DERP relay on the loopback and measures what that costs the relay. It prints JSON.
//
//	benchload files -dir D                 certificate, key and relay key for derper and towpath alike
//	benchload load -address A -pid P ...   packets through pairs of clients, in measured windows
//	benchload idle -address A -pid P -n N  memory and CPU of the relay for connections that are only held
//	benchload handshake -address A -pid P -n N  CPU of the relay per full TLS and DERP handshake
//	benchload stun -address A -pid P       STUN answers of the relay, as many as it gives
//
// It is one thread with one event loop, so that it can share a machine of two cores with the relay, and it says when
// the result was limited by itself.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"tailscale.com/types/key"
	"towpath.example/interop/relay"
)

func main() {
	runtime.GOMAXPROCS(1)
	runtime.LockOSThread()
	debug.SetGCPercent(400)
	if len(os.Args) < 2 {
		fail(errors.New("usage: benchload files|load|idle|handshake|stun [flags]"))
	}
	result, err := run(os.Args[1], os.Args[2:])
	if result != nil {
		if problem := json.NewEncoder(os.Stdout).Encode(result); problem != nil {
			err = errors.Join(err, problem)
		}
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "benchload:", err)
	os.Exit(1)
}

func run(command string, arguments []string) (any, error) {
	flags := flag.NewFlagSet(command, flag.ExitOnError)
	switch command {
	case "files":
		dir := flags.String("dir", "", "directory to write to")
		_ = flags.Parse(arguments)
		return writeFiles(*dir)
	case "load":
		return runLoad(flags, arguments)
	case "stun":
		return runStun(flags, arguments)
	case "idle", "handshake":
		address := flags.String("address", "", "loopback address of the relay")
		pid := flags.Int("pid", 0, "process id of the relay")
		n := flags.Int("n", 100, "connections")
		settle := flags.Duration("settle", 2*time.Second, "how long the connections are held before memory is read")
		watch := flags.Duration("watch", 0, "how long the relay's CPU is measured while the connections are idle")
		_ = flags.Parse(arguments)
		if err := checkLoopback(*address); err != nil {
			return nil, err
		}
		if command == "idle" {
			return runIdle(*address, *pid, *n, *settle, *watch)
		}
		return runHandshakes(*address, *pid, *n)
	default:
		return nil, fmt.Errorf("unknown command %q", command)
	}
}

// checkLoopback prevents a typing error from flooding another person's relay.
func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() || ip.To4() == nil {
		return fmt.Errorf("%s is no IPv4 loopback address", host)
	}
	return nil
}

// filesResult says where the files are.
type filesResult struct {
	Certificate    string `json:"certificate"`
	CertificateKey string `json:"certificateKey"`
	RelayKey       string `json:"relayKey"`
	Pin            string `json:"pin"`
}

func writeFiles(dir string) (*filesResult, error) {
	certificate, err := relay.SelfSigned(dir)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(map[string]key.NodePrivate{"PrivateKey": key.NewNode()})
	if err != nil {
		return nil, err
	}
	keyFile := filepath.Join(dir, "derper.json")
	return &filesResult{
		Certificate: certificate.CertificateFile, CertificateKey: certificate.KeyFile, RelayKey: keyFile, Pin: certificate.Pin(),
	}, os.WriteFile(keyFile, text, 0o600)
}
