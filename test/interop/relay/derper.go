package relay

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

func (r *Relay) derperCommand() (argv, env []string, err error) {
	program := Binary("derper")
	if r.Target == NewerDerper {
		program = NewerBinary("derper")
	}
	argv = []string{
		program, "-a", net.JoinHostPort(r.listenHost(), strconv.Itoa(r.Port)), "-certmode", "manual", "-hostname", "127.0.0.1",
		"-certdir", filepath.Dir(r.Certificate.CertificateFile), "-c", r.keyFile(),
		"-http-port", strconv.Itoa(r.HTTPPort), "-stun-port", strconv.Itoa(r.STUNPort),
	}
	if r.options.Rate != nil {
		argv = append(argv, "-rate-config", r.rateFile())
	}
	if r.options.WriteTimeout != 0 {
		argv = append(argv, "-tcp-write-timeout", r.options.WriteTimeout.String())
	}
	if r.options.QueueDepthSet {
		env = append(env, "TS_DEBUG_DERP_PER_CLIENT_SEND_QUEUE_DEPTH="+r.options.QueueDepth)
	}
	meshArgv, meshEnv := r.derperMesh()
	return append(argv, meshArgv...), append(env, meshEnv...), nil
}

// derperRate is derper's rate file as text.
func derperRate(rate Rate) ([]byte, error) {
	return json.Marshal(map[string]uint64{
		"PerClientRateLimitBytesPerSec": rate.BytesPerSecond,
		"PerClientRateBurstBytes":       rate.BurstBytes,
	})
}

// rateFile is the file that is read again on SIGHUP: a rate file for derper, the whole configuration for towpath.
func (r *Relay) rateFile() string {
	if r.Target == Towpath {
		return r.towpathConfigFile()
	}
	return filepath.Join(r.dir, "rate.json")
}

// WriteRate changes the rate in the file that the relay reads, without telling it to read.
func (r *Relay) WriteRate(rate Rate) error {
	r.options.Rate = &rate
	text, err := derperRate(rate)
	if r.Target == Towpath {
		text, err = r.towpathConfig()
	}
	if err != nil {
		return err
	}
	return os.WriteFile(r.rateFile(), text, 0o600)
}

// SpoilRateFile replaces the file that the relay reads by something that does not parse.
func (r *Relay) SpoilRateFile() error {
	return os.WriteFile(r.rateFile(), []byte("{ not: [valid"), 0o600)
}

// EmptyRateFile makes it an empty object.
func (r *Relay) EmptyRateFile() error { return os.WriteFile(r.rateFile(), []byte("{}\n"), 0o600) }

// RemoveRateFile takes it away.
func (r *Relay) RemoveRateFile() error { return os.Remove(r.rateFile()) }
