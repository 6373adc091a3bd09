package conformance

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"tailscale.com/derp"
	"tailscale.com/types/key"
	"towpath.example/interop/catalogue"
	"towpath.example/interop/relay"
)

func TestS50_FirstOfTwoRelaysWithAKeyGetsItsPackets(t *testing.T) {
	statement(t, 50, bothLinks, func(s *scene) {
		first, second := s.linked()
		sender, private := s.join(), key.NewNode()
		older := first.join(private)
		older.await(sender)
		newer := second.join(private)
		hasTold(second, sender)
		sender.send(older.public(), []byte("for the first one told"))
		older.expectPacket(sender.public(), "for the first one told")

		older.leave()
		hasTold(first, sender)
		sender.send(newer.public(), []byte("for the other"))
		newer.expectPacket(sender.public(), "for the other")

		if script, ok := first.(*scriptedPlace); ok {
			// The end of a key that is not there changes nothing.
			script.mutex.Lock()
			script.tellGone(private.Public())
			script.mutex.Unlock()
		}
		older = first.join(private)
		hasTold(first, sender)
		sender.send(newer.public(), []byte("for the one that stayed"))
		newer.expectPacket(sender.public(), "for the one that stayed")
		newer.leave()
		hasTold(second, sender)
		sender.send(older.public(), []byte("for the one that is left"))
		older.expectPacket(sender.public(), "for the one that is left")
		sender.expectNothing()
	})
}

func TestS51_KeyThatOtherRelaysLoseStaysWhileItIsHere(t *testing.T) {
	statement(t, 51, bothLinks, func(s *scene) {
		first, _ := s.linked()
		client := s.join()
		here := s.joinAs(key.NewNode())
		here.speak(client)
		there := first.join(here.private)
		hasTold(first, client)
		there.leave()
		hasTold(first, client)
		client.reaches(here, "still here")
		client.expectNothing()
		here.Close()
		client.expectGone(here.public(), goneDisconnected)
		client.send(here.public(), looksLikeDisco(smallestDisco))
		client.expectGone(here.public(), goneNotHere)
	})
}

func TestS52_KeyThatIsAlsoElsewhereDoesNotLeave(t *testing.T) {
	statement(t, 52, bothLinks, func(s *scene) {
		first, _ := s.linked()
		client := s.join()
		here := s.joinAs(key.NewNode())
		here.speak(client)
		there := first.join(here.private)
		hasTold(first, client)
		here.Close()
		there.await(client)
		client.expectNothing()
		there.leave()
		client.expectGone(here.public(), goneDisconnected)
	})
}

func TestS53_ConnectionHereGoesBeforeOneElsewhere(t *testing.T) {
	statement(t, 53, bothLinks, func(s *scene) {
		first, _ := s.linked()
		client, private := s.join(), key.NewNode()
		there := first.join(private)
		there.await(client)
		here := s.joinAs(private)
		for range 3 {
			client.reaches(here, "for the one here")
		}
		here.Close()
		there.await(client)
	})
}

func TestS54_PacketFromAnotherRelayIsNeverForwardedOn(t *testing.T) {
	statement(t, 54, bothLinks, func(s *scene) {
		first, _ := s.linked()
		client, source := s.join(), stranger()
		there := first.join(key.NewNode())
		there.await(client)
		onTLS := *s
		onTLS.over = overTLS
		sibling := onTLS.sibling()
		sibling.forward(source, there.public(), []byte("not on"))
		sibling.forward(source, client.public(), []byte("for a client here"))
		client.expectPacket(source, []byte("for a client here"))
		sibling.expectNothing()
		client.send(there.public(), []byte("the next"))
		there.expectPacket(client.public(), "the next")
	})
}

func TestS55_BrokenWatchIsTakenUpAgain(t *testing.T) {
	statement(t, 55, []string{overTLS, overScript, overDerper}, func(s *scene) {
		if s.over == overTLS {
			s.officialWatchIsTakenUpAgain()
			return
		}
		first, _ := s.linked()
		client, private := s.join(), key.NewNode()
		there := first.join(private)
		there.await(client)
		onTLS := *s
		onTLS.over = overTLS
		onTLS.sibling().forward(there.public(), client.public(), []byte("so that its leaving is told"))
		client.expectPacket(there.public(), []byte("so that its leaving is told"))

		outlives := s.differs(catalogue.KeysOutliveLink)
		first.restart(func() {
			if outlives {
				client.expectNothing()
				return
			}
			client.expectGone(there.public(), goneDisconnected)
		})
		first.join(private).await(client)
		client.expectNothing()
	})
}

