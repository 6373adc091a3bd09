// Package relay starts a DERP relay as a process, Go derper or towpath, in the same way for every test.
//
// What differs between the two (flags, configuration, metric names) is in derper.go, towpath.go and metrics.go; the
// rest of the suite knows a relay only by its addresses.
package relay

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

// Version is the release of tailscale.com whose packages and clients are used.
const Version = "v1.102.5"

// NewerVersion is upstream's newest release of derper. Its packages need a newer Go than the one that tests are built with.
const NewerVersion = "v1.104.5"

const (
	startPatience = 30 * time.Second
	stopPatience  = 15 * time.Second
	// startAttempts covers ports that another process took between being found free and being bound.
	startAttempts = 3
)

// Target names a relay implementation.
type Target string

// The relays that can be tested.
const (
	Derper      Target = "derper-1.102.5"
	NewerDerper Target = "derper-1.104.5"
	Towpath     Target = "towpath"
)

// Targets holds every relay, in the order of reports.
var Targets = []Target{Derper, NewerDerper, Towpath}

// TargetFromEnvironment reads RELAY.
func TargetFromEnvironment() (Target, error) {
	switch target := Target(os.Getenv("RELAY")); target {
	case Derper, NewerDerper, Towpath:
		return target, nil
	default:
		return "", fmt.Errorf("RELAY must be one of %q, not %q", Targets, target)
	}
}

// Binary returns the path of a cached upstream program of Version.
func Binary(name string) string { return binary(name, Version) }

// NewerBinary returns the path of a cached upstream program of NewerVersion.
func NewerBinary(name string) string { return binary(name, NewerVersion) }

func binary(name, version string) string {
	root := os.Getenv("TOWPATH_INTEROP_CACHE")
	if root == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			home = os.TempDir()
		}
		root = filepath.Join(home, ".cache", "towpath-interop")
	}
	return filepath.Join(root, version, name)
}

// Rate is a limit of what one client may send; a zero BytesPerSecond means none.
type Rate struct {
	BytesPerSecond, BurstBytes uint64
}

// Options say how a relay is started. The zero value of each field is the relay's own default.
type Options struct {
	// Host is the loopback address to listen on, 127.0.0.1 by default.
	Host string
	// Certificate is what to present; by default a new self-signed one.
	Certificate *Certificate
	// Rate, when set, gives the relay a rate configuration that can be changed while it runs.
	Rate *Rate
	// WriteTimeout is how long a recipient may accept nothing, and at towpath how long a packet may wait.
	WriteTimeout time.Duration
	// DisableFighters chooses the other policy for several connections of one key. Only towpath can do that.
	DisableFighters bool
	// FullHomePage makes towpath's pages say what it is, as derper's do.
	FullHomePage bool
	// AllAddresses makes the relay listen on every IPv4 address of the machine; Host is where it is asked.
	AllAddresses bool
	// SecondHost is another address on which towpath serves everything on the same ports.
	SecondHost string
	// QueueDepth is derper's environment knob, passed on as text when QueueDepthSet.
	QueueDepth    string
	QueueDepthSet bool
	// Mesh, when set, makes the relay one of a region.
	Mesh *Mesh
}

// Relay is a relay process.
type Relay struct {
	Target      Target
	Host        string
	Port        int
	HTTPPort    int
	STUNPort    int
	Certificate *Certificate

	adminPort int
	dir       string
	options   Options
	process   *Process
	private   key.NodePrivate
}

// Start runs a relay on free loopback ports and returns once it accepts TLS.
func Start(target Target, options Options) (*Relay, error) {
	var problem error
	for range startAttempts {
		relay, err := prepare(target, options)
		if err != nil {
			return nil, err
		}
		if problem = relay.launch(); problem == nil {
			return relay, nil
		}
		relay.Stop()
	}
	return nil, problem
}

func prepare(target Target, options Options) (*Relay, error) {
	// A short path: Unix sockets of programs that are given a directory below it must fit into 108 bytes.
	dir, err := os.MkdirTemp("", "relay-")
	if err != nil {
		return nil, err
	}
	relay := &Relay{Target: target, Host: options.Host, Certificate: options.Certificate, dir: dir, options: options}
	if relay.Host == "" {
		relay.Host = "127.0.0.1"
	}
	if relay.Certificate == nil {
		if relay.Certificate, err = SelfSigned(dir); err != nil {
			return nil, err
		}
	}
	for _, port := range []*int{&relay.Port, &relay.HTTPPort, &relay.STUNPort, &relay.adminPort} {
		if *port, err = FreePort(relay.listenHost()); err != nil {
			return nil, err
		}
	}
	if err := relay.writeKeyFile(); err != nil {
		return nil, err
	}
	if options.Rate != nil {
		if err := relay.WriteRate(*options.Rate); err != nil {
			return nil, err
		}
	}
	if options.Mesh != nil {
		if err := os.WriteFile(relay.meshKeyFile(), []byte(options.Mesh.Key), 0o600); err != nil {
			return nil, err
		}
	}
	return relay, nil
}

