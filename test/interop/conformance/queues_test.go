package conformance

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"tailscale.com/types/key"
	"towpath.example/interop/catalogue"
	"towpath.example/interop/relay"
)

const (
	// flood is how many packets of flooded bytes are sent to a client that does not read: 40 MB, more than sockets and
	// the queue of a relay can hold.
	flood   = 640
	flooded = 60_000
)

// examined is a relay that disconnects no client while a test checks a full queue.
var examined = relay.Options{WriteTimeout: 5 * time.Minute}

// numbered makes a packet that starts with a number, after the disco magic when it has to look like that.
func numbered(number, size int, likeDisco bool) []byte {
	data := make([]byte, size)
	if likeDisco {
		data = looksLikeDisco(size)
	}
	binary.BigEndian.PutUint32(data[6:], uint32(number))
	return data
}

// pour sends numbered packets first … last-1 and waits until the relay has taken them all.
func (p *peer) pour(destination key.NodePublic, first, last, size int, likeDisco bool) {
	p.Helper()
	for number := first; number < last; number++ {
		p.send(destination, numbered(number, size, likeDisco))
	}
	p.fence()
}

// drain reads packets until the relay has nothing more for this client, and returns their numbers by kind.
func (p *peer) drain() (others, discos []int) {
	p.Helper()
	for _, received := range p.fence() {
		if received.kind != recvPacket || len(received.payload) < 42 {
			p.Fatalf("got %v", received)
		}
		data := received.payload[32:]
		number := int(binary.BigEndian.Uint32(data[6:]))
		if string(data[:6]) == string(looksLikeDisco(6)) {
			discos = append(discos, number)
		} else {
			others = append(others, number)
		}
	}
	return others, discos
}

// drainUntil drains, and goes on until the number has come: a pong may overtake packets.
func (p *peer) drainUntil(number int, likeDisco bool) (others, discos []int) {
	p.Helper()
	for idle := 0; ; {
		moreOthers, moreDiscos := p.drain()
		others, discos = append(others, moreOthers...), append(discos, moreDiscos...)
		relevant := others
		if likeDisco {
			relevant = discos
		}
		if len(relevant) > 0 && relevant[len(relevant)-1] >= number {
			return others, discos
		}
		if idle++; len(moreOthers)+len(moreDiscos) > 0 {
			idle = 0
		}
		if idle == 20 {
			p.Fatalf("packet %d, the newest, was lost; %d and %d packets came", number, len(others), len(discos))
		}
	}
}

// lastRun returns how many numbers at the end follow each other without a gap, and checks that all ascend.
func lastRun(numbers []int) (int, error) {
	run := 0
	for index, number := range numbers {
		switch {
		case index > 0 && number <= numbers[index-1]:
			return 0, fmt.Errorf("packet %d came after %d", number, numbers[index-1])
		case index > 0 && number > numbers[index-1]+1:
			run = 0
		}
		run++
	}
	return run, nil
}

func TestS21_BlockedReceiverDelaysNobodyElse(t *testing.T) {
	statement(t, 21, bothTransports, func(s *scene) {
		s.own(examined)
		a, b, blocked := s.join(), s.join(), s.join()
		for number := range flood {
			a.send(blocked.public(), numbered(number, flooded, false))
			if number%10 == 0 {
				// The relay waits five minutes for the blocked one: a packet that waits for it would be late.
				a.send(b.public(), numbered(number, 100, false))
				b.expectPacket(a.public(), numbered(number, 100, false))
			}
		}
		// It was blocked, but still connected.
		blocked.drainUntil(flood-1, false)
	})
}

