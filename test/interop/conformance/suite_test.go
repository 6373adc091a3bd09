package conformance

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"towpath.example/interop/catalogue"
	"towpath.example/interop/relay"
)

// patience is the longest wait for an expected event. It is long, because only failing tests wait that long.
const patience = 20 * time.Second

// The ways in which a statement can be driven.
const (
	overTLS       = "TLS"
	overWebSocket = "WebSocket"
	// overAny is for statements to which the transport makes no difference.
	overAny = ""
)

var bothTransports = []string{overTLS, overWebSocket}

var (
	target relay.Target
	// shared is the relay of all statements that do not count anything and do not need options.
	shared *relay.Relay

	recordMutex sync.Mutex
	recorded    = catalogue.Results{Outcomes: map[int]map[string]catalogue.Outcome{}}
	consulted   = map[string]bool{}
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if target, err = relay.TargetFromEnvironment(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	recorded.Target = string(target)
	if shared, err = relay.Start(target, relay.Options{Mesh: &relay.Mesh{Key: regionKey}}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	startWatching()
	code := m.Run()
	if code != 0 {
		fmt.Fprintf(os.Stderr, "last lines of the shared %s:\n%s\n", target, shared.LogTail(20))
	}
	if err := shared.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "the shared relay:", err)
		code = max(code, 1)
	}
	return max(code, report())
}

// report writes the results and checks that a complete run has all statements.
func report() int {
	code, counts := 0, recorded.Count()
	fmt.Printf("%s: %d statements pass, %d differ as chosen, %d are not applicable, %d fail, of %d\n",
		target, counts[catalogue.Passed], counts[catalogue.AsChosen], counts[catalogue.NotApplicable],
		counts[catalogue.Failed], len(catalogue.Statements))

	if flag.Lookup("test.run").Value.String() == "" {
		if missing := counts[""]; missing > 0 {
			fmt.Fprintf(os.Stderr, "%d statements of the catalogue have no test\n", missing)
			code = 1
		}
		for _, difference := range catalogue.Differences {
			name := difference.Key + strconv.Itoa(difference.Statement)
			if slices.Contains(difference.Targets, string(target)) && !consulted[name] {
				fmt.Fprintf(os.Stderr, "difference %s of statement %d was not met\n", difference.Key, difference.Statement)
				code = 1
			}
		}
	}
	if path := os.Getenv("CONFORMANCE_RESULTS"); path != "" {
		if err := recorded.Write(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

// scene holds the tools of a test of one statement.
type scene struct {
	*testing.T
	number int
	over   string
	relay  *relay.Relay
	differ bool
	// notApplicable is set when nothing could be asserted.
	notApplicable bool
}

// statement runs body once for each way of driving it and records the outcomes. Statements run side by side: several
// of them mostly wait.
func statement(t *testing.T, number int, over []string, body func(*scene)) {
	t.Helper()
	if _, known := catalogue.Find(number); !known {
		t.Fatalf("statement %d is not in the catalogue", number)
	}
	t.Parallel()
	for _, way := range over {
		name := way
		if name == overAny {
			name = "once"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &scene{T: t, number: number, over: way, relay: shared}
			finished := false
			t.Cleanup(func() { s.record(finished) })
			body(s)
			finished = true
		})
	}
}

func (s *scene) record(finished bool) {
	outcome := catalogue.Passed
	switch {
	case s.Failed() || !finished:
		outcome = catalogue.Failed
	case s.notApplicable:
		outcome = catalogue.NotApplicable
	case s.differ:
		outcome = catalogue.AsChosen
	}
	recordMutex.Lock()
	defer recordMutex.Unlock()
	if recorded.Outcomes[s.number] == nil {
		recorded.Outcomes[s.number] = map[string]catalogue.Outcome{}
	}
	recorded.Outcomes[s.number][s.over] = outcome
}

// differs says whether the relay under test has chosen to differ; the caller then asserts what was chosen.
func (s *scene) differs(difference string) bool {
	differences := catalogue.Of(string(target), s.number)
	index := slices.IndexFunc(differences, func(d catalogue.Difference) bool { return d.Key == difference })
	if index < 0 {
		return false
	}
	s.differ, s.notApplicable = true, differences[index].NotApplicable
	recordMutex.Lock()
	defer recordMutex.Unlock()
	consulted[difference+strconv.Itoa(s.number)] = true
	return true
}

// own starts a relay only for this statement and makes it the scene's relay.
func (s *scene) own(options relay.Options) *relay.Relay {
	s.Helper()
	started, err := relay.Start(target, options)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if s.Failed() {
			s.Logf("last lines of %s:\n%s", target, started.LogTail(20))
		}
		if err := started.Stop(); err != nil {
			s.Error(err)
		}
	})
	s.relay = started
	return started
}

func (s *scene) metric(metric relay.Metric) float64 {
	s.Helper()
	value, err := s.relay.Metric(context.Background(), metric)
	if err != nil {
		s.Fatal(err)
	}
	return value
}

// awaitMetric reads a metric until it has the wanted value.
func (s *scene) awaitMetric(metric relay.Metric, want float64) {
	s.Helper()
	s.eventually(fmt.Sprintf("%s = %v", metric, want), func() bool { return s.metric(metric) == want })
}

// eventually repeats a check until it is true, for changes that a relay does not announce.
func (s *scene) eventually(what string, ask func() bool) {
	s.Helper()
	for deadline := time.Now().Add(patience); !ask(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatalf("not reached within %v: %s", patience, what)
		}
	}
}
