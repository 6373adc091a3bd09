package conformance

import (
	"bufio"
	"bytes"
	"context"
	"testing"

	"github.com/coder/websocket"
	"tailscale.com/net/wsconn"
	"towpath.example/interop/catalogue"
)

func TestS100_WebSocketWithoutSubprotocolGetsRawFrames(t *testing.T) {
	statement(t, 100, []string{overTLS}, func(s *scene) {
		handshake := []string{"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
		s.expectPlainUpgrade("WebSocket")
		s.expectPlainUpgrade("websocket", handshake...)
		s.expectPlainUpgrade("websocket", append(handshake, "Sec-WebSocket-Protocol: chat")...)
	})
}

// messages is a WebSocket on which a test decides about the message boundaries.
type messages struct {
	*peer
	conn *websocket.Conn
}

func (s *scene) messages(readLimit int64) *messages {
	s.Helper()
	conn, err := dialWebSocket(s.relay, readLimit)
	if err != nil {
		s.Fatal(err)
	}
	reading := abruptly{wsconn.NetConn(context.Background(), conn, websocket.MessageBinary, s.relay.Address()), conn}
	return &messages{s.peer(&stream{Conn: reading, reader: bufio.NewReader(reading)}), conn}
}

// message sends one message.
func (m *messages) message(kind websocket.MessageType, data []byte) {
	m.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := m.conn.Write(ctx, kind, data); err != nil {
		m.Fatal(err)
	}
}

// pieces sends data as messages of the given sizes, in turn.
func (m *messages) pieces(data []byte, sizes ...int) {
	m.Helper()
	for turn := 0; len(data) > 0; turn++ {
		size := min(len(data), sizes[turn%len(sizes)])
		m.message(websocket.MessageBinary, data[:size])
		data = data[size:]
	}
}

func TestS101_FramesMaySpanMessages(t *testing.T) {
	statement(t, 101, []string{overWebSocket}, func(s *scene) {
		listener, client := s.join(), s.messages(anyReadLimit)
		client.expectServerKey()
		client.pieces(client.introduction(`{"version":2}`), 1)
		client.expectServerInfo()

		var frames []byte
		sizes := []int{0, 1, 100, 3000}
		for _, size := range sizes {
			frames = append(frames, packet(listener.public(), noise(size))...)
		}
		for _, cut := range [][]int{{len(frames)}, {1}, {4, 3, 2}, {5, 32}, {1000, 1, 1}, {0, 700}} {
			client.pieces(frames, cut...)
			for _, size := range sizes {
				listener.expectPacket(client.public(), noise(size))
			}
		}
		large := packet(listener.public(), noise(maxPacket))
		client.pieces(large, messageLimit)
		listener.expectPacket(client.public(), noise(maxPacket))
		client.expectNothing()

		s.expectMessagesThatOfficialClientsTake()
	})
}

// expectMessagesThatOfficialClientsTake receives with the limit that official clients have, first packets that a relay
// may put together into one message, then packets that are longer than a message may be.
func (s *scene) expectMessagesThatOfficialClientsTake() {
	s.Helper()
	sender, client := s.join(), s.messages(officialReadLimit)
	client.expectServerKey()
	client.introduce("{}")
	client.expectServerInfo()
	var burst []byte
	for range 30 {
		burst = append(burst, packet(client.public(), noise(4000))...)
	}
	sender.write(burst)
	for range 30 {
		client.expectPacket(sender.public(), noise(4000))
	}
	sender.send(client.public(), noise(maxPacket))
	if s.differs(catalogue.LongMessages) {
		client.expectClosed("a message that is too long for the client")
		return
	}
	client.expectPacket(sender.public(), noise(maxPacket))
}

func TestS101_TextMessagesClose(t *testing.T) {
	client := (&scene{T: t, relay: shared, over: overWebSocket}).messages(anyReadLimit)
	client.expectServerKey()
	client.message(websocket.MessageText, bytes.Repeat([]byte("x"), 10))
	client.expectClosed("a text message")
}
