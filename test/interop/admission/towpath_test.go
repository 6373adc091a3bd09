package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"tailscale.com/derp"
	"tailscale.com/derp/derphttp"
	"tailscale.com/net/netmon"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
	"towpath.example/interop/relay"
)

// towpath is a relay with admission sources.
type towpath struct {
	t                         *testing.T
	dir                       string
	port, stunPort, adminPort int
	certificate               *relay.Certificate
	process                   *relay.Process
}

// newTowpath chooses ports and a certificate; the relay is started when its sources are known.
func newTowpath(t *testing.T) *towpath {
	t.Helper()
	r := &towpath{t: t, dir: shortDir(t), port: freePort(t), stunPort: freePort(t), adminPort: freePort(t)}
	var err error
	if r.certificate, err = relay.SelfSigned(r.dir); err != nil {
		t.Fatal(err)
	}
	return r
}

// start runs the relay with the YAML list of sources.
func (r *towpath) start(sources string) {
	r.t.Helper()
	config := fmt.Sprintf(`listen: %s
http: off
stun: %s
admin: %s
keyFile: derper.key
certificate: { file: %s, keyFile: %s }
admission:
  cacheDirectory: admission
  sources:
%s`, hostPort(r.port), hostPort(r.stunPort), hostPort(r.adminPort), r.certificate.CertificateFile, r.certificate.KeyFile, sources)
	write(r.t, filepath.Join(r.dir, "towpath.yaml"), config)
	argv := append(relay.TowpathCommand(), "serve", "--config", filepath.Join(r.dir, "towpath.yaml"))
	var err error
	if r.process, err = relay.StartProcess("towpath", argv, nil, r.logPath()); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { stop(r.t, r.process) })
	await(r.t, startPatience, "towpath is ready", func() bool {
		_, err := r.get("/readyz")
		return err == nil
	})
}

func (r *towpath) logPath() string { return filepath.Join(r.dir, "log") }

func (r *towpath) get(path string) (string, error) {
	response, err := http.Get("http://" + hostPort(r.adminPort) + path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}

// metric returns the value of one line of the metrics page, 0 when it is not there.
func (r *towpath) metric(line string) float64 {
	r.t.Helper()
	text, err := r.get("/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	match := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(line) + ` (\S+)$`).FindStringSubmatch(text)
	if match == nil {
		return 0
	}
	value, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		r.t.Fatal(err)
	}
	return value
}

// refusal is an entry of the admin listener's list.
type refusal struct {
	At, Source, Reason, Detail, Key, NodeKey, IP string
	WasConnected                                 bool
}

// refusal returns the newest refusal of a key, or nil.
func (r *towpath) refusal(nodeKey string, wasConnected bool) *refusal {
	r.t.Helper()
	text, err := r.get("/admission?format=json")
	if err != nil {
		r.t.Fatal(err)
	}
	var report struct{ Refusals []refusal }
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		r.t.Fatal(err)
	}
	for _, entry := range report.Refusals {
		if entry.NodeKey == nodeKey && entry.WasConnected == wasConnected {
			return &entry
		}
	}
	return nil
}

// logLine returns the first line of the relay's log that holds all words, or nothing.
func (r *towpath) logLine(words ...string) string {
lines:
	for _, line := range strings.Split(r.process.LogTail(1000), "\n") {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue lines
			}
		}
		return line
	}
	return ""
}

// dial connects with the official client; the error is that of the first message after the greeting.
func (r *towpath) dial(private key.NodePrivate) (*derphttp.Client, derp.ReceivedMessage, error) {
	client := derphttp.NewRegionClient(private, logger.Discard, netmon.NewStatic(), func() *tailcfg.DERPRegion {
		return &tailcfg.DERPRegion{RegionID: 900, RegionCode: "own", Nodes: []*tailcfg.DERPNode{{
			Name: "900a", RegionID: 900, HostName: "127.0.0.1", IPv4: "127.0.0.1", IPv6: "none",
			CertName: r.certificate.Pin(), DERPPort: r.port,
		}}}
	})
	r.t.Cleanup(func() { client.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	if err := client.Connect(ctx); err != nil {
		return client, nil, err
	}
	message, err := client.Recv()
	return client, message, err
}
