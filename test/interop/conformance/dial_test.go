package conformance

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
	"tailscale.com/net/wsconn"
	"tailscale.com/types/key"
	"towpath.example/interop/relay"
)

const (
	// messageLimit is the longest WebSocket message that upstream's server takes.
	messageLimit = 32 << 10
	// anyReadLimit takes every message, officialReadLimit what official clients take.
	anyReadLimit, officialReadLimit = -1, 0
)

// stream is a connection on which DERP frames follow.
type stream struct {
	net.Conn
	reader *bufio.Reader
}

func insecure() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// dialTCP makes connections whose receive buffer is small, so that the buffer of an unread connection fills soon.
func dialTCP(ctx context.Context, _, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return conn, conn.(*net.TCPConn).SetReadBuffer(64 << 10)
}

func dialTLS(r *relay.Relay) (*stream, error) {
	plain, err := dialTCP(context.Background(), "tcp", r.Address())
	if err != nil {
		return nil, err
	}
	conn := tls.Client(plain, insecure())
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if err := conn.Handshake(); err != nil {
		plain.Close()
		return nil, err
	}
	return &stream{Conn: conn, reader: bufio.NewReader(conn)}, conn.SetDeadline(time.Time{})
}

// upgradeRequest is the request of official clients, with header lines in addition.
func upgradeRequest(r *relay.Relay, upgrade string, headers ...string) string {
	lines := append([]string{
		"GET /derp HTTP/1.1", "Host: " + r.Address(), "User-Agent: Go-http-client/1.1",
		"Connection: Upgrade", "Upgrade: " + upgrade,
	}, headers...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// upgrade sends an upgrade request and reads the head of the answer, which must be 101.
func (c *stream) upgrade(request string) (*http.Response, error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := c.Write([]byte(request)); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("upgrade answered %s", response.Status)
	}
	return response, c.SetDeadline(time.Time{})
}

// dialWebSocket connects as official clients do. They leave the library's own limit for messages that are read in
// place; most tests check the frames in messages of any size instead.
func dialWebSocket(r *relay.Relay, readLimit int64) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	transport := &http.Transport{DialContext: dialTCP, TLSClientConfig: insecure()}
	conn, _, err := websocket.Dial(ctx, "wss://"+r.Address()+"/derp", &websocket.DialOptions{
		Subprotocols: []string{"derp"}, HTTPClient: &http.Client{Transport: transport},
	})
	if err != nil {
		return nil, err
	}
	if conn.Subprotocol() != "derp" {
		conn.CloseNow()
		return nil, fmt.Errorf("subprotocol %q was selected", conn.Subprotocol())
	}
	if readLimit != officialReadLimit {
		conn.SetReadLimit(readLimit)
	}
	return conn, nil
}

// abruptly closes the WebSocket without waiting for the other side's close frame, which a relay that is blocked on its
// part of the connection would never send.
type abruptly struct {
	net.Conn
	conn *websocket.Conn
}

func (a abruptly) Close() error { return a.conn.CloseNow() }

// Write splits the bytes into messages that upstream's server accepts.
func (a abruptly) Write(bytes []byte) (int, error) {
	written := 0
	for written < len(bytes) {
		n, err := a.Conn.Write(bytes[written:min(len(bytes), written+messageLimit)])
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// open connects to the relay up to where DERP frames begin.
func open(r *relay.Relay, over string) (*stream, error) {
	if over == overWebSocket {
		conn, err := dialWebSocket(r, anyReadLimit)
		if err != nil {
			return nil, err
		}
		bytes := abruptly{wsconn.NetConn(context.Background(), conn, websocket.MessageBinary, r.Address()), conn}
		return &stream{Conn: bytes, reader: bufio.NewReader(bytes)}, nil
	}
	conn, err := dialTLS(r)
	if err != nil {
		return nil, err
	}
	if _, err := conn.upgrade(upgradeRequest(r, "DERP")); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// open connects without reading ServerKey.
func (s *scene) open() *peer {
	s.Helper()
	conn, err := open(s.relay, s.over)
	if err != nil {
		s.Fatal(err)
	}
	return s.peer(conn)
}

func (s *scene) peer(conn *stream) *peer {
	s.Cleanup(func() { conn.Close() })
	return &peer{scene: s, stream: conn, private: key.NewNode(), relayKey: s.relay.PublicKey()}
}

// greeted connects and reads ServerKey.
func (s *scene) greeted() *peer {
	s.Helper()
	p := s.open()
	p.expectServerKey()
	return p
}

// join connects a client with a key of its own.
func (s *scene) join() *peer {
	s.Helper()
	return s.joinAs(key.NewNode())
}

// joinAs connects a client with the given key.
func (s *scene) joinAs(private key.NodePrivate) *peer {
	s.Helper()
	p := s.greeted()
	p.private = private
	p.introduce(`{"version":2,"CanAckPings":true}`)
	p.expectServerInfo()
	return p
}
