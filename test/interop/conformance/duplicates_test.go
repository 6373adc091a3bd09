package conformance

import (
	"testing"

	"towpath.example/interop/catalogue"
	"towpath.example/interop/relay"
)

func (s *scene) expectDuplicates(keys, connections float64) {
	s.Helper()
	if got := s.metric(relay.DuplicateKeys); got != keys {
		s.Errorf("duplicate keys: %v, not %v", got, keys)
	}
	if got := s.metric(relay.DuplicateConnections); got != connections {
		s.Errorf("duplicate connections: %v, not %v", got, connections)
	}
}

func TestS34_ClientThatCameAndWentLeavesNothing(t *testing.T) {
	statement(t, 34, []string{overTLS}, func(s *scene) {
		s.own(relay.Options{})
		client := s.join()
		s.awaitMetric(relay.Connections, 1)
		s.expectDuplicates(0, 0)
		client.Close()
		s.awaitMetric(relay.Connections, 0)
		s.expectDuplicates(0, 0)

		other := s.join()
		other.send(client.public(), looksLikeDisco(smallestDisco))
		other.expectGone(client.public(), goneNotHere)
	})
}

func TestS35_NewerOfTwoConnectionsReceives(t *testing.T) {
	statement(t, 35, []string{overTLS}, func(s *scene) {
		s.own(relay.Options{})
		sender := s.join()
		pair := s.twins(2)
		sender.reaches(pair[1], "for the newer")
		s.expectDuplicates(1, 2)
		pair[1].expectNothing()
		pair[0].expectNothing()
		wantTold := s.differs(catalogue.HealthToDuplicates)
		for index, client := range pair {
			if client.told() != wantTold {
				s.Errorf("connection %d got the Health frames %q", index, client.complaints)
			}
		}
	})
}

func TestS36_WhenTheOlderLeavesTheNewerIsOrdinary(t *testing.T) {
	statement(t, 36, []string{overTLS}, func(s *scene) {
		s.own(relay.Options{})
		sender := s.join()
		pair := s.twins(2)
		pair[0].leave(0)
		s.expectDuplicates(0, 0)
		sender.reaches(pair[1], "for the only one")
		// The key is still connected, so that no client gets PeerGone.
		sender.expectNothing()
	})
}

func TestS37_LastSpeakerReceives(t *testing.T) {
	statement(t, 37, []string{overTLS}, func(s *scene) {
		s.own(relay.Options{})
		sender := s.join()
		three := s.twins(3)
		s.expectDuplicates(1, 3)
		for _, index := range []int{0, 1, 0, 2, 1} {
			three[index].speak(sender)
			sender.reaches(three[index], "for the last speaker")
		}
		// Any frame is speaking, even one of unknown type; the packet behind it shows that it was handled.
		for index, frame := range [][]byte{encode(unknownType, []byte("x")), encode(notePreferred, []byte{1})} {
			three[index].write(append(frame, packet(three[index].public(), []byte("own"))...))
			three[index].expectPacket(three[index].public(), []byte("own"))
			sender.reaches(three[index], "for the last speaker")
		}
		for _, client := range three {
			client.expectNothing()
		}
	})
}

func TestS38_WhenTheReceivingOneLeavesAnotherTakesOver(t *testing.T) {
	statement(t, 38, []string{overTLS}, func(s *scene) {
		s.own(relay.Options{})
		sender := s.join()
		three := s.twins(3)
		for _, index := range []int{1, 2, 0} {
			three[index].speak(sender)
		}
		sender.reaches(three[0], "for the last speaker")
		three[0].leave(2)
		sender.reaches(three[2], "for the one that spoke before")
		three[2].leave(0)
		sender.reaches(three[1], "for the last one")
		sender.expectNothing()
		three[1].leave(0)
		sender.expectGone(three[1].public(), goneDisconnected)
	})
}

func TestS95_PingAloneMakesAConnectionReceive(t *testing.T) {
	statement(t, 95, []string{overTLS}, func(s *scene) {
		s.own(relay.Options{})
		sender := s.join()
		pair := s.twins(2)
		sender.reaches(pair[1], "for the newer")
		pair[0].fence()
		sender.reaches(pair[0], "for the one that pinged")
	})
}

// fighters prepares a relay with the disabling policy, or reports that the relay has none.
func (s *scene) fighters() bool {
	s.Helper()
	if s.differs(catalogue.NoFighterPolicy) {
		return false
	}
	s.own(relay.Options{DisableFighters: true})
	return true
}

// isLost sends a packet to a key none of whose connections may receive. Those check later that it never came.
func (p *peer) isLost(receiver *peer) {
	p.Helper()
	p.send(receiver.public(), []byte("lost"))
	p.expectNothing()
}

func TestS39_AlternatingSpeakersDisableAll(t *testing.T) {
	statement(t, 39, []string{overTLS}, func(s *scene) {
		if !s.fighters() {
			return
		}
		sender := s.join()
		pair := s.twins(2)
		for _, index := range []int{0, 1, 0} {
			pair[index].speak(sender)
		}
		sender.isLost(pair[0])
		third := s.joinAs(pair[0].private)
		sender.reaches(third, "for the new one")
		third.leave(2)
		sender.isLost(pair[0])
		pair[1].leave(0)
		sender.reaches(pair[0], "for the only one left")
		pair[0].expectNothing()
	})
}

func TestS40_OfThreeTheFirstSpeakingAgainDisablesAll(t *testing.T) {
	statement(t, 40, []string{overTLS}, func(s *scene) {
		if !s.fighters() {
			return
		}
		sender := s.join()
		three := s.twins(3)
		for _, index := range []int{0, 1, 0} {
			three[index].speak(sender)
		}
		sender.isLost(three[0])
		for _, client := range three {
			client.expectNothing()
		}
	})
}

func TestS41_OlderOneThatSpeaksOnceWaits(t *testing.T) {
	statement(t, 41, []string{overTLS}, func(s *scene) {
		if !s.fighters() {
			return
		}
		sender := s.join()
		pair := s.twins(2)
		pair[0].speak(sender)
		sender.reaches(pair[1], "for the newer")
		pair[1].leave(0)
		sender.reaches(pair[0], "for the older")
		pair[0].expectNothing()
	})
}
