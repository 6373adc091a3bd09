package conformance

import (
	"fmt"
	"strings"
	"testing"

	"tailscale.com/types/key"
	"towpath.example/interop/catalogue"
	"towpath.example/interop/relay"
)

// regionKey is the mesh key of every relay here that has one.
const regionKey = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

// zeroMeshKey grants nothing.
var zeroMeshKey = strings.Repeat("0", 64)

// Flags in PeerPresent.
const (
	regular    = byte(1)
	meshPeer   = byte(2)
	proberFlag = byte(4)
	notIdeal   = byte(8)
)

// sibling connects as another relay of the region does: with the mesh key.
func (s *scene) sibling() *peer {
	s.Helper()
	return s.siblingAs(key.NewNode(), "")
}

// siblingAs does so with the given key and more fields for ClientInfo.
func (s *scene) siblingAs(private key.NodePrivate, fields string) *peer {
	s.Helper()
	p := s.greeted()
	p.private = private
	p.introduce(`{"version":2,"meshKey":"` + regionKey + `"` + fields + `}`)
	p.expectServerInfo()
	return p
}

// forward sends a packet in the name of source.
func (p *peer) forward(source, destination key.NodePublic, data []byte) {
	p.Helper()
	p.write(encode(forwardPacket, raw(source), raw(destination), data))
}

// presence is a notice about a key for a watcher.
type presence struct {
	isPresent bool
	// rest is what follows the key: address, port, flags and, from newer relays, the application's name; or the reason.
	rest []byte
}

func (p presence) flags() byte { return p.rest[18] }

func (p presence) String() string {
	if p.isPresent {
		return fmt.Sprintf("present %x", p.rest)
	}
	return fmt.Sprintf("gone %x", p.rest)
}

// hears reads until the watcher gets a notice about a key; clients of other tests connect and leave meanwhile.
func (p *peer) hears(who key.NodePublic) presence {
	p.Helper()
	for {
		next := p.next()
		isPresent := next.kind == peerPresent
		if !isPresent && next.kind != peerGone {
			p.Fatalf("a watcher got %v", next)
		}
		if publicKey(next.payload) != who {
			continue
		}
		told := presence{isPresent, next.payload[32:]}
		if isPresent && len(told.rest) < 19 {
			p.Fatalf("PeerPresent has %d bytes", len(next.payload))
		}
		return told
	}
}

func (p *peer) hearsPresent(who key.NodePublic, flags byte) {
	p.Helper()
	if told := p.hears(who); !told.isPresent || told.flags() != flags {
		p.Fatalf("%v is %v, not present with the flags %d", who, told, flags)
	}
}

func (p *peer) hearsGone(who key.NodePublic) {
	p.Helper()
	if told := p.hears(who); told.isPresent || len(told.rest) != 1 || told.rest[0] != goneDisconnected {
		p.Fatalf("%v is %v, not gone", who, told)
	}
}

// watcher connects with the mesh key and sends WatchConns.
func (s *scene) watcher() *peer {
	s.Helper()
	watcher := s.sibling()
	watcher.write(encode(watchConns))
	return watcher
}

func (s *scene) refusesMeshKey(text string) {
	s.Helper()
	says, err := relay.AwaitExit(target, relay.Options{Mesh: &relay.Mesh{Key: text}}, func(*relay.Relay) error { return nil })
	if err != nil {
		s.Fatalf("with the mesh key %q: %v", text, err)
	}
	if strings.Contains(says, "usage") || says == "" {
		s.Errorf("with the mesh key %q it ends, but says %q", text, says)
	}
}

func TestS42_MeshKeyThatIsNotHexIsRefused(t *testing.T) {
	statement(t, 42, []string{overAny}, func(s *scene) {
		s.refusesMeshKey(regionKey[:63] + "g")
		s.refusesMeshKey(regionKey[:63])
	})
}

