package conformance

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"go4.org/mem"
	"tailscale.com/derp"
	"tailscale.com/disco"
	"tailscale.com/types/key"
)

// Frame types as plain numbers, because tests also send types that the official package does not name.
const (
	serverKey     = byte(derp.FrameServerKey)
	clientInfo    = byte(derp.FrameClientInfo)
	serverInfo    = byte(derp.FrameServerInfo)
	sendPacket    = byte(derp.FrameSendPacket)
	recvPacket    = byte(derp.FrameRecvPacket)
	keepAlive     = byte(derp.FrameKeepAlive)
	notePreferred = byte(derp.FrameNotePreferred)
	peerGone      = byte(derp.FramePeerGone)
	peerPresent   = byte(derp.FramePeerPresent)
	forwardPacket = byte(derp.FrameForwardPacket)
	watchConns    = byte(derp.FrameWatchConns)
	closePeer     = byte(derp.FrameClosePeer)
	ping          = byte(derp.FramePing)
	pong          = byte(derp.FramePong)
	health        = byte(derp.FrameHealth)
	unknownType   = byte(0x7e)
)

// Reasons in PeerGone.
const (
	goneDisconnected = byte(derp.PeerGoneReasonDisconnected)
	goneNotHere      = byte(derp.PeerGoneReasonNotHere)
)

const (
	maxPacket = derp.MaxPacketSize
	// bucketFloor is a full SendPacket: the destination's key and the largest packet.
	bucketFloor = 32 + maxPacket
)

// frame is a DERP frame as it was on the wire.
type frame struct {
	kind    byte
	payload []byte
}

func (f frame) String() string {
	return fmt.Sprintf("frame %#02x of %d bytes %.64x", f.kind, len(f.payload), f.payload)
}

// peer is a client made of raw frames.
type peer struct {
	*scene
	*stream
	private  key.NodePrivate
	relayKey key.NodePublic
	// complaints are the texts of the Health frames that arrived.
	complaints []string
}

func (p *peer) public() key.NodePublic { return p.private.Public() }

// encode puts a frame into bytes.
func encode(kind byte, parts ...[]byte) []byte {
	payload := bytes.Join(parts, nil)
	encoded := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(payload)))
	return append(encoded, payload...)
}

// packet encodes a SendPacket.
func packet(destination key.NodePublic, data []byte) []byte {
	return encode(sendPacket, raw(destination), data)
}

func raw(k key.NodePublic) []byte {
	bytes := k.Raw32()
	return bytes[:]
}

func publicKey(bytes []byte) key.NodePublic { return key.NodePublicFromRaw32(mem.B(bytes[:32])) }

// looksLikeDisco makes a packet of a size that starts as disco messages do.
func looksLikeDisco(size int) []byte {
	packet := make([]byte, size)
	copy(packet, disco.Magic)
	return packet
}

// introduction is a ClientInfo frame for a JSON text.
func (p *peer) introduction(json string) []byte {
	return encode(clientInfo, raw(p.public()), p.private.SealTo(p.relayKey, []byte(json)))
}

// introduce sends ClientInfo.
func (p *peer) introduce(json string) {
	p.Helper()
	p.write(p.introduction(json))
}

// try writes and ignores errors, because the relay may have closed the connection.
func (p *peer) try(bytes []byte) error {
	if err := p.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := p.Write(bytes)
	return err
}

// write sends bytes in one write; the relay must take them.
func (p *peer) write(bytes []byte) {
	p.Helper()
	if err := p.try(bytes); err != nil {
		p.Fatalf("writing %d bytes: %v", len(bytes), err)
	}
}

// send sends a packet.
func (p *peer) send(destination key.NodePublic, data []byte) {
	p.Helper()
	p.write(packet(destination, data))
}

