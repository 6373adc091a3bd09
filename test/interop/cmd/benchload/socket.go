package main

import (
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// socket is a TCP connection under a tls.Conn. Records that TLS writes are gathered until flush, so that the caller
// decides how many leave in one system call. After unblock, reads that would wait fail with errWouldBlock, which
// tls.Conn takes for a time-out and survives.
type socket struct {
	fd       int
	blocking bool
	out      []byte
	in       []byte
	inFrom   int
	inTo     int
}

const readAheadBytes = 128 << 10

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "would block" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

var errWouldBlock net.Error = wouldBlock{}

// connectionsPerAddress leaves room in the 28,232 ports that Linux gives out for one address.
const connectionsPerAddress = 20_000

// bindAddressNoPort is IP_BIND_ADDRESS_NO_PORT, which package syscall lacks: the port is chosen at connect.
const bindAddressNoPort = 24

// dialed counts connections: each connectionsPerAddress of them come from a loopback address of their own.
var dialed atomic.Int64

func dial(address string) (*socket, error) {
	tcp, err := net.ResolveTCPAddr("tcp4", address)
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	s := &socket{fd: fd, blocking: true, in: make([]byte, 4096)}
	patience := syscall.Timeval{Sec: 10}
	remote := &syscall.SockaddrInet4{Port: tcp.Port}
	copy(remote.Addr[:], tcp.IP.To4())
	local := &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(1 + (dialed.Add(1)-1)/connectionsPerAddress)}}
	for _, problem := range []error{
		syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, bindAddressNoPort, 1),
		syscall.Bind(fd, local),
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &patience),
		syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &patience),
		retry(func() error { return syscall.Connect(fd, remote) }),
	} {
		if problem != nil {
			syscall.Close(fd)
			return nil, problem
		}
	}
	return s, nil
}

// retry goes on after a signal: Go's runtime interrupts system calls to preempt.
func retry(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}

// unblock ends the handshake phase, in which it was simpler to wait.
func (s *socket) unblock() error {
	s.blocking = false
	left := append([]byte(nil), s.in[s.inFrom:s.inTo]...)
	s.in = make([]byte, readAheadBytes)
	s.inFrom, s.inTo = 0, copy(s.in, left)
	return syscall.SetNonblock(s.fd, true)
}

func (s *socket) Read(p []byte) (int, error) {
	if s.inFrom == s.inTo {
		n, err := readInto(s.fd, s.in)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			return 0, io.EOF
		}
		s.inFrom, s.inTo = 0, n
	}
	n := copy(p, s.in[s.inFrom:s.inTo])
	s.inFrom += n
	return n, nil
}

func readInto(fd int, p []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, p)
		switch err {
		case nil:
			return n, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, errWouldBlock
		default:
			return 0, err
		}
	}
}

// Write keeps what TLS has encrypted; while blocking it goes out at once.
func (s *socket) Write(p []byte) (int, error) {
	s.out = append(s.out, p...)
	if s.blocking {
		for len(s.out) > 0 {
			if err := s.flush(); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

// flush makes one system call when the kernel takes everything. What it does not take stays in out.
func (s *socket) flush() error {
	for len(s.out) > 0 {
		n, err := syscall.Write(s.fd, s.out)
		if n > 0 {
			s.out = s.out[:copy(s.out, s.out[n:])]
		}
		if err == syscall.EAGAIN && !s.blocking {
			return nil
		}
		if err != nil && err != syscall.EINTR {
			return err
		}
	}
	return nil
}

func (s *socket) Close() error { return syscall.Close(s.fd) }

func (s *socket) LocalAddr() net.Addr                { return &net.TCPAddr{} }
func (s *socket) RemoteAddr() net.Addr               { return &net.TCPAddr{} }
func (s *socket) SetDeadline(time.Time) error        { return nil }
func (s *socket) SetReadDeadline(time.Time) error    { return nil }
func (s *socket) SetWriteDeadline(t time.Time) error { return nil }
