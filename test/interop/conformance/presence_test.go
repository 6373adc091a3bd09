package conformance

import (
	"testing"

	"tailscale.com/derp"
	"tailscale.com/derp/derphttp"
	"tailscale.com/types/key"
	"towpath.example/interop/catalogue"
)

// officialSibling makes the official client one with the mesh key that watches.
func (s *scene) officialSibling(client *derphttp.Client) {
	s.Helper()
	parsed, err := key.ParseDERPMesh(regionKey)
	if err != nil {
		s.Fatal(err)
	}
	client.MeshKey, client.WatchConnectionChanges = parsed, true
}

// hears reads until the watcher gets a notice about a key, as the official client decodes it.
func (o *official) hears(who key.NodePublic) derp.ReceivedMessage {
	o.Helper()
	for {
		switch message := o.next().(type) {
		case derp.PeerPresentMessage:
			if message.Key == who {
				return message
			}
		case derp.PeerGoneMessage:
			if message.Peer == who {
				return message
			}
		default:
			o.Fatalf("a watcher received %#v", message)
		}
	}
}

func (o *official) hearsPresent(who key.NodePublic, flags derp.PeerPresentFlags) derp.PeerPresentMessage {
	o.Helper()
	told, ok := o.hears(who).(derp.PeerPresentMessage)
	if !ok || told.Flags != flags {
		o.Fatalf("%v is %#v, not present with the flags %d", who, told, flags)
	}
	return told
}

func TestS46_WatcherIsToldOfAllAndOfEachChange(t *testing.T) {
	statement(t, 46, bothTransports, func(s *scene) {
		before := s.join()
		watcher := s.watcher()
		// In any order: each is in the first list.
		waiting := map[key.NodePublic]byte{before.public(): regular, watcher.public(): meshPeer}
		for len(waiting) > 0 {
			next := watcher.next()
			if who := publicKey(next.payload); next.kind == peerPresent {
				if flags, mine := waiting[who]; mine && next.payload[50] != flags {
					s.Errorf("flags %d, not %d", next.payload[50], flags)
				}
				delete(waiting, who)
			}
		}
		after := s.join()
		watcher.hearsPresent(after.public(), regular)
		before.Close()
		watcher.hearsGone(before.public())
		after.Close()
		watcher.hearsGone(after.public())
	})
}

func TestS47_FlagsTellWatchersAndOrdinaryClientsApart(t *testing.T) {
	statement(t, 47, []string{overTLS}, func(s *scene) {
		watcher := s.official(s.officialSibling)
		watcher.hearsPresent(watcher.public(), derp.PeerPresentIsMeshPeer)
		client := s.join()
		told := watcher.hearsPresent(client.public(), derp.PeerPresentIsRegular)
		if local := client.LocalAddr().String(); told.IPPort.String() != local {
			s.Errorf("the client is at %s, and the watcher is told %v", local, told.IPPort)
		}
	})
}

func TestS48_WatcherIsToldWithReason0ThatAClientLeft(t *testing.T) {
	statement(t, 48, []string{overTLS}, func(s *scene) {
		watcher, client := s.official(s.officialSibling), s.join()
		watcher.hearsPresent(client.public(), derp.PeerPresentIsRegular)
		client.Close()
		want := derp.PeerGoneMessage{Peer: client.public(), Reason: derp.PeerGoneReasonDisconnected}
		if got := watcher.hears(client.public()); got != want {
			s.Errorf("told %#v", got)
		}
	})
}

func TestS89_FlagsOfProbersAndOfClientsAwayFromTheirNode(t *testing.T) {
	statement(t, 89, []string{overTLS}, func(s *scene) {
		watcher := s.watcher()
		away := s.away()
		watcher.hearsPresent(away.public(), notIdeal)
		prober := s.greeted()
		prober.introduce(`{"version":2,"IsProber":true}`)
		watcher.hearsPresent(prober.public(), proberFlag)
		both := s.siblingAs(key.NewNode(), `,"IsProber":true`)
		watcher.hearsPresent(both.public(), proberFlag|meshPeer)
	})
}

// away joins as a client whose first node of the region did not answer.
func (s *scene) away() *peer {
	s.Helper()
	conn, err := dialTLS(s.relay)
	if err != nil {
		s.Fatal(err)
	}
	p := s.peer(conn)
	if _, err := conn.upgrade(upgradeRequest(s.relay, "DERP", derp.IdealNodeHeader+": 900z")); err != nil {
		s.Fatal(err)
	}
	p.expectServerKey()
	p.introduce("{}")
	p.expectServerInfo()
	return p
}

func TestS90_PresenceIsToldPerConnectionAndAbsencePerKey(t *testing.T) {
	statement(t, 90, bothTransports, func(s *scene) {
		watcher, private := s.watcher(), key.NewNode()
		first := s.joinAs(private)
		watcher.hearsPresent(private.Public(), regular)
		second := s.joinAs(private)
		watcher.hearsPresent(private.Public(), regular)
		first.Close()
		// The relay has noticed this when the watcher gets the notice of a third connection; a frame about the first would come before it.
		s.joinAs(private).Close()
		watcher.hearsPresent(private.Public(), regular)
		second.Close()
		watcher.hearsGone(private.Public())
	})
}

func TestS92_WatcherWithTheRelaysKeyHearsNothing(t *testing.T) {
	statement(t, 92, bothTransports, func(s *scene) {
		itself := s.siblingAs(s.relay.PrivateKey(), "")
		itself.write(encode(watchConns))
		s.join()
		itself.expectNothing()
	})
}

func TestS109_PeerPresentEndsWithTheApplicationsName(t *testing.T) {
	statement(t, 109, []string{overTLS}, func(s *scene) {
		watcher, client := s.watcher(), s.greeted()
		client.introduce(`{"version":2,"AppName":"conformance"}`)
		want := append([]byte{byte(len("conformance"))}, "conformance"...)
		if s.differs(catalogue.NoNameInPresence) {
			want = nil
		}
		if got := watcher.hears(client.public()).rest[19:]; string(got) != string(want) {
			s.Errorf("behind the flags are the bytes %q, not %q", got, want)
		}
	})
}
