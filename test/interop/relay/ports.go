package relay

import (
	"fmt"
	"net"
	"sync"
)

var (
	portsMutex sync.Mutex
	portsGiven = map[int]bool{}
)

// FreePort returns a port of host that is free for TCP and UDP and that this process has not handed out before.
func FreePort(host string) (int, error) {
	portsMutex.Lock()
	defer portsMutex.Unlock()
	for range 100 {
		listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
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
