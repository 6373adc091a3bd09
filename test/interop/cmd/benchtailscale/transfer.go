package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// transferPatience only matters when a transfer hangs.
const transferPatience = time.Minute

// transfer sends random bytes from one node to the other and compares their hash at both ends. The clock runs from the
// first byte that arrives to the last, so that starting the command is not counted as slowness.
func transfer(o options, from, to *node) (*transferResult, error) {
	// In userspace mode a connection to a node's address arrives at the loopback address of its host.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	ctx, cancel := context.WithTimeout(context.Background(), transferPatience)
	defer cancel()
	command := from.command(ctx, "nc", to.address, strconv.Itoa(listener.Addr().(*net.TCPAddr).Port))
	input, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	total := int64(o.megabytes) * 1_000_000
	arrived := make(chan arrival, 1)
	go func() { arrived <- receive(listener, total, o.pid) }()
	if err := command.Start(); err != nil {
		return nil, err
	}
	defer func() {
		cancel()
		_ = command.Wait()
	}()
	sent := sha256.New()
	source := io.LimitReader(rand.NewChaCha8(sha256.Sum256([]byte(from.name))), total)
	if _, err := io.Copy(input, io.TeeReader(source, sent)); err != nil {
		return nil, fmt.Errorf("sending: %w", err)
	}
	// The input stays open until all has arrived, because the command may end with it.
	select {
	case a := <-arrived:
		if a.err != nil {
			return nil, a.err
		}
		if !bytes.Equal(a.hash.Sum(nil), sent.Sum(nil)) {
			return nil, fmt.Errorf("what arrived is not what was sent")
		}
		megabytes := float64(total) / 1e6
		return &transferResult{
			Megabytes: megabytes, Seconds: a.wall.Seconds(), ServerSeconds: a.server.Seconds(),
			MbitPerSecond: megabytes * 8 / a.wall.Seconds(), ServerMsPerMB: a.server.Seconds() * 1000 / megabytes,
		}, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("not everything arrived within %v", transferPatience)
	}
}

// arrival is what the receiving end has seen.
type arrival struct {
	hash         hash.Hash
	wall, server time.Duration
	err          error
}

func receive(listener net.Listener, total int64, pid int) (a arrival) {
	a.hash = sha256.New()
	_ = listener.(*net.TCPListener).SetDeadline(time.Now().Add(commandPatience))
	conn, err := listener.Accept()
	if err != nil {
		a.err = err
		return a
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(transferPatience))
	before, err := processCPU(pid)
	if err != nil {
		a.err = err
		return a
	}
	start := time.Now()
	if _, a.err = io.CopyN(a.hash, conn, total); a.err != nil {
		return a
	}
	a.wall = time.Since(start)
	after, err := processCPU(pid)
	a.server, a.err = after-before, err
	return a
}

// processCPU sums the CPU time of the relay's threads as the scheduler counts it.
func processCPU(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("the relay, process %d, has ended", pid)
	}
	var sum time.Duration
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that has just ended
		}
		first, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}
