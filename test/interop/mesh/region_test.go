package mesh

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"tailscale.com/derp"
	"tailscale.com/derp/derphttp"
	"tailscale.com/net/netmon"
	"tailscale.com/types/key"
	"tailscale.com/types/logger"
)

const (
	patience = 30 * time.Second
	// restartLimit is how long the clients of a region may need to reach each other after one relay was killed and restarted.
	restartLimit = 10 * time.Second
	// probeEvery is the time between two packets of a pair.
	probeEvery = 25 * time.Millisecond
	burst      = 500
)

// client is one of the official package that reconnects as long as the test runs, and checks what it receives.
type client struct {
	private key.NodePrivate
	conn    *derphttp.Client
	index   int

	mu sync.Mutex
	// last is the number of the latest packet from each client, 0 before the first.
	last     []uint64
	received []int
	faults   []string
	stopped  bool
}

func newClient(t *testing.T, m *member, index, count int) *client {
	t.Helper()
	c := &client{private: key.NewNode(), index: index, last: make([]uint64, count), received: make([]int, count)}
	conn, err := derphttp.NewClient(c.private, "https://"+m.address+"/derp", logger.Discard, netmon.NewStatic())
	if err != nil {
		t.Fatal(err)
	}
	c.conn = conn
	go c.receive()
	t.Cleanup(func() {
		c.mu.Lock()
		c.stopped = true
		c.mu.Unlock()
		conn.Close()
	})
	return c
}

func (c *client) receive() {
	for {
		message, err := c.conn.Recv()
		c.mu.Lock()
		stopped := c.stopped
		c.mu.Unlock()
		if stopped {
			return
		}
		if err != nil {
			// As tailscaled: the next call connects again.
			time.Sleep(20 * time.Millisecond)
			continue
		}
		if packet, ok := message.(derp.ReceivedPacket); ok {
			c.check(packet)
		}
	}
}

// check notes a packet: the sender's index and the number of the packet. Numbers must grow.
func (c *client) check(packet derp.ReceivedPacket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(packet.Data) != 16 {
		c.faults = append(c.faults, fmt.Sprintf("a packet of %d bytes", len(packet.Data)))
		return
	}
	from := int(binary.BigEndian.Uint64(packet.Data))
	number := binary.BigEndian.Uint64(packet.Data[8:])
	if number <= c.last[from] {
		c.faults = append(c.faults, fmt.Sprintf("packet %d of client %d after packet %d", number, from, c.last[from]))
	}
	c.last[from] = number
	c.received[from]++
}

func (c *client) send(to *client, number uint64) {
	packet := make([]byte, 16)
	binary.BigEndian.PutUint64(packet, uint64(c.index))
	binary.BigEndian.PutUint64(packet[8:], number)
	// A send that fails is a packet that is lost.
	c.conn.Send(to.private.Public(), packet)
}

func (c *client) lastOf(from int) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last[from]
}

// world is a region with one client of each relay.
type world struct {
	*testing.T
	members []*member
	clients []*client
	number  uint64
}

func newWorld(t *testing.T, kinds ...kind) *world {
	w := &world{T: t, members: region(t, kinds...)}
	for i, m := range w.members {
		w.clients = append(w.clients, newClient(t, m, i, len(w.members)))
	}
	return w
}

// pairs calls visit with each client and each other one.
func (w *world) pairs(visit func(from, to *client)) {
	for _, from := range w.clients {
		for _, to := range w.clients {
			if from != to {
				visit(from, to)
			}
		}
	}
}

// reached sends packets between all pairs until each pair has delivered one that was sent after the call.
func (w *world) reached(limit time.Duration) (time.Duration, error) {
	start := time.Now()
	first := w.number + 1
	for {
		w.number++
		w.pairs(func(from, to *client) { from.send(to, w.number) })
		time.Sleep(probeEvery)
		missing := ""
		w.pairs(func(from, to *client) {
			if to.lastOf(from.index) < first {
				missing += fmt.Sprintf(" %d→%d", from.index, to.index)
			}
		})
		if missing == "" {
			return time.Since(start), nil
		}
		if time.Since(start) > limit {
			return 0, fmt.Errorf("after %v these clients do not reach each other:%s", limit, missing)
		}
	}
}

func (w *world) faults() {
	w.Helper()
	for _, c := range w.clients {
		c.mu.Lock()
		if len(c.faults) > 0 {
			w.Errorf("client %d: %d faults, first: %s", c.index, len(c.faults), c.faults[0])
		}
		c.mu.Unlock()
	}
}

func (w *world) mustReach(what string, limit time.Duration) {
	w.Helper()
	took, err := w.reached(limit)
	if err != nil {
		w.Fatalf("%s: %v", what, err)
	}
	w.Logf("%s: everyone reaches everyone after %v", what, took.Round(time.Millisecond))
}

func testRegion(t *testing.T, kinds ...kind) {
	w := newWorld(t, kinds...)
	w.mustReach("start", patience)

	before := make([][]int, len(w.clients))
	for i, c := range w.clients {
		c.mu.Lock()
		before[i] = append([]int(nil), c.received...)
		c.mu.Unlock()
	}
	for range burst {
		w.number++
		w.pairs(func(from, to *client) { from.send(to, w.number) })
		time.Sleep(time.Millisecond)
	}
	deadline := time.Now().Add(patience)
	w.pairs(func(from, to *client) {
		for to.lastOf(from.index) < w.number && time.Now().Before(deadline) {
			time.Sleep(5 * time.Millisecond)
		}
		to.mu.Lock()
		defer to.mu.Unlock()
		// Packets of the start may still have been under way.
		if got := to.received[from.index] - before[to.index][from.index]; got < burst {
			t.Errorf("%d→%d: %d of %d packets", from.index, to.index, got, burst)
		}
	})
	w.faults()

	for i, m := range w.members {
		m.kill()
		m.start(t)
		killed := time.Now()
		m.waitUp(t)
		w.mustReach(fmt.Sprintf("%s (relay %d) killed and restarted, up after %v", m.kind, i, time.Since(killed).Round(time.Millisecond)), restartLimit)
	}
	w.faults()
}

func TestRegionWithDerper1104(t *testing.T) { testRegion(t, towpathNode, towpathBun, derperNew) }

func TestRegionWithDerper1102(t *testing.T) { testRegion(t, towpathNode, towpathBun, derperOld) }

func TestRegionOfTowpath(t *testing.T) { testRegion(t, towpathNode, towpathBun, towpathNode) }

// TestRegionOfDerper gives the results that the other regions are compared with.
func TestRegionOfDerper(t *testing.T) { testRegion(t, derperNew, derperOld, derperNew) }
