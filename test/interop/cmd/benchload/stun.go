package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"tailscale.com/net/stun"
)

const (
	stunSockets = 8
	// stunWindow requests are under way per socket; all of them fit into the smallest receive buffer of a relay.
	stunWindow = 24
	stunBatch  = 12
	// stunGiveUp is after how long without an answer the rest of a window counts as lost.
	stunGiveUp = 200 * time.Millisecond

	stunRequestBytes = 40
	stunAnswerBytes  = 64
)

// stunWindowResult is what was measured in one window.
type stunWindowResult struct {
	Seconds        float64 `json:"seconds"`
	Answers        uint64  `json:"answers"`
	ServerSeconds  float64 `json:"serverSeconds"`
	ServerShare    float64 `json:"serverShare"`
	GeneratorShare float64 `json:"generatorShare"`
	ForeignShare   float64 `json:"foreignShare"`
}

type stunResult struct {
	Windows []stunWindowResult `json:"windows"`
	Sent    uint64             `json:"sent"`
	Answers uint64             `json:"answers"`
	Lost    uint64             `json:"lost"`
	// GeneratorLimited says that the relay was not busy although this program had nothing else to do.
	GeneratorLimited bool `json:"generatorLimited"`
}

// stunLoad asks for its own address repeatedly, as tailscaled does, and checks each answer.
type stunLoad struct {
	sockets []*stunSocket
	sent    uint64
	answers uint64
	lost    uint64
}

// stunSocket is one source port with its requests under way.
type stunSocket struct {
	fd      int
	own     netip.AddrPort
	pending map[stun.TxID]struct{}
	heard   int64
	out     *datagrams
	in      *datagrams
}

func runStun(flags *flag.FlagSet, arguments []string) (*stunResult, error) {
	address := flags.String("address", "", "loopback address of the STUN server")
	pid := flags.Int("pid", 0, "process id of the relay")
	warm := flags.Duration("warm", time.Second, "before anything is measured")
	windows := flags.Int("windows", 3, "measured windows")
	windowTime := flags.Duration("window-time", 800*time.Millisecond, "length of a window")
	_ = flags.Parse(arguments)
	if err := checkLoopback(*address); err != nil {
		return nil, err
	}
	load, err := newStunLoad(*address)
	if err != nil {
		return nil, err
	}
	if err := load.runUntil(now() + int64(*warm)); err != nil {
		return nil, err
	}
	if load.answers == 0 {
		return nil, errors.New("the relay answers no STUN request")
	}
	result, full := &stunResult{}, 0
	for range *windows {
		w, err := load.measure(*pid, *windowTime)
		if err != nil {
			return nil, err
		}
		if w.ServerShare < 0.93 {
			full++
		}
		result.Windows = append(result.Windows, w)
	}
	result.Sent, result.Answers, result.Lost = load.sent, load.answers, load.lost
	result.GeneratorLimited = 2*full > *windows
	return result, nil
}

func newStunLoad(address string) (*stunLoad, error) {
	remote, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	load := &stunLoad{}
	for range stunSockets {
		s, err := dialStun(remote)
		if err != nil {
			return nil, err
		}
		load.sockets = append(load.sockets, s)
	}
	return load, nil
}

func dialStun(remote netip.AddrPort) (*stunSocket, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(remote.Port()), Addr: remote.Addr().As4()}); err != nil {
		return nil, err
	}
	own, err := syscall.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	local, ok := own.(*syscall.SockaddrInet4)
	if !ok {
		return nil, errors.New("the socket has no IPv4 address")
	}
	return &stunSocket{
		fd: fd, own: netip.AddrPortFrom(netip.AddrFrom4(local.Addr), uint16(local.Port)),
		pending: map[stun.TxID]struct{}{}, out: newDatagrams(stunBatch, stunRequestBytes), in: newDatagrams(stunWindow, stunAnswerBytes),
	}, nil
}

