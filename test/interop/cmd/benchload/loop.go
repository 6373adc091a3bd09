package main

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"time"
	"unsafe"
)

const (
	// epollPwait2 waits in nanoseconds, where Go's own poller knows milliseconds only; too coarse to space packets.
	epollPwait2      = 441
	prSetTimerSlack  = 29
	longestWait      = 10 * time.Millisecond
	stallAfter       = 100 * time.Millisecond
	probeInterval    = 20 * time.Millisecond
	maxBatchesInTurn = 32
	// scheduleReset is how far behind the schedule of an open load may fall before the rest is written off.
	scheduleReset = 200 * time.Millisecond
)

// Modes of load.
const (
	modeClosed = "closed"
	modeRate   = "rate"
	modeFlood  = "flood"
)

// loop is the one event loop: all clients of one load.
type loop struct {
	mode   string
	window int
	// interval is between two batches of an open load, in nanoseconds.
	interval float64
	pairs    []*pair
	probe    *client
	stream   *stream

	epoll     int
	watched   []watched
	events    []syscall.EpollEvent
	producing bool
	due       float64
	nextPair  int
	stallsAt  int64
	probeAt   int64

	latency, lag, pong histogram
	stalls, missed     uint64
}

// watched is what an event belongs to. pair is nil for the probe and the stream.
type watched struct {
	client    *client
	pair      *pair
	receiving bool
	awaitsOut bool
}

func newLoop() (*loop, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	// The default slack of 50 µs is a whole packet interval at 20 000 packets/s.
	syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, 1, 0)
	return &loop{epoll: epoll, events: make([]syscall.EpollEvent, 256)}, nil
}

func (l *loop) watch(w watched) error {
	l.watched = append(l.watched, w)
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(len(l.watched) - 1)}
	return syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, w.client.socket.fd, &event)
}

// turn is one round: produce the due packets, wait, read.
func (l *loop) turn() error {
	at := now()
	if l.producing {
		if err := l.produce(at); err != nil {
			return err
		}
		if l.stream != nil {
			if err := l.stream.produce(at); err != nil {
				return err
			}
		}
	}
	if l.probe != nil && at >= l.probeAt {
		l.probeAt = at + int64(probeInterval)
		if err := l.probe.ping(at); err != nil {
			return err
		}
	}
	count, err := l.wait(l.patience(now()))
	if err != nil {
		return err
	}
	for _, event := range l.events[:count] {
		if err := l.handle(int(event.Fd), event.Events); err != nil {
			return err
		}
	}
	return nil
}

func (l *loop) produce(at int64) error {
	switch l.mode {
	case modeClosed:
		if at < l.stallsAt {
			return nil
		}
		l.stallsAt = at + int64(stallAfter)
		for _, p := range l.pairs {
			if p.giveUp() {
				l.stalls++
			}
			if err := l.refill(p); err != nil {
				return err
			}
		}
		return nil
	case modeRate:
		return l.produceDue(at)
	default:
		for range maxBatchesInTurn {
			p := l.pairs[l.nextPair]
			l.nextPair = (l.nextPair + 1) % len(l.pairs)
			if p.blocked() {
				continue
			}
			if err := l.send(p); err != nil {
				return err
			}
		}
		return nil
	}
}

func (l *loop) produceDue(at int64) error {
	if float64(at)-l.due > float64(scheduleReset) {
		l.missed += uint64((float64(at) - l.due) / l.interval)
		l.due = float64(at)
	}
	for range maxBatchesInTurn {
		if l.due > float64(at) {
			return nil
		}
		p := l.pairs[l.nextPair]
		l.nextPair = (l.nextPair + 1) % len(l.pairs)
		if p.blocked() {
			p.Skipped += uint64(p.shape.batch())
		} else if err := l.send(p); err != nil {
			return err
		}
		l.lag.add(at - int64(l.due))
		l.due += l.interval
	}
	return nil
}

func (l *loop) refill(p *pair) error {
	for l.producing && l.mode == modeClosed && p.outstanding()+p.shape.batch() <= l.window && !p.blocked() {
		if err := l.send(p); err != nil {
			return err
		}
	}
	return nil
}

func (l *loop) send(p *pair) error {
	if err := p.send(now()); err != nil {
		return err
	}
	return l.awaitOut(2*int(p.index), p.blocked())
}

// awaitOut asks for an event when the relay reads again.
func (l *loop) awaitOut(index int, wanted bool) error {
	w := &l.watched[index]
	if w.awaitsOut == wanted {
		return nil
	}
	w.awaitsOut = wanted
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(index)}
	if wanted {
		event.Events |= syscall.EPOLLOUT
	}
	return syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_MOD, w.client.socket.fd, &event)
}

func (l *loop) handle(index int, events uint32) error {
	w := &l.watched[index]
	if events&syscall.EPOLLOUT != 0 {
		if err := w.client.socket.flush(); err != nil {
			return err
		}
		if err := l.awaitOut(index, len(w.client.socket.out) > 0); err != nil {
			return err
		}
	}
	if events&^syscall.EPOLLOUT == 0 {
		return nil
	}
	switch {
	case w.pair == nil:
		return w.client.drain(l.ponged)
	case w.receiving:
		if err := w.pair.receive(&l.latency); err != nil {
			return err
		}
		return l.refill(w.pair)
	default:
		return w.client.drain(func(int64, byte, []byte) error { return nil })
	}
}

func (l *loop) ponged(at int64, kind byte, payload []byte) error {
	if kind == framePong && len(payload) == 8 {
		l.pong.add(at - int64(binary.BigEndian.Uint64(payload)))
	}
	return nil
}

func (c *client) ping(at int64) error {
	if len(c.socket.out) > 0 {
		return nil
	}
	frame := binary.BigEndian.AppendUint64([]byte{framePing, 0, 0, 0, 8}, uint64(at))
	if _, err := c.tls.Write(frame); err != nil {
		return fmt.Errorf("the probe: %w", err)
	}
	return c.socket.flush()
}

func (l *loop) patience(at int64) time.Duration {
	wait := longestWait
	switch {
	case !l.producing:
	case l.mode == modeRate:
		wait = min(wait, time.Duration(l.due)-time.Duration(at))
	case l.mode == modeFlood:
		for _, p := range l.pairs {
			if !p.blocked() {
				return 0
			}
		}
	}
	if l.producing && l.stream != nil {
		wait = min(wait, time.Duration(l.stream.due)-time.Duration(at))
	}
	return max(0, wait)
}

func (l *loop) wait(patience time.Duration) (int, error) {
	spec := syscall.NsecToTimespec(int64(patience))
	count, _, errno := syscall.Syscall6(epollPwait2, uintptr(l.epoll), uintptr(unsafe.Pointer(&l.events[0])),
		uintptr(len(l.events)), uintptr(unsafe.Pointer(&spec)), 0, 0)
	if errno == syscall.EINTR {
		return 0, nil
	}
	if errno != 0 {
		return 0, fmt.Errorf("epoll_pwait2: %w", errno)
	}
	return int(count), nil
}
