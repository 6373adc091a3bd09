package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"time"
)

const (
	transferBytes = 100_000_000
	// transferPatience only matters when a transfer hangs.
	transferPatience = 4 * time.Minute
)

// content is reproducible bytes.
func content(seed string, bytes int64) io.Reader {
	source := rand.NewChaCha8(sha256.Sum256([]byte(seed)))
	return io.LimitReader(source, bytes)
}

// transfer sends the content from one node to the other and returns its hash at both ends.
func transfer(from, to *node, seed string, bytes int64, patience time.Duration) (sent, received string, err error) {
	// In userspace mode a connection to a node's address arrives at the loopback address of its host.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer listener.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()

	arrived := make(chan error, 1)
	go func() {
		var problem error
		received, problem = receive(listener, bytes)
		arrived <- problem
	}()

	port := listener.Addr().(*net.TCPAddr).Port
	command := from.command(ctx, "nc", to.address, strconv.Itoa(port))
	input, err := command.StdinPipe()
	if err != nil {
		return "", "", err
	}
	if err := command.Start(); err != nil {
		return "", "", err
	}
	defer func() {
		// What matters is what arrived; the command ends when either side does.
		cancel()
		_ = command.Wait()
	}()
	hash := sha256.New()
	if _, err := io.Copy(input, io.TeeReader(content(seed, bytes), hash)); err != nil {
		return "", "", fmt.Errorf("sending from %s: %w", from.name, err)
	}
	// The input stays open until all has arrived, because the command may end with it.
	select {
	case err = <-arrived:
	case <-ctx.Done():
		err = fmt.Errorf("%s did not receive everything within %v", to.name, patience)
	}
	return hex.EncodeToString(hash.Sum(nil)), received, err
}

// receive accepts one connection and reads the content from it.
func receive(listener net.Listener, bytes int64) (string, error) {
	if err := listener.(*net.TCPListener).SetDeadline(time.Now().Add(commandPatience)); err != nil {
		return "", err
	}
	conn, err := listener.Accept()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	hash := sha256.New()
	if _, err := io.CopyN(hash, conn, bytes); err != nil {
		return "", fmt.Errorf("receiving: %w", err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
