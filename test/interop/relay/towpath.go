package relay

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// TowpathCommand is the argument vector that runs towpath's command line: TOWPATH_COMMAND, or the sources
// themselves on the runtime that TOWPATH_INTEROP_RUNTIME names, node without it.
func TowpathCommand() []string {
	if command := strings.Fields(os.Getenv("TOWPATH_COMMAND")); len(command) > 0 {
		return command
	}
	if name := os.Getenv("TOWPATH_INTEROP_RUNTIME"); name != "" {
		return TowpathCommandOn(name)
	}
	return TowpathCommandOn("node")
}

// TowpathCommandOn is the argument vector that runs the sources on a runtime, node or bun.
func TowpathCommandOn(program string) []string {
	_, file, _, _ := runtime.Caller(0)
	repository := filepath.Join(filepath.Dir(file), "..", "..", "..")
	return []string{filepath.Join(repository, "node_modules", ".bin", program), filepath.Join(repository, "src", "main.ts")}
}

func (r *Relay) towpathCommand() (argv, env []string, err error) {
	argv = append(TowpathCommand(), "serve",
		"--listen", r.everywhere(r.Port), "--http", r.everywhere(r.HTTPPort), "--stun", r.everywhere(r.STUNPort),
		"--certificate-file", r.Certificate.CertificateFile, "--certificate-key-file", r.Certificate.KeyFile,
		"--key-file", r.keyFile(), "--admin", r.adminAddress(), "--log-level", "warn", "--no-self-test")
	argv = append(argv, r.towpathMesh()...)
	config, err := r.towpathConfig()
	if err != nil {
		return nil, nil, err
	}
	// A rate file may have been spoilt on purpose; it is written where the rate is set.
	if r.options.Rate != nil || len(config) == 0 {
		if r.options.Rate != nil {
			argv = append(argv, "--config", r.towpathConfigFile())
		}
		return argv, nil, nil
	}
	if err := os.WriteFile(r.towpathConfigFile(), config, 0o600); err != nil {
		return nil, nil, err
	}
	return append(argv, "--config", r.towpathConfigFile()), nil, nil
}

// everywhere lists a port of each address that the relay listens on.
func (r *Relay) everywhere(port int) string {
	addresses := net.JoinHostPort(r.listenHost(), strconv.Itoa(port))
	if second := r.options.SecondHost; second != "" {
		addresses += "," + net.JoinHostPort(second, strconv.Itoa(port))
	}
	return addresses
}

func (r *Relay) adminAddress() string { return net.JoinHostPort(r.Host, strconv.Itoa(r.adminPort)) }

func (r *Relay) towpathConfigFile() string { return filepath.Join(r.dir, "towpath.yaml") }

// towpathConfig holds what has no flag; it is empty when every option is at its default.
func (r *Relay) towpathConfig() ([]byte, error) {
	var text strings.Builder
	if rate := r.options.Rate; rate != nil {
		fmt.Fprintf(&text, "fairness:\n  perClient:\n    bytesPerSecond: %d\n    burstBytes: %d\n", rate.BytesPerSecond, rate.BurstBytes)
	}
	if r.options.DisableFighters {
		text.WriteString("duplicates: disable-fighters\n")
	}
	if timeout := r.options.WriteTimeout; timeout != 0 {
		fmt.Fprintf(&text, "%s\n", fmt.Sprintf(towpathWriteTimeout, timeout.Milliseconds(), timeout.Milliseconds()))
	}
	if r.options.FullHomePage {
		text.WriteString("home: { mode: full }\n")
	}
	return []byte(text.String()), nil
}

// towpathWriteTimeout is the configuration line for Options.WriteTimeout in milliseconds. Packets may wait for as long, so
// that none is dropped for its age on a busy machine.
const towpathWriteTimeout = "limits: { writeDeadlineMs: %d, queueMs: %d }"
