package conformance

import (
	"slices"
	"testing"
	"time"

	"tailscale.com/derp"
	"towpath.example/interop/catalogue"
	"towpath.example/interop/relay"
)

// onePerSecond refills a bucket of the smallest size in one second.
var onePerSecond = relay.Rate{BytesPerSecond: bucketFloor, BurstBytes: bucketFloor}

// endless refills so slowly that a wait does not end while a test runs.
var endless = relay.Rate{BytesPerSecond: 100, BurstBytes: bucketFloor}

// nearlyOneSecond is the least that a wait of one second may last: part of it can pass before it begins.
const nearlyOneSecond = 800 * time.Millisecond

// largest is a SendPacket frame whose payload is the smallest bucket.
func (p *peer) largest(destination *peer) []byte {
	return packet(destination.public(), noise(maxPacket))
}

func (p *peer) expectLargest(source *peer) {
	p.Helper()
	p.expectPacket(source.public(), noise(maxPacket))
}

func (s *scene) expectWaits(want float64) {
	s.Helper()
	if got := s.metric(relay.RateLimitWaits); got != want {
		s.Errorf("%v waits were counted, not %v", got, want)
	}
}

func TestS58_FirstLargeFramePassesAndSecondWaits(t *testing.T) {
	statement(t, 58, bothTransports, func(s *scene) {
		s.own(relay.Options{Rate: &onePerSecond})
		a, b := s.join(), s.join()
		start := time.Now()
		a.write(a.largest(b))
		b.expectLargest(a)
		s.expectWaits(0)
		a.write(a.largest(b))
		b.expectLargest(a)
		if elapsed := time.Since(start); elapsed < nearlyOneSecond {
			s.Errorf("the second frame came after %v", elapsed)
		}
		s.expectWaits(1)
	})
}

func TestS59_ClosingAWaitingConnectionEndsTheWait(t *testing.T) {
	statement(t, 59, []string{overTLS}, func(s *scene) {
		rate, leastWait := endless, time.Duration(0)
		if s.differs(catalogue.WaitOutlivesConnection) {
			// A wait of four seconds: the client stays until then, and disconnects.
			rate.BytesPerSecond, leastWait = bucketFloor/4, 3*time.Second
		}
		s.own(relay.Options{Rate: &rate})
		a, b := s.join(), s.join()
		start := time.Now()
		a.write(append(a.largest(b), a.largest(b)...))
		b.expectLargest(a)
		b.expectNothing()
		a.Close()
		// A relay that does not read cannot see the end of the stream, but it sees that it cannot write.
		s.eventually("the waiting client is gone", func() bool {
			b.send(a.public(), []byte("are you there?"))
			return slices.ContainsFunc(b.fence(), func(f frame) bool { return f.kind == peerGone })
		})
		if elapsed := time.Since(start); elapsed < leastWait {
			s.Errorf("the client was gone after %v, before its wait had ended", elapsed)
		}
		s.awaitMetric(relay.Connections, 1)
	})
}

// limited says whether a new connection has to wait for its second large frame.
func (s *scene) limited() bool {
	s.Helper()
	before := s.metric(relay.RateLimitWaits)
	probe := s.join()
	defer probe.Close()
	for range 2 {
		probe.write(probe.largest(probe))
		probe.expectLargest(probe)
	}
	return s.metric(relay.RateLimitWaits) > before
}

// reload changes the rate of the scene's relay and waits until new connections have it.
func (s *scene) reload(rate relay.Rate) {
	s.Helper()
	if err := s.relay.WriteRate(rate); err != nil {
		s.Fatal(err)
	}
	s.hangup()
	s.eventually("the new rate", func() bool { return s.limited() == (rate.BytesPerSecond != 0) })
}

func (s *scene) hangup() {
	s.Helper()
	if err := s.relay.Hangup(); err != nil {
		s.Fatal(err)
	}
}

// waits counts how often the client waits for this number of large frames, which all must arrive.
func (p *peer) waits(listener *peer, frames int) float64 {
	p.Helper()
	before := p.metric(relay.RateLimitWaits)
	for range frames {
		p.write(p.largest(listener))
		listener.expectLargest(p)
	}
	return p.metric(relay.RateLimitWaits) - before
}

func TestS61_ChangedRateReachesAllConnections(t *testing.T) {
	statement(t, 61, []string{overTLS}, func(s *scene) {
		s.own(relay.Options{Rate: &relay.Rate{}})
		listener, pair := s.join(), s.twins(2)
		for _, client := range pair {
			if waits := client.waits(listener, 3); waits != 0 {
				s.Errorf("without a rate a client waited %v times", waits)
			}
		}
		s.reload(relay.Rate{BytesPerSecond: 3 * bucketFloor, BurstBytes: bucketFloor})
		for index, client := range pair {
			if waits := client.waits(listener, 3); waits < 1 {
				s.Errorf("duplicate %d never waited under the new rate", index)
			}
		}
		s.reload(relay.Rate{})
		for index, client := range pair {
			if waits := client.waits(listener, 3); waits != 0 {
				s.Errorf("duplicate %d waited %v times after the rate was removed", index, waits)
			}
		}
	})
}