func TestS43_OnlyTheEqualMeshKeyGivesRights(t *testing.T) {
	statement(t, 43, bothTransports, func(s *scene) {
		isRefused := s.differs(catalogue.WrongMeshKeyRefused)
		for _, fields := range []string{"", `"meshKey":"` + someMeshKey + `"`, `"meshKey":"` + zeroMeshKey + `"`} {
			client := s.greeted()
			client.introduce("{" + fields + "}")
			if fields == "" || !isRefused {
				client.expectServerInfo()
				client.write(encode(watchConns))
			}
			client.expectClosed("WatchConns with {" + fields + "}")
		}
		watcher := s.watcher()
		watcher.hearsPresent(watcher.public(), meshPeer)
	})
}

func TestS44_MeshKeyIsTrimmedAndOfAnyCase(t *testing.T) {
	statement(t, 44, []string{overTLS}, func(s *scene) {
		s.refusesMeshKey(regionKey[:16])
		s.refusesMeshKey(regionKey + "0")
		s.own(relay.Options{Mesh: &relay.Mesh{Key: " \t" + strings.ToUpper(regionKey) + " \n\n"}})
		watcher := s.watcher()
		watcher.hearsPresent(watcher.public(), meshPeer)
	})
}

func TestS45_ZeroMeshKeyGrantsNothing(t *testing.T) {
	statement(t, 45, []string{overTLS}, func(s *scene) {
		if s.differs(catalogue.ZeroMeshKeyRefused) {
			s.refusesMeshKey(zeroMeshKey)
			return
		}
		s.own(relay.Options{Mesh: &relay.Mesh{Key: zeroMeshKey}})
		client := s.greeted()
		client.introduce(`{"meshKey":"` + zeroMeshKey + `"}`)
		client.expectServerInfo()
		client.write(encode(watchConns))
		client.expectClosed("WatchConns with the zero key")
	})
}

func TestS60_MeshConnectionsHaveNoRateLimit(t *testing.T) {
	statement(t, 60, []string{overTLS}, func(s *scene) {
		s.own(relay.Options{Rate: &endless, Mesh: &relay.Mesh{Key: regionKey}})
		sibling, client, source := s.sibling(), s.join(), stranger()
		for range 4 {
			sibling.forward(source, client.public(), noise(maxPacket))
			client.expectPacket(source, noise(maxPacket))
			sibling.send(client.public(), noise(maxPacket))
			client.expectPacket(sibling.public(), noise(maxPacket))
		}
		s.expectWaits(0)
	})
}

func TestS91_ClosePeerClosesEveryConnectionOfTheKey(t *testing.T) {
	statement(t, 91, bothTransports, func(s *scene) {
		sibling, other, twins := s.sibling(), s.join(), s.twins(2)
		sibling.write(encode(closePeer, raw(stranger())))
		sibling.write(encode(closePeer, raw(twins[0].public())))
		for _, twin := range twins {
			twin.expectClosed("ClosePeer of its key")
		}
		sibling.expectNothing()
		other.expectNothing()
	})
}

func TestS93_ForwardedPacketKeepsItsSource(t *testing.T) {
	statement(t, 93, bothTransports, func(s *scene) {
		sibling, client, source := s.sibling(), s.join(), stranger()
		for _, data := range [][]byte{nil, []byte("forwarded"), looksLikeDisco(100), noise(maxPacket)} {
			sibling.forward(source, client.public(), data)
			client.expectPacket(source, data)
		}
		client.expectNothing()
		sibling.expectNothing()
		// The relay may close before it has read all of it.
		_ = sibling.try(encode(forwardPacket, make([]byte, 64+maxPacket+1)))
		sibling.expectClosed("ForwardPacket of more than the largest packet")
	})
}

func TestS94_ForwardedDiscoForAnAbsentKeyIsAnsweredNotHere(t *testing.T) {
	statement(t, 94, bothTransports, func(s *scene) {
		sibling, source, absent := s.sibling(), stranger(), stranger()
		sibling.forward(source, absent, noise(200))
		sibling.expectNothing()
		sibling.forward(source, absent, looksLikeDisco(smallestDisco))
		sibling.expectGone(absent, goneNotHere)
		sibling.expectNothing()
	})
}
