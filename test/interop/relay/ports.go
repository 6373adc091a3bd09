package relay

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
)

var (
	portsMutex sync.Mutex
	portsGiven = map[int]bool{}
)

// candidate is below the ports that the system chooses from, so that no outgoing connection takes the port before the relay does, or
// while the relay is stopped.
func candidate() int {
	return 20_000 + rand.IntN(12_000)
}

// FreePort returns a port of host that is free for TCP and UDP and that this process has not handed out before.
func FreePort(host string) (int, error) {
	portsMutex.Lock()
	defer portsMutex.Unlock()
	for range 100 {
		listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(candidate())))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return 0, err
		}
		port := listener.Addr().(*net.TCPAddr).Port
		datagrams, err := net.ListenPacket("udp", listener.Addr().String())
		listener.Close()
		if err != nil {
			continue
		}
		datagrams.Close()
		if !portsGiven[port] {
			portsGiven[port] = true
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port on %s", host)
}
