package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Metric is a number that both relays publish, each under a name of its own.
type Metric string

// The numbers that statements of the list speak of.
const (
	Connections          Metric = "connections"
	HomeConnections      Metric = "home connections"
	DuplicateKeys        Metric = "duplicate keys"
	DuplicateConnections Metric = "duplicate connections"
	RateLimitWaits       Metric = "rate limit waits"
	Accepts              Metric = "accepts"
	WriteTimeouts        Metric = "write timeouts"
)

var derperMetricNames = map[Metric]string{
	Connections:          "derp_current_connections",
	HomeConnections:      "derp_current_home_connections",
	DuplicateKeys:        "derp_current_dup_client_keys",
	DuplicateConnections: "derp_current_dup_client_conns",
	RateLimitWaits:       "derp_rate_limit_per_client_waited",
	Accepts:              "derp_accepts",
	WriteTimeouts:        "derp_sclient_write_timeouts",
}

var metricNames = map[Target]map[Metric]string{
	Derper:      derperMetricNames,
	NewerDerper: derperMetricNames,
	Towpath: {
		Connections:          "towpath_connections",
		HomeConnections:      "towpath_home_connections",
		DuplicateKeys:        "towpath_duplicate_keys",
		DuplicateConnections: "towpath_duplicate_connections",
		RateLimitWaits:       "towpath_rate_limit_waits_total",
		Accepts:              "towpath_accepts_total",
		WriteTimeouts:        "towpath_write_timeouts_total",
	},
}

func (r *Relay) metricsURL() string {
	if r.Target == Towpath {
		return "http://" + r.adminAddress() + "/metrics"
	}
	return "https://" + r.Address() + "/debug/varz"
}

// Metric reads one number from the relay's metrics page. Lines of one name that differ by their labels are added.
func (r *Relay) Metric(ctx context.Context, metric Metric) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.metricsURL(), nil)
	if err != nil {
		return 0, err
	}
	client := http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s answers %s", r.metricsURL(), response.Status)
	}

	name, sum, found := metricNames[r.Target][metric], 0.0, false
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		rest, matches := strings.CutPrefix(lines.Text(), name)
		if !matches || rest == "" || (rest[0] != ' ' && rest[0] != '{') {
			continue
		}
		value, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("metric line %q: %w", lines.Text(), err)
		}
		sum, found = sum+value, true
	}
	if !found {
		return 0, fmt.Errorf("%s has no metric %s", r.metricsURL(), name)
	}
	return sum, lines.Err()
}
