package conformance

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"tailscale.com/derp"
	"tailscale.com/types/key"
	"towpath.example/interop/relay"
)

// smallestDisco is the shortest packet that looks like a disco message.
const smallestDisco = 62

func stranger() key.NodePublic { return key.NewNode().Public() }

func TestS26_OtherPacketsToUnknownKeysAreDroppedInSilence(t *testing.T) {
	statement(t, 26, bothTransports, func(s *scene) {
		a := s.join()
		a.send(stranger(), nil)
		a.send(stranger(), noise(200))
		a.send(stranger(), looksLikeDisco(smallestDisco-1))
		a.expectNothing()
		// An answer that does come shows that one for the others would have been seen before it.
		unknown := stranger()
		a.send(unknown, looksLikeDisco(smallestDisco))
		a.expectGone(unknown, goneNotHere)
		a.expectNothing()
	})
}

func TestS27_DiscoToUnknownKeyIsAnsweredNotHere(t *testing.T) {
	statement(t, 27, bothTransports, func(s *scene) {
		a, unknown := s.official(), stranger()
		a.send(unknown, looksLikeDisco(smallestDisco))
		a.expectGone(unknown, derp.PeerGoneReasonNotHere)
		a.expectNothing()
	})
}

func TestS28_SixDiscoPacketsAtOnceAreAnsweredThreeTimes(t *testing.T) {
	statement(t, 28, bothTransports, func(s *scene) {
		a := s.join()
		var six []byte
		var unknown []key.NodePublic
		for range 6 {
			unknown = append(unknown, stranger())
			six = append(six, packet(unknown[len(unknown)-1], looksLikeDisco(smallestDisco))...)
		}
		a.write(six)
		// Which three is not laid down, nor their order.
		for range 3 {
			gone := a.expect(peerGone)
			index := slices.Index(unknown, publicKey(gone))
			if index < 0 || len(gone) != 33 || gone[32] != goneNotHere {
				s.Fatalf("PeerGone is %x", gone)
			}
			unknown = slices.Delete(unknown, index, index+1)
		}
		a.expectNothing()
	})
}

func TestS29_ReceiversHearOnceThatAPeerLeft(t *testing.T) {
	statement(t, 29, bothTransports, func(s *scene) {
		a, b, c := s.official(), s.official(), s.official()
		for _, data := range []string{"one", "two"} {
			a.send(b.public(), []byte(data))
			b.expectPacket(a.public(), []byte(data))
		}
		if err := a.close(); err != nil {
			s.Fatal(err)
		}
		b.expectGone(a.public(), derp.PeerGoneReasonDisconnected)
		b.expectNothing()
		c.expectNothing()
	})
}

func TestS30_NotePreferredMovesTheHomeGauge(t *testing.T) {
	statement(t, 30, bothTransports, func(s *scene) {
		s.own(relay.Options{})
		client := s.join()
		for _, step := range []struct {
			note byte
			want float64
		}{{1, 1}, {1, 1}, {0, 0}, {0, 0}, {1, 1}, {7, 1}} {
			client.write(encode(notePreferred, []byte{step.note}))
			client.expectNothing()
			if got := s.metric(relay.HomeConnections); got != step.want {
				s.Fatalf("gauge is %v after a note of %d", got, step.note)
			}
		}
		client.Close()
		s.awaitMetric(relay.HomeConnections, 0)
	})
}

func TestS31_PingIsAnswered(t *testing.T) {
	statement(t, 31, bothTransports, func(s *scene) {
		if err := s.official().ping(); err != nil {
			s.Error(err)
		}
		client := s.join()
		data := []byte{1, 2, 3, 4, 5, 6, 7, 8}
		client.write(encode(ping, data))
		if got := client.expect(pong); !bytes.Equal(got, data) {
			s.Errorf("pong is %x", got)
		}
	})
}

func TestS32_PingsOfBadLengthClose(t *testing.T) {
	statement(t, 32, bothTransports, func(s *scene) {
		for _, size := range []int{8, 9, 1000} {
			client := s.join()
			data := noise(size)
			client.write(encode(ping, data))
			if got := client.expect(pong); !bytes.Equal(got, data[:8]) {
				s.Errorf("pong for %d bytes is %x", size, got)
			}
		}
		for _, size := range []int{0, 7, 1001, 5000} {
			client := s.join()
			client.write(encode(ping, noise(size)))
			client.expectClosed(fmt.Sprintf("a ping of %d bytes", size))
		}
	})
}

func TestS33_KeepAliveComesAfter60To65Seconds(t *testing.T) {
	statement(t, 33, bothTransports, func(s *scene) {
		// On a busy machine a frame may be seen late; a relay's clock may be coarse.
		const early, late = 59500 * time.Millisecond, 68 * time.Second
		for range watchedClients {
			seen := <-keepAlives[s.over]
			if seen.err != nil {
				s.Fatal(seen.err)
			}
			if seen.after < early || seen.after > late {
				s.Errorf("KeepAlive after %v", seen.after)
			}
			if difference := (seen.period - seen.after).Abs(); constantPeriod && difference > time.Second {
				s.Errorf("KeepAlive after %v, and then after %v", seen.after, seen.period)
			}
		}
	})
}

func TestS49_MeshRequestsOfOrdinaryClientsClose(t *testing.T) {
	statement(t, 49, bothTransports, func(s *scene) {
		victim := s.join()
		for name, request := range map[string][]byte{
			"WatchConns":          encode(watchConns),
			"ForwardPacket":       encode(forwardPacket, raw(stranger()), raw(victim.public()), []byte("forged")),
			"short ForwardPacket": encode(forwardPacket, []byte("short")),
			"ClosePeer":           encode(closePeer, raw(victim.public())),
		} {
			client := s.join()
			client.write(request)
			client.expectClosed(name)
		}
		victim.expectNothing()
	})
}

func TestS96_BadLengthsClose(t *testing.T) {
	statement(t, 96, bothTransports, func(s *scene) {
		for name, request := range map[string][]byte{
			"NotePreferred of 0 bytes": encode(notePreferred),
			"NotePreferred of 2 bytes": encode(notePreferred, []byte{1, 1}),
			"WatchConns of 1 byte":     encode(watchConns, []byte{0}),
			"ClosePeer of 31 bytes":    encode(closePeer, raw(stranger())[:31]),
		} {
			for _, client := range []*peer{s.join(), s.sibling()} {
				client.write(request)
				client.expectClosed(name)
			}
		}
	})
}

// speak sends a frame that the listener notices, so that the relay has surely handled it.
func (p *peer) speak(listener *peer) {
	p.Helper()
	p.send(listener.public(), []byte("spoken"))
	listener.expectPacket(p.public(), []byte("spoken"))
}

// reaches sends a packet to a key that several clients hold, and checks which of them gets it.
func (p *peer) reaches(receiver *peer, text string) {
	p.Helper()
	p.send(receiver.public(), []byte(text))
	receiver.expectPacket(p.public(), []byte(text))
}

// leave closes the connection and waits until the relay counts this number of connections of keys with several.
func (p *peer) leave(duplicatesLeft float64) {
	p.Helper()
	p.Close()
	p.awaitMetric(relay.DuplicateConnections, duplicatesLeft)
}

// twins connects several clients with one key.
func (s *scene) twins(count int) []*peer {
	s.Helper()
	private := key.NewNode()
	var twins []*peer
	for range count {
		twins = append(twins, s.joinAs(private))
	}
	return twins
}

// told says whether the client got a Health frame with a problem in it.
func (p *peer) told() bool {
	return slices.ContainsFunc(p.complaints, func(text string) bool { return text != "" })
}
