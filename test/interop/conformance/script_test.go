package conformance

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"tailscale.com/derp"
	"tailscale.com/types/key"
)

// scriptedPlace is another relay that sends the frames of the test.
type scriptedPlace struct {
	*scene
	private key.NodePrivate
	listen  string

	mutex    sync.Mutex
	listener net.Listener
	// link is the connection of the relay under test while it watches, and nil while there is none.
	link *stream
	// present are the clients here.
	present map[key.NodePublic]*remote
	// watches counts how often the relay under test has sent WatchConns.
	watches int
	closed  bool
}

func (s *scene) scriptedPlace() *scriptedPlace {
	s.Helper()
	place := &scriptedPlace{scene: s, private: key.NewNode(), listen: "127.0.0.1:0", present: map[key.NodePublic]*remote{}}
	place.open()
	s.Cleanup(place.stop)
	return place
}

// open listens, from the second time on at the address of the first.
func (p *scriptedPlace) open() {
	p.Helper()
	certificate, err := tls.LoadX509KeyPair(p.issued().CertificateFile, p.issued().KeyFile)
	if err != nil {
		p.Fatal(err)
	}
	listener, err := tls.Listen("tcp", p.listen, &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		p.Fatal(err)
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.listener, p.listen, p.closed = listener, listener.Addr().String(), false
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(&stream{Conn: conn, reader: bufio.NewReader(conn)})
		}
	}()
}

// stop ends all connections and takes no more.
func (p *scriptedPlace) stop() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.closed = true
	p.listener.Close()
	if p.link != nil {
		p.link.Close()
		p.link = nil
	}
}

func (p *scriptedPlace) address() string { return p.listen }

func (p *scriptedPlace) restart(meanwhile func()) {
	p.Helper()
	p.stop()
	p.mutex.Lock()
	p.present = map[key.NodePublic]*remote{}
	p.mutex.Unlock()
	meanwhile()
	p.open()
}

// serve handles a connection of the relay under test. A wrong frame of the relay fails the test.
func (p *scriptedPlace) serve(conn *stream) {
	defer conn.Close()
	watcher, err := p.greet(conn)
	if err != nil {
		// Also a connection that ends while its place is stopped; a link that never comes up fails the test by itself.
		return
	}
	p.mutex.Lock()
	if p.closed {
		p.mutex.Unlock()
		return
	}
	p.link = conn
	p.watches++
	// Derper tells a watcher of itself, too.
	p.tell(encode(peerPresent, raw(watcher), make([]byte, 18), []byte{meshPeer}))
	for who := range p.present {
		p.tellPresent(who)
	}
	p.mutex.Unlock()
	for {
		next, err := conn.read(time.Now().Add(4 * patience))
		if err != nil {
			return
		}
		p.received(conn, next)
	}
}

// greet reads the relay's first frames as another relay does, up to WatchConns.
func (p *scriptedPlace) greet(conn *stream) (watcher key.NodePublic, err error) {
	request, err := http.ReadRequest(conn.reader)
	if err != nil {
		return watcher, err
	}
	if request.Header.Get("Derp-Fast-Start") != "1" {
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n\r\n")
	}
	conn.Write(encode(serverKey, []byte(derp.Magic), raw(p.private.Public())))
	info, err := conn.read(time.Now().Add(4 * patience))
	if err != nil || info.kind != clientInfo || len(info.payload) < 56 {
		return watcher, fmt.Errorf("got %v, %v instead of ClientInfo", info, err)
	}
	watcher = publicKey(info.payload)
	text, ok := p.private.OpenFrom(watcher, info.payload[32:])
	var fields struct{ MeshKey string }
	if !ok || json.Unmarshal(text, &fields) != nil || fields.MeshKey != regionKey {
		p.Errorf("the relay introduces itself to another one with %q", text)
		return watcher, io.EOF
	}
	conn.Write(encode(serverInfo, p.private.SealTo(watcher, []byte(`{"version":2}`))))
	watch, err := conn.read(time.Now().Add(4 * patience))
	if err == nil && (watch.kind != watchConns || len(watch.payload) != 0) {
		p.Errorf("got %v instead of WatchConns", watch)
		err = io.EOF
	}
	return watcher, err
}

func (p *scriptedPlace) received(conn *stream, got frame) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	switch {
	case got.kind == ping:
		conn.Write(encode(pong, got.payload[:8]))
	case got.kind != forwardPacket || len(got.payload) < 64:
		p.Errorf("another relay got %v", got)
	default:
		destination := publicKey(got.payload[32:])
		if client := p.present[destination]; client != nil {
			client.inbox <- arrival{publicKey(got.payload), bytes.Clone(got.payload[64:])}
		} else {
			p.Errorf("another relay got a packet for %v, which it does not have", destination)
		}
	}
}

// tell writes a frame to the watcher, if there is one.
func (p *scriptedPlace) tell(frame []byte) {
	if p.link != nil {
		p.link.Write(frame)
	}
}

// tellPresent writes the long form of PeerPresent with every other key, the short one of older relays otherwise.
func (p *scriptedPlace) tellPresent(who key.NodePublic) {
	var tail []byte
	if raw(who)[0]%2 == 0 {
		tail = []byte("\x04test")
	}
	p.tell(encode(peerPresent, raw(who), make([]byte, 18), []byte{regular}, tail))
}

func (p *scriptedPlace) join(private key.NodePrivate) *remote {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	client := &remote{scene: p.scene, private: private, inbox: make(chan arrival, 1000)}
	client.leave = func() {
		p.mutex.Lock()
		defer p.mutex.Unlock()
		delete(p.present, private.Public())
		p.tellGone(private.Public())
	}
	p.present[private.Public()] = client
	p.tellPresent(private.Public())
	return client
}

func (p *scriptedPlace) tellGone(who key.NodePublic) {
	p.tell(encode(peerGone, raw(who), []byte{goneDisconnected}))
}

func (p *scriptedPlace) watched() int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.watches
}
