package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Layouts of pairs over two relay threads, and over two relays that do not know each other.
const (
	layoutSame   = "same"
	layoutBoth   = "both"
	layoutAcross = "across"
	layoutApart  = "apart"
)

// mainConnections begins the line of the metrics that says how many clients the main relay thread has.
const mainConnections = `towpath_relay_thread_connections{thread="0"} `

// maxConnectsPerClient is far above what it takes until the kernel gives a connection to the wanted one of two threads.
const maxConnectsPerClient = 64

// threadClients connects clients to relay threads by choice. The kernel gives a connection to any thread, so that clients of the
// other thread are kept until they are wanted.
type threadClients struct {
	connect func() (*client, error)
	metrics string
	// spare clients by thread: 0 is the main thread, 1 any other.
	spare [2][]*client
}

// threadsOf returns the thread of the sender and that of the receiver of a pair.
func threadsOf(layout string, pair int) (sender, receiver int, err error) {
	switch layout {
	case layoutSame:
		return 0, 0, nil
	case layoutBoth:
		return pair % 2, pair % 2, nil
	case layoutAcross:
		return pair % 2, 1 - pair%2, nil
	default:
		return 0, 0, fmt.Errorf("-layout: %q must be %s, %s, %s or %s", layout, layoutSame, layoutBoth, layoutAcross, layoutApart)
	}
}

// pair connects the two clients of a pair.
func (t *threadClients) pair(layout string, index int) (sender, receiver *client, err error) {
	from, to, err := threadsOf(layout, index)
	if err != nil {
		return nil, nil, err
	}
	if sender, err = t.client(from); err != nil {
		return nil, nil, err
	}
	receiver, err = t.client(to)
	return sender, receiver, err
}

func (t *threadClients) client(thread int) (*client, error) {
	for range maxConnectsPerClient {
		if spare := t.spare[thread]; len(spare) > 0 {
			t.spare[thread] = spare[1:]
			return spare[0], nil
		}
		before, err := t.inMain()
		if err != nil {
			return nil, err
		}
		c, err := t.connect()
		if err != nil {
			return nil, err
		}
		after, err := t.inMain()
		if err != nil {
			return nil, err
		}
		its := 1
		if after > before {
			its = 0
		}
		t.spare[its] = append(t.spare[its], c)
	}
	return nil, fmt.Errorf("none of %d connections came to relay thread %d", maxConnectsPerClient, thread)
}

// close ends the clients that were not wanted.
func (t *threadClients) close() {
	for _, spare := range t.spare {
		for _, c := range spare {
			c.close()
		}
	}
}

// inMain returns how many clients the main thread has.
func (t *threadClients) inMain() (int, error) {
	response, err := http.Get(t.metrics)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), mainConnections); found {
			return strconv.Atoi(value)
		}
	}
	return 0, errors.Join(fmt.Errorf("%s does not say which clients the main thread has", t.metrics), lines.Err())
}