func TestS22_OldestPacketsAreLostAndNewestKept(t *testing.T) {
	statement(t, 22, bothTransports, func(s *scene) {
		s.own(examined)
		a, blocked := s.join(), s.join()
		a.pour(blocked.public(), 0, flood, flooded, false)
		received, _ := blocked.drainUntil(flood-1, false)
		if len(received) >= flood {
			s.Fatalf("nothing was lost of %d packets", flood)
		}
		if received[0] != 0 {
			s.Errorf("first is packet %d, although it was sent while there was room", received[0])
		}
		run, err := lastRun(received)
		if err != nil {
			s.Fatal(err)
		}
		if run < 2 {
			s.Errorf("only %d packet was kept of the newest", run)
		}
	})
}

func TestS23_BlockedReceiverIsDisconnected(t *testing.T) {
	statement(t, 23, bothTransports, func(s *scene) {
		s.own(relay.Options{WriteTimeout: 2 * time.Second})
		a, blocked := s.join(), s.join()
		// The relay sends PeerGone only to clients that received packets from the client that left.
		blocked.send(a.public(), []byte("hello"))
		a.expectPacket(blocked.public(), []byte("hello"))

		stop, stopped := make(chan struct{}), make(chan error, 1)
		go func() {
			shot := packet(blocked.public(), noise(flooded))
			for {
				select {
				case <-stop:
					stopped <- nil
					return
				default:
					if err := a.try(shot); err != nil {
						stopped <- err
						return
					}
				}
			}
		}()
		a.expectGone(blocked.public(), goneDisconnected)
		close(stop)
		if err := <-stopped; err != nil {
			s.Fatal(err)
		}
		blocked.expectClosed("accepting nothing")
	})
}

func TestS24_QueueDepth(t *testing.T) {
	statement(t, 24, []string{overAny}, func(s *scene) {
		// kept says how many of many small packets are there after a stall.
		kept := func(options relay.Options) int {
			options.WriteTimeout = examined.WriteTimeout
			s.own(options)
			a, blocked := s.join(), s.join()
			a.pour(blocked.public(), 0, flood, flooded, false)
			const small = 300
			a.pour(blocked.public(), flood, flood+small, 100, false)
			received, _ := blocked.drainUntil(flood+small-1, false)
			run, err := lastRun(received)
			if err != nil {
				s.Fatal(err)
			}
			return run
		}
		if s.differs(catalogue.ByteBoundQueue) {
			if got := kept(relay.Options{}); got <= 32 {
				s.Errorf("%d small packets were kept", got)
			}
			return
		}
		for _, depth := range []struct {
			options relay.Options
			want    int
		}{
			{relay.Options{}, 32},
			{relay.Options{QueueDepthSet: true, QueueDepth: "64"}, 64},
			{relay.Options{QueueDepthSet: true, QueueDepth: ""}, 32},
		} {
			if got := kept(depth.options); got != depth.want {
				s.Errorf("%d packets were kept with %+v", got, depth.options)
			}
		}
	})
}

func TestS25_DiscoAndOthersDoNotEvictEachOther(t *testing.T) {
	statement(t, 25, bothTransports, func(s *scene) {
		s.own(examined)
		const few = 5
		for _, fewAreDisco := range []bool{true, false} {
			a, blocked := s.join(), s.join()
			// Stall the receiver, let a few of one kind in, then flood with the other kind.
			a.pour(blocked.public(), 0, flood, flooded, false)
			a.pour(blocked.public(), flood, flood+few, 100, fewAreDisco)
			a.pour(blocked.public(), 2*flood, 3*flood, 1000, !fewAreDisco)
			others, discos := blocked.drainUntil(3*flood-1, !fewAreDisco)
			all, rest, survivors := slices.Concat(others, discos), 0, 0
			for _, number := range all {
				switch {
				case number >= 2*flood:
					rest++
				case number >= flood:
					survivors++
				}
			}
			if survivors != few {
				s.Errorf("with few disco = %v, of %d arrived %d", fewAreDisco, few, survivors)
			}
			if rest >= flood {
				s.Errorf("with few disco = %v, the flood lost nothing", fewAreDisco)
			}
		}
	})
}
