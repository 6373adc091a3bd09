package conformance

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// noise returns reproducible random bytes.
func noise(size int) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte([]byte("noise for the conformance suite!"))).Read(data)
	return data
}

func TestS17_PacketArrivesUnchangedAndNowhereElse(t *testing.T) {
	statement(t, 17, bothTransports, func(s *scene) {
		a, b, c := s.official(), s.official(), s.join()
		for _, size := range []int{0, 1, 32, 61, 1280, 16 << 10} {
			data := noise(size)
			a.send(b.public(), data)
			b.expectPacket(a.public(), data)
			b.send(a.public(), data)
			a.expectPacket(b.public(), data)
		}
		a.send(c.public(), []byte("raw"))
		c.expectPacket(a.public(), []byte("raw"))
		a.expectNothing()
		b.expectNothing()
		c.expectNothing()
	})
}

func TestS18_PacketToOneselfComesBack(t *testing.T) {
	statement(t, 18, bothTransports, func(s *scene) {
		a := s.official()
		a.send(a.public(), []byte("echo"))
		a.expectPacket(a.public(), []byte("echo"))
		a.expectNothing()
	})
}

func TestS19_LargestPacketIsRelayedAndLargerOnesClose(t *testing.T) {
	statement(t, 19, bothTransports, func(s *scene) {
		a, b := s.join(), s.join()
		data := noise(maxPacket)
		a.send(b.public(), data)
		b.expectPacket(a.public(), data)

		_ = a.try(packet(b.public(), noise(maxPacket+1)))
		a.expectClosed("a packet of 65,537 bytes")
		b.expectGone(a.public(), goneDisconnected)
		b.expectNothing()

		short := s.join()
		short.write(encode(sendPacket, raw(b.public())[:31]))
		short.expectClosed("a SendPacket without a whole key")
	})
}

func TestS20_HundredMegabytesArriveWholeAndInOrder(t *testing.T) {
	statement(t, 20, bothTransports, func(s *scene) {
		const total, window = 100_000_000, 30
		a, b := s.join(), s.join()
		// Each packet is another stretch of the noise with its number in front.
		source := noise(2 * maxPacket)
		content := func(index, size int) []byte {
			start := index * 37 % maxPacket
			return append(binary.BigEndian.AppendUint64(nil, uint64(index)), source[start:start+size-8]...)
		}
		size := func(index int) int { return min(maxPacket, total-index*maxPacket) }

		inFlight, sent := make(chan struct{}, window), make(chan error, 1)
		go func() {
			for index := 0; size(index) > 0; index++ {
				inFlight <- struct{}{}
				if err := a.try(packet(b.public(), content(index, size(index)))); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		received := 0
		for index := 0; received < total; index++ {
			payload := b.expect(recvPacket)
			if publicKey(payload) != a.public() || !bytes.Equal(payload[32:], content(index, size(index))) {
				s.Fatalf("packet %d arrived out of order or changed", index)
			}
			received += len(payload) - 32
			<-inFlight
		}
		if err := <-sent; err != nil {
			s.Fatal(err)
		}
		if received != total {
			s.Errorf("%d bytes arrived", received)
		}
	})
}