func TestS62_SmallBurstIsRaised(t *testing.T) {
	statement(t, 62, []string{overTLS}, func(s *scene) {
		s.own(relay.Options{Rate: &relay.Rate{BytesPerSecond: bucketFloor, BurstBytes: 1}})
		a, b := s.join(), s.join()
		a.write(a.largest(b))
		b.expectLargest(a)
		s.expectWaits(0)
		a.write(a.largest(b))
		b.expectLargest(a)
		s.expectWaits(1)
	})
}

func TestS63_NoRateMeansOffAndBadFilesStopTheStart(t *testing.T) {
	statement(t, 63, []string{overAny}, func(s *scene) {
		s.over = overTLS
		defer func() { s.over = overAny }()
		s.own(relay.Options{Rate: &relay.Rate{}})
		if s.limited() {
			s.Error("explicit zeros limit")
		}
		s.reload(onePerSecond)
		if err := s.relay.EmptyRateFile(); err != nil {
			s.Fatal(err)
		}
		s.hangup()
		s.eventually("an empty configuration limits nobody", func() bool { return !s.limited() })

		for name, spoil := range map[string]func(*relay.Relay) error{
			"missing": (*relay.Relay).RemoveRateFile, "broken": (*relay.Relay).SpoilRateFile,
		} {
			says, err := relay.AwaitExit(target, relay.Options{Rate: &onePerSecond}, spoil)
			if err != nil {
				s.Errorf("a %s rate file: %v", name, err)
			} else if says == "" {
				s.Errorf("a %s rate file stops the relay, which does not say why", name)
			}
		}
	})
}

func TestS64_ClientKeepsToTheAnnouncedBucket(t *testing.T) {
	statement(t, 64, bothTransports, func(s *scene) {
		rate := relay.Rate{BytesPerSecond: 70_000, BurstBytes: 140_000}
		s.own(relay.Options{Rate: &rate})
		if s.differs(catalogue.NeverAnnouncesRate) {
			client := s.greeted()
			client.introduce("{}")
			if text := string(client.expectServerInfo()); text != `{"version":2}` {
				s.Errorf("ServerInfo is %s", text)
			}
			return
		}
		a, b := s.official(), s.join()
		if want := (derp.ServerInfoMessage{TokenBucketBytesPerSecond: int(rate.BytesPerSecond), TokenBucketBytesBurst: int(rate.BurstBytes)}); a.info != want {
			s.Errorf("the client was told %+v", a.info)
		}
		const sent = 10
		for number := range sent {
			a.send(b.public(), numbered(number, flooded, false))
		}
		// Pings do not use the rate: the pong shows that all sent packets were relayed.
		if err := a.ping(); err != nil {
			s.Fatal(err)
		}
		received, _ := b.drainUntil(1, false)
		if len(received) < 2 || len(received) == sent {
			s.Errorf("the client sent %v of %d packets", received, sent)
		}
		s.expectWaits(0)
	})
}

func TestS97_RateDelaysFramesOfEveryType(t *testing.T) {
	statement(t, 97, bothTransports, func(s *scene) {
		s.own(relay.Options{Rate: &onePerSecond})
		client := s.join()
		start := time.Now()
		// The first one empties the bucket.
		client.write(encode(unknownType, make([]byte, bucketFloor)))
		client.write(encode(unknownType, make([]byte, bucketFloor)))
		client.fence()
		if elapsed := time.Since(start); elapsed < nearlyOneSecond {
			s.Errorf("a frame of unknown type was not delayed: pong after %v", elapsed)
		}
	})
}

func TestS105_BrokenRateOnReloadKeepsTheLimits(t *testing.T) {
	statement(t, 105, []string{overTLS}, func(s *scene) {
		s.own(relay.Options{Rate: &onePerSecond})
		a, b := s.join(), s.join()
		if waits := a.waits(b, 2); waits != 1 {
			s.Errorf("%v waits before the reload", waits)
		}
		said := s.relay.LogTail(1)
		if err := s.relay.SpoilRateFile(); err != nil {
			s.Fatal(err)
		}
		s.hangup()
		s.eventually("a complaint in the log", func() bool { return s.relay.LogTail(1) != said })
		if waits := a.waits(b, 2); waits < 1 {
			s.Error("an existing connection is not limited any more")
		}
		if !s.limited() {
			s.Error("a new connection is not limited any more")
		}
	})
}