// read reads the next frame of any type.
func (c *stream) read(deadline time.Time) (frame, error) {
	if err := c.SetReadDeadline(deadline); err != nil {
		return frame{}, err
	}
	var header [derp.FrameHeaderLen]byte
	if _, err := io.ReadFull(c.reader, header[:]); err != nil {
		return frame{}, err
	}
	length := binary.BigEndian.Uint32(header[1:])
	if length > 1<<20 {
		return frame{}, fmt.Errorf("frame of %d bytes, which official clients refuse", length)
	}
	payload := make([]byte, length)
	_, err := io.ReadFull(c.reader, payload)
	return frame{header[0], payload}, err
}

// tryNext reads the next frame that is neither KeepAlive nor Health: a relay may send those at any time.
func (p *peer) tryNext(deadline time.Time) (frame, error) {
	for {
		next, err := p.read(deadline)
		if err != nil {
			return frame{}, err
		}
		switch next.kind {
		case keepAlive:
		case health:
			p.complaints = append(p.complaints, string(next.payload))
		default:
			return next, nil
		}
	}
}

func (p *peer) next() frame {
	p.Helper()
	next, err := p.tryNext(time.Now().Add(patience))
	if err != nil {
		p.Fatalf("reading a frame: %v", err)
	}
	return next
}

func (p *peer) expect(kind byte) []byte {
	p.Helper()
	next := p.next()
	if next.kind != kind {
		p.Fatalf("got %v instead of a frame %#02x", next, kind)
	}
	return next.payload
}

func (p *peer) expectServerKey() {
	p.Helper()
	payload := p.expect(serverKey)
	if len(payload) < 40 || string(payload[:8]) != derp.Magic || publicKey(payload[8:]) != p.relayKey {
		p.Fatalf("ServerKey is %x", payload)
	}
}

// expectServerInfo returns the JSON text of the ServerInfo that must come next.
func (p *peer) expectServerInfo() []byte {
	p.Helper()
	text, ok := p.private.OpenFrom(p.relayKey, p.expect(serverInfo))
	if !ok {
		p.Fatal("ServerInfo does not open with the client's key")
	}
	return text
}

// expectPacket reads a packet, which must be this one.
func (p *peer) expectPacket(source key.NodePublic, data []byte) {
	p.Helper()
	payload := p.expect(recvPacket)
	if got := publicKey(payload); got != source {
		p.Fatalf("packet from %v instead of %v", got, source)
	}
	if !bytes.Equal(payload[32:], data) {
		p.Fatalf("packet of %d bytes differs from the %d bytes that were sent", len(payload)-32, len(data))
	}
}

func (p *peer) expectGone(who key.NodePublic, reason byte) {
	p.Helper()
	if payload := p.expect(peerGone); !bytes.Equal(payload, append(raw(who), reason)) {
		p.Fatalf("PeerGone is %x", payload)
	}
}

// fence sends a ping and returns the frames that came before its pong. The relay has then handled all that this
// client sent earlier.
func (p *peer) fence() []frame {
	p.Helper()
	var nonce [8]byte
	_, _ = rand.Read(nonce[:])
	p.write(encode(ping, nonce[:]))
	var before []frame
	for {
		next := p.next()
		if next.kind == pong && bytes.Equal(next.payload, nonce[:]) {
			return before
		}
		before = append(before, next)
	}
}

// expectNothing shows that no frame is on its way. A relay may let a pong overtake other frames, therefore it takes
// more than one.
func (p *peer) expectNothing() {
	p.Helper()
	for range 3 {
		if got := p.fence(); len(got) > 0 {
			p.Fatalf("unexpected %v", got)
		}
	}
}

// expectClosed reads until the relay ends the connection.
func (p *peer) expectClosed(after string) {
	p.Helper()
	deadline := time.Now().Add(patience)
	for {
		_, err := p.read(deadline)
		switch {
		case err == nil:
		case !time.Now().Before(deadline):
			p.Fatalf("still connected after %s", after)
		default:
			return
		}
	}
}
