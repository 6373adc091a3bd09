package conformance

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"time"

	"tailscale.com/types/key"
	"towpath.example/interop/relay"
)

// The ways in which the link of the relay under test to another relay is driven: that one is a script, or a derper.
const (
	overScript = "link to a script"
	overDerper = "link to derper"
)

var bothLinks = []string{overScript, overDerper}

// probePatience is how long one probe may take before the next one is sent.
const probePatience = 100 * time.Millisecond

// place is another relay of the region, to which the relay under test links.
type place interface {
	address() string
	// join connects a client with the given key.
	join(key.NodePrivate) *remote
	// restart breaks all connections; meanwhile is called while no relay listens.
	restart(meanwhile func())
}

// remote is a client of another relay.
type remote struct {
	*scene
	private key.NodePrivate
	inbox   chan arrival
	// leave disconnects it, and returns once its relay has noticed.
	leave func()
}

// arrival is a packet that a remote client received.
type arrival struct {
	source key.NodePublic
	data   []byte
}

func (r *remote) public() key.NodePublic { return r.private.Public() }

// expectPacket reads the next packet, which must be this one.
func (r *remote) expectPacket(source key.NodePublic, data string) {
	r.Helper()
	select {
	case got := <-r.inbox:
		if got.source != source || string(got.data) != data {
			r.Fatalf("%q from %v arrived, not %q from %v", got.data, got.source, data, source)
		}
	case <-time.After(patience):
		r.Fatalf("%q from %v did not arrive", data, source)
	}
}

// await sends packets until one arrives, because a client does not know which keys its relay knows, and then reads
// those that are still under way.
func (r *remote) await(from *peer) {
	r.Helper()
	deadline, number := time.Now().Add(patience), 0
	for latest := 0; latest == 0; {
		number++
		from.send(r.public(), []byte(fmt.Sprint(number)))
		latest = r.probe(from, probePatience)
		if latest == 0 && time.Now().After(deadline) {
			r.Fatalf("nothing arrived at %v", r.public())
		}
		for latest > 0 && latest < number {
			if latest = r.probe(from, patience); latest == 0 {
				r.Fatal("a probe was lost")
			}
		}
	}
}

// probe returns the number of the next probe, or 0 when none comes in time.
func (r *remote) probe(from *peer, limit time.Duration) (number int) {
	r.Helper()
	select {
	case got := <-r.inbox:
		if _, err := fmt.Sscan(string(got.data), &number); err != nil || got.source != from.public() {
			r.Fatalf("%q from %v arrived, not a probe", got.data, got.source)
		}
	case <-time.After(limit):
	}
	return number
}

// hasTold returns once the relay under test knows all earlier events of the place.
func hasTold(at place, from *peer) {
	from.Helper()
	at.join(key.NewNode()).await(from)
}

// issued is the certificate of the places, from an authority that the relay under test is configured to trust.
var issued = sync.OnceValues(func() (*relay.Certificate, error) {
	dir, err := os.MkdirTemp("", "places-")
	if err != nil {
		return nil, err
	}
	return relay.Issued(dir)
})

func (s *scene) issued() *relay.Certificate {
	s.Helper()
	certificate, err := issued()
	if err != nil {
		s.Fatal(err)
	}
	return certificate
}

// linked starts two other relays and one under test with links to both.
func (s *scene) linked() (first, second place) {
	s.Helper()
	if s.over == overScript {
		first, second = s.scriptedPlace(), s.scriptedPlace()
	} else {
		first, second = s.derperPlace(relay.Derper), s.derperPlace(relay.NewerDerper)
	}
	s.linkTo(first, second)
	return first, second
}

// linkTo starts the relay under test with links to the places.
func (s *scene) linkTo(places ...place) {
	s.Helper()
	mesh := &relay.Mesh{Key: regionKey, AuthorityFile: s.issued().AuthorityFile}
	for _, place := range places {
		mesh.With = append(mesh.With, place.address())
	}
	s.own(relay.Options{Mesh: mesh})
}

// derperPlace is a derper of its own.
type derperPlace struct {
	*scene
	relay *relay.Relay
}

func (s *scene) derperPlace(release relay.Target) *derperPlace {
	s.Helper()
	started, err := relay.Start(release, relay.Options{Certificate: s.issued(), Mesh: &relay.Mesh{Key: regionKey}})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { started.Stop() })
	return &derperPlace{s, started}
}

func (d *derperPlace) address() string { return d.relay.Address() }

// there is a scene whose clients connect to this relay.
func (d *derperPlace) there() *scene {
	there := *d.scene
	there.relay, there.over = d.relay, overTLS
	return &there
}

func (d *derperPlace) join(private key.NodePrivate) *remote {
	d.Helper()
	client := d.there().joinAs(private)
	r := &remote{scene: d.scene, private: private, inbox: make(chan arrival, 1000)}
	go func() {
		for {
			next, err := client.read(time.Now().Add(4 * patience))
			if err != nil {
				return
			}
			if next.kind == recvPacket {
				r.inbox <- arrival{publicKey(next.payload), bytes.Clone(next.payload[32:])}
			}
		}
	}()
	r.leave = func() {
		d.Helper()
		connected := d.there().metric(relay.Connections)
		client.Close()
		d.there().awaitMetric(relay.Connections, connected-1)
	}
	return r
}

func (d *derperPlace) restart(meanwhile func()) {
	d.Helper()
	if err := d.relay.StopKeepingFiles(); err != nil {
		d.Fatal(err)
	}
	meanwhile()
	if err := d.relay.Launch(); err != nil {
		d.Fatal(err)
	}
}
