package main

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// warmConnections are opened and closed before anything is counted: code is compiled and pools are filled by then.
const warmConnections = 100

// connecting is how many connections are opened at once.
const connecting = 4

type idleResult struct {
	Connections   int     `json:"connections"`
	RSSBefore     int64   `json:"rssBefore"`
	RSSAfter      int64   `json:"rssAfter"`
	BytesPerConn  float64 `json:"bytesPerConnection"`
	ServerSeconds float64 `json:"serverSeconds"`
	// ServerShare is the CPU of the relay while all connections were idle, as part of one CPU.
	ServerShare     float64 `json:"serverShare"`
	ForeignCPUShare float64 `json:"foreignShare"`
}

func runIdle(address string, pid, n int, settle, watch time.Duration) (*idleResult, error) {
	if err := churn(address, warmConnections); err != nil {
		return nil, err
	}
	time.Sleep(time.Second)
	before, err := memory(pid, "VmRSS")
	if err != nil {
		return nil, err
	}
	cpu, err := processCPU(pid)
	if err != nil {
		return nil, err
	}
	held, err := connectMany(address, n)
	defer func() {
		for _, c := range held {
			c.close()
		}
	}()
	if err != nil {
		return nil, err
	}
	spent, err := processCPU(pid)
	if err != nil {
		return nil, err
	}
	time.Sleep(settle)
	after, err := memory(pid, "VmRSS")
	if err != nil {
		return nil, err
	}
	idle, foreign, err := watchIdle(pid, watch)
	if err != nil {
		return nil, err
	}
	return &idleResult{
		ServerShare: idle, ForeignCPUShare: foreign,
		Connections: n, RSSBefore: before, RSSAfter: after, BytesPerConn: float64(after-before) / float64(n),
		ServerSeconds: float64(spent-cpu) / 1e9,
	}, nil
}

// watchIdle returns what the relay and what others use of one CPU while nothing is sent. The clients read nothing
// either: KeepAlive frames wait in the kernel.
func watchIdle(pid int, watch time.Duration) (server, foreign float64, err error) {
	if watch == 0 {
		return 0, 0, nil
	}
	machineBefore, err := machineCPU()
	if err != nil {
		return 0, 0, err
	}
	before, err := processTicks(pid)
	if err != nil {
		return 0, 0, err
	}
	from := now()
	time.Sleep(watch)
	wall := float64(now() - from)
	after, err := processTicks(pid)
	if err != nil {
		return 0, 0, err
	}
	machine, err := machineCPU()
	used := float64(after - before)
	return used / wall, max(0, (float64(machine-machineBefore)-used)/wall), err
}

// connectMany opens n connections, a few at a time, so that neither side waits for the other.
func connectMany(address string, n int) ([]*client, error) {
	var lock sync.Mutex
	var group sync.WaitGroup
	held, problem, next := make([]*client, 0, n), error(nil), 0
	take := func() bool {
		lock.Lock()
		defer lock.Unlock()
		next++
		return next <= n && problem == nil
	}
	for range connecting {
		group.Go(func() {
			for take() {
				c, err := connect(address)
				lock.Lock()
				if err != nil {
					problem = errors.Join(problem, fmt.Errorf("connection %d: %w", len(held), err))
				} else {
					held = append(held, c)
				}
				lock.Unlock()
			}
		})
	}
	group.Wait()
	return held, problem
}

type handshakeResult struct {
	Handshakes      int     `json:"handshakes"`
	ServerMsEach    float64 `json:"serverMsPerHandshake"`
	PerSecond       float64 `json:"perSecond"`
	ServerShare     float64 `json:"serverShare"`
	GeneratorShare  float64 `json:"generatorShare"`
	ForeignCPUShare float64 `json:"foreignShare"`
}

// runHandshakes counts connection, full handshake and close, because a relay pays for all three.
func runHandshakes(address string, pid, n int) (*handshakeResult, error) {
	if err := churn(address, 2*warmConnections); err != nil {
		return nil, err
	}
	before, err := readUsage(pid)
	if err != nil {
		return nil, err
	}
	if err := churn(address, n); err != nil {
		return nil, err
	}
	wall := float64(now() - before.at)
	time.Sleep(200 * time.Millisecond) // closing is part of it
	after, err := readUsage(pid)
	if err != nil {
		return nil, err
	}
	server, self := float64(after.server-before.server), float64(after.self-before.self)
	return &handshakeResult{
		Handshakes: n, ServerMsEach: server / float64(n) / 1e6, PerSecond: float64(n) / wall * 1e9,
		ServerShare: server / wall, GeneratorShare: self / wall,
		ForeignCPUShare: max(0, (float64(after.machine-before.machine)-server-self)/wall),
	}, nil
}

func churn(address string, n int) error {
	for range n {
		c, err := connect(address)
		if err != nil {
			return err
		}
		c.close()
	}
	return nil
}
