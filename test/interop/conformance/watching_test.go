package conformance

import (
	"fmt"
	"os"
	"time"

	"tailscale.com/types/key"
)

// The statements about silence and KeepAlive wait up to 65 s. Their connections are
// started before all tests, so that the run is not much longer than that.

// watchedClients is how many connections are watched for KeepAlive on each transport.
const watchedClients = 4

type observation struct {
	after time.Duration
	// period is the time from the first KeepAlive to the second, when that is waited for.
	period time.Duration
	err    error
}

var (
	silences   = map[string]chan observation{}
	keepAlives = map[string]chan observation{}
	// constantPeriod makes the run a minute longer to see that the period stays the same.
	constantPeriod = os.Getenv("CONFORMANCE_LONG") != ""
)

func startWatching() {
	for _, over := range bothTransports {
		silences[over] = make(chan observation, 1)
		keepAlives[over] = make(chan observation, watchedClients)
		go func() { silences[over] <- watchSilence(over) }()
		for range watchedClients {
			go func() { keepAlives[over] <- watchKeepAlive(over) }()
		}
	}
}

func watchSilence(over string) observation {
	conn, err := open(shared, over)
	if err != nil {
		return observation{err: err}
	}
	defer conn.Close()
	start := time.Now()
	if first, err := conn.read(start.Add(patience)); err != nil || first.kind != serverKey {
		return observation{err: fmt.Errorf("got %v, %v instead of ServerKey", first, err)}
	}
	if next, err := conn.read(start.Add(2 * patience)); err == nil {
		return observation{err: fmt.Errorf("got %v", next)}
	}
	return observation{after: time.Since(start)}
}

func watchKeepAlive(over string) observation {
	conn, err := open(shared, over)
	if err != nil {
		return observation{err: err}
	}
	defer conn.Close()
	private := key.NewNode()
	introduction := encode(clientInfo, raw(private.Public()), private.SealTo(shared.PublicKey(), []byte("{}")))
	if _, err := conn.Write(introduction); err != nil {
		return observation{err: err}
	}
	for _, kind := range []byte{serverKey, serverInfo} {
		if next, err := conn.read(time.Now().Add(patience)); err != nil || next.kind != kind {
			return observation{err: fmt.Errorf("got %v, %v instead of frame %#02x", next, err, kind)}
		}
	}

	start := time.Now()
	if err := readKeepAlive(conn); err != nil {
		return observation{err: err}
	}
	result := observation{after: time.Since(start)}
	if constantPeriod {
		middle := time.Now()
		result.err = readKeepAlive(conn)
		result.period = time.Since(middle)
	}
	return result
}

func readKeepAlive(conn *stream) error {
	next, err := conn.read(time.Now().Add(90 * time.Second))
	if err == nil && (next.kind != keepAlive || len(next.payload) != 0) {
		err = fmt.Errorf("got %v instead of KeepAlive", next)
	}
	return err
}