// writeKeyFile makes the key in advance, so that tests know it without asking the relay.
func (r *Relay) writeKeyFile() error {
	r.private = key.NewNode()
	text, err := json.Marshal(map[string]key.NodePrivate{"PrivateKey": r.private})
	if err != nil {
		return err
	}
	return os.WriteFile(r.keyFile(), text, 0o600)
}

func (r *Relay) keyFile() string { return filepath.Join(r.dir, "derper.json") }

// Dir is a directory of the relay's own that goes away with it.
func (r *Relay) Dir() string { return r.dir }

// PublicKey is the key of the relay's key file.
func (r *Relay) PublicKey() key.NodePublic { return r.private.Public() }

// PrivateKey is the key in the relay's key file.
func (r *Relay) PrivateKey() key.NodePrivate { return r.private }

// listenHost is where the relay listens.
func (r *Relay) listenHost() string {
	if r.options.AllAddresses {
		return "0.0.0.0"
	}
	return r.Host
}

// Address is where DERP is served.
func (r *Relay) Address() string { return net.JoinHostPort(r.Host, strconv.Itoa(r.Port)) }

// HTTPAddress is where the plain HTTP helper pages are served.
func (r *Relay) HTTPAddress() string { return net.JoinHostPort(r.Host, strconv.Itoa(r.HTTPPort)) }

// STUNAddress is where STUN is answered.
func (r *Relay) STUNAddress() string { return net.JoinHostPort(r.Host, strconv.Itoa(r.STUNPort)) }

// Region is the relay as one region of a DERP map, by its address and certificate pin.
func (r *Relay) Region() *tailcfg.DERPRegion {
	return &tailcfg.DERPRegion{
		RegionID: 900, RegionCode: "own", RegionName: "Own relay",
		Nodes: []*tailcfg.DERPNode{{
			Name: "900a", RegionID: 900, HostName: r.Host, IPv4: r.Host, IPv6: "none",
			CertName: r.Certificate.Pin(), DERPPort: r.Port, STUNPort: r.STUNPort, STUNTestIP: r.Host,
		}},
	}
}

func (r *Relay) launch() error {
	argv, env, err := r.commandLine()
	if err != nil {
		return err
	}
	process, err := StartProcess(string(r.Target), argv, env, filepath.Join(r.dir, "relay.log"))
	if err != nil {
		return err
	}
	r.process = process
	return r.awaitTLS()
}

func (r *Relay) commandLine() (argv, env []string, err error) {
	switch r.Target {
	case Derper, NewerDerper:
		return r.derperCommand()
	case Towpath:
		return r.towpathCommand()
	default:
		return nil, nil, fmt.Errorf("unknown relay %q", r.Target)
	}
}

// awaitTLS polls because neither relay has a way to say that it is ready which both share. A proxy in front may show a
// certificate of its own until it has read its configuration.
func (r *Relay) awaitTLS() error {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	for {
		err := r.shows(ctx, dialer)
		if err == nil {
			return nil
		}
		select {
		case <-r.process.Done():
			return fmt.Errorf("%s ended while starting:\n%s", r.Target, r.process.LogTail(20))
		case <-ctx.Done():
			return fmt.Errorf("%s does not accept TLS: %w\n%s", r.Target, err, r.process.LogTail(20))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (r *Relay) shows(ctx context.Context, dialer tls.Dialer) error {
	conn, err := dialer.DialContext(ctx, "tcp", r.Address())
	if err != nil {
		return err
	}
	defer conn.Close()
	if !conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Equal(r.Certificate.Chain[0]) {
		return errors.New("it shows another certificate")
	}
	return nil
}

// AwaitExit returns the error text of a relay that is expected to refuse its configuration, or an error when it runs.
func AwaitExit(target Target, options Options, spoil func(*Relay) error) (string, error) {
	relay, err := prepare(target, options)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(relay.dir)
	if err := spoil(relay); err != nil {
		return "", err
	}
	err = relay.launch()
	tail := relay.process.LogTail(5)
	select {
	case <-relay.process.Done():
		_ = relay.process.Stop(0)
		return tail, nil
	default:
		_ = relay.process.Stop(stopPatience)
		return "", fmt.Errorf("%s keeps running: %w", target, errors.Join(err, errors.New(tail)))
	}
}

// Stop ends the process in the regular way and removes its files.
func (r *Relay) Stop() error {
	var err error
	if r.process != nil {
		err = r.process.Stop(stopPatience)
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}

// StopKeepingFiles ends the process so that Launch can run it again with the same keys and ports.
func (r *Relay) StopKeepingFiles() error { return r.process.Stop(stopPatience) }

// Launch runs a relay again that StopKeepingFiles has ended.
func (r *Relay) Launch() error { return r.launch() }

// Hangup makes the relay read its configuration again.
func (r *Relay) Hangup() error { return r.process.Signal(syscall.SIGHUP) }

// LogTail returns the last lines the relay printed.
func (r *Relay) LogTail(lines int) string { return r.process.LogTail(lines) }