// watched is the list of notices from the official client's own loop.
type watched struct {
	sync.Mutex
	present map[key.NodePublic]bool
	broken  int
	errors  int
}

// officialWatch runs the official client's loop against the relay until the test is over.
func (s *scene) officialWatch(ignore key.NodePublic) (*watched, <-chan struct{}) {
	s.Helper()
	client := regionClient(s.relay, key.NewNode(), s.relay.Certificate.Pin())
	s.officialSibling(client)
	seen := &watched{present: map[key.NodePublic]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		client.RunWatchConnectionLoop(ctx, ignore, nil, seen.add, seen.remove, seen.failed)
	}()
	s.Cleanup(func() {
		cancel()
		client.Close()
		<-done
	})
	return seen, done
}

func (w *watched) add(message derp.PeerPresentMessage) {
	w.Lock()
	defer w.Unlock()
	w.present[message.Key] = true
}

func (w *watched) remove(message derp.PeerGoneMessage) {
	w.Lock()
	defer w.Unlock()
	if message.Reason == derp.PeerGoneReasonMeshConnBroke {
		w.broken++
	}
	delete(w.present, message.Peer)
}

func (w *watched) failed(error) {
	w.Lock()
	defer w.Unlock()
	w.errors++
}

func (s *scene) eventuallySees(w *watched, what string, holds func() bool) {
	s.Helper()
	s.eventually(what, func() bool {
		w.Lock()
		defer w.Unlock()
		return holds()
	})
}

func (s *scene) officialWatchIsTakenUpAgain() {
	s.Helper()
	s.own(relay.Options{Mesh: &relay.Mesh{Key: regionKey}})
	private := key.NewNode()
	s.joinAs(private)
	seen, _ := s.officialWatch(key.NodePublic{})
	s.eventuallySees(seen, "the client is present", func() bool { return seen.present[private.Public()] })
	if err := s.relay.StopKeepingFiles(); err != nil {
		s.Fatal(err)
	}
	s.eventuallySees(seen, "all are forgotten", func() bool { return len(seen.present) == 0 && seen.broken >= 2 })
	if err := s.relay.Launch(); err != nil {
		s.Fatal(err)
	}
	s.joinAs(private)
	s.eventuallySees(seen, "the client is present again", func() bool { return seen.present[private.Public()] })
}

func TestS56_RelayThatLinksToItselfNotices(t *testing.T) {
	statement(t, 56, []string{overTLS, overItself}, func(s *scene) {
		if s.over == overTLS {
			_, done := s.officialWatch(s.relay.PublicKey())
			select {
			case <-done:
			case <-time.After(patience):
				s.Fatal("the official client goes on watching the relay that it is to ignore")
			}
			return
		}
		certificate := s.issued()
		s.own(relay.Options{
			Certificate: certificate,
			Mesh:        &relay.Mesh{Key: regionKey, Itself: true, AuthorityFile: certificate.AuthorityFile},
		})
		s.awaitMetric(relay.Accepts, 1)
		if s.differs(catalogue.SelfLinkClosed) {
			s.awaitMetric(relay.Connections, 0)
		}
		// Longer than the pause of either relay before it tries again.
		time.Sleep(retryPause + time.Second)
		if got := s.metric(relay.Accepts); got != 1 {
			s.Errorf("the relay has connected to itself %v times", got)
		}
	})
}

// overItself is the way of a link from the relay under test to itself.
const overItself = "link to itself"

// retryPause is what passes before upstream's watch loop tries again; ours is shorter.
const retryPause = 5 * time.Second

func TestS57_RelayThatCannotBeReachedIsReported(t *testing.T) {
	statement(t, 57, []string{overTLS, overScript}, func(s *scene) {
		if s.over == overTLS {
			s.own(relay.Options{Mesh: &relay.Mesh{Key: regionKey}})
			if err := s.relay.StopKeepingFiles(); err != nil {
				s.Fatal(err)
			}
			seen, _ := s.officialWatch(key.NodePublic{})
			s.eventuallySees(seen, "an error", func() bool { return seen.errors > 0 })
			if err := s.relay.Launch(); err != nil {
				s.Fatal(err)
			}
			s.eventuallySees(seen, "the watcher itself is present", func() bool { return len(seen.present) == 1 })
			return
		}
		script := s.scriptedPlace()
		script.stop()
		s.linkTo(script)
		s.eventually("the log names the relay", func() bool { return strings.Contains(s.relay.LogTail(20), script.address()) })
		script.open()
		s.eventually("a watch", func() bool { return script.watched() > 0 })
	})
}