func (l *stunLoad) measure(pid int, length time.Duration) (stunWindowResult, error) {
	answers := l.answers
	before, err := readUsage(pid)
	if err != nil {
		return stunWindowResult{}, err
	}
	if err := l.runUntil(before.at + int64(length)); err != nil {
		return stunWindowResult{}, err
	}
	after, err := readUsage(pid)
	if err != nil {
		return stunWindowResult{}, err
	}
	wall := float64(after.at - before.at)
	server, self := float64(after.server-before.server), float64(after.self-before.self)
	return stunWindowResult{
		Seconds: wall / 1e9, Answers: l.answers - answers, ServerSeconds: server / 1e9,
		ServerShare: server / wall, GeneratorShare: self / wall,
		ForeignShare: max(0, (float64(after.machine-before.machine)-server-self)/wall),
	}, nil
}

// runUntil polls without waiting: this program has a CPU of its own, and a wait would add its own cost.
func (l *stunLoad) runUntil(end int64) error {
	for now() < end {
		for _, s := range l.sockets {
			if err := l.turn(s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *stunLoad) turn(s *stunSocket) error {
	at := now()
	count, err := s.in.receive(s.fd)
	if err != nil {
		return err
	}
	for i := range count {
		if err := s.check(s.in.datagram(i)); err != nil {
			return err
		}
		l.answers++
		s.heard = at
	}
	if len(s.pending) > 0 && at-s.heard > int64(stunGiveUp) {
		l.lost += uint64(len(s.pending))
		clear(s.pending)
	}
	if len(s.pending)+stunBatch > stunWindow {
		return nil
	}
	for i := range stunBatch {
		id := stun.NewTxID()
		s.out.set(i, stun.Request(id))
		s.pending[id] = struct{}{}
	}
	if len(s.pending) == stunBatch {
		s.heard = at
	}
	l.sent += stunBatch
	return s.out.send(s.fd)
}

// check takes an answer only if it is to a request of this socket and names this socket's address.
func (s *stunSocket) check(answer []byte) error {
	id, address, err := stun.ParseResponse(answer)
	if err != nil {
		return fmt.Errorf("an answer that is none: %w", err)
	}
	if netip.AddrPortFrom(address.Addr().Unmap(), address.Port()) != s.own {
		return fmt.Errorf("the relay saw %v where %v asked", address, s.own)
	}
	// An answer may come after its request was given up; it is ignored.
	delete(s.pending, id)
	return nil
}

// datagrams is a batch for sendmmsg and recvmmsg.
type datagrams struct {
	headers []mmsghdr
	vectors []syscall.Iovec
	bytes   []byte
	size    int
}

type mmsghdr struct {
	header syscall.Msghdr
	length uint32
	_      [4]byte
}

const (
	sysRecvmmsg = 299
	sysSendmmsg = 307
)

func newDatagrams(count, size int) *datagrams {
	d := &datagrams{
		headers: make([]mmsghdr, count), vectors: make([]syscall.Iovec, count), bytes: make([]byte, count*size), size: size,
	}
	for i := range count {
		d.vectors[i] = syscall.Iovec{Base: &d.bytes[i*size], Len: uint64(size)}
		d.headers[i].header = syscall.Msghdr{Iov: &d.vectors[i], Iovlen: 1}
	}
	return d
}

func (d *datagrams) set(index int, datagram []byte) { copy(d.bytes[index*d.size:], datagram) }

func (d *datagrams) datagram(index int) []byte {
	return d.bytes[index*d.size : index*d.size+int(d.headers[index].length)]
}

func (d *datagrams) send(fd int) error {
	for done := 0; done < len(d.headers); {
		n, err := d.call(sysSendmmsg, fd, done)
		if err != nil {
			return err
		}
		done += n
	}
	return nil
}

func (d *datagrams) receive(fd int) (int, error) { return d.call(sysRecvmmsg, fd, 0) }

func (d *datagrams) call(number uintptr, fd, from int) (int, error) {
	n, _, errno := syscall.RawSyscall6(number, uintptr(fd), uintptr(unsafe.Pointer(&d.headers[from])),
		uintptr(len(d.headers)-from), syscall.MSG_DONTWAIT, 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case syscall.EAGAIN, syscall.EINTR:
		return 0, nil
	case syscall.ECONNREFUSED:
		return 0, errors.New("nobody listens on the STUN port")
	default:
		return 0, errno
	}
}
