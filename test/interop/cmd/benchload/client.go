package main

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"go4.org/mem"
	"tailscale.com/types/key"
)

const (
	frameServerKey  = 0x01
	frameClientInfo = 0x02
	frameServerInfo = 0x03
	frameSendPacket = 0x04
	frameRecvPacket = 0x05
	frameKeepAlive  = 0x06
	framePing       = 0x12
	framePong       = 0x13

	headerBytes = 5
	keyBytes    = 32
)

// client is one DERP connection that has been admitted.
type client struct {
	socket *socket
	tls    *tls.Conn
	public [keyBytes]byte
	// in holds what was read and not yet understood.
	in     []byte
	inFrom int
	inTo   int
}

var tlsConfig = &tls.Config{
	InsecureSkipVerify: true,
	MinVersion:         tls.VersionTLS13,
	// A record that grows with the connection's age would change the load while it is measured.
	DynamicRecordSizingDisabled: true,
}

// connect does what a real client does: TLS 1.3, Fast Start with the key from the meta-certificate, ClientInfo.
func connect(address string) (*client, error) {
	s, err := dial(address)
	if err != nil {
		return nil, err
	}
	c := &client{socket: s, tls: tls.Client(s, tlsConfig), in: make([]byte, 2048)}
	if err := c.handshake(address); err != nil {
		s.Close()
		return nil, err
	}
	return c, nil
}

func (c *client) handshake(address string) error {
	if err := c.tls.Handshake(); err != nil {
		return err
	}
	server, err := c.serverKey()
	if err != nil {
		return err
	}
	private := key.NewNode()
	c.public = private.Public().Raw32()
	sealed := private.SealTo(server, []byte(`{"version":2,"CanAckPings":true}`))
	hello := []byte("GET /derp HTTP/1.1\r\nHost: " + address + "\r\nUser-Agent: Go-http-client/1.1\r\n" +
		"Connection: Upgrade\r\nDerp-Fast-Start: 1\r\nUpgrade: DERP\r\n\r\n")
	hello = append(hello, frameClientInfo)
	hello = binary.BigEndian.AppendUint32(hello, uint32(keyBytes+len(sealed)))
	hello = append(append(hello, c.public[:]...), sealed...)
	if _, err := c.tls.Write(hello); err != nil {
		return err
	}
	for _, wanted := range []byte{frameServerKey, frameServerInfo} {
		kind, _, err := c.awaitFrame()
		if err != nil {
			return err
		}
		if kind != wanted {
			return fmt.Errorf("frame 0x%02x where 0x%02x was due", kind, wanted)
		}
	}
	return nil
}

// serverKey reads the relay's key from the certificate that it appends for this.
func (c *client) serverKey() (key.NodePublic, error) {
	for _, certificate := range c.tls.ConnectionState().PeerCertificates {
		if text, found := strings.CutPrefix(certificate.Subject.CommonName, "derpkey"); found {
			return key.ParseNodePublicUntyped(mem.S(text))
		}
	}
	return key.NodePublic{}, errors.New("the relay presents no meta-certificate")
}

// awaitFrame blocks; it is for the handshake only.
func (c *client) awaitFrame() (kind byte, payload []byte, err error) {
	for {
		if kind, payload, ok := c.nextFrame(); ok {
			return kind, payload, nil
		}
		n, err := c.fill()
		if err != nil {
			return 0, nil, err
		}
		if n == 0 {
			return 0, nil, io.ErrNoProgress
		}
	}
}

// fill reads once into in, after moving the remaining bytes to its start.
func (c *client) fill() (int, error) {
	if c.inFrom > 0 {
		c.inTo = copy(c.in, c.in[c.inFrom:c.inTo])
		c.inFrom = 0
	}
	n, err := c.tls.Read(c.in[c.inTo:])
	c.inTo += n
	return n, err
}

// nextFrame returns the next whole frame in the buffer; the payload is valid until the next fill.
func (c *client) nextFrame() (kind byte, payload []byte, ok bool) {
	have := c.in[c.inFrom:c.inTo]
	if len(have) < headerBytes {
		return 0, nil, false
	}
	end := headerBytes + int(binary.BigEndian.Uint32(have[1:]))
	if len(have) < end {
		return 0, nil, false
	}
	c.inFrom += end
	return have[0], have[headerBytes:end], true
}

// prepare makes an admitted client ready for the event loop.
func (c *client) prepare(largestFrame int) error {
	left := append([]byte(nil), c.in[c.inFrom:c.inTo]...)
	c.in = make([]byte, 2*largestFrame+32<<10)
	c.inFrom, c.inTo = 0, copy(c.in, left)
	return c.socket.unblock()
}

func (c *client) close() { c.socket.Close() }
